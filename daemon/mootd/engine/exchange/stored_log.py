"""What sessions with other replicas see of one plane's log.

Invariant: whatever is handed out is read from a committed state and belongs to that plane: it is checked here, once
more, where bytes leave.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from moot_protocol.clock import is_ahead
from moot_protocol.errors import Code, RefusedError
from moot_protocol.exchange.frontier import Entry
from moot_protocol.exchange.messages import Batches, ForkProof, Place, Single, batch_room, decode_message
from moot_protocol.exchange.sync import Position
from moot_protocol.log.batch import ZEROS, Batch, Header, Link, batch_link, decode_batch, encode_batch
from moot_protocol.merge import kinds
from mootd.engine.commit import Committer
from mootd.engine.state import State
from mootd.engine.stored import layout
from mootd.engine.stored.aside import AsideReader, whole_batch
from mootd.engine.stored.erased import as_kept, lacks, marks_in
from mootd.engine.stored.feeds import StoredFeeds
from mootd.engine.stored.log import StoredBatch, unpack_batch
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.stored.shared_plane import SharedPlane
from mootd.engine.unit import Unit
from mootd.store.port import Reader, Table

COUNTERS_AT_ONCE: Final = 1000
"""Message counters reserved by one commit; a restart skips what is left of them."""
MISSING_LOOKED_THROUGH: Final = 4096
"""Batches without all their values among which it is chosen with which to begin."""
_HEADS: Final = 48
"""Branches that a trail names; with 64 steps and the beginning it stays below 128 places."""
_RECENT: Final = 64
"""Batches looked through, newest first, for one that a peer names as its head."""
_LAST: Final = 2**64 - 2
"""The highest number that an event may have in a key."""


class StoredLog:
    """A plane of a replica as sessions see it (`moot_protocol.exchange.sync.SyncLog`).

    Args:
        replica: whose log.
        plane: which plane.
        commit: reserves counters.

    Raises:
        RefusedError: `denied`: the plane isn't held here as one that is shared.
    """

    def __init__(self, replica: State, plane: SharedPlane, commit: Committer) -> None:
        held = replica.planes.get(plane.number)
        if held is None or SharedPlane(held).id != plane.id:
            raise RefusedError("a plane that isn't held here can't be exchanged", code=Code.DENIED)
        self._replica = replica
        self._plane = plane
        self._commit = commit
        self._ids_of = (0, b"")
        self._ids: dict[bytes, int] = {}

    @property
    def plane(self) -> SharedPlane:
        """The plane."""
        return self._plane

    # -- Where it stands -----------------------------------------------------------------------------------------
    def position(self) -> Position:
        """The frontier and the digest of one moment."""
        with self._replica.read() as reader:
            source = LogSnapshot(reader)
            rows = (source.feed(number) for number in source.numbers(self._plane.number))
            frontier = tuple(
                Entry(row.author, row.n, row.head, row.forked_at) for row in rows if row.n or row.forked_at
            )
            views = self._replica.views_of(reader)
            digest = reader.get(Table.META, layout.digest_key(views.generation, self._plane.number))
            return Position(frontier, digest or bytes(32))

    def charters(self) -> frozenset[bytes]:
        """The towns whose charters are held: their feeds travel under a key of their own."""
        with self._replica.read() as reader:
            source = LogSnapshot(reader)
            rows = [source.feed(number) for number in source.numbers(self._plane.number)]
            return frozenset(row.author for row in rows if row.kind == kinds.CHARTER) | {self._plane.town}

    def next_counter(self) -> int:
        """A number higher than any that it returned before, restarts included."""
        reserved, plane = self._replica.message_counters, self._plane.number
        counter = next(reserved.get(plane, iter(())), None)
        if counter is None:
            reserved[plane] = iter(self._commit(lambda unit: _reserve(unit, plane)))
            counter = next(reserved[plane])
        return counter

    def trail(self, author: bytes) -> Sequence[Place]:
        """The heads held, the longest first; places at growing distances (in events) before the tip; the beginning."""
        with self._replica.read() as reader:
            feeds = StoredFeeds(LogSnapshot(reader), self._plane.number)
            heads = sorted(feeds.heads(author), key=lambda ref: (-ref.last, ref.id))[:_HEADS]
            tip = feeds.tip(author)
            steps = (1 << power for power in range(tip.last.bit_length())) if tip else ()
            back = [feeds.holding(author, tip.last - step) for step in steps if tip and step < tip.last]
            refs = dict.fromkeys((*heads, *(ref for ref in back if ref is not None)))
            return [*(Place(author, ref.last, ref.id) for ref in refs), Place(author, 0, ZEROS)]

    def holds(self, author: bytes, batch_id: bytes) -> bool:
        """Whether nothing has to be asked for to have this batch and all before it.

        Only recent batches of a long feed are looked through: whoever is further behind is asked for nothing, in vain.
        """
        with self._replica.read() as reader:
            source = LogSnapshot(reader)
            number = source.feed_number(self._plane.number, author)
            row = source.feed(number)
            if row.head == batch_id or self._is_far(reader, number, batch_id):
                return True
            if not row.forked_at and not row.is_aside:
                recent = islice(_accepted(source, number, 1, reverse=True), _RECENT)
                return any(stored.id == batch_id for stored in recent)
            return _is_linked_or_parked(
                StoredFeeds(source, self._plane.number), AsideReader(reader), author, number, batch_id
            )

    def _is_far(self, reader: Reader, number: int, batch_id: bytes) -> bool:
        """Whether a batch is the head of more parked ones than are kept, and still has to wait."""
        head = AsideReader(reader).far_head(number)
        return head is not None and head.id == batch_id and is_ahead(head.hlc, self._replica.wall.now_ms())

    # -- What it hands out ---------------------------------------------------------------------------------------
    def batches_after(self, author: bytes, places: Sequence[Place], max_bytes: int) -> Sequence[bytes] | None:
        """What the owner of these places lacks of a feed; see `SyncLog`."""
        with self._replica.read() as reader:
            source = LogSnapshot(reader)
            number = source.feed_number(self._plane.number, author)
            if source.feed(number).forked_at:
                offered = self._branches_after(StoredFeeds(source, self._plane.number), author, places)
            else:
                offered = self._accepted_after(source, number, places)
            return None if offered is None else list(_fitting(offered, max_bytes))

    def _accepted_after(self, source: LogSnapshot, number: int, places: Sequence[Place]) -> Iterator[bytes] | None:
        """The accepted batches behind the first of these places that stands among them."""
        for place in places:
            if place.id == ZEROS:
                return self._accepted_from(source, number, 1)
            stored = next(_accepted(source, number, 1, place.n, reverse=True), None)
            if stored is not None and stored.id == place.id:
                return self._accepted_from(source, number, stored.header.last + 1)
        return None

    def _accepted_from(self, source: LogSnapshot, number: int, first: int) -> Iterator[bytes]:
        return (self._whole(source, number, stored) for stored in _accepted(source, number, first))

    def _whole(self, source: LogSnapshot, number: int, stored: StoredBatch) -> bytes:
        """An accepted batch as it was received, what a pin cuts off included."""
        self._check_plane(stored.header)
        return whole_batch(source.transaction, number, stored)

    def _branches_after(self, feeds: StoredFeeds, author: bytes, places: Sequence[Place]) -> Iterator[bytes] | None:
        """All linked batches of a forked feed that don't lead to one of these places."""
        refs = feeds.branches(author).refs
        known = [place for place in places if place.id == ZEROS or place.id in refs]
        covered = {ref.id for place in known for ref in feeds.path(author, place.id)}
        lacking = sorted((ref for ref in refs.values() if ref.id not in covered), key=lambda ref: (ref.first, ref.id))
        return (self._encoded(feeds.batch(author, ref)) for ref in lacking) if known else None

    def _encoded(self, batch: Batch) -> bytes:
        self._check_plane(batch.header)
        return encode_batch(batch.header_bytes, batch.signature, batch.events)

    def _check_plane(self, header: Header) -> None:
        if header.plane != self._plane.id:
            raise RefusedError("a batch of another plane was about to be handed out", code=Code.DENIED)

    def batch(self, author: bytes, batch_id: bytes) -> bytes | None:
        """An accepted batch with the values that are here, or None where none is that anybody could lack.

        Replicas may have lost different ones to an erasure that counts no more: each can complete the other's.
        """
        with self._replica.read() as reader:
            source = LogSnapshot(reader)
            number = source.feed_number(self._plane.number, author)
            first = self._first_of(source, number, batch_id)
            stored = None if first is None else source.log.batch_holding(number, first)
            if stored is None:
                return None
            whole = self._whole(source, number, stored)
            events = decode_batch(whole, verify=False).events
            is_bare = all(event.values_bytes is None for event in events)
            return None if is_bare and lacks(reader, number, events) else whole

    def without_erased(self, batches: Iterable[bytes]) -> list[bytes]:
        """Batches that stand on a remote, without the values that are erased since."""
        with self._replica.read() as reader:
            source = LogSnapshot(reader)
            return [self._as_kept(source, batch) for batch in batches]

    def tells_erased(
        self, reader: Reader, message: bytes, spans: Mapping[bytes, tuple[int, int]] | None = None
    ) -> bool:
        """Whether a message with batches, read earlier, holds values that are erased in a snapshot or a transaction.

        Args:
            reader: the snapshot.
            message: the message.
            spans: author → between which events of its feed all are that the message holds of it; None for not known.
        """
        source = LogSnapshot(reader)
        numbers = {author: source.feed_number(self._plane.number, author) for author in spans or ()}
        if spans is not None and not any(marks_in(reader, numbers[each], *span) for each, span in spans.items()):
            return False
        decoded = decode_message(message)
        batches = decoded.batches if isinstance(decoded, Batches) else ()
        return any(self._as_kept(source, batch) is not batch for batch in batches)

    def _as_kept(self, source: LogSnapshot, packed: bytes) -> bytes:
        link = batch_link(packed)
        number = source.feed_number(self._plane.number, link.author)
        if not marks_in(source.transaction, number, link.first, link.last):
            return packed
        batch = decode_batch(packed, verify=False)
        kept = as_kept(source.transaction, number, batch)
        return packed if kept is batch else self._encoded(kept)

    def has_whole(self, author: bytes, first: int, batch_id: bytes) -> bool:
        """Whether a batch is accepted here as a whole, with all its values."""
        with self._replica.read() as reader:
            source = LogSnapshot(reader)
            number = source.feed_number(self._plane.number, author)
            stored = source.log.batch_holding(number, first)
            if stored is None or stored.id != batch_id or stored.accepted != stored.header.count:
                return False
            return reader.get(Table.META, layout.withheld_key(self._plane.number, number, first)) is None

    def _first_of(self, source: LogSnapshot, number: int, batch_id: bytes) -> int | None:
        """The first number of an accepted batch. The ids of one feed at a time are remembered."""
        head = source.feed(number).head
        if self._ids_of != (number, head):
            self._ids = {stored.id: stored.header.first for stored in _accepted(source, number, 1)}
            self._ids_of = (number, head)
        return self._ids.get(batch_id)

    def missing(self, most: int) -> Sequence[Single]:
        """Accepted batches some of whose values are withheld, from any on: an answer holds only the first few.

        Values may be lost for good. Asked for first each time, they would keep out those that others still have.
        """
        prefix = layout.withheld_prefix(self._plane.number)
        found: list[Single] = []
        with self._replica.read() as reader:
            source = LogSnapshot(reader)
            rows = reader.scan(Table.META, prefix, layout.after(prefix))
            keys = [key for key, _ in islice(rows, max(most, MISSING_LOOKED_THROUGH))]
            first = int.from_bytes(self._replica.entropy.bytes(4), "big") % len(keys) if len(keys) > 1 else 0
            for key in [*keys[first:], *keys[:first]][:most]:
                number, first = layout.withheld_parts(key)
                stored = source.log.batch_holding(number, first)
                if stored is not None:
                    found.append(Single(source.feed(number).author, stored.id))
        return found

    def torn(self, links: Sequence[Link]) -> Sequence[Single]:
        """Those of these batches that are accepted and some of whose values are withheld."""
        found: list[Single] = []
        with self._replica.read() as reader:
            source = LogSnapshot(reader)
            for link in links:
                number = source.feed_number(self._plane.number, link.author)
                if reader.get(Table.META, layout.withheld_key(self._plane.number, number, link.first)) is not None:
                    stored = source.log.batch_holding(number, link.first)
                    found += [Single(link.author, link.id)] if stored is not None and stored.id == link.id else []
        return found

    def fork_proof(self, author: bytes) -> ForkProof | None:
        """The proof of an author's lowest fork."""
        with self._replica.read() as reader:
            return AsideReader(reader).proof(LogSnapshot(reader).feed_number(self._plane.number, author))


def _accepted(
    source: LogSnapshot, number: int, first: int, last: int = _LAST, *, reverse: bool = False
) -> Iterator[StoredBatch]:
    """A feed's accepted batches that begin in a range of numbers."""
    start, stop = layout.batch_key(number, first), layout.batch_key(number, min(last, _LAST) + 1)
    return (unpack_batch(value) for _, value in source.transaction.scan(Table.BATCHES, start, stop, reverse=reverse))


def _fitting(batches: Iterator[bytes], room: int) -> Iterator[bytes]:
    """The first of these batches that go into so many bytes."""
    for batch in batches:
        room -= batch_room(batch)
        if room < 0:
            return
        yield batch


def _is_linked_or_parked(feeds: StoredFeeds, aside: AsideReader, author: bytes, number: int, batch_id: bytes) -> bool:
    """Whether a batch is linked, or parked with all before it back to one that is."""
    parked = (aside.batch(row) for _, _, row in aside.rows(number) if row.parked)
    previous = {batch.id: batch.header.prev for batch in parked}
    while batch_id != ZEROS and feeds.get(author, batch_id) is None:
        if batch_id not in previous:
            return False
        batch_id = previous[batch_id]
    return True


def _reserve(unit: Unit, plane: int) -> range:
    """Take message counters out of circulation."""
    key = layout.message_counter_key(plane)
    first = int.from_bytes(unit.transaction.get(Table.META, key) or b"", "big") + 1
    reserved = range(first, first + COUNTERS_AT_ONCE)
    unit.transaction.put(Table.META, key, reserved[-1].to_bytes(8, "big"))
    return reserved
