"""Lists of issues: `list`, `ready`, `blocked` and children."""

from collections.abc import Callable, Iterable, Iterator
from heapq import merge, nlargest, nsmallest
from itertools import count, islice
from operator import itemgetter
from typing import Any, Final

from msgspec.structs import replace

from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues import issue_document
from moot_protocol.issues.edge_types import PARENT
from moot_protocol.issues.issue import CLOSED, DEFERRED, read_issue
from moot_protocol.limits import LONGEST_LIMIT
from moot_protocol.requests.issues import Blocked, Children, ListIssues, Ready
from moot_protocol.requests.listing import Filter, IssueDoc, Page
from moot_protocol.requests.matching import HIDDEN, check_ready_sort, hybrid_key, wants_closed
from mootd.engine.issues.names import Names
from mootd.engine.issues.reading import Issues
from mootd.engine.issues.vocabulary import ACTIVE, Vocabularies
from mootd.engine.listing.candidates import Candidate
from mootd.engine.listing.filters import (
    Projects,
    Test,
    descendants,
    in_priority_order,
    project_numbers,
    tests_of,
)
from mootd.engine.listing.sieve import Sieve, sieve_of
from mootd.engine.patience import Check, often, patient
from mootd.engine.stored import layout
from mootd.engine.stored.layout import BACK_EDGE
from mootd.engine.views.known_rows import KnownRows
from mootd.engine.views.record import decode_record
from mootd.engine.views.standing import BLOCKED, EPHEMERAL, EXCLUDED_TYPE, EXISTS, OPEN, PINNED, Standing
from mootd.engine.views.standing import CLOSED as IS_CLOSED
from mootd.store.port import Table

_KEY: Final = itemgetter(0)

SortKey = Callable[[Candidate], Any]
Meant = Callable[[Standing], object]
"""Whether an issue of this standing may be one that is listed."""
_SORTS: Final[dict[str, SortKey]] = {
    "created": lambda c: (-c.created_ns, c.record.entity),
    "oldest": lambda c: (c.created_ns, c.record.entity),
    "updated": lambda c: (-c.updated_ns, c.record.entity),
    "closed": lambda c: (-(c.closed_ns or 0), c.record.entity),
    "status": lambda c: (c.facts.status, c.facts.priority, c.record.entity),
    "id": lambda c: c.record.entity,
    "title": lambda c: (c.facts.title.casefold(), c.record.entity),
    "type": lambda c: (c.facts.issue_type, c.facts.priority, c.record.entity),
    "assignee": lambda c: (c.facts.assignee, c.facts.priority, c.record.entity),
}


class Lists:
    """Answers requests for lists from one snapshot.

    Args:
        issues: the issues of the planes that the list covers.
        names: the ids of all planes, which those that are shown must tell apart.
        projects: every project.
        now_ms: the wall clock.
        known: rows made before.
        ledger: the plane on which the town's settings stand.
        check: raises once nobody waits for the list any more; called every so many issues.
    """

    def __init__(
        self,
        issues: Issues,
        names: Names,
        projects: Projects,
        now_ms: int,
        known: KnownRows[Candidate] | None = None,
        *,
        ledger: int,
        check: Check = patient,
    ) -> None:
        self._issues = issues
        self._names = names
        self._projects = projects
        self._now_ms = now_ms
        self._check = check
        self._known = KnownRows[Candidate]() if known is None else known
        self._vocabularies = Vocabularies(issues.entities, ledger)
        is_marked = issues.origins is not None and issues.origins.is_needed
        self._marker = issues.origins if is_marked else None

    # -- Candidates ----------------------------------------------------------------------------------------------
    def _matching(self, eids: Iterable[int], tests: list[Test], sieve: Sieve | None = None) -> Iterator[Candidate]:
        entities, known, planes = self._issues.entities, self._known, self._issues.planes
        get, records = entities.reader.get, entities.views.records
        for eid in often(eids, self._check):
            packed = get(records, layout.eid_key(eid))
            if packed is None or (sieve is not None and not sieve(packed)):
                continue
            candidate = known.get(eid, packed) or Candidate(eid, decode_record(packed), entities.author_of)
            if candidate.record.plane not in planes:
                continue  # projects of different planes may share a number
            for test in tests:
                if not test(candidate):
                    break
            else:
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
            issues=[self._document(candidate, texts=texts) for candidate in often(shown, self._check)],
            total=total,
            truncated=truncated,
            short=self._short_ids(shown),
        )

    def _short_ids(self, shown: list[Candidate]) -> list[int]:
        arrivals = self._issues.entities.reader.get(Table.META, layout.ARRIVAL)
        _, _, chars, before = self._known.short_ids(arrivals, lambda: self._names.scope)
        entities = [candidate.record.entity for candidate in shown]
        for entity in often(entities, self._check):
            if entity not in chars:
                chars[entity] = self._names.unique_chars(entity, before.get(entity, 0))
        return [chars[entity] for entity in entities]

    def _document(self, candidate: Candidate, *, texts: bool) -> IssueDoc:
        if texts:
            whole = self._issues.document(candidate.record)
            return whole | self._issues.counts(candidate.eid, whole)
        document = candidate.document
        if document is None:
            record = candidate.record
            reading = read_issue(record.entity, candidate.live, record.created, record.updated)
            document = candidate.document = issue_document.document(reading)
            packed = self._issues.entities.packed(candidate.eid)
            if packed is not None:
                self._known.keep(candidate.eid, packed, candidate)
        shown = dict(document)
        if self._marker is not None:  # names of towns may change where a record doesn't
            self._marker.mark(shown, candidate.record)
        return shown

    def _sorted_page(self, found: Iterable[Candidate], key: SortKey, request: Any, *, reverse: bool = False) -> Page:
        if not request.limit:
            shown = sorted(found, key=key, reverse=reverse)
            return self._page_of(shown, len(shown), truncated=False, texts=request.texts)
        tally = count()  # of those that are looked at: only what is shown is held
        first = nlargest if reverse else nsmallest
        shown = first(request.limit, (candidate for candidate, _ in zip(found, tally, strict=False)), key=key)
        total = next(tally)
        return self._page_of(shown, total, truncated=total > len(shown), texts=request.texts)

    # -- Requests ------------------------------------------------------------------------------------------------
    def issues(self, request: ListIssues) -> Page:
        """Issues in an order."""
        wanted = request.filter
        closed = wants_closed(request)
        tests = tests_of(wanted, self._issues, self._now_ms)
        if wanted.ids:
            eids: Iterable[int] = [self._issues.names.resolve(typed)[1] for typed in wanted.ids]
            tests.append(lambda c: c.facts.is_deleted == wanted.deleted)
            if not (closed or wanted.statuses):
                tests.append(lambda c: c.facts.status != CLOSED)
        else:
            eids = self._in_priority_order(wanted, closed=closed)
        if not (closed or wanted.statuses or wanted.deleted):
            tests += self._unless_hidden(wanted)
        if _is_last_changed(request):
            if not (closed or wanted.statuses):
                tests.append(lambda c: c.facts.status != CLOSED)
            found = self._matching(self._from_last_changed(wanted), tests, sieve_of(wanted))
            return self._first_page(_newest(found, request.limit), request.limit, texts=request.texts)
        found = self._matching(eids, tests, sieve_of(wanted))
        if request.sort == "priority" and not (request.reverse or wanted.deleted or wanted.ids):
            return self._page(found, request.limit, texts=request.texts)
        key = sort_key(request.sort)
        return self._sorted_page(found, key, request, reverse=request.reverse)

    def _from_last_changed(self, wanted: Filter) -> Iterator[int]:
        reader, index = self._issues.entities.reader, self._issues.entities.views.index
        prefixes = [layout.project_prefix(layout.UPDATED, number) for number in self._project_numbers(wanted)]
        streams = [
            (layout.by_time(key) for key, _ in reader.scan(index, prefix, layout.after(prefix), reverse=True))
            for prefix in prefixes
        ]
        return map(layout.eid_of, merge(*streams, reverse=True))

    def _own_statuses(self, wanted: Filter) -> Iterator[tuple[int, str, str]]:
        """(project's number, status, category) of the statuses that the projects of a list have of their own."""
        for (plane, name), number in self._projects.items():
            if plane in self._issues.planes and (not wanted.projects or name in wanted.projects):
                for status, category in self._vocabularies.statuses(plane, name).items():
                    yield number, status, category

    def _unless_hidden(self, wanted: Filter) -> Iterator[Test]:
        """What leaves out issues whose status their project counts as done or frozen."""
        hidden = {(number, status) for number, status, category in self._own_statuses(wanted) if category in HIDDEN}
        if hidden:
            yield lambda c: (self._projects.get((c.record.plane, c.facts.project)), c.facts.status) not in hidden

    def ready(self, request: Ready) -> Page:
        """Issues that can be worked on now."""
        check_ready_sort(request.sort)
        tests = tests_of(request.filter, self._issues, self._now_ms)
        few = self._few(request.filter, lambda standing: not standing.flags & (BLOCKED | PINNED))
        if few is None:
            found = self._matching(self._ready_eids(request), tests)
        else:
            found = self._matching(few, [self._is_ready(request), *tests])
        if request.sort == "priority":
            return self._page(found, request.limit, texts=request.texts)
        return self._sorted_page(found, self._hybrid if request.sort == "hybrid" else _SORTS["oldest"], request)

    def _hybrid(self, candidate: Candidate) -> Any:
        return hybrid_key(candidate.created_ms, candidate.facts.priority, candidate.record.entity, self._now_ms)

    def _is_ready(self, request: Ready) -> Test:
        """Whether an issue that is there, unblocked and not pinned stands among `_ready_eids`."""
        classes = _ready_classes(request)
        lapsed = {layout.eid_of(key) for key in self._lapsed(request, classes)}
        own = self._own_statuses(request.filter)
        active = {(number, status) for number, status, category in own if category == ACTIVE}

        def test(candidate: Candidate) -> bool:
            standing, status = self._issues.standing(candidate.eid), candidate.facts.status
            if standing.issue_class not in classes:
                return False
            if standing.flags & OPEN or candidate.eid in lapsed or (standing.project, status) in active:
                return self._is_due(request, standing)
            return request.include_deferred and status == DEFERRED

        return test

    def _ready_eids(self, request: Ready) -> Iterator[int]:
        classes = _ready_classes(request)
        reader, index = self._issues.entities.reader, self._issues.entities.views.index
        streams: list[Iterable[bytes]] = []
        for number in self._project_numbers(request.filter):
            for each in classes:
                prefix = layout.project_prefix(layout.READY, number) + bytes((each,))
                streams.append(map(_KEY, reader.scan(index, prefix, layout.after(prefix))))
        due = layout.after(layout.DEFERRED) if request.include_deferred else layout.deferred_key(self._now_ms + 1, b"")
        streams.append(sorted(self._deferred(due, request.filter, classes), key=layout.order_of))
        streams.append(sorted(self._lapsed(request, classes), key=layout.order_of))
        streams.append(sorted(self._as_good_as_open(request, classes), key=layout.order_of))
        if request.include_deferred:
            streams.append(sorted(self._put_off(request, classes), key=layout.order_of))
        eids = map(layout.eid_of, merge(*streams, key=layout.order_of))
        released = reader.get(Table.META, layout.released_key(self._issues.entities.views.generation))
        if self._now_ms >= int.from_bytes(released or b"", "big"):
            return eids
        # The clock was set back since an issue was moved into READY.
        return (eid for eid in eids if self._is_due(request, self._issues.standing(eid)))

    def _deferred(self, stop: bytes, wanted: Filter, classes: set[int]) -> Iterator[bytes]:
        numbers = set(self._project_numbers(wanted))
        reader, index = self._issues.entities.reader, self._issues.entities.views.index
        for key, _ in reader.scan(index, layout.DEFERRED, stop):
            project, issue_class = layout.project_and_class(key)
            if project in numbers and issue_class in classes:
                yield key

    def _lapsed(self, request: Ready, classes: set[int]) -> Iterator[bytes]:
        """Keys of issues in progress whose claim has ended: they are to be had again."""
        numbers = set(self._project_numbers(request.filter))
        reader, index = self._issues.entities.reader, self._issues.entities.views.index
        for key, _ in reader.scan(index, layout.LEASE, layout.lease_key(self._now_ms + 1, b"")):
            project, issue_class = layout.project_and_class(key)
            is_wanted = project in numbers and issue_class in classes
            standing = self._issues.standing(layout.eid_of(key)) if is_wanted else None
            if standing is not None and not standing.flags & BLOCKED and self._is_due(request, standing):
                yield key

    def _is_due(self, request: Ready, standing: Standing) -> bool:
        return request.include_deferred or standing.until_ms <= self._now_ms

    def _as_good_as_open(self, request: Ready, classes: set[int]) -> Iterator[bytes]:
        """Keys of issues that nothing blocks and whose status their project counts as active."""
        for number, status, category in self._own_statuses(request.filter):
            if category == ACTIVE:
                for key, standing in self._free(number, status, classes):
                    if self._is_due(request, standing):
                        yield key

    def _put_off(self, request: Ready, classes: set[int]) -> Iterator[bytes]:
        """Keys of issues that nothing blocks and that are deferred without saying until when."""
        for number in self._project_numbers(request.filter):
            for key, standing in self._free(number, DEFERRED, classes):
                if not standing.flags & OPEN:
                    yield key

    def _free(self, project: int, status: str, classes: set[int]) -> Iterator[tuple[bytes, Standing]]:
        """Keys of a project's issues of a status that are neither blocked nor pinned, with their standings."""
        reader, index = self._issues.entities.reader, self._issues.entities.views.index
        prefix = layout.text_prefix(layout.STATUS, project, status)
        for key, _ in reader.scan(index, prefix, layout.after(prefix)):
            standing = self._issues.standing(layout.eid_of(key))
            if standing.issue_class in classes and not standing.flags & (BLOCKED | PINNED):
                yield key, standing

    def _project_numbers(self, wanted: Filter) -> list[int]:
        return project_numbers(self._projects, self._issues.planes, wanted)

    def _in_priority_order(self, wanted: Filter, *, closed: bool) -> Iterator[int]:
        if wanted.parent and not wanted.deleted:
            with_closed = closed or wanted.statuses
            return self._below(wanted, lambda standing: with_closed or not standing.flags & IS_CLOSED)
        return in_priority_order(self._issues, wanted, self._project_numbers(wanted), closed=closed)

    def _below(self, wanted: Filter, is_meant: Meant) -> Iterator[int]:
        """The issues below the parent that is wanted, in the order of the indexes: of no other anything is read."""
        family = descendants(self._issues, self._issues.names.resolve(wanted.parent)[1])
        numbers = set(self._project_numbers(wanted))
        standings = map(self._issues.standing, often(family, self._check))
        keys = [
            layout.order_suffix(standing.priority, standing.created_ms, standing.tie, standing.eid)
            for standing in standings
            if standing.flags & EXISTS and standing.project in numbers and is_meant(standing)
        ]
        keys.sort()
        return map(layout.eid_of, keys)

    def _few(self, wanted: Filter, is_meant: Meant) -> Iterator[int] | None:
        """Those of a family, else of an assignee or a label, that may be meant, in the order of the indexes.

        None where none of them is wanted. They aren't closed.
        """
        if wanted.parent:
            return self._below(wanted, is_meant)
        if not (wanted.assignee or wanted.labels):
            return None
        of_them = replace(wanted, deleted=False)
        eids = in_priority_order(self._issues, of_them, self._project_numbers(wanted), closed=False)
        return (eid for eid in eids if is_meant(self._issues.standing(eid)))

    def blocked(self, request: Blocked) -> Page:
        """Issues that something blocks."""
        tests = tests_of(request.filter, self._issues, self._now_ms)
        few = self._few(request.filter, lambda standing: standing.flags & BLOCKED)
        found = _some(self._matching(self._blocked_eids(request.filter) if few is None else few, tests), request.limit)
        page = self._first_page(found, request.limit, texts=request.texts)
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
        return self._page(found, 0, texts=request.texts)


def _ready_classes(request: Ready) -> set[int]:
    """The classes of issues that are shown as ready."""
    classes = {0}
    if request.filter.types:
        classes |= {each | EXCLUDED_TYPE for each in classes}
    if request.include_ephemeral:
        classes |= {each | EPHEMERAL for each in classes}
    return classes


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
    return list(islice(found, limit + 1) if 0 < limit <= LONGEST_LIMIT else found)


def _is_last_changed(request: ListIssues) -> bool:
    """Whether a list is of the few that were changed last, which an index has in order."""
    wanted = request.filter
    is_narrow = wanted.ids or wanted.deleted or wanted.assignee or wanted.labels or wanted.parent
    return request.sort == "updated" and request.limit > 0 and not (request.reverse or is_narrow)


def _newest(found: Iterator[Candidate], limit: int) -> list[Candidate]:
    """What a page is made of, as `_some`: of those that the index has at one millisecond, in their order."""
    some: list[Candidate] = []
    for candidate in found:
        if len(some) > limit and candidate.updated_ms != some[-1].updated_ms:
            break
        some.append(candidate)
    return nsmallest(limit + 1, some, key=_SORTS["updated"])
