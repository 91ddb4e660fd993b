"""The messages of a repository's commits, for the daemon's commands: for them the client runs git.

The arguments are fixed here and only the number of commits comes from the daemon. Git only reads: no lock is taken, no
pager, hook, signature program or credential helper runs, and nothing is fetched.
"""

import os
import subprocess

MOST_COMMITS = 10_000
"""Commits in one answer, however many are asked for: some seconds of git's."""
MOST_BYTES = 4 * 1024 * 1024
"""Bytes of the answer: it has to fit a frame. What is older is left out."""

ARGUMENTS = (
    "--no-pager", "-c", "log.showSignature=false", "log", "-z", "--no-color", "--no-decorate", "--no-notes",
    "--encoding=UTF-8", "--format=%h%x09%B", "--exclude=refs/moot/*", "--all",
)  # fmt: skip


def git_log(most: int) -> bytes:
    """The latest commits of the repository around the present folder, newest first, divided by zero bytes.

    Args:
        most: how many.

    Returns:
        Of each its short hash, a tab, and its message.

    Raises:
        OSError: git isn't there, or the folder is in no repository.
    """
    surroundings = os.environ | {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_LAZY_FETCH": "1"}
    command = ["git", *ARGUMENTS, f"--max-count={min(most, MOST_COMMITS)}", "--"]
    with subprocess.Popen(  # noqa: S603 - the arguments are fixed
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=surroundings
    ) as process:
        assert process.stdout is not None  # noqa: S101 - for the type checker: it was asked for
        assert process.stderr is not None  # noqa: S101 - as above
        data = process.stdout.read(MOST_BYTES)
        whole = not process.stdout.read(1)
        if not whole:
            process.kill()
        problem = process.stderr.read(4096).decode("utf-8", "replace").strip()
    if whole and process.returncode != 0:
        raise OSError(22, f"git can't tell its log: {problem or f'it ended with code {process.returncode}'}")
    return data if whole else data[: data.rfind(b"\0")]
