"""What is held of a feed as branches: links, forks, and how far pins let it go.

Invariant: everything here looks at headers and links only. A pin leads along the branch of the batch that it names, and
several leave what all their branches share, by whole batches, up to the lowest of their numbers.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from functools import reduce
from typing import NamedTuple, Protocol

from moot_protocol.errors import Code, MootError
from moot_protocol.ids import key_text
from moot_protocol.log.batch import Batch
from moot_protocol.log.event import Event
from moot_protocol.merge import kinds
from moot_protocol.trust.charter import OPENS_CHARTER


class BatchRef(NamedTuple):
    """A held batch without its events."""

    id: bytes
    prev: bytes
    """Id of the author's previous batch, or zeros."""
    first: int
    last: int
    hlc_last: int


class Opening(NamedTuple):
    """The first event of a feed, or of one branch of it."""

    batch: bytes
    """Id of the batch that holds it."""
    event: Event


class Pin(NamedTuple):
    """An effective pin: the branch it leads along and its number."""

    branch: BatchRef | None
    n: int


class Feeds(Protocol):
    """What is held of one plane.

    A batch is *linked* when it and all before it, back to number 1, are held, each following the other (`follows`),
    with all their values where they must have them (`needs_values`), and none of them parked. The *trunk* is what is
    linked and begins before the first fork; below it no number is held twice.
    """

    def authors(self) -> Iterable[bytes]:
        """Every author that anything is known of."""

    def charters(self) -> Iterable[bytes]:
        """Every author with a linked opening of a kind that opens charters; others may be among them."""

    def forked_at(self, author: bytes) -> int:
        """The lowest `first` of which two different header ids are known, parked and unlinked ones too; 0 for none."""

    def tip(self, author: bytes) -> BatchRef | None:
        """The last batch of the trunk."""

    def get(self, author: bytes, batch_id: bytes) -> BatchRef | None:
        """A linked batch, on whatever branch."""

    def holding(self, author: bytes, n: int) -> BatchRef | None:
        """The batch of the trunk that holds an event's number."""

    def heads(self, author: bytes) -> Iterable[BatchRef]:
        """The last linked batch of every branch; asked of charters only."""

    def openings(self, author: bytes) -> Sequence[Opening]:
        """The first events of all linked batches that begin at 1; more than one only where the feed forks there."""

    def batch(self, author: bytes, ref: BatchRef) -> Batch:
        """A linked batch with its events; asked of charters only."""


def follows(batch: Batch, previous: BatchRef | None) -> bool:
    """Whether a batch comes right after another one of its author: by id, by number, and by time.

    Args:
        batch: the later batch.
        previous: the linked batch that it names as its predecessor, or None at the feed's beginning.
    """
    header = batch.header
    if previous is None:
        return header.first == 1
    return (
        header.prev == previous.id
        and header.first == previous.last + 1
        and batch.events[0].skeleton.hlc > previous.hlc_last
    )


def needs_values(opening: Event, first: int) -> bool:
    """Whether a batch counts as held only with all its values: in a charter, and where it holds a certificate.

    Args:
        opening: the first event of the branch that the batch stands on.
        first: number of the batch's first event.
    """
    kind = opening.skeleton.kind
    return kind in OPENS_CHARTER or (first == 1 and kind == kinds.CERTIFICATE)


def opening_of(feeds: Feeds, author: bytes, ref: BatchRef) -> Event:
    """The first event of the branch that leads to a linked batch."""
    openings = feeds.openings(author)
    while len(openings) > 1 and ref.first > 1:
        ref = previous_of(feeds, author, ref)
    for opening in openings:
        if len(openings) == 1 or opening.batch == ref.id:
            return opening.event
    raise _broken(author)


def bound(feeds: Feeds, author: bytes, pins: Sequence[Pin]) -> tuple[BatchRef | None, int]:
    """How far a feed counts: the last batch of the branch to go along, and the last number."""
    if not pins:
        tip = feeds.tip(author)
        return tip, tip.last if tip else 0
    reach = reduce(lambda one, other: _common(feeds, author, one, other), (pin.branch for pin in pins))
    return reach, min(reach.last if reach else 0, *(pin.n for pin in pins))


def holding_of(feeds: Feeds, author: bytes, ref: BatchRef | None, n: int) -> BatchRef | None:
    """The batch that holds an event's number on the branch that leads to a linked batch; None for number 0."""
    if ref is None or n == 0:
        return None
    while n < ref.first:
        if _is_on_trunk(feeds, author, ref):
            return feeds.holding(author, n)
        ref = previous_of(feeds, author, ref)
    return ref


def path_from(feeds: Feeds, author: bytes, head: BatchRef, known: Container[bytes] = ()) -> Iterator[BatchRef]:
    """The linked batches that lead to one, backwards from it, up to but not including the first whose id is known."""
    ref: BatchRef | None = head
    while ref is not None and ref.id not in known:
        yield ref
        ref = None if ref.first == 1 else previous_of(feeds, author, ref)


def previous_of(feeds: Feeds, author: bytes, ref: BatchRef) -> BatchRef:
    """The linked batch right before one that isn't the first."""
    on_trunk = _is_on_trunk(feeds, author, ref)
    previous = feeds.holding(author, ref.first - 1) if on_trunk else feeds.get(author, ref.prev)
    if previous is None:
        raise _broken(author)
    return previous


def _is_on_trunk(feeds: Feeds, author: bytes, ref: BatchRef) -> bool:
    forked_at = feeds.forked_at(author)
    return not forked_at or ref.first < forked_at


def _common(feeds: Feeds, author: bytes, one: BatchRef | None, other: BatchRef | None) -> BatchRef | None:
    """The last batch that the branches leading to two linked batches share."""
    while one is not None and other is not None and one.id != other.id:
        if one.first > other.first:
            one, other = other, one
        if _is_on_trunk(feeds, author, one):
            return one  # all that is linked stands on the trunk
        other = feeds.get(author, other.prev)
    return None if one is None or other is None else one


def _broken(author: bytes) -> MootError:
    """The error for feeds that don't hold what `Feeds` promises."""
    return MootError(f"the feed of {key_text(author)} has lost a batch on its trunk", code=Code.STORE_DAMAGED)
