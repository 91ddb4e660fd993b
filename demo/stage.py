"""What the demos stand on: machines with a home of their own, what is shown of them, and how all of it ends.

A stage is a temporary folder, and every process on it knows that folder by its HOME. Beside the demo runs a guard that
ends them all and removes the folder as soon as the demo is gone, however it went: at its end, by an error, or killed.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
import venv
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import dropwhile
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv-demo"
STAMP = ENVIRONMENT / "installed"
SHOWN_LINES = 8
GRACE_SECONDS = 5.0
"""How long a process may take to end by itself."""
_LOOK_SECONDS = 0.05
_TOLD_SECONDS = 1.0
"""What takes longer is told."""
COLUMNS = 80


def folded(text: str, begin: str = "", below: str = "") -> str:
    """A paragraph of the demo's own words, in lines that fit."""
    return textwrap.fill(
        text, COLUMNS, initial_indent=begin, subsequent_indent=below, break_long_words=False, break_on_hyphens=False
    )


def say(text: str) -> None:
    text = folded(text)
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def aside(text: str) -> None:
    """Something said between two commands."""
    print(f"\n{folded(text, '  ', '  ')}", flush=True)


@contextmanager
def meanwhile(what: str) -> Iterator[Callable[[], None]]:
    """Say what goes on as it begins, and how long it took at its end; what it gives marks that a part is done."""
    print(f"\n  ({what} …", end="", flush=True)
    begun = time.perf_counter()
    try:
        yield lambda: print(".", end="", flush=True)
    except BaseException:
        print(flush=True)
        raise
    print(f" {time.perf_counter() - begun:.1f} s)", flush=True)


def claim(what: str, holds: object) -> None:
    """Say something that the demo stands for, and end it if it isn't so."""
    if not holds:
        raise SystemExit(f"\n  NOT SO: {what}")
    print(folded(what, "  ✓ ", "    "), flush=True)


def quoted(word: str) -> str:
    return f'"{word}"' if " " in word or not word else word


class Machine:
    """Runs commands in a home of its own, and shows them."""

    def __init__(self, home: Path, actor: str, commands: Path, *, prompt: str = "$ ") -> None:
        self.home = home
        self.project = home / "project"
        self.project.mkdir(parents=True, exist_ok=True)
        (home / "run").mkdir(mode=0o700, exist_ok=True)
        self.moot = commands / "moot"
        self.prompt = prompt
        self.environment = {
            "HOME": str(home),
            "PATH": f"{commands}:{os.environ.get('PATH', '/usr/bin:/bin')}",
            "XDG_RUNTIME_DIR": str(home / "run"),
            "MOOT_ACTOR": actor,
            "LANG": "C.UTF-8",
        }

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command, whatever comes of it; standard input is closed, or a text."""
        return subprocess.run(
            [self.moot, *arguments],
            cwd=self.project,
            env=self.environment,
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            check=False,
        )

    def must(self, *arguments: str, stdin: str | None = None) -> str:
        """Run a command that has to succeed, and return its standard output; nothing is shown."""
        done = self.run(*arguments, stdin=stdin)
        if done.returncode:
            raise SystemExit(f"moot {' '.join(arguments)} failed ({done.returncode}): {done.stdout}{done.stderr}")
        return done.stdout

    def show(
        self, *arguments: str, lines: int = SHOWN_LINES, stdin: str | None = None, fails: int = 0, first: str = ""
    ) -> str:
        """Run a command and show it as a terminal would; returns what it printed.

        Args:
            arguments: the command's.
            lines: how many lines of it to show.
            stdin: what it reads.
            fails: the exit code that it has to end with.
            first: how the first line begins that is shown.
        """
        print(f"\n  {self.prompt}{' '.join(['moot', *map(quoted, arguments)])}", flush=True)
        begun = time.perf_counter()
        done = self.run(*arguments, stdin=stdin)
        output = (done.stdout + done.stderr).rstrip("\n").split("\n")
        output = list(dropwhile(lambda line: not line.startswith(first), output))
        for line in output[:lines]:
            print(f"    {line}")
        if len(output) > lines:
            print(f"    … {len(output) - lines} more lines")
        tell_time(begun)
        if done.returncode != fails:
            raise SystemExit(f"that ended with exit code {done.returncode} instead of {fails}")
        return done.stdout + done.stderr

    def json(self, *arguments: str) -> Any:
        """A command's `--json` answer, not shown."""
        return json.loads(self.must(*arguments, "--json"))

    def pid(self) -> int:
        """The daemon's process id."""
        pid: int = self.json("daemon", "status")["pid"]
        return pid


def tell_time(begun: float) -> None:
    """Say how long something took, if one may have noticed."""
    took = time.perf_counter() - begun
    if took > _TOLD_SECONDS:
        print(f"    ({took:.1f} s)", flush=True)


def all_at_once(*work: Callable[[], T]) -> list[T]:
    """Do several things at the same time, and return what each came to."""
    with ThreadPoolExecutor(len(work)) as pool:
        return [future.result() for future in [pool.submit(each) for each in work]]


def digest(machine: Machine, plane: str) -> str:
    """A machine's digest of what it holds of a plane."""
    planes = machine.json("status")["planes"]
    found: str = next(each["digest"] for each in planes if each["name"] == plane)
    return found


def invite(machine: Machine, *flags: str, lines: int = 1) -> str:
    """Make a ticket, shown in part, and return it."""
    print(f"\n  {machine.prompt}{' '.join(('moot', 'invite', *flags))}", flush=True)
    done = machine.run("invite", *flags)
    if done.returncode:
        raise SystemExit(f"that failed: {done.stderr}")
    ticket = done.stdout.strip()
    for line in [f"{ticket[:60]}…", *done.stderr.splitlines()][:lines]:
        print(f"    {line}", flush=True)
    return ticket


# -- Installation ------------------------------------------------------------------------------------------------
def install() -> Path:
    """Install this checkout into the demos' environment, if it has changed since; the folder of its commands."""
    sources = [
        ROOT / "pyproject.toml",
        *(path for top in ("protocol", "daemon", "clients") for path in (ROOT / top).rglob("*")),
    ]
    newest = max(path.stat().st_mtime for path in sources if "__pycache__" not in path.parts)
    if not STAMP.exists() or STAMP.stat().st_mtime <= newest:
        say("Setting up: an environment inside the checkout (.venv-demo)…")
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "--upgrade", "pip"], check=True)
        subprocess.run([*pip, str(ROOT)], check=True)
        STAMP.touch()
    return ENVIRONMENT / "bin"


def add_installed(parser: argparse.ArgumentParser) -> None:
    """The flag that tells a demo to use what is installed already."""
    parser.add_argument(
        "--installed", action="store_true", help="use the moot beside this Python, and don't install this checkout"
    )


def commands_of(given: argparse.Namespace) -> Path:
    """The folder of the `moot` to use."""
    return Path(sys.executable).parent if given.installed else install()


# -- The stage ---------------------------------------------------------------------------------------------------
@contextmanager
def stage() -> Iterator[Path]:
    """A temporary folder. At the end, even if we are killed, what is at home in it has ended, and it is gone."""
    # A guard that Ctrl-C doesn't reach: it waits for us.
    folder = Path(tempfile.mkdtemp(prefix="moot-demo-"))
    guard = subprocess.Popen(
        [sys.executable, __file__, str(folder), str(GRACE_SECONDS)],
        stdin=subprocess.PIPE,
        cwd="/",
        start_new_session=True,
    )
    try:
        yield folder
    finally:
        if guard.stdin:
            guard.stdin.close()
        with meanwhile("every process of the demo is being ended, and its folder removed") as mark:
            while _is_running(guard):
                mark()


def _is_running(process: "subprocess.Popen[bytes]") -> bool:
    """Whether a process doesn't end within a moment that one would notice."""
    try:
        process.wait(_TOLD_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def guard(folder: Path, grace_seconds: float) -> None:
    """Wait until nobody holds our standard input, then end what is at home in a folder, and remove that."""
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    while os.read(sys.stdin.fileno(), 1):
        pass
    end_all(folder, grace_seconds)
    shutil.rmtree(folder, ignore_errors=True)


def end_all(folder: Path, grace_seconds: float) -> None:
    """End all processes whose HOME lies in a folder: asked first, then killed."""
    for process in at_home_in(folder):
        _signal(process, signal.SIGTERM)
    asked = time.monotonic()
    while (left := at_home_in(folder)) and time.monotonic() - asked < grace_seconds:
        time.sleep(_LOOK_SECONDS)
    for process in left:
        _signal(process, signal.SIGKILL)


def at_home_in(folder: Path) -> list[int]:
    """The ids of the processes whose HOME is a folder, or lies in it."""
    places = (place for place in Path("/proc").iterdir() if place.name.isdecimal())
    return [int(place.name) for place in places if _home_of(place).is_relative_to(folder)]


def _home_of(place: Path) -> Path:
    try:
        variables = (place / "environ").read_bytes().split(b"\0")
    except OSError:
        return Path("/")  # it has ended, or isn't ours
    home = next((each for each in variables if each.startswith(b"HOME=")), b"HOME=/")
    return Path(os.fsdecode(home.removeprefix(b"HOME=")))


def _signal(process: int, number: signal.Signals) -> None:
    try:
        os.kill(process, number)
    except ProcessLookupError:
        return  # it was quicker


# -- The broker --------------------------------------------------------------------------------------------------
class Broker:
    """A `mosquitto` that listens on this machine alone."""

    def __init__(self, program: str, folder: Path) -> None:
        self._program = program
        self._folder = folder
        folder.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        settings = f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n"
        (folder / "mosquitto.conf").write_text(settings, encoding="utf-8")
        self.start()

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._running = subprocess.Popen(
            [self._program, "-c", str(self._folder / "mosquitto.conf")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "HOME": str(self._folder)},
        )
        while self._running.poll() is None and not self._listens():
            time.sleep(_LOOK_SECONDS)

    def _listens(self) -> bool:
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        self._running.terminate()
        self._running.wait()


def broker(folder: Path) -> Broker | None:
    """A broker with a folder of its own, where `mosquitto` is installed."""
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return None if program is None else Broker(program, folder)


if __name__ == "__main__":
    guard(Path(sys.argv[1]), float(sys.argv[2]))
