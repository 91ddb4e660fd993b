"""The control socket's server: accepts clients and, when told to stop, finishes what has begun.

A stop waits for nobody who only waits for news: once all else has ended, commands are told that the daemon is
stopping, and programs are cut off, which come again and go on after the last arrival number.

All its tasks live in one group, so that it ends with all of them or not at all.
"""

import asyncio
import contextlib
import itertools
import socket
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

from mootd.control.connection import Connection
from mootd.control.hosting import WaitingRoom
from mootd.control.ports import ConsoleHost, Dispatcher, Gate, Observer, Settings

KEEP_FILE: Final[dict[str, Any]] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
"""The socket file is the listener's to remove: it may be a service manager's."""

WAITING_SHARE: Final = 3, 4
"""How many of all commands may wait for news or input: the other places are for those that soon end."""
ACCEPTING_TURNS: Final = 3
"""Turns of the loop between the acceptance of a client and the call that tells us."""


class ControlServer:
    """Serves one listening socket. It serves once.

    Args:
        dispatcher: answers requests.
        console: runs commands.
        observer: watches.
        settings: what is allowed.
        gate: decides on requests of others than the daemon's user; without one nobody else is let in.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        console: ConsoleHost,
        observer: Observer,
        settings: Settings | None = None,
        gate: Gate | None = None,
    ) -> None:
        self.dispatcher = dispatcher
        self.console = console
        self.observer = observer
        self.settings = settings or Settings()
        self.gate = gate
        self.hosted: set[Future[None]] = set()
        share, of = WAITING_SHARE
        self.room = WaitingRoom(max(self.settings.consoles * share // of, 1))
        self.connections: set[Connection] = set()
        self.closing = False
        self._numbers = itertools.count(1)
        self._stopping = asyncio.Event()
        self._ended = asyncio.Event()

    async def run(self, listener: socket.socket, ready: Callable[[], None]) -> None:
        """Serve until `stop`, or until cancelled.

        Args:
            listener: a listening Unix socket that doesn't block; closed at the end.
            ready: called when clients are served.
        """
        self.threads = ThreadPoolExecutor(self.settings.consoles + self.settings.reserved, "console")
        try:
            async with asyncio.TaskGroup() as tasks:
                self.tasks = tasks
                await self._serve(listener, ready)
        finally:
            self.threads.shutdown(wait=False, cancel_futures=True)

    def stop(self) -> None:
        """Accept nobody else, finish what has begun (for a while), then end. Called in the loop."""
        self._stopping.set()

    def ended(self) -> None:
        """A request, a command's thread or a connection has ended, or a command waits for news."""
        self._ended.set()

    async def _serve(self, listener: socket.socket, ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(
            lambda: Connection(self, next(self._numbers)), sock=listener, backlog=self.settings.clients, **KEEP_FILE
        )
        try:
            ready()
            await self._stopping.wait()
            server.close()
            await self._settle(self._is_done)
            for connection in self.connections:
                connection.calls.dismiss()
            await self._settle(self._is_done)
        finally:
            self.closing = True
            server.close()
            await self._disconnect()

    def _is_done(self) -> bool:
        """Whether nothing is under way that a stop waits for."""
        return not any(connection.calls.holds_up for connection in self.connections)

    async def _disconnect(self) -> None:
        """Close all connections, and see them and their commands end."""
        for _ in range(ACCEPTING_TURNS):
            await asyncio.sleep(0)
        for connection in list(self.connections):
            connection.close()
        await self._settle(lambda: not self.hosted and not self.connections)
        for connection in list(self.connections):
            connection.abort()
        await asyncio.sleep(0)

    async def _settle(self, done: Callable[[], bool]) -> None:
        """Wait until something holds, as long as the grace lasts."""
        end = asyncio.get_running_loop().time() + self.settings.grace
        with contextlib.suppress(TimeoutError):  # whoever isn't done by then is cut off
            async with asyncio.timeout_at(end):
                while not done():
                    self._ended.clear()
                    await self._ended.wait()
