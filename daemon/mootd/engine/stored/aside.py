"""Batches that are held without being accepted: parked, unlinked, beyond a fork or an end, or not yet entitled.

Invariant: ASIDE holds each of them whole and as it was received. They are evidence of forks, and become accepted as
soon as acceptance says so. What strangers can fill this with is bounded per author. The proof of each author's lowest
fork is kept beside them, since the batches it names need not be held.
"""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from moot_protocol import limits
from moot_protocol.exchange.messages import ForkProof
from moot_protocol.log.batch import Batch, decode_batch, encode_batch
from moot_protocol.log.event import Event
from mootd.engine.stored import layout
from mootd.engine.stored.log import LogReader, StoredBatch, damaged
from mootd.store.port import Reader, Table, WriteTransaction


class AsideRow(msgspec.Struct, array_like=True, frozen=True):
    """A batch that is held and not accepted."""

    raw: bytes
    parked: bool = False
    """Whether it is too far ahead of the wall clock to count yet."""
    was_accepted: bool = False
    """Whether it was cut off; such batches are kept without limit, since they were ours already."""


class FarHead(msgspec.Struct, array_like=True, frozen=True):
    """The latest parked batch of a feed that there was no room for: not asked for again before its time."""

    id: bytes
    last: int
    """Number of its last event."""
    hlc: int
    """Its last event's time."""


decode_aside: Final[Callable[[bytes], AsideRow]] = msgspec.msgpack.Decoder(AsideRow).decode
"""A row as ASIDE keeps it."""
_decode_proof: Final[Callable[[bytes], ForkProof]] = msgspec.msgpack.Decoder(ForkProof).decode
_decode_head: Final[Callable[[bytes], FarHead]] = msgspec.msgpack.Decoder(FarHead).decode
_encode: Final = msgspec.msgpack.Encoder().encode


class AsideReader:
    """ASIDE, and what is kept beside it, inside any transaction."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def rows(self, feed: int) -> Iterator[tuple[int, bytes, AsideRow]]:
        """(first, id, row) of a feed's batches."""
        prefix = layout.feed_prefix(feed)
        for key, value in list(self._reader.scan(Table.ASIDE, prefix, layout.after(prefix))):
            yield *layout.batch_place(key)[1:], decode_aside(value)

    def at(self, feed: int, first: int) -> Iterator[AsideRow]:
        """A feed's batches that begin at a number."""
        prefix = layout.batch_key(feed, first)
        return (decode_aside(value) for _, value in self._reader.scan(Table.ASIDE, prefix, layout.after(prefix)))

    def get(self, feed: int, first: int, batch_id: bytes) -> AsideRow | None:
        """One of them, or None."""
        packed = self._reader.get(Table.ASIDE, layout.aside_key(feed, first, batch_id))
        return None if packed is None else decode_aside(packed)

    def batch(self, row: AsideRow) -> Batch:
        """Its batch, whose signature was verified when it came."""
        return decode_batch(row.raw, verify=False)

    def proof(self, feed: int) -> ForkProof | None:
        """The proof of a feed's lowest fork."""
        packed = self._reader.get(Table.META, layout.proof_key(feed))
        return None if packed is None else _decode_proof(packed)

    def far_head(self, feed: int) -> FarHead | None:
        """The latest of a feed's parked batches that there was no room for."""
        packed = self._reader.get(Table.META, layout.far_head_key(feed))
        return None if packed is None else _decode_head(packed)

    def has_due(self, until_hlc: int) -> bool:
        """Whether a parked batch ends before a time."""
        stop = layout.PARKED + until_hlc.to_bytes(8, "big")
        return any(True for _ in self._reader.scan(Table.META, layout.PARKED, stop))


class Aside(AsideReader):
    """ASIDE inside a write transaction."""

    def __init__(self, transaction: WriteTransaction) -> None:
        super().__init__(transaction)
        self._txn = transaction

    def has_room(self, feed: int, size: int) -> bool:
        """Whether another batch of this size may be put aside for a feed."""
        count, total = 1, size
        for _, _, row in self.rows(feed):
            if not row.was_accepted:
                count, total = count + 1, total + len(row.raw)
        return count <= limits.ASIDE_BATCHES_PER_AUTHOR and total <= limits.ASIDE_BYTES_PER_AUTHOR

    def put(self, feed: int, batch: Batch, *, parked: bool = False, was_accepted: bool = False) -> None:
        """Put a batch aside."""
        raw = encode_batch(batch.header_bytes, batch.signature, batch.events)
        key = layout.aside_key(feed, batch.header.first, batch.id)
        self._txn.put(Table.ASIDE, key, _encode(AsideRow(raw, parked, was_accepted)))
        if parked:
            due = batch.header.hlc_last.to_bytes(8, "big")
            self._txn.put(Table.META, layout.PARKED + due + key, b"")

    def put_proof(self, feed: int, proof: ForkProof) -> None:
        """Keep the proof of a feed's lowest fork."""
        self._txn.put(Table.META, layout.proof_key(feed), _encode(proof))

    def put_far_head(self, feed: int, batch: Batch) -> None:
        """Remember a parked batch that there is no room for, if none further on is remembered."""
        known = self.far_head(feed)
        if known is None or known.last < batch.header.last:
            head = FarHead(batch.id, batch.header.last, batch.header.hlc_last)
            self._txn.put(Table.META, layout.far_head_key(feed), _encode(head))

    def remove(self, feed: int, first: int, batch_id: bytes) -> None:
        """Take a batch away."""
        self._txn.delete(Table.ASIDE, layout.aside_key(feed, first, batch_id))

    def due(self, until_hlc: int) -> list[tuple[int, int, bytes]]:
        """(feed, first, id) of parked batches whose time has come; their parking ends."""
        stop = layout.PARKED + until_hlc.to_bytes(8, "big")
        keys = [key for key, _ in self._txn.scan(Table.META, layout.PARKED, stop)]
        found = []
        for key in keys:
            self._txn.delete(Table.META, key)
            place = key[len(layout.PARKED) + 8 :]
            packed = self._txn.get(Table.ASIDE, place)
            if packed is not None:
                row = decode_aside(packed)
                self._txn.put(Table.ASIDE, place, _encode(AsideRow(row.raw, False, row.was_accepted)))
                found.append(layout.batch_place(place))
        return found


def uncounted(log: LogReader, feed: int, batch: Batch) -> list[Event]:
    """The events of a batch that lies aside that don't count: all, unless a pin cuts just this batch.

    Numbers alone don't tell: another history may count up to the same one.
    """
    stored = log.batch_holding(feed, batch.header.first)
    counted = stored.accepted if stored is not None and stored.id == batch.id else 0
    return list(batch.events[counted:])


def whole_batch(reader: Reader, feed: int, stored: StoredBatch) -> bytes:
    """An accepted batch as it was received, what a pin cuts off included.

    Raises:
        MootError: `store_damaged`: the rest of a batch that is cut isn't there.
    """
    header = stored.header
    if stored.accepted == header.count:
        return LogReader(reader).batch_bytes(stored)
    row = AsideReader(reader).get(feed, header.first, stored.id)
    if row is None:
        raise damaged(f"the rest of a batch that is cut at event {header.first + stored.accepted} is missing")
    return row.raw
