"""The thin client before what is no daemon, or one that goes away: what is told, and whether to ask again."""

import socket
import threading
from contextlib import suppress

import msgspec
import pytest

from moot_protocol.control import rpc
from moot_testkit.clients.control import PATIENCE
from moot_testkit.clients.gates import GOOD
from moot_testkit.clients.thin import Shell


class Impostor:
    """Something that listens where the daemon should, and sends the same bytes to whoever comes."""

    def __init__(self, shell: Shell, answer: bytes, *, close: bool = True) -> None:
        (shell.folder / "moot").mkdir()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(shell.folder / "moot" / "moot.sock"))
        self._listener.listen()
        self._answer = answer
        self._close = close
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self.came = 0
        """How many connections there were."""

    def __enter__(self) -> "Impostor":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):  # how Linux tells that it was shut down
            while True:
                connection, _ = self._listener.accept()
                self.came += 1
                with connection:
                    connection.recv(1 << 20)
                    connection.sendall(self._answer)
                    if not self._close:
                        self._end.wait(PATIENCE)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", b"has gone away"),
        (rpc.hello_frame("1", 1), b"has gone away"),
        (rpc.hello_frame("1", 1) + b"\x00\x00", b"has gone away"),
        (b"SSH-2.0-OpenSSH\r\n", b"does not speak Moot's protocol"),
        (rpc.frame(b"\xc1"), b"does not speak Moot's protocol"),
        (rpc.frame(b"\x93\x01\xa3out"), b"does not speak Moot's protocol"),
        (rpc.frame(b"\x93\x01\xa4what\x01"), b"does not speak Moot's protocol"),
        (rpc.frame(b"\x05"), b"does not speak Moot's protocol"),
        (rpc.frame(b"\x80"), b"does not speak Moot's protocol"),
    ],
)
def test_what_is_no_daemon_is_told_in_words(alone: Shell, answer: bytes, words: bytes) -> None:
    with Impostor(alone, answer):
        done = alone.run("list")
    assert done.returncode == 69
    assert words in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(("answer", "is_open"), [(b"", False), (rpc.hello_frame("1", 1), True)])
def test_who_loses_the_daemon_hears_whether_the_command_may_be_done(alone: Shell, answer: bytes, is_open: bool) -> None:
    with Impostor(alone, answer) as impostor:
        done = alone.run("create", "x")
    assert (b"may be done" in done.stderr) is is_open
    assert impostor.came == 1 if is_open else impostor.came > 2  # what may be done is not asked for again


@pytest.mark.parametrize(
    ("arguments", "hint", "retryable"),
    [
        (["list"], "it can be given again; see", True),
        (["show", "a1b2"], "it can be given again; see", True),
        (["close", "a1b2", "--dry-run"], "it can be given again; see", True),
        (["wait", "a1b2"], "nothing was being changed: ask again; see", True),
        (["events", "--follow"], "nothing was being changed: go on with --since", True),
        (["create", "x", "--request-id", "7"], "repeat it with the same --request-id, and it is done once", True),
        (["create", "x"], "what you asked for may be done or not: look", False),
    ],
)
def test_who_loses_the_daemon_hears_whether_the_command_can_be_given_again(
    alone: Shell, arguments: list[str], hint: str, retryable: bool
) -> None:
    with Impostor(alone, rpc.hello_frame("1", 1)):
        done = alone.run(*arguments, "--json")
    error = msgspec.json.decode(done.stdout)["error"]
    assert (done.returncode, error["code"], error["retryable"]) == (69, "unreachable", retryable)
    assert hint in error["hint"]


def test_what_a_fault_has_ended_is_not_said_to_succeed_later(alone: Shell) -> None:
    log = alone.folder / ".local" / "state" / "moot" / "daemon.log"
    log.parent.mkdir(parents=True)
    log.write_text('{"event":"daemon.starting","pid":1}\nFatal Python error: Bus error\n')
    with Impostor(alone, rpc.hello_frame("1", 1)):
        error = msgspec.json.decode(alone.run("list", "--json").stdout)["error"]
    assert ("Bus error" in error["message"], error["retryable"]) == (True, False)


def test_a_daemon_that_ends_before_its_first_word_is_asked_again_for_a_second(alone: Shell) -> None:
    with Impostor(alone, b"") as impostor:
        done = alone.run("list", "--json")
    error = msgspec.json.decode(done.stdout)["error"]
    assert (done.returncode, error["retryable"]) == (69, True)
    assert "before it did anything" in error["message"]
    assert 10 <= impostor.came <= 30


def test_who_loses_the_daemon_while_looking_hears_that_nothing_was_being_changed(alone: Shell) -> None:
    with Impostor(alone, rpc.hello_frame("1", 1)) as impostor:
        done = alone.run("wait", "a1b2")
    assert (done.returncode, impostor.came) == (69, 1)
    assert b"  nothing was being changed: ask again; see: moot daemon logs\n" in done.stderr


def test_a_daemon_of_another_protocol_version_is_told_in_words(alone: Shell) -> None:
    hello = msgspec.msgpack.encode({"hello": rpc.RPC_VERSION + 1, "version": "9.9", "pid": 1})
    with Impostor(alone, rpc.frame(hello)):
        done = alone.run("list")
    assert done.returncode == 1
    assert b"(release 9.9)" in done.stderr
    assert b"restart the daemon" in done.stderr


def test_a_daemon_that_never_answers_is_given_up(alone: Shell) -> None:
    with Impostor(alone, b"", close=False):
        done = alone.run_code(
            "import moot.conversation as c, moot.thin as t; c.HELLO_SECONDS = 0.05; t.main(['moot', 'list'])"
        )
    assert done.returncode == 69
    assert b"has not answered" in done.stderr
    assert b"end it: kill -9, with its process id, loses nothing that was acknowledged" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["create", "x"], "it may be done or not, or be done once the daemon goes on: look before"),
        (
            ["create", "x", "--request-id", "7"],
            "it may be done or not: repeat it with the same --request-id, and it is",
        ),
        (["create", "x", "--dry-run"], "see its log"),
        (["list"], "see its log"),
        (["daemon", "start"], "see its log"),
    ],
)
def test_who_changes_something_hears_of_a_daemon_that_never_answers_that_it_may_be_done(
    alone: Shell, arguments: list[str], told: str
) -> None:
    with Impostor(alone, b"", close=False) as impostor:
        done = alone.run_code(
            f"import moot.conversation as c, moot.thin as t; c.HELLO_SECONDS = 0.05; t.main({['moot', *arguments]!r})"
        )
    first, hint = done.stderr.decode().splitlines()
    assert (done.returncode, impostor.came, "has not answered" in first) == (69, 1, True)
    assert hint.startswith(f"  {told}")
    assert "see its log; if it stays like this, end it: kill -9" in hint


@pytest.mark.parametrize(
    ("arguments", "retryable"),
    [
        (["create", "x"], False),
        (["create", "x", "--request-id", "7"], True),
        (["create", "x", "--dry-run"], True),
        (["list"], True),
        (["wait", "a1b2"], True),
    ],
)
@pytest.mark.parametrize("token", ["", GOOD], ids=["asked", "asked for nothing yet"])
def test_what_a_daemon_never_answered_is_retryable_where_repeating_it_is_safe(
    alone: Shell, arguments: list[str], token: str, *, retryable: bool
) -> None:
    argv = ["moot", *arguments, "--json"]
    with Impostor(alone, b"", close=False):
        done = alone.run_code(
            f"import moot.conversation as c, moot.thin as t; c.HELLO_SECONDS = 0.05; t.main({argv!r})",
            **({"MOOT_TOKEN": token} if token else {}),
        )
    error = msgspec.json.decode(done.stdout)["error"]
    assert (done.returncode, error["code"], error["retryable"]) == (69, "unreachable", retryable or bool(token))


def test_a_daemon_that_does_not_confirm_a_token_has_been_asked_for_nothing(alone: Shell) -> None:
    with Impostor(alone, b"", close=False):
        done = alone.run_code(
            "import moot.conversation as c, moot.thin as t; c.HELLO_SECONDS = 0.05; t.main(['moot', 'create', 'x'])",
            MOOT_TOKEN=GOOD,
        )
    assert done.stderr.decode().splitlines()[1].startswith("  see its log")


def test_the_process_of_a_daemon_that_never_answers_is_named(alone: Shell) -> None:
    code = """
import os, moot.conversation as c
from _socket import socketpair
here, there = socketpair()
here.settimeout(0.01)
try:
    c.Conversation(here).greet()
except c.Failure as failure:
    print(f"kill -9 {os.getpid()} loses" in failure.hint)
"""
    assert alone.run_code(code, "mootd").stdout == b"True\n"
    assert alone.run_code(code, "another").stdout == b"False\n"
