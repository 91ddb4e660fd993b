"""Writing the views: records, indexes, readiness and digests of one generation, inside one write transaction.

Invariant: after `flush`, records, INDEX, standings and digests are those that the accepted events applied so far
leave, whatever their order. Changes are collected per entity and written once, in ascending order of keys.
"""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from moot_protocol.digest import Digest, place_prefix, place_suffix, term, terms
from moot_protocol.event import Event
from moot_protocol.kinds import ISSUE, Role
from mootd.engine import layout
from mootd.engine.graph import Graph
from mootd.engine.layout import Views
from mootd.engine.record import HasCome, Merge, Record, decode_record, encode_record
from mootd.engine.rows import RowMaker
from mootd.store.port import Table, WriteTransaction


class Replayed(NamedTuple):
    """An accepted event as it is applied again."""

    event: Event
    feeds: list[int]
    """Its batch's author table as feed numbers, its own first."""
    arrival: int
    role: Role | None


class ViewWriter:
    """The views of one generation.

    Args:
        transaction: the write transaction.
        views: which tables.
        author_of: a feed's author.
        has_come: whether a write was applied before the event being applied.
        project_number: the local number of a plane's project.
        now_ms: the wall clock, for issues deferred beyond it.
    """

    def __init__(
        self,
        transaction: WriteTransaction,
        views: Views,
        author_of: Callable[[int], bytes],
        has_come: HasCome,
        project_number: Callable[[int, str], int],
        now_ms: int,
    ) -> None:
        self._txn = transaction
        self.views = views
        self._author_of = lru_cache(maxsize=None)(author_of)
        self._now_ms = now_ms
        self._eids: dict[bytes, int] = {}
        self._open: dict[int, Record] = {}
        """Records being changed."""
        self._next_eid = 0
        self._new: set[int] = set()
        """Numbers given since the last flush: nothing is kept of them yet."""
        self._digests: dict[int, Digest] = {}
        self._has_come = has_come
        self._merge = Merge(has_come, self._added, self._removed)
        self._digest = Digest()
        self._prefix = b""
        self.graph = Graph(transaction, views)
        self._rows = RowMaker(self._author_of, project_number, self.reference)

    # -- Entities ------------------------------------------------------------------------------------------------
    def find(self, plane: int, kind: str, entity: str) -> int | None:
        """An entity's number, or None."""
        key = layout.id_key(plane, kind, entity)
        eid = self._eids.get(key)
        if eid is None:
            found = self._txn.get(self.views.ids, key)
            if found is None:
                return None
            eid = self._eids[key] = int.from_bytes(found, "big")
        return eid

    def reference(self, plane: int, kind: str, entity: str) -> int:
        """An entity's number, given now if it has none yet: edges may lead to issues that have not come."""
        eid = self.find(plane, kind, entity)
        if eid is None:
            if not self._next_eid:
                counter = self._txn.get(Table.META, layout.counter_key(self.views.generation))
                self._next_eid = int.from_bytes(counter, "big") if counter else 1
            eid = self._next_eid
            self._next_eid += 1
            self._new.add(eid)
            key = layout.id_key(plane, kind, entity)
            self._eids[key] = eid
            self._txn.put(self.views.ids, key, layout.eid_key(eid))
        return eid

    def record(self, eid: int) -> Record | None:
        """An entity's record as this transaction sees it, not to be changed; None for a mere reference."""
        opened = self._open.get(eid)
        if opened is not None:
            return opened
        packed = self._txn.get(self.views.records, layout.eid_key(eid))
        return None if packed is None else decode_record(packed)

    def _to_change(self, eid: int, plane: int, kind: str, entity: str) -> Record:
        record = self._open.get(eid)
        if record is None:
            packed = None if eid in self._new else self._txn.get(self.views.records, layout.eid_key(eid))
            record = self._open[eid] = Record(plane, kind, entity) if packed is None else decode_record(packed)
        return record

    # -- Applying ------------------------------------------------------------------------------------------------
    def apply(
        self, plane: int, event: Event, values: list[Any] | None, feeds: list[int], arrival: int, role: Role | None
    ) -> int:
        """Apply an accepted event; returns the arrival number of its entity's event before (0 for none)."""
        skeleton = event.skeleton
        eid = self.reference(plane, skeleton.kind, skeleton.entity)
        record = self._to_change(eid, plane, skeleton.kind, skeleton.entity)
        previous = record.head
        self._digest, self._prefix = self.digest(plane), place_prefix(skeleton.kind, skeleton.entity)
        self._merge.apply(record, event, values, feeds, arrival, role)
        return previous

    def replace(self, plane: int, kind: str, entity: str, events: Iterable[Replayed]) -> None:
        """Make an entity's record anew from its accepted events, in ascending order of arrival."""
        eid = self.reference(plane, kind, entity)
        old = self._to_change(eid, plane, kind, entity)
        self._digest, self._prefix = self.digest(plane), place_prefix(kind, entity)
        for group in old.groups:
            for pair in group.pairs:
                self._removed(pair[0], group.feed, group.n, group.leaf)
        fresh = self._open[eid] = Record(plane, kind, entity, index_keys=old.index_keys)
        # While replaying, a superseded write may stand later in the row: it is waited for, whatever its number.
        merge = Merge(lambda *_: False, self._added, self._removed)
        for replayed in events:
            merge.apply(fresh, replayed.event, replayed.event.values(), replayed.feeds, replayed.arrival, replayed.role)
        fresh.pending = [waiting for waiting in fresh.pending if not self._has_come(fresh, *waiting)]

    def digest(self, plane: int) -> Digest:
        """A plane's running digest."""
        digest = self._digests.get(plane)
        if digest is None:
            kept = self._txn.get(Table.META, layout.digest_key(self.views.generation, plane))
            digest = self._digests[plane] = Digest(int.from_bytes(kept or b"", "big"))
        return digest

    def _added(self, keys: list[str], feed: int, n: int, leaf: bytes) -> None:
        self._digest.add(terms(self._prefix, keys, place_suffix(self._author_of(feed), n, leaf)))

    def _removed(self, key: str, feed: int, n: int, leaf: bytes) -> None:
        self._digest.remove(term(self._prefix, key, place_suffix(self._author_of(feed), n, leaf)))

    # -- Writing -------------------------------------------------------------------------------------------------
    def flush(self) -> None:
        """Write what was collected; the transaction then reads as if it had been committed."""
        index_puts: list[tuple[bytes, bytes]] = []
        deletes: list[bytes] = []
        record_puts: list[tuple[bytes, bytes]] = []
        for eid, record in self._open.items():
            if record.kind == ISSUE:
                self._reindex(eid, record, index_puts, deletes)
            if not record.head:
                self._txn.delete(self.views.records, layout.eid_key(eid))
                continue
            record_puts.append((layout.eid_key(eid), encode_record(record)))
        self._open.clear()
        self._new.clear()
        self.graph.settle()
        standing_puts, standing_deletes = self.graph.flush(self._now_ms)
        for key in (*deletes, *standing_deletes):
            self._txn.delete(self.views.index, key)
        record_puts.sort()
        self._txn.put_many(self.views.records, record_puts)
        self._txn.put_many(self.views.index, sorted(index_puts + standing_puts))
        self._put_counters()

    def _reindex(self, eid: int, record: Record, puts: list[tuple[bytes, bytes]], deletes: list[bytes]) -> None:
        row = self._rows.make(eid, record)
        old, new = record.index_keys, row.keys
        if old != new:
            deletes.extend(key for key in old if key not in new)
            puts.extend((key, b"") for key in new if key not in old)
            record.index_keys = new
        if eid in self._new:
            self.graph.open_new(eid)
        self.graph.set_issue(eid, row.standing, row.edges)

    def _put_counters(self) -> None:
        if self._next_eid:
            key = layout.counter_key(self.views.generation)
            self._txn.put(Table.META, key, layout.eid_key(self._next_eid))
        for plane, digest in self._digests.items():
            self._txn.put(Table.META, layout.digest_key(self.views.generation, plane), digest.digest())

    def forget(self) -> None:
        """Drop everything collected and cached: the transaction's writes were taken back."""
        self._eids.clear()
        self._open.clear()
        self._digests.clear()
        self._next_eid = 0
        self._new.clear()
        self._author_of.cache_clear()  # numbers of feeds were taken back too, and may be given to others
        self.graph = Graph(self._txn, self.views)
