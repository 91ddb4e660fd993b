"""What needs no daemon works where none can be started: no data, no home, no runtime folder."""

import base64
import json
import os
import subprocess
from pathlib import Path

import pytest

from moot import __version__
from moot.console.main import GRAMMAR
from moot.unaided import run_unaided
from moot_protocol.proof import build_proof
from moot_testkit.control import Daemon
from moot_testkit.feeds import Town, note
from moot_testkit.machine import BIN
from moot_testkit.thin import Shell

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


def test_an_argument_that_is_no_text_is_left_to_whom_it_concerns() -> None:
    assert run_unaided("moot", ["verify-proof", os.fsdecode(b"\xff")]) is None


def test_only_what_asks_the_daemon_nothing_is_marked_so() -> None:
    marked = [each for each in GRAMMAR._commands.values() if each.unaided]
    assert all(each.alone for each in marked), "the daemon would be asked for its project"
    assert {each.name for each in marked} == {
        "completion bash", "completion fish", "completion zsh", "hooks install", "hooks list", "hooks uninstall", "man",
        "onboard", "quickstart", "setup", "verify-proof", "version",
    }  # fmt: skip
