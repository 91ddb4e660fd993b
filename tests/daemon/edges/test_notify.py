"""The service manager's protocol, spoken with real sockets."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from mootd.edges.notify import Notifier, watchdog_ms


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[socket.socket, str]]:
    """A manager's socket and what NOTIFY_SOCKET says of it."""
    name = str(tmp_path / "notify")
    address = name if request.param == "path" else f"@{name}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(address.replace("@", "\0"))
        listening.setblocking(False)
        yield listening, address


def test_every_message_reaches_the_manager(manager: tuple[socket.socket, str]) -> None:
    listening, address = manager
    line = Notifier.from_environment({"NOTIFY_SOCKET": address})
    assert line.ready()
    assert line.ready("serving")
    assert line.status("rebuilding, 40 %")
    assert line.watchdog()
    assert line.stopping()
    assert [listening.recv(1000) for _ in range(5)] == [
        b"READY=1",
        b"READY=1\nSTATUS=serving",
        b"STATUS=rebuilding, 40 %",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


def test_a_status_stays_in_its_line(manager: tuple[socket.socket, str]) -> None:
    listening, address = manager
    Notifier(address).status("one\nMAINPID=1\r\ntwo")
    assert listening.recv(1000) == b"STATUS=one MAINPID=1 two"


def test_without_a_manager_nothing_happens() -> None:
    line = Notifier.from_environment({})
    assert not any([line.ready("serving"), line.status("x"), line.watchdog(), line.stopping()])


def test_a_manager_that_is_gone_harms_nobody(tmp_path: Path) -> None:
    assert not Notifier(str(tmp_path / "gone")).ready()
    assert not Notifier("@" + str(tmp_path / "gone")).ready()
    assert not Notifier("/" + "x" * 200).ready()


async def test_a_message_does_not_block_the_loop(manager: tuple[socket.socket, str]) -> None:
    with blockbuster_ctx():
        assert Notifier(manager[1]).ready()


@pytest.mark.parametrize(
    ("environment", "period_ms"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 15_000),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15_000),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "1"}, 1),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_wants_to_hear_twice_as_often_as_it_must(
    environment: dict[str, str], period_ms: int | None
) -> None:
    assert watchdog_ms(environment) == period_ms
