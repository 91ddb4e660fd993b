"""Clients that may start a daemon, with programs of the test's own in the daemon's place."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from moot_testkit.clients.control import until
from moot_testkit.clients.thin import Shell

SUPPORT = Path(__file__).parents[2]


class StartingShell(Shell):
    """A shell whose clients start a program of the test's own where they would start the daemon."""

    def __init__(self, folder: Path, work: Path) -> None:
        super().__init__(folder, work)
        self.started = folder / "started"
        self.state = folder / ".local" / "state" / "moot"
        self.settings = folder / "settings"

    def becomes(self, script: str) -> None:
        """What the interpreter that should run the daemon is; it notes its process and its arguments first.

        To the script `$n` is its number, from 1, in the order in which they were started.
        """
        program = self.folder / "python"
        if not self.settings.exists():
            self.finds("exit 0")
        number = f"n=1; until mkdir {self.started}.$n 2>/dev/null; do n=$((n + 1)); done"
        program.write_text(
            f'#!/bin/sh\n[ "$4" = check ] && . {self.settings}\n{number}\necho "$$ $*" >> {self.started}\n{script}\n'
        )
        program.chmod(0o755)

    def finds(self, script: str) -> None:
        """What it does where it is asked to look at its settings, which is noted nowhere; by default it likes them."""
        self.settings.write_text(f"{script}\n")

    def serves(self, *arguments: str, first: str = "") -> None:
        """It is a daemon that serves, with the words of a real one; `first` is script that runs before."""
        words = " ".join(("mootd", "run", *arguments))
        self.becomes(f"{first}\nPYTHONPATH={SUPPORT} exec {sys.executable} -m moot_testkit.clients.toy_daemon {words}")

    @contextmanager
    def starting(self, *arguments: str) -> Iterator[None]:
        """Run a client that starts a daemon, in another thread; what was started is killed in the end."""
        with ThreadPoolExecutor(1) as executor:
            executor.submit(self.moot, *arguments)
            until(lambda: bool(self.processes()))
            try:
                yield
            finally:
                self.kill()

    def kill(self) -> None:
        """Kill whatever was started."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            until(partial(has_ended, pid))

    def moot(self, *arguments: str, before: str = "") -> "subprocess.CompletedProcess[bytes]":
        """Run a client that may start the daemon; `before` is code that it runs first."""
        code = f"""
import sys
sys.executable = {str(self.folder / "python")!r}
import moot.daemon_commands, moot.startup, moot.thin
{before}
moot.thin.main(["moot", *sys.argv[1:]])
"""
        return self.run_code(code, *arguments, MOOT_NO_AUTOSTART="")

    def processes(self) -> list[int]:
        """The processes that were started."""
        return [int(line.split()[0]) for line in self.started.read_text().splitlines()] if self.started.exists() else []


def has_ended(pid: int) -> bool:
    """Whether a process is gone, or only waits to be collected by whoever is its parent now."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except (FileNotFoundError, ProcessLookupError):  # it went before we opened, or while we read
        return True
