"""Hosted commands that wait for news or for input: they don't take the places of those that soon end."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from moot.console.terminal import Facts
from moot_protocol.errors import RefusedError
from moot_testkit.control import Daemon, raw_client, serving, until
from mootd.control import hosting
from mootd.control.hosting import HostedTerminal
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
