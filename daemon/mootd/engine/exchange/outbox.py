"""The outbox: sealed frames that wait for a remote, first in, first out, within a cap of frames and bytes.

Invariant: what stands here is ciphertext; its order is the order of putting; a remote's queue never holds more than its
cap. At the cap the oldest frame makes way: that costs nothing, because what it held is rewound (`carried.py`) and sent
again once the queue is empty; if it was published already, members ask for what they lack. A sequence number is never
given twice, so that what arrived late of an old frame is never taken for news of another.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from mootd.config import OutboxConfig
from mootd.engine.exchange import carried
from mootd.engine.exchange.carried import Carried
from mootd.engine.machine.remotes import remotes
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.store.port import Reader, Table, WriteTransaction

NEARLY_FULL: Final = 0.8
"""Share of the cap from which people are warned."""


class OutFrame(msgspec.Struct, array_like=True, frozen=True):
    """A frame that waits."""

    plane: int
    """Local number of the plane it is of."""
    channel: str
    """What it is about (`mootd.remotes.Channel`)."""
    frame: bytes
    at_ms: int
    """When it was put here, by the wall clock."""
    before: tuple[tuple[bytes, Carried], ...] = ()
    """(author, what the remote carried of its feed before this frame) for each feed it has batches of."""
    published_ms: int = 0
    """When a remote without memory acknowledged it; 0 for not yet."""
    spans: tuple[tuple[bytes, int, int], ...] = ()
    """(author, first, last) of each feed it has batches of: it holds no other events. Earlier releases noted none."""

    @property
    def authors(self) -> set[bytes]:
        """Those whose feeds have to go back where it is dropped."""
        return {author for author, _ in self.before}

    def may_hold(self, author: bytes, numbers: Collection[int]) -> bool:
        """Whether one of these events of an author may be among its own."""
        if not self.spans:
            return not self.before or author in self.authors
        return any(each == author and any(first <= n <= last for n in numbers) for each, first, last in self.spans)


class Gauge(NamedTuple):
    """How full a queue is."""

    frames: int
    bytes: int
    oldest_ms: int
    """When the oldest frame was put; 0 for none."""
    dropped: int
    """Frames that ever had to make way."""
    caps: OutboxConfig = OutboxConfig()
    """How many frames and bytes it may hold."""

    @property
    def is_nearly_full(self) -> bool:
        """Whether people should be warned."""
        return self.frames >= NEARLY_FULL * self.caps.frames or self.bytes >= NEARLY_FULL * self.caps.bytes


_decode: Final[Callable[[bytes], OutFrame]] = msgspec.msgpack.Decoder(OutFrame).decode
_encode: Final = msgspec.msgpack.Encoder().encode


class _Counts(NamedTuple):
    frames: int = 0
    bytes: int = 0
    dropped: int = 0
    last: int = 0
    """The highest sequence number ever given."""


_decode_counts: Final[Callable[[bytes], _Counts]] = msgspec.msgpack.Decoder(_Counts).decode


class OutboxReader:
    """One remote's queue in a snapshot.

    Args:
        reader: the snapshot.
        remote: the remote's number.
        caps: how much it may hold (the replica's `outbox_caps`), for whoever asks how full it is.
    """

    def __init__(self, reader: Reader, remote: int, caps: OutboxConfig | None = None) -> None:
        self.caps = caps or OutboxConfig()
        self._reader = reader
        self._prefix = layout.outbox_prefix(remote)
        self._remote = remote

    def frames(self, after: int = 0) -> Iterator[tuple[int, OutFrame]]:
        """(sequence number, frame) behind a sequence number, oldest first."""
        start = self._prefix + (after + 1).to_bytes(8, "big")
        for key, value in self._reader.scan(Table.OUTBOX, start, layout.after(self._prefix)):
            yield int.from_bytes(key[len(self._prefix) :], "big"), _decode(value)

    def holds(self, number: int) -> bool:
        """Whether a frame still stands here."""
        return self._reader.get(Table.OUTBOX, self._key(number)) is not None

    def gauge(self) -> Gauge:
        """How full it is."""
        counts = self._counts()
        oldest = next((frame.at_ms for _, frame in self.frames()), 0)
        return Gauge(counts.frames, counts.bytes, oldest, counts.dropped, self.caps)

    def _counts(self) -> _Counts:
        kept = self._reader.get(Table.META, layout.outbox_gauge_key(self._remote))
        return _Counts() if kept is None else _decode_counts(kept)

    def _key(self, number: int) -> bytes:
        return self._prefix + number.to_bytes(8, "big")


class Outbox(OutboxReader):
    """One remote's queue inside a write transaction.

    Args:
        transaction: the transaction.
        remote: the remote's number.
        caps: how much it may hold (the replica's `outbox_caps`), for whoever puts something there; one frame always
            fits.
    """

    def __init__(self, transaction: WriteTransaction, remote: int, caps: OutboxConfig | None = None) -> None:
        super().__init__(transaction, remote, caps)
        self._txn = transaction

    def put(self, frame: OutFrame) -> None:
        """Append a frame; the oldest ones make way where there is no room."""
        counts = self._counts()
        count, size = counts.frames + 1, counts.bytes + len(frame.frame)
        gone: list[tuple[int, OutFrame]] = []
        if count > self.caps.frames or size > self.caps.bytes:
            for number, oldest in self.frames():
                gone.append((number, oldest))
                count, size = count - 1, size - len(oldest.frame)
                if count <= self.caps.frames and size <= self.caps.bytes:
                    break
        for number, oldest in gone:
            self._txn.delete(Table.OUTBOX, self._key(number))
            if not oldest.published_ms:
                self._rewind(oldest)
        self._txn.put(Table.OUTBOX, self._key(counts.last + 1), _encode(frame))
        self._set_counts(_Counts(count, size, counts.dropped + len(gone), counts.last + 1))

    def retire(self, numbers: Sequence[int]) -> None:
        """Take frames away that have arrived."""
        counts = before = self._counts()
        for number in numbers:
            packed = self._txn.get(Table.OUTBOX, self._key(number))
            if packed is not None:
                self._txn.delete(Table.OUTBOX, self._key(number))
                size = counts.bytes - len(_decode(packed).frame)
                counts = counts._replace(frames=counts.frames - 1, bytes=size)
        if counts != before:  # or a remote that was removed meanwhile would leave a row behind
            self._set_counts(counts)

    def mark_published(self, number: int, now_ms: int) -> None:
        """Note that a remote without memory has acknowledged a frame, which says nothing about anybody having it."""
        packed = self._txn.get(Table.OUTBOX, self._key(number))
        if packed is not None:
            published = msgspec.structs.replace(_decode(packed), published_ms=now_ms)
            self._txn.put(Table.OUTBOX, self._key(number), _encode(published))

    def clear(self, plane: int | None = None) -> int:
        """Empty it, to be filled again from the log: of one plane, whose key has changed, or whole; how many went."""
        gone = [(number, frame) for number, frame in self.frames() if plane in (None, frame.plane)]
        for _, frame in gone:
            self._rewind(frame)
        self.retire([number for number, _ in gone])
        return len(gone)

    def clear_of(self, plane: int, author: bytes, numbers: Collection[int]) -> int:
        """Take frames away that may hold such events of an author, to be filled again from the log without them.

        What stands behind them of the same feeds goes with them: it is sent again in any case.
        """
        gone: list[tuple[int, OutFrame]] = []
        back: set[bytes] = set()
        for number, frame in self.frames():
            if frame.plane == plane and (frame.may_hold(author, numbers) or not back.isdisjoint(frame.authors)):
                gone.append((number, frame))
                back |= frame.authors
        for _, frame in gone:
            for each, known in frame.before:
                carried.go_back(self._txn, self._remote, plane, each, known)
        self.retire([number for number, _ in gone])
        return len(gone)

    def _rewind(self, frame: OutFrame) -> None:
        for author, known in frame.before:
            carried.rewind(self._txn, self._remote, frame.plane, author, known)

    def _set_counts(self, counts: _Counts) -> None:
        self._txn.put(Table.META, layout.outbox_gauge_key(self._remote), _encode(counts))


def empty_queues(unit: Unit, plane: int) -> None:
    """Empty every queue of a plane whose key has changed, to be filled again from the log under the new one."""
    for row in remotes(unit.transaction):
        Outbox(unit.transaction, row.number).clear(plane)


def empty_queues_of(unit: Unit, plane: int, author: bytes, numbers: Collection[int]) -> None:
    """Take out of every queue of a plane what may hold such events of an author, whose values are erased."""
    for row in remotes(unit.transaction):
        Outbox(unit.transaction, row.number).clear_of(plane, author, numbers)
