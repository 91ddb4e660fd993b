"""What of this machine's own keys is to be written again: the events that count nowhere, by the histories they are of.

Invariant: an event is told of once, whichever and however many histories say it: one that another history says as well
is there as soon as that is, and what only one says is missing until it is written. What counted here once is told of
unless it is there as the same write; what never counted, where nobody says it.
"""

from collections.abc import Container, Iterator, Mapping
from typing import Final, NamedTuple

from moot_protocol.log.batch import Batch
from moot_protocol.log.event import Event
from moot_protocol.merge.kinds import CERTIFICATE
from mootd.engine.state import REPLICA_KEY
from mootd.engine.stored import layout
from mootd.engine.stored.aside import AsideReader, uncounted
from mootd.engine.stored.feeds import StoredFeeds
from mootd.engine.stored.log import PlaneRow
from mootd.engine.unit import Unit
from mootd.engine.views.restored import StandIn, histories, stand_ins
from mootd.store.port import Table

_MAX_N: Final = 2**63 - 1
"""Behind every event of a feed."""


class Lost(NamedTuple):
    """A history of a key of this machine's that doesn't count."""

    feed: int
    batches: list[Batch]
    """In order."""
    again: Mapping[bytes, StandIn]
    """Leaf → what is there again for it."""
    events: list[tuple[Batch, Event]]
    """What is to be written, in order."""


def lost(unit: Unit, plane: PlaneRow, takes_both: bool) -> Iterator[Lost]:
    """The histories of this machine's own keys that don't count, with what is to be written again of each, if anything.

    Those of a later key come behind all of an earlier one: they may supersede these, and numbers begin anew with a key.
    What counted here comes before what never did. Each is looked at when it is come to, so that what was written of one
    history is there again for all others.
    """
    for number in own_feeds(unit, plane):
        cut = dict(_cut(unit, number))
        others = _left_out(unit, plane, number) if takes_both else []
        for history in histories([*cut.values(), *others]):
            yield _lost_of(unit, number, history, cut)


def is_lost(unit: Unit, plane: PlaneRow, takes_both: bool) -> bool:
    """Whether anything of this machine's own keys is to be written again on a plane."""
    return any(each.events for each in lost(unit, plane, takes_both))


def _lost_of(unit: Unit, number: int, history: list[Batch], cut: Container[bytes]) -> Lost:
    unit.seal()
    unit.flush()
    again, last = stand_ins(unit, number, history), _unsalvaged(unit, number)
    events = [
        (batch, event)
        for batch in history
        for event in uncounted(unit.log, number, batch)
        if _is_to_write(event, again.get(event.leaf), is_cut=batch.id in cut, last=last)
    ]
    return Lost(number, history, again, events)


def _is_to_write(event: Event, again: StandIn | None, *, is_cut: bool, last: int) -> bool:
    """Whether an event that doesn't count is to be written again.

    What counted here once is, unless it is there as the same write: one that is merely later may have been made after
    it, and something else in between. What never counted is where nothing says it.
    """
    if is_cut:
        return event.n <= last and (again is None or not again.is_same)
    return again is None and event.values_bytes is not None and event.skeleton.kind != CERTIFICATE


def own_feeds(unit: Unit, plane: PlaneRow) -> list[int]:
    """The feeds of all keys that this machine has had, in the order in which it had them."""
    latest_first = unit.replica.keys.stored(REPLICA_KEY)
    return [unit.feed_number(plane.number, unit.replica.signer(each).public) for each in latest_first][::-1]


def _cut(unit: Unit, number: int) -> Iterator[tuple[bytes, Batch]]:
    """Id → batch, of those that were accepted here once and aren't now."""
    aside, last = AsideReader(unit.transaction), _unsalvaged(unit, number)
    for first, key, row in aside.rows(number):
        if row.was_accepted and first <= last:
            yield key, aside.batch(row)


def _unsalvaged(unit: Unit, feed: int) -> int:
    """Up to which event a feed's lost ones were not written again yet: an end may cut more than a fork did before."""
    kept = unit.transaction.get(Table.META, layout.salvaged_key(feed))
    return _MAX_N if kept is None else int.from_bytes(kept, "big")


def _left_out(unit: Unit, plane: PlaneRow, number: int) -> list[Batch]:
    """The batches of a forked feed that its end left out and that never counted here."""
    row = unit.feed(number)
    if not (row.forked_at and row.ended):
        return []
    feeds, aside = StoredFeeds(unit, plane.number), AsideReader(unit.transaction)
    rows = [(key, each) for _, key, each in aside.rows(number) if not each.was_accepted]
    return [aside.batch(each) for key, each in rows if feeds.get(row.author, key) is not None]


def note_written(unit: Unit, plane: PlaneRow) -> None:
    """Note that what was lost so far of this machine's own keys on a plane is written again."""
    for number in own_feeds(unit, plane):
        if any(True for _ in _cut(unit, number)):
            until = min(unit.feed(number).n, _unsalvaged(unit, number))
            unit.transaction.put(Table.META, layout.salvaged_key(number), until.to_bytes(8, "big"))
