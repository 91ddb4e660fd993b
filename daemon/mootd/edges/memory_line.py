"""A live remote in memory, for simulations and tests: a broker that all its remotes share.

Invariant: it behaves as an MQTT broker does towards one that follows `LiveRemote`: the latest frontier and presence of
each sender are retained, batches and wants are kept for senders that are away, up to a limit and no further, and a
broken connection speaks its last word. Frames arrive at once and in order.
"""

from collections import deque
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from moot_protocol.errors import Code, RefusedError
from mootd.edges.inbox import DEFAULT_LIMITS, Inbox, InboxLimits, check_sent
from mootd.remotes import RETAINED, SENDER_BYTES, TOPIC_BYTES, Channel, Dropped, Incoming, Will

_QUEUE: Final = 1000
"""Frames kept for a sender that is away; Mosquitto's default."""


def _gone(message: str) -> RefusedError:
    return RefusedError(message, code=Code.UNREACHABLE, retryable=True)


@dataclass(slots=True)
class _Session:
    """What the broker knows of a sender."""

    topics: frozenset[bytes]
    waiting: deque[Incoming]
    line: "MemoryLine | None" = None


@dataclass(slots=True)
class MemoryBroker:
    """What the lines in memory lead to."""

    queue: int = _QUEUE
    """Frames kept for a sender that is away; of more, the later ones are lost."""
    is_up: bool = True
    retained: dict[tuple[bytes, bytes, Channel], bytes] = field(default_factory=dict)
    """By topic, sender and channel."""
    sessions: dict[bytes, _Session] = field(default_factory=dict)
    """By sender."""

    def stop(self, *, forget: bool = False) -> None:
        """Go away at once: connections break, last words go unspoken as the one who would speak them is gone.

        Args:
            forget: lose sessions and retained frames, as a broker without persistence does.
        """
        self.is_up = False
        for session in self.sessions.values():
            if session.line is not None:
                session.line.lose("the broker is gone")
                session.line = None
        if forget:
            self.sessions.clear()
            self.retained.clear()

    def start(self) -> None:
        """Come back."""
        self.is_up = True

    def publish(self, incoming: Incoming) -> None:
        """Pass a frame on to all others that asked for its topic, whoever it is from."""
        if incoming.channel in RETAINED:
            name = (incoming.topic, incoming.sender, incoming.channel)
            if incoming.frame:
                self.retained[name] = incoming.frame
            else:
                self.retained.pop(name, None)
        for receiver, session in self.sessions.items():
            if receiver != incoming.sender and incoming.topic in session.topics:
                if session.line is not None:
                    session.line.inbox.put(incoming)
                elif len(session.waiting) < self.queue:
                    session.waiting.append(incoming)

    def join(self, line: "MemoryLine", topics: Collection[bytes]) -> None:
        """Take a line in: it gets what waited for it, then what is retained."""
        before = self.sessions.get(line.sender)
        if before is not None and before.line is not None:
            self.leave(before.line, "another connection of this sender took its place")
        waiting = before.waiting if before is not None else deque()
        self.sessions[line.sender] = _Session(frozenset(topics), deque(), line)
        for incoming in waiting:
            line.inbox.put(incoming)
        for (topic, sender, channel), frame in self.retained.items():
            if topic in topics:
                line.inbox.put(Incoming(topic, sender, channel, frame))

    def leave(self, line: "MemoryLine", reason: str, *, is_wanted: bool = False) -> None:
        """Let a line go; unless that is wanted, its will is published."""
        session = self.sessions.get(line.sender)
        if session is None or session.line is not line:
            return
        session.line = None
        line.lose(reason)
        if line.will is not None and not is_wanted:
            self.publish(Incoming(line.will.topic, line.sender, Channel.PRESENCE, line.will.frame))


class MemoryLine:
    """An open connection to a broker in memory."""

    def __init__(
        self, broker: MemoryBroker, sender: bytes, will: Will | None, inbox: Inbox, limits: InboxLimits
    ) -> None:
        self.sender = sender
        self.will = will
        self.inbox = inbox
        self._broker = broker
        self._limits = limits
        self._lost = ""

    @property
    def spoken(self) -> str:
        """Nothing to say of it; see `Line`."""
        return ""

    @property
    def waiting(self) -> int:
        """Frames that weren't read yet; see `Line`."""
        return self.inbox.waiting

    async def publish(self, topic: bytes, channel: Channel, frame: bytes) -> None:
        """Hand a frame to the broker; see `Line`."""
        check_sent(frame, self._limits)
        _check([topic], self.sender)
        if self._lost:
            raise _gone(self._lost)
        self._broker.publish(Incoming(topic, self.sender, channel, frame))

    def incoming(self) -> AsyncIterator[Incoming]:
        """Frames of other senders; see `Line`."""
        return self.inbox.frames()

    def lose(self, reason: str) -> None:
        """End, for this reason."""
        self._lost = self._lost or reason
        self.inbox.end(_gone(reason))


class MemoryRemote:
    """One machine's way to a broker in memory.

    Args:
        broker: shared by all that are to hear of one another.
        limits: how much of what others send this machine takes.
    """

    def __init__(self, broker: MemoryBroker, limits: InboxLimits = DEFAULT_LIMITS) -> None:
        self._broker = broker
        self._limits = limits
        self._dropped = Dropped()
        self._lines: set[MemoryLine] = set()

    @property
    def dropped(self) -> Dropped:
        """What all connections so far have left out."""
        return self._dropped

    @asynccontextmanager
    async def connect(
        self, sender: bytes, topics: Collection[bytes], will: Will | None = None
    ) -> AsyncIterator[MemoryLine]:
        """Open a connection and subscribe; see `LiveRemote`."""
        _check(topics, sender)
        if not self._broker.is_up:
            raise _gone("the broker is gone")
        inbox = Inbox(sender, topics, self._dropped, self._limits)
        line = MemoryLine(self._broker, sender, will, inbox, self._limits)
        self._broker.join(line, topics)
        self._lines.add(line)
        is_wanted = False
        try:
            yield line
            is_wanted = True
        finally:
            self._lines.discard(line)
            self._broker.leave(line, "the connection was left", is_wanted=is_wanted)

    def cut(self) -> None:
        """Break this machine's connections, as a network that fails does."""
        for line in list(self._lines):
            self._broker.leave(line, "the connection broke")


def _check(topics: Collection[bytes], sender: bytes) -> None:
    if len(sender) != SENDER_BYTES:
        raise ValueError(f"a sender of {len(sender)} bytes")
    for topic in topics:
        if len(topic) != TOPIC_BYTES:
            raise ValueError(f"a topic of {len(topic)} bytes")
