"""What wants somebody's care: issues that lie still, lack sections, or are there twice."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from moot_protocol.issues.edge_types import PARENT
from moot_protocol.issues.issue import CLOSED
from moot_protocol.issues.sections import SECTIONS, missing_sections
from moot_protocol.requests.listing import Filter, Page
from moot_protocol.requests.queries import Duplicates, Lint, Stale
from mootd.engine.listing.candidates import Candidate
from mootd.engine.listing.filters import project_numbers, tests_of
from mootd.engine.listing.lists import Lists
from mootd.engine.listing.texts import text_of
from mootd.engine.stored import layout
from mootd.engine.stored.layout import BACK_EDGE, EDGE
from mootd.engine.views.record import Record

_TEXTS: Final = ("description", "design", "acceptance_criteria")
_DEPENDENT_WEIGHT: Final = 3
"""A dependent counts so many times a dependency: whoever goes would leave it behind."""


class Care(Lists):
    """Finds what wants care in one snapshot."""

    # -- Stale ---------------------------------------------------------------------------------------------------
    def stale(self, request: Stale) -> Page:
        """Issues that nobody has changed since a time, the oldest first: the index of changes has them so."""
        tests = tests_of(request.filter, self._issues, self._now_ms)
        if not request.filter.statuses:
            tests.append(lambda candidate: candidate.facts.status != CLOSED)
        return self._page(self._matching(self._unchanged(request), tests), request.limit, texts=request.texts)

    def _unchanged(self, request: Stale) -> Iterator[int]:
        reader, index = self._issues.entities.reader, self._issues.entities.views.index
        keys: list[bytes] = []
        for number in project_numbers(self._projects, self._issues.planes, request.filter):
            start = layout.project_prefix(layout.UPDATED, number)
            stop = layout.timed_key(layout.UPDATED, number, max(request.before, 0), 0)
            keys.extend(key for key, _ in reader.scan(index, start, stop))
        keys.sort(key=layout.by_time)
        return (layout.eid_of(key) for key in keys)

    # -- Lint ----------------------------------------------------------------------------------------------------
    def lint(self, request: Lint) -> dict[str, Any]:
        """Which issues lack the sections that their type should have."""
        if request.ids:
            records = [self._issues.find(typed)[2] for typed in request.ids]
        else:
            tests = tests_of(request.filter, self._issues, self._now_ms)
            eids = self._in_priority_order(request.filter, closed=True)
            records = [candidate.record for candidate in self._matching(eids, tests)]
        results = [found for record in records if (found := self._linted(record))]
        return {"checked": len(records), "results": results}

    def _linted(self, record: Record) -> dict[str, Any] | None:
        values = self._issues.read(record, texts=False).values
        issue_type = values.get("issue_type", "task")
        description, criteria = (
            (text_of(self._issues, record, name) for name in ("description", "acceptance_criteria"))
            if issue_type in SECTIONS
            else ("", "")
        )
        missing = missing_sections(issue_type, description, criteria)
        if not missing:
            return None
        return {
            "id": record.entity,
            "title": values.get("title", ""),
            "type": issue_type,
            "missing": missing,
            "warnings": len(missing),
        }

    # -- Duplicates ----------------------------------------------------------------------------------------------
    def duplicates(self, request: Duplicates) -> list[dict[str, Any]]:
        """Groups of issues that say exactly the same; texts are read only of those whose titles are the same."""
        wanted = Filter(projects=request.projects)
        titled: dict[tuple[int, str, str, str], list[int]] = defaultdict(list)
        tests = tests_of(wanted, self._issues, self._now_ms)
        for candidate in self._matching(self._in_priority_order(wanted, closed=False), tests):
            shown = candidate.facts
            titled[candidate.record.plane, shown.project, shown.status, shown.title].append(candidate.eid)
        found = []
        for alike in titled.values():
            same: dict[tuple[str, ...], list[Candidate]] = defaultdict(list)
            for candidate in self._matching(alike, []) if len(alike) > 1 else ():
                same[tuple(text_of(self._issues, candidate.record, field) for field in _TEXTS)].append(candidate)
            found += [self._group(group) for group in same.values() if len(group) > 1]
        return sorted(found, key=lambda group: str(group["suggested_target"]))

    def _group(self, group: list[Candidate]) -> dict[str, Any]:
        members = sorted((self._member(candidate) for candidate in group), key=lambda member: str(member["id"]))
        ages = {candidate.record.entity: candidate.created_ms for candidate in group}
        target = min(members, key=lambda member: (-member["weight"], ages[member["id"]], member["id"]))
        for member in members:
            member["is_merge_target"] = member is target
        return {
            "title": group[0].facts.title,
            "issues": members,
            "suggested_target": target["id"],
            "suggested_sources": [member["id"] for member in members if member is not target],
        }

    def _member(self, candidate: Candidate) -> dict[str, Any]:
        inward = [
            (record.entity, edge_type)
            for other, edge_type, _ in self._issues.edges(BACK_EDGE, candidate.eid)
            if (record := self._issues.entities.record(other)) is not None
        ]
        dependents = len({name for name, _ in inward})
        dependencies = len({other for other, _, _ in self._issues.edges(EDGE, candidate.eid)})
        return {
            "id": candidate.record.entity,
            "title": candidate.facts.title,
            "status": candidate.facts.status,
            "priority": candidate.facts.priority,
            "references": len(inward),
            "dependents": dependents,
            "dependencies": dependencies,
            "weight": _DEPENDENT_WEIGHT * dependents + dependencies,
            "children": sorted(name for name, edge_type in inward if edge_type == PARENT),
        }
