"""Taking back what is not accepted any more, and filling in values that came late.

Invariant: afterwards log and views are as if the events taken back had never been accepted. The batches go aside
whole, since they stay held; the entities they touched are made anew from what is left; what was lost is reported.
"""

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from moot_protocol.log.batch import Batch, decode_batch
from moot_protocol.merge.kinds import ADMIN_KINDS, CHARTER, CHARTER_KINDS, ERASE, OWN_CHARTER_KINDS, Role
from mootd.engine.stored import layout
from mootd.engine.stored.aside import Aside
from mootd.engine.stored.erased import lacks, was_erased
from mootd.engine.stored.log import StoredBatch, StoredEvent, pack_batch, pack_event, with_previous
from mootd.engine.unit import Unit, role_of
from mootd.engine.views.writing import Replayed
from mootd.store.port import Reader, Table

REPORTED_ENTITIES = 100
"""Entities that a report names."""


class CutReport(msgspec.Struct, array_like=True, frozen=True):
    """What a cut took back."""

    plane: int
    author: bytes
    first: int
    """The first number taken back."""
    last: int
    entities: Sequence[tuple[str, str]]
    """(kind, entity) of what it touched, the first of them."""


def cut_reports(reader: Reader) -> list[CutReport]:
    """All that cuts ever reported, oldest first; what came back meanwhile is in it too."""
    rows = reader.scan(Table.META, layout.CUT_REPORTS, layout.after(layout.CUT_REPORTS))
    return [_decode_report(value) for _, value in rows]


class Place(NamedTuple):
    """An entity of a plane by name."""

    kind: str
    entity: str


def cut(unit: Unit, number: int, to_n: int) -> None:
    """Take back a feed's accepted events beyond a number."""
    unit.seal()
    row = unit.feed(number)
    aside = Aside(unit.transaction)
    gone: dict[Place, set[int]] = {}
    holding = unit.log.batch_holding(number, to_n + 1)
    first = holding.header.first if holding else to_n + 1
    for begins, stored in unit.log.batches(number, first):
        events = unit.log.events_of(stored)
        if stored.accepted == stored.header.count:
            aside.put(number, _whole(unit, stored), was_accepted=True)
        for each in events:
            if each.event.n > to_n:
                place = Place(each.event.skeleton.kind, each.event.skeleton.entity)
                gone.setdefault(place, set()).add(each.arrival)
        _shorten(unit, number, begins, stored, to_n)
    head, hlc = _head(unit, number, to_n)
    # Before anything is made anew: what supersedes an event that is gone waits for it again.
    unit.set_feed(number, replace(row, n=to_n, head=head, hlc=hlc, is_aside=True))
    for place, arrivals in gone.items():
        remake(unit, row.plane, place, arrivals)
    for arrivals in gone.values():
        for arrival in arrivals:
            unit.transaction.delete(Table.EVENTS, layout.arrival_key(arrival))
    _report(unit, CutReport(row.plane, row.author, to_n + 1, row.n, list(gone)[:REPORTED_ENTITIES]))


def _whole(unit: Unit, stored: StoredBatch) -> Batch:
    return decode_batch(unit.log.batch_bytes(stored), verify=False)


def _shorten(unit: Unit, number: int, begins: int, stored: StoredBatch, to_n: int) -> None:
    key = layout.batch_key(number, begins)
    if begins > to_n:
        unit.transaction.delete(Table.BATCHES, key)
        unit.transaction.delete(Table.META, layout.withheld_key(unit.feed(number).plane, number, begins))
    else:
        kept = stored._replace(accepted=to_n - begins + 1)
        unit.transaction.put(
            Table.BATCHES, key, pack_batch(kept.header_bytes, kept.signature, kept.arrival, kept.accepted)
        )


def _head(unit: Unit, number: int, n: int) -> tuple[bytes, int]:
    holding = unit.log.batch_holding(number, n) if n else None
    if holding is None:
        return bytes(32), 0
    event = unit.log.event(holding.arrival + n - holding.header.first).event
    return holding.id, event.skeleton.hlc


def remake(unit: Unit, plane: int, place: Place, gone: Collection[int] = ()) -> None:
    """Make an entity anew from its events but for some, and mend its chain of back-pointers.

    Args:
        unit: the unit, flushed.
        plane: the plane's number.
        place: which entity.
        gone: arrival numbers of the events that are left out.
    """
    if gone and place.kind == ERASE:
        unit.note_erasure(plane, place.entity)
    eid = unit.views.find(plane, place.kind, place.entity)
    record = None if eid is None else unit.views.record(eid)
    left = [each for each in unit.log.history(record.head if record else 0) if each.arrival not in gone][::-1]
    previous = 0
    for each in left:
        if each.previous != previous:
            key = layout.arrival_key(each.arrival)
            packed = unit.transaction.get(Table.EVENTS, key) or b""
            unit.transaction.put(Table.EVENTS, key, with_previous(packed, previous))
        previous = each.arrival
    unit.views.replace(plane, place.kind, place.entity, [_replayed(unit, plane, each) for each in left])


def change_role(unit: Unit, number: int, before: str) -> None:
    """Make anew what a feed's new role lets it say, or no longer lets it say, of its accepted events.

    Args:
        unit: the unit.
        number: the feed, whose row has the new role.
        before: the role it had.
    """
    row = unit.feed(number)
    if Role.ADMIN not in {row.role, before}:
        return
    kinds = ADMIN_KINDS if row.kind != CHARTER else CHARTER_KINDS - OWN_CHARTER_KINDS
    unit.flush()
    found: dict[Place, list[int]] = {}
    for _, stored in unit.log.batches(number, 1):
        for each in unit.log.events_of(stored):
            if each.event.skeleton.kind == ERASE:
                unit.note_erasure(row.plane, each.event.skeleton.entity)
            elif each.event.skeleton.kind in kinds:
                place = Place(each.event.skeleton.kind, each.event.skeleton.entity)
                found.setdefault(place, []).append(each.event.n)
    for place in found:
        remake(unit, row.plane, place)
    if found and row.role != Role.ADMIN:
        numbers = [n for some in found.values() for n in some]
        _report(unit, CutReport(row.plane, row.author, min(numbers), max(numbers), list(found)[:REPORTED_ENTITIES]))
    else:
        unit.cuts += bool(found)  # what a rebuild has replayed already has changed


def _replayed(unit: Unit, plane: int, stored: StoredEvent) -> Replayed:
    feeds = unit.entities().feeds_of(plane, stored)
    return Replayed(stored.event, feeds, stored.arrival, role_of(unit.feed(stored.feed)))


_decode_report: Final = msgspec.msgpack.Decoder(CutReport).decode


def _report(unit: Unit, report: CutReport) -> None:
    unit.cuts += 1
    unit.transaction.put(Table.META, layout.CUT_REPORTS + unit.cuts.to_bytes(8, "big"), msgspec.msgpack.encode(report))


def fill_values(unit: Unit, number: int, stored: StoredBatch, complete: Batch) -> int:
    """Put values into accepted events that came without them; how many were filled."""
    row = unit.feed(number)
    filled: dict[Place, None] = {}
    count = 0
    for each, whole in zip(unit.log.events_of(stored), complete.events, strict=False):
        is_wanted = each.event.values_bytes is None and not was_erased(unit.transaction, each)
        if is_wanted and whole.values_bytes is not None:
            packed = pack_event(each.previous, number, whole)
            unit.transaction.put(Table.EVENTS, layout.arrival_key(each.arrival), packed)
            filled[Place(whole.skeleton.kind, whole.skeleton.entity)] = None
            count += 1
    missing = lacks(unit.transaction, number, [each.event for each in unit.log.events_of(stored)])
    if count and not missing:
        unit.transaction.delete(Table.META, layout.withheld_key(row.plane, number, complete.header.first))
    unit.flush()
    for place in filled:
        remake(unit, row.plane, place)
    unit.cuts += bool(filled)  # what a rebuild has replayed already has changed
    return count
