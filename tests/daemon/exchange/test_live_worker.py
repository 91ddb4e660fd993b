"""Machines of a town that exchange a plane live, through a real broker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from moot_testkit.exchanging import QUICK, Peer, at_rest, in_step, peers, through_broker, until
from moot_testkit.mqtt_broker import MqttBroker
from moot_testkit.tcp_proxy import Manner, TcpProxy


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[MqttBroker]:
    served = MqttBroker(tmp_path)
    served.start()
    yield served
    served.kill()


def connect(peer: Peer, port: int) -> None:
    peer.add(through_broker(port), kind="mqtt")


async def test_a_machine_joins_live_and_both_hear_of_one_another_at_once(broker: MqttBroker) -> None:
    async with peers(2, QUICK) as (ada, bob):
        ada.write(3)
        for peer in (ada, bob):
            connect(peer, broker.port)
        await until(lambda: in_step(ada, bob))
        bob.write(2)
        ada.write(2)
        await until(lambda: in_step(ada, bob) and ada.events() > 8)
        await until(lambda: at_rest(ada, bob))
        assert not ada.progress().problems
        assert not bob.progress().problems


async def test_a_broker_that_is_killed_and_comes_back_with_its_sessions_lost_loses_nothing(broker: MqttBroker) -> None:
    async with peers(2, QUICK) as (ada, bob):
        for peer in (ada, bob):
            connect(peer, broker.port)
        await until(lambda: in_step(ada, bob))
        for _ in range(2):
            ada.write()
            broker.kill()
            ada.write(3)
            bob.write(3)
            await until(lambda: ada.progress().failures > 0 and bob.progress().failures > 0)
            broker.start()
            await until(lambda: in_step(ada, bob))


async def test_a_broker_that_hangs_holds_nobody_up_for_ever(broker: MqttBroker) -> None:
    async with TcpProxy(broker.port).running() as wire, peers(2, QUICK) as (ada, bob):
        connect(ada, wire.port)
        connect(bob, broker.port)
        await until(lambda: in_step(ada, bob))
        wire.manner = Manner.HANG
        ada.write(2)
        bob.write(2)
        await until(lambda: ada.progress().failures > 0)
        wire.manner = Manner.FORWARD
        wire.cut()
        await until(lambda: in_step(ada, bob))


async def test_what_a_broker_does_not_let_a_machine_publish_comes_once_it_does(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("user bob\ntopic readwrite #\n\nuser ada\ntopic read #\n")
    broker = MqttBroker(tmp_path, ("allow_anonymous true", f"acl_file {rules}"))
    broker.start()
    try:
        async with peers(2, QUICK) as (ada, bob):
            ada.add(through_broker(broker.port, user="ada"), kind="mqtt")
            bob.add(through_broker(broker.port, user="bob"), kind="mqtt")
            ada.write(2)
            await until(lambda: ada.progress().failures > 0 or ada.progress().sent > 0)
            await until(lambda: bob.progress().rounds > 0)
            assert not bob.events()
            rules.write_text("user bob\ntopic readwrite #\n\nuser ada\ntopic readwrite #\n")
            broker.reload()
            ada.clock.advance(61_000)
            await until(lambda: in_step(ada, bob))
    finally:
        broker.kill()
