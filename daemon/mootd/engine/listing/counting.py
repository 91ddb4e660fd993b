"""`count`, `stats` and the labels in use.

Most of it stands in the keys of indexes (`tallies.py`); records are read where those can't tell.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

from msgspec.structs import replace

from moot_protocol.errors import RefusedError
from moot_protocol.issues.edge_types import PARENT
from moot_protocol.issues.issue import CLOSED, Facts
from moot_protocol.requests.issues import Count, Labels, Ready, Stats
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.matching import labels_in_use, lead_time_hours
from mootd.engine.listing.candidates import Candidate
from mootd.engine.listing.filters import prefixes_below, tests_of
from mootd.engine.listing.lists import Lists
from mootd.engine.listing.tallies import Tallies
from mootd.engine.stored import layout
from mootd.engine.stored.layout import BACK_EDGE

_GROUPINGS: Final[dict[str, Callable[[Facts], Sequence[Any]]]] = {
    "": lambda _: (),
    "status": lambda shown: (shown.status,),
    "priority": lambda shown: (shown.priority,),
    "type": lambda shown: (shown.issue_type,),
    "assignee": lambda shown: (shown.assignee,),
    "label": lambda shown: shown.labels or ("",),
    "project": lambda shown: (shown.project,),
}
"""What issues can be counted by."""
_NOT_CLOSED: Final = b"\0"
"""Follows a label in a key, where the issue isn't closed."""
MOST_TIMED: Final = 20_000
"""Closed issues that are read for the mean time to close, evenly spread; twice as many at most."""


class CountLists(Lists):
    """Answers requests for numbers of issues from one snapshot."""

    def count(self, request: Count) -> dict[str, Any]:
        """How many issues match, by groups if asked."""
        if request.by not in _GROUPINGS:
            raise RefusedError(f"can't count by {request.by!r}", hint=f"one of {', '.join(filter(None, _GROUPINGS))}")
        total, groups = self._tallied(request) or self._counted(request)
        if not request.by:
            return {"total": total}
        rows = [{"group": group, "count": count} for group, count in sorted(groups.items(), key=lambda i: str(i[0]))]
        return {"total": total, "groups": rows}

    def _tallied(self, request: Count) -> tuple[int, Counter[Any]] | None:
        """(total, group → number), where keys tell."""
        tallies, closed = self._tallies(request.filter), request.all
        if tallies is None or request.by not in {"", "status", "priority", "assignee", "label"}:
            return None
        if request.by == "label":
            return None if request.filter.statuses else self._tallied_labels(request, tallies)
        if request.by == "assignee":
            holders = None if request.filter.statuses else tallies.assignees(request.filter, closed=closed)
            return None if holders is None else (holders.total(), holders)
        if request.by == "priority":
            priorities = tallies.priorities(request.filter, closed=closed)
            return priorities.total(), priorities
        statuses = tallies.statuses(request.filter, closed=closed)
        return None if statuses is None else (statuses.total(), statuses)

    def _tallied_labels(self, request: Count, tallies: Tallies) -> tuple[int, Counter[Any]] | None:
        """As `_tallied`: an issue stands below each label that it has, below none if it has none."""
        entities, counts, labelled = self._issues.entities, Counter[Any](), set[int]()
        for number in self._project_numbers(request.filter):
            for prefix in prefixes_below(entities, layout.project_prefix(layout.LABEL, number)):
                label = layout.text_of(prefix)
                if label is None:
                    return None
                meant = prefix if request.all else prefix + _NOT_CLOSED
                rows = entities.reader.scan(entities.views.index, meant, layout.after(meant))
                eids = [layout.eid_of(key) for key, _ in rows]
                counts[label] += len(eids)
                labelled.update(eids)
        total = tallies.priorities(request.filter, closed=request.all).total()
        counts[""] += total - len(labelled)
        return total, +counts

    def _tallies(self, wanted: Filter) -> Tallies | None:
        tallies = Tallies(self._issues, self._project_numbers(wanted))
        return tallies if tallies.can_tell(wanted) else None

    def _counted(self, request: Count) -> tuple[int, Counter[Any]]:
        groups: Counter[Any] = Counter()
        total = 0
        for candidate in self._all(request.filter, closed=request.all):
            total += 1
            groups.update(_GROUPINGS[request.by](candidate.facts))
        return total, groups

    def _all(self, wanted: Filter, *, closed: bool, step: int = 1) -> Iterator[Candidate]:
        """The issues that match, or every so many of those that may."""
        tests = tests_of(wanted, self._issues, self._now_ms)
        if wanted.ids:  # few are named, and every issue would be read for them
            any_status = closed or bool(wanted.statuses) or wanted.deleted
            tests.append(lambda c: c.facts.is_deleted == wanted.deleted and (any_status or c.facts.status != CLOSED))
            named: Iterable[int] = dict.fromkeys(self._issues.names.resolve(typed)[1] for typed in wanted.ids)
            return self._matching(named, tests)
        eids = self._in_priority_order(wanted, closed=closed)
        return self._matching(islice(eids, 0, None, step), tests)

    def labels(self, request: Labels) -> list[dict[str, Any]]:
        """All labels in use."""
        return labels_in_use(request, self.count)

    def stats(self, request: Stats) -> dict[str, Any]:
        """Totals."""
        wanted = Filter(projects=request.projects)
        counted = self.count(Count(filter=wanted, by="status", all=True))
        statuses = Counter({row["group"]: row["count"] for row in counted["groups"]})
        step = max(statuses[CLOSED] // MOST_TIMED, 1)
        done = self._all(Filter(projects=request.projects, statuses=(CLOSED,)), closed=True, step=step)
        lead_ms = [each.facts.closed_ms - each.created_ms for each in done if each.facts.closed_ms is not None]
        return {
            "total": statuses.total(),
            "open": statuses["open"],
            "in_progress": statuses["in_progress"],
            "closed": statuses[CLOSED],
            "blocked": sum(1 for _ in self._blocked_eids(wanted)),
            "deferred": statuses["deferred"],
            "ready": sum(1 for _ in self._ready_eids(Ready(filter=wanted))),
            "pinned": self._pinned(wanted),
            "epics_closable": sum(1 for _ in self._closable(wanted)),
            "lead_time_hours": lead_time_hours(lead_ms),
        }

    def _pinned(self, wanted: Filter) -> int:
        tallies = self._tallies(wanted)
        if tallies is not None:
            return tallies.pinned()
        return sum(candidate.facts.pinned for candidate in self._all(wanted, closed=True))

    def _closable(self, wanted: Filter) -> Iterator[Candidate]:
        """Open epics all of whose children are closed."""
        tests = tests_of(replace(wanted, types=("epic",), exclude_statuses=(CLOSED,)), self._issues, self._now_ms)
        for epic in self._matching(self._issues.parents(), tests):
            if not epic.facts.is_deleted and self._is_done(epic.eid):
                yield epic

    def _is_done(self, eid: int) -> bool:
        children = [other for other, edge_type, _ in self._issues.edges(BACK_EDGE, eid) if edge_type == PARENT]
        found = list(self._matching(children, []))
        return bool(found) and all(child.facts.status == CLOSED for child in found)
