"""git's log as the client tells it to the daemon's commands: fixed arguments, and nothing of the repository touched."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from moot.git_log import git_log
from moot_protocol.errors import MootError
from moot_testkit.clients.control import Daemon
from moot_testkit.clients.thin import Shell

IDENTITY = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *IDENTITY, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    monkeypatch.chdir(folder)
    return folder


def messages(most: int = 100) -> list[str]:
    return [commit.partition("\t")[2].strip() for commit in git_log(most).decode().split("\0") if commit]


def test_messages_come_newest_first_whole_and_from_every_branch(repository: Path) -> None:
    git(repository, "commit", "-q", "--allow-empty", "-m", "One", "-m", "More of it")
    git(repository, "checkout", "-q", "-b", "other")
    git(repository, "commit", "-q", "--allow-empty", "-m", "Two ü")
    git(repository, "checkout", "-q", "main")
    assert sorted(messages()) == ["One\n\nMore of it", "Two ü"]
    assert len(messages(1)) == 1


def test_a_repository_without_commits_has_an_empty_log(repository: Path) -> None:
    assert repository.is_dir()
    assert messages() == []


def test_refs_of_moots_own_are_left_out(repository: Path) -> None:
    git(repository, "commit", "-q", "--allow-empty", "-m", "One")
    git(repository, "checkout", "-q", "--orphan", "foreign")
    git(repository, "commit", "-q", "--allow-empty", "-m", "Sealed")
    git(repository, "update-ref", "refs/moot/topic/sender/1", "HEAD")
    git(repository, "checkout", "-q", "main")
    git(repository, "branch", "-q", "-D", "foreign")
    assert messages() == ["One"]


def test_settings_of_the_repository_start_no_program(repository: Path) -> None:
    started = repository / "started"
    program = repository / ".git" / "program"
    program.write_text(f"#!/bin/sh\ntouch {started}\n")
    program.chmod(0o755)
    git(repository, "commit", "-q", "--allow-empty", "-m", "One")
    plain = subprocess.run(["git", "cat-file", "commit", "HEAD"], cwd=repository, check=True, capture_output=True)
    signature = b"gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----\n\n"
    command = ["git", "hash-object", "-t", "commit", "-w", "--stdin"]
    signed = subprocess.run(
        command,
        cwd=repository,
        check=True,
        capture_output=True,
        input=plain.stdout.replace(b"\n\n", b"\n" + signature, 1),
    )
    git(repository, "reset", "-q", signed.stdout.decode().strip())
    for name in ("core.pager", "gpg.program", "alias.log", "core.fsmonitor"):
        git(repository, "config", name, str(program))
    git(repository, "config", "log.showSignature", "true")
    assert messages() == ["One"]
    assert not started.exists()


def test_outside_a_repository_git_s_own_words_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(OSError, match=r"git can't tell its log: .*not a git repository"):
        git_log(1)


def test_a_log_that_fits_no_frame_ends_with_a_whole_commit(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        git(repository, "commit", "-q", "--allow-empty", "-m", f"{number} " + "x" * 100)
    monkeypatch.setattr("moot.git_log.MOST_BYTES", 300)
    assert [message[0] for message in messages()] == ["3", "2"]


def test_the_daemon_gets_the_log_of_the_clients_folder(daemon: Daemon, shell: Shell) -> None:
    git(shell.work, "init", "-q")
    git(shell.work, "commit", "-q", "--allow-empty", "-m", "One")
    came_to: list[Any] = []

    def command(terminal: Any) -> int:
        came_to.append(terminal.git_log(10))
        return 0

    daemon.commands.command = command
    assert shell.run("act").returncode == 0
    assert came_to[0].partition("\t")[2] == "One\n\0" or came_to[0].partition("\t")[2] == "One\n"


def test_a_folder_without_repository_is_an_error_in_words(daemon: Daemon, shell: Shell) -> None:
    came_to: list[str] = []

    def command(terminal: Any) -> int:
        try:
            terminal.git_log(10)
        except MootError as error:
            came_to.append(error.message)
        return 0

    daemon.commands.command = command
    assert shell.run("act", GIT_CEILING_DIRECTORIES=str(shell.work.parent)).returncode == 0
    assert "not a git repository" in came_to[0]
