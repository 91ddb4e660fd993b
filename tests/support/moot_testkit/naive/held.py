"""The batches of one plane in memory, as a set: the plain twin of what a store answers acceptance.

Everything is derived from the set anew after each change, so nothing can depend on the order in which it came.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import msgspec

from moot_protocol.errors import Code, MalformedError
from moot_protocol.log.batch import Batch, Header
from moot_protocol.log.event import Event
from moot_protocol.merge.fold import Placed, placed_in
from moot_protocol.trust.branches import BatchRef, Opening, follows, needs_values
from moot_protocol.trust.charter import OPENS_CHARTER
from moot_testkit.naive.settlement import Settlement


class _Feed:
    """What is held of one author, and what follows from it."""

    __slots__ = ("batches", "firsts", "forked_at", "linked", "openings", "parked", "trunk")

    def __init__(self) -> None:
        self.batches: dict[bytes, Batch] = {}
        self.parked: set[bytes] = set()
        self.firsts: dict[int, set[bytes]] = {}
        """first → ids of all headers known."""
        self.forked_at = 0
        self.linked: dict[bytes, BatchRef] = {}
        self.openings: dict[bytes, Event] = {}
        """id of a linked batch → the first event of its branch."""
        self.trunk: list[BatchRef] = []

    def derive(self) -> None:
        """Find forks, links and the trunk."""
        self.forked_at = min((first for first, ids in self.firsts.items() if len(ids) > 1), default=0)
        self.linked, self.openings = {}, {}
        for batch in sorted(self.batches.values(), key=lambda batch: batch.header.first):
            if batch.id not in self.parked:
                self._link(batch)
        self.trunk = sorted(
            (ref for ref in self.linked.values() if not self.forked_at or ref.first < self.forked_at),
            key=lambda ref: ref.first,
        )

    def _link(self, batch: Batch) -> None:
        header = batch.header
        previous = self.linked.get(header.prev)
        if header.first > 1 and previous is None:
            return
        opening = self.openings[previous.id] if previous else batch.events[0]
        if follows(batch, previous) and (batch.is_complete or not needs_values(opening, header.first)):
            self.linked[batch.id] = BatchRef(batch.id, header.prev, header.first, header.last, header.hlc_last)
            self.openings[batch.id] = opening


class HeldBatches:
    """A set of batches and fork evidence of one plane; satisfies `acceptance.Feeds`.

    Args:
        plane: the plane's 16 bytes.
        batches: batches to begin with.
    """

    def __init__(self, plane: bytes, batches: Iterable[Batch] = ()) -> None:
        self._plane: Final = plane
        self._feeds: dict[bytes, _Feed] = {}
        self._stale: set[bytes] = set()
        for batch in batches:
            self.add(batch)

    def add(self, batch: Batch, *, parked: bool = False) -> None:
        """Add a batch. Copies complete one another's values; one that is not parked any more counts from then on.

        Raises:
            MalformedError: code `wrong_plane`.
        """
        feed = self._feed(batch.header, batch.id)
        known = feed.batches.get(batch.id)
        feed.batches[batch.id] = _united(known, batch) if known else batch
        if not parked:
            feed.parked.discard(batch.id)
        elif known is None:
            feed.parked.add(batch.id)

    def add_evidence(self, header: Header, header_id: bytes) -> None:
        """Add a signed header whose batch isn't held.

        Raises:
            MalformedError: code `wrong_plane`.
        """
        self._feed(header, header_id)

    def _feed(self, header: Header, header_id: bytes) -> _Feed:
        if header.plane != self._plane:
            raise MalformedError("a batch of another plane", code=Code.WRONG_PLANE)
        feed = self._feeds.setdefault(header.author, _Feed())
        feed.firsts.setdefault(header.first, set()).add(header_id)
        self._stale.add(header.author)
        return feed

    def _derived(self, author: bytes) -> _Feed:
        feed = self._feeds.get(author) or _Feed()
        if author in self._stale:
            feed.derive()
            self._stale.discard(author)
        return feed

    def authors(self) -> Iterable[bytes]:
        """Every author that anything is known of."""
        return self._feeds.keys()

    def charters(self) -> Iterable[bytes]:
        """Every author with an opening of a kind that opens charters."""
        return [
            author
            for author in self._feeds
            if any(opening.event.skeleton.kind in OPENS_CHARTER for opening in self.openings(author))
        ]

    def batches(self, author: bytes) -> Iterable[Batch]:
        """All batches held of an author."""
        return self._derived(author).batches.values()

    def is_parked(self, author: bytes, batch_id: bytes) -> bool:
        """Whether a batch is held and parked."""
        return batch_id in self._derived(author).parked

    def forked_at(self, author: bytes) -> int:
        """The lowest number at which two different batches are known, 0 for none."""
        return self._derived(author).forked_at

    def tip(self, author: bytes) -> BatchRef | None:
        """The last batch of the trunk."""
        trunk = self._derived(author).trunk
        return trunk[-1] if trunk else None

    def get(self, author: bytes, batch_id: bytes) -> BatchRef | None:
        """A linked batch."""
        return self._derived(author).linked.get(batch_id)

    def holding(self, author: bytes, n: int) -> BatchRef | None:
        """The batch of the trunk that holds an event's number."""
        trunk = self._derived(author).trunk
        at = bisect_right(trunk, n, key=lambda ref: ref.first)
        return trunk[at - 1] if at and n <= trunk[at - 1].last else None

    def heads(self, author: bytes) -> Iterable[BatchRef]:
        """The last linked batch of every branch."""
        linked = self._derived(author).linked
        followed = {ref.prev for ref in linked.values()}
        return [ref for ref in linked.values() if ref.id not in followed]

    def openings(self, author: bytes) -> Sequence[Opening]:
        """The first events of all linked batches that begin at 1."""
        feed = self._derived(author)
        return [
            Opening(batch_id, feed.openings[batch_id]) for batch_id in feed.firsts.get(1, ()) if batch_id in feed.linked
        ]

    def branch(self, author: bytes, batch_id: bytes) -> list[Batch]:
        """The batches from number 1 up to and with a linked one; none where it isn't linked."""
        feed = self._derived(author)
        path: list[Batch] = []
        while batch_id in feed.linked:
            path.append(feed.batches[batch_id])
            batch_id = feed.linked[batch_id].prev
        return path[::-1]

    def batch(self, author: bytes, ref: BatchRef) -> Batch:
        """A linked batch with its events."""
        return self._derived(author).batches[ref.id]

    def upto(self, author: bytes, batch_id: bytes) -> Iterator[Placed]:
        """The events from number 1 up to and with those of a linked batch."""
        return (placed for batch in self.branch(author, batch_id) for placed in placed_in(batch))

    def accepted(self, settlement: Settlement) -> Iterator[Placed]:
        """The accepted events of every author."""
        for author, accepted in settlement.accepted.items():
            yield from (placed for placed in self.upto(author, accepted.batch) if placed.event.n <= accepted.n)


def _united(one: Batch, other: Batch) -> Batch:
    """A batch with every value that either copy has."""
    events = tuple(
        mine if mine.values_bytes is not None else theirs for mine, theirs in zip(one.events, other.events, strict=True)
    )
    return msgspec.structs.replace(one, events=events)
