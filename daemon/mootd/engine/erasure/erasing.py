"""Carrying out erasures: taking values out of the log that an erasure which counts names.

Invariant: when a transaction commits, META names as erased exactly the events that accepted erasures name whose authors
may erase them (`moot_protocol.issues.erasure`), no value of these is left in EVENTS or ASIDE or waits in a queue, and
what is missing without being erased is marked as withheld, to be asked for. Whatever changed any of that (erasures that
came or were cut, roles, a feed whose town was not known) only notes whose events are named; all is settled once, before
the commit.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.issues.erasure import TITLE_ERASED, Erased, author_in, erasures, may_erase, names_in
from moot_protocol.log.event import Event
from moot_protocol.merge.kinds import ADMIN_KINDS, ERASE, Role
from moot_protocol.merge.register import MISSING
from mootd.engine.erasure.erased_copies import drop_copies
from mootd.engine.exchange.cut import Place, remake
from mootd.engine.exchange.outbox import empty_queues_of
from mootd.engine.stored import layout
from mootd.engine.stored.aside import Aside, uncounted
from mootd.engine.stored.erased import BY_ADMIN, lacks, marks_in, name_of, opens_charter, without
from mootd.engine.stored.layout import Views
from mootd.engine.stored.log import FeedRow, StoredBatch, StoredEvent, pack_event
from mootd.engine.unit import Unit
from mootd.store.port import Table

CLEARED: Final = ("", TITLE_ERASED)
"""What is written over what is erased: there is nothing to be erased of it."""


def settle_erasures(unit: Unit) -> None:
    """Settle what is erased of all whose events were noted, inside their transaction and at its end."""
    if not unit.replica.follows_erasures:
        note_all(unit)  # erasures may have come while an earlier release ran, which didn't know them
    unit.seal()
    unit.flush()
    for (plane, entity), come in unit.erasures.items():
        author = author_in(entity)
        number = None if author is None else unit.known_feed(plane, author)
        if number is not None:
            _settle(unit, plane, number, come)
    unit.erasures.clear()


def forget_erased(unit: Unit) -> None:
    """Forget what is erased, to be settled anew from the log before the commit; until then it is withheld."""
    batches: dict[tuple[int, int, int], StoredBatch] = {}
    for number, row in (unit.replica.feeds | unit.feeds).items():
        for name in marks_in(unit.transaction, number):
            stored = unit.log.batch_holding(number, name.n)
            if stored is not None:
                batches[row.plane, number, stored.header.first] = stored
    for key, _ in list(unit.transaction.scan(Table.META, layout.ERASED, layout.after(layout.ERASED))):
        unit.transaction.delete(Table.META, key)
    for place, stored in batches.items():
        _mark(unit, *place, stored)
    note_all(unit)


def note_all(unit: Unit) -> None:
    """Note all whose events any erasure names."""
    for plane in (*unit.replica.planes, *(row.number for row in unit.new_planes)):
        unit.erasures.update(dict.fromkeys((plane, entity) for entity in _entities(unit, plane, ERASE)))


def _entities(unit: Unit, plane: int, kind: str) -> list[str]:
    prefix = layout.id_prefix(plane, kind)
    found = unit.transaction.scan(unit.views.views.ids, prefix, layout.after(prefix))
    return [layout.id_entity(key) for key, _ in found]


_Come = Sequence[tuple[int, Event]] | None
"""The (feed, event) of erasures; None for all that are accepted."""


def named(unit: Unit, plane: int, row: FeedRow, come: _Come = None) -> set[Erased]:
    """The events of an author that accepted erasures name whose authors may erase them."""
    first = unit.log.batch_holding(unit.known_feed(plane, row.author) or 0, 1)
    if row.kind != "replica" or first is None:
        return set()
    by_any, by_admins = _named_by(unit, plane, row, come)
    refused = _for_admins(unit, plane, row) - by_admins if by_any != by_admins else set()
    return {name for name in by_any - refused if name.n > first.header.last}


def _named_by(unit: Unit, plane: int, row: FeedRow, come: _Come) -> tuple[set[Erased], set[Erased]]:
    """(What accepted erasures name whose authors may erase anything of an author's, what those of admins name)."""
    by_any, by_admins = set[Erased](), set[Erased]()
    if come is None:
        record = unit.record(plane, ERASE, key_text(row.author))
        come = [(each.feed, each.event) for each in unit.log.history(record.head if record else 0)]
    for feed, event in come:
        by = unit.feed(feed)
        if by.kind != row.kind:
            continue
        role, found = Role(by.role), names_in(event.skeleton)
        by_any |= found if may_erase(role, by.town, row.town) else set()
        by_admins |= found if may_erase(role, by.town, row.town, is_for_admins=True) else set()
    return by_any, by_admins


def _for_admins(unit: Unit, plane: int, row: FeedRow) -> set[Erased]:
    """The events of an author about what only admins may write."""
    number, found = unit.known_feed(plane, row.author), set[Erased]()
    for kind in ADMIN_KINDS:
        for entity in _entities(unit, plane, kind):
            record = unit.record(plane, kind, entity)
            events = unit.log.history(record.head if record else 0)
            found |= {name_of(each.event) for each in events if each.feed == number}
    return found


def _settle(unit: Unit, plane: int, number: int, come: _Come) -> None:
    """Settle what is erased of a feed: by the erasures that have come, where all others count as they did."""
    row = unit.feed(number)
    names, by_admins = named(unit, plane, row, come), _named_by(unit, plane, row, come)[1]
    kept = marks_in(unit.transaction, number) if come is None else _marks_of(unit, number, names)
    before = {*kept}
    marks = {name: name in by_admins or (come is not None and kept.get(name, False)) for name in names}
    _keep(unit, number, marks, kept)
    batches: dict[int, StoredBatch] = {}
    places, told = dict[Place, None](), dict[Place, None]()
    stripped: list[Event] = []
    # What only admins may write may have come with its values: not every erasure that names it counts.
    # Where a feed has changed, what was not stripped while it lay aside may count now.
    changed = names | before if come is None else names - before
    for name in sorted(changed | names & _for_admins(unit, plane, row)):
        stored = unit.log.batch_holding(number, name.n)
        if stored is None:
            continue
        batches[stored.header.first] = stored
        event = unit.log.event(stored.arrival + name.n - stored.header.first)
        if name in names and _is_meant(event.event, name):
            told[_place_of(event.event)] = None
            if event.event.values_bytes is not None:
                _strip(unit, event)
                stripped.append(event.event)
                places[_place_of(event.event)] = None
    for first, stored in batches.items():
        _mark(unit, row.plane, number, first, stored)
    is_to_strip = row.is_aside and not opens_charter(unit.transaction, number)
    aside = _strip_aside(unit, number, marks) if is_to_strip else []
    if places:
        unit.flush()
        for place in places:
            remake(unit, plane, place)
    if told or aside:  # also where the values went before it was known that they are erased
        drop_copies(unit, plane, told | dict.fromkeys(map(_place_of, aside)))
    if stripped or aside:
        _begin_rebuild_anew(unit)
        empty_queues_of(unit, plane, row.author, {event.n for event in (*stripped, *aside)})


def _marks_of(unit: Unit, number: int, names: Iterable[Erased]) -> dict[Erased, bool]:
    """Those of some names that META calls erased, as `marks_in` tells them."""
    found = {name: unit.transaction.get(Table.META, layout.erased_key(number, *name)) for name in names}
    return {name: value == BY_ADMIN for name, value in found.items() if value is not None}


def _keep(unit: Unit, number: int, marks: Mapping[Erased, bool], before: Mapping[Erased, bool]) -> None:
    """Let META hold what is erased of a feed, each with whether an admin erased it, instead of what it held."""
    for name in before.keys() - marks.keys():
        unit.transaction.delete(Table.META, layout.erased_key(number, *name))
    for name, is_by_admin in marks.items():
        if before.get(name) is not is_by_admin:
            unit.transaction.put(Table.META, layout.erased_key(number, *name), BY_ADMIN if is_by_admin else b"")


def _begin_rebuild_anew(unit: Unit) -> None:
    """Empty what a rebuild under way has made of other values than are here now: it may have been broken off."""
    unit.cuts += 1
    if unit.transaction.get(Table.META, layout.REBUILD) is None:
        return
    unit.transaction.delete(Table.META, layout.REBUILD)
    fresh = Views(1 - unit.generation)
    for table in (fresh.ids, fresh.records, fresh.index):
        unit.replica.store.clear(unit.transaction, table)


def _strip(unit: Unit, stored: StoredEvent) -> None:
    """Take the values of an accepted event out of the log."""
    packed = pack_event(stored.previous, stored.feed, stored.event.without_values())
    unit.transaction.put(Table.EVENTS, layout.arrival_key(stored.arrival), packed)


def _is_meant(event: Event, name: Erased) -> bool:
    """Whether the event of a name's number is the one that it names, and not one of another history."""
    return name_of(event) == name


def _place_of(event: Event) -> Place:
    return Place(event.skeleton.kind, event.skeleton.entity)


def _strip_aside(unit: Unit, number: int, marks: Mapping[Erased, bool]) -> list[Event]:
    """Take values out of batches that are held without counting; the events that had them."""
    aside, found = Aside(unit.transaction), list[Event]()
    for _, _, row in aside.rows(number):
        batch = aside.batch(row)
        stripped = without(batch, marks)
        if stripped is not batch:
            aside.put(number, stripped, parked=row.parked, was_accepted=row.was_accepted)
            pairs = zip(batch.events, stripped.events, strict=True)
            found += [event for event, left in pairs if event is not left]
    return found


def _mark(unit: Unit, plane: int, number: int, first: int, stored: StoredBatch) -> None:
    """Let a batch be asked for again if values are missing from it that are not erased, and else not."""
    key = layout.withheld_key(plane, number, first)
    events = [each.event for each in unit.log.events_of(stored)]
    if lacks(unit.transaction, number, events):
        unit.transaction.put(Table.META, key, b"")
    else:
        unit.transaction.delete(Table.META, key)


# -- Erasing -----------------------------------------------------------------------------------------------------
class Found(NamedTuple):
    """An event whose values are here."""

    feed: int
    event: Event


Says = Callable[[str, Any], bool]
"""Called with (key, value) of what an event wrote, MISSING for a value that can't be read: whether it is meant."""


def said_under(*keys: str) -> Says:
    """Means all that was written under such keys, but for what is written over what is erased."""
    return lambda key, value: key in keys and value not in CLEARED


def written(unit: Unit, plane: int, place: Place, says: Says) -> list[Found]:
    """The events that said what is meant of an entity and still do, uncounted ones of feeds that count too.

    Of a feed of which nothing counts nothing can be erased either, and nothing of it is ever shown.

    Args:
        unit: the unit, flushed.
        plane: the plane's number.
        place: which entity.
        says: what is meant.
    """
    record = unit.record(plane, *place)
    found = [Found(each.feed, each.event) for each in unit.log.history(record.head if record else 0)]
    aside = Aside(unit.transaction)
    for author in unit.authors(plane):
        number = unit.feed_number(plane, author)
        if unit.feed(number).is_aside and unit.feed(number).n:
            batches = (aside.batch(row) for _, _, row in aside.rows(number))
            found += [Found(number, event) for batch in batches for event in uncounted(unit.log, number, batch)]
    return [each for each in found if _says(each.event, place, says)]


def _says(event: Event, place: Place, says: Says) -> bool:
    skeleton = event.skeleton
    if event.values_bytes is None or (skeleton.kind, skeleton.entity) != place:
        return False
    written = [change.key for change in skeleton.changes if not change.removes]
    values = event.values() or [MISSING] * len(written)  # none that can be read, but bytes are there
    return any(map(says, written, values))


def mine_of(unit: Unit, plane: int, found: Sequence[Found]) -> list[Found]:
    """Those of these events that this replica may erase; all where it may write nothing, and is told so when it tries.

    Raises:
        RefusedError: `denied`: there are such events, and it may erase none of them.
    """
    own = unit.feed(unit.replica.own_feed(plane))
    if own.role not in {Role.ADMIN, Role.WRITER}:
        return [*found]
    role, town = Role(own.role), own.town
    mine = [each for each in found if may_erase(role, town, unit.feed(each.feed).town) and _may_lack(unit, each)]
    if found and not mine:
        refuse_others(unit, plane, found)
    return mine


def refuse_others(unit: Unit, plane: int, found: Collection[Found]) -> None:
    """Refuse to erase what this replica may not.

    Raises:
        RefusedError: `denied`: another town wrote some of it, or it stands beside a certificate.
    """
    own = unit.feed(unit.replica.own_feed(plane))
    if own.role not in {Role.ADMIN, Role.WRITER}:
        return  # it can write nothing at all, and is told why when it tries
    role, town = Role(own.role), own.town
    others = sum(not may_erase(role, town, unit.feed(each.feed).town) for each in found)
    if others:
        raise RefusedError(
            f"{others} of these events were written in another town, or under another key of this one",
            code=Code.DENIED,
            hint="an admin of the plane can erase them; `moot history ID` shows who wrote what",
        )
    is_for_admins = any(each.event.skeleton.kind in ADMIN_KINDS for each in found)
    if is_for_admins and not may_erase(role, town, town, is_for_admins=True):
        raise RefusedError("what only admins may write only admins may erase", code=Code.DENIED)
    if any(not _may_lack(unit, each) for each in found):
        raise RefusedError("some of it stands in one batch with a certificate, which has to stay", code=Code.DENIED)


def _may_lack(unit: Unit, found: Found) -> bool:
    first = unit.log.batch_holding(found.feed, 1)
    return first is not None and found.event.n > first.header.last


def append_erasures(unit: Unit, plane: int, found: Iterable[Found], actor: str) -> int:
    """Write the erasures of events; how many events they erase."""
    names: dict[bytes, set[Erased]] = {}
    for feed, event in found:
        names.setdefault(unit.author_of(feed), set()).add(name_of(event))
    for author, erased in sorted(names.items()):
        for draft in erasures(author, erased, actor):
            unit.append(plane, draft)
    return sum(map(len, names.values()))
