"""Hosted commands: what reaches the client, in which order, and what happens when it goes away."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from typing import Any

import pytest

from moot.console.terminal import Facts, Terminal
from moot_protocol import limits
from moot_protocol.control import rpc
from moot_protocol.control.effects import STDIN
from moot_protocol.errors import Code, MootError, RefusedError
from moot_testkit.clients.control import PATIENCE, Daemon, RawClient, raw_client, serving, until
from moot_testkit.clients.terminal import FACTS
from mootd.control.hosting import HostedTerminal
from mootd.control.ports import Settings

Shell = HostedTerminal[Facts]


def streams(messages: list[Any]) -> list[tuple[str, bytes]]:
    """Output as (stream, bytes), neighbours of one stream joined."""
    joined: list[tuple[str, bytes]] = []
    for _, effect, data in messages:
        if joined and joined[-1][0] == effect:
            joined[-1] = (effect, joined[-1][1] + data)
        else:
            joined.append((effect, data))
    return joined


def to_exit(client: RawClient) -> list[Any]:
    """All messages before the exit, whose code must be 0."""
    messages = []
    while (message := client.receive())[1:] != ["exit", 0]:
        messages.append(message)
    return messages


def outcome(daemon: Daemon, act: Any, *replies: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
    """Run a command that does one thing; give what the client saw, and what it came to (a value or an error)."""
    came_to: list[Any] = []

    def command(terminal: Shell) -> int:
        try:
            came_to.append(act(terminal))
        except MootError as error:
            came_to.append((error.code, error.message))
        return 0

    daemon.commands.command = command
    seen = []
    with raw_client(daemon) as client:
        client.run(1)
        for reply in replies:
            seen.append(client.receive()[1:])
            client.reply(1, *reply)
        seen += [message[1:] for message in to_exit(client)]
    return seen, came_to


# -- Output ------------------------------------------------------------------------------------------------------
def test_a_command_is_told_what_the_client_says_of_itself_and_its_exit_code_arrives(daemon: Daemon) -> None:
    told: list[Facts] = []

    def command(terminal: Shell) -> int:
        told.append(terminal.facts)
        return 3

    daemon.commands.command = command
    with raw_client(daemon) as client:
        client.run(argv=("list", "--json"), folder="/somewhere", width=120)
        assert client.receive() == [1, "exit", 3]
    assert told == [FACTS._replace(argv=("list", "--json"), folder="/somewhere", width=120)]


def test_it_has_the_shape_of_the_consoles_terminal(daemon: Daemon) -> None:
    def use(terminal: Terminal) -> int:
        return terminal.facts.width

    daemon.commands.command = lambda terminal: use(terminal) - 80
    with raw_client(daemon) as client:
        client.run()
        assert to_exit(client) == []


def test_what_a_short_command_prints_comes_together(daemon: Daemon) -> None:
    def command(terminal: Shell) -> int:
        for number in range(100):
            terminal.out(f"{number}\n")
        terminal.err("2 hidden\n")
        terminal.out("end\n")
        return 0

    daemon.commands.command = command
    with raw_client(daemon) as client:
        client.run()
        lines = b"".join(b"%d\n" % number for number in range(100))
        assert to_exit(client) == [[1, "out", lines], [1, "err", b"2 hidden\n"], [1, "out", b"end\n"]]


def test_output_arrives_while_the_command_is_still_at_work(daemon: Daemon) -> None:
    seen = threading.Event()

    def command(terminal: Shell) -> int:
        terminal.out("first\n")
        assert seen.wait(PATIENCE)
        seen.clear()
        terminal.err("50 %\r")
        assert seen.wait(PATIENCE)
        seen.clear()
        terminal.out("no end of line")
        return 0 if seen.wait(PATIENCE) else 1

    daemon.commands.command = command
    with raw_client(daemon) as client:
        client.run()
        for expected in ([1, "out", b"first\n"], [1, "err", b"50 %\r"], [1, "out", b"no end of line"]):
            assert client.receive() == expected
            seen.set()
        assert to_exit(client) == []


def test_much_output_arrives_whole_and_in_frames_of_bounded_size(daemon: Daemon) -> None:
    def command(terminal: Shell) -> int:
        terminal.out("x" * 3_000_000)
        for number in range(20_000):
            terminal.out(f"line {number} with some more text in it\n")
            if number % 1000 == 0:
                terminal.err(".")
        return 0

    daemon.commands.command = command
    with raw_client(daemon) as client:
        client.run()
        messages = to_exit(client)
    assert max(len(data) for _, _, data in messages) <= limits.RPC_CHUNK_BYTES
    out = b"".join(data for _, effect, data in messages if effect == "out")
    assert out == b"x" * 3_000_000 + b"".join(b"line %d with some more text in it\n" % n for n in range(20_000))
    assert [data for stream, data in streams(messages) if stream == "err"] == [b"."] * 20


def test_a_command_waits_for_a_client_that_reads_slowly(daemon: Daemon) -> None:
    written = [0]
    pieces = 200

    def command(terminal: Shell) -> int:
        for _ in range(pieces):
            terminal.out("x" * 65536)
            written[0] += 1
        return 0

    daemon.commands.command = command
    with raw_client(daemon) as client:
        client.run()
        until(lambda: any(not connection.calls.writable.is_set() for connection in daemon.server.connections))
        assert written[0] < pieces
        assert sum(len(data) for _, _, data in to_exit(client)) == pieces * 65536
    assert written[0] == pieces


def test_text_that_is_no_unicode_is_shown_all_the_same(daemon: Daemon) -> None:
    seen, _ = outcome(daemon, lambda terminal: terminal.out("a\udc80b"))
    assert seen == [["out", b"a?b"]]


def test_a_failing_command_is_answered_with_an_error_after_its_output(daemon: Daemon) -> None:
    def command(terminal: Shell) -> int:
        terminal.out("so far\n")
        raise SystemExit(2)

    daemon.commands.command = command
    with raw_client(daemon) as client:
        client.run(5)
        assert client.receive() == [5, "out", b"so far\n"]
        message = client.receive()
        assert (message["id"], message["error"]["code"]) == (5, "internal")
    assert [type(error) for error in daemon.observer.crashes] == [SystemExit]


def test_an_error_a_command_lets_out_arrives_as_it_is(daemon: Daemon) -> None:
    def command(_: Shell) -> int:
        raise RefusedError("no such thing", code=Code.NOT_FOUND)

    daemon.commands.command = command
    with raw_client(daemon) as client:
        client.run()
        assert client.receive()["error"]["code"] == "not_found"
    assert not daemon.observer.crashes


# -- Files, input, editor ----------------------------------------------------------------------------------------
def test_a_file_is_read_in_chunks_to_its_end(daemon: Daemon) -> None:
    seen, came_to = outcome(
        daemon, lambda terminal: list(terminal.read_file("a/b")), ("data", b"one"), ("data", b"two"), ("data", b"")
    )
    assert seen == [["read", 1, "a/b"], ["more", 1], ["more", 1]]
    assert came_to == [[b"one", b"two"]]


def test_an_empty_file_has_no_chunks(daemon: Daemon) -> None:
    assert outcome(daemon, lambda terminal: list(terminal.read_file("x")), ("data", b""))[1] == [[]]


def test_a_file_that_cannot_be_read_is_refused_at_once_with_the_clients_reason(daemon: Daemon) -> None:
    _, came_to = outcome(daemon, lambda terminal: terminal.read_file("x"), ("fail", "x: Kein Zugriff ü".encode()))
    assert came_to == [(Code.INVALID, "x: Kein Zugriff ü")]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("not_found", Code.NOT_FOUND),
        ("exists", Code.EXISTS),
        ("denied", Code.DENIED),
        ("", Code.INVALID),
        ("cancelled", Code.INVALID),
        ("of a later release", Code.INVALID),
    ],
)
def test_the_clients_code_is_that_of_the_refusal_if_it_is_one_that_an_effect_can_fail_with(
    daemon: Daemon, code: str, told: Code
) -> None:
    _, came_to = outcome(daemon, lambda terminal: terminal.read_file("x"), ("fail", b"x: why", code))
    assert came_to == [(told, "x: why")]


def test_a_file_that_is_not_read_to_its_end_is_closed(daemon: Daemon) -> None:
    def first_chunk(terminal: Shell) -> bytes:
        chunks = terminal.read_file("x")
        for chunk in chunks:
            return chunk
        return b""

    seen, came_to = outcome(daemon, first_chunk, ("data", b"one"))
    assert seen == [["read", 1, "x"], ["drop", 1]]
    assert came_to == [b"one"]


def test_standard_input_is_read_to_its_end(daemon: Daemon) -> None:
    seen, came_to = outcome(daemon, lambda terminal: list(terminal.stdin()), ("data", b"a"), ("data", b""))
    assert seen == [["more", STDIN]] * 2
    assert came_to == [[b"a"]]


def test_a_file_is_written_in_pieces_of_fair_size_and_then_put_in_place(daemon: Daemon) -> None:
    half = limits.RPC_CHUNK_BYTES // 2
    chunks = [b"a" * half, b"b" * half, b"c" * (3 * limits.RPC_CHUNK_BYTES), b"d"]
    seen, came_to = outcome(
        daemon, lambda t: t.write_file("f", iter(chunks), mode=0o600, exclusive=True), *[("done",)] * 7
    )
    assert seen[0] == ["write", 1, "f", 0o600, 1]
    assert seen[-1] == ["commit", 1]
    assert b"".join(data for _, _, data in seen[1:-1]) == b"".join(chunks)
    assert {len(data) for _, _, data in seen[1:-2]} == {limits.RPC_CHUNK_BYTES}
    assert came_to == [None]


def test_a_file_whose_content_fails_to_come_is_dropped(daemon: Daemon) -> None:
    def content() -> Iterator[bytes]:
        yield bytes(limits.RPC_CHUNK_BYTES)
        raise RefusedError("lost it")

    seen, came_to = outcome(daemon, lambda t: t.write_file("f", content()), ("done",), ("done",))
    assert [step[0] for step in seen] == ["write", "chunk", "drop"]
    assert came_to == [(Code.INVALID, "lost it")]


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_file_that_cannot_be_written_is_refused_with_the_clients_reason(daemon: Daemon, failing: int) -> None:
    replies: list[tuple[Any, ...]] = [("done",)] * failing + [("fail", b"f: no space")]
    _, came_to = outcome(daemon, lambda t: t.write_file("f", [b"x"]), *replies)
    assert came_to == [(Code.INVALID, "f: no space")]


def test_a_file_is_removed_or_the_clients_reason_told(daemon: Daemon) -> None:
    seen, came_to = outcome(daemon, lambda t: t.remove_file("f"), ("done",))
    assert (seen, came_to) == ([["remove", "f"]], [None])
    _, came_to = outcome(daemon, lambda t: t.remove_file("f"), ("fail", b"f: no such file"))
    assert came_to == [(Code.INVALID, "f: no such file")]


def test_a_files_permissions_are_told_or_the_clients_reason(daemon: Daemon) -> None:
    seen, came_to = outcome(daemon, lambda t: t.file_mode("f"), ("data", b"755"))
    assert (seen, came_to) == ([["mode", "f"]], [0o755])
    _, came_to = outcome(daemon, lambda t: t.file_mode("f"), ("fail", b"f: no such file"))
    assert came_to == [(Code.INVALID, "f: no such file")]


@pytest.mark.parametrize(
    "command",
    [lambda t: t.names_in("d"), lambda t: t.file_mode("f"), lambda t: t.remove_file("f")],
    ids=["names_in", "file_mode", "remove_file"],
)
def test_what_a_client_of_an_earlier_release_does_not_know_is_not_asked_of_it_and_the_command_may_do_without(
    daemon: Daemon, command: Callable[[Shell], object]
) -> None:
    def do_without(terminal: Shell) -> int:
        with pytest.raises(RefusedError, match="this client is of an earlier release than the daemon") as refused:
            command(terminal)
        assert refused.value.code is Code.BAD_VERSION
        return 3

    daemon.commands.command = do_without
    with closing(RawClient(daemon.path, rpc.hello_frame("an earlier one"))) as client:
        client.receive()
        client.run()
        assert client.receive() == [1, "exit", 3]


def test_edited_text_comes_back(daemon: Daemon) -> None:
    seen, came_to = outcome(daemon, lambda t: t.edit("old ü"), ("data", "new ü".encode()))
    assert (seen, came_to) == ([["edit", "old ü"]], ["new ü"])


def test_edited_text_must_be_utf8(daemon: Daemon) -> None:
    assert outcome(daemon, lambda t: t.edit(""), ("data", b"\xff"))[1] == [
        (Code.INVALID, "the edited text is not UTF-8")
    ]


def test_what_was_printed_comes_before_what_is_asked(daemon: Daemon) -> None:
    def command(terminal: Shell) -> str:
        terminal.out("edit this:\n")
        return terminal.edit("x")

    daemon.commands.command = lambda terminal: len(command(terminal)) - 1
    with raw_client(daemon) as client:
        client.run()
        assert client.receive() == [1, "out", b"edit this:\n"]
        assert client.receive() == [1, "edit", "x"]
        client.reply(1, "data", b"y")
        assert to_exit(client) == []


def test_a_reply_that_nobody_asked_for_ends_the_connection(daemon: Daemon) -> None:
    blocked = threading.Event()
    daemon.commands.command = lambda _: int(not blocked.wait(PATIENCE))
    with raw_client(daemon) as client:
        client.run()
        client.reply(1, "data", b"x")
        (message,) = client.rest()
        blocked.set()
    assert (message["id"], message["error"]["code"]) == (rpc.CONNECTION, "bad_structure")


# -- Ends --------------------------------------------------------------------------------------------------------
def forever(terminal: Shell) -> int:
    while True:
        terminal.check_alive()


def printing(terminal: Shell) -> int:
    while True:
        terminal.out("x" * 1000)


def reading(terminal: Shell) -> int:
    return len(list(terminal.stdin()))


def waiting(terminal: Shell) -> int:
    return terminal.wait(Future())


@pytest.mark.parametrize("command", [forever, printing, reading, waiting])
def test_a_command_ends_when_its_client_goes_away(daemon: Daemon, command: Any) -> None:
    codes: list[Code] = []

    def watched(terminal: Shell) -> int:
        terminal.err("begun\n")
        terminal.check_alive()
        try:
            return int(command(terminal))
        except MootError as error:
            codes.append(error.code)
            raise

    daemon.commands.command = watched
    with raw_client(daemon) as client:
        client.run()
        assert client.receive()
    assert daemon.commands.ended.acquire(timeout=PATIENCE)
    assert codes == [Code.CANCELLED]
    until(lambda: not daemon.server.hosted)
    assert not daemon.observer.crashes


def test_a_command_ends_when_it_is_cancelled_and_the_connection_goes_on(daemon: Daemon) -> None:
    daemon.commands.command = reading
    with raw_client(daemon) as client:
        client.run(1)
        assert client.receive() == [1, "more", 0]
        client.call(2, "cancel", {"id": 1})
        assert client.receive()["error"]["code"] == "cancelled"
        assert client.receive() == {"id": 2, "result": True}
        client.reply(1, "data", b"late")
        client.call(3, "ping", {})
        assert client.receive()["id"] == 3


def test_a_command_may_wait_for_what_others_work_on(daemon: Daemon) -> None:
    future: Future[int] = Future()
    daemon.commands.command = lambda terminal: terminal.wait(future)
    with raw_client(daemon) as client:
        client.run()
        future.set_result(0)
        assert to_exit(client) == []


def test_commands_beyond_the_limit_are_refused_until_a_thread_has_ended() -> None:
    with serving(Settings(consoles=1)) as daemon:
        daemon.commands.command = reading
        with raw_client(daemon) as client, raw_client(daemon) as other:
            client.run(1)
            assert client.receive() == [1, "more", 0]
            other.run(1)
            message = other.receive()
            assert (message["error"]["code"], message["error"]["retryable"]) == ("busy", True)
            client.reply(1, "data", b"")
            assert client.receive() == [1, "exit", 0]
            until(lambda: not daemon.server.hosted)
            other.run(2)
            assert other.receive() == [2, "more", 0]
