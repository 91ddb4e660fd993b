"""Lists of issues: `list`, `ready`, `blocked`, `count`, `stats`, children and labels."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge, nsmallest
from itertools import islice
from typing import Any, Final

from moot_protocol import issue
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issue import CLOSED, Facts, created_ms, facts, updated_ms
from moot_protocol.listing import Filter, IssueDoc, Page
from moot_protocol.requests import Blocked, Children, Count, Labels, ListIssues, Ready, Stats
from mootd.engine import layout
from mootd.engine.issues.filters import (
    PARENT,
    Candidate,
    Projects,
    Test,
    in_priority_order,
    project_numbers,
    tests_of,
)
from mootd.engine.issues.reading import Issues
from mootd.engine.known_rows import KnownRows
from mootd.engine.layout import BACK_EDGE
from mootd.engine.names import Names
from mootd.engine.record import decode_record, live_of
from mootd.engine.standing import BLOCKED, EPHEMERAL, EXCLUDED_TYPE
from mootd.store.port import Table

_HYBRID_MS: Final = 48 * 3600 * 1000
"""Issues younger than this come first, by priority, in the hybrid order."""
_HOUR_MS: Final = 3600 * 1000

SortKey = Callable[[Candidate], Any]
_SORTS: Final[dict[str, SortKey]] = {
    "created": lambda c: (-c.created_ms, c.record.entity),
    "oldest": lambda c: (c.created_ms, c.record.entity),
    "updated": lambda c: (-c.updated_ms, c.record.entity),
    "closed": lambda c: (-(c.facts.closed_ms or 0), c.record.entity),
    "status": lambda c: (c.facts.status, c.facts.priority, c.record.entity),
    "id": lambda c: c.record.entity,
    "title": lambda c: (c.facts.title.casefold(), c.record.entity),
    "type": lambda c: (c.facts.issue_type, c.facts.priority, c.record.entity),
    "assignee": lambda c: (c.facts.assignee, c.facts.priority, c.record.entity),
}
_GROUPINGS: Final[dict[str, Callable[[Facts], Sequence[Any]]]] = {
    "": lambda _: (),
    "status": lambda shown: (shown.status,),
    "priority": lambda shown: (shown.priority,),
    "type": lambda shown: (shown.issue_type,),
    "assignee": lambda shown: (shown.assignee,),
    "label": lambda shown: shown.labels or ("",),
}
"""What issues can be counted by."""


class Lists:
    """Answers requests for lists from one snapshot.

    Args:
        issues: the issues of the planes that the list covers.
        names: the ids of all planes, which those that are shown must tell apart.
        projects: every project.
        now_ms: the wall clock.
        known: rows made before.
    """

    def __init__(
        self, issues: Issues, names: Names, projects: Projects, now_ms: int, known: KnownRows[Candidate] | None = None
    ) -> None:
        self._issues = issues
        self._names = names
        self._projects = projects
        self._now_ms = now_ms
        self._known = KnownRows[Candidate]() if known is None else known

    # -- Candidates ----------------------------------------------------------------------------------------------
    def _candidate(self, eid: int) -> Candidate | None:
        packed = self._issues.entities.packed(eid)
        if packed is None:
            return None
        known = self._known.get(eid, packed)
        if known is not None:
            return known if known.record.plane in self._issues.planes else None
        record = decode_record(packed)
        if record.plane not in self._issues.planes:
            return None  # projects of different planes may share a number
        live = live_of(record, self._issues.entities.author_of)
        shown = facts(live)
        return Candidate(eid, record, live, shown, created_ms(live, record.created), updated_ms(live, record.updated))

    def _matching(self, eids: Iterable[int], tests: list[Test]) -> Iterator[Candidate]:
        for eid in eids:
            candidate = self._candidate(eid)
            if candidate is not None and all(test(candidate) for test in tests):
                yield candidate

    def _page(self, found: Iterable[Candidate], limit: int, *, texts: bool) -> Page:
        return self._first_page(_some(found, limit), limit, texts=texts)

    def _first_page(self, found: list[Candidate], limit: int, *, texts: bool) -> Page:
        """A page of the first that were found; one more than its limit shows that there are more."""
        truncated = 0 < limit < len(found)
        shown = found[:limit] if truncated else found
        return self._page_of(shown, None if truncated else len(shown), truncated=truncated, texts=texts)

    def _page_of(self, shown: list[Candidate], total: int | None, *, truncated: bool, texts: bool) -> Page:
        return Page(
            issues=[self._document(candidate, texts=texts) for candidate in shown],
            total=total,
            truncated=truncated,
            short=self._short_ids(shown),
        )

    def _short_ids(self, shown: list[Candidate]) -> list[int]:
        known = self._known.short_ids(self._issues.entities.reader.get(Table.META, layout.ARRIVAL))
        for candidate in shown:
            entity = candidate.record.entity
            if entity not in known:
                known[entity] = self._names.unique_chars(entity)
        return [known[candidate.record.entity] for candidate in shown]

    def _document(self, candidate: Candidate, *, texts: bool) -> IssueDoc:
        if texts:
            whole = self._issues.document(candidate.record)
            return whole | self._issues.counts(candidate.eid, whole)
        document = candidate.document
        if document is None:
            record = candidate.record
            reading = issue.read_issue(record.entity, candidate.live, record.created, record.updated)
            document = candidate.document = issue.document(reading)
            packed = self._issues.entities.packed(candidate.eid)
            if packed is not None:
                self._known.keep(candidate.eid, packed, candidate)
        shown = dict(document)
        if self._issues.origins is not None:  # names of towns may change where a record doesn't
            self._issues.origins.mark(shown, candidate.record)
        return shown

    def _sorted_page(self, found: Iterable[Candidate], key: SortKey, request: Any, *, reverse: bool = False) -> Page:
        candidates = list(found)
        if reverse:
            candidates.sort(key=key, reverse=True)
        elif request.limit:
            total = len(candidates)
            shown = nsmallest(request.limit, candidates, key=key)
            return self._page_of(shown, total, truncated=total > len(shown), texts=request.texts)
        else:
            candidates.sort(key=key)
        shown = candidates[: request.limit] if request.limit else candidates
        return self._page_of(shown, len(candidates), truncated=len(shown) < len(candidates), texts=request.texts)

    # -- Requests ------------------------------------------------------------------------------------------------
    def issues(self, request: ListIssues) -> Page:
        """Issues in an order."""
        wanted = request.filter
        closed = request.all or wanted.closed_after is not None or wanted.closed_before is not None
        tests = tests_of(wanted, self._issues, self._now_ms)
        if wanted.ids:
            eids: Iterable[int] = [self._issues.names.resolve(typed)[1] for typed in wanted.ids]
            tests.append(lambda c: c.facts.is_deleted == wanted.deleted)
            if not (closed or wanted.statuses):
                tests.append(lambda c: c.facts.status != CLOSED)
        else:
            eids = self._in_priority_order(wanted, closed=closed)
        found = self._matching(eids, tests)
        if request.sort == "priority" and not (request.reverse or wanted.deleted or wanted.ids):
            return self._page(found, request.limit, texts=request.texts)
        key = sort_key(request.sort)
        return self._sorted_page(found, key, request, reverse=request.reverse)

    def ready(self, request: Ready) -> Page:
        """Issues that can be worked on now."""
        wanted = request.filter
        tests = tests_of(wanted, self._issues, self._now_ms)
        found = self._matching(self._ready_eids(request), tests)
        if request.sort == "priority":
            return self._page(found, request.limit, texts=request.texts)
        if request.sort == "oldest":
            return self._sorted_page(found, _SORTS["oldest"], request)
        if request.sort == "hybrid":
            return self._sorted_page(found, self._hybrid, request)
        raise RefusedError(f"can't sort ready work by {request.sort!r}", hint="one of priority, oldest, hybrid")

    def _hybrid(self, candidate: Candidate) -> Any:
        if candidate.created_ms > self._now_ms - _HYBRID_MS:
            return (0, candidate.facts.priority, -candidate.created_ms, candidate.record.entity)
        return (1, candidate.created_ms, 0, candidate.record.entity)

    def _ready_eids(self, request: Ready) -> Iterator[int]:
        classes = {0}
        if request.filter.types:
            classes |= {each | EXCLUDED_TYPE for each in classes}
        if request.include_ephemeral:
            classes |= {each | EPHEMERAL for each in classes}
        reader, index = self._issues.entities.reader, self._issues.entities.views.index
        streams: list[Iterable[bytes]] = []
        for number in self._project_numbers(request.filter):
            for each in classes:
                prefix = layout.project_prefix(layout.READY, number) + bytes((each,))
                streams.append(key for key, _ in reader.scan(index, prefix, layout.after(prefix)))
        due = layout.after(layout.DEFERRED) if request.include_deferred else layout.deferred_key(self._now_ms + 1, b"")
        streams.append(sorted(self._deferred(due, request.filter, classes), key=layout.order_of))
        streams.append(sorted(self._lapsed(request.filter, classes), key=layout.order_of))
        for key in merge(*streams, key=layout.order_of):
            eid = layout.eid_of(key)
            # The clock may have been set back since an issue was moved into READY.
            if request.include_deferred or self._issues.standing(eid).until_ms <= self._now_ms:
                yield eid

    def _deferred(self, stop: bytes, wanted: Filter, classes: set[int]) -> Iterator[bytes]:
        numbers = set(self._project_numbers(wanted))
        reader, index = self._issues.entities.reader, self._issues.entities.views.index
        for key, _ in reader.scan(index, layout.DEFERRED, stop):
            if int.from_bytes(key[9:11], "big") in numbers and key[11] in classes:
                yield key

    def _lapsed(self, wanted: Filter, classes: set[int]) -> Iterator[bytes]:
        """Keys of issues in progress whose claim has ended: they are to be had again."""
        numbers = set(self._project_numbers(wanted))
        reader, index = self._issues.entities.reader, self._issues.entities.views.index
        for key, _ in reader.scan(index, layout.LEASE, layout.lease_key(self._now_ms + 1, b"")):
            is_wanted = int.from_bytes(key[9:11], "big") in numbers and key[11] in classes
            if is_wanted and not self._issues.standing(layout.eid_of(key)).flags & BLOCKED:
                yield key

    def _project_numbers(self, wanted: Filter) -> list[int]:
        return project_numbers(self._projects, self._issues.planes, wanted)

    def _in_priority_order(self, wanted: Filter, *, closed: bool) -> Iterator[int]:
        return in_priority_order(self._issues, wanted, self._project_numbers(wanted), closed=closed)

    def blocked(self, request: Blocked) -> Page:
        """Issues that something blocks."""
        tests = tests_of(request.filter, self._issues, self._now_ms)
        found = _some(self._matching(self._blocked_eids(request.filter), tests), request.limit)
        page = self._first_page(found, request.limit, texts=False)
        for candidate, document in zip(found, page.issues, strict=False):
            blockers = self._issues.open_blockers(candidate.eid)
            document["blocked_by"], document["blocked_by_count"] = blockers, len(blockers)
        return page

    def _blocked_eids(self, wanted: Filter) -> Iterator[int]:
        reader, index = self._issues.entities.reader, self._issues.entities.views.index
        prefixes = [layout.project_prefix(layout.BLOCKED, number) for number in self._project_numbers(wanted)]
        streams = [(key for key, _ in reader.scan(index, prefix, layout.after(prefix))) for prefix in prefixes]
        return (layout.eid_of(key) for key in merge(*streams, key=layout.order_of))

    def children(self, request: Children) -> Page:
        """Direct children of an issue, by priority and then newest first."""
        _, eid, _ = self._issues.find(request.id)
        below = [other for other, edge_type, _ in self._issues.edges(BACK_EDGE, eid) if edge_type == PARENT]
        found = [candidate for candidate in self._matching(below, []) if not candidate.facts.is_deleted]
        found.sort(key=lambda c: (c.facts.priority, -c.created_ms, c.record.entity))
        return self._page(found, 0, texts=False)

    def count(self, request: Count) -> dict[str, Any]:
        """How many issues match, by groups if asked."""
        if request.by not in _GROUPINGS:
            raise RefusedError(f"can't count by {request.by!r}", hint=f"one of {', '.join(filter(None, _GROUPINGS))}")
        tests = tests_of(request.filter, self._issues, self._now_ms)
        eids = self._in_priority_order(request.filter, closed=request.all)
        groups: Counter[Any] = Counter()
        total = 0
        for candidate in self._matching(eids, tests):
            total += 1
            groups.update(_GROUPINGS[request.by](candidate.facts))
        if not request.by:
            return {"total": total}
        rows = [{"group": group, "count": count} for group, count in sorted(groups.items(), key=lambda i: str(i[0]))]
        return {"total": total, "groups": rows}

    def labels(self, request: Labels) -> list[dict[str, Any]]:
        """All labels in use."""
        counted = self.count(Count(filter=Filter(projects=request.projects), by="label"))["groups"]
        return [{"label": row["group"], "count": row["count"]} for row in counted if row["group"]]

    def stats(self, request: Stats) -> dict[str, Any]:
        """Totals."""
        wanted = Filter(projects=request.projects)
        statuses: Counter[str] = Counter()
        lead_ms: list[int] = []
        pinned = closable = 0
        eids = self._in_priority_order(wanted, closed=True)
        for candidate in self._matching(eids, tests_of(wanted, self._issues, 0)):
            shown = candidate.facts
            statuses[shown.status] += 1
            pinned += shown.pinned
            if shown.closed_ms is not None:
                lead_ms.append(shown.closed_ms - candidate.created_ms)
            closable += shown.issue_type == "epic" and shown.status != CLOSED and self._is_done(candidate.eid)
        return {
            "total": statuses.total(),
            "open": statuses["open"],
            "in_progress": statuses["in_progress"],
            "closed": statuses[CLOSED],
            "blocked": sum(1 for _ in self._blocked_eids(wanted)),
            "deferred": statuses["deferred"],
            "ready": sum(1 for _ in self._ready_eids(Ready(filter=wanted))),
            "pinned": pinned,
            "epics_closable": closable,
            "lead_time_hours": round(sum(lead_ms) / len(lead_ms) / _HOUR_MS, 2) if lead_ms else 0.0,
        }

    def _is_done(self, eid: int) -> bool:
        children = [other for other, edge_type, _ in self._issues.edges(BACK_EDGE, eid) if edge_type == PARENT]
        found = list(self._matching(children, []))
        return bool(found) and all(child.facts.status == CLOSED for child in found)


def sort_key(name: str) -> SortKey:
    """What a list of this order is sorted by.

    Raises:
        RefusedError: there is no such order.
    """
    if name == "priority":
        return lambda c: (c.facts.priority, -c.created_ms, c.record.entity)
    key = _SORTS.get(name)
    if key is None:
        raise RefusedError(
            f"can't sort by {name!r}", code=Code.INVALID, hint=f"one of priority, {', '.join(sorted(_SORTS))}"
        )
    return key


def _some(found: Iterable[Candidate], limit: int) -> list[Candidate]:
    """What a page is made of: as many as its limit, and one more if there are more."""
    return list(islice(found, limit + 1) if limit > 0 else found)
