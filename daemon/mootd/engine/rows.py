"""From a record to what INDEX holds of it: keys of lists, standing and edges.

Invariant: a row is a function of the record alone, so that the keys to remove are those of the record as it was.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from moot_protocol import policies
from moot_protocol.clock import to_ms
from moot_protocol.issue import CLOSED as STATUS_CLOSED
from moot_protocol.issue import DEFAULT_STATUS, Facts, created_ms, facts, facts_of, read_edges, updated_ms
from moot_protocol.kinds import ISSUE, SET_LIKE, Policy, field_of
from moot_protocol.register import Live
from moot_protocol.times import instant_ms
from mootd.engine import layout, standing
from mootd.engine.graph import ALL_CHILDREN, ANY_CHILD, WAITS, EdgeFacts, StandingFacts
from mootd.engine.record import Record, live_of

EXTERNAL: Final = "external:"
"""What edges to things outside begin with: they hold nothing up and are not looked for."""
_KEYED: Final = frozenset({"metadata", "extra"})
"""Fields of named entries; names that don't stand in the record can't be told apart, and count as the same."""
_NO_STANDING: Final = StandingFacts(0, 0, 0, 0, 0, 0)
_MOST_MS: Final = 2**62


class Row(NamedTuple):
    """What INDEX holds of one issue."""

    keys: frozenset[bytes]
    standing: StandingFacts
    edges: Mapping[tuple[int, str], EdgeFacts]


class RowMaker:
    """Makes rows.

    Args:
        author_of: a feed's author.
        project_number: a project's local number.
        reference: an entity's number, given if it has none.
    """

    def __init__(
        self,
        author_of: Callable[[int], bytes],
        project_number: Callable[[str], int],
        reference: Callable[[int, str, str], int],
    ) -> None:
        self._author_of = author_of
        self._project_number = project_number
        self._reference = reference

    def make(self, eid: int, record: Record) -> Row:
        """The row of an issue's record."""
        if not record.groups:
            return Row(frozenset(), _NO_STANDING, {})
        plain = _plain_values(record)
        if plain is None:
            live = live_of(record, self._author_of)
            times = created_ms(live, record.created), updated_ms(live, record.updated)
            edges = self._edges(eid, record, live) if "edges" in live else {}
            return self._row(eid, facts(live), times, edges, in_conflict=has_conflict(live))
        created, updated = instant_ms(plain.values.get("created_at")), plain.updated_ms
        times = (
            to_ms(record.created) if created is None else created,
            to_ms(record.updated) if updated is None else updated,
        )
        edges = self._edges(eid, record, live_of(record, self._author_of)) if plain.has_edges else {}
        return self._row(eid, facts_of(plain.values, plain.labels), times, edges, in_conflict=False)

    def _row(
        self,
        eid: int,
        shown: Facts,
        times: tuple[int, int],
        edges: Mapping[tuple[int, str], EdgeFacts],
        *,
        in_conflict: bool,
    ) -> Row:
        project = self._project_number(shown.project)
        if shown.is_deleted:
            return Row(frozenset((layout.timed_key(layout.DELETED, project, 0, eid),)), _NO_STANDING, {})
        created, updated = _in_range(times[0]), _in_range(times[1])
        row_standing = StandingFacts(
            _flags(shown),
            (shown.issue_type in standing.EXCLUDED_TYPES) * standing.EXCLUDED_TYPE
            + shown.ephemeral * standing.EPHEMERAL,
            project,
            shown.priority,
            created,
            _in_range(shown.defer_until_ms or 0),
        )
        order = layout.order_suffix(shown.priority, created, eid)
        keys = [
            layout.text_prefix(layout.STATUS, project, shown.status) + order,
            layout.timed_key(layout.UPDATED, project, updated, eid),
        ]
        settled = b"\1" if shown.status == STATUS_CLOSED else b"\0"
        if shown.assignee:
            keys.append(layout.text_prefix(layout.ASSIGNEE, project, shown.assignee) + settled + order)
        if shown.labels:
            keys.extend(layout.text_prefix(layout.LABEL, project, label) + settled + order for label in shown.labels)
        if in_conflict:
            keys.append(layout.timed_key(layout.CONFLICT, project, 0, eid))
        return Row(frozenset(keys), row_standing, edges)

    def _edges(self, eid: int, record: Record, live: Live) -> dict[tuple[int, str], EdgeFacts]:
        edges: dict[tuple[int, str], EdgeFacts] = {}
        for edge in read_edges(live["edges"]):
            if edge.to.startswith(EXTERNAL):
                continue
            target = eid if edge.to == record.entity else self._reference(record.plane, ISSUE, edge.to)
            hlc, author, n = edge.rank
            rank = hlc.to_bytes(8, "big") + author + n.to_bytes(8, "big")
            gate = (
                ANY_CHILD if edge.type == WAITS and "any-children" in edge.extra.get("metadata", "") else ALL_CHILDREN
            )
            edges[target, edge.type] = EdgeFacts(rank, gate)
        return edges


class _Plain(NamedTuple):
    """What an issue shows where no field has two values."""

    values: dict[str, Any]
    labels: list[str]
    has_edges: bool
    updated_ms: int | None
    """From `updated_at`, where nothing was written after it."""


def _plain_values(record: Record) -> _Plain | None:
    """What an issue shows, asking no policy: nearly always no field has two values; None where one has."""
    values: dict[str, Any] = {}
    labels: set[Any] = set()
    entries: set[Any] = set()
    has_edges = False
    updated_ms = None
    for group in record.groups:
        for key, *rest in group.pairs:
            value = rest[0] if rest else None
            if key in values:
                return None
            if key == "edges":
                has_edges = True
            elif key == "labels":
                labels.add(value)
            elif key in _KEYED:
                entry = (key, value[0] if isinstance(value, list) and value else None)
                if entry in entries:
                    return None
                entries.add(entry)
            elif key != "comments":
                values[key] = value
                if key == "updated_at" and group.hlc >= record.updated:
                    updated_ms = instant_ms(value)
    shown = sorted(label for label in labels if isinstance(label, str) and label)
    return _Plain(values, shown, has_edges, updated_ms)


def _flags(shown: Facts) -> int:
    status = shown.status
    return (
        standing.EXISTS
        | (standing.CLOSED if status == STATUS_CLOSED else 0)
        | (standing.SETTLED if status in standing.SETTLED_STATUSES else 0)
        | (standing.OPEN if status == DEFAULT_STATUS else 0)
        | (standing.PINNED if shown.pinned else 0)
    )


def _in_range(ms: int) -> int:
    return min(max(ms, 0), _MOST_MS)


def has_conflict(live: Live) -> bool:
    """Whether some field may be in conflict; texts, which aren't at hand, count as soon as they have siblings."""
    for key, siblings in live.items():
        policy = field_of(ISSUE, key).policy
        if policy is Policy.KEYED:
            if len(siblings) > 1 and any(entry.conflict for entry in policies.keyed(siblings).values()):
                return True
        elif len(siblings) > 1 and policy not in SET_LIKE:
            is_in_conflict = policy is Policy.TEXT or policies.read(policy, siblings).conflict
            if is_in_conflict:
                return True
    return False
