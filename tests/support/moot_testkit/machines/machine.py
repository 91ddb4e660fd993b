"""One user's machine for end-to-end tests: a home of its own, the real daemon, the real client."""

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from moot.rpc import Client
from moot_protocol.requests.issues import InitProject, InitTown
from moot_protocol.requests.machine import Ping

BIN = Path(sys.executable).parent
PROJECT = "demo"


class Machine:
    """A home folder with everything of Moot's in it.

    Args:
        home: an empty folder with a short path: a Unix socket's has 108 bytes.
    """

    command_s = 60
    """How long a command may take."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "project"
        self.folder.mkdir()
        (home / "run").mkdir(mode=0o700)
        self.environment = {
            "HOME": str(home),
            "PATH": f"{BIN}:/usr/bin:/bin",
            "XDG_RUNTIME_DIR": str(home / "run"),
            "MOOT_ACTOR": "ada",
            "LANG": "C.UTF-8",
        }
        self.socket = home / "run" / "moot" / "moot.sock"
        self.data = home / ".local" / "share" / "moot"

    def run(
        self, *arguments: str, stdin: str | None = None, program: str = "moot", folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's folder and return what became of it."""
        return subprocess.run(
            self.inside([BIN / "moot" if program == "moot" else self.linked(program), *arguments]),
            cwd=folder or self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=self.command_s,
        )

    def inside(self, command: Sequence[str | Path]) -> Sequence[str | Path]:
        """A command as it is run on this machine: one on a network of its own says how."""
        return command

    def linked(self, name: str) -> Path:
        """The client under another name."""
        link = self.home / name
        if not link.exists():
            link.symlink_to(BIN / "moot")
        return link

    def ok(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a command that must succeed, and return its standard output."""
        done = self.run(*arguments, stdin=stdin)
        assert done.returncode == 0, f"moot {arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """A command's document."""
        return json.loads(self.ok(*arguments, "--json"))

    def start(self) -> int:
        """Start the daemon and return its process id."""
        self.ok("daemon", "start")
        with self.client() as client:
            pid: int = client.call(Ping())["pid"]
        return pid

    def client(self) -> Client:
        """A program's connection to the daemon."""
        return Client(self.socket)

    def found(self) -> None:
        """Make the town and one project, without a word at a terminal."""
        with self.client() as client:
            client.call(InitTown())
            client.call(InitProject(actor="ada", prefix=PROJECT))

    def log(self) -> Sequence[str]:
        """The daemon's log."""
        path = self.home / ".local" / "state" / "moot" / "daemon.log"
        return path.read_text().splitlines() if path.exists() else []

    def kill(self, pid: int) -> None:
        """Kill the daemon with -9 and wait until it is gone."""
        handle = os.pidfd_open(pid)
        try:
            os.kill(pid, signal.SIGKILL)
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            assert poll.poll(30_000), "the daemon is still there after 30 seconds"
        finally:
            os.close(handle)

    def remove(self) -> None:
        """Stop the daemon and remove everything."""
        self.run("daemon", "stop")
        shutil.rmtree(self.home, ignore_errors=True)


@contextmanager
def machine() -> Iterator[Machine]:
    """A machine for the duration of a test."""
    made = Machine(Path(tempfile.mkdtemp(prefix="moot-")))
    try:
        yield made
    finally:
        made.remove()


@contextmanager
def town_of_two(*remote: str) -> Iterator[tuple[Machine, Machine]]:
    """Two machines of one town that are in step over a remote, named as `moot remote add` takes it."""
    with machine() as one, machine() as two:
        one.ok("init", "--prefix", PROJECT)
        one.ok("remote", "add", *remote)
        ticket = one.ok("invite").splitlines()[-1]
        two.ok("join", "-", stdin=ticket)
        for each in (two, one, two):
            each.ok("sync", "--wait")
        two.ok("init", "--prefix", PROJECT)
        yield one, two
