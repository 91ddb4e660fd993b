"""From a record to what INDEX holds of it: keys of lists, standing and edges.

Invariant: a row is a function of what is live in the record alone.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from moot_protocol.clock import to_ms
from moot_protocol.ids import entity_problem
from moot_protocol.issues.claim_lease import IN_PROGRESS, LEASES, lease_of
from moot_protocol.issues.edge_types import EXTERNAL, WAITS_FOR
from moot_protocol.issues.issue import (
    ALIAS,
    DEFAULT_STATUS,
    DEFERRED,
    Edge,
    Facts,
    created_ms,
    facts,
    facts_of,
    read_edges,
    updated_ms,
)
from moot_protocol.issues.issue import CLOSED as STATUS_CLOSED
from moot_protocol.limits import LOWEST_PRIORITY
from moot_protocol.merge import policies
from moot_protocol.merge.deletion import DELETED, read_deletion, seen_by
from moot_protocol.merge.kinds import INLINE_KEYS, ISSUE, SET_LIKE, Policy, field_of
from moot_protocol.merge.register import Live
from moot_protocol.times import instant_ms
from mootd.engine.stored import layout
from mootd.engine.views import standing
from mootd.engine.views.graph import ALL_CHILDREN, ANY_CHILD, EdgeFacts
from mootd.engine.views.record import Group, Record, live_of
from mootd.engine.views.standing import StandingFacts

EDGE_KEYS: Final = frozenset({"edges", "status", DELETED})
"""Keys from which the edges of a row follow: a deleted issue has none, and some statuses mean that it is deleted."""
_KEYED: Final = frozenset({"metadata", "extra"})
_APART: Final = _KEYED - INLINE_KEYS[ISSUE]
"""Those of them whose entries stand in their events."""
_NOTHING_SAID: Final[tuple[Mapping[str, Any], str]] = ({}, "")
_SETS: Final = frozenset({"labels", "edges", "comments", *_KEYED})
"""Fields that several values live in without being in conflict."""
REMADE: Final = frozenset(
    {
        "project", "status", "issue_type", "assignee", "pinned", "ephemeral", "defer_until", "created_at", "updated_at",
        "labels", "edges", DELETED, LEASES, ALIAS, *_KEYED,
    }
)  # fmt: skip
"""Keys whose change may alter all of a row. Any other alters its time of change at most, and a priority its order."""
_SHIFTED: Final = frozenset(b"".join((layout.STATUS, layout.UPDATED, layout.ASSIGNEE, layout.LABEL)))
"""Lists that `shifted` knows."""
_SIBLINGS: Final = object()
"""Stands for several values."""
_NO_STANDING: Final = StandingFacts(0, 0, 0, 0, 0, 0, 0)
NO_EDGES: Final[Mapping[tuple[int, str], EdgeFacts]] = {}
MOST_MS: Final = 2**62


class Row(msgspec.Struct, frozen=True, gc=False):
    """What INDEX holds of one issue."""

    keys: list[bytes]
    """Each once."""
    standing: StandingFacts
    edges: Mapping[tuple[int, str], EdgeFacts]


class RowMaker:
    """Makes rows.

    Args:
        author_of: a feed's author.
        project_number: the local number of a plane's project.
        reference: an entity's number, given if it has none.
        said: what the event of an arrival number said: values by key, and its actor.
    """

    def __init__(
        self,
        author_of: Callable[[int], bytes],
        project_number: Callable[[int, str], int],
        reference: Callable[[int, str, str], int],
        said: Callable[[int], tuple[Mapping[str, Any], str]],
    ) -> None:
        self._author_of = author_of
        self._said = said
        self.project_number = project_number
        """The local number of a plane's project."""
        self._reference = reference

    def make(
        self,
        eid: int,
        record: Record,
        simple: dict[str, Any] | None = None,
        *,
        with_edges: bool = True,
        tie: int | None = None,
    ) -> Row:
        """The row of an issue's record.

        Args:
            eid: the issue's number.
            record: its record.
            simple: all its live values, where no key has two and that is known already.
            with_edges: False where its edges are not asked for; then there are none in the row.
            tie: its `layout.tie_of`, where that is known.
        """
        if not record.groups:
            return Row([], _NO_STANDING, NO_EDGES)
        plain = plain_values(record) if simple is None else _simple_values(record, simple)
        if plain is None:
            live = live_of(record, self._author_of)
            times = created_ms(live, record.created), updated_ms(live, record.updated)
            edges = self._edges(eid, record, live) if with_edges and "edges" in live else NO_EDGES
            shown = facts(live)
            row = self._row(eid, record, shown, times, edges, tie, in_conflict=has_conflict(self._named(record, live)))
            if LEASES in live:
                _add_lease(row, eid, [sibling.value for sibling in live[LEASES]], shown)
            if ALIAS in live:
                _add_alias(row, eid, record, policies.read(Policy.LATEST, live[ALIAS]).value)
            return row
        values, labels, has_edges, updated = plain
        created = instant_ms(values["created_at"]) if "created_at" in values else None
        times = (
            to_ms(record.created) if created is None else created,
            to_ms(record.updated) if updated is None else updated,
        )
        edges = NO_EDGES
        if with_edges and has_edges:
            edges = self._edges(eid, record, live_of(record, self._author_of))
        shown = facts_of(values, labels)
        row = self._row(eid, record, shown, times, edges, tie, in_conflict=False)
        if LEASES in values:
            _add_lease(row, eid, [values[LEASES]], shown)
        if ALIAS in values:
            _add_alias(row, eid, record, values[ALIAS])
        return row

    def _named(self, record: Record, live: Live) -> Live:
        """What is live, entries of keyed fields with the names that stand in their events alone, where there are two.

        Nothing else tells whether they share one: who wrote the second may not have seen what the first said.
        """
        if not any(len(live.get(key, ())) > 1 for key in _APART):
            return live
        return live_of(record, self._author_of, self._entries_said)

    def _entries_said(self, group: Group) -> tuple[Mapping[str, Any], str]:
        is_apart = any(pair[0] in _APART for pair in group.pairs)
        return self._said(group.arrival) if is_apart else _NOTHING_SAID

    def _row(
        self,
        eid: int,
        record: Record,
        shown: Facts,
        times: tuple[int, int],
        edges: Mapping[tuple[int, str], EdgeFacts],
        tie: int | None,
        *,
        in_conflict: bool,
    ) -> Row:
        project = self.project_number(record.plane, shown.project)
        conflict = [layout.timed_key(layout.CONFLICT, project, 0, eid)] if in_conflict else []
        if shown.is_deleted:
            return Row([layout.timed_key(layout.DELETED, project, 0, eid), *conflict], _NO_STANDING, NO_EDGES)
        created, updated = times
        if not (0 <= created <= MOST_MS and 0 <= updated <= MOST_MS):
            created, updated = _in_range(created), _in_range(updated)
        status, priority = shown.status, shown.priority
        flags, settled = status_flags(status)
        issue_class = standing.EXCLUDED_TYPE if shown.issue_type in standing.EXCLUDED_TYPES else 0
        if shown.ephemeral:
            issue_class |= standing.EPHEMERAL
        if shown.pinned:
            flags |= standing.PINNED
        defer_ms = _in_range(shown.defer_until_ms) if shown.defer_until_ms else 0
        if defer_ms and status == DEFERRED:
            flags |= standing.OPEN
        if tie is None:
            tie = layout.tie_of(record.entity)
        order = layout.order_suffix(priority, created, tie, eid)
        keys = keys_of(eid, project, status, updated, order)
        if shown.assignee:
            keys.append(layout.text_prefix(layout.ASSIGNEE, project, shown.assignee) + settled + order)
        if shown.labels:
            keys.extend(layout.text_prefix(layout.LABEL, project, label) + settled + order for label in shown.labels)
        keys += conflict
        return Row(keys, StandingFacts(flags, issue_class, project, priority, created, tie, defer_ms), edges)

    def _edges(self, eid: int, record: Record, live: Live) -> dict[tuple[int, str], EdgeFacts]:
        edges: dict[tuple[int, str], EdgeFacts] = {}
        for edge in read_edges(live["edges"]):
            if edge.to.startswith(EXTERNAL) or entity_problem(edge.to):
                continue
            target = eid if edge.to == record.entity else self._reference(record.plane, ISSUE, edge.to)
            hlc, author, n = edge.rank
            rank = hlc.to_bytes(8, "big") + author + n.to_bytes(8, "big")
            edges[target, edge.type] = EdgeFacts(rank, _gate(edge))
        return edges


def keys_of(eid: int, project: int, status: str, updated_ms: int, order: bytes) -> list[bytes]:
    """The keys that every issue has which isn't deleted, first of its row."""
    return [
        layout.text_prefix(layout.STATUS, project, status) + order,
        layout.timed_key(layout.UPDATED, project, updated_ms, eid),
    ]


def shifted(record: Record, changed: set[str]) -> tuple[list[bytes], int | None] | None:
    """What becomes of a row, in a fifth of the time that making it anew takes; None where it has to be made anew.

    Args:
        record: the issue's record as it is now, with the keys that INDEX held of it.
        changed: the keys that what came since says anything of, none of them in `REMADE`. Something of that must be
            the last that was said of the issue.

    Returns:
        Its keys, and the new priority, None where that is as it was.
    """
    old = record.index_keys
    if not old or not record.groups or not _SHIFTED.issuperset([key[0] for key in old]):
        return None  # deleted, nothing left of it, in conflict, claimed until some time, or known by another name
    keys, priority = old, None
    for key in changed:
        if key in _SETS:
            continue
        value = _only_value(record, key)
        if key == "priority":
            if type(value) is not int or not 0 <= value <= LOWEST_PRIORITY:
                return None
            if layout.priority_of(old[0]) != value:
                keys, priority = [layout.with_priority(other, value) for other in old], value
        elif value is _SIBLINGS:
            return None
    return [keys[0], layout.with_time(old[1], to_ms(record.updated)), *keys[2:]], priority


def _only_value(record: Record, key: str) -> Any:
    """The value of a key that stands in the record, None for none, or `_SIBLINGS`."""
    found = [pair for group in record.groups for pair in group.pairs if pair[0] == key]
    if len(found) > 1:
        return _SIBLINGS
    return found[0][1] if found and len(found[0]) == 2 else None


def _add_lease(row: Row, eid: int, values: list[Any], shown: Facts) -> None:
    """Let an issue be found by when its claim ends."""
    lease = lease_of(values, shown.assignee)
    if lease is None or shown.status != IN_PROGRESS or shown.is_deleted:
        return
    flags, issue_class, project, priority, created_ms, tie, _ = row.standing
    if not flags & standing.PINNED:
        rest = layout.project_prefix(b"", project) + bytes((issue_class,))
        rest += layout.order_suffix(priority, created_ms, tie, eid)
        row.keys.append(layout.lease_key(_in_range(lease.until_ms), rest))


def _add_alias(row: Row, eid: int, record: Record, alias: Any) -> None:
    """Let an issue be found by its alias, be it deleted or not; what could be no id is no alias."""
    if isinstance(alias, str) and alias and not entity_problem(alias):
        row.keys.append(layout.alias_key(record.plane, alias, eid))


def plain_values(record: Record) -> tuple[dict[str, Any], list[str], bool, int | None] | None:
    """What an issue shows, asking no policy: nearly always no field has two values.

    Returns:
        Register values, labels in order, whether there are edges, and the milliseconds of `updated_at` where nothing
        was written after it. None where some field has siblings, entries of a keyed field may share a name, or a
        deletion tells what was seen.
    """
    values: dict[str, Any] = {}
    for group in record.groups:
        for pair in group.pairs:
            key = pair[0]
            if key in values and key not in _SETS:
                return None
            values[key] = pair[1] if len(pair) == 2 else None  # some don't stand in the record
    if DELETED in values and seen_by(values[DELETED]):
        return None
    updated_ms = _updated_ms(record, values) if "updated_at" in values else None
    if values.keys().isdisjoint(_SETS):
        return values, [], False, updated_ms
    sets = [pair for group in record.groups for pair in group.pairs if pair[0] in _SETS]
    labels = {pair[1] for pair in sets if pair[0] == "labels" and len(pair) == 2 and isinstance(pair[1], str)}
    entries = [_entry_name(pair) for pair in sets if pair[0] in _KEYED]
    if len(set(entries)) < len(entries):
        return None
    return values, sorted(labels - {""}), "edges" in values, updated_ms


def _simple_values(record: Record, values: dict[str, Any]) -> tuple[dict[str, Any], list[str], bool, int | None] | None:
    """As `plain_values`, for values of which each stands alone under its key."""
    if DELETED in values and seen_by(values[DELETED]):
        return None
    label = values.get("labels")
    labels = [label] if isinstance(label, str) and label else []
    return values, labels, "edges" in values, _updated_ms(record, values) if "updated_at" in values else None


def _updated_ms(record: Record, values: dict[str, Any]) -> int | None:
    """What `updated_at` says, if nothing was written after it."""
    last = record.groups[-1]
    # Nearly always the last key of the last group: an import writes it last. But events may arrive after later ones.
    if last.pairs[-1][0] != "updated_at":
        last = next(group for group in reversed(record.groups) if any(pair[0] == "updated_at" for pair in group.pairs))
    return instant_ms(values["updated_at"]) if last.hlc >= record.updated else None


def _entry_name(pair: Sequence[Any]) -> tuple[str, str]:
    """The name of a keyed entry; those that don't stand in the record can't be told apart, and count as the same."""
    name = pair[1][0] if len(pair) == 2 and isinstance(pair[1], list) and pair[1] else ""
    return pair[0], name if isinstance(name, str) else ""


def _flags(status: str) -> tuple[int, bytes]:
    is_closed = status == STATUS_CLOSED
    flags = (
        standing.EXISTS
        | (standing.CLOSED if is_closed else 0)
        | (standing.SETTLED if status in standing.SETTLED_STATUSES else 0)
        | (standing.OPEN if status == DEFAULT_STATUS else 0)
    )
    return flags, b"\1" if is_closed else b"\0"


_FLAGS: Final = {status: _flags(status) for status in (STATUS_CLOSED, DEFAULT_STATUS, *standing.SETTLED_STATUSES)}
"""Statuses that something follows from. Others are the writer's choice, of any length: none of them is remembered."""
_OTHER_FLAGS: Final = _flags("")


def status_flags(status: str) -> tuple[int, bytes]:
    """A status as flags, and as the byte that puts closed issues behind others in an index."""
    return _FLAGS.get(status, _OTHER_FLAGS)


def _gate(edge: Edge) -> bytes:
    metadata = edge.extra.get("metadata") if edge.type == WAITS_FOR else None
    return ANY_CHILD if isinstance(metadata, str) and "any-children" in metadata else ALL_CHILDREN


def _in_range(ms: int) -> int:
    return min(max(ms, 0), MOST_MS)


def has_conflict(live: Live) -> bool:
    """Whether some field may be in conflict.

    Texts with siblings count as soon as they may be: they aren't at hand.
    """
    for key, siblings in live.items():
        policy = field_of(ISSUE, key).policy
        if policy is Policy.KEYED:
            if len(siblings) > 1 and any(entry.conflict for entry in policies.keyed(siblings).values()):
                return True
        elif key == DELETED:
            if read_deletion(live).conflict:
                return True
        elif len(siblings) > 1 and policy not in SET_LIKE:
            is_in_conflict = policy is Policy.TEXT or policies.read(policy, siblings).conflict
            if is_in_conflict:
                return True
    return False
