"""Places on the control socket: who makes room for whom."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from moot.console.terminal import Facts
from moot_protocol.control import rpc
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.requests.issues import Show
from moot_protocol.requests.machine import Events
from moot_testkit.clients.control import PATIENCE, Daemon, Gate, RawClient, error_of, raw_client, serving, until
from mootd.control.hosting import HostedTerminal
from mootd.control.places import make_room
from mootd.control.ports import Settings

OWNER, OTHER = 1000, 1001
NOW = 100.0
SETTINGS = Settings(owner=OWNER, clients=3, clients_per_user=2, idle=1.0)


class Place:
    """A connection that does nothing but hold a place."""

    def __init__(self, idle_since: float | None, uid: int | None = OWNER, *, is_closing: bool = False) -> None:
        self.idle_since = idle_since
        self.uid = uid
        self.is_closing = is_closing
        self.told: MootError | None = None

    def refuse(self, error: MootError) -> None:
        self.told = error


def gone(*places: Place, uid: int | None = OWNER) -> list[int]:
    """Which of these have to go for a newcomer; the newcomer counts as one of the connections there are."""
    newcomer = Place(NOW, uid)
    make_room(newcomer, [*places, newcomer], SETTINGS, NOW)
    return [at for at, place in enumerate(places) if place.told is not None]


def test_while_there_are_places_nobody_has_to_go() -> None:
    assert gone(Place(0), Place(0)) == []


def test_whoever_has_been_idle_longest_goes_and_is_told_so() -> None:
    places = Place(20), Place(10), Place(30)
    assert gone(*places) == [1]
    told = places[1].told
    assert told is not None
    assert (told.code, told.message, told.hint) == (
        Code.UNREACHABLE,
        "the connection was closed while idle",
        "connect again",
    )


def test_where_something_is_under_way_nobody_goes() -> None:
    assert gone(Place(None), Place(50), Place(None)) == [1]
    with pytest.raises(RefusedError, match="3 clients are connected already") as caught:
        gone(Place(None), Place(None), Place(None))
    assert (caught.value.code, caught.value.retryable) == (Code.BUSY, True)


def test_whoever_was_heard_of_a_moment_ago_stays() -> None:
    assert gone(Place(NOW - 1), Place(None), Place(None)) == [0]
    with pytest.raises(RefusedError, match="connected already"):
        gone(Place(NOW - 0.9), Place(None), Place(None))


def test_a_user_who_may_have_no_more_takes_the_place_of_an_own_connection() -> None:
    assert gone(Place(10), Place(30, OTHER), Place(20, OTHER), uid=OTHER) == [2]
    with pytest.raises(RefusedError, match=f"2 clients of user {OTHER} are connected already"):
        gone(Place(10), Place(None, OTHER), Place(None, OTHER), uid=OTHER)


def test_a_user_who_may_have_more_takes_whichever_place_is_idle() -> None:
    assert gone(Place(10), Place(20), Place(5, OTHER), uid=OTHER) == [2]
    assert gone(Place(10), Place(20), Place(30, OTHER), uid=OTHER) == [0]


@pytest.mark.parametrize("uid", [OWNER, None])
def test_for_the_daemons_own_user_there_is_no_limit_but_that_of_all(uid: int | None) -> None:
    assert gone(Place(10, uid), Place(20, uid), uid=uid) == []


def test_connections_that_are_ending_hold_no_place() -> None:
    assert gone(Place(10), Place(10), Place(0, is_closing=True)) == []


# -- On a socket -------------------------------------------------------------------------------------------------
@contextmanager
def crowded(clients: int = 2, **settings: Any) -> Iterator[Daemon]:
    """A daemon for so few clients, of which each may lose its place as soon as it is idle."""
    with serving(Settings(clients=clients, **{"idle": 0.0} | settings)) as daemon:
        yield daemon


def is_served(client: RawClient, call_id: int = 99) -> bool:
    client.call(call_id, "ping", {})
    return bool(client.receive() == {"id": call_id, "result": {"pid": os.getpid()}})


def test_a_newcomer_takes_the_place_that_was_idle_longest() -> None:
    with crowded() as daemon, raw_client(daemon) as first, raw_client(daemon) as second:
        assert is_served(first)
        with raw_client(daemon) as third:
            assert [error_of(message) for message in second.rest()] == [(rpc.CONNECTION, "unreachable")]
            assert is_served(third)
        assert is_served(first)


def test_a_request_that_ends_is_the_last_that_was_heard_of_its_connection() -> None:
    with crowded() as daemon, raw_client(daemon) as first, raw_client(daemon) as second:
        gate = Gate(daemon)
        daemon.answers.slow[Show] = gate.answer
        first.call(1, "show", {"ids": ["a"]})
        assert gate.begun.acquire(timeout=PATIENCE)
        assert is_served(second)
        gate.open()
        assert first.receive()["id"] == 1
        with raw_client(daemon) as third:
            assert is_served(third)
        assert error_of(*second.rest()) == (rpc.CONNECTION, "unreachable")


def test_however_many_connections_leak_there_is_a_place_for_the_next() -> None:
    with crowded(clients=4) as daemon, ExitStack() as leaked:
        for _ in range(50):
            assert is_served(leaked.enter_context(raw_client(daemon)))
        until(lambda: daemon.connections() == 4)


def test_who_never_says_hello_holds_no_place() -> None:
    with crowded(clients=1) as daemon, raw_client(daemon, b"") as silent, raw_client(daemon) as client:
        assert is_served(client)
        assert error_of(*silent.rest()) == (rpc.CONNECTION, "unreachable")


def holding_request(daemon: Daemon, client: RawClient) -> None:
    gate = Gate(daemon)
    daemon.answers.slow[Show] = gate.answer
    client.call(1, "show", {"ids": ["a"]})
    assert gate.begun.acquire(timeout=PATIENCE)


def holding_subscription(daemon: Daemon, client: RawClient) -> None:
    async def events(_: Events) -> Any:
        await asyncio.Event().wait()

    daemon.answers.slow[Events] = events
    client.call(1, rpc.SUBSCRIBE, {})
    until(lambda: bool(daemon.answers.deadlines))


def holding_command(daemon: Daemon, client: RawClient) -> None:
    def command(terminal: HostedTerminal[Facts]) -> int:
        return len(list(terminal.stdin()))

    daemon.commands.command = command
    client.run(1)
    assert client.receive() == [1, "more", 0]


def holding_unread_answers(daemon: Daemon, client: RawClient) -> None:
    daemon.answers.quick[Show] = lambda _: [{"id": "x" * 600_000}]
    client.call(1, "show", {"ids": ["a"]})
    until(lambda: any(each._transport.get_write_buffer_size() for each in daemon.server.connections))


@pytest.mark.parametrize("hold", [holding_request, holding_subscription, holding_command, holding_unread_answers])
def test_nobody_loses_a_place_on_which_something_is_under_way(hold: Any) -> None:
    with crowded(clients=1) as daemon, raw_client(daemon) as client:
        hold(daemon, client)
        with raw_client(daemon, b"") as other:
            assert error_of(*other.rest()) == (rpc.CONNECTION, "busy")
        assert daemon.connections() == 1


def test_bytes_that_go_on_with_a_frame_keep_no_place() -> None:
    def taken_in(count: int) -> bool:
        return count in {len(each._splitter._rest) for each in daemon.server.connections}

    with crowded() as daemon, raw_client(daemon) as dripping, raw_client(daemon) as other:
        dripping.send(b"\0")
        until(lambda: taken_in(1))
        assert is_served(other)
        dripping.send(b"\0")
        until(lambda: taken_in(2))
        with raw_client(daemon) as third:
            assert is_served(third)
        assert error_of(*dripping.rest()) == (rpc.CONNECTION, "unreachable")
        assert is_served(other)


def test_a_frame_that_was_begun_a_moment_ago_keeps_its_place() -> None:
    with crowded(clients=1, idle=PATIENCE) as daemon, raw_client(daemon) as client:
        frame = rpc.raw_call_frame(1, "ping", {})
        client.send(frame[:5])
        with raw_client(daemon, b"") as other:
            assert error_of(*other.rest()) == (rpc.CONNECTION, "busy")
        client.send(frame[5:])
        assert client.receive()["id"] == 1
