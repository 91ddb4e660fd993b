"""The log in the store: accepted events by arrival, accepted batches by feed and number, feeds and planes.

Invariant: EVENTS and BATCHES hold exactly the accepted events; what is held without being accepted lies in ASIDE,
whole and as it was received. A feed's accepted events are numbered 1 to `n` without gaps. Events of one batch have
arrival numbers in a row.
"""

from collections.abc import Callable
from hashlib import sha256
from struct import Struct
from struct import error as StructError  # noqa: N812 - an exception is named as one
from typing import Any, Final, NamedTuple

import msgspec

from moot_protocol.clock import MAX_HLC
from moot_protocol.errors import Code, MootError
from moot_protocol.limits import EVENT_BYTES
from moot_protocol.log.batch import Header, decode_header, encode_batch
from moot_protocol.log.event import Event, Skeleton, decode_shaped, decode_skeleton, decode_values, event_from_bytes
from moot_protocol.merge.kinds import Role
from mootd.engine.stored import layout
from mootd.store.port import Reader, Table

_EVENT: Final = Struct(">QIQI")
_BATCH: Final = Struct(">QH64s")
_EVENT_HEAD: Final = _EVENT.size


class FeedRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What is kept of one author's feed on one plane."""

    plane: int
    author: bytes
    n: int = 0
    """The highest accepted number."""
    head: bytes = bytes(32)
    """Id of the batch that holds it."""
    hlc: int = 0
    """Timestamp of the accepted head."""
    forked_at: int = 0
    """The lowest number at which two different batches are known; 0 for none."""
    kind: str = ""
    """What acceptance found the feed to be; empty while unknown."""
    role: str = ""
    town: bytes = b""
    ended: bool = False
    reason: str = ""
    """Why no more of it is accepted, in acceptance's words; empty where all is well."""
    is_aside: bool = False
    """Whether some of its batches lie in ASIDE."""

    @property
    def is_plain(self) -> bool:
        """Whether what follows its head is accepted without a question: a writing replica's feed with nothing odd."""
        may_write = self.kind == "replica" and self.role != Role.READER
        return may_write and self.n > 0 and not (self.reason or self.forked_at or self.is_aside)


class PlaneRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A plane that this replica holds."""

    number: int
    id: bytes
    kind: str
    """`ledger`, `operational` or `federation`."""
    name: str
    town: bytes
    """The key of the town that this replica belongs to on it."""


class StoredEvent(NamedTuple):
    """An accepted event with where it stands."""

    arrival: int
    previous: int
    """Arrival number of the same entity's event before; 0 for none."""
    feed: int
    event: Event


class StoredBatch(NamedTuple):
    """An accepted batch without its events."""

    arrival: int
    """Arrival number of its first event."""
    accepted: int
    """How many of its events are accepted, from the first: all, unless a pin cuts it."""
    signature: bytes
    header_bytes: bytes

    @property
    def header(self) -> Header:
        """The header, decoded."""
        return decode_header(self.header_bytes)

    @property
    def id(self) -> bytes:
        """The batch's id."""
        return sha256(self.header_bytes).digest()


encode_row: Final = msgspec.msgpack.Encoder().encode
decode_feed: Final[Callable[[bytes], FeedRow]] = msgspec.msgpack.Decoder(FeedRow).decode
decode_project: Final[Callable[[bytes], tuple[int, int, str]]] = msgspec.msgpack.Decoder(tuple[int, int, str]).decode
"""(number, plane, name) of a project."""
decode_plane: Final[Callable[[bytes], PlaneRow]] = msgspec.msgpack.Decoder(PlaneRow).decode


def pack_event(previous: int, feed: int, event: Event) -> bytes:
    """An accepted event as EVENTS keeps it."""
    head = _EVENT.pack(previous, feed, event.n, len(event.skeleton_bytes))
    if event.values_bytes is None:
        return head + event.skeleton_bytes + b"\0" + event.values_hash
    return head + event.skeleton_bytes + b"\1" + event.values_bytes


def unpack_event(arrival: int, data: bytes) -> StoredEvent:
    """Read what `pack_event` made.

    Raises:
        MootError: code `store_damaged`, where the bytes are nothing of the kind.
    """
    try:
        previous, feed, n, length = _EVENT.unpack_from(data)
        end = _EVENT_HEAD + length
        skeleton_bytes, rest = data[_EVENT_HEAD:end], data[end + 1 :]
        skeleton, keys = decode_shaped(skeleton_bytes, 2**32)
        values, absent = ((None, rest), (rest, b""))[data[end]]
    except (MootError, ValueError, IndexError, StructError) as error:
        raise damaged(f"event {arrival} can't be read") from error
    return StoredEvent(arrival, previous, feed, event_from_bytes(n, skeleton, skeleton_bytes, values, absent, keys))


def said_in(arrival: int, data: bytes) -> tuple[dict[str, Any], str]:
    """What a packed event said: values by key, none where they are missing, and its actor.

    Half the work of `unpack_event`, for readers that need no hashes.

    Raises:
        MootError: code `store_damaged`, as `unpack_event`.
    """
    try:
        length = _EVENT.unpack_from(data)[3]
        end = _EVENT_HEAD + length
        skeleton = decode_skeleton(data[_EVENT_HEAD:end], 2**32)
        has_values = data[end] == 1
    except (MootError, ValueError, IndexError, StructError) as error:
        raise damaged(f"event {arrival} can't be read") from error
    if not has_values or len(data) - _EVENT_HEAD - 1 > EVENT_BYTES:
        return {}, skeleton.actor
    values = decode_values(data[end + 1 :], skeleton)
    return {} if values is None else said_by(skeleton, values), skeleton.actor


def said_by(skeleton: Skeleton, values: list[Any]) -> dict[str, Any]:
    """The values of an event by key."""
    return dict(zip([change.key for change in skeleton.changes if not change.removes], values, strict=True))


def event_feed(data: bytes) -> tuple[int, int]:
    """(feed, n) of a packed event."""
    _, feed, n, _ = _EVENT.unpack_from(data)
    return feed, n


def with_previous(data: bytes, previous: int) -> bytes:
    """A packed event with another back-pointer."""
    _, feed, n, length = _EVENT.unpack_from(data)
    return _EVENT.pack(previous, feed, n, length) + data[_EVENT_HEAD:]


def pack_batch(header_bytes: bytes, signature: bytes, arrival: int, accepted: int) -> bytes:
    """An accepted batch as BATCHES keeps it."""
    return _BATCH.pack(arrival, accepted, signature) + header_bytes


def unpack_batch(data: bytes) -> StoredBatch:
    """Read what `pack_batch` made."""
    try:
        arrival, accepted, signature = _BATCH.unpack_from(data)
    except StructError as error:
        raise damaged("a batch can't be read") from error
    return StoredBatch(arrival, accepted, signature, data[_BATCH.size :])


def damaged(what: str) -> MootError:
    """The error for a store that doesn't hold what it should."""
    return MootError(
        f"the log is damaged: {what}",
        code=Code.STORE_DAMAGED,
        hint="run `moot fsck`, then restore the data from a backup or from another machine: see docs/security.md",
    )


class LogReader:
    """Reads the log inside a transaction."""

    __slots__ = ("_get", "_scan")

    def __init__(self, transaction: Reader) -> None:
        self._get = transaction.get
        self._scan = transaction.scan

    def event(self, arrival: int) -> StoredEvent:
        """An accepted event by arrival number."""
        data = self._get(Table.EVENTS, layout.arrival_key(arrival))
        if data is None:
            raise damaged(f"event {arrival} is missing")
        return unpack_event(arrival, data)

    def said(self, arrival: int) -> tuple[dict[str, Any], str]:
        """(values by key, actor) of an accepted event; see `said_in`."""
        data = self._get(Table.EVENTS, layout.arrival_key(arrival))
        if data is None:
            raise damaged(f"event {arrival} is missing")
        return said_in(arrival, data)

    def batch_holding(self, feed: int, n: int) -> StoredBatch | None:
        """The accepted batch that holds an event's number, or None."""
        if not 0 < n < MAX_HLC:
            return None
        prefix = layout.feed_prefix(feed)
        for key, value in self._scan(Table.BATCHES, prefix, layout.batch_key(feed, n + 1), reverse=True):
            _, first, _ = layout.batch_place(key)
            batch = unpack_batch(value)
            return batch if n < first + batch.accepted else None
        return None

    def event_named(self, feed: int, n: int, leaf8: bytes) -> Event | None:
        """The accepted event of a number, if its leaf begins so: another branch's event is another."""
        batch = self.batch_holding(feed, n)
        event = None if batch is None else self.event(batch.arrival + n - batch.header.first).event
        return event if event is not None and event.leaf[:8] == leaf8 else None

    def batches(self, feed: int, first: int) -> "list[tuple[int, StoredBatch]]":
        """(first, batch) of a feed's accepted batches from a number on."""
        start, stop = layout.batch_key(feed, first), layout.after(layout.feed_prefix(feed))
        rows = self._scan(Table.BATCHES, start, stop)
        return [(layout.batch_place(key)[1], unpack_batch(value)) for key, value in rows]

    def events_of(self, batch: StoredBatch) -> list[StoredEvent]:
        """The accepted events of a batch."""
        start = layout.arrival_key(batch.arrival)
        stop = layout.arrival_key(batch.arrival + batch.accepted)
        found = [
            unpack_event(int.from_bytes(key, "big"), value) for key, value in self._scan(Table.EVENTS, start, stop)
        ]
        if len(found) != batch.accepted:
            raise damaged(f"{batch.accepted - len(found)} events are missing from arrival {batch.arrival} on")
        return found

    def batch_bytes(self, batch: StoredBatch) -> bytes:
        """A wholly accepted batch as its author sent it."""
        events = [stored.event for stored in self.events_of(batch)]
        return encode_batch(batch.header_bytes, batch.signature, events)

    def history(self, head: int) -> "list[StoredEvent]":
        """An entity's accepted events, newest arrival first."""
        found: list[StoredEvent] = []
        while head:
            stored = self.event(head)
            if stored.previous >= head:
                raise damaged(f"event {head} names a later one as the one before it")
            found.append(stored)
            head = stored.previous
        return found
