"""A wire between a client and a server of TCP that can be made to misbehave."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from enum import Enum
from typing import Final

_PIECE: Final = 1 << 16


class Manner(Enum):
    """How the wire treats what comes."""

    FORWARD = "forward"
    HANG = "hang"
    """Takes no more: what is sent stays in the sender's buffers."""
    DROP = "drop"
    """Takes all and passes nothing on."""


class TcpProxy:
    """Listens on a free port of loopback and passes connections on to another.

    Args:
        target: the port it passes them on to, on loopback.
        delay_s: seconds by which every piece is late, each way.
    """

    def __init__(self, target: int, *, delay_s: float = 0) -> None:
        self.target = target
        self.delay_s = delay_s
        self.port = 0
        self.accepted: list[float] = []
        """When connections came, by the loop's clock, in seconds."""
        self._manner = Manner.FORWARD
        self._flows = asyncio.Event()
        self._flows.set()
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def manner(self) -> Manner:
        """How it treats what comes from now on, on old connections and new ones."""
        return self._manner

    @manner.setter
    def manner(self, manner: Manner) -> None:
        self._manner = manner
        if manner is Manner.HANG:
            self._flows.clear()
        else:
            self._flows.set()

    def cut(self) -> None:
        """Break every connection now, without a word (RST); new ones are taken."""
        for writer in self._open:
            writer.transport.abort()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["TcpProxy"]:
        """Listen until left."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks)
            await server.wait_closed()

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted.append(asyncio.get_running_loop().time())
        task = asyncio.get_running_loop().create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        onward: asyncio.StreamWriter | None = None
        try:
            with suppress(OSError):
                back, onward = await asyncio.open_connection("127.0.0.1", self.target)
                self._open.add(onward)
                ways = [self._pump(reader, onward), self._pump(back, writer)]
                tasks = [asyncio.get_running_loop().create_task(way) for way in ways]
                try:
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.wait(tasks)
        finally:
            for end in (writer, onward):
                if end is not None:
                    self._open.discard(end)
                    end.transport.abort() if self._manner is not Manner.FORWARD else end.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(_PIECE):
                await self._flows.wait()
                if self._manner is Manner.DROP:
                    continue
                if self.delay_s:
                    await asyncio.sleep(self.delay_s)
                writer.write(piece)
                await writer.drain()
