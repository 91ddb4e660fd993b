"""Cycles of blockers: which edges are left out of readiness, so that nobody waits for ever.

Concurrent writes may close a cycle that no single writer would have. The log keeps every edge; of the blocking ones
(`blocks`, `conditional-blocks`), taken in ascending (hlc, author, n), each is left out that would close a cycle with
those taken before and with the parent-child edges, since a child waits while its parent is blocked. Every such cycle
lies inside one strongly connected component, so the rule is applied component by component (`acyclic.py`): once for
each that changed, however many edges were added to it.
"""

from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple, Protocol

from moot_protocol.issues.edge_types import BLOCKING, PARENT
from mootd.engine.stored.layout import BACK_EDGE, EDGE
from mootd.engine.views.acyclic import Neighbours, Pair, closing, components

WAITING: Final = BLOCKING | {PARENT}
"""Edges along which an issue waits for another."""
_LOOKS: Final = 20_000
"""Edges looked at in one transaction to find which of those added closed a cycle, edge by edge: most need few looks.
Beyond it, all that are left are looked for at once."""


class Edges(Protocol):
    """The edges of a graph, and which of them count."""

    def edges(self, prefix: bytes, eid: int) -> Iterator[tuple[int, str, bytes]]:
        """(other, type, value) of an issue's edges: EDGE for those it depends by, BACK_EDGE for those on it."""

    def left_out(self) -> list[tuple[int, int, str]]:
        """(source, target, type) of every edge that is left out."""

    def leave_out(self, source: int, target: int, edge_type: str, *, leave: bool) -> bool:
        """Leave an edge out, or take it in again; whether that is a change."""


class _Edge(NamedTuple):
    rank: bytes
    source: int
    target: int
    edge_type: str


class Cutter:
    """Decides which blocking edges of a graph are left out: `settle` carries out what `check` and `reconsider` note."""

    def __init__(self, graph: Edges) -> None:
        self._graph = graph
        self._closed: set[int] = set()
        """Issues from which an edge was added that closed a cycle."""
        self._doubtful: list[Pair] = []
        """Edges added that weren't searched to the end."""
        self._looks = 0
        """Edges looked at since the last settling."""
        self._has_lost = False
        """Whether an edge was removed."""

    def _ahead(self, eid: int) -> Iterator[int]:
        return (other for other, edge_type, _ in self._graph.edges(EDGE, eid) if edge_type in WAITING)

    def _behind(self, eid: int) -> Iterator[int]:
        return (other for other, edge_type, _ in self._graph.edges(BACK_EDGE, eid) if edge_type in WAITING)

    def check(self, source: int, target: int) -> None:
        """After an edge was added: see whether it closed a cycle."""
        if source in self._closed:
            return
        is_closing = self._leads_back(source, target) if self._looks < _LOOKS else None
        if is_closing is None:
            self._doubtful.append((source, target))
        elif is_closing:
            self._closed.add(source)

    def reconsider(self) -> None:
        """After edges were removed: every component that has, or had, an edge left out is to be cut anew."""
        self._has_lost = True

    def settle(self) -> None:
        """Cut anew what was noted; the graph's edges stay as they are, so each component once."""
        closed, doubtful = self._closed, self._doubtful
        if self._has_lost:
            closed |= {source for source, _, _ in self._graph.left_out()}
        self._closed, self._doubtful, self._looks, self._has_lost = set(), [], 0, False
        starts = closed | {source for source, _ in doubtful}
        if not starts:
            return
        ends: dict[int, set[int]] = {}
        for source, target in doubtful:
            ends.setdefault(source, set()).add(target)
        # As lists, for else there would be an open scan for every node on the way.
        found = components(sorted(starts), lambda eid: list(self._ahead(eid)))
        changed = [
            members
            for members in map(set, found)
            if not closed.isdisjoint(members) or any(not members.isdisjoint(ends.get(eid, ())) for eid in members)
        ]
        for members in changed:
            self._cut(members)

    def _leads_back(self, source: int, target: int) -> bool | None:
        """Whether a path leads from `target` to `source`; None where the looks that are left don't tell.

        The search goes on from both ends, one edge at a time in turn, and ends as soon as either side is exhausted: a
        new issue, on which nothing depends yet, costs one look however large the graph ahead of it is.
        """
        if source == target:
            return True
        searches = (_Search(target, self._ahead), _Search(source, self._behind))
        turn = 0
        while self._looks < _LOOKS:
            self._looks += 1
            found = searches[turn].step()
            if found is None:
                return False
            if found in searches[1 - turn].seen:
                return True
            turn = 1 - turn
        return None

    def _cut(self, component: set[int]) -> None:
        """Apply the rule to a component. Parent edges count as they are; what leads out of it is taken in again."""
        given: list[Pair] = []
        inside: list[_Edge] = []
        for eid in component:
            for other, edge_type, value in list(self._graph.edges(EDGE, eid)):
                if edge_type not in WAITING:
                    continue
                if edge_type == PARENT:
                    if other in component:
                        given.append((eid, other))
                elif other in component:
                    inside.append(_Edge(value[1:], eid, other, edge_type))
                else:
                    self._graph.leave_out(eid, other, edge_type, leave=False)
        inside.sort()
        left_out = closing(given, [(edge.source, edge.target) for edge in inside])
        for at, edge in enumerate(inside):
            self._graph.leave_out(edge.source, edge.target, edge.edge_type, leave=at in left_out)


class _Search:
    """A breadth-first search that goes one edge at a time."""

    def __init__(self, start: int, neighbours: Neighbours) -> None:
        self.seen = {start}
        self._frontier = deque((start,))
        self._neighbours = neighbours
        self._edges: Iterator[int] = iter(())

    def step(self) -> int | None:
        """The next issue found (perhaps one seen before), or None when there is nothing more to find."""
        while True:
            for found in self._edges:
                if found not in self.seen:
                    self.seen.add(found)
                    self._frontier.append(found)
                return found
            if not self._frontier:
                return None
            self._edges = iter(self._neighbours(self._frontier.popleft()))
