"""The daemon as a process: ready only when it answers, alone on its data, and nothing is lost when it ends."""

import asyncio
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, cast
from unittest.mock import Mock

import pytest
from structlog.testing import capture_logs

from moot.rpc import Client
from moot_protocol.errors import Code, MootError
from moot_protocol.limits import RPC_GRACE_MS
from moot_protocol.requests.issues import Create, InitTown, IssueFields, ListIssues, Ready
from moot_protocol.requests.machine import Fsck, Ping, Stop
from moot_testkit.clients.terminal import FACTS
from moot_testkit.ledger import PATIENCE_S
from moot_testkit.machines.machine import BIN, PROJECT, Machine, machine
from mootd.app import _Console, _Parts, _ServiceApi, _Serving, _work
from mootd.edges.installed import Installed
from mootd.engine.stored import layout
from mootd.engine.views.graph import follows_rules
from mootd.service.access.gate import Gate
from mootd.service.front import Front
from mootd.service.reading.quick import QuickReads
from mootd.store.lmdb_store import LmdbStore
from mootd.store.port import Table
from mootd.troubles import Troubles

UNREACHABLE = 69


class Manager:
    """A service manager's end: it hears what the daemon tells."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(PATIENCE_S)

    def hear(self) -> dict[str, str]:
        """The next message."""
        return dict(line.split("=", 1) for line in self._socket.recv(4096).decode().splitlines())

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def town() -> Iterator[Machine]:
    with machine() as made:
        yield made


@pytest.fixture
def manager(town: Machine) -> Iterator[Manager]:
    manager = Manager(town.home / "notify")
    yield manager
    manager.close()


@contextmanager
def daemon(
    town: Machine, manager: Manager | None = None, *flags: str, **environment: str
) -> Iterator["subprocess.Popen[str]"]:
    """`mootd run` in the foreground; killed at the end if it still runs."""
    told = {"NOTIFY_SOCKET": str(manager.path)} if manager else {}
    process = subprocess.Popen(
        [BIN / "mootd", "run", "--log-style", "json", *flags],
        env={**town.environment, **told, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def logged(process: "subprocess.Popen[str]") -> list[dict[str, Any]]:
    """The log of a daemon that has ended."""
    _, err = process.communicate(timeout=PATIENCE_S)
    return [json.loads(line) for line in err.splitlines()]


def titles(client: Client) -> list[str]:
    return [issue["title"] for issue in client.call(ListIssues(limit=0)).issues]


def create(client: Client, title: str) -> None:
    client.call(Create(actor="ada", project=PROJECT, fields=IssueFields(title=title)))


class Serving(NamedTuple):
    """A daemon for tests that change nothing of it: started with a careless umask."""

    town: Machine
    pid: int
    told: dict[str, str]
    """What it first told its manager."""
    answered: int
    """The id of the process that answered right after that."""

    def serves(self) -> bool:
        with self.town.client() as client:
            return bool(client.call(Ping())["pid"] == self.pid)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with machine() as town, closing(Manager(town.home / "notify")) as manager, ExitStack() as stack:
        with umask(0):
            process = stack.enter_context(daemon(town, manager))
        told = manager.hear()
        with town.client() as client:
            answered = client.call(Ping())["pid"]
        yield Serving(town, process.pid, told, answered)


# -- Beginning ---------------------------------------------------------------------------------------------------
def test_when_readiness_is_told_the_socket_answers(serving: Serving) -> None:
    assert serving.told["READY"] == "1"
    assert serving.answered == serving.pid
    assert str(serving.pid) in serving.told["STATUS"]


def test_while_the_socket_is_not_served_nothing_is_told(town: Machine, manager: Manager) -> None:
    # The daemon serves a socket that it was handed, while at the place where clients look nobody answers.
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as handed:
        handed.bind(str(town.home / "elsewhere"))
        handed.listen()
        handed.setblocking(False)
        process = activated(town, manager, handed)
    with process:
        assert process.stderr is not None
        told = [json.loads(process.stderr.readline())["event"] for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        assert told == ["daemon.starting", "daemon.self_test_failed"]
        assert manager.hear() == {"STOPPING": "1"}
        assert process.wait(PATIENCE_S) == 0


def activated(town: Machine, manager: Manager, handed: socket.socket) -> "subprocess.Popen[str]":
    """A daemon to which a service manager passes a listening socket."""
    script = f'exec env LISTEN_PID=$$ LISTEN_FDS=1 "{BIN / "mootd"}" run --log-style json 3<&{handed.fileno()}'
    return subprocess.Popen(
        ["/bin/bash", "-c", script],
        env={**town.environment, "NOTIFY_SOCKET": str(manager.path)},
        pass_fds=[handed.fileno()],
        stderr=subprocess.PIPE,
        text=True,
    )


def test_what_neither_pings_nor_quick_reads_need_is_loaded_when_the_socket_is_served_already() -> None:
    code = "import sys, mootd.command; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    later = {
        "moot.console.main", "moot.rpc", "mootd.engine.checking.fsck", "mootd.exchange", "mootd.mirror",
        "mootd.service.machine.requests", "mootd.service.reading.reads", "mootd.service.service",
        "mootd.service.writing.writes", "mootd.spool", "watchfiles",
    }  # fmt: skip
    assert "mootd.service.reading.quick" in loaded
    assert not loaded & later


class Part:
    """A part that works until cancelled, or until its work fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error
        self.began = asyncio.Event()
        self.ended = asyncio.Event()
        self.collects = False
        """Whether garbage was looked for when it began."""

    async def run(self, *_: object) -> None:
        self.collects = gc.isenabled()
        self.began.set()
        try:
            if self._error is not None:
                raise self._error
            await asyncio.Event().wait()
        finally:
            self.ended.set()


async def work_of(hub: Part, mirrors: Part, stop: Callable[[], object]) -> None:
    """What the daemon does behind the socket, with these parts."""
    tested = asyncio.Event()
    tested.set()
    made = SimpleNamespace(hub=hub, mirrors=mirrors, scrub=Part(), service=None, troubles=Troubles())
    front = Front(dict, cast("QuickReads", None))
    with ThreadPoolExecutor(1) as executor:
        serving = _Serving(front, cast("Gate", None), lambda: cast("_Parts", made), executor, Installed())
        await _work(serving, tested, stop)


async def test_garbage_is_looked_for_as_soon_as_all_is_loaded(collecting: None) -> None:
    hub = Part()
    gc.disable()
    work = asyncio.get_running_loop().create_task(work_of(hub, Part(), lambda: None))
    await hub.began.wait()
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    assert hub.collects
    assert hub.ended.is_set()


async def test_a_part_that_ends_stops_the_daemon_and_fails_it(collecting: None) -> None:
    mirrors, stopped = Part(), list[bool]()
    with capture_logs() as lines, pytest.raises(MootError, match="its part `exchange` ended") as raised:
        await work_of(Part(KeyError("gone")), mirrors, lambda: stopped.append(mirrors.ended.is_set()))
    assert raised.value.code is Code.INTERNAL
    assert stopped == [False], "first the daemon is stopped, then the other parts end"
    assert mirrors.ended.is_set()
    assert [(line["event"], line["part"], repr(line["exc_info"])) for line in lines] == [
        ("daemon.part_ended", "exchange", "KeyError('gone')")
    ]


@pytest.fixture
def collecting() -> Iterator[None]:
    """Leaves the test's own collector as it was."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)
    gc.enable()


def test_a_second_daemon_on_the_same_data_is_refused_and_the_first_serves_on(serving: Serving) -> None:
    elsewhere = serving.town.home / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    with daemon(serving.town, None, XDG_RUNTIME_DIR=str(elsewhere)) as second:
        _, err = second.communicate(timeout=PATIENCE_S)
        assert second.returncode == 1
    assert f"mootd: the store in {serving.town.data / 'log'} is already in use" in err
    assert str(serving.pid) in err
    assert serving.serves()


def test_a_second_daemon_at_the_same_socket_is_refused_and_the_first_serves_on(serving: Serving) -> None:
    with daemon(serving.town, None, "--data", str(serving.town.home / "other")) as second:
        _, err = second.communicate(timeout=PATIENCE_S)
        assert second.returncode == 1
    assert str(serving.town.socket) in err
    assert serving.serves()


def test_a_watchdog_hears_of_it_as_long_as_the_socket_answers(town: Machine, manager: Manager) -> None:
    with daemon(town, manager, WATCHDOG_USEC="20000"):
        assert manager.hear()["READY"] == "1"
        assert [manager.hear() for _ in range(3)] == [{"WATCHDOG": "1"}] * 3


# -- Commands ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("words", [("daemon", "stop"), ("--actor", "me", "daemon", "stop"), ("-q", "daemons", "list")])
def test_a_command_about_the_daemon_is_urgent_whatever_flags_stand_before_it(words: tuple[str, ...]) -> None:
    assert _Console.is_urgent(FACTS._replace(argv=words))


@pytest.mark.parametrize("words", [("list",), ("--actor", "daemon", "list"), ("show", "daemon"), ("daemon", "--x"), ()])
def test_no_other_command_is(words: tuple[str, ...]) -> None:
    assert not _Console.is_urgent(FACTS._replace(argv=words))


def test_a_command_that_follows_the_log_is_told_of_a_stop_at_once_and_how_to_go_on(
    town: Machine, manager: Manager
) -> None:
    with daemon(town, manager) as process:
        manager.hear()
        town.found()
        with subprocess.Popen(
            [BIN / "moot", "events", "--follow"],
            cwd=town.folder,
            env=town.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as follower:
            assert follower.stdout is not None
            assert follower.stdout.readline()
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_S) == 0
            assert time.monotonic() - began < RPC_GRACE_MS / 1000
            _, err = follower.communicate(timeout=PATIENCE_S)
            assert follower.returncode == UNREACHABLE
    assert "the daemon is stopping\n" in err
    assert "go on with --since and the arrival number of the last event that came\n" in err


def test_a_command_s_read_is_asked_whether_its_client_is_still_there() -> None:
    terminal, service = Mock(asker=None), Mock()
    api = _ServiceApi(service, Mock(), terminal, Mock())
    api.call(Ready())
    assert service.call.call_args.kwargs["check"] is terminal.check_alive


def test_that_code_was_replaced_is_logged_once_with_the_next_command(town: Machine, manager: Manager) -> None:
    code = (
        "import sys, mootd.main, mootd.edges.installed as i; i.Installed.is_replaced = lambda _: True; "
        "sys.exit(mootd.main.main())"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "run", "--log-style", "json"],
        env={**town.environment, "NOTIFY_SOCKET": str(manager.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        manager.hear()
        for _ in range(2):
            assert "replaced or removed" in town.ok("status")
        process.send_signal(signal.SIGTERM)
        told = [line for line in logged(process) if line["event"] == "daemon.replaced"]
    assert [(line["level"], line["hint"]) for line in told] == [("warning", "moot daemon restart")]


# -- Ending ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_what_was_written_is_there_after_a_restart(
    town: Machine, manager: Manager, number: signal.Signals
) -> None:
    with daemon(town, manager) as process:
        manager.hear()
        town.found()
        with town.client() as client:
            create(client, "Kept")
            process.send_signal(number)
            assert manager.hear() == {"STOPPING": "1"}
        assert {line["level"] for line in logged(process)} <= {"debug", "info"}
        assert process.returncode == 0
    assert not town.socket.exists()
    with daemon(town, manager):
        manager.hear()
        with town.client() as client:
            assert titles(client) == ["Kept"]
            assert not client.call(InitTown())["created"]
            assert client.call(Fsck())["problems"] == []


def test_a_request_ends_it_too_and_is_answered(town: Machine, manager: Manager) -> None:
    with daemon(town, manager) as process:
        manager.hear()
        with town.client() as client:
            assert client.call(Stop())["pid"] == process.pid
        assert manager.hear() == {"STOPPING": "1"}
        assert process.wait(PATIENCE_S) == 0


def test_after_a_kill_the_next_one_begins_over_what_was_left(town: Machine, manager: Manager) -> None:
    with daemon(town, manager) as process:
        manager.hear()
        town.found()
        with town.client() as client:
            create(client, "Acknowledged")
        process.kill()
        process.wait(PATIENCE_S)
    assert town.socket.exists()
    with daemon(town, manager):
        assert manager.hear()["READY"] == "1"
        with town.client() as client:
            assert titles(client) == ["Acknowledged"]


def test_readiness_that_an_earlier_release_kept_follows_the_rules_before_anything_is_written(
    town: Machine, manager: Manager
) -> None:
    with daemon(town, manager) as process:
        manager.hear()
        town.found()
        process.kill()
        process.wait(PATIENCE_S)
    with closing(LmdbStore.open(town.data / "log")) as store, store.write() as transaction:
        transaction.put(Table.META, layout.ARRIVAL, b"\1".rjust(8, b"\0"))
    with daemon(town, manager) as process:
        assert manager.hear()["READY"] == "1"
        process.kill()
        process.wait(PATIENCE_S)
    with closing(LmdbStore.open(town.data / "log")) as store, store.read() as reader:
        assert follows_rules(reader)


# -- At rest -----------------------------------------------------------------------------------------------------
def test_nothing_it_makes_can_be_read_by_others_even_with_a_careless_umask(serving: Serving) -> None:
    town = serving.town
    town.found()
    made = [town.data, *town.data.rglob("*"), town.socket, town.socket.parent]
    assert len(made) > 5
    assert not [path for path in made if path.stat().st_mode & 0o077]


def test_what_people_write_and_the_recovery_words_stay_out_of_the_log(town: Machine, manager: Manager) -> None:
    with daemon(town, manager, "--log-level", "debug") as process:
        manager.hear()
        with town.client() as client:
            words = client.call(InitTown())["recovery_words"]
        town.found()
        with town.client() as client:
            create(client, "Nobody's business")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert "daemon.serving" in err
    assert "Nobody's business" not in err
    assert words not in err
