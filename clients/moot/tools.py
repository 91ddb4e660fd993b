"""What a client asks the user's own programs for the daemon's commands: where git stands, how a run or pull request is.

Which program runs, and with which arguments, is fixed here; the daemon names one of these questions and at most one
word that belongs to it. Programs get no input and have no terminal to ask at.
"""

import os
import re
import subprocess

MOST_BYTES = 64 * 1024
"""Bytes of an answer that are passed on: what is asked for are lines, not files."""
TIMEOUT_S = 30
"""Seconds that a program may take: some ask a server."""
GIT_HEAD, GIT_HOOKS, GH_RUN, GH_PR = "git-head", "git-hooks", "gh-run", "gh-pr"
GIT_COMMIT, GIT_BRANCH, GH_RUNS = "git-commit", "git-branch", "gh-runs"

_COMMANDS = {
    GIT_HEAD: ("git", "rev-parse", "--short", "HEAD"),
    GIT_HOOKS: ("git", "rev-parse", "--path-format=absolute", "--git-path", "hooks"),
    GIT_COMMIT: ("git", "rev-parse", "HEAD"),
    GIT_BRANCH: ("git", "rev-parse", "--abbrev-ref", "HEAD"),
    GH_RUNS: (
        "gh",
        "run",
        "list",
        "--limit",
        "20",
        "--branch",
        "{}",
        "--json",
        "databaseId,headBranch,headSha,name,status,conclusion,createdAt,workflowName",
    ),
    GH_RUN: ("gh", "run", "view", "{}", "--json", "status,conclusion,name"),
    GH_PR: ("gh", "pr", "view", "{}", "--json", "state,mergedAt,title"),
}
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./:#@-]{0,199}", re.ASCII)
"""What can stand for a run or a pull request: a number, a branch, an address; never a flag."""


def answer(question: str, word: str = "") -> bytes:
    """What a program says.

    Args:
        question: which one.
        word: what it is about, where it is about something.

    Returns:
        What it writes to standard output.

    Raises:
        OSError: the program isn't there, takes too long or fails; says so in words.
        ValueError: there is no such question.
    """
    command = _COMMANDS.get(question)
    if command is None:
        raise ValueError(question)
    if ("{}" in command) != bool(word) or (word and not _WORD.fullmatch(word)):
        raise OSError(22, f"{word!r} can't be looked up with {command[0]}")
    surroundings = os.environ | {"GIT_OPTIONAL_LOCKS": "0", "GH_PROMPT_DISABLED": "1", "NO_COLOR": "1"}
    try:
        done = subprocess.run(  # noqa: S603 - the arguments are fixed but for a word that is no flag
            [word if part == "{}" else part for part in command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=surroundings,
            timeout=TIMEOUT_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise OSError(2, f"{command[0]} isn't installed, or not on the PATH") from error
    except subprocess.TimeoutExpired as error:
        raise OSError(110, f"{command[0]} didn't answer within {TIMEOUT_S} seconds") from error
    if done.returncode != 0:
        words = done.stderr[:4096].decode("utf-8", "replace").strip()
        raise OSError(5, f"{command[0]} failed: {words or f'it ended with code {done.returncode}'}")
    return done.stdout[:MOST_BYTES]
