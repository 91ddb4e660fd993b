"""The service manager's protocols, spoken with real sockets and a real child."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx

from mootd.edges.notify import Notifier, activated_socket, watchdog_ms


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


# -- Socket activation -------------------------------------------------------------------------------------------

CHILD = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=sys.argv[2], LISTEN_FDNAMES="moot")
from moot_protocol.errors import RefusedError
from mootd.edges.notify import activated_socket
try:
    activated = activated_socket()
except RefusedError as error:
    print(error.code, error.message)
else:
    print(activated.getsockname(), os.get_inheritable(3), sorted(set(os.environ) & {"LISTEN_PID", "LISTEN_FDS"}))
    print(activated_socket())
"""


def activate(handed_over: socket.socket, count: int = 1) -> list[str]:
    """What a child says to whom a manager hands a socket over."""
    descriptor = handed_over.fileno()
    arguments = [sys.executable, "-c", CHILD, str(descriptor), str(count)]
    child = subprocess.run(arguments, pass_fds=[descriptor], capture_output=True, text=True, check=True, timeout=60)
    return child.stdout.splitlines()


def test_a_socket_that_is_handed_over_is_taken_once_and_kept_from_children(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "moot.sock"))
        listening.listen()
        assert activate(listening) == [f"{tmp_path / 'moot.sock'} False []", "None"]


def test_a_socket_that_does_not_listen_or_is_none_of_ours_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as deaf, socket.socket(socket.AF_INET) as foreign:
        deaf.bind(str(tmp_path / "moot.sock"))
        foreign.bind(("127.0.0.1", 0))
        foreign.listen()
        for handed_over in (deaf, foreign):
            assert activate(handed_over)[0].startswith("usage what the service manager handed over")


def test_several_sockets_are_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "moot.sock"))
        listening.listen()
        assert "2 sockets" in activate(listening, count=2)[0]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": str(os.getpid())},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "0"},
        {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "x"},
    ],
)
def test_what_is_meant_for_another_process_is_left_alone(environment: dict[str, str]) -> None:
    before = dict(environment)
    assert activated_socket(environment) is None
    assert environment == before
