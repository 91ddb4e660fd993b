"""What was written anew and was superseded under a name that it had before: it is superseded under its new name, too.

Invariant: a write keeps its salt whenever it is written anew, so that nothing need be stored to know all the names that
it had. Who wrote over it, here or elsewhere, named the one that counted then. So what is written anew later than what
stands over it doesn't come back, whatever its time; nor is a deletion blind to what it saw under another name.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from moot_protocol.log.event import LEAF_PREFIX_BYTES, Dot, Draft, Event, Write
from moot_protocol.merge.deletion import DELETED, is_blind, renewed, sighted
from moot_protocol.merge.register import Live, Sibling
from mootd.engine.stored.aside import AsideReader, uncounted
from mootd.engine.stored.log import PlaneRow
from mootd.engine.unit import Unit
from mootd.engine.views.record import Group, Record, groups_of, live_of


class Place(NamedTuple):
    """An entity of a plane."""

    kind: str
    entity: str


class _Write(NamedTuple):
    """A write by what stays the same when it is written anew."""

    place: Place
    values: bytes
    """Its salt is part of them."""


class _Moment(NamedTuple):
    """A place in the order in which this machine wrote."""

    key: int
    """Which of the keys that it has had."""
    n: int


class FormerNames:
    """The names that writes had before they were written anew.

    Args:
        unit: the unit.
        plane: the plane.
        feeds: the feeds whose events were written anew: those of all keys that this machine has had, in their order.
        again: former name → present one, of writes that are known to be the same though their salts differ.
    """

    def __init__(self, unit: Unit, plane: PlaneRow, feeds: Sequence[int], again: Mapping[Dot, Dot]) -> None:
        self._unit = unit
        self._plane = plane
        self._keys = [unit.feed(feed).author for feed in feeds]
        self._by_write: dict[_Write, set[Dot]] = {}
        self._by_name: dict[Dot, set[Dot]] = {}
        for feed, author in zip(feeds, self._keys, strict=True):
            for event in _aside(unit, feed):
                if event.values_bytes is not None:
                    self._by_write.setdefault(_write(event), set()).add(dot_of(author, event))
        for former, present in again.items():
            self._by_name.setdefault(present, set()).add(former)

    def of(self, group: Group) -> set[Dot]:
        """Those of what an event said that is live."""
        event = self._unit.log.event(group.arrival).event
        by_write = set() if event.values_bytes is None else self._by_write.get(_write(event), set())
        return by_write | self._by_name.get(self.present(group), set())

    def present(self, group: Group) -> Dot:
        """The name that it has."""
        return Dot(self._unit.author_of(group.feed), group.n, group.leaf[:LEAF_PREFIX_BYTES])

    def is_superseded(self, record: Record, key: str, names: Iterable[Dot]) -> bool:
        """Whether an event that counts is over a write of a key under one of some names that count for nothing now."""
        numbered = ((self._unit.feed_number(self._plane.number, dot.author), dot) for dot in names)
        return any((key, feed, dot.n, dot.leaf8) in record.pending for feed, dot in numbered)

    def moments(self, group: Group) -> list[_Moment]:
        """When an event may have been written first: where that isn't known, when the machine gave up a key."""
        own = [self._moment(name) for name in {self.present(group), *self.of(group)} if name.author in self._keys]
        return [min(own)] if own else [_Moment(key, 0) for key in range(1, len(self._keys) + 1)]

    def _moment(self, name: Dot) -> _Moment:
        return _Moment(self._keys.index(name.author), name.n)

    def at(self, record: Record, moment: _Moment) -> dict[Dot, Dot]:
        """Present name → the one that it had at a moment, of what is live."""
        found = {}
        for group in record.groups:
            before = [name for name in self.of(group) if self._moment(name) < moment]
            present = self.present(group)
            if before and (present.author not in self._keys or self._moment(present) > moment):
                found[present] = max(before, key=self._moment)
        return found


def _aside(unit: Unit, feed: int) -> Iterator[Event]:
    aside = AsideReader(unit.transaction)
    for _, _, row in aside.rows(feed):
        yield from uncounted(unit.log, feed, aside.batch(row))


def _write(event: Event) -> _Write:
    return _Write(Place(event.skeleton.kind, event.skeleton.entity), event.values_bytes or b"")


def dot_of(author: bytes, event: Event) -> Dot:
    """The name of what an event writes."""
    return Dot(author, event.n, event.leaf[:LEAF_PREFIX_BYTES])


def supersede_again(unit: Unit, plane: PlaneRow, places: Iterable[Place], feed: int, former: FormerNames) -> None:
    """Remove what is live of entities and was superseded under a former name; renew deletions that saw all else.

    What stands over it stays as it is, with its time: only what came back goes.

    Args:
        unit: the unit.
        plane: the plane.
        places: the entities.
        feed: the feed to write in.
        former: former names.
    """
    unit.flush()
    for place in places:
        if (record := unit.record(plane.number, *place)) is not None:
            for draft in list(_removals(unit, record, former)):
                unit.append(plane.number, draft, feed=feed)
        if (record := unit.record(plane.number, *place)) is not None:
            for draft in _deletions(unit, record, former):
                unit.append(plane.number, draft, feed=feed)


def _removals(unit: Unit, record: Record, former: FormerNames) -> Iterator[Draft]:
    """What supersedes under its present name what was superseded under another; one event for each that wrote it."""
    for group in record.groups if record.pending else ():
        names = former.of(group)
        keys = [pair[0] for pair in group.pairs if former.is_superseded(record, pair[0], names)]
        if keys:
            actor = unit.log.event(group.arrival).event.skeleton.actor
            over = [former.present(group)]
            yield Draft(record.kind, record.entity, actor, [Write(key, over=over, removes=True) for key in keys])


def _deletions(unit: Unit, record: Record, former: FormerNames) -> list[Draft]:
    """An issue's deletion with what its writer saw by present names; none where that was less, or told by these."""
    live = live_of(record, unit.author_of)
    if not is_blind(live):
        return []
    deleting = list(groups_of(record, DELETED))
    moments = sorted({moment for group in deleting for moment in former.moments(group)})
    seen = (renewed(_called(live, former.at(record, moment))) for moment in moments)
    value = next((each for each in seen if each is not None), None)
    if value is None:
        return []
    writes = sighted([Write(DELETED, value, [former.present(group) for group in deleting])], live)
    actor = unit.log.event(deleting[-1].arrival).event.skeleton.actor
    return [Draft(record.kind, record.entity, actor, writes)]


def _called(live: Live, names: Mapping[Dot, Dot]) -> Live:
    """What is live, some of it by other names."""
    return {key: [_renamed(sibling, names) for sibling in siblings] for key, siblings in live.items()}


def _renamed(sibling: Sibling, names: Mapping[Dot, Dot]) -> Sibling:
    name = names.get(Dot(sibling.author, sibling.n, sibling.leaf8))
    return sibling if name is None else sibling._replace(author=name.author, n=name.n, leaf8=name.leaf8)
