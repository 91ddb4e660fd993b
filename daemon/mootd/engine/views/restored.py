"""Whether what a feed lost is there again, written anew under another key, as `salvaging.py` does.

Invariant: a lost event is there again where another counts, of the same actor and about the same entity, with the same
values under the same keys; each such event stands for one lost of a history. The other is a later one, or it has the
same salt, as what a salvage writes: by that it is known whatever the clocks said. Or another history of the same feed
says it as well, and what that says counts or is there again: what both say is not missing once it is there once. What
events supersede is left aside, for a salvage names other writes there. A certificate belongs to its key alone, and
nobody misses it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from functools import cached_property
from typing import Any, Final, Generic, NamedTuple, TypeVar

from moot_protocol.codec import decode_unchecked, encode
from moot_protocol.log.batch import Batch
from moot_protocol.log.event import Event
from moot_protocol.merge.kinds import ADMIN_KINDS, CERTIFICATE, Role
from mootd.engine.stored import layout
from mootd.engine.stored.aside import AsideReader, AsideRow, uncounted
from mootd.engine.stored.feeds import Source
from mootd.engine.stored.layout import Views
from mootd.engine.stored.log import FeedRow, StoredEvent
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.views.record import decode_record
from mootd.store.port import Reader, Table


class _Place(NamedTuple):
    kind: str
    entity: str


class _Look(NamedTuple):
    """What a look at a feed found."""

    state: tuple[int, int, bytes | None]
    """What it holds for: the feed's accepted number, the last lost one, and the number of cuts."""
    missing: _Place | None
    """An entity of which something is missing; None where nothing is."""
    head: int
    """The newest event about it."""


T = TypeVar("T")
_NOT_HELD: Final = _Place("", "")
"""Stands for events that are not even held any more."""


class Restored:
    """What was found of each feed.

    As long as something is missing a further look reads one record, unless something was written there meanwhile; and
    once nothing is, it reads none until events are taken back.
    """

    def __init__(self) -> None:
        self._looks: dict[int, _Look] = {}

    def is_whole(self, reader: Reader, number: int, last: int) -> bool:
        """Whether all that a feed lost is there again.

        Args:
            reader: a snapshot.
            number: the feed's.
            last: the highest number that ever counted of it.
        """
        log = _Looker(LogSnapshot(reader), number)
        state = (log.row.n, last, reader.get(Table.META, layout.CUTS))
        look = self._looks.get(number)
        if look is None or look.state != state or (look.missing and log.head(look.missing) != look.head):
            missing = log.missing(last)
            look = _Look(state, missing, log.head(missing) if missing else 0)
            self._looks[number] = look
        return look.missing is None


def is_there_again(source: Source, number: int, events: Iterable[Event]) -> bool:
    """Whether events of a feed that don't count are all there again.

    Args:
        source: a snapshot, or a unit that has been flushed.
        number: the feed's.
        events: the events of one history, each held with what is known of its values.
    """
    return _Looker(source, number).missing_of(list(events)) is None


class StandIn(NamedTuple):
    """The event that is there for a lost one."""

    stored: StoredEvent
    is_same: bool
    """Whether it is known to be the same write, by its salt or from another history; else it only came later."""


def stand_ins(source: Source, number: int, history: Sequence[Batch]) -> Mapping[bytes, StandIn]:
    """Leaf → what is there again for it, of the events of one history of a feed that don't count.

    Args:
        source: a snapshot, or a unit that has been flushed.
        number: the feed's.
        history: batches that lie aside, as `histories` puts them together.
    """
    return _Looker(source, number).stand_ins(history)


def histories(batches: Iterable[Batch]) -> list[list[Batch]]:
    """Batches of one feed by the histories that they are part of, in order; what histories share stands in each."""
    by_id = {batch.id: batch for batch in batches}
    followed = {batch.header.prev for batch in by_id.values()}
    found = []
    for batch in by_id.values():
        if batch.id in followed:
            continue
        path: list[Batch] = []
        before: Batch | None = batch
        while before is not None:
            path.append(before)
            before = by_id.get(before.header.prev)
        found.append(path[::-1])
    return found


def salt_of(event: Event) -> bytes | None:
    """An event's salt; None where its values are missing."""
    if event.values_bytes is None or event.values() is None:
        return None
    salt: bytes = decode_unchecked(event.values_bytes)[0]
    return salt


class _Looker:
    """One feed that lost something, and what has taken its place, in one state of the log."""

    def __init__(self, source: Source, number: int) -> None:
        reader = self._reader = source.transaction
        self._number = number
        self._source = source
        self._views = Views(int.from_bytes(reader.get(Table.META, layout.GENERATION) or b"", "big"))
        self._feeds: dict[int, FeedRow] = {}
        self.row = self._feed(number)

    def _feed(self, number: int) -> FeedRow:
        if number not in self._feeds:
            self._feeds[number] = self._source.feed(number)
        return self._feeds[number]

    def head(self, place: _Place) -> int:
        """Arrival number of the newest accepted event about an entity; 0 for none."""
        eid = self._reader.get(self._views.ids, layout.id_key(self.row.plane, *place))
        packed = None if eid is None else self._reader.get(self._views.records, eid)
        return 0 if packed is None else decode_record(packed).head

    def missing(self, last: int) -> _Place | None:
        """An entity of which a lost event up to a number isn't there again, or None."""
        aside = AsideReader(self._reader)
        rows = [row for _, _, row in aside.rows(self._number) if row.was_accepted]
        # In order, as a salvage writes: where the end isn't there nothing else need be looked for.
        return self._first_missing(aside, rows[-1:]) or self._missing(last, aside, rows)

    def _missing(self, last: int, aside: AsideReader, rows: Sequence[AsideRow]) -> _Place | None:
        held = {event.n for row in rows for event in self._uncounted([aside.batch(row)])}
        if not held.issuperset(range(self.row.n + 1, last + 1)):
            return _NOT_HELD
        return self._first_missing(aside, rows)

    def _first_missing(self, aside: AsideReader, rows: Sequence[AsideRow]) -> _Place | None:
        found = (
            self.missing_of(self._uncounted(history), is_beside=self._is_beside(history))
            for history in histories(aside.batch(row) for row in rows)
        )
        return next((place for place in found if place is not None), None)

    def _uncounted(self, batches: Iterable[Batch]) -> list[Event]:
        return [event for batch in batches for event in uncounted(self._source.log, self._number, batch)]

    def _is_beside(self, history: Sequence[Batch]) -> bool:
        """Whether batches that don't count part from what counts of the feed, and don't merely follow it."""
        return self.row.head not in {history[0].id, history[0].header.prev}

    def missing_of(self, lost: Sequence[Event], *, is_beside: bool = False) -> _Place | None:
        """An entity of which one of these events of one history isn't there again, or None."""
        by_place = _by_place(lost)
        return next(
            (
                place
                for place, events in by_place.items()
                if len(self._standing_for(place, events, is_beside=is_beside)) < len(events)
            ),
            None,
        )

    def stand_ins(self, history: Sequence[Batch]) -> dict[bytes, StandIn]:
        """As the function."""
        is_beside, found = self._is_beside(history), {}
        for place, events in _by_place(self._uncounted(history)).items():
            found.update(self._standing_for(place, events, is_beside=is_beside))
        return found

    def _standing_for(self, place: _Place, lost: Sequence[Event], *, is_beside: bool) -> dict[bytes, StandIn]:
        """Leaf → what is there again for it, of events of one history about an entity."""
        history = reversed(self._source.log.history(self.head(place)))
        pool = _Pool(each for each in history if self._counts(each))
        # The latest first: whatever is later than that is later than the others, too.
        missing = sorted(lost, key=lambda event: event.skeleton.hlc, reverse=True)
        found: dict[bytes, StandIn] = {}
        ways: tuple[tuple[Callable[[Event], Iterable[StoredEvent]], bool], ...] = (
            (lambda event: pool.salted(salt_of(event)), True),
            (lambda event: self._of_rivals(pool, place, event, is_beside=is_beside), True),
            (pool.later, False),
        )
        for candidates, is_same in ways:
            for event in missing:
                other = pool.take(candidates(event), event)
                if other is not None:
                    found[event.leaf] = StandIn(other, is_same)
            missing = [event for event in missing if event.leaf not in found]
        return found

    def _of_rivals(self, pool: "_Pool", place: _Place, event: Event, *, is_beside: bool) -> Iterator[StoredEvent]:
        """What counts of other histories of a forked feed than those that hold an event, and was written anew of them.

        What comes before or after it in one of its own is another write, though it may say the same.
        """
        if not self.row.forked_at:
            return
        if is_beside:
            yield from pool.of_feed(self._number, self.row.forked_at, event)
        own = [path for path in self._paths if event.leaf in path]
        for rival in self._aside.get(place, _NOBODY).alike(event):
            if not any(rival.leaf in path for path in own):
                yield from pool.salted(salt_of(rival))

    def _counts(self, stored: StoredEvent) -> bool:
        return stored.event.skeleton.kind not in ADMIN_KINDS or self._feed(stored.feed).role == Role.ADMIN

    @cached_property
    def _aside(self) -> Mapping[_Place, "_Alike[Event]"]:
        """All events of the feed's histories that don't count."""
        aside = AsideReader(self._reader)
        found = _by_place(self._uncounted(aside.batch(row) for _, _, row in aside.rows(self._number)))
        return {place: _Alike((event, event) for event in events) for place, events in found.items()}

    @cached_property
    def _paths(self) -> Sequence[Set[bytes]]:
        """The leaves of what doesn't count of each of its histories."""
        aside = AsideReader(self._reader)
        found = histories(aside.batch(row) for _, _, row in aside.rows(self._number))
        return [{event.leaf for event in self._uncounted(history)} for history in found]


class _Alike(Generic[T]):
    """Things by what an event says: who looks for the same needn't look at all."""

    def __init__(self, each: Iterable[tuple[Event, T]]) -> None:
        self._found: dict[Any, list[T]] = {}
        for event, thing in each:
            shape, values = _said(event)
            self._found.setdefault(shape, []).append(thing)
            if values is not None:
                self._found.setdefault((shape, values), []).append(thing)

    def alike(self, event: Event) -> Sequence[T]:
        """Those that say what an event says, as far as that is known."""
        shape, values = _said(event)
        return self._found.get(shape if values is None else (shape, values), ())


def _said(event: Event) -> tuple[tuple[str, bytes], bytes | None]:
    values = event.values()
    return (event.skeleton.actor, encode(_shape(event))), None if values is None else encode(values)


_NOBODY: Final = _Alike[Event](())


class _Pool:
    """Events about an entity that count; each stands for one lost event of a history."""

    def __init__(self, others: Iterable[StoredEvent]) -> None:
        self._free = {each.arrival: each for each in others}
        self._by_content = _Alike((each.event, each) for each in self._free.values())
        self._by_salt: dict[bytes | None, list[StoredEvent]] = {}
        for each in self._free.values():
            self._by_salt.setdefault(salt_of(each.event), []).append(each)

    def salted(self, salt: bytes | None) -> Iterable[StoredEvent]:
        """Those with a salt."""
        return () if salt is None else self._by_salt.get(salt, ())

    def of_feed(self, number: int, first: int, event: Event) -> list[StoredEvent]:
        """Those of a feed from an event on that say what another says."""
        return [each for each in self._by_content.alike(event) if each.feed == number and each.event.n >= first]

    def later(self, event: Event) -> Iterator[StoredEvent]:
        """Those that are later than an event."""
        return (each for each in self._by_content.alike(event) if each.event.skeleton.hlc > event.skeleton.hlc)

    def take(self, candidates: Iterable[StoredEvent], event: Event) -> StoredEvent | None:
        """Take away the first of some that still stands for nothing and says what an event says; None if none does."""
        free = (each for each in candidates if each.arrival in self._free and _says(each.event, event))
        found = next(free, None)
        if found is not None:
            del self._free[found.arrival]
        return found


def _by_place(events: Iterable[Event]) -> dict[_Place, list[Event]]:
    """Entity → the events about it, but for certificates."""
    found: dict[_Place, list[Event]] = {}
    for event in events:
        if event.skeleton.kind != CERTIFICATE:
            found.setdefault(_Place(event.skeleton.kind, event.skeleton.entity), []).append(event)
    return found


def _says(other: Event, lost: Event) -> bool:
    """Whether an event about the same entity says what a lost one said, as far as that is known here."""
    if other.skeleton.actor != lost.skeleton.actor or _shape(other) != _shape(lost):
        return False
    values = lost.values()
    return values is None or encode(other.values()) == encode(values)


def _shape(event: Event) -> list[tuple[str, bool]]:
    return [(change.key, change.removes) for change in event.skeleton.changes]
