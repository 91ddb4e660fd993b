"""Receiving batches of other replicas, and keeping the log at what acceptance says of what is held.

Invariant: after `receive` the accepted part of every feed of the plane is what `moot_protocol.trust.acceptance` settles
for the set of batches held, whatever their order. The common case (the next batch of a feed with nothing odd about it)
is decided by comparing it with the feed's head.
"""

from enum import StrEnum

from msgspec.structs import replace

from moot_protocol import crypto
from moot_protocol.clock import from_ms, is_ahead
from moot_protocol.errors import Code, MalformedError
from moot_protocol.exchange.messages import ForkProof, fork_proof
from moot_protocol.ids import key_text
from moot_protocol.limits import CLOCK_AHEAD_MS
from moot_protocol.log.batch import Batch
from moot_protocol.merge.kinds import CHARTER, ERASE
from moot_protocol.trust.acceptance import Accepted, FeedKind, Reason, settle_author
from moot_protocol.trust.branches import BatchRef, follows, needs_values
from moot_protocol.trust.charter import end_of
from moot_protocol.trust.concern import change_between, names_of
from moot_protocol.trust.levels import read_towns
from moot_protocol.trust.towns import Towns
from mootd.engine.exchange.cut import change_role, cut, fill_values
from mootd.engine.stored.aside import Aside, AsideReader
from mootd.engine.stored.erased import as_kept
from mootd.engine.stored.feeds import StoredFeeds
from mootd.engine.stored.log import FeedRow, damaged
from mootd.engine.unit import Unit
from mootd.store.port import Reader


class Outcome(StrEnum):
    """What became of a received batch."""

    ACCEPTED = "accepted"
    """Some of it counts now."""
    DUPLICATE = "duplicate"
    """It was held already, with no fewer values."""
    COMPLETED = "completed"
    """It was held already, and brought values that were missing."""
    HELD = "held"
    """It is held and doesn't count yet, or never will."""
    PARKED = "parked"
    """It is too far ahead of the wall clock."""
    DROPPED = "dropped"
    """It is not accepted, and its author has too much lying aside already."""


def receive(unit: Unit, batch: Batch) -> Outcome:
    """Take in a batch whose bytes have been decoded and verified.

    Raises:
        MalformedError: code `wrong_plane`: it is of a plane that isn't held here.
    """
    unit.seal()
    header = batch.header
    plane = unit.plane_number(header.plane)
    if plane is None:
        raise MalformedError("a batch of a plane that isn't held here", code=Code.WRONG_PLANE)
    number = unit.feed_number(plane, header.author)
    batch = as_kept(unit.transaction, number, batch)
    row = unit.feed(number)
    # As `follows` has it, but from the row alone: the fast path reads no batch from the store.
    is_next = header.prev == row.head and header.first == row.n + 1 and batch.events[0].skeleton.hlc > row.hlc
    if is_next and not is_ahead(header.hlc_last, unit.now_ms) and (row.is_plain or _extends(row, batch)):
        unit.accept(number, batch)
        unit.clock.observe(header.hlc_last, unit.now_ms)
        if row.kind == CHARTER:
            resettle(unit, plane, header.author)
        return Outcome.ACCEPTED
    return _Receiver(unit, plane, number).take(batch)


def _extends(row: FeedRow, batch: Batch) -> bool:
    """Whether the next batch of a charter counts whatever it says: its town has a part, and it doesn't end itself."""
    is_settled = row.kind == CHARTER and row.n > 0 and not (row.reason or row.forked_at or row.is_aside)
    return is_settled and batch.is_complete and end_of(batch.events[0], row.author) is None


def keep_proof(unit: Unit, proof: ForkProof) -> bool:
    """Keep a fork proof whose signatures have been verified, and act on it; whether it told anything new.

    Raises:
        MalformedError: code `wrong_plane`: it is of a plane that isn't held here.
    """
    unit.seal()
    plane = unit.plane_number(proof.plane)
    if plane is None:
        raise MalformedError("a fork proof of a plane that isn't held here", code=Code.WRONG_PLANE)
    number = unit.feed_number(plane, proof.author)
    if 0 < unit.feed(number).forked_at <= proof.first:
        return False
    note_fork(unit, number, proof)
    resettle(unit, plane, proof.author)
    return True


def note_fork(unit: Unit, number: int, proof: ForkProof) -> None:
    """Remember that a feed is forked, and the proof of it; it must be lower than what was known."""
    Aside(unit.transaction).put_proof(number, proof)
    unit.set_feed(number, replace(unit.feed(number), forked_at=proof.first))


def has_due(reader: Reader, now_ms: int) -> bool:
    """Whether the time of some parked batch has come."""
    return AsideReader(reader).has_due(_due_until(now_ms))


def _due_until(now_ms: int) -> int:
    return from_ms(now_ms + CLOCK_AHEAD_MS + 1)


def release_parked(unit: Unit) -> int:
    """Let batches count whose time has come; how many there were."""
    due = Aside(unit.transaction).due(_due_until(unit.now_ms))
    for feed in {feed for feed, _, _ in due}:
        row = unit.feed(feed)
        resettle(unit, row.plane, row.author)
    return len(due)


class _Receiver:
    """Takes in one batch that is not simply the next."""

    def __init__(self, unit: Unit, plane: int, number: int) -> None:
        self._unit = unit
        self._plane = plane
        self._number = number
        self._aside = Aside(unit.transaction)

    def take(self, batch: Batch) -> Outcome:
        """Take in a batch."""
        known = self._known(batch)
        if known is not None:
            return known
        size = sum(len(event.skeleton_bytes) + len(event.values_bytes or b"") for event in batch.events)
        parked = is_ahead(batch.header.hlc_last, self._unit.now_ms)
        forked_at = self._unit.feed(self._number).forked_at
        self._note_fork(batch)
        if not self._aside.has_room(self._number, size) and not self._follows_something(batch):
            if parked:
                self._aside.put_far_head(self._number, batch)
            if forked_at != self._unit.feed(self._number).forked_at:
                self._settle()
            return Outcome.DROPPED
        self._aside.put(self._number, batch, parked=parked)
        row = self._unit.feed(self._number)
        self._unit.set_feed(self._number, replace(row, is_aside=True))
        if parked:
            self._settle()
            return Outcome.PARKED
        return Outcome.ACCEPTED if self._settle_counts(batch) else Outcome.HELD

    def _known(self, batch: Batch) -> Outcome | None:
        """What comes of a batch that is held already; None for one that isn't."""
        first = batch.header.first
        stored = self._unit.log.batch_holding(self._number, first)
        is_accepted = stored is not None and stored.id == batch.id
        filled = stored is not None and is_accepted and fill_values(self._unit, self._number, stored, batch)
        row = self._aside.get(self._number, first, batch.id)
        if row is not None:  # beside the log too, where a pin cuts it
            before = self._aside.batch(row)
            united = unite(before, batch)
            if united != before:
                self._aside.put(self._number, united, parked=row.parked, was_accepted=row.was_accepted)
                self._settle()
                filled = True
        elif not is_accepted:
            return None
        return Outcome.COMPLETED if filled else Outcome.DUPLICATE

    def _note_fork(self, batch: Batch) -> None:
        """Remember the lowest number at which two different batches are known, and its proof."""
        first = batch.header.first
        if 0 < self._unit.feed(self._number).forked_at <= first:
            return
        other = self._other(first)
        if other is not None:
            proof = fork_proof((batch.header_bytes, batch.signature), other)
            note_fork(self._unit, self._number, proof)

    def _other(self, first: int) -> tuple[bytes, bytes] | None:
        """Header and signature of a batch held that begins at a number.

        Raises:
            MootError: `store_damaged`: nobody signed what the log has there, which proves no fork.
        """
        stored = self._unit.log.batch_holding(self._number, first)
        if stored is not None and stored.header.first == first:
            author = self._unit.author_of(self._number)
            if not crypto.is_signed(author, stored.signature, crypto.BATCH_DOMAIN + stored.header_bytes):
                raise damaged(f"the batch from event {first} on of {key_text(author)} is not what was signed")
            return stored.header_bytes, stored.signature
        for row in self._aside.at(self._number, first):
            batch = self._aside.batch(row)
            return batch.header_bytes, batch.signature
        return None

    def _follows_something(self, batch: Batch) -> bool:
        """Whether a batch is linked to what is held: such ones are never dropped, or feeds would stop for good."""
        header, branches = batch.header, StoredFeeds(self._unit, self._plane).branches(batch.header.author)
        previous = branches.refs.get(header.prev)
        if not follows(batch, previous) or (previous is None and header.first > 1):
            return False
        opening = branches.openings[previous.id] if previous else batch.events[0]
        return batch.is_complete or not needs_values(opening, header.first)

    def _settle(self) -> None:
        resettle(self._unit, self._plane, self._unit.author_of(self._number))

    def _settle_counts(self, batch: Batch) -> bool:
        before = self._unit.feed(self._number).n
        self._settle()
        after = self._unit.feed(self._number)
        return after.n > before or (after.n >= batch.header.first and after.head == batch.id)


def unite(one: Batch, other: Batch) -> Batch:
    """A batch with every value that either copy has."""
    events = tuple(
        mine if mine.values_bytes is not None else theirs for mine, theirs in zip(one.events, other.events, strict=True)
    )
    return replace(one, events=events)


# -- Settling ----------------------------------------------------------------------------------------------------
def resettle(unit: Unit, plane: int, author: bytes) -> None:
    """Bring the log to what acceptance says after something of an author's has come; of all whom it concerns."""
    feeds = StoredFeeds(unit, plane)
    unit.replica.names.pop((plane, author), None)
    towns = _towns(unit, plane, feeds)
    charters = towns.charters if towns else {}
    authors = _concerned(unit, plane, feeds, towns, author)
    for each in sorted(authors, key=lambda key: charters[key].standing.depth if key in charters else len(charters)):
        _conform(unit, feeds, unit.feed_number(plane, each), settle_author(towns, feeds, each))
    if towns is not None:
        unit.settled[plane] = towns


def _concerned(unit: Unit, plane: int, feeds: StoredFeeds, towns: Towns | None, author: bytes) -> list[bytes]:
    """An author, and all whose feeds may count otherwise than by the towns that they were settled by."""
    before = unit.settled.get(plane)
    if towns is before:
        return [author]
    if towns is None or before is None:
        return unit.authors(plane)
    change, found = change_between(before, towns), {author: None}
    for each in unit.authors(plane):
        names = _names(unit, plane, feeds, towns, each)
        if names is None or change.includes(each, names):
            found[each] = None
    return list(found)


def _names(unit: Unit, plane: int, feeds: StoredFeeds, towns: Towns, author: bytes) -> frozenset[bytes] | None:
    """What an author's first events name; None where it was never settled since they came."""
    row = unit.feed(unit.feed_number(plane, author))
    if not row.n and not row.is_aside:
        return frozenset() if row.reason == Reason.NO_OPENING else None
    known = unit.replica.names.get((plane, author))
    if known is None:
        unit.replica.names[plane, author] = names_of(towns, feeds, author)
    return known


def _towns(unit: Unit, plane: int, feeds: StoredFeeds) -> Towns | None:
    """The plane's towns, evaluated anew only where something of a charter has come."""
    state = feeds.state_of_charters()
    known = unit.replica.towns_read.get(plane)
    if known is not None and known[0] == state:
        return known[1]
    towns = read_towns(unit.plane(plane).id, feeds, unit.replica.readings)
    unit.replica.towns_read[plane] = (state, towns)
    return towns


def _conform(unit: Unit, feeds: StoredFeeds, number: int, accepted: Accepted) -> None:
    """Make a feed's accepted part what was settled."""
    before = unit.feed(number)
    row = replace(
        before,
        kind="" if accepted.kind is FeedKind.UNKNOWN else str(accepted.kind),
        role=str(accepted.role) if accepted.role else "",
        town=accepted.town,
        ended=accepted.ended,
        reason=str(accepted.reason),
    )
    if row != before:
        unit.set_feed(number, row)
    moves = (row.n, row.head) != (accepted.n, accepted.batch)
    name = key_text(row.author)
    if (row != before or moves) and unit.views.find(row.plane, ERASE, name) is not None:
        unit.note_erasure(row.plane, name)  # what may be erased of a feed follows from whose it is, and how it begins
    if moves:
        _move(unit, feeds, number, accepted)
    if row.n and before.role != row.role:
        change_role(unit, number, before.role)


def _move(unit: Unit, feeds: StoredFeeds, number: int, accepted: Accepted) -> None:
    author = unit.author_of(number)
    path = feeds.path(author, accepted.batch)
    kept = _kept(unit, number, path, accepted.n)
    batches = [feeds.batch(author, ref) for ref in path if ref.last > kept]
    if unit.feed(number).n > kept:
        unit.flush()
        cut(unit, number, kept)
    aside = Aside(unit.transaction)
    for batch in batches:
        header = batch.header
        if header.last <= accepted.n:
            aside.remove(number, header.first, batch.id)
            unit.accept(number, batch)
        else:
            unit.accept(number, batch, accepted.n)
        unit.clock.observe(header.hlc_last, unit.now_ms)
    unit.set_feed(number, replace(unit.feed(number), is_aside=any(True for _ in aside.rows(number))))


def _kept(unit: Unit, number: int, path: list[BatchRef], n: int) -> int:
    """Up to which number the accepted events are those of a path, by whole batches."""
    kept = 0
    for ref in path:
        stored = unit.log.batch_holding(number, ref.first)
        whole = stored is not None and stored.id == ref.id and stored.accepted == ref.last - ref.first + 1
        if not whole or ref.last > n:
            break
        kept = ref.last
    return kept
