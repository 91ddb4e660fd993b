"""One client's connection: hello, frames, and what is done when a client misbehaves. Its requests: `calls.py`.

Guarantees: a client that sends garbage, stalls in a frame, or does not read costs bounded memory and is let go. What
its frames ask for is begun in order. What only waits for news holds up no stop.
"""

import asyncio
import os
from asyncio import AbstractEventLoop, TimerHandle, Transport
from collections import deque
from typing import Final, Protocol, cast

from moot_protocol.access.rules import Asker
from moot_protocol.control import rpc
from moot_protocol.errors import Code, MalformedError, MootError, RefusedError
from mootd.control import calls
from mootd.control.calls import Calls
from mootd.control.places import busy, make_room, peer_uid

BURST: Final = 32
"""Requests of one client begun before the loop turns to others."""


class Hub(calls.Hub, Protocol):
    """What all connections share."""

    connections: "set[Connection]"
    closing: bool
    """Whether connections are no longer taken."""


class Connection(asyncio.Protocol):
    """The protocol object of one client. All methods are called in the loop.

    Args:
        hub: what all connections share.
        number: of this connection, for logs.
    """

    def __init__(self, hub: Hub, number: int) -> None:
        self._hub = hub
        self._number = number
        self._loop: AbstractEventLoop = asyncio.get_running_loop()
        self._splitter = rpc.FrameSplitter(hub.settings.frame_bytes)
        self._frames: deque[bytes] = deque()
        self.calls = Calls(hub, number, self._write)
        """What it has asked for and not been answered."""
        self._closed = False
        self._greeted = False
        self._drain_due = False
        self._patience: TimerHandle | None = None
        """Runs out when the client leaves its hello or a frame unfinished."""
        self._reading_patience: TimerHandle | None = None
        """Runs out when the client leaves what it is sent unread."""

    @property
    def uid(self) -> int | None:
        """The client's user id, where the system can tell."""
        return self.calls.uid

    @property
    def is_closing(self) -> bool:
        """Whether it was told to end."""
        return self._closed

    @property
    def idle_since(self) -> float | None:
        """Since when it is idle, on the loop's clock; None while something is under way on it.

        Answers that lie unread are under way for as long as they may. Bytes that go on with a frame count for nothing.
        """
        if self.calls or self._frames or not self.calls.writable.is_set():
            return None
        unread = self._transport.get_write_buffer_size()
        return self.calls.quiet_since + (self._hub.settings.stall if unread else 0)

    # -- What the transport tells ----------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected: check who it is."""
        self._transport = cast("Transport", transport)
        hub = self._hub
        hub.connections.add(self)
        self.calls.uid = uid = peer_uid(self._transport.get_extra_info("socket"))
        if uid is not None and hub.gate is not None and hub.gate.binds(uid):
            self.calls.asker = Asker(uid)
        try:
            self._check_welcome(hub, uid)
        except RefusedError as error:
            self.refuse(error)
            return
        self._transport.set_write_buffer_limits(high=hub.settings.buffer_bytes)
        self._patience = self._loop.call_later(hub.settings.hello, self._drop, "no hello")

    def _check_welcome(self, hub: Hub, uid: int | None) -> None:
        owner = hub.settings.owner
        if uid is not None and uid != owner and not (hub.gate is not None and hub.gate.lets_in(uid)):
            raise RefusedError(f"this is the socket of user {owner}", code=Code.DENIED)
        if hub.closing:
            raise busy("the daemon is stopping")
        make_room(self, hub.connections, hub.settings, self._loop.time())

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        if self._closed:
            return
        goes_on = self._splitter.partial
        try:
            frames = self._splitter.feed(data)
        except MalformedError as error:
            self.refuse(error)
            return
        if frames or not goes_on:
            self.calls.quiet_since = self._loop.time()
        self._frames.extend(frames)
        self._drain()
        if self._greeted:
            self._be_patient()

    def pause_writing(self) -> None:
        """The client reads more slowly than it is answered: stop working for it."""
        settings = self._hub.settings
        patience = settings.pager if self.calls.hosts else settings.stall
        self._reading_patience = self._loop.call_later(patience, self._drop, "does not read")
        self.calls.pause()

    def resume_writing(self) -> None:
        """The client has read: go on."""
        _cancel(self._reading_patience)
        self.calls.resume()
        self._drain()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, by whoever's doing: cancel what it had begun."""
        self._closed = True
        _cancel(self._patience)
        _cancel(self._reading_patience)
        self._frames.clear()
        self.calls.abandon()
        self._hub.connections.discard(self)
        self._hub.ended()

    # -- What the server tells -------------------------------------------------------------------------------------
    def refuse(self, error: MootError) -> None:
        """Tell the client why, and close."""
        self._hub.observer.note("rpc.refused", connection=self._number, code=error.code.value)
        self._write(rpc.error_frame(rpc.CONNECTION, error))
        self.close()

    def close(self) -> None:
        """Send what is written, then close; a client that does not take it is let go."""
        if not self._closed:
            self._closed = True
            _cancel(self._patience)
            self._patience = self._loop.call_later(self._hub.settings.stall, self.abort)
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._closed = True
        self._transport.abort()

    # -- Frames ----------------------------------------------------------------------------------------------------
    def _drain(self) -> None:
        self._drain_due = False
        is_read = self.calls.writable.is_set
        for _ in range(BURST):
            if not self._frames or self._closed or not is_read():
                break
            try:
                self._take(self._frames.popleft())
            except MalformedError as error:
                self.refuse(error)
        if self._closed:
            return
        if is_read() and not self._frames:
            self._transport.resume_reading()
            return
        self._transport.pause_reading()
        if is_read() and not self._drain_due:
            self._drain_due = True
            self._loop.call_soon(self._drain)

    def _take(self, payload: bytes) -> None:
        if self._greeted:
            self.calls.take(payload)
        else:
            self._greet(payload)

    def _greet(self, payload: bytes) -> None:
        _cancel(self._patience)
        self._greeted = True
        self._write(rpc.hello_frame(self._hub.settings.version, os.getpid()))
        self.calls.effects = rpc.decode_hello(payload).effects

    def _be_patient(self) -> None:
        _cancel(self._patience)
        if self._splitter.partial:
            self._patience = self._loop.call_later(self._hub.settings.stall, self._drop, "half a frame")

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def _drop(self, why: str) -> None:
        self._hub.observer.note("rpc.dropped", connection=self._number, why=why)
        self.abort()


def _cancel(timer: TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
