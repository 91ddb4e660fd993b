"""Checking INDEX: whether an issue's lists, edges and standing are what its record and its neighbours say.

Nothing is changed. Counters are computed anew from the edges as they stand, so that a wrong one is found where it is.
"""

from typing import Final

import msgspec

from moot_protocol.issues.edge_types import BLOCKING, PARENT, WAITS_FOR
from moot_protocol.merge.kinds import ISSUE
from mootd.engine.issues.reading import Issues
from mootd.engine.stored import layout
from mootd.engine.stored.layout import BACK_EDGE, CYCLE, EDGE
from mootd.engine.stored.log import decode_project
from mootd.engine.views.entities import Entities
from mootd.engine.views.graph import must_wait
from mootd.engine.views.record import Record
from mootd.engine.views.rows import Row, RowMaker
from mootd.engine.views.standing import BLOCKED, EXISTS, PARKED, REFERENCED, Standing
from mootd.store.port import Table

_OF_NEIGHBOURS: Final = BLOCKED | PARKED | REFERENCED
"""Flags that don't follow from an issue's own record."""


_OF_STANDINGS: Final = frozenset({layout.READY, layout.DEFERRED, layout.BLOCKED})
"""Lists whose keys follow from standings."""
_KEY_BYTES: Final = 9
"""Least bytes of a list's key, which ends with an issue's number."""
_EDGE_BYTES: Final = 17
"""Least bytes of an edge's, which begins with two."""


class _Listed(msgspec.Struct, array_like=True, gc=False):
    """A record of which only those parts are read that say where INDEX has it; in a tenth of the time."""

    plane: int
    kind: str
    entity: str
    head: int
    created: int
    updated: int
    groups: msgspec.Raw
    pending: msgspec.Raw
    index_keys: list[bytes]


_decode_listed: Final = msgspec.msgpack.Decoder(_Listed).decode


def number_in(key: bytes) -> int:
    """The number of the issue that a key of INDEX is of; 0 for one that has none where it would have to stand."""
    if len(key) < (_EDGE_BYTES if key[:1] == EDGE else _KEY_BYTES):
        return 0
    return layout.edge_parts(key)[0] if key[:1] == EDGE else layout.eid_of(key)


class RowCheck:
    """Checks the rows of one snapshot.

    Args:
        entities: the snapshot.
    """

    def __init__(self, entities: Entities) -> None:
        self._entities = entities
        self._get = entities.reader.get
        self._index = entities.views.index
        counter = self._get(Table.META, layout.counter_key(entities.views.generation))
        self._next_eid = int.from_bytes(counter or b"", "big")
        rows = entities.reader.scan(Table.META, layout.PROJECTS, layout.after(layout.PROJECTS))
        self._projects = {(plane, name): number for number, plane, name in (decode_project(value) for _, value in rows)}
        self._rows = RowMaker(entities.author_of, self._project_number, self._reference, entities.log.said)
        self._last: tuple[int, _Listed | None, frozenset[bytes]] = (0, None, frozenset())
        """The number last asked about by `surplus`, its record, and the keys that INDEX holds of it."""

    def _project_number(self, plane: int, project: str) -> int:
        return self._projects.get((plane, project), 0)

    def _reference(self, plane: int, kind: str, entity: str) -> int:
        return int.from_bytes(self._get(self._entities.views.ids, layout.id_key(plane, kind, entity)) or b"", "big")

    def problem(self, eid: int, record: Record) -> str:
        """What is wrong with an issue's row, or empty; other kinds have none."""
        if record.kind != ISSUE:
            return ""
        row = self._rows.make(eid, record)
        if row.keys != record.index_keys:
            return "its record names other lists than it should stand in"
        issues = Issues(self._entities, record.plane)
        standing = issues.standing(eid)
        if any(self._get(self._index, key) is None for key in (*row.keys, *standing.index_keys())):
            return "a list that it should stand in doesn't have it"
        if not self._has_edges(eid, row):
            return "its dependencies are not those of its record"
        if not self._stands(issues, standing, row):
            return "what is kept of its readiness is wrong"
        return ""

    def surplus(self, key: bytes) -> str:
        """Why a key of INDEX shouldn't be there, or empty. Fastest where keys of one issue follow one another."""
        prefix, get = key[:1], self._get
        if prefix in (BACK_EDGE, CYCLE):
            at, other, edge_type = layout.edge_parts(key)
            ends = (other, at) if prefix == BACK_EDGE else (at, other)
            leads = get(self._index, layout.edge_key(EDGE, *ends, edge_type)) is not None
            return "" if leads else "no such dependency is kept"
        if prefix == layout.STANDING:
            at = number_in(key)
            is_named = 0 < at < self._next_eid and key == layout.standing_key(at)
            return "" if is_named else "it is of no issue that was ever named"
        eid = number_in(key)
        record, keys = self._listed(eid)
        if record is None:
            return "it leads to no issue"
        if prefix == EDGE:
            return ""  # compared with the record's, where that is checked
        if prefix in _OF_STANDINGS:
            stands = key in Issues(self._entities, record.plane).standing(eid).index_keys()
        else:
            stands = key in keys
        return "" if stands else f"{record.entity} doesn't belong into that list"

    def _listed(self, eid: int) -> tuple[_Listed | None, frozenset[bytes]]:
        """What is asked here of a record, its keys as a set; kept, as an issue may have any number of them."""
        if self._last[0] != eid:
            packed = self._entities.packed(eid)
            record = None if packed is None else _decode_listed(packed)
            self._last = (eid, record, frozenset() if record is None else frozenset(record.index_keys))
        return self._last[1:]

    def _has_edges(self, eid: int, row: Row) -> bool:
        start = layout.edges_prefix(EDGE, eid)
        kept = dict(self._entities.reader.scan(self._index, start, layout.after(start)))
        wanted = {layout.edge_key(EDGE, eid, *place): facts.gate + facts.rank for place, facts in row.edges.items()}
        back = (layout.edge_key(BACK_EDGE, target, eid, edge_type) for target, edge_type in row.edges)
        return kept == wanted and all(self._get(self._index, key) is not None for key in back)

    def _stands(self, issues: Issues, kept: Standing, row: Row) -> bool:
        facts = (
            kept.flags & ~_OF_NEIGHBOURS, kept.issue_class, kept.project, kept.priority, kept.created_ms, kept.tie,
            kept.defer_ms,
        )  # fmt: skip
        fresh = Standing(kept.eid, None)
        times = [kept.defer_ms]
        for other, edge_type, value in issues.edges(EDGE, kept.eid):
            standing = issues.standing(other)
            if edge_type in BLOCKING:
                key = layout.edge_key(CYCLE, kept.eid, other, edge_type)
                fresh.blockers += standing.holds_up and self._get(self._index, key) is None
            elif edge_type == PARENT:
                fresh.blocked_parents += bool(standing.flags & BLOCKED)
                times.append(standing.defer_ms if standing.flags & EXISTS else 0)
            elif edge_type == WAITS_FOR:
                fresh.waits += must_wait(standing, issues.children(other), value[:1])
        counted = (fresh.blockers, fresh.blocked_parents, fresh.waits, max(times))
        is_blocked = bool(kept.flags & BLOCKED)
        # Parents that are blocked by one another alone are not blocked: there the counters say less than the flag.
        agrees = is_blocked == kept.should_be_blocked or (kept.should_be_blocked and not kept.has_own_cause)
        return facts == row.standing and agrees and counted == (
            kept.blockers, kept.blocked_parents, kept.waits, kept.until_ms
        )  # fmt: skip
