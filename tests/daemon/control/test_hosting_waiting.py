"""Hosted commands that wait for news or for input: they don't take the places of those that soon end."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from moot.console.terminal import Facts
from moot_protocol.errors import Code, RefusedError
from moot_testkit.clients.control import PATIENCE, Daemon, raw_client, serving, until
from mootd.control import hosting
from mootd.control.hosting import ConsoleChannel, HostedTerminal, WaitingRoom
from mootd.control.ports import Settings

Shell = HostedTerminal[Facts]


def reading(terminal: Shell) -> int:
    return len(list(terminal.stdin()))


def watching(terminal: Shell) -> int:
    terminal.linger()
    return len(list(terminal.stdin()))


@contextmanager
def waiting_in(daemon: Daemon, how: Any, count: int) -> Iterator[None]:
    """So many commands that wait for a client that says nothing."""
    daemon.commands.command = how
    with ExitStack() as clients:
        for _ in range(count):
            client = clients.enter_context(raw_client(daemon))
            client.run()
            assert client.receive() == [1, "more", 0]
        until(lambda: len(daemon.server.room._waiting) == count)
        yield


@pytest.mark.parametrize("how", [reading, watching])
def test_three_quarters_of_all_places_are_for_commands_that_wait_and_one_more_is_told_so(
    how: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosting, "INPUT_SECONDS", 0.05)
    with serving(Settings(consoles=4)) as daemon, waiting_in(daemon, how, 3), raw_client(daemon) as client:
        client.run(1)
        error = next(each for each in iter(client.receive, None) if isinstance(each, dict))["error"]
        assert (error["code"], error["retryable"]) == ("busy", True)
        assert "wait" in error["hint"]
        daemon.commands.command = lambda _: 7
        until(lambda: len(daemon.server.hosted) == 3)
        client.run(2)
        assert client.receive() == [2, "exit", 7]


def test_a_place_to_wait_is_free_again_once_a_command_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosting, "INPUT_SECONDS", 0.01)
    with serving(Settings(consoles=1)) as daemon:
        for _ in range(2):
            with waiting_in(daemon, reading, 1):
                pass
            until(lambda: not daemon.server.hosted)
            assert not daemon.server.room._waiting


def test_who_gave_up_waiting_for_input_asks_for_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosting, "INPUT_SECONDS", 0.05)

    def again(terminal: Shell) -> int:
        with pytest.raises(RefusedError):
            list(terminal.stdin())
        terminal.remove_file("x")
        return 0

    with serving(Settings(consoles=1)) as daemon, raw_client(daemon) as client:
        daemon.server.room.enter("another")
        daemon.commands.command = again
        client.run(1)
        assert client.receive() == [1, "more", 0]
        assert client.receive()["error"]["code"] == "busy"


def test_nobody_is_sent_to_an_editor_whose_text_might_be_refused() -> None:
    with serving(Settings(consoles=1)) as daemon, raw_client(daemon) as client:
        daemon.server.room.enter("another")
        daemon.commands.command = lambda terminal: len(terminal.edit("text"))
        client.run(1)
        assert client.receive()["error"]["code"] == "busy"


def test_input_that_comes_soon_is_not_waited_for(daemon: Daemon) -> None:
    daemon.commands.command = reading
    with raw_client(daemon) as client:
        client.run()
        client.receive()
        assert not daemon.server.room._waiting
        client.reply(1, "data", b"")
        assert client.receive() == [1, "exit", 0]


def test_an_urgent_command_is_let_in_though_all_places_are_taken() -> None:
    with serving(Settings(consoles=1)) as daemon, waiting_in(daemon, watching, 1), raw_client(daemon) as client:
        daemon.commands.command = lambda _: 7
        client.run(1)
        assert client.receive()["error"]["code"] == "busy"
        client.run(2, argv=("daemon", "stop"))
        assert client.receive() == [2, "exit", 7]


def test_urgent_commands_have_an_end_too() -> None:
    full = Settings(consoles=1, reserved=0)
    with serving(full) as daemon, waiting_in(daemon, watching, 1), raw_client(daemon) as client:
        client.run(1, argv=("daemon", "stop"))
        assert client.receive()["error"]["code"] == "busy"


def test_who_waits_already_waits_on_though_no_more_may() -> None:
    room = WaitingRoom(1)
    room.enter("one")
    room.enter("one")
    with pytest.raises(RefusedError, match="1 commands are waiting already"):
        room.enter("another")
    room.leave("one")
    room.enter("another")


def test_whether_a_command_is_urgent_is_asked_only_where_all_places_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(Settings(consoles=1)) as daemon, raw_client(daemon) as client:
        monkeypatch.setattr(daemon.commands, "is_urgent", pytest.fail)
        client.run(1)
        assert client.receive() == [1, "exit", 0]


# -- News ---------------------------------------------------------------------------------------------------------
def for_news(terminal: Shell) -> int:
    """Wait for news that never come; tell what ends that."""
    try:
        terminal.wait_for_news(Future[int]())
    except RefusedError as error:
        terminal.out(f"{error.code}: {error.message}")
    return 0


def test_who_waits_for_news_is_told_of_a_stop_at_once_and_ends_in_its_own_way() -> None:
    with serving(Settings(grace=PATIENCE)) as daemon, raw_client(daemon) as client:
        daemon.commands.command = for_news
        client.run(1)
        until(lambda: any(each.calls and not each.calls.holds_up for each in daemon.server.connections))
        daemon.in_loop(daemon.server.stop)
        assert client.rest() == [[1, "out", b"unreachable: the daemon is stopping"], [1, "exit", 0]]


def test_news_that_are_asked_for_after_that_are_not_waited_for_either() -> None:
    def twice(terminal: Shell) -> int:
        return for_news(terminal) + for_news(terminal)

    with serving(Settings(grace=PATIENCE)) as daemon, raw_client(daemon) as client:
        daemon.commands.command = twice
        client.run(1)
        until(lambda: any(each.calls and not each.calls.holds_up for each in daemon.server.connections))
        daemon.in_loop(daemon.server.stop)
        assert client.rest() == [[1, "out", b"unreachable: the daemon is stopping" * 2], [1, "exit", 0]]


def test_who_begins_to_wait_for_news_during_a_stop_is_told_of_it_at_once() -> None:
    begun, go_on, looked = threading.Event(), threading.Event(), threading.Event()

    def late(terminal: Shell) -> int:
        begun.set()
        go_on.wait(PATIENCE)
        return for_news(terminal)

    with serving(Settings(grace=PATIENCE)) as daemon, raw_client(daemon) as client:
        daemon.commands.command = late
        client.run(1)
        assert begun.wait(PATIENCE)
        for call in (daemon.server.stop, lambda: None, looked.set):
            daemon.in_loop(call)
        assert looked.wait(PATIENCE)
        time.sleep(0.05)  # the server has seen that something is under way, and waits for its end
        go_on.set()
        assert client.rest() == [[1, "out", b"unreachable: the daemon is stopping"], [1, "exit", 0]]


async def test_from_the_moment_when_it_is_told_a_command_holds_up_the_stop_until_it_has_ended() -> None:
    hub = SimpleNamespace(room=WaitingRoom(1), ended=lambda: None)
    channel = ConsoleChannel(1, asyncio.get_running_loop(), lambda _: None, lambda: None, hub)
    channel.is_for_news = True
    channel.dismiss()
    assert not channel.is_for_news


def test_a_client_that_leaves_ends_the_wait_for_news_as_any_other() -> None:
    told: list[RefusedError] = []

    def command(terminal: Shell) -> int:
        with pytest.raises(RefusedError) as caught:
            terminal.wait_for_news(Future[int]())
        told.append(caught.value)
        return 0

    with serving() as daemon:
        daemon.commands.command = command
        with raw_client(daemon) as client:
            client.run(1)
            until(lambda: any(each.calls and not each.calls.holds_up for each in daemon.server.connections))
        until(lambda: bool(told))
        assert told[0].code is Code.CANCELLED


def test_news_that_come_are_handed_over_and_the_command_holds_up_a_stop_again(daemon: Daemon) -> None:
    news, go_on = Future[int](), threading.Event()

    def command(terminal: Shell) -> int:
        code = terminal.wait_for_news(news)
        go_on.wait(PATIENCE)
        return code

    daemon.commands.command = command
    with raw_client(daemon) as client:
        client.run(1)
        until(lambda: any(each.calls and not each.calls.holds_up for each in daemon.server.connections))
        news.set_result(5)
        until(lambda: all(each.calls.holds_up for each in daemon.server.connections))
        go_on.set()
        assert client.receive() == [1, "exit", 5]
