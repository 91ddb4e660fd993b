"""A control socket that really listens, in a thread of its own, before answers made up by the test."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from moot.console.terminal import Facts
from moot_protocol.control import rpc
from moot_protocol.control.effects import LATER
from moot_protocol.requests.base import Request
from moot_protocol.requests.machine import Ping
from moot_testkit.clients.terminal import FACTS
from mootd.control.hosting import HostedTerminal
from mootd.control.listener import listening
from mootd.control.ports import Answered, Settings
from mootd.control.server import ControlServer

PATIENCE = 120
"""Seconds after which a test gives up; nothing ever waits that long unless it is broken."""

Command = Callable[[HostedTerminal[Facts]], int]
Quick = Callable[[Any], Any]
Slow = Callable[[Any], Awaitable[Any]]
Begun = Callable[[Any, Answered], Callable[[], object]]


@contextmanager
def short_folder() -> Iterator[Path]:
    """A temporary folder whose path is short enough for a socket in it."""
    folder = tempfile.mkdtemp(prefix="moot")
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder)


class Answers:
    """A dispatcher: `quick`, `slow` and `begun` hold an answering function for each request class."""

    def __init__(self) -> None:
        self.quick: dict[type[Request[Any]], Quick] = {Ping: lambda _: {"pid": os.getpid()}}
        self.slow: dict[type[Request[Any]], Slow] = {}
        self.begun: dict[type[Request[Any]], Begun] = {}
        self.keys: list[str] = []
        self.deadlines: list[float] = []
        self.cancelled = threading.Semaphore(0)
        """Released for every slow request that was cancelled."""

    def is_quick(self, request: Request[Any]) -> bool:
        return type(request) in self.quick

    def handle(self, request: Request[Any], key: str) -> Any:
        self.keys.append(key)
        return self.quick[type(request)](request)

    def begin(
        self, request: Request[Any], key: str, deadline: float, answered: Answered
    ) -> Callable[[], object] | None:
        begin = self.begun.get(type(request))
        if begin is None:
            return None
        self.keys.append(key)
        self.deadlines.append(deadline - asyncio.get_running_loop().time())
        return begin(request, answered)

    async def handle_async(self, request: Request[Any], key: str, deadline: float) -> Any:
        self.keys.append(key)
        self.deadlines.append(deadline - asyncio.get_running_loop().time())
        try:
            return await self.slow[type(request)](request)
        except asyncio.CancelledError:
            self.cancelled.release()
            raise


class Commands:
    """A console host that runs one function as every command."""

    def __init__(self) -> None:
        self.command: Command = lambda _: 0
        self.ended = threading.Semaphore(0)
        """Released when a command's thread has ended."""

    def facts(self, call: rpc.Call) -> Facts:
        return rpc.decode_params(call, Facts)

    def is_urgent(self, facts: Facts) -> bool:
        return facts.argv[:1] == ("daemon",)

    def run(self, terminal: HostedTerminal[Facts]) -> int:
        try:
            return self.command(terminal)
        finally:
            self.ended.release()


class Notes:
    """An observer that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, dict[str, str | int]]] = []
        self.crashes: list[BaseException] = []

    def note(self, what: str, **facts: str | int) -> None:
        self.notes.append((what, facts))

    def crashed(self, what: str, error: BaseException, **facts: str | int) -> None:
        self.notes.append((what, facts))
        self.crashes.append(error)


class Daemon:
    """A control socket that serves in a thread."""

    def __init__(self, path: Path, settings: Settings | None = None) -> None:
        self.path = path
        self.answers = Answers()
        self.commands = Commands()
        self.observer = Notes()
        self._settings = settings or Settings(version="9.9.9")
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="daemon")

    def start(self) -> None:
        self._thread.start()
        assert self._ready.wait(PATIENCE)

    def stop(self) -> None:
        """Stop as a daemon stops that is told to, and wait for the end."""
        if self._thread.is_alive():
            with suppress(RuntimeError):  # its loop has just closed: it was told before
                self.in_loop(self.server.stop)
            self.join()

    def join(self, patience: float | None = PATIENCE) -> None:
        """Wait for the end of one that was told to stop; None waits for ever."""
        self._thread.join(patience)
        assert not self._thread.is_alive()

    def in_loop(self, call: Callable[..., object], *arguments: object) -> None:
        """Have something called in the server's loop."""
        self._loop.call_soon_threadsafe(call, *arguments)

    def connections(self) -> int:
        return len(self.server.connections)

    def _serve(self) -> None:
        asyncio.run(self._run())

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.server = ControlServer(self.answers, self.commands, self.observer, self._settings)
        with listening(self.path) as listener:
            await self.server.run(listener, self._ready.set)


class RawClient:
    """A client that sends whatever bytes a test likes.

    Args:
        path: the socket.
        greeting: what it sends at once; by default a proper hello.
    """

    def __init__(self, path: Path, greeting: bytes | None = None) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(str(path))
        self._splitter = rpc.FrameSplitter()
        self._frames: list[bytes] = []
        self.send(rpc.hello_frame("test", effects=LATER) if greeting is None else greeting)

    def send(self, data: bytes) -> None:
        """Send bytes. To a daemon that has closed they are lost; what it said before can still be received."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def call(self, call_id: int, method: str, params: Any) -> None:
        self.send(rpc.raw_call_frame(call_id, method, params))

    def run(self, call_id: int = 1, **facts: Any) -> None:
        """Ask for a command, with these facts in place of the usual ones."""
        self.call(call_id, rpc.CONSOLE, FACTS._replace(**facts))

    def reply(self, *reply: Any) -> None:
        self.send(rpc.frame(msgspec.msgpack.encode(reply)))

    def receive(self) -> Any:
        """The next message, or None at the end of the connection."""
        while not self._frames:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                return None
            if not data:
                return None
            self._frames = self._splitter.feed(data)
        return msgspec.msgpack.decode(self._frames.pop(0))

    def rest(self) -> list[Any]:
        """All messages to the end of the connection."""
        return list(iter(self.receive, None))

    def close(self) -> None:
        self.socket.close()


@contextmanager
def raw_client(daemon: Daemon, greeting: bytes | None = None) -> Iterator[RawClient]:
    """A raw client; the daemon's hello, where one is due, has been received."""
    client = RawClient(daemon.path, greeting)
    try:
        if greeting is None:
            assert client.receive()["hello"] == rpc.RPC_VERSION
        yield client
    finally:
        client.close()


@contextmanager
def serving(settings: Settings | None = None) -> Iterator[Daemon]:
    """A daemon that serves until the context ends; XDG_RUNTIME_DIR for its clients is two folders above its socket."""
    with short_folder() as folder:
        daemon = Daemon(folder / "moot" / "moot.sock", settings)
        daemon.start()
        try:
            yield daemon
        finally:
            daemon.stop()


class Gate:
    """Slow answers, to requests that name ids, that wait until they are let through."""

    def __init__(self, daemon: Daemon) -> None:
        self.begun = threading.Semaphore(0)
        self._daemon = daemon
        self._open = asyncio.Event()

    async def answer(self, request: Any) -> Any:
        self.begun.release()
        await self._open.wait()
        return [{"id": identifier} for identifier in request.ids]

    def open(self) -> None:
        self._daemon.in_loop(self._open.set)


def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds that another thread is about to bring about."""
    poll = threading.Event()
    for _ in range(PATIENCE * 100):
        if holds():
            return
        poll.wait(0.01)
    raise AssertionError("it never came to hold")


STRANGER = """
import os, socket, sys
os.setuid(65534)
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def stranger_listening(path: Path) -> Iterator[None]:
    """Another user listens at a path. Only root can make it so."""
    path.parent.chmod(0o777)
    command = [sys.executable, "-c", STRANGER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as stranger:
        assert stranger.stdout
        assert stranger.stdout.readline() == b"ready\n"
        try:
            yield
        finally:
            stranger.communicate()


def error_of(message: Any) -> tuple[int, str]:
    """Which request a message refuses, and the code."""
    return message["id"], message["error"]["code"]
