"""Remotes as the daemon sees them: places that carry sealed frames between replicas and can read none of them.

Invariant: what crosses these ports is sealed frames and names made by keyed hashes, never a plane's id, an author's
key or a word of an issue. Whatever a remote hands back is hostile until its frame has been opened: it may be cut,
repeated, reordered, old or foreign, and a port's caller must take it so.

Two shapes of remote: one keeps frames in refs that only their sender moves (Git), one passes them on as they come
(MQTT). Every remote that can't be used says so by `RefusedError`: `unreachable`, or `timeout` where no answer came in
time, where trying again may help; `denied` where somebody has to give a permission; `invalid` where the address is
none.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

from moot_protocol.errors import Code

TOPIC_BYTES = 16
SENDER_BYTES = 16
UNREACHED: Final = frozenset({Code.UNREACHABLE, Code.TIMEOUT})
"""What says that a remote isn't there just now, and that nothing is wrong with what it was asked."""


# -- Frames in refs ----------------------------------------------------------------------------------------------
class Ref(NamedTuple):
    """Where one sender's frames for one topic stand on a remote."""

    topic: bytes
    """16 bytes."""
    sender: bytes
    """16 bytes."""
    generation: int
    """From 1; a sender that starts a new one repeats in it whatever is still needed."""


class Tip(NamedTuple):
    """A ref and what it leads to."""

    ref: Ref
    commit: str
    """The commit's object id in hexadecimal."""


class RefAlarm(StrEnum):
    """What is wrong with a ref of a remote."""

    WENT_BACK = "went_back"
    """It no longer leads to the commit that it led to before: somebody moved or rewrote it."""
    MISSING = "missing"
    """It was there and is gone, and no later generation of its sender's is there: raised until it is back or one is."""
    FOREIGN = "foreign"
    """A name under refs/moot/<topic>/ that is none of ours."""
    UNREADABLE = "unreadable"
    """What it leads to isn't what senders push."""


class Alarm(NamedTuple):
    """A ref that people should be told of; nothing of it was applied."""

    name: str
    """The ref's name as the remote gave it: text from others."""
    kind: RefAlarm
    detail: str = ""


class Fetched(NamedTuple):
    """What a fetch found."""

    tips: Sequence[Tip]
    """Every ref of the topics asked for, as the remote has it, but for those that an alarm is about."""
    alarms: Sequence[Alarm]


class RefRemote(Protocol):
    """A remote that keeps frames in refs. One caller at a time; every call ends within its deadline.

    Guarantees: `push` returns only after the remote has taken the ref; frames come back as they were pushed, in the
    order of the pushes, from `read` on any replica that has fetched the tip. Cancelling a call leaves nothing running.
    """

    async def fetch(self, topics: Collection[bytes]) -> Fetched:
        """Get every ref of these topics, with all that it leads to."""

    async def read(self, tip: Tip, after: str | None, room: int) -> tuple[Sequence[bytes], str]:
        """Frames that came to a fetched tip's history after a commit, oldest first, and the last commit read.

        Args:
            tip: a tip that `fetch` has returned.
            after: the commit up to which frames have been read; None, or one that isn't an ancestor of the tip, for
                the beginning.
            room: stop after the commit with which so many bytes were read; there is more unless the last commit read
                is the tip's.

        Raises:
            MalformedError: the first commit to read is one that no sender of ours would push; what stands before such
                a commit is returned.
        """

    async def push(self, ref: Ref, frames: Sequence[bytes]) -> Tip:
        """Put frames after those that a ref of ours holds (or begin it), as one commit.

        Where the remote's ref was moved back or removed, this restores it. Where this side has forgotten pushes of its
        own that are there, it goes on after them. A push repeated because its answer was lost is there once.

        Raises:
            RefusedError: `conflict`: the remote's ref isn't where ours is, nor can it be brought there: begin another
                generation; `limit`: more than 10,000 frames or 64 MiB, or a frame of more than 17 MiB; `invalid`: none.
        """

    async def drop(self, ref: Ref) -> None:
        """Remove a ref of ours from the remote; fine if it isn't there."""

    async def close(self) -> None:
        """Stop whatever runs."""


# -- Frames as they come -----------------------------------------------------------------------------------------
class Channel(StrEnum):
    """What a frame on a live remote is about; the last level of its topic."""

    BATCHES = "batches"
    FRONTIER = "frontier"
    WANT = "want"
    PRESENCE = "presence"


RETAINED: Final = frozenset({Channel.FRONTIER, Channel.PRESENCE})
"""Channels of which the remote keeps each sender's latest frame for those who subscribe later."""


class Incoming(NamedTuple):
    """A frame that came over a live remote."""

    topic: bytes
    sender: bytes
    """Who claims to have sent it (16 bytes)."""
    channel: Channel
    frame: bytes


class Will(NamedTuple):
    """A frame that the remote publishes on PRESENCE, retained, when this connection breaks."""

    topic: bytes
    frame: bytes


@dataclass(slots=True)
class Dropped:
    """How many frames a live remote has brought that were left out; only ever grows."""

    foreign: int = 0
    """Under a name that is none of ours, or of a topic not asked for."""
    too_large: int = 0
    """Larger than a frame may be."""
    overflowed: int = 0
    """Too many at once: the oldest, batches first. The next comparison of frontiers brings them again."""


class Line(Protocol):
    """An open connection to a live remote."""

    @property
    def spoken(self) -> str:
        """What is spoken over it, in words for people; empty where there is nothing to say."""

    @property
    def waiting(self) -> int:
        """Frames that came and weren't read yet."""

    async def publish(self, topic: bytes, channel: Channel, frame: bytes) -> None:
        """Hand a frame to the remote as this sender's; FRONTIER and PRESENCE are retained there, the latest of each.

        An empty frame takes back what is retained; nobody receives it. Frames of one caller keep their order.

        Returns once the remote has acknowledged it, which says nothing about anybody having received it, nor about it
        having been permitted: most brokers acknowledge what they then drop.

        Raises:
            RefusedError: `unreachable`: no acknowledgement within the deadline, or the connection is gone; it is, then.
                `limit`: the frame is larger than the remote carries. `denied`: the remote says so.
        """

    def incoming(self) -> AsyncIterator[Incoming]:
        """Frames of other senders as they come; ends with RefusedError, mostly `unreachable`, when the line is gone.

        Bounded: whoever reads too slowly loses the oldest batches first (`LiveRemote.dropped`).
        """


class LiveRemote(Protocol):
    """A remote that passes frames on. The caller reconnects; nothing of an old connection disturbs a new one."""

    @property
    def dropped(self) -> Dropped:
        """What all connections so far have left out."""

    def connect(
        self, sender: bytes, topics: Collection[bytes], will: Will | None = None
    ) -> AbstractAsyncContextManager[Line]:
        """Open a connection and subscribe to all channels of these topics; what is retained of them comes first.

        A sender has one connection: a second ends the first. Batches that others send while it is away are kept for it
        for some time, within the remote's limits, and wants where the remote forgets them in time. Leaving normally
        discards the will; leaving by an exception (or being cancelled) publishes it, as a broken connection does.

        Args:
            sender: this sender's name among those of the topics, 16 bytes.
            topics: 16 bytes each.
            will: published when the connection breaks. A connection has one at most: MQTT knows no more.

        Raises:
            RefusedError: `unreachable`, `denied` or `invalid`.
        """
