"""Frames that a live remote has brought and nobody has read yet.

Invariant: what waits is bounded in number and in bytes, and taking in a frame never waits or fails. At the limit the
oldest batches go first, for the next comparison of frontiers brings them again; only when none is left goes the oldest
frame of another channel. Frames of this sender's own and of topics not asked for never come in.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from itertools import count
from typing import Final, NamedTuple

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import LIVE_FRAME_BYTES, MIB
from mootd.remotes import Channel, Dropped, Incoming


class InboxLimits(NamedTuple):
    """How much of what others send this machine takes."""

    frames: int = 1000
    """Frames waiting."""
    bytes: int = 16 * MIB
    """Bytes of all frames waiting."""
    frame_bytes: int = LIVE_FRAME_BYTES
    """Bytes of one frame."""


DEFAULT_LIMITS: Final = InboxLimits()


def check_sent(frame: bytes, limits: InboxLimits) -> None:
    """Refuse to send what nobody with these limits would take in.

    Raises:
        RefusedError: `limit`: the frame is too large.
    """
    if len(frame) > limits.frame_bytes:
        raise RefusedError(
            f"a frame of {len(frame)} bytes; a live remote carries {limits.frame_bytes}", code=Code.LIMIT
        )


@dataclass(slots=True)
class _Waiting:
    frames: "OrderedDict[int, Incoming]"
    """In the order of their arrival, by its number."""
    batches: deque[int]
    """Numbers of the batches among them, oldest first."""
    bytes: int = 0

    def pop(self, number: int) -> Incoming:
        """Take out the oldest frame or the oldest batch: a batch that goes is the oldest either way."""
        incoming = self.frames.pop(number)
        self.bytes -= len(incoming.frame)
        if incoming.channel is Channel.BATCHES:
            self.batches.popleft()
        return incoming


class Inbox:
    """A queue between a connection and whoever reads it.

    Args:
        own: this sender's name; its frames that come back are left out.
        topics: the topics asked for.
        dropped: counts what is left out.
        limits: how much may wait.
    """

    def __init__(
        self, own: bytes, topics: Collection[bytes], dropped: Dropped, limits: InboxLimits = DEFAULT_LIMITS
    ) -> None:
        self._own = own
        self._topics = frozenset(topics)
        self._dropped = dropped
        self._limits = limits
        self._waiting = _Waiting(OrderedDict(), deque())
        self._numbers = count()
        self._end: RefusedError | None = None
        self._changed = asyncio.Event()

    def put(self, incoming: Incoming) -> None:
        """Take a frame in, or leave it out and count it."""
        if incoming.topic not in self._topics:
            self._dropped.foreign += 1
        elif len(incoming.frame) > self._limits.frame_bytes:
            self._dropped.too_large += 1
        elif incoming.frame and incoming.sender != self._own:  # an empty one only says that one was taken back
            number = next(self._numbers)
            self._waiting.frames[number] = incoming
            self._waiting.bytes += len(incoming.frame)
            if incoming.channel is Channel.BATCHES:
                self._waiting.batches.append(number)
            self._make_room()
            self._changed.set()

    def end(self, reason: RefusedError) -> None:
        """No more will come. The first reason given counts; what waits can still be read."""
        self._end = self._end or reason
        self._changed.set()

    @property
    def waiting(self) -> int:
        """Frames that came and weren't read yet."""
        return len(self._waiting.frames)

    async def frames(self) -> AsyncIterator[Incoming]:
        """What came, in its order, as it comes; raises the reason for which no more will come."""
        while True:
            while self._waiting.frames:
                yield self._waiting.pop(next(iter(self._waiting.frames)))
            if self._end is not None:
                raise self._end
            self._changed.clear()
            await self._changed.wait()

    def _make_room(self) -> None:
        waiting = self._waiting
        while len(waiting.frames) > self._limits.frames or waiting.bytes > self._limits.bytes:
            waiting.pop(waiting.batches[0] if waiting.batches else next(iter(waiting.frames)))
            self._dropped.overflowed += 1
