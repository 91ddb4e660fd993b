"""Rebuilding the views: replay the log into the other generation of tables, then change over to it.

Invariant: until the last stretch is committed, what is served are the old views; from then on the new ones. A stretch
is one transaction of the writer's, so others' writes go on between stretches and are replayed by later ones.
"""

from typing import Any, Final

from mootd.engine.stored import layout
from mootd.engine.stored.erased import lacks
from mootd.engine.stored.layout import Views
from mootd.engine.stored.log import LogReader, StoredEvent, with_previous
from mootd.engine.unit import FLUSH_AFTER, Unit, role_of
from mootd.engine.views.record import Record, is_write
from mootd.engine.views.writing import ViewWriter
from mootd.store.port import Table

STRETCH: Final = 2000
"""Events replayed in one transaction."""


class Rebuild:
    """One rebuild under way."""

    def __init__(self) -> None:
        self._cuts = -1
        self._next = 1
        self._replayed: dict[int, int] = {}
        self._events: dict[int, int] = {}
        self._mended = 0
        self._name = b""

    def step(self, unit: Unit) -> dict[str, Any]:
        """Replay one stretch; answers as the `rebuild` request does, without the cursor."""
        unit.flush()
        fresh = Views(1 - unit.generation)
        # At the beginning, since a cut took back what was replayed already, or since a stretch was not committed.
        if self._cuts != unit.cuts or unit.transaction.get(Table.META, layout.REBUILD) != self._mark():
            self._start(unit, fresh)
        self._replay(unit, fresh)
        unit.transaction.put(Table.META, layout.REBUILD, self._mark())
        done = self._next >= unit.arrival
        answer: dict[str, Any] = {"done": done, "progress": [self._next - 1, unit.arrival - 1]}
        if done:
            answer["planes"] = self._change_over(unit, fresh)
            answer["mended"] = self._mended
        return answer

    def _mark(self) -> bytes:
        """What the store keeps of how far this rebuild has come: memory may be ahead of it."""
        return self._name + self._next.to_bytes(8, "big")

    def _start(self, unit: Unit, fresh: Views) -> None:
        self._cuts, self._next, self._mended = unit.cuts, 1, 0
        self._replayed, self._events = {}, {}
        self._name = unit.replica.entropy.bytes(16)
        for table in (fresh.ids, fresh.records, fresh.index):
            unit.replica.store.clear(unit.transaction, table)
        unit.transaction.delete(Table.META, layout.counter_key(fresh.generation))
        unit.transaction.delete(Table.META, layout.released_key(fresh.generation))
        for plane in unit.replica.planes:
            unit.transaction.delete(Table.META, layout.digest_key(fresh.generation, plane))

    def _replay(self, unit: Unit, fresh: Views) -> None:
        log = LogReader(unit.transaction)

        def has_come(record: Record, key: str, feed: int, n: int, leaf8: bytes) -> bool:
            return n <= self._replayed.get(feed, 0) and is_write(log.event_named(feed, n, leaf8), record, key)

        views = ViewWriter(unit.transaction, fresh, unit.author_of, has_come, unit.project_number, unit.now_ms)
        stop = min(self._next + STRETCH, unit.arrival)
        start_key, stop_key = layout.arrival_key(self._next), layout.arrival_key(stop)
        feeds: dict[int, tuple[int, list[int]]] = {}
        mend: list[tuple[bytes, bytes]] = []
        for key, value in unit.transaction.scan(Table.EVENTS, start_key, stop_key):
            if views.collected >= FLUSH_AFTER:
                views.flush()
            arrival = int.from_bytes(key, "big")
            stored = log.event(arrival)
            row = unit.feed(stored.feed)
            last, numbers = feeds.get(stored.feed, (0, []))
            if stored.event.n > last:
                last, numbers = _author_table(unit, log, stored.feed, stored.event.n)
                feeds[stored.feed] = (last, numbers)
            previous = views.apply(row.plane, stored.event, stored.event.values(), numbers, arrival, role_of(row))
            if previous != stored.previous:
                mend.append((key, with_previous(value, previous)))
            if stored.event.values_bytes is None:
                self._note_absent(unit, log, stored)
            self._replayed[stored.feed] = stored.event.n
            self._events[row.plane] = self._events.get(row.plane, 0) + 1
        unit.transaction.put_many(Table.EVENTS, mend)
        self._mended += len(mend)
        views.flush()
        self._next = stop

    def _note_absent(self, unit: Unit, log: LogReader, stored: StoredEvent) -> None:
        """Let a batch be asked for again whose values are missing; `erasing.py` sees to those that are erased."""
        batch = log.batch_holding(stored.feed, stored.event.n)
        if batch is not None and lacks(unit.transaction, stored.feed, [stored.event]):
            key = layout.withheld_key(unit.feed(stored.feed).plane, stored.feed, batch.header.first)
            unit.transaction.put(Table.META, key, b"")

    def _change_over(self, unit: Unit, fresh: Views) -> list[dict[str, Any]]:
        old = Views(unit.generation)
        planes = []
        for number, plane in unit.replica.planes.items():
            before, after = (
                unit.transaction.get(Table.META, layout.digest_key(views.generation, number)) or bytes(32)
                for views in (old, fresh)
            )
            planes.append(
                {
                    "name": plane.name,
                    "events": self._events.get(number, 0),
                    "before": before.hex(),
                    "after": after.hex(),
                }
            )
        unit.change_generation(fresh.generation)
        _forget_erased(unit)
        unit.transaction.delete(Table.META, layout.REBUILD)
        for table in (old.ids, old.records, old.index):
            unit.replica.store.clear(unit.transaction, table)
        return planes


def _forget_erased(unit: Unit) -> None:
    from mootd.engine.erasure.erasing import forget_erased  # few stores ever have views made anew

    forget_erased(unit)


def _author_table(unit: Unit, log: LogReader, feed: int, n: int) -> tuple[int, list[int]]:
    """(last number, author table as feeds) of the accepted batch that holds an event."""
    batch = log.batch_holding(feed, n)
    if batch is None:
        return n, [feed]
    header = batch.header
    plane = unit.feed(feed).plane
    return header.first + batch.accepted - 1, [feed, *(unit.feed_number(plane, author) for author in header.authors)]
