"""Remotes as the daemon sees them: places that carry sealed frames between replicas and can read none of them.

Invariant: what crosses these ports is sealed frames and names made by keyed hashes, never a plane's id, an author's
key or a word of an issue. Whatever a remote hands back is hostile until its frame has been opened: it may be cut,
repeated, reordered, old or foreign, and a port's caller must take it so.

Two shapes of remote: one keeps frames in refs that only their sender moves (Git), one passes them on as they come
(MQTT). Every remote that can't be used says so by `RefusedError`: `unreachable` where trying again may help, `denied`
where somebody has to give a permission, `invalid` where the address is none.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import NamedTuple, Protocol

TOPIC_BYTES = 16
SENDER_BYTES = 16


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
    """It was there and is gone."""
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
    """Every ref of the topics asked for, as the remote has it."""
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
            MalformedError: a commit that no sender of ours would push.
        """

    async def push(self, ref: Ref, frames: Sequence[bytes]) -> Tip:
        """Put frames after those that a ref of ours holds (or begin it), as one commit.

        Raises:
            RefusedError: `conflict`: the remote's ref isn't where ours is, nor can it be brought there.
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


class Incoming(NamedTuple):
    """A frame that came over a live remote."""

    topic: bytes
    sender: bytes
    """Who claims to have sent it (16 bytes)."""
    channel: Channel
    frame: bytes
    is_retained: bool


class Will(NamedTuple):
    """A frame that the remote publishes on PRESENCE when this connection breaks."""

    topic: bytes
    frame: bytes


class Line(Protocol):
    """An open connection to a live remote."""

    async def publish(self, topic: bytes, channel: Channel, frame: bytes) -> None:
        """Hand a frame to the remote as this sender's; FRONTIER and PRESENCE are retained there.

        Returns once the remote has acknowledged it, which says nothing about anybody having received it.

        Raises:
            RefusedError: `unreachable`: no acknowledgement within the deadline, or the connection is gone; `limit`: the
                frame is larger than the remote carries.
        """

    def incoming(self) -> AsyncIterator[Incoming]:
        """Frames of other senders as they come; ends with RefusedError `unreachable` when the connection is gone."""


class LiveRemote(Protocol):
    """A remote that passes frames on."""

    def connect(
        self, sender: bytes, topics: Collection[bytes], wills: Sequence[Will] = ()
    ) -> AbstractAsyncContextManager[Line]:
        """Open a connection and subscribe to all channels of these topics.

        Raises:
            RefusedError: `unreachable`, `denied` or `invalid`.
        """
