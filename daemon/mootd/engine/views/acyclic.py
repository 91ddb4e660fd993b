"""Which edges are kept of a graph that must have no cycle: taken in order, each that closes none with those before it.

What is kept is a function of the edges and their order alone. Whoever may write may write a graph that is nothing but
cycles, so edges aren't searched for one by one: all of a piece that lie on no cycle with what is kept are kept
together, and the others are halved, until few enough are left for a table of all paths between their ends. That takes
some m·√m steps for m edges. Where it takes more than `CYCLE_STEPS`, which nobody's work does, edges on which it wasn't
decided by then are left out: steps are counted, not timed, so everybody leaves out the same.

Limit: that bounds one tangle. One transaction that touches several takes that much for each: a bound on all of them
would make what is left out depend on what else came in the same transaction, and replicas receive in different ones.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final

from moot_protocol.limits import CYCLE_STEPS

Pair = tuple[int, int]
"""An edge, from its source to its target."""
Neighbours = Callable[[int], Iterable[int]]

_IN_TABLE: Final = 512
"""Edges whose ends get a table of all paths between them, which takes its square / 2 bytes. What is left out of a
tangle of too many steps depends on it, so every replica must have the same."""


def components(starts: Iterable[int], ahead: Neighbours) -> Iterator[list[int]]:
    """The strongly connected components of what some nodes lead to, the nodes included; those led to come first.

    Tarjan, "Depth-first search and linear graph algorithms" (1972), without recursion.
    """
    found: dict[int, int] = {}
    open_nodes: list[int] = []
    lowest: dict[int, int] = {}
    for start in starts:
        path = [] if start in found else [(start, _entered(start, ahead, found, lowest, open_nodes))]
        while path:
            node, others = path[-1]
            for other in others:
                if other not in found:
                    path.append((other, _entered(other, ahead, found, lowest, open_nodes)))
                    break
                if other in lowest:
                    lowest[node] = min(lowest[node], found[other])
            else:
                path.pop()
                if path:
                    above = path[-1][0]
                    lowest[above] = min(lowest[above], lowest[node])
                if lowest[node] == found[node]:
                    yield _closed(node, lowest, open_nodes)


def _entered(
    node: int, ahead: Neighbours, found: dict[int, int], lowest: dict[int, int], open_nodes: list[int]
) -> Iterator[int]:
    """Number a node that was reached for the first time; what it leads to."""
    found[node] = lowest[node] = len(found)
    open_nodes.append(node)
    return iter(ahead(node))


def _closed(root: int, lowest: dict[int, int], open_nodes: list[int]) -> list[int]:
    """The component of a node that leads to none found before it: all that was found from there and is open still."""
    component: list[int] = []
    while not component or component[-1] != root:
        component.append(open_nodes.pop())
        del lowest[component[-1]]
    return component


def closing(given: Iterable[Pair], pairs: Sequence[Pair]) -> set[int]:
    """The places of the edges that aren't kept.

    Args:
        given: edges that are kept whatever cycles they close among themselves.
        pairs: edges to be weighed, in order.
    """
    leads: dict[int, list[int]] = {}
    for source, target in given:
        leads.setdefault(source, []).append(target)
    nodes = {*leads, *chain.from_iterable(leads.values()), *chain.from_iterable(pairs)}
    number: dict[int, int] = {}
    for at, component in enumerate(components(nodes, lambda node: leads.get(node, ()))):
        number.update(dict.fromkeys(component, at))
    weighing = _Weighing(len(nodes), [(number[source], number[target]) for source, target in pairs])
    for source, targets in leads.items():
        weighing.keep(number[source], [number[target] for target in targets])
    weighing.weigh(range(len(pairs)))
    return weighing.out


class _Weighing:
    """Edges between numbered nodes, and those kept so far, among which there is never a cycle.

    Args:
        nodes: how many nodes there are.
        pairs: the edges to be weighed, in order.
    """

    def __init__(self, nodes: int, pairs: Sequence[Pair]) -> None:
        self._pairs = pairs
        self._kept: list[list[int]] = [[] for _ in range(nodes)]
        self._steps = 0
        """Nodes and edges looked at."""
        self.out: set[int] = set()

    def keep(self, source: int, targets: Iterable[int]) -> None:
        """Keep edges, but not from a node to itself."""
        self._kept[source] += [target for target in targets if target != source]

    def weigh(self, places: Sequence[int]) -> None:
        """Decide on edges, ascending; on all before them it was decided."""
        if self._steps > CYCLE_STEPS:
            self.out.update(places)
            return
        doubtful = self._keep_harmless(places)
        if len(doubtful) > _IN_TABLE:
            middle = len(doubtful) // 2
            self.weigh(doubtful[:middle])
            self.weigh(doubtful[middle:])
        elif doubtful:
            self._weigh_each(doubtful)

    def _keep_harmless(self, places: Sequence[int]) -> list[int]:
        """Keep those that lie on no cycle, whichever of the others are kept; the others, ascending."""
        added: dict[int, list[int]] = {}
        for place in places:
            source, target = self._pairs[place]
            added.setdefault(source, []).append(target)
        placed = set(self._order(added))
        doubtful = []
        for place in places:
            source, target = self._pairs[place]
            if source in placed or target in placed:
                self._kept[source].append(target)
            else:
                doubtful.append(place)
        return doubtful

    def _order(self, added: Mapping[int, list[int]]) -> list[int]:
        """The nodes in an order along all edges, without those on cycles and those that these lead to."""
        kept = self._kept
        waiting = [0] * len(kept)
        for target in chain.from_iterable(chain(kept, added.values())):
            waiting[target] += 1
        ordered = [node for node, count in enumerate(waiting) if not count]
        for node in ordered:
            for target in chain(kept[node], added.get(node, ())):
                waiting[target] -= 1
                if not waiting[target]:
                    ordered.append(target)
        self._steps += len(kept) + sum(map(len, chain(kept, added.values())))
        return ordered

    def _weigh_each(self, places: Sequence[int]) -> None:
        """Decide on a few edges one by one, by a table of which of their ends lead to which."""
        ends = sorted({end for place in places for end in self._pairs[place]})
        bit = {end: at for at, end in enumerate(ends)}
        led = [1 << bit[node] if node in bit else 0 for node in range(len(self._kept))]
        for node in reversed(self._order({})):
            for target in self._kept[node]:
                led[node] |= led[target]
        rows = [led[end] for end in ends]
        for place in places:
            source, target = self._pairs[place]
            start, end = bit[source], bit[target]
            if rows[end] >> start & 1:
                self.out.add(place)
                continue
            self._kept[source].append(target)
            if not rows[start] >> end & 1:
                gained = rows[end]
                rows = [row | gained if row >> start & 1 else row for row in rows]
                self._steps += len(rows)
