"""What needs no daemon works where none can be started: no data, no home, no runtime folder."""

import base64
import json
import os
import subprocess
from functools import partial
from pathlib import Path

import pytest

from moot import __version__
from moot.console.main import GRAMMAR
from moot_protocol.trust.proof import build_proof
from moot_testkit.bytes.feeds import Town, note
from moot_testkit.clients.control import Daemon
from moot_testkit.clients.thin import Shell
from moot_testkit.machines.machine import BIN
from moot_testkit.towns.spooling import SpoolSite

NOWHERE = {"HOME": "/proc", "XDG_RUNTIME_DIR": "/proc", "PATH": f"{BIN}:/usr/bin:/bin", "USER": "ada"}
"""Where nothing can be written, and nobody listens."""


def moot(
    *arguments: str, program: Path = BIN / "moot", folder: Path = Path("/"), **more: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [program, *arguments], cwd=folder, env=NOWHERE | more, capture_output=True, text=True, check=False
    )


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    """A file with the proof of one event."""
    town = Town("rivertown")
    feed = town.replica("laptop")
    opening = feed.batches[0].events[0].values()
    assert opening is not None
    data = build_proof(feed.write(note("Fix it", entity="rt-1")), 2, opening[0], town.genesis)
    path = tmp_path / "rt-1.proof"
    path.write_text(f"# in words\nmoot-proof-1 {base64.urlsafe_b64encode(data).decode()}\n")
    return path


def test_a_proof_is_verified_where_no_daemon_can_run(proof: Path) -> None:
    done = moot("verify-proof", proof.name, folder=proof.parent)
    assert (done.returncode, "title = Fix it" in done.stdout) == (0, True), done.stderr
    assert "that the time is true" in done.stderr
    assert json.loads(moot("verify-proof", str(proof), "--json").stdout)["ok"] is True


def test_a_proof_that_does_not_hold_is_told_there_too(proof: Path) -> None:
    proof.write_text(proof.read_text()[:-20])
    done = moot("verify-proof", str(proof))
    assert (done.returncode, done.stdout) == (1, "")
    assert "line 2: no proof" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("", "usage: moot COMMAND"),
        ("--help", "usage: moot COMMAND"),
        ("help list", "moot list"),
        ("update --help", "examples:"),
        ("daemon stop --help", "usage: moot daemon stop"),
        ("mcp --help", "examples:"),
        ("--version", f"moot version {__version__}"),
        ("version --request-id once", f"moot version {__version__}"),
        ("completion bash", "complete"),
        ("man dep add", ".TH"),
        ("quickstart", "GET STARTED"),
        ("onboard", "## Issues"),
        ("setup --list", "CLAUDE.md"),
    ],
)
def test_help_and_reference_are_told_where_no_daemon_can_run(arguments: str, told: str) -> None:
    done = moot(*arguments.split())
    assert (done.returncode, told in done.stdout, done.stderr) == (0, True, "")


def test_arguments_that_make_no_sense_are_refused_where_no_daemon_can_run() -> None:
    flag, command = moot("list", "--colour"), moot("lits", "--json")
    assert (flag.returncode, "unknown flag --colour" in flag.stderr) == (2, True)
    assert (command.returncode, json.loads(command.stdout)["error"]["code"]) == (2, "usage")


@pytest.mark.parametrize("arguments", ["dep add", "create", "show --json", "stale --days 0", "note a1b2"])
def test_what_only_the_command_itself_refuses_starts_no_daemon_either(tmp_path: Path, arguments: str) -> None:
    done = moot(*arguments.split(), HOME=str(tmp_path), XDG_RUNTIME_DIR=str(tmp_path))
    assert (done.returncode, "cannot start" in done.stderr) == (2, False)
    assert list(tmp_path.iterdir()) == []


def test_what_needs_a_daemon_says_why_there_is_none() -> None:
    done = moot("list")
    assert (done.returncode, "cannot start the daemon" in done.stderr) == (69, True)
    assert "no daemon answers" in moot("list", MOOT_NO_AUTOSTART="1").stderr


def test_where_no_daemon_can_be_reached_help_is_told_all_the_same() -> None:
    long = "/" + "x" * 200
    assert moot("--help", XDG_RUNTIME_DIR=long).returncode == 0
    assert "more than 107 bytes" in moot("list", XDG_RUNTIME_DIR=long).stderr


def test_called_as_bd_it_answers_in_the_words_of_bd(tmp_path: Path) -> None:
    linked = tmp_path / "bd"
    linked.symlink_to(BIN / "moot")
    assert moot("version", program=linked).stdout.startswith("bd version")
    assert moot("list", "--colour", program=linked).returncode == 1


def test_a_daemon_that_runs_answers_these_itself(daemon: Daemon, shell: Shell) -> None:
    asked: list[object] = []

    def command(terminal: object) -> int:
        asked.append(terminal)
        return 7

    daemon.commands.command = command
    assert shell.run("--help").returncode == 7
    assert shell.run("verify-proof", "p").returncode == 7
    assert len(asked) == 2


def test_an_argument_that_is_no_text_is_refused_as_a_daemon_does() -> None:
    done = moot("help", os.fsdecode(b"\xff"))
    assert (done.returncode, done.stderr) == (2, "moot: an argument is not valid UTF-8\n")


# -- Output that is not taken ------------------------------------------------------------------------------------
def told_to_full(*arguments: str, folder: Path = Path("/"), **more: str) -> tuple[int, str]:
    """The exit code and what is told where standard output takes nothing."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [BIN / "moot", *arguments], cwd=folder, env=NOWHERE | more, stdout=full, stderr=subprocess.PIPE,
            text=True, check=False,
        )  # fmt: skip
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", ["help", "help --json", "version", "completion zsh", "lits --json"])
def test_output_that_cannot_be_written_is_told(arguments: str) -> None:
    told = told_to_full(*arguments.split())
    assert told == (1, "moot: cannot write to standard output: No space left on device\n")


def test_a_proof_whose_verdict_cannot_be_written_is_not_told_as_good(proof: Path) -> None:
    code, told = told_to_full("verify-proof", str(proof))
    assert (code, "cannot write to standard output: No space left" in told) == (1, True)


def test_a_standard_output_that_was_closed_is_told() -> None:
    command = f"{BIN / 'moot'} help >&-"
    done = subprocess.run(["/bin/sh", "-c", command], env=NOWHERE, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "moot: cannot write to standard output: Bad file descriptor\n")


@pytest.mark.parametrize("name", ["moot", "bd"])
def test_a_reader_that_is_gone_ends_it_as_with_a_daemon(tmp_path: Path, name: str) -> None:
    program = tmp_path / name
    program.symlink_to(BIN / "moot")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [program, "completion", "bash"], cwd="/", env=NOWHERE, stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, b"")


# -- Beside a spool ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("arguments", ["version", "--version", "version --json", "version --request-id once"])
@pytest.mark.parametrize("name", ["moot", "bd"])
def test_what_needs_no_daemon_asks_no_snapshot(tmp_path: Path, arguments: str, name: str) -> None:
    SpoolSite(tmp_path).write_snapshot()
    program = tmp_path / name
    program.symlink_to(BIN / "moot")
    done = moot(*arguments.split(), program=program, folder=tmp_path, MOOT_SPOOL="1")
    assert (done.returncode, __version__ in done.stdout, done.stderr) == (0, True, "")


def test_through_a_spool_output_that_cannot_be_written_is_told_too(tmp_path: Path) -> None:
    SpoolSite(tmp_path).write_snapshot()
    code, told = told_to_full("list", "--json", folder=tmp_path, MOOT_SPOOL="1")
    assert (code, told) == (1, "moot: cannot write to standard output: No space left on device\n")


# -- Asking about the daemon -------------------------------------------------------------------------------------
@pytest.mark.parametrize("arguments", ["daemon", "daemon status", "daemon health", "daemon list", "daemons list"])
def test_who_asks_about_the_daemon_starts_none(tmp_path: Path, arguments: str) -> None:
    ask = partial(moot, *arguments.split(), HOME=str(tmp_path), XDG_RUNTIME_DIR=str(tmp_path))
    done = ask()
    words = f"no daemon answers at {tmp_path}/moot/moot.sock"
    assert (done.returncode, done.stderr) == (69, f"moot: {words}\n  start it: moot daemon start\n")
    document = json.loads(ask("--json").stdout)
    assert (document["error"]["code"], document["error"]["message"]) == ("unreachable", words)
    assert ask("--colour").returncode == 2
    assert words in ask(MOOT_SPOOL="1").stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    ["daemon start --colour", "daemon start now", "daemon restart --colour", "daemon --start --colour",
     "daemon stop --colour", "daemons killall --colour", "daemon logs --colour"],
)  # fmt: skip
def test_what_the_client_does_about_the_daemon_it_does_for_no_arguments_that_make_no_sense(
    tmp_path: Path, arguments: str
) -> None:
    done = moot(*arguments.split(), HOME=str(tmp_path), XDG_RUNTIME_DIR=str(tmp_path))
    assert (done.returncode, done.stdout, "Error: un" in done.stderr) == (2, "", True)
    assert list(tmp_path.iterdir()) == []


# -- What is marked ----------------------------------------------------------------------------------------------
def test_only_what_asks_the_daemon_nothing_is_marked_so() -> None:
    marked = [each for each in GRAMMAR._commands.values() if each.unaided]
    assert all(each.alone for each in marked), "the daemon would be asked for its project"
    assert {each.name for each in marked} == {
        "completion bash", "completion fish", "completion zsh", "hooks install", "hooks list", "hooks uninstall", "man",
        "onboard", "quickstart", "setup", "verify-proof", "version",
    }  # fmt: skip
