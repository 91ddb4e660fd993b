"""Whether what a feed lost is there again, written anew under another key, as `salvaging.py` does.

Invariant: a lost event is there again where a later one counts, of the same actor and about the same entity, with the
same values under the same keys; each such event stands for one lost. What they supersede is left aside, for a salvage
names other writes there. A certificate belongs to its key alone, and nobody misses it.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from moot_protocol.codec import encode
from moot_protocol.event import Event
from moot_protocol.kinds import ADMIN_KINDS, CERTIFICATE, Role
from mootd.engine import layout
from mootd.engine.aside import AsideReader, AsideRow, uncounted
from mootd.engine.layout import Views
from mootd.engine.log import FeedRow, StoredEvent
from mootd.engine.log_snapshot import LogSnapshot
from mootd.engine.record import decode_record
from mootd.engine.stored_feeds import Source
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
        events: the events, each held with what is known of its values.
    """
    return _Looker(source, number).missing_of(events) is None


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
        return self.missing_of(self._lost(aside, rows[-1:])) or self._missing(last, self._lost(aside, rows))

    def _lost(self, aside: AsideReader, rows: Sequence[AsideRow]) -> list[Event]:
        log, batches = self._source.log, (aside.batch(row) for row in rows)
        return [event for batch in batches for event in uncounted(log, self._number, batch)]

    def _missing(self, last: int, lost: list[Event]) -> _Place | None:
        held = {event.n for event in lost}
        if not held.issuperset(range(self.row.n + 1, last + 1)):
            return _NOT_HELD
        return self.missing_of(lost)

    def missing_of(self, lost: Iterable[Event]) -> _Place | None:
        """An entity of which one of these events isn't there again, or None."""
        by_place: dict[_Place, list[Event]] = {}
        for event in lost:
            if event.skeleton.kind != CERTIFICATE:
                by_place.setdefault(_Place(event.skeleton.kind, event.skeleton.entity), []).append(event)
        return next((place for place, events in by_place.items() if not self._has(place, events)), None)

    def _has(self, place: _Place, lost: list[Event]) -> bool:
        """Whether each of the events about an entity is there again."""
        history = reversed(self._source.log.history(self.head(place)))
        others = [each.event for each in history if self._counts(each)]
        for event in sorted(lost, key=lambda event: event.skeleton.hlc):
            again = next((other for other in others if _is_again(other, event)), None)
            if again is None:
                return False
            others.remove(again)
        return True

    def _counts(self, stored: StoredEvent) -> bool:
        return stored.event.skeleton.kind not in ADMIN_KINDS or self._feed(stored.feed).role == Role.ADMIN


def _is_again(other: Event, lost: Event) -> bool:
    """Whether an event says what a lost one said, as far as that is known here."""
    one, two = other.skeleton, lost.skeleton
    if one.actor != two.actor or one.hlc <= two.hlc or _shape(other) != _shape(lost):
        return False
    values = lost.values()
    return values is None or encode(other.values()) == encode(values)


def _shape(event: Event) -> list[tuple[str, bool]]:
    return [(change.key, change.removes) for change in event.skeleton.changes]
