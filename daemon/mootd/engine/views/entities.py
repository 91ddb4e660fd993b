"""Reading entities: records with their values, texts and lineage, inside any transaction."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from moot_protocol.log.event import Dot
from moot_protocol.merge.register import MISSING, Sibling
from mootd.engine.stored import layout
from mootd.engine.stored.layout import Views
from mootd.engine.stored.log import LogReader, StoredEvent
from mootd.engine.views.record import Group, Record, decode_named, decode_record, groups_of, live_of
from mootd.store.port import Reader

Said = tuple[dict[str, Any], str]
"""What an event said: values by key, none where they are missing, and its actor."""
Name = tuple[bytes, int]
"""A write by its author's key and number."""
_SAID_KEPT: Final = 256
"""Events whose values are kept by one reader: each may be a long text, and a request may read those of all issues."""
_NOTHING_AT_HAND: Final[Mapping[int, Said]] = {}


def value_in(stored: StoredEvent, key: str) -> Any:
    """The value an event wrote to a key, or MISSING."""
    values = stored.event.values()
    if values is None:
        return MISSING
    remaining = iter(values)
    for change in stored.event.skeleton.changes:
        if change.removes:
            continue
        value = next(remaining)
        if change.key == key:
            return value
    return MISSING


class Entities:
    """The entities of one generation of views.

    Args:
        reader: a transaction.
        views: which tables.
        author_of: a feed's author.
        feed_number: an author's feed on a plane, or None.
        said: by arrival, what events said that need not be read.
    """

    def __init__(
        self,
        reader: Reader,
        views: Views,
        author_of: Callable[[int], bytes],
        feed_number: Callable[[int, bytes], int | None],
        said: Mapping[int, Said] | None = None,
    ) -> None:
        self.reader = reader
        self.views = views
        self.log = LogReader(reader)
        self.author_of = author_of
        self.feed_number = feed_number
        self._events: dict[int, StoredEvent] = {}
        self._at_hand: Mapping[int, Said] = _NOTHING_AT_HAND if said is None else said
        self._said: dict[int, Said] = {}

    def packed(self, eid: int) -> bytes | None:
        """An entity's record as it is kept, or None."""
        return self.reader.get(self.views.records, layout.eid_key(eid))

    def record(self, eid: int) -> Record | None:
        """An entity's record, or None."""
        packed = self.packed(eid)
        return None if packed is None else decode_record(packed)

    def name(self, eid: int) -> str | None:
        """An entity's name, or None for a mere reference."""
        packed = self.packed(eid)
        return None if packed is None else decode_named(packed).entity

    def event(self, arrival: int) -> StoredEvent:
        """An event, read once."""
        stored = self._events.get(arrival)
        if stored is None:
            stored = self._events[arrival] = self.log.event(arrival)
        return stored

    def load(self, group: Group, key: str) -> tuple[Any, str]:
        """(value, actor) of a live write, from its event."""
        values, actor = self.said(group)
        return values.get(key, MISSING), actor

    def said(self, group: Group) -> Said:
        """What a live write's event said, read once unless many others were read since."""
        arrival = group.arrival
        said = self._at_hand.get(arrival) or self._said.get(arrival)
        if said is None:
            if len(self._said) >= _SAID_KEPT:
                self._said.clear()
            said = self._said[arrival] = self.log.said(arrival)
        return said

    def live(self, record: Record, *, texts: bool = True) -> dict[str, list[Sibling]]:
        """What is live in a record; without `texts`, only what stands in the record itself."""
        return live_of(record, self.author_of, self.said if texts else None)

    def dots(self, record: Record, key: str) -> list[Dot]:
        """The live writes of a key, to be superseded."""
        return [self.dot(group) for group in groups_of(record, key)]

    def dot(self, group: Group) -> Dot:
        """A live write by name."""
        return Dot(self.author_of(group.feed), group.n, group.leaf[:8])

    def dot_of(self, record: Record) -> Callable[[str, Sibling], Dot]:
        """What names the write behind a live sibling of a record, of whichever key."""
        dots = {(dot.author, dot.n): dot for dot in map(self.dot, record.groups)}
        return lambda _, sibling: dots[sibling.author, sibling.n]

    def elements(self, record: Record, key: str) -> list[tuple[Group, Any]]:
        """The live (write, value) pairs of a set-like key."""
        return [(group, self.load(group, key)[0]) for group in groups_of(record, key)]

    def lineage(self, record: Record, key: str) -> "StoredLineage":
        """The superseded writes of a key, as policies ask for them."""
        return StoredLineage(self, record, key)

    def stored(self, plane: int, name: Name) -> StoredEvent | None:
        """An accepted event by its author and number."""
        feed = self.feed_number(plane, name[0])
        batch = None if feed is None else self.log.batch_holding(feed, name[1])
        if batch is None:
            return None
        return self.event(batch.arrival + name[1] - batch.header.first)

    def authors_of(self, stored: StoredEvent) -> Sequence[bytes]:
        """The author table that an event's `over` points into, its own author first."""
        batch = self.log.batch_holding(stored.feed, stored.event.n)
        return () if batch is None else (batch.header.author, *batch.header.authors)

    def feeds_of(self, plane: int, stored: StoredEvent) -> list[int]:
        """The feeds that an event's `over` points into, its own first; unknown authors as 0, which no feed has."""
        if not any(change.over for change in stored.event.skeleton.changes):
            return [stored.feed]
        return [self.feed_number(plane, author) or 0 for author in self.authors_of(stored)]


class StoredLineage:
    """The writes of one key of one entity, in the log; what names anything else names nothing."""

    def __init__(self, entities: Entities, record: Record, key: str) -> None:
        self._entities = entities
        self._record = record
        self._key = key

    def _write(self, name: Name) -> StoredEvent | None:
        """The accepted event of this name, if it writes the key."""
        stored = self._entities.stored(self._record.plane, name)
        if stored is None:
            return None
        skeleton = stored.event.skeleton
        is_here = (skeleton.kind, skeleton.entity) == (self._record.kind, self._record.entity)
        writes = any(change.key == self._key and not change.removes for change in skeleton.changes)
        return stored if is_here and writes else None

    def over(self, name: Name) -> Sequence[Name]:
        """The writes that a write superseded."""
        stored = self._write(name)
        if stored is None:
            return ()
        authors = self._entities.authors_of(stored)
        named = (
            (authors[index], n, leaf8)
            for change in stored.event.skeleton.changes
            if change.key == self._key
            for index, n, leaf8 in change.over
        )
        return [
            (author, n)
            for author, n, leaf8 in named
            if (earlier := self._write((author, n))) is not None and earlier.event.leaf[:8] == leaf8
        ]

    def value(self, name: Name) -> Any:
        """What a write wrote, or MISSING."""
        stored = self._write(name)
        return MISSING if stored is None else value_in(stored, self._key)

    def hlc(self, name: Name) -> int:
        """When a write was made; 0 where it isn't here."""
        stored = self._write(name)
        return 0 if stored is None else stored.event.skeleton.hlc
