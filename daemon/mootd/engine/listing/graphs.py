"""Issues as a graph: those that edges connect, an issue with its children, or all that are not closed; and epics."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from moot_protocol.errors import RefusedError
from moot_protocol.issues.edge_types import PARENT
from moot_protocol.requests.actions import EpicStatus, Graph
from moot_protocol.requests.listing import Filter
from mootd.engine.listing.candidates import Candidate
from mootd.engine.listing.filters import tests_of
from mootd.engine.listing.lists import Lists
from mootd.engine.listing.sieve import sieve_of
from mootd.engine.stored.layout import BACK_EDGE, EDGE
from mootd.engine.views.standing import BLOCKED, CLOSED, EXISTS

NODES: Final = 10_000
"""Issues in one graph; what is further away is left out, and the answer says so."""


class GraphLists(Lists):
    """Makes graphs from one snapshot."""

    def graph(self, request: Graph) -> dict[str, Any]:
        """Issues with the edges between them."""
        scopes: dict[str, Callable[[int], Iterator[int]]] = {"connected": self._connected, "children": self._family}
        root = ""
        if request.scope == "open":
            found = self._matching(self._in_priority_order(Filter(projects=request.projects), closed=False), [])
            if request.projects:
                found = (each for each in found if each.facts.project in request.projects)
        elif request.scope in scopes:
            root, eid, _ = self._issues.find(request.id)
            found = self._matching(scopes[request.scope](eid), [])
        else:
            raise RefusedError(f"{request.scope!r} is no part of a graph", hint="one of connected, children, open")
        nodes: list[dict[str, Any]] = []
        for candidate in found:
            if candidate.facts.is_deleted and candidate.record.entity != root:
                continue
            if len(nodes) == NODES:
                return {"root": root, "issues": nodes, "cut": True}
            nodes.append(self._node(candidate))
        return {"root": root, "issues": nodes, "cut": False}

    def _node(self, candidate: Candidate) -> dict[str, Any]:
        node = dict(self._document(candidate, texts=False))
        node["_short"] = self._names.unique_chars(candidate.record.entity)
        node["_blocked"] = bool(self._issues.standing(candidate.eid).flags & BLOCKED)
        if node["_blocked"]:
            node["blocked_by"] = self._issues.open_blockers(candidate.eid)
        return node

    def _connected(self, start: int) -> Iterator[int]:
        """An issue and all that edges lead to or from, the nearest first."""
        seen = {start}
        queue = [start]
        for eid in queue:
            yield eid
            for prefix in (BACK_EDGE, EDGE):
                for other, _, _ in self._issues.edges(prefix, eid):
                    if other not in seen:
                        seen.add(other)
                        queue.append(other)

    def _family(self, parent: int) -> Iterator[int]:
        yield parent
        yield from self._children(parent)

    def _children(self, parent: int) -> Iterable[int]:
        return (other for other, edge_type, _ in self._issues.edges(BACK_EDGE, parent) if edge_type == PARENT)

    def epics(self, request: EpicStatus) -> list[dict[str, Any]]:
        """Epics not closed, by priority, and how far their children are."""
        if request.ids:
            named = self._matching((self._issues.names.resolve(typed)[1] for typed in request.ids), [])
            return [self._epic(issue) for issue in named]
        wanted = Filter(projects=request.projects, types=("epic",))
        epics = self._matching(
            self._in_priority_order(wanted, closed=False),
            tests_of(wanted, self._issues, self._now_ms),
            sieve_of(wanted),
        )
        return [self._epic(epic) for epic in epics]

    def _epic(self, epic: Candidate) -> dict[str, Any]:
        # Standings tell it without a look at the records: an epic may have very many children.
        flags = [self._issues.standing(eid).flags for eid in self._children(epic.eid)]
        children = sum(1 for each in flags if each & EXISTS)
        closed = sum(1 for each in flags if each & EXISTS and each & CLOSED)
        return {
            "epic": self._document(epic, texts=False),
            "total_children": children,
            "closed_children": closed,
            "eligible_for_close": 0 < children == closed,
        }
