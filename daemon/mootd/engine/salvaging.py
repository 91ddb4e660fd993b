"""Salvage: what this machine wrote and what doesn't count any more, written again under a new key.

Invariant: only events that were accepted here before they were cut are written again, once, in their order: of a forked
feed those are this machine's own, never the copy's. What they superseded they supersede again: a dot of a lost event
stands for the event that was written in its place, other dots stay as they are.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from moot_protocol.batch import Batch
from moot_protocol.errors import Code, RefusedError
from moot_protocol.event import LEAF_PREFIX_BYTES, Dot, Draft, Event, Write
from moot_protocol.kinds import CERTIFICATE
from mootd.engine import layout
from mootd.engine.aside import AsideReader
from mootd.engine.home import is_copied
from mootd.engine.log import FeedRow, PlaneRow
from mootd.engine.rotating import NewKey, change_replica, forget_refs, new_key
from mootd.engine.state import REPLICA_KEY
from mootd.engine.towns import is_own
from mootd.engine.unit import Unit
from mootd.store.port import Table

SALVAGED: Final = "salvaged"
INVITE: Final = "invite"


class SalvagedPlane(NamedTuple):
    """What became of a plane."""

    plane: PlaneRow
    state: str
    """`salvaged`, or `invite` where this machine has to join again before it can write."""
    salvaged: int
    """Events that were written again."""
    skipped: int
    """Events whose values are missing or that belong to the old key alone."""


class Salvage(NamedTuple):
    """What came of it."""

    before: bytes
    replica: bytes
    planes: list[SalvagedPlane]


def salvage(unit: Unit, *, is_only: bool = False, is_copy: bool = False) -> Salvage:
    """Give this machine a new key if its own doesn't count any more, and write again what was lost.

    The old feed is left as it is: one machine of the town, and one only, ends it (`removing.retire`). A copy that is
    known to be one leaves the town's key to its original.

    Args:
        unit: the unit.
        is_only: whether the data directory was moved, so that nobody else writes under its key: it is kept.
        is_copy: whether it is known to be a copy of one that is in use, though that wasn't noticed.

    Raises:
        RefusedError: `conflict`: nothing is lost here; `not_ready`: there is nothing here yet.
    """
    unit.seal()
    replica = unit.replica
    planes = list(replica.planes.values())
    if not planes:
        raise RefusedError(
            "there is no town on this machine yet", code=Code.NOT_READY, hint="run `moot init` or `moot join` first"
        )
    copied = is_copy or is_copied(unit.transaction)
    unit.transaction.delete(Table.META, layout.COPIED)
    if copied and is_only:
        return Salvage(replica.id, replica.id, [])
    is_broken = copied or any(_is_broken(_own_feed(unit, plane)) for plane in planes)
    if not is_broken and not any(_lost(unit, plane) for plane in planes):
        raise RefusedError(
            "nothing is known to be lost: as far as this machine has heard, all that it wrote counts",
            code=Code.CONFLICT,
            hint="a second history under its key shows once it has come here: run `moot sync --wait`, then try again",
        )
    before = replica.id
    machine = new_key(unit, REPLICA_KEY) if is_broken else None
    if machine is not None:
        _go_on(unit, planes, machine)
    if copied and replica.own_towns():
        unit.disown()
    now = machine.signer.public if machine else before
    return Salvage(before, now, [_salvage(unit, plane, now) for plane in planes])


def _own_feed(unit: Unit, plane: PlaneRow) -> FeedRow:
    return unit.feed(unit.feed_number(plane.number, unit.replica.id))


def _is_broken(row: FeedRow) -> bool:
    return bool(row.forked_at or row.ended)


def _go_on(unit: Unit, planes: list[PlaneRow], machine: NewKey) -> None:
    """Open feeds under the new key. Nothing is written into charters: a copy of this machine may just do the same."""
    for plane in planes:
        if is_own(unit, plane):
            change_replica(unit, plane, machine, unit.replica.signer_of(plane.town), ends=False)
        else:
            forget_refs(unit, plane)


# -- What was lost -----------------------------------------------------------------------------------------------
def _lost(unit: Unit, plane: PlaneRow) -> list[tuple[int, Batch]]:
    """The batches of this machine's own keys that were accepted once and aren't now: (feed, batch), in order."""
    aside = AsideReader(unit.transaction)
    found = []
    for stored in unit.replica.keys.stored(REPLICA_KEY):
        number = unit.feed_number(plane.number, unit.replica.signer(stored).public)
        if unit.transaction.get(Table.META, layout.salvaged_key(number)) is None:
            found += [(number, aside.batch(row)) for _, _, row in aside.rows(number) if row.was_accepted]
    return sorted(found, key=lambda each: each[1].header.first)


def _salvage(unit: Unit, plane: PlaneRow, replica: bytes) -> SalvagedPlane:
    number = unit.feed_number(plane.number, replica)
    lost = _lost(unit, plane)
    if not unit.feed(number).n or unit.feed(number).reason:
        return SalvagedPlane(plane, INVITE, 0, 0)
    again: dict[Dot, Dot] = {}
    skipped = 0
    for feed, batch in lost:
        accepted = unit.feed(feed).n
        for event in batch.events:
            if event.n <= accepted:
                continue
            draft = _draft(batch, event, again)
            if draft is None:
                skipped += event.skeleton.kind != CERTIFICATE
                continue
            written = unit.append(plane.number, draft, feed=number)
            again[_dot(batch.header.author, event)] = _dot(replica, written)
    for feed in {feed for feed, _ in lost}:
        unit.transaction.put(Table.META, layout.salvaged_key(feed), b"")
    unit.seal()
    return SalvagedPlane(plane, SALVAGED, len(again), skipped)


def _dot(author: bytes, event: Event) -> Dot:
    return Dot(author, event.n, event.leaf[:LEAF_PREFIX_BYTES])


def _draft(batch: Batch, event: Event, again: dict[Dot, Dot]) -> Draft | None:
    """An event as it is to be written again, or None where it can't be."""
    values, skeleton = event.values(), event.skeleton
    if values is None or skeleton.kind == CERTIFICATE:
        return None
    authors = (batch.header.author, *batch.header.authors)
    writes = tuple(_writes(event, values, authors, again))
    return Draft(skeleton.kind, skeleton.entity, skeleton.actor, writes)


def _writes(event: Event, values: list[object], authors: tuple[bytes, ...], again: dict[Dot, Dot]) -> Iterator[Write]:
    waiting = iter(values)
    for change in event.skeleton.changes:
        dots = [Dot(authors[index], n, leaf8) for index, n, leaf8 in change.over]
        over = [again.get(dot, dot) for dot in dots]
        if change.removes:
            yield Write(change.key, removes=True, over=over)
        else:
            yield Write(change.key, next(waiting), over)
