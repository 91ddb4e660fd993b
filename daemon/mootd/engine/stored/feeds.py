"""What acceptance asks of a plane, answered from the store (`moot_protocol.trust.branches.Feeds`).

A feed of which nothing is put aside is answered from its row and one look-up, however long it is. Only where batches
lie aside (a fork, an end, something not yet entitled) are that feed's headers read.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Protocol

from moot_protocol.log.batch import ZEROS, Batch, decode_batch
from moot_protocol.log.event import Event
from moot_protocol.merge.kinds import CHARTER
from moot_protocol.trust.branches import BatchRef, Opening, follows, needs_values
from moot_protocol.trust.charter import OPENS_CHARTER
from mootd.engine.stored.aside import AsideReader
from mootd.engine.stored.log import FeedRow, LogReader, StoredBatch, damaged
from mootd.store.port import Reader


class Source(Protocol):
    """One state of a replica: a unit's, or a snapshot's."""

    @property
    def transaction(self) -> Reader:
        """What it is read from."""

    @property
    def log(self) -> LogReader:
        """Its log."""

    def feed(self, number: int) -> FeedRow:
        """A feed by its number."""

    def feed_number(self, plane: int, author: bytes) -> int:
        """The number of an author's feed; of one that isn't known, a number without batches."""

    def authors(self, plane: int) -> list[bytes]:
        """Every author that anything is known of on a plane."""


class _Branches:
    """All linked batches of one feed, from the log and from aside."""

    def __init__(self, feed: int, forked_at: int, log: LogReader, aside: AsideReader) -> None:
        self.refs: dict[bytes, BatchRef] = {}
        self.openings: dict[bytes, Event] = {}
        """id of a linked batch → the first event of its branch."""
        opening: Event | None = None
        for _, stored in log.batches(feed, 1):
            ref = _ref(stored)
            if opening is None:
                opening = log.event(stored.arrival).event
            self.refs[ref.id], self.openings[ref.id] = ref, opening
        rows = [aside.batch(row) for _, _, row in aside.rows(feed) if not row.parked]
        for batch in sorted(rows, key=lambda batch: batch.header.first):
            self._link(batch)
        self.trunk = [ref for ref in self.refs.values() if not forked_at or ref.first < forked_at]
        self.trunk.sort(key=lambda ref: ref.first)

    def _link(self, batch: Batch) -> None:
        header = batch.header
        previous = self.refs.get(header.prev)
        if batch.id in self.refs or (header.first > 1 and previous is None):
            return
        opening = self.openings[previous.id] if previous else batch.events[0]
        if follows(batch, previous) and (batch.is_complete or not needs_values(opening, header.first)):
            self.refs[batch.id] = BatchRef(batch.id, header.prev, header.first, header.last, header.hlc_last)
            self.openings[batch.id] = opening


class StoredFeeds:
    """The feeds of one plane inside one transaction."""

    def __init__(self, source: Source, plane: int) -> None:
        self._source = source
        self._plane = plane
        self._aside = AsideReader(source.transaction)
        self._branches: dict[int, _Branches] = {}
        self._known: frozenset[bytes] | None = None

    def _number(self, author: bytes) -> int:
        """An author's number; 0 for one that nothing is known of, and that must get no number by being asked for."""
        if self._known is None:
            self._known = frozenset(self._source.authors(self._plane))
        return self._source.feed_number(self._plane, author) if author in self._known else 0

    def _feed(self, number: int) -> FeedRow:
        return self._source.feed(number) if number else FeedRow(self._plane, b"")

    def branches(self, author: bytes) -> _Branches:
        """All linked batches of an author, read once."""
        number = self._number(author)
        if number not in self._branches:
            forked_at = self._feed(number).forked_at
            self._branches[number] = _Branches(number, forked_at, self._source.log, self._aside)
        return self._branches[number]

    def _is_plain(self, number: int) -> bool:
        row = self._feed(number)
        return not row.forked_at and not row.is_aside

    def _last_accepted(self, number: int) -> BatchRef | None:
        row = self._feed(number)
        stored = self._source.log.batch_holding(number, row.n) if row.n else None
        return None if stored is None else _ref(stored)

    # -- `Feeds` -------------------------------------------------------------------------------------------------
    def authors(self) -> Iterable[bytes]:
        """Every author that anything is known of."""
        return self._source.authors(self._plane)

    def forked_at(self, author: bytes) -> int:
        """The lowest number at which two different batches are known, 0 for none."""
        return self._feed(self._number(author)).forked_at

    def tip(self, author: bytes) -> BatchRef | None:
        """The last batch of the trunk."""
        number = self._number(author)
        if self._is_plain(number):
            return self._last_accepted(number)
        trunk = self.branches(author).trunk
        return trunk[-1] if trunk else None

    def get(self, author: bytes, batch_id: bytes) -> BatchRef | None:
        """A linked batch."""
        last = self._last_accepted(self._number(author))
        if last is not None and last.id == batch_id:
            return last
        return self.branches(author).refs.get(batch_id)

    def holding(self, author: bytes, n: int) -> BatchRef | None:
        """The batch of the trunk that holds an event's number."""
        number = self._number(author)
        if self._is_plain(number):
            stored = self._source.log.batch_holding(number, n)
            return None if stored is None else _ref(stored)
        return next((ref for ref in self.branches(author).trunk if ref.first <= n <= ref.last), None)

    def heads(self, author: bytes) -> Iterable[BatchRef]:
        """The last linked batch of every branch."""
        number = self._number(author)
        if self._is_plain(number):
            last = self._last_accepted(number)
            return [] if last is None else [last]
        refs = self.branches(author).refs
        followed = {ref.prev for ref in refs.values()}
        return [ref for ref in refs.values() if ref.id not in followed]

    def charters(self) -> Iterable[bytes]:
        """Every author with an opening of a kind that opens charters; others may be among them."""
        return [author for author in self.authors() if self._may_be_charter(author)]

    def state_of_charters(self) -> object:
        """What all that a plane's charters say follows from; two that are equal mean the same, in any transaction."""
        numbers = sorted((author, self._number(author)) for author in self.charters())
        rows = ((author, self._feed(number), number) for author, number in numbers)
        return [
            (author, row.n, row.head, row.forked_at, self._lying_aside(row, number)) for author, row, number in rows
        ]

    def _lying_aside(self, row: FeedRow, number: int) -> list[tuple[bytes, bool, bytes]]:
        """(id, whether it is parked, a hash of its bytes) of batches: one may be there without some of its values."""
        if not (row.is_aside or row.forked_at):
            return []
        return [(key, each.parked, sha256(each.raw).digest()) for _, key, each in self._aside.rows(number)]

    def _may_be_charter(self, author: bytes) -> bool:
        row = self._feed(self._number(author))
        if row.kind or not (row.is_aside or row.n):
            return row.kind == CHARTER or row.forked_at == 1
        return any(opening.event.skeleton.kind in OPENS_CHARTER for opening in self.openings(author))

    def openings(self, author: bytes) -> Sequence[Opening]:
        """The first events of all linked batches that begin at 1."""
        number = self._number(author)
        found: dict[bytes, Event] = {}
        first = self._source.log.batch_holding(number, 1)
        if first is not None:
            found[first.id] = self._source.log.event(first.arrival).event
        if not self._is_plain(number):
            aside = (self._aside.batch(row) for row in self._aside.at(number, 1) if not row.parked)
            found.update((batch.id, batch.events[0]) for batch in aside if _is_opening(batch))
        return [Opening(*each) for each in found.items()]

    # -- Whole batches -------------------------------------------------------------------------------------------
    def batch(self, author: bytes, ref: BatchRef) -> Batch:
        """A linked batch with its events."""
        number = self._number(author)
        row = self._aside.get(number, ref.first, ref.id)
        if row is not None:
            return self._aside.batch(row)
        stored = self._source.log.batch_holding(number, ref.first)
        if stored is None:
            raise damaged(f"a batch from event {ref.first} on is missing")
        return decode_batch(self._source.log.batch_bytes(stored), verify=False)

    def has_counted(self, author: bytes, batches: Iterable[Batch]) -> bool:
        """Whether any of these was accepted here and is not now."""
        number = self._number(author)
        rows = (self._aside.get(number, batch.header.first, batch.id) for batch in batches)
        return any(row is not None and row.was_accepted for row in rows)

    def path(self, author: bytes, target: bytes) -> list[BatchRef]:
        """The linked batches that lead to one, from number 1 on; empty for zeros."""
        path: list[BatchRef] = []
        refs = self.branches(author).refs
        while target != ZEROS and target in refs:
            path.append(refs[target])
            target = path[-1].prev
        return path[::-1]


def _is_opening(batch: Batch) -> bool:
    return follows(batch, None) and (batch.is_complete or not needs_values(batch.events[0], 1))


def _ref(stored: StoredBatch) -> BatchRef:
    header = stored.header
    return BatchRef(stored.id, header.prev, header.first, header.last, header.hlc_last)
