"""Filling a remote's queue with what the remote lacks, read from the log.

Invariant: whatever goes into a queue is noted as carried in the same transaction, so that each batch is queued once
(a remote that was removed meanwhile has no queue); and it is read through `StoredLog`, which hands out accepted batches
of its own shared plane alone. Only for a `SharedPlane` is there a queue.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Final, NamedTuple

from moot_protocol.exchange.frontier import Entry
from moot_protocol.exchange.messages import AROUND_BATCHES, LARGEST_BATCH, batch_room, build_batches, build_fork
from moot_protocol.log.batch import Link, batch_link
from mootd.engine.exchange import carried as carrying
from mootd.engine.exchange.carried import NOTHING, Carried, places_of
from mootd.engine.exchange.outbox import Outbox, OutFrame
from mootd.engine.exchange.stored_log import StoredLog
from mootd.engine.stored.shared_plane import SharedPlane
from mootd.engine.unit import Unit

BATCHES: Final = "batches"
"""The channel of what is queued (`mootd.remotes.Channel`)."""


class Portion(NamedTuple):
    """One message's worth of what a remote lacks."""

    message: bytes
    before: dict[bytes, Carried]
    """author → what was carried of its feed before this message."""
    after: dict[bytes, Carried]
    """author → what is carried with it."""
    spans: dict[bytes, tuple[int, int]]
    """author → the first and the last event of its feed between which all are that the message holds of it."""
    is_charter: bool = False
    """Whether it holds batches of charters alone, which are sealed under a key of their own."""


def portions(log: StoredLog, known: dict[bytes, Carried], room: int, held: Collection[bytes] = ()) -> Iterator[Portion]:
    """What a remote lacks of a plane, in messages of about `room` bytes (one batch always goes).

    Batches of charters come first and by themselves: what follows may be sealed under a key that they announce.

    Args:
        log: the plane.
        known: author → what the remote carries; changed as the portions go.
        room: bytes of a message.
        held: authors whose feeds are left out, but for charters.
    """
    packing = _Packing(log.plane.id, room)
    charters = log.charters()
    entries = log.position().frontier
    for entry in entries:
        if entry.author in charters:
            yield from (portion._replace(is_charter=True) for portion in _of_feed(log, known, entry, packing))
    yield from (portion._replace(is_charter=True) for portion in packing.rest())
    for entry in entries:
        if entry.author not in charters and entry.author not in held:
            yield from _of_feed(log, known, entry, packing)
    yield from packing.rest()


def _of_feed(log: StoredLog, known: dict[bytes, Carried], entry: Entry, packing: "_Packing") -> Iterator[Portion]:
    """What a remote lacks of one feed; the last of it may stay in the packing."""
    here = known.get(entry.author, NOTHING)
    if not entry.forked_at and any(name == entry.head for _, name in here.places):
        return
    if entry.forked_at and here.forked_at != entry.forked_at:
        yield from _proof(log, known, entry)
    yield from _lacking(log, known, entry.author, packing)


def _proof(log: StoredLog, known: dict[bytes, Carried], entry: Entry) -> Iterator[Portion]:
    """The proof of a fork, in a message of its own before the batches that it explains."""
    proof = log.fork_proof(entry.author)
    if proof is None:
        return
    before = known.get(entry.author, NOTHING)
    after = known[entry.author] = Carried(before.places, entry.forked_at)
    yield Portion(build_fork(proof), {entry.author: before}, {entry.author: after}, {})


def _lacking(log: StoredLog, known: dict[bytes, Carried], author: bytes, packing: "_Packing") -> Iterator[Portion]:
    while True:
        before = known.get(author, NOTHING)
        found = log.batches_after(author, places_of(author, before), max(packing.room, LARGEST_BATCH)) or ()
        if not found:
            return
        for batch in found:
            link = batch_link(batch)
            if not packing.fits(batch):
                yield from packing.rest()
            here = known.get(author, NOTHING)
            known[author] = carrying.extend(here, [link])
            packing.add(batch, link, here, known[author])
        if known[author].places == before.places:
            return  # a feed with more branches than are remembered: the rest waits for its owner's end


def repack(plane: bytes, batches: Iterable[bytes], room: int, *, is_charter: bool = False) -> Iterator[Portion]:
    """Batches that a remote carries already, in messages of about `room` bytes."""
    packing = _Packing(plane, room)
    for batch in batches:
        if not packing.fits(batch):
            yield from (portion._replace(is_charter=is_charter) for portion in packing.rest())
        packing.add(batch, batch_link(batch), NOTHING, NOTHING)
    yield from (portion._replace(is_charter=is_charter) for portion in packing.rest())


class _Packing:
    """Batches on their way into one message."""

    def __init__(self, plane: bytes, room: int) -> None:
        self._plane = plane
        self.room = room
        self._batches: list[bytes] = []
        self._size = AROUND_BATCHES
        self._before: dict[bytes, Carried] = {}
        self._after: dict[bytes, Carried] = {}
        self._spans: dict[bytes, tuple[int, int]] = {}

    def fits(self, batch: bytes) -> bool:
        """Whether a batch goes into the present message."""
        return not self._batches or self._size + batch_room(batch) <= self.room

    def add(self, batch: bytes, link: Link, before: Carried, after: Carried) -> None:
        """Add a batch."""
        self._batches.append(batch)
        self._size += batch_room(batch)
        self._before.setdefault(link.author, before)
        self._after[link.author] = after
        first, last = self._spans.get(link.author, (link.first, link.last))
        self._spans[link.author] = (min(first, link.first), max(last, link.last))

    def rest(self) -> Iterator[Portion]:
        """The present message, if there is anything in it; the next one begins."""
        if self._batches:
            message = build_batches(self._plane, tuple(self._batches), (), ())
            yield Portion(message, self._before, self._after, self._spans)
        self._batches, self._size = [], AROUND_BATCHES
        self._before, self._after, self._spans = {}, {}, {}


def queue(
    unit: Unit, remote: int, plane: SharedPlane, frame: bytes, portion: Portion, *, published_ms: int = 0
) -> None:
    """Put a portion into a remote's queue, and note it as carried.

    Args:
        unit: the transaction.
        remote: the remote's number.
        plane: the plane.
        frame: the portion's message, sealed under the plane's present key.
        portion: what it is.
        published_ms: when a remote without memory acknowledged it already; 0 for not yet.
    """
    before = tuple(sorted(portion.before.items()))
    spans = tuple((author, *span) for author, span in sorted(portion.spans.items()))
    waiting = OutFrame(plane.number, BATCHES, frame, unit.now_ms, before, published_ms, spans)
    Outbox(unit.transaction, remote, unit.replica.outbox_caps).put(waiting)
    for author, known in portion.after.items():
        carrying.put(unit.transaction, remote, plane.number, author, known)
