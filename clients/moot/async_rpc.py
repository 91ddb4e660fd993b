"""The typed connection of asynchronous programs: many calls under way at once on one socket.

It runs in one event loop, has no task of its own, and repeats nothing by itself. A caller that is cancelled, or whose
deadline passes, has its request cancelled in the daemon too. Once lost it stays so: every call then raises why.
"""

import asyncio
from asyncio import AbstractEventLoop, Future, Transport
from contextlib import suppress
from pathlib import Path
from socket import socket
from typing import Final, Self, TypeVar, cast

from moot.paths import socket_path
from moot.rpc import (
    GRACE_SECONDS,
    READ_BYTES,
    Client,
    UnheardError,
    deadline_of,
    frame_of,
    lost,
    of_connection,
    result_of,
    silent,
    told_of,
    unheard,
)
from moot_protocol.control import rpc
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.limits import RPC_IN_FLIGHT
from moot_protocol.requests.base import Request

R = TypeVar("R")

_MOST_ID: Final = 2**53


class AsyncConnection(asyncio.Protocol):
    """A connection to the daemon; `open` makes one. Methods are called in the loop only.

    Args:
        loop: the loop.
        path: the socket's, for messages.
        connected: the socket, after the hellos.
    """

    def __init__(self, loop: AbstractEventLoop, path: str, connected: socket) -> None:
        self.user = ""
        """The user that the token binds to, if one was presented."""
        self._loop = loop
        self._path = path
        self._socket = connected
        self._splitter = rpc.FrameSplitter()
        self._waiting: dict[int, Future[rpc.Answer]] = {}
        self._lost: MootError | None = None
        self._calls = 0
        self._places = asyncio.Semaphore(RPC_IN_FLIGHT)
        """For as many calls as the daemon takes at once: the others wait for one of these to be answered."""

    @classmethod
    async def open(cls, path: str | Path | None = None, *, autostart: bool = False, token: str = "") -> Self:
        """Connect and exchange hellos. Arguments are those of `moot.rpc.Client`.

        Raises:
            UnheardError: the daemon went away in the middle of it.
            MootError: as the first call of `moot.rpc.Client`.
        """
        where = str(path or socket_path())
        connected, user = await asyncio.to_thread(_greeted_socket, path, autostart=autostart, token=token)
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_unix_connection(lambda: cls(loop, where, connected), sock=connected)
        except OSError as error:
            raise unheard(lost(where, error)) from error
        connection.user = user
        return connection

    @property
    def is_open(self) -> bool:
        """Whether it can be used: neither closed nor lost."""
        return self._lost is None

    def close(self) -> None:
        """End the connection; what it had begun is cancelled."""
        self._end(lost(self._path, None))

    async def call(self, request: Request[R], *, key: str = "", deadline_ms: int | None = None) -> R:
        """Carry out a request and wait for its answer.

        Arguments and errors are those of `moot.rpc.Client.call`, but that a timeout leaves the connection open. Where
        the daemon takes no more at once, it waits for its turn: `busy` if none comes within its deadline.
        """
        deadline_ms = deadline_of(request, deadline_ms)
        try:
            async with asyncio.timeout(deadline_ms / 1000):
                await self._places.acquire()
        except TimeoutError as error:
            message = f"{RPC_IN_FLIGHT} calls have been under way on this connection for all of its deadline"
            raise RefusedError(message, code=Code.BUSY, hint="nothing was sent", retryable=True) from error
        try:
            return await self._call(request, key, deadline_ms)
        finally:
            self._places.release()

    async def _call(self, request: Request[R], key: str, deadline_ms: int) -> R:
        if self._lost is not None:
            raise self._lost
        self._calls = call_id = self._calls % _MOST_ID + 1
        frame = frame_of(call_id, request, key=key, deadline_ms=deadline_ms)
        answer: Future[rpc.Answer] = self._loop.create_future()
        self._waiting[call_id] = answer
        self._transport.write(frame)
        try:
            async with asyncio.timeout(deadline_ms / 1000 + GRACE_SECONDS):
                arrived = await answer
        except TimeoutError as error:
            self._cancel(call_id)
            raise told_of(silent(), request, key) from error
        except UnheardError as error:
            raise unheard(error) from error  # of each caller its own: they are raised in different tasks
        except RefusedError as error:
            if error.code is Code.UNREACHABLE:  # lost in the meantime
                raise told_of(error, request, key) from error
            raise
        except asyncio.CancelledError:
            self._cancel(call_id)
            raise
        finally:
            self._waiting.pop(call_id, None)
        return result_of(arrived, request, key)

    def _cancel(self, call_id: int) -> None:
        """Tell the daemon that nobody waits any longer; what it says to that goes nowhere."""
        if self._lost is None:
            self._calls = self._calls % _MOST_ID + 1
            self._transport.write(rpc.raw_call_frame(self._calls, rpc.CANCEL, {"id": call_id}))

    # -- What the transport tells --------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast("Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        try:
            for payload in self._splitter.feed(data):
                self._take(payload)
        except MootError as error:
            self._end(error)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, by whoever's doing. Where a write has found that out, why was not read yet."""
        with suppress(OSError):
            self.data_received(self._socket.recv(READ_BYTES))
        self._end(lost(self._path, exc if isinstance(exc, OSError) else None))

    def _take(self, payload: bytes) -> None:
        answer = rpc.decode_from_daemon(payload)
        if answer.error is not None and answer.id == rpc.CONNECTION:
            raise of_connection(answer.error)
        waiting = self._waiting.pop(answer.id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def _end(self, error: MootError) -> None:
        """Fail all that wait; the first reason stays."""
        if self._lost is not None:
            return
        self._lost = error
        self._transport.abort()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(error)


def _greeted_socket(path: str | Path | None, *, autostart: bool, token: str) -> tuple[socket, str]:
    """A connected socket after the hellos, and whom the token binds to. Blocks.

    A daemon that turns clients away does so before it reads anything, and what it says then would be lost on a
    transport whose first write fails.
    """
    client = Client(path, autostart=autostart, token=token)
    try:
        return client.detach(), client.user
    except RefusedError as error:
        if error.code is not Code.UNREACHABLE:
            raise
        raise unheard(error) from error
