"""Cycles of blockers: which edges are left out of readiness, so that nobody waits for ever.

Concurrent writes may close a cycle that no single writer would have. The log keeps every edge; of the blocking ones
(`blocks`, `conditional-blocks`), taken in ascending (hlc, author, n), each is left out that would close a cycle with
those taken before and with the parent-child edges, since a child waits while its parent is blocked. Every such cycle
lies inside one strongly connected component, so the rule is applied component by component.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Protocol

from mootd.engine.layout import BACK_EDGE, EDGE

PARENT: Final = "parent-child"
WAITING: Final = frozenset({"blocks", "conditional-blocks", PARENT})
"""Edges along which an issue waits for another."""


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


Neighbours = Callable[[int], Iterator[int]]


class Cutter:
    """Decides which blocking edges of a graph are left out."""

    def __init__(self, graph: Edges) -> None:
        self._graph = graph

    def _ahead(self, eid: int) -> Iterator[int]:
        return (other for other, edge_type, _ in self._graph.edges(EDGE, eid) if edge_type in WAITING)

    def _behind(self, eid: int) -> Iterator[int]:
        return (other for other, edge_type, _ in self._graph.edges(BACK_EDGE, eid) if edge_type in WAITING)

    def check(self, source: int, target: int) -> None:
        """After an edge was added: cut its component anew if it closed a cycle."""
        if source == target or self._leads_back(source, target):
            self._cut(source)

    def _leads_back(self, source: int, target: int) -> bool:
        """Whether a path leads from `target` to `source`; searched from both ends, one edge at a time in turn.

        The search ends as soon as either side is exhausted, so that a new issue, on which nothing depends yet, costs
        one look however large the graph ahead of it is.
        """
        searches = (_Search(target, self._ahead), _Search(source, self._behind))
        turn = 0
        while True:
            found = searches[turn].step()
            if found is None:
                return False
            if found in searches[1 - turn].seen:
                return True
            turn = 1 - turn

    def reconsider(self) -> None:
        """After edges were removed: cut anew every component that has, or had, an edge left out."""
        while any(self._cut(source) for source, _, _ in self._graph.left_out()):
            pass

    def _cut(self, member: int) -> bool:
        """Apply the rule to the component of an issue; whether anything changed."""
        component = _reach(member, self._ahead) & _reach(member, self._behind)
        kept, inside, changed = self._edges_of(component)
        for edge in sorted(inside):
            closes = edge.source in _reach(edge.target, lambda eid: iter(kept[eid]))
            if not closes:
                kept[edge.source].add(edge.target)
            changed |= self._graph.leave_out(edge.source, edge.target, edge.edge_type, leave=closes)
        return changed

    def _edges_of(self, component: set[int]) -> tuple[dict[int, set[int]], list[_Edge], bool]:
        """Parent edges and blocking edges inside a component; blocking edges that lead out of it are taken in again."""
        parents: dict[int, set[int]] = {eid: set() for eid in component}
        inside: list[_Edge] = []
        changed = False
        for eid in component:
            for other, edge_type, value in list(self._graph.edges(EDGE, eid)):
                if edge_type not in WAITING:
                    continue
                if edge_type == PARENT:
                    if other in component:
                        parents[eid].add(other)
                elif other in component:
                    inside.append(_Edge(value[1:], eid, other, edge_type))
                else:
                    changed |= self._graph.leave_out(eid, other, edge_type, leave=False)
        return parents, inside, changed


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
            self._edges = self._neighbours(self._frontier.popleft())


def _reach(start: int, neighbours: Neighbours) -> set[int]:
    seen = {start}
    stack = [start]
    while stack:
        for other in neighbours(stack.pop()):
            if other not in seen:
                seen.add(other)
                stack.append(other)
    return seen
