"""Brokers and wires for the tests of the MQTT remote, and a watch on what may not be logged."""

import gc
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from moot_testkit.machines.mqtt_broker import MqttBroker
from moot_testkit.machines.tcp_proxy import TcpProxy
from mootd.edges.mqtt.settings import Version


@pytest.fixture(autouse=True)
def _nothing_is_logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """Neither the library nor asyncio has anything to say on stderr or to the log, whatever happens."""
    caplog.set_level(logging.WARNING)
    yield
    gc.collect()  # asyncio tells of exceptions that nobody took when their future goes
    assert [record.getMessage() for record in caplog.get_records("call")] == []
    assert capfd.readouterr().err == ""


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MqttBroker]:
    """A broker that lets everybody in."""
    with MqttBroker(tmp_path, version=Version.V311) as broker:
        yield broker


@pytest.fixture
def modern(tmp_path: Path) -> Iterator[MqttBroker]:
    """One that speaks MQTT 5."""
    with MqttBroker(tmp_path) as broker:
        yield broker


@pytest.fixture
async def wire(broker: MqttBroker) -> AsyncIterator[TcpProxy]:
    """A wire to that broker."""
    async with TcpProxy(broker.port).running() as wire:
        yield wire
