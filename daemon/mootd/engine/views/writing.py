"""Writing the views: records, indexes, readiness and digests of one generation, inside one write transaction.

Invariant: after `flush`, records, INDEX, standings and digests are those that the accepted events applied so far
leave, whatever their order. Changes are collected per entity and written once, in ascending order of keys.
"""

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from moot_protocol.log.event import Event, NewEntity
from moot_protocol.merge.digest import Digest, place_prefix, place_suffix, term, terms
from moot_protocol.merge.kinds import ISSUE
from mootd.engine.stored import layout
from mootd.engine.stored.layout import Views
from mootd.engine.stored.log import LogReader
from mootd.engine.views.graph import Graph, follows_rules
from mootd.engine.views.new_rows import NewRows
from mootd.engine.views.record import (
    HasCome,
    Merge,
    Record,
    Said,
    Speaker,
    decode_record,
    encode_record,
    may_say_all,
    record_of_new,
)
from mootd.engine.views.rows import EDGE_KEYS, REMADE, RowMaker, shifted
from mootd.store.port import Table, WriteTransaction

_KEY: Final = itemgetter(0)
"""By which rows are put in order: in half the time that comparing pairs takes."""
_KEPT_BYTES: Final = 4096
"""Values of events that are kept until a flush: records, made at once for longer ones, hold no long text."""


class Replayed(NamedTuple):
    """An accepted event as it is applied again."""

    event: Event
    feeds: list[int]
    """Its batch's author table as feed numbers, its own first."""
    arrival: int
    role: Speaker


class _Authors(dict[int, bytes]):
    """Feeds' authors, each asked for once: made for every transaction, which an `lru_cache` takes too long for."""

    def __init__(self, author_of: Callable[[int], bytes]) -> None:
        super().__init__()
        self._ask = author_of

    def __missing__(self, feed: int) -> bytes:
        author = self[feed] = self._ask(feed)
        return author


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
        self._authors = _Authors(author_of)
        self._author_of = self._authors.__getitem__
        self._now_ms = now_ms
        self._eids: dict[bytes, int] = {}
        """Numbers by `id_key`; 0 for an entity that was looked for and has none."""
        self._id_puts: list[tuple[bytes, bytes]] = []
        """Numbers given that IDS doesn't hold yet."""
        self._open: dict[int, Record] = {}
        """Records being changed."""
        self._next_eid = 0
        self._new: set[int] = set()
        """Numbers given since the last flush: nothing is kept of them yet."""
        self._begun: dict[int, tuple[int, list[Said]]] = {}
        """Of those of them that were only ever added to, so far without a record: plane and what their events said."""
        self._relinked: set[int] = set()
        """Issues changed in a way that may have changed their edges."""
        self._changed: dict[int, set[str] | None] = {}
        """Of issues that were there before: keys changed, None where their rows have to be made anew."""
        self._digests: dict[int, Digest] = {}
        self._has_come = has_come
        self._merge = Merge(has_come, self._added, self._removed)
        self._digest = Digest()
        self._prefix = b""
        self.graph = Graph(transaction, views)
        self._rows = RowMaker(self._author_of, project_number, self.reference, LogReader(transaction).said)
        self._new_rows = NewRows(self._rows)

    # -- Entities ------------------------------------------------------------------------------------------------
    def find(self, plane: int, kind: str, entity: str) -> int | None:
        """An entity's number, or None."""
        key = layout.id_key(plane, kind, entity)
        eid = self._eids.get(key)
        if eid is None:
            found = self._txn.get(self.views.ids, key)
            eid = self._eids[key] = int.from_bytes(found or b"", "big")
        return eid or None

    def reference(self, plane: int, kind: str, entity: str) -> int:
        """An entity's number, given now if it has none yet: edges may lead to issues that have not come."""
        key = layout.id_key(plane, kind, entity)
        eid = self._eids.get(key)
        if eid is None:
            eid = self._eids[key] = int.from_bytes(self._txn.get(self.views.ids, key) or b"", "big")
        if not eid:
            if not self._next_eid:
                counter = self._txn.get(Table.META, layout.counter_key(self.views.generation))
                self._next_eid = int.from_bytes(counter, "big") if counter else 1
            eid = self._next_eid
            self._next_eid += 1
            self._new.add(eid)
            self._eids[key] = eid
            self._id_puts.append((key, layout.eid_key(eid)))
        return eid

    def record(self, eid: int) -> Record | None:
        """An entity's record as this transaction sees it, not to be changed; None for a mere reference."""
        opened = self._open.get(eid) or (self._opened(eid) if eid in self._begun else None)
        if opened is not None:
            return opened
        packed = self._txn.get(self.views.records, layout.eid_key(eid))
        return None if packed is None else decode_record(packed)

    def _to_change(self, eid: int, plane: int, kind: str, entity: str) -> Record:
        record = self._open.get(eid) or (self._opened(eid) if eid in self._begun else None)
        if record is None:
            packed = None if eid in self._new else self._txn.get(self.views.records, layout.eid_key(eid))
            record = self._open[eid] = Record(plane, kind, entity) if packed is None else decode_record(packed)
        return record

    def follow_rules(self, projects: Iterable[int]) -> None:
        """Bring what an earlier release made by other rules up to these, once; the next flush writes it.

        Args:
            projects: the numbers of all projects.
        """
        if follows_rules(self._txn):
            return
        for key, _ in list(self._txn.scan(self.views.index, layout.CONFLICT, layout.after(layout.CONFLICT))):
            eid = layout.eid_of(key)
            record = self.record(eid)
            if record is not None:
                self._open[eid] = record
                self._changed[eid] = None
        self.graph.follow_rules(projects)

    # -- Applying ------------------------------------------------------------------------------------------------
    def apply(
        self, plane: int, event: Event, values: list[Any] | None, feeds: list[int], arrival: int, role: Speaker
    ) -> int:
        """Apply an accepted event; returns the arrival number of its entity's event before (0 for none)."""
        skeleton = event.skeleton
        kind, entity = skeleton.kind, skeleton.entity
        eid = self.reference(plane, kind, entity)
        if eid in self._new and eid not in self._open and values is not None and may_say_all(role, kind):
            keys = event.plain_keys
            if keys is not None and len(event.values_bytes or b"") <= _KEPT_BYTES:
                begun = self._begun.get(eid)
                if begun is None:
                    self._begun[eid] = plane, [(event, keys, values, feeds[0], arrival)]
                    return 0
                begun[1].append((event, keys, values, feeds[0], arrival))
                return begun[1][-2][4]
        record = self._open.get(eid) or self._to_change(eid, plane, kind, entity)
        previous, updated = record.head, record.updated
        self._digest, self._prefix = self._digests.get(plane) or self.digest(plane), place_prefix(kind, entity)
        self._merge.apply(record, event, values, feeds, arrival, role)
        if kind == ISSUE and eid not in self._new:
            self._note_changed(eid, [change.key for change in skeleton.changes], is_last=record.updated > updated)
        return previous

    def _note_changed(self, eid: int, keys: list[str], *, is_last: bool) -> None:
        """Keep which keys of an issue changed, where its row may follow from that."""
        if not EDGE_KEYS.isdisjoint(keys):
            self._relinked.add(eid)
        if not is_last or not REMADE.isdisjoint(keys):
            self._changed[eid] = None
        else:
            changed = self._changed.setdefault(eid, set())
            if changed is not None:
                changed.update(keys)

    def _opened(self, eid: int) -> Record:
        """The record of what was begun here, to be changed from now on."""
        plane, said = self._begun.pop(eid)
        record = self._open[eid] = self._record_of_new(plane, said)
        return record

    def _record_of_new(self, plane: int, said: Sequence[Said]) -> Record:
        """The record that events make of which all counts, and there is nothing that it could change."""
        skeleton = said[0][0].skeleton
        prefix, added = place_prefix(skeleton.kind, skeleton.entity), 0
        for event, keys, _, feed, _ in said:
            added += terms(prefix, keys, place_suffix(self._author_of(feed), event.n, event.leaf))
        self.digest(plane).add(added)
        return record_of_new(plane, said)

    def add_new(self, plane: int, entity: NewEntity, events: Sequence[Event], feed: int, arrival: int) -> None:
        """Apply all events of an entity that nothing is known of here, as `apply` would one by one.

        Args:
            plane: the plane's number.
            entity: what the events say.
            events: the accepted events, which supersede and remove nothing, in order of arrival; all that they say
                counts.
            feed: the number of their author's feed.
            arrival: the first one's arrival number; those of the others follow.
        """
        eid = self.reference(plane, entity.kind, entity.entity)
        if eid in self._open or eid in self._begun or (eid not in self._new and self.record(eid) is not None):
            raise ValueError("an entity that something is known of")
        said: list[Said] = [
            (event, shape.keys, values, feed, at)
            for at, (event, (shape, values)) in enumerate(zip(events, entity.events, strict=True), arrival)
        ]
        if eid in self._new:
            self._begun[eid] = plane, said
        else:
            self._open[eid] = self._record_of_new(plane, said)
            self._relinked.add(eid)

    def replace(self, plane: int, kind: str, entity: str, events: Iterable[Replayed]) -> None:
        """Make an entity's record anew from its accepted events, in ascending order of arrival."""
        eid = self.reference(plane, kind, entity)
        old = self._to_change(eid, plane, kind, entity)
        self._digest, self._prefix = self.digest(plane), place_prefix(kind, entity)
        for group in old.groups:
            for pair in group.pairs:
                self._removed(pair[0], group.feed, group.n, group.leaf)
        fresh = self._open[eid] = Record(plane, kind, entity, index_keys=old.index_keys)
        self._relinked.add(eid)
        self._changed[eid] = None
        # While replaying, a superseded write may stand later in the row: it is waited for, whatever its number.
        merge = Merge(lambda *_: False, self._added, self._removed)
        for replayed in events:
            merge.apply(fresh, replayed.event, replayed.event.values(), replayed.feeds, replayed.arrival, replayed.role)
        fresh.pending = {waiting for waiting in fresh.pending if not self._has_come(fresh, *waiting)}

    def digest(self, plane: int) -> Digest:
        """A plane's running digest."""
        digest = self._digests.get(plane)
        if digest is None:
            kept = self._txn.get(Table.META, layout.digest_key(self.views.generation, plane))
            digest = self._digests[plane] = Digest(int.from_bytes(kept or b"", "big"))
        return digest

    def _added(self, keys: Sequence[str], feed: int, n: int, leaf: bytes) -> None:
        self._digest.add(terms(self._prefix, keys, place_suffix(self._author_of(feed), n, leaf)))

    def _removed(self, key: str, feed: int, n: int, leaf: bytes) -> None:
        self._digest.remove(term(self._prefix, key, place_suffix(self._author_of(feed), n, leaf)))

    # -- Writing -------------------------------------------------------------------------------------------------
    @property
    def collected(self) -> int:
        """How many entities have changed since the last flush."""
        return len(self._begun) + len(self._open)

    def flush(self) -> None:
        """Write what was collected; the transaction then reads as if it had been committed."""
        if not self._open and not self._begun and not self._id_puts and self.graph.is_flushed:
            self.graph.unblocked = []
            return
        index_puts: list[tuple[bytes, bytes]] = []
        deletes: list[bytes] = []
        record_puts: list[tuple[bytes, bytes]] = []
        for eid, (plane, said) in self._begun.items():
            record = self._record_of_new(plane, said)
            if record.kind == ISSUE:
                row = self._new_rows.make(eid, record, said)
                record.index_keys = row.keys
                index_puts += [(key, b"") for key in row.keys]
                self.graph.set_new(eid, row.standing, row.edges)
            record_puts.append((layout.eid_key(eid), encode_record(record)))
        for eid, record in self._open.items():
            if record.kind == ISSUE:
                self._reindex(eid, record, index_puts, deletes)
            if not record.head:
                self._txn.delete(self.views.records, layout.eid_key(eid))
                continue
            record_puts.append((layout.eid_key(eid), encode_record(record)))
        self._begun.clear()
        self._open.clear()
        self._merge.forget()
        self._relinked.clear()
        self._changed.clear()
        self._new.clear()
        self._txn.put_many(self.views.ids, sorted(self._id_puts, key=_KEY))
        self._id_puts.clear()
        self.graph.settle()
        standing_puts, standing_deletes = self.graph.flush(self._now_ms)
        self._txn.delete_many(self.views.index, sorted(deletes + standing_deletes))
        record_puts.sort(key=_KEY)
        self._txn.put_many(self.views.records, record_puts)
        self._txn.put_many(self.views.index, sorted(index_puts + standing_puts, key=_KEY))
        self._put_counters()

    def _reindex(self, eid: int, record: Record, puts: list[tuple[bytes, bytes]], deletes: list[bytes]) -> None:
        changed = self._changed.get(eid)
        moved = None if changed is None else shifted(record, changed)
        if moved is not None:
            keys, priority = moved
            _change_keys(record, keys, puts, deletes)
            if priority is not None:
                self.graph.set_priority(eid, priority)
            return
        is_new = eid in self._new
        has_edges = is_new or eid in self._relinked
        tie = None if is_new else self.graph.known_tie(eid)
        row = self._rows.make(eid, record, with_edges=has_edges, tie=tie)
        _change_keys(record, row.keys, puts, deletes)
        if is_new:
            self.graph.set_new(eid, row.standing, row.edges)
        else:
            self.graph.set_issue(eid, row.standing, row.edges if has_edges else None)

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
        self._merge.forget()
        self._digests.clear()
        self._next_eid = 0
        self._new.clear()
        self._begun.clear()
        self._relinked.clear()
        self._changed.clear()
        self._id_puts.clear()
        self._authors.clear()  # numbers of feeds were taken back too, and may be given to others
        self.graph = Graph(self._txn, self.views)


def _change_keys(record: Record, new: list[bytes], puts: list[tuple[bytes, bytes]], deletes: list[bytes]) -> None:
    """Let a record stand under other keys: those that INDEX must get, and lose before."""
    old = record.index_keys
    if len(old) == len(new):
        for key, other in zip(old, new, strict=True):
            if key != other:
                deletes.append(key)
                puts.append((other, b""))
    else:
        before, after = set(old), set(new)  # an issue may have any number of labels
        deletes += [key for key in old if key not in after]
        puts += [(key, b"") for key in new if key not in before]
    record.index_keys = new
