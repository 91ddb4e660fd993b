"""Cycles of blockers: which edges are left out of readiness, so that nobody waits for ever.

Concurrent writes may close a cycle that no single writer would have. The log keeps every edge; of the blocking ones
(`blocks`, `conditional-blocks`), taken in ascending (hlc, author, n), each is left out that would close a cycle with
those taken before and with the parent-child edges, since a child waits while its parent is blocked. Every such cycle
lies inside one strongly connected component, so the rule is applied component by component: once for each that changed,
however many edges were added to it, since anybody who may write may write a graph that is nothing but cycles.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, Protocol

from mootd.engine.layout import BACK_EDGE, EDGE

PARENT: Final = "parent-child"
WAITING: Final = frozenset({"blocks", "conditional-blocks", PARENT})
"""Edges along which an issue waits for another."""
_MOST_IN_TABLES: Final = 4096
"""Issues of a component for which all paths are kept: the tables take its square / 4 bytes, 4 MB at the most."""


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
    """Decides which blocking edges of a graph are left out: `settle` carries out what `check` and `reconsider` note."""

    def __init__(self, graph: Edges) -> None:
        self._graph = graph
        self._closed: list[int] = []
        """Issues from which an edge was added that closed a cycle."""
        self._has_lost = False
        """Whether an edge was removed."""

    def _ahead(self, eid: int) -> Iterator[int]:
        return (other for other, edge_type, _ in self._graph.edges(EDGE, eid) if edge_type in WAITING)

    def _behind(self, eid: int) -> Iterator[int]:
        return (other for other, edge_type, _ in self._graph.edges(BACK_EDGE, eid) if edge_type in WAITING)

    def check(self, source: int, target: int) -> None:
        """After an edge was added: see whether it closed a cycle."""
        if source == target or self._leads_back(source, target):
            self._closed.append(source)

    def reconsider(self) -> None:
        """After edges were removed: every component that has, or had, an edge left out is to be cut anew."""
        self._has_lost = True

    def settle(self) -> None:
        """Cut anew what was noted; the graph's edges stay as they are, so each component once."""
        members = self._closed
        if self._has_lost:
            members = members + [source for source, _, _ in self._graph.left_out()]
        self._closed, self._has_lost = [], False
        settled: set[int] = set()
        for member in members:
            if member not in settled:
                settled |= self._cut(member)

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

    def _cut(self, member: int) -> set[int]:
        """Apply the rule to the component of an issue; its members."""
        component = _reach(member, self._ahead) & _reach(member, self._behind)
        paths: _Paths = _Tables(component) if len(component) <= _MOST_IN_TABLES else _Searches(component)
        for edge in sorted(self._edges_of(component, paths)):
            closes = paths.lead(edge.target, edge.source)
            if not closes:
                paths.add(edge.source, edge.target)
            self._graph.leave_out(edge.source, edge.target, edge.edge_type, leave=closes)
        return component

    def _edges_of(self, component: set[int], paths: "_Paths") -> list[_Edge]:
        """The blocking edges inside a component. Parent edges count as they are; what leads out is taken in again."""
        inside: list[_Edge] = []
        for eid in component:
            for other, edge_type, value in list(self._graph.edges(EDGE, eid)):
                if edge_type not in WAITING:
                    continue
                if edge_type == PARENT:
                    if other in component:
                        paths.add(eid, other)
                elif other in component:
                    inside.append(_Edge(value[1:], eid, other, edge_type))
                else:
                    self._graph.leave_out(eid, other, edge_type, leave=False)
        return inside


class _Paths(Protocol):
    """Which issues lead to which, as edges come."""

    def add(self, source: int, target: int) -> None:
        """An edge more."""

    def lead(self, source: int, target: int) -> bool:
        """Whether a path leads from one issue to another; one leads from each to itself."""


class _Tables:
    """All paths between some issues, a bit for each pair: an edge that changes none costs one look.

    Args:
        members: the issues.
    """

    def __init__(self, members: set[int]) -> None:
        self._places = {eid: place for place, eid in enumerate(members)}
        self._ahead = [1 << place for place in range(len(members))]
        self._behind = self._ahead[:]

    def lead(self, source: int, target: int) -> bool:
        return bool(self._ahead[self._places[source]] >> self._places[target] & 1)

    def add(self, source: int, target: int) -> None:
        start, end = self._places[source], self._places[target]
        behind, ahead = self._behind[start], self._ahead[end]
        led, leading = ahead & ~self._ahead[start], behind & ~self._behind[end]
        for place in _bits(leading):
            self._ahead[place] |= ahead
        for place in _bits(led):
            self._behind[place] |= behind


class _Searches:
    """The same for so many issues that tables would take too much room: each look is a search.

    Args:
        members: the issues.
    """

    def __init__(self, members: set[int]) -> None:
        self._kept: dict[int, set[int]] = {eid: set() for eid in members}

    def lead(self, source: int, target: int) -> bool:
        return target in _reach(source, lambda eid: iter(self._kept[eid]))

    def add(self, source: int, target: int) -> None:
        self._kept[source].add(target)


def _bits(number: int) -> Iterator[int]:
    """The places of the ones in a number."""
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest


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
