"""Runs the real client process, in an environment that holds nothing but what a test puts there."""

import os
import pty
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

from moot_testkit.clients.control import PATIENCE

SCRIPT = Path(__file__).parents[4] / "clients" / "scripts" / "moot"
"""The installed command, as it stands in the repository."""


def environment(folder: Path, **variables: str) -> dict[str, str]:
    """The environment of a client whose home and runtime folder are this folder."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "MOOT_NO_AUTOSTART": "1",
        **variables,
    }


class Shell:
    """A folder that clients are run from.

    Args:
        folder: their home and runtime folder; the daemon's socket lies in it as `moot/moot.sock`.
        work: their working directory.
    """

    def __init__(self, folder: Path, work: Path) -> None:
        self.folder = folder
        self.work = work

    def command(self, *arguments: str, program: str = "moot") -> list[str]:
        """The command line; any program but `moot` is a link to it."""
        script = SCRIPT
        if program != "moot":
            script = self.folder / program
            script.unlink(missing_ok=True)
            script.symlink_to(SCRIPT)
        return [sys.executable, str(script), *arguments]

    def run(
        self, *arguments: str, program: str = "moot", stdin: bytes = b"", **variables: str
    ) -> "subprocess.CompletedProcess[bytes]":
        """Run a client to its end."""
        return subprocess.run(
            self.command(*arguments, program=program),
            input=stdin,
            cwd=self.work,
            env=environment(self.folder, **variables),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[bytes]":
        """Start a client and leave it running."""
        return subprocess.Popen(
            self.command(*arguments), cwd=self.work, env=environment(self.folder), bufsize=0, **options
        )

    def run_code(self, code: str, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[bytes]":
        """Run a Python program that calls the client, to its end."""
        return subprocess.run(
            [sys.executable, "-c", code, *arguments],
            cwd=self.work,
            env=environment(self.folder, **variables),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )


def run_at_terminal(shell: Shell, *arguments: str, **variables: str) -> tuple[int, bytes]:
    """Run a client whose three standard streams are a terminal of 100 columns; its exit code and output."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 100))
    environment = {"PATH": os.environ["PATH"], "XDG_RUNTIME_DIR": str(shell.folder), **variables}
    with subprocess.Popen(
        shell.command(*arguments), stdin=theirs, stdout=theirs, stderr=theirs, cwd=shell.work, env=environment
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while data := os.read(ours, 65536):
                shown += data
        except OSError:  # how Linux tells that the other side has closed
            process.wait(PATIENCE)
        os.close(ours)
        return process.wait(PATIENCE), shown
