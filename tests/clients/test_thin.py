"""The client process against a control socket that really listens: what goes in, what comes out, how it ends."""

import os
import socket
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

import moot
from moot.console.terminal import Facts
from moot_protocol.errors import Code
from moot_testkit.clients.control import PATIENCE, Command, Daemon, raw_client, serving, stranger_listening
from moot_testkit.clients.gates import GOOD, STALE, StubGate
from moot_testkit.clients.thin import Shell, run_at_terminal
from mootd.control.hosting import HostedTerminal
from mootd.control.ports import Settings

Terminal = HostedTerminal[Facts]


def noting(told: list[Facts]) -> Command:
    """A command that keeps what it is told."""

    def command(terminal: Terminal) -> int:
        told.append(terminal.facts)
        return 0

    return command


def printing(text: str) -> Command:
    """A command that prints."""

    def command(terminal: Terminal) -> int:
        terminal.out(text)
        return 0

    return command


def facts_of(daemon: Daemon, shell: Shell, *arguments: str, **options: Any) -> Facts:
    """What the daemon is told by a client that is run so."""
    told: list[Facts] = []
    daemon.commands.command = noting(told)
    assert shell.run(*arguments, **options).returncode == 0
    return told[0]


# -- A command ---------------------------------------------------------------------------------------------------
def test_output_and_exit_code_are_the_commands(daemon: Daemon, shell: Shell) -> None:
    def command(terminal: Terminal) -> int:
        terminal.out("ünï\n")
        terminal.err("hm\n")
        return 5

    daemon.commands.command = command
    done = shell.run("list")
    assert (done.returncode, done.stdout, done.stderr) == (5, "ünï\n".encode(), b"hm\n")


def test_much_output_arrives_whole(daemon: Daemon, shell: Shell) -> None:
    text = "".join(f"line {number}\n" for number in range(300_000))
    daemon.commands.command = printing(text)
    assert shell.run("list").stdout == text.encode()


def test_the_daemon_is_told_arguments_folder_and_terminal(daemon: Daemon, shell: Shell) -> None:
    (shell.work / ".moot").mkdir()
    (shell.work / ".moot" / "workspace").write_text("w-1\n")
    told = facts_of(daemon, shell, "create", "a title", "--json", "ü", MOOT_ACTOR="alice", LC_ALL="C.UTF-8", SHELL="sh")
    assert told == Facts(
        argv=("create", "a title", "--json", "ü"),
        program="moot",
        folder=str(shell.work),
        workspace="w-1",
        environment={"MOOT_ACTOR": "alice", "LC_ALL": "C.UTF-8", "HOME": str(shell.folder)},
        git_user="",
        width=80,
        out_is_terminal=False,
        err_is_terminal=False,
        in_is_terminal=False,
    )


def test_called_as_bd_it_says_so_and_every_failure_is_1(daemon: Daemon, shell: Shell) -> None:
    assert facts_of(daemon, shell, "list", program="bd").program == "bd"
    for code, expected in ((0, 0), (1, 1), (2, 1), (5, 1), (75, 1)):
        daemon.commands.command = lambda _, code=code: code  # type: ignore[misc]
        assert shell.run("list", program="bd").returncode == expected
        assert shell.run("list").returncode == code


def test_a_folder_that_cannot_be_entered_is_a_usage_error(shell: Shell) -> None:
    done = shell.run("-C", "nowhere", "list")
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"nowhere: No such file" in done.stderr


EVIL = "\x1b]0;pwn\x07\u202e\u009b\n"
"""What names a terminal's window, turns the reading direction, begins a command, and another line."""


@pytest.mark.parametrize("program", ["moot", "bd"])
@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        (("-C", EVIL, "list"), {}),
        (("merge-file", EVIL, EVIL, EVIL), {}),
        (("mcp", EVIL), {}),
        (("daemon", "run", EVIL), {}),
        (("list",), {"MOOT_SOCKET": f"/nowhere/{EVIL}"}),
        (("list",), {"MOOT_SOCKET": EVIL}),
        (("list",), {"MOOT_SOCKET": "/" + EVIL * 40}),
        (("list",), {"MOOT_TOKEN_FILE": f"/nowhere/{EVIL}"}),
        (("daemon", "status"), {"MOOT_SOCKET": f"/nowhere/{EVIL}"}),
    ],
)
def test_what_is_repeated_of_arguments_and_variables_can_not_act_on_a_terminal(
    shell: Shell, program: str, arguments: tuple[str, ...], variables: dict[str, str]
) -> None:
    done = shell.run(*arguments, program=program, stdin=b"", **variables)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode
    assert "pwn" in said
    assert said.replace("\n", "").isprintable()
    assert not any(line.startswith("\x1b") or not line for line in said.splitlines())


def test_an_argument_that_is_no_utf8_is_a_usage_error(shell: Shell) -> None:
    done = subprocess.run(
        [*map(os.fsencode, shell.command("create")), b"a\xff"],
        env={b"XDG_RUNTIME_DIR": os.fsencode(shell.folder), b"PATH": b"/bin", b"LC_ALL": b"C.UTF-8"},
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert b"not valid UTF-8" in done.stderr


def test_arguments_too_long_for_a_frame_are_refused_in_words(shell: Shell) -> None:
    code = "import moot.conversation as c, moot.thin as t; c.FRAME_BYTES = 100; t.main(['moot', 'x' * 200])"
    done = shell.run_code(code)
    assert done.returncode == 1
    assert b"too long" in done.stderr


def test_at_a_terminal_its_width_is_told(daemon: Daemon, shell: Shell) -> None:
    told: list[Facts] = []
    daemon.commands.command = noting(told)
    assert run_at_terminal(shell, "list")[0] == 0
    assert (told[0].width, told[0].out_is_terminal, told[0].err_is_terminal, told[0].in_is_terminal) == (100,) + (
        True,
    ) * 3


# -- Ends --------------------------------------------------------------------------------------------------------
def test_a_reader_that_goes_away_ends_it_quietly(daemon: Daemon, shell: Shell) -> None:
    def command(terminal: Terminal) -> int:
        while True:
            terminal.out("y\n" * 1000)

    daemon.commands.command = command
    with shell.start("list", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(PATIENCE) == 141
        assert process.stderr.read() == b""


@pytest.mark.parametrize("arguments", [("list",), ("list", "--json")])
def test_output_that_cannot_be_written_is_a_failure(daemon: Daemon, shell: Shell, arguments: tuple[str, ...]) -> None:
    daemon.commands.command = printing("x")
    with Path("/dev/full").open("wb") as full, shell.start(*arguments, stdout=full, stderr=subprocess.PIPE) as process:
        assert process.stderr
        assert process.stderr.read() == b"moot: cannot write to standard output: No space left on device\n"
        assert process.wait(PATIENCE) == 1


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        ("q Two", 0, b"  what was asked for was done: only its answer is lost\n"),
        ("q Two", 5, b""),  # its reason may have gone where its answer went
        ("q Two --dry-run", 0, b""),
    ],
)
def test_where_only_the_answer_can_t_be_written_what_was_asked_for_is_told_to_be_done(
    daemon: Daemon, shell: Shell, words: str, code: int, hint: bytes
) -> None:
    def command(terminal: Terminal) -> int:
        for _ in range(3):
            terminal.out("x")
        return code

    daemon.commands.command = command
    with (
        Path("/dev/full").open("wb") as full,
        shell.start(*words.split(), stdout=full, stderr=subprocess.PIPE) as process,
    ):
        assert process.stderr
        said = process.stderr.read()
        assert said == b"moot: cannot write to standard output: No space left on device\n" + hint
        assert process.wait(PATIENCE) == 1


def test_a_standard_output_that_was_closed_is_a_failure_and_nothing_else_gets_its_number(
    daemon: Daemon, shell: Shell
) -> None:
    daemon.commands.command = printing("x")
    code = "import os, moot.thin as t; os.close(1); t.main(['moot', 'list'])"
    done = shell.run_code(code)
    assert (done.returncode, done.stderr) == (1, b"moot: cannot write to standard output: Bad file descriptor\n")


def test_an_error_of_the_daemon_is_shown_with_its_hint_and_its_exit_code() -> None:
    with serving(Settings(clients=1)) as daemon, raw_client(daemon):
        shell = Shell(daemon.path.parent.parent, daemon.path.parent)
        done = shell.run("list")
        assert (done.returncode, done.stdout) == (75, b"")
        assert done.stderr == b"moot: 1 clients are connected already\n  try again when some have ended\n"
        assert shell.run("list", program="bd").returncode == 1
        done = shell.run("list", "--json")
        error = msgspec.json.decode(done.stdout)["error"]
        assert (error["code"], error["retryable"], done.stderr) == (Code.BUSY, True, b"")


def test_a_crash_of_the_command_is_a_failure_in_words(daemon: Daemon, shell: Shell) -> None:
    daemon.commands.command = lambda _: int("x")
    done = shell.run("list")
    assert done.returncode == 1
    assert b"moot: the daemon failed" in done.stderr


# -- No daemon, or another ---------------------------------------------------------------------------------------
def test_without_a_daemon_it_says_what_to_do(alone: Shell) -> None:
    done = alone.run("list")
    assert (done.returncode, done.stdout) == (69, b"")
    assert done.stderr.endswith(b"moot.sock\n  start it: moot daemon start\n")
    done = alone.run("list", "--json")
    assert msgspec.json.decode(done.stdout)["error"]["code"] == Code.UNREACHABLE


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_failure_does_not_repeat_all_of_what_was_typed(alone: Shell, flags: tuple[str, ...]) -> None:
    done = alone.run("-C", "x" * 100_000, "list", *flags)
    assert done.returncode == 2
    told = done.stdout if flags else done.stderr
    assert b"cannot enter xxx" in told
    assert b"File name too long" in told
    assert len(told) < 1200


def test_called_as_bd_a_failure_is_told_in_words_beside_the_document(alone: Shell) -> None:
    done = alone.run("list", "--json", program="bd")
    assert done.returncode == 1
    document = msgspec.json.decode(done.stdout)
    assert document["code"] == Code.UNREACHABLE
    assert done.stderr.startswith(f"bd: {document['error']}".encode())


def test_the_socket_of_a_daemon_that_died_counts_as_none(alone: Shell) -> None:
    (alone.folder / "moot").mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(alone.folder / "moot" / "moot.sock"))
    assert alone.run("list").returncode == 69


def test_a_sandbox_that_forbids_sockets_is_told_in_words(daemon: Daemon, shell: Shell) -> None:
    """Whether the call for a socket or for a connection is forbidden, what the client meets is EPERM or EACCES."""
    code = """
import os, sys
import moot.thin, moot.unaided  # while the interpreter's own files can be read
if os.geteuid() == 0:
    os.setuid(65534)
moot.thin.main(["moot", *sys.argv[1:]])
"""
    folder = daemon.path.parent
    above = (folder, folder.parent)
    for each in above if os.geteuid() == 0 else ():  # another user's would not be taken for a sandbox
        os.chown(each, 65534, -1)
    folder.chmod(0o000)
    try:
        done, helped = shell.run_code(code, "list"), shell.run_code(code, "list", "--help")
    finally:
        folder.chmod(0o700)
        for each in above:
            os.chown(each, os.geteuid(), -1)
    assert (helped.returncode, b"usage: moot list" in helped.stdout) == (0, True)
    assert done.returncode == 69
    assert b"this sandbox forbids Unix sockets" in done.stderr
    assert str(folder).encode() in done.stderr


def test_a_command_leaves_nothing_open_that_python_would_warn_of(daemon: Daemon, shell: Shell, alone: Shell) -> None:
    daemon.commands.command = lambda _terminal: 0
    for each, code in ((shell, 0), (alone, 69)):
        done = each.run("list", PYTHONDEVMODE="1")
        assert (done.returncode, b"ResourceWarning" in done.stderr) == (code, False), done.stderr


def test_a_daemon_of_another_user_is_refused(daemon: Daemon, shell: Shell, alone: Shell) -> None:
    """Root's is let pass, so a test that root runs has another user's serve in its place."""
    if os.geteuid() != 0:
        assert daemon.path.exists()
        done = shell.run_code("import os, moot.thin; os.geteuid = lambda: 1; moot.thin.main(['moot', 'list'])")
    else:
        (alone.folder / "moot").mkdir()
        alone.folder.chmod(0o711)
        with stranger_listening(alone.folder / "moot" / "moot.sock"):
            done = alone.run("list")
    assert (done.returncode, done.stdout) == (4, b"")
    assert b"belongs to user" in done.stderr


def test_a_path_too_long_for_a_socket_is_told_in_words(alone: Shell) -> None:
    done = alone.run("list", XDG_RUNTIME_DIR="/" + "x" * 120)
    assert done.returncode == 69
    assert b"107 bytes" in done.stderr
    assert b"XDG_RUNTIME_DIR" in done.stderr


def test_a_name_of_who_acts_that_is_no_text_is_refused(daemon: Daemon, shell: Shell) -> None:
    for name in ("MOOT_ACTOR", "BD_ACTOR", "BEADS_ACTOR"):
        done = shell.run("list", stdin=b"", program="moot", **{name: os.fsdecode(b"\xff\xfe")})
        assert (done.returncode, done.stderr) == (
            2, f"moot: {name} is not valid UTF-8\n  set it to a name, or unset it\n".encode(),
        )  # fmt: skip


def test_the_release_is_that_of_the_distribution() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert moot.__version__ == project["project"]["version"]


# -- Tokens ------------------------------------------------------------------------------------------------------
@pytest.fixture
def gate(daemon: Daemon) -> Iterator[StubGate]:
    gate = StubGate(binding=False)
    daemon.server.gate = gate
    yield gate
    daemon.server.gate = None


def test_a_token_binds_the_command_and_never_goes_into_what_is_told_of_the_client(
    daemon: Daemon, shell: Shell, gate: StubGate
) -> None:
    seen: list[Terminal] = []

    def command(terminal: Terminal) -> int:
        seen.append(terminal)
        return 0

    daemon.commands.command = command
    assert shell.run("list", MOOT_TOKEN=GOOD).returncode == 0
    token = shell.work / "token"
    token.write_text(f"{GOOD}\n")
    token.chmod(0o600)
    assert shell.run("list", MOOT_TOKEN_FILE=str(token)).returncode == 0
    assert [terminal.asker and terminal.asker.token for terminal in seen] == [GOOD, GOOD]
    assert not any(GOOD in str(value) for terminal in seen for value in terminal.facts.environment.values())


def test_with_a_token_that_is_not_good_nothing_is_run(daemon: Daemon, shell: Shell, gate: StubGate) -> None:
    told: list[Facts] = []
    daemon.commands.command = noting(told)
    done = shell.run("list", "--json", MOOT_TOKEN=STALE)
    assert done.returncode == 77
    assert msgspec.json.decode(done.stdout)["error"]["code"] == "bad_token"
    missing = str(shell.work / "none")
    unread = shell.run("list", MOOT_TOKEN_FILE=missing)
    assert (unread.returncode, missing.encode() in unread.stderr) == (77, True)
    assert told == []


def test_a_daemon_that_does_not_know_tokens_is_told_nothing_else(daemon: Daemon, shell: Shell) -> None:
    told: list[Facts] = []
    daemon.commands.command = noting(told)
    done = shell.run("list", MOOT_TOKEN=GOOD)
    assert done.returncode == 1
    assert b"doesn't know API tokens" in done.stderr
    assert told == []


def test_a_token_is_not_got_around_through_a_spool(shell: Shell) -> None:
    done = shell.run("list", MOOT_TOKEN=GOOD, MOOT_SPOOL="1")
    assert done.returncode == 69
    assert b"can't be presented through a spool" in done.stderr


# -- A socket that is named --------------------------------------------------------------------------------------
def test_a_socket_that_is_named_is_used_and_no_daemon_started_for_it(daemon: Daemon, alone: Shell) -> None:
    daemon.commands.command = printing("served")
    assert alone.run("list", MOOT_SOCKET=str(daemon.path)).stdout == b"served"
    nobody = alone.run("list", MOOT_SOCKET=str(alone.folder / "s"), MOOT_NO_AUTOSTART="")
    assert nobody.returncode == 69
    assert b"which MOOT_SOCKET names" in nobody.stderr


def test_a_socket_named_by_a_relative_path_is_refused_and_no_other_daemon_answers(shell: Shell) -> None:
    for path in ("relative.sock", "./s", "~/s"):
        done = shell.run("list", MOOT_SOCKET=path)
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"which is no absolute path" in done.stderr
