"""What the user's own programs are asked: fixed arguments, and failures in words."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from moot.effects import Files
from moot.tools import answer


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that stands first on the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return folder


def program(folder: Path, text: str) -> None:
    (folder / "gh").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "gh").chmod(0o755)


def test_git_tells_where_it_stands_and_where_hooks_are(programs: Path) -> None:
    subprocess.run(["git", "init", "-q", "r"], check=True)
    os.chdir("r")
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, "commit", "-q", "--allow-empty", "-m", "One"], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout
    told = answer("git-head").decode().strip()
    assert len(told) >= 4
    assert head.startswith(told)
    assert answer("git-hooks").decode().strip() == str(programs.parent / "r" / ".git" / "hooks")
    subprocess.run(["git", "config", "core.hooksPath", "/elsewhere"], check=True)
    assert answer("git-hooks") == b"/elsewhere\n"


def test_git_tells_the_commit_and_the_branch(programs: Path) -> None:
    subprocess.run(["git", "init", "-q", "-b", "topic", "r"], check=True)
    os.chdir("r")
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, "commit", "-q", "--allow-empty", "-m", "One"], check=True)
    assert (len(answer("git-commit").strip()), answer("git-branch")) == (40, b"topic\n")


@pytest.mark.parametrize(
    ("question", "asked"),
    [("gh-run", ["run", "view", "42", "--json", "status,conclusion,name"]),
     ("gh-pr", ["pr", "view", "42", "--json", "state,mergedAt,title"]),
     ("gh-runs", ["run", "list", "--limit", "20", "--branch", "42", "--json",
                  "databaseId,headBranch,headSha,name,status,conclusion,createdAt,workflowName"])],
)  # fmt: skip
def test_gh_is_asked_with_fixed_arguments(programs: Path, question: str, asked: list[str]) -> None:
    program(programs, 'echo "$@"')
    assert answer(question, "42").decode().split() == asked


@pytest.mark.parametrize("word", ["-R", "", "a b", "--web", "$(x)", "a\n", "é", "x" * 201])
def test_what_could_be_anything_but_a_name_is_refused(programs: Path, word: str) -> None:
    program(programs, "echo ran")
    with pytest.raises(OSError, match="can't be looked up"):
        answer("gh-run", word)
    with pytest.raises(OSError, match="can't be looked up"):
        answer("git-head", word or "x")


def test_a_program_that_fails_or_is_not_there_is_told_in_words(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program(programs, "echo 'not logged in' >&2; exit 4")
    with pytest.raises(OSError, match="gh failed: not logged in"):
        answer("gh-pr", "1")
    program(programs, "exit 3")
    with pytest.raises(OSError, match="code 3"):
        answer("gh-pr", "1")
    monkeypatch.setattr("moot.tools.TIMEOUT_S", 0.05)
    program(programs, "exec sleep 5")
    with pytest.raises(OSError, match="didn't answer"):
        answer("gh-pr", "1")
    monkeypatch.setenv("PATH", str(programs / "none"))
    with pytest.raises(OSError, match="gh isn't installed"):
        answer("gh-pr", "1")


def test_the_daemon_names_a_question_and_gets_the_answer_or_the_words(programs: Path) -> None:
    program(programs, 'echo \'{"state": "MERGED"}\'')
    reply: Any = Files().carry_out("tool", ["gh-pr", "7"])
    assert reply[0] == "data"
    assert json.loads(reply[1]) == {"state": "MERGED"}
    failed: Any = Files().carry_out("tool", ["gh-pr", "-x"])
    assert failed[0] == "fail"
    with pytest.raises(ValueError, match="anything"):
        Files().carry_out("tool", ["anything", ""])
