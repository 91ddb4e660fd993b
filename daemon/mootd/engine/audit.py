"""The audit stream: records of what was decided and administered here, as events of the operational plane.

Invariant: each record is one event that supersedes nothing and is never written over, in the feed of this machine on a
plane that never leaves it. The feed is numbered without gaps, hash-linked and signed, so a record that was changed,
taken out or put in is noticed; so is an end that was cut off, since the feed's row names its head. Limit: who holds the
machine's key can sign another history from the beginning. Only a head that is kept elsewhere tells (`Chain`).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from moot_protocol.access.rules import acts_for
from moot_protocol.clock import to_ms
from moot_protocol.errors import MootError
from moot_protocol.ids import entity_problem, key_text
from moot_protocol.limits import ACTOR_BYTES, AUDIT_DETAIL_CHARS
from moot_protocol.log.batch import decode_header
from moot_protocol.log.event import PlainDraft
from moot_protocol.merge.kinds import AUDIT, CHARTER
from moot_protocol.trust.genesis import PlaneKind
from mootd.engine.state import State
from mootd.engine.stored import layout
from mootd.engine.stored.batch_check import Stand, batch_problems
from mootd.engine.stored.log import PlaneRow, StoredBatch, StoredEvent, decode_feed, said_by, unpack_batch
from mootd.engine.unit import Unit
from mootd.engine.views.entities import Entities
from mootd.store.port import Reader, Table

STRETCH: Final = 200
"""Batches looked at for one answer."""
_DIGITS: Final = 12
_CUT: Final = "…"


class Entry(NamedTuple):
    """One record before it is written."""

    event_type: str
    actor: str
    action: str
    """A request's method."""
    resource: str
    result: str
    """`allowed`, `denied` or `done`."""
    details: Mapping[str, str] = {}


# -- Writing -----------------------------------------------------------------------------------------------------
def note(unit: Unit, entry: Entry) -> bool:
    """Write a record; False where this machine writes on no operational plane, and so there is nothing to write it to.

    Raises:
        RefusedError: this machine may not write.
    """
    plane = next((row.number for row in _planes(unit) if row.kind == PlaneKind.OPERATIONAL), None)
    if plane is None:
        return False
    # Ids in order of time and arrival, so that records are found and listed by it.
    name = f"{unit.now_ms:0{_DIGITS}x}-{unit.arrival:0{_DIGITS}x}"
    feed = unit.feed_number(plane, unit.replica.id)  # open since this very unit, where it founds the town
    if not unit.feed(feed).n:
        return False
    unit.append(plane, PlainDraft(AUDIT, name, _actor(entry.actor), _values(entry)), feed=feed)
    return True


def _planes(unit: Unit) -> Iterator[PlaneRow]:
    yield from unit.replica.planes.values()
    yield from unit.new_planes


def _actor(actor: str) -> str:
    """What can stand as an event's actor: whoever is denied may have called themselves anything."""
    fits = not entity_problem(actor[:ACTOR_BYTES]) and len(actor.encode("utf-8", "replace")) <= ACTOR_BYTES
    return actor if fits else "unknown"


def _values(entry: Entry) -> dict[str, Any]:
    return {
        "action": _cut(entry.action),
        "actor": _cut(entry.actor),
        "details": {name: _cut(text) for name, text in sorted(entry.details.items())},
        "event_type": entry.event_type,
        "resource": _cut(entry.resource),
        "result": entry.result,
    }


def _cut(text: str) -> str:
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= AUDIT_DETAIL_CHARS else text[:AUDIT_DETAIL_CHARS] + _CUT


# -- Reading -----------------------------------------------------------------------------------------------------
def record_of(stored: StoredEvent) -> dict[str, Any]:
    """A record as it was written."""
    event = stored.event
    values = event.values()
    said = {} if values is None else said_by(event.skeleton, values)
    texts = {name: said.get(name, "") for name in ("event_type", "actor", "action", "resource", "result")}
    return {
        "id": event.skeleton.entity,
        "n": event.n,
        "timestamp": to_ms(event.skeleton.hlc),
        **texts,
        "details": said.get("details", {}),
    }


def newest(entities: Entities, planes: Mapping[int, PlaneRow], since_ms: int = 0) -> Iterator[dict[str, Any]]:
    """The records since a moment, the newest first, each as its first event says."""
    for plane in _operational(planes):
        start = layout.id_key(plane, AUDIT, f"{max(since_ms, 0):0{_DIGITS}x}")
        stop = layout.after(layout.id_key(plane, AUDIT, ""))
        for _, eid in entities.reader.scan(entities.views.ids, start, stop, reverse=True):
            record = entities.record(int.from_bytes(eid, "big"))
            if record is not None:
                yield record_of(entities.log.history(record.head)[-1])


def is_of(record: Mapping[str, Any], actor: str, event_type: str) -> bool:
    """Whether a record is of an actor (or of somebody who works for them) and of a type; empty for any."""
    return (not actor or acts_for(record["actor"], actor)) and event_type in {"", record["event_type"]}


def _operational(planes: Mapping[int, PlaneRow]) -> list[int]:
    return sorted(number for number, row in planes.items() if row.kind == PlaneKind.OPERATIONAL)


# -- The chain ---------------------------------------------------------------------------------------------------
class Place(NamedTuple):
    """How far a chain has been followed."""

    feed: int = 0
    """Index among the chain's feeds."""
    n: int = 0
    """The last number seen of it."""
    head: bytes = bytes(32)
    """The id of the batch that holds it."""
    records: int = 0
    batches: int = 0


class Stretch(NamedTuple):
    """What a stretch of a chain holds."""

    place: Place
    done: bool
    records: list[dict[str, Any]]
    problems: list[tuple[str, str]]
    """(where, what)."""
    heads: list[bytes]
    """The ids of the batches in it."""


class Chain:
    """The feeds that records stand in: this machine's own on operational planes, under every key that it ever had.

    Args:
        reader: a transaction.
        replica: the replica.
    """

    def __init__(self, reader: Reader, replica: State) -> None:
        self._reader = reader
        self._log = Entities(reader, replica.views_of(reader), _nobody, replica.feed_number).log
        planes = {number: replica.planes[number].id for number in _operational(replica.planes)}
        # As this snapshot has them: the replica's memory may be a commit ahead.
        rows = reader.scan(Table.META, layout.FEEDS, layout.after(layout.FEEDS))
        feeds = [(int.from_bytes(key[len(layout.FEEDS) :], "big"), decode_feed(value)) for key, value in rows]
        self.feeds = [(number, row) for number, row in feeds if row.plane in planes and row.kind != CHARTER and row.n]
        """(number, row) of each, in the order in which the machine took its keys."""
        self._planes = planes
        """Number → id of the planes that they stand on."""

    def head(self) -> tuple[bytes, int]:
        """(id, last number) of the batch that the newest feed ends with; zeros where there is none."""
        return (self.feeds[-1][1].head, self.feeds[-1][1].n) if self.feeds else (bytes(32), 0)

    def total(self) -> int:
        """About how many batches there are."""
        return sum(row.n for _, row in self.feeds)

    def follow(self, place: Place) -> Stretch:
        """Recompute the next stretch: numbers, links, signatures and hashes of its batches."""
        records: list[dict[str, Any]] = []
        problems: list[tuple[str, str]] = []
        heads: list[bytes] = []
        if place.feed >= len(self.feeds):
            return Stretch(place, True, records, problems, heads)
        number, row = self.feeds[place.feed]
        stop = layout.after(layout.feed_prefix(number))
        seen = 0
        for key, value in self._reader.scan(Table.BATCHES, layout.batch_key(number, place.n + 1), stop):
            if seen == STRETCH:
                return Stretch(place, False, records, problems, heads)
            (_, first, _), seen = layout.batch_place(key), seen + 1
            where = f"batch from event {first} on of {key_text(row.author)}"
            batch = unpack_batch(value)
            found, wrong = self._read(Stand(number, first, row.author, self._planes[row.plane]), batch)
            wrong += _link_problems(batch, place)
            problems += [(where, problem) for problem in wrong]
            records += found
            heads.append(batch.id)
            place = Place(
                place.feed, first + batch.accepted - 1, batch.id, place.records + len(found), place.batches + 1
            )
        if (place.n, place.head) != (row.n, row.head):
            problems.append((f"feed of {key_text(row.author)}", "it doesn't end where it should"))
        following = Place(place.feed + 1, 0, bytes(32), place.records, place.batches)
        return Stretch(following, following.feed == len(self.feeds), records, problems, heads)

    def _read(self, stand: Stand, batch: StoredBatch) -> tuple[list[dict[str, Any]], list[str]]:
        """The records of a batch, and what is wrong with it by itself."""
        try:
            header = decode_header(batch.header_bytes)
            events = self._log.events_of(batch)
            found = [record_of(each) for each in events if each.event.skeleton.kind == AUDIT]
        except MootError as error:
            return [], [error.message]
        wrong = list(batch_problems(stand, batch, header, events))
        if batch.accepted != header.count:
            wrong.append("its events are not as many as were signed")
        written_over = [each.event.skeleton.entity for each in events if _writes_over(each)]
        return found, wrong + [f"record {name} was written over" for name in written_over]


def _link_problems(batch: StoredBatch, place: Place) -> list[str]:
    try:
        header = decode_header(batch.header_bytes)
    except MootError:
        return []  # told already
    if header.first != place.n + 1:
        return [f"events {place.n + 1} to {header.first - 1} are missing before it"]
    return [] if header.prev == place.head else ["it doesn't follow the batch before it"]


def _writes_over(stored: StoredEvent) -> bool:
    """Whether an event changes a record that is there already."""
    skeleton = stored.event.skeleton
    return skeleton.kind == AUDIT and any(change.over or change.removes for change in skeleton.changes)


def _nobody(feed: int) -> bytes:
    raise AssertionError(f"nobody asks for the author of feed {feed}")
