"""Rows of issues that a transaction begins: nearly all say the same few fields, each once, and each as expected.

Invariant: a row is the one that `RowMaker` makes of the record of the same events. Whatever is in doubt is left to it.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import chain
from operator import itemgetter
from typing import Any, Final, NamedTuple

from moot_protocol.clock import to_ms
from moot_protocol.issues.claim_lease import LEASES
from moot_protocol.issues.issue import ALIAS, TOMBSTONE
from moot_protocol.limits import LOWEST_PRIORITY
from moot_protocol.merge.deletion import DELETED
from moot_protocol.times import instant_ms
from mootd.engine.stored import layout
from mootd.engine.views import standing
from mootd.engine.views.record import Record, Said
from mootd.engine.views.rows import MOST_MS, NO_EDGES, Row, RowMaker, keys_of, status_flags
from mootd.engine.views.standing import StandingFacts

_NEEDED: Final = ("project", "status", "priority", "issue_type")
_SPECIAL: Final = frozenset(
    {"labels", "edges", "pinned", "ephemeral", "defer_until", DELETED, LEASES, ALIAS},
)
"""Keys of whose values more follows than a place in lists of one assignee, one status and one time."""
_EVENTS: Final = 4
"""Issues begun by more events than this are left to `RowMaker`: there would be too many plans to remember."""
_KEYS: Final = 64
"""More keys than issues have. What says more is left to it too: nobody must be able to make plans take megabytes."""


class _Plan(NamedTuple):
    """Where in the values of an issue's events stands what its row follows from."""

    keys: tuple[str, ...]
    needed: Callable[[Sequence[Any]], tuple[Any, ...]] | None
    """Picks the values of `_NEEDED` where the issue is plain."""
    assignee: int | None
    created: int | None
    updated: tuple[int, int]
    """Where `updated_at` stands (-1 for nowhere), and in which of the events."""


@lru_cache(maxsize=256)
def _plan_of(shapes: tuple[tuple[str, ...], ...]) -> _Plan | None:
    """The plan for events that write these keys; None where one is written twice."""
    keys = tuple(chain.from_iterable(shapes))
    places = {key: place for place, key in enumerate(keys)}
    if len(places) < len(keys):
        return None
    is_plain = places.keys() >= set(_NEEDED) and _SPECIAL.isdisjoint(keys)
    needed = itemgetter(*map(places.__getitem__, _NEEDED)) if is_plain else None
    updated = next((at for at, shape in enumerate(shapes) if "updated_at" in shape), 0)
    places_of_updated = places.get("updated_at", -1), updated
    return _Plan(keys, needed, places.get("assignee"), places.get("created_at"), places_of_updated)


class NewRows:
    """Makes rows of issues that nothing was kept of before.

    Args:
        rows: makes those that aren't plain.
    """

    def __init__(self, rows: RowMaker) -> None:
        self._rows = rows
        self._project_number = rows.project_number

    def make(self, eid: int, record: Record, said: Sequence[Said]) -> Row:
        """The row of a new issue.

        Args:
            eid: the issue's number.
            record: its record, `record_of_new` of the events.
            said: what its events said.
        """
        values: Sequence[Any]
        if len(said) == 1:
            _, keys, values, _, _ = said[0]
            shapes: tuple[tuple[str, ...], ...] = (keys,)
        elif len(said) <= _EVENTS:
            shapes = tuple([each[1] for each in said])
            values = [*chain.from_iterable([each[2] for each in said])]
        else:
            return self._rows.make(eid, record)
        plan = _plan_of(shapes) if len(values) <= _KEYS else None
        if plan is None:
            return self._rows.make(eid, record)
        row = self._plain(eid, record, plan, values)
        return row or self._rows.make(eid, record, dict(zip(plan.keys, values, strict=True)))

    def _plain(self, eid: int, record: Record, plan: _Plan, values: Sequence[Any]) -> Row | None:
        """The row where every value is as expected, else None."""
        _, needed, at_assignee, at_created, (at_updated, last) = plan
        if needed is None:
            return None
        project, status, priority, issue_type = needed(values)
        assignee = "" if at_assignee is None else values[at_assignee]
        if not (
            type(project) is type(status) is type(issue_type) is type(assignee) is str
            and type(priority) is int
            and 0 <= priority <= LOWEST_PRIORITY
        ):
            return None
        created = None if at_created is None else instant_ms(values[at_created])
        if created is None:
            created = to_ms(record.created)
        updated = None
        if at_updated >= 0 and record.groups[last].hlc >= record.updated:
            updated = instant_ms(values[at_updated])
        if updated is None:
            updated = to_ms(record.updated)
        if not (status and status != TOMBSTONE and 0 <= created <= MOST_MS and 0 <= updated <= MOST_MS):
            return None
        number = self._project_number(record.plane, project)
        tie = layout.tie_of(record.entity)
        flags, settled = status_flags(status)
        order = layout.order_suffix(priority, created, tie, eid)
        keys = keys_of(eid, number, status, updated, order)
        if assignee:
            keys.append(layout.text_prefix(layout.ASSIGNEE, number, assignee) + settled + order)
        issue_class = standing.EXCLUDED_TYPE if issue_type in standing.EXCLUDED_TYPES else 0
        return Row(keys, StandingFacts(flags, issue_class, number, priority, created, tie, 0), NO_EDGES)
