"""What users feel: the command line, the socket, start and memory, with the real daemon in an ordinary install."""

import itertools
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import lmdb
from measure import Row, each_seconds, micro, percentile, resident_mb, seconds
from world import PROJECT, folder, issue_lines, scratch

from moot.rpc import Client
from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import Create, InitProject, InitTown, IssueFields, ListIssues, Ready, Show
from moot_protocol.requests.machine import Ping
from moot_protocol.requests.transfer import Import

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".bench" / "venv"
CHUNK = 1000
"""Lines of a file in one request."""
WARMING = 5
"""Runs of each command that are not counted."""


def install() -> Path:
    """Install this checkout as a user would; returns its bin folder."""
    sources = [path for top in ("protocol", "daemon", "clients") for path in (ROOT / top).rglob("*.py")]
    stamp = ENVIRONMENT / "installed"
    if not stamp.exists() or stamp.stat().st_mtime < max(path.stat().st_mtime for path in sources):
        venv.create(ENVIRONMENT, with_pip=True, clear=True)
        pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*pip, "--upgrade", "pip"], check=True, stderr=subprocess.DEVNULL)
        subprocess.run([*pip, str(ROOT)], check=True, stderr=subprocess.DEVNULL)
        stamp.touch()
    return ENVIRONMENT / "bin"


class Daemon:
    """A daemon of its own, with its data on the disk of the checkout."""

    def __init__(self) -> None:
        self.bin = install()
        self.data = folder()
        self.home = Path(tempfile.mkdtemp(prefix="moot-bench-"))
        (self.home / "run").mkdir(mode=0o700)
        (self.home / "project").mkdir()
        self.environment = {
            "HOME": str(self.home), "PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(self.home / "run"),
            "XDG_DATA_HOME": str(self.data), "MOOT_ACTOR": "bench", "LANG": "C.UTF-8",
        }  # fmt: skip
        self.socket = self.home / "run" / "moot" / "moot.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self.filling = 0.0
        """The seconds that filling it took."""

    def start(self) -> float:
        """Start it; how long it took until it answered."""
        begun = time.perf_counter()
        self._process = subprocess.Popen(
            [self.bin / "mootd", "run"], env=self.environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        while True:
            try:
                with self.client() as client:
                    client.call(Ping())
                    return time.perf_counter() - begun
            except Exception:
                if self._process.poll() is not None:
                    raise
                time.sleep(0.002)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def client(self) -> Client:
        return Client(self.socket)

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.rmtree(self.data, ignore_errors=True)

    def fill(self, count: int) -> float:
        """Import this many generated issues through the socket; the seconds that took."""
        with self.client() as client:
            client.call(InitTown())
            client.call(InitProject(actor="bench", prefix=PROJECT))
            lines = issue_lines(count)
            begun = time.perf_counter()
            for start in range(0, count, CHUNK):
                client.call(_chunk(lines, start, "bench"), deadline_ms=120_000)
            return time.perf_counter() - begun


def _chunk(lines: list[bytes], start: int, session: str) -> Import:
    chunk, is_last = tuple(lines[start : start + CHUNK]), start + CHUNK >= len(lines)
    return Import(actor="bench", project=PROJECT, lines=chunk, first_line=start + 1, session=session, last=is_last)


@contextmanager
def running(count: int = 0) -> Iterator[Daemon]:
    daemon = Daemon()
    try:
        daemon.start()
        daemon.filling = daemon.fill(count)
        yield daemon
    finally:
        daemon.remove()


def bench_cli(runs: int = 40) -> list[Row]:
    with running(10_000) as daemon:
        folder = daemon.home / "project"

        def run(*words: str) -> str:
            done = subprocess.run(
                words, env=daemon.environment, cwd=folder, check=False, capture_output=True, text=True
            )
            if done.returncode:
                raise SystemExit(f"{' '.join(words)}: {done.returncode}\n{done.stderr}")
            return done.stdout

        def moot(*words: str) -> str:
            return run(str(daemon.bin / "moot"), *words)

        def floor() -> object:
            return run(str(daemon.bin / "python"), "-c", "pass")

        moot("init", "--prefix", PROJECT)
        waiting = [moot("q", f"To be closed {number}").strip() for number in range(runs + WARMING)]
        shown = waiting[0]
        commands: dict[str, Callable[[], object]] = {
            "ready, 10,000 issues": lambda: moot("ready"),
            "create": lambda: moot("create", "Created"),
            "show": lambda: moot("show", shown),
            "close": lambda: moot("close", waiting.pop()),
            "prime": lambda: moot("prime"),
        }
        return [_against(f"moot {name}, warm daemon", command, floor, runs) for name, command in commands.items()]


def _against(what: str, command: Callable[[], object], floor: Callable[[], object], runs: int) -> Row:
    """A command beside the floor, in turns."""
    for _ in range(WARMING):
        floor()
        command()
    pairs = [(seconds(command), seconds(floor)) for _ in range(runs)]
    measured, least = statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs)
    ratio = statistics.median(a / b for a, b in pairs)
    return Row(what, micro(measured), f"python -c pass {micro(least)}", ratio, 1.3, "×")


def bare_commit() -> float:
    """One bare LMDB synced commit of 300 bytes."""
    with scratch() as path:
        environment = lmdb.open(str(path), map_size=1 << 30)

        def commit(number: int) -> None:
            with environment.begin(write=True) as txn:
                txn.put(number.to_bytes(8, "big"), b"x" * 300, append=True)

        times = each_seconds(commit, 200)
        environment.close()
    return statistics.median(times)


def bench_socket() -> list[Row]:
    with running(1) as daemon:
        commit = bare_commit()
        alone = statistics.median(_create(daemon, 300))
        clients = subprocess.run(
            [sys.executable, __file__, str(daemon.socket), "32", "100"], check=True, capture_output=True
        )
        together = float(clients.stdout)
        floor = (commit + bare_commit()) / 2
        shown = f"a commit {micro(floor)}"
        return [
            Row("durable create through the socket, 1 client", micro(alone), shown, alone / floor, 3, "×"),
            Row("  32 clients, a write", micro(together), shown, together / floor, 0.3, "×"),
        ]


def _create(daemon: Daemon, count: int) -> list[float]:
    with daemon.client() as client:
        return each_seconds(
            lambda number: client.call(
                Create(actor="bench", project=PROJECT, fields=IssueFields(title=f"Created {number}"))
            ),
            count,
        )


def many_clients(socket: str, clients: int, each: int) -> None:
    """Print the seconds a write takes when many connections write at once: run in a process of its own."""
    barrier = threading.Barrier(clients + 1)

    def write() -> None:
        with Client(socket) as client:
            client.call(Ping())
            barrier.wait()
            for number in range(each):
                client.call(Create(actor="bench", project=PROJECT, fields=IssueFields(title=f"Created {number}")))

    threads = [threading.Thread(target=write) for _ in range(clients)]
    for thread in threads:
        thread.start()
    barrier.wait()
    begun = time.perf_counter()
    for thread in threads:
        thread.join()
    print((time.perf_counter() - begun) / (clients * each))


REQUESTS: dict[str, Request[Any]] = {
    "ready": Ready(),
    "list --limit 50": ListIssues(limit=50),
    "show": Show(ids=(f"{PROJECT}-0000500",)),
}


def bench_reads(scale: int) -> list[Row]:
    with running(10_000) as small:
        few = {name: _waits(small, name) for name in REQUESTS}
        idle = resident_mb(small.pid)
    with running(scale) as large:
        many = {name: _waits(large, name) for name in REQUESTS}
        busy = _while_importing(large)
        grown = resident_mb(large.pid)
        large.stop()
        started = statistics.median(_restart(large) for _ in range(5))
    rows = [
        Row(f"import of {scale:,} issues through the socket", f"{large.filling / scale * 1e6:,.1f} µs an issue", "",
            scale / large.filling, 20_000, "/s", at_least=True),
    ]  # fmt: skip
    for name in REQUESTS:
        rows.append(_wait_row(f"{name} at the socket, {scale:,} issues, p99", many[name], 2))
        ratio = many[name].p99 / few[name].p99
        rows.append(Row("  against 10,000 issues", micro(many[name].p99), micro(few[name].p99), ratio, 1.5, "×"))
        rows.append(_wait_row("  while bulk ingest runs, p99", busy[name], 10))
    rows.append(Row(f"start with {scale:,} issues, to the first `ready`", micro(started), "", started, 0.3, "s"))
    rows.append(Row("resident memory, 10,000 issues imported", f"{idle:.1f} MB", "", idle, 45, "MB"))
    rows.append(Row(f"resident memory with {scale:,} issues", f"{grown:.1f} MB", "", grown, 120, "MB"))
    return rows


def _restart(daemon: Daemon) -> float:
    """The seconds until a daemon that is started has answered what reads its store."""
    begun = time.perf_counter()
    daemon.start()
    with daemon.client() as client:
        client.call(Ready())
    taken = time.perf_counter() - begun
    daemon.stop()
    return taken


class Waits(NamedTuple):
    """The seconds that a client waits for an answer. What lies between both is mostly the machine's doing."""

    median: float
    p99: float


def _wait_row(what: str, waits: Waits, aim_ms: float) -> Row:
    return Row(what, micro(waits.p99), f"median {micro(waits.median)}", waits.p99 * 1e3, aim_ms, "ms")


def _waits(daemon: Daemon, name: str) -> Waits:
    request = REQUESTS[name]
    with daemon.client() as client:
        times = each_seconds(lambda _: client.call(request), 400)[50:]
    return Waits(statistics.median(times), percentile(times, 99))


def _while_importing(daemon: Daemon) -> dict[str, Waits]:
    """The same of all requests while another process imports without a pause."""
    loader = subprocess.Popen(
        [sys.executable, __file__, "load", str(daemon.socket)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert loader.stdout is not None
    loader.stdout.readline()
    try:
        return {name: _waits(daemon, name) for name in REQUESTS}
    finally:
        loader.communicate(b"enough")


def load(socket: str, count: int = 20_000) -> None:
    """Import without a pause until standard input ends, from a process of its own: its work is no reader's."""
    lines = issue_lines(count, seed=7)
    done = threading.Event()

    def wait() -> None:
        sys.stdin.read()
        done.set()

    threading.Thread(target=wait).start()
    with Client(socket) as client:
        for round_ in itertools.count():
            fresh = [line.replace(b'"gen-', b'"more%d-' % round_) for line in lines]
            for start in range(0, count, CHUNK):
                client.call(_chunk(fresh, start, f"more{round_}"), deadline_ms=120_000)
                if start == CHUNK and not round_:
                    print("under way", flush=True)
                if done.is_set():
                    return


if __name__ == "__main__":
    if sys.argv[1] == "load":
        load(sys.argv[2])
    else:
        many_clients(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
