"""The server as a whole: it serves, and it stops without cutting off what it has begun."""

import asyncio
import threading

import pytest

from moot.console.terminal import Facts
from moot_protocol.control import rpc
from moot_protocol.requests.issues import Show
from moot_protocol.requests.machine import Events, Stop
from moot_testkit.clients.control import (
    PATIENCE,
    Answers,
    Commands,
    Daemon,
    Gate,
    Notes,
    raw_client,
    serving,
    short_folder,
    until,
)
from mootd.control.hosting import HostedTerminal
from mootd.control.listener import listening
from mootd.control.ports import Settings
from mootd.control.server import ControlServer

SHOW = {"ids": ["a"]}


def stop_on_request(daemon: Daemon) -> None:
    """Let `stop` stop it, as the real dispatcher does."""

    def stop(_: Stop) -> dict[str, bool]:
        daemon.server.stop()
        return {"stopping": True}

    daemon.answers.quick[Stop] = stop


def test_stopping_lets_a_request_under_way_finish() -> None:
    with serving() as daemon:
        gate = Gate(daemon)
        daemon.answers.slow[Show] = gate.answer
        stop_on_request(daemon)
        with raw_client(daemon) as client:
            client.call(1, "show", SHOW)
            client.call(2, "stop", {})
            assert client.receive() == {"id": 2, "result": {"stopping": True}}
            gate.open()
            assert client.receive() == {"id": 1, "result": [{"id": "a"}]}
            assert client.rest() == []
        daemon.join()
        assert not daemon.path.exists()


def test_a_command_that_stops_the_daemon_gets_to_say_so() -> None:
    with serving() as daemon:

        def stop(terminal: HostedTerminal[Facts]) -> int:
            daemon.in_loop(daemon.server.stop)
            until_stopping.wait(PATIENCE)
            terminal.out("stopped\n")
            return 0

        until_stopping = threading.Event()
        daemon.commands.command = stop
        with raw_client(daemon) as client:
            client.run()
            until_stopping.set()
            assert client.rest() == [[1, "out", b"stopped\n"], [1, "exit", 0]]


def test_what_does_not_finish_in_its_grace_is_cancelled() -> None:
    with serving(Settings(grace=0.05)) as daemon:
        gate = Gate(daemon)
        daemon.answers.slow[Show] = gate.answer
        with raw_client(daemon) as client:
            client.call(1, "show", SHOW)
            assert gate.begun.acquire(timeout=PATIENCE)
            daemon.stop()
            assert client.rest() == []
        assert daemon.answers.cancelled.acquire(timeout=PATIENCE)


@pytest.mark.parametrize(("method", "params"), [(rpc.SUBSCRIBE, {}), ("events", {"since": 0, "wait_ms": 60_000})])
def test_who_only_waits_for_news_holds_up_no_stop(method: str, params: dict[str, int]) -> None:
    async def events(_: Events) -> None:
        await asyncio.Event().wait()

    with serving(Settings(grace=PATIENCE)) as daemon:
        daemon.answers.slow[Events] = events
        with raw_client(daemon) as client:
            client.call(1, method, params)
            until(lambda: bool(daemon.answers.deadlines))
            daemon.in_loop(daemon.server.stop)
            daemon.join(PATIENCE / 4)
            assert client.rest() == []


def test_what_holds_up_a_stop_does_so_beside_those_who_wait_for_news() -> None:
    async def events(_: Events) -> None:
        await asyncio.Event().wait()

    with serving() as daemon:
        gate = Gate(daemon)
        daemon.answers.slow[Events] = events
        daemon.answers.slow[Show] = gate.answer
        with raw_client(daemon) as client, raw_client(daemon) as follower:
            follower.call(1, rpc.SUBSCRIBE, {})
            client.call(1, rpc.SUBSCRIBE, {})
            client.call(2, "show", SHOW)
            assert gate.begun.acquire(timeout=PATIENCE)
            daemon.in_loop(daemon.server.stop)
            follower.close()
            until(lambda: daemon.connections() == 1)
            gate.open()
            assert client.rest() == [{"id": 2, "result": [{"id": "a"}]}]


def test_a_client_that_does_not_read_its_last_answers_does_not_hold_up_the_end() -> None:
    with serving(Settings(grace=0.05)) as daemon:
        daemon.answers.quick[Show] = lambda _: ["x" * 4_000_000]
        with raw_client(daemon) as client:
            client.call(1, "show", SHOW)
            client.call(2, "ping", {})
            daemon.stop()


async def test_a_cancelled_server_closes_its_connections_and_ends() -> None:
    with short_folder() as folder, listening(folder / "moot.sock") as listener:
        server = ControlServer(Answers(), Commands(), Notes())
        ready = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            serving = tasks.create_task(server.run(listener, ready.set))
            await ready.wait()
            reader, writer = await asyncio.open_unix_connection(str(folder / "moot.sock"))
            writer.write(rpc.hello_frame("1"))
            assert await reader.readexactly(rpc.LENGTH_BYTES)  # it has been heard
            serving.cancel()
            await reader.read()
            writer.close()
            await writer.wait_closed()
        assert serving.cancelled()
        assert not server.connections


def test_readiness_is_told_when_clients_are_served() -> None:
    with serving() as daemon, raw_client(daemon) as client:  # `serving` has waited for it
        client.call(1, "ping", {})
        assert client.receive()["id"] == 1


@pytest.mark.parametrize("clients", [1, 50])
def test_connections_that_end_leave_nothing_behind(clients: int) -> None:
    with serving() as daemon:
        for _ in range(clients):
            with raw_client(daemon) as client:
                client.run()
                assert client.receive() == [1, "exit", 0]
        daemon.stop()
        assert (daemon.server.connections, daemon.server.hosted) == (set(), set())
