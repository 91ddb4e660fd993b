"""Dependencies as they are read: lists, trees and the edges left out for cycles."""

from collections.abc import Iterable, Sequence
from typing import Any

from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.edge_types import BLOCKING, EXTERNAL, PARENT
from moot_protocol.issues.issue import read_edges
from moot_protocol.requests.issues import Edges, EdgeTree
from mootd.engine.issues.reading import Issues
from mootd.engine.stored import layout
from mootd.engine.stored.layout import BACK_EDGE, CYCLE, EDGE
from mootd.engine.views.cycles import WAITING

_TREE_NODES = 10_000
"""Issues in one tree; deeper ones are marked as cut."""
_TREE_DEPTH = 100
"""Levels of one tree, whatever is asked for: documents that deep can still be encoded everywhere."""
_SEARCHED = 100_000
"""Issues looked at before a search for a cycle or a deadlock gives up: readiness cuts cycles anyway."""


def list_edges(issues: Issues, request: Edges) -> list[dict[str, Any]]:
    """An issue's dependencies (down) or dependents (up): the other issue's fields and the type of the edge."""
    _, eid, record = issues.find(request.id)
    if request.direction == "up":
        return [shown for shown in issues.dependents(eid) if request.type in ("", shown["dependency_type"])]
    found = []
    names = Issues(issues.entities, record.plane).names  # an edge leads to an issue of the same plane
    for edge in read_edges(issues.live(record, texts=True).get("edges", ())):
        if request.type in ("", edge.type):
            other = None if edge.to.startswith(EXTERNAL) else names.eid(edge.to)
            summary = issues.summary(other) if other is not None else None
            found.append((summary or {"id": edge.to}) | {"dependency_type": edge.type})
    return found


class TreeMaker:
    """Makes one tree of dependencies; an issue met again is shown without what is below it."""

    def __init__(self, issues: Issues, request: EdgeTree) -> None:
        self._issues = issues
        self._prefix = BACK_EDGE if request.direction == "up" else EDGE
        self._depth = min(request.depth, _TREE_DEPTH)
        self._seen: set[int] = set()

    def make(self, eid: int, edge_type: str = "", depth: int = 0) -> dict[str, Any]:
        """The tree from an issue on."""
        summary = self._issues.summary(eid)
        if summary is None:
            record = self._issues.entities.record(eid)
            return {"id": record.entity if record else "", "missing": True, "type": edge_type, "children": []}
        node = summary | {"type": edge_type, "seen": eid in self._seen, "children": []}
        if eid in self._seen or depth >= self._depth or len(self._seen) >= _TREE_NODES:
            node["cut"] = eid not in self._seen
            return node
        self._seen.add(eid)
        below = list(self._issues.edges(self._prefix, eid))
        node["children"] = [self.make(other, each, depth + 1) for other, each, _ in below]
        return node


def edge_tree(issues: Issues, request: EdgeTree) -> dict[str, Any]:
    """The tree of dependencies from an issue on."""
    _, eid, _ = issues.find(request.id)
    return TreeMaker(issues, request).make(eid)


def cycles(issues: Issues) -> list[dict[str, Any]]:
    """The edges left out of readiness, each with the cycle that it would close."""
    reader, index = issues.entities.reader, issues.entities.views.index
    found = []
    for key, _ in reader.scan(index, CYCLE, layout.after(CYCLE)):
        source, target, edge_type = layout.edge_parts(key)
        names = [record.entity for eid in _path(issues, target, source) if (record := issues.entities.record(eid))]
        if names:
            found.append({"issue_id": names[-1], "depends_on_id": names[0], "type": edge_type, "cycle": names})
    return found


def refuse_cycle(issues: Issues, source: int, target: int) -> None:
    """Refuse an edge along which `source` would wait for itself.

    Raises:
        RefusedError: `conflict`, naming the cycle as far as it is known here.
    """
    path = _path(issues, target, source)
    if path:
        names = [_name(issues, eid) for eid in path]
        raise RefusedError(
            f"this would close a cycle: {' → '.join([names[-1], *names])}",
            code=Code.CONFLICT,
            hint=f"remove one of these dependencies first; `moot dep tree {names[0]}` shows them",
            discreet="this would close a cycle",
        )


def refuse_deadlock(issues: Issues, source: int, target: int, edge_type: str) -> None:
    """Refuse an edge by which an issue would wait for what it is part of, so that neither could be closed first.

    Raises:
        RefusedError: `conflict`, naming both.
    """
    if edge_type in BLOCKING:
        refuse_blockers_above(issues, _name(issues, source), _parents(issues, source), [target])
    elif edge_type == PARENT:
        for eid in (source, *_family(issues, BACK_EDGE, [source])):
            blockers = [other for other, each, _ in issues.edges(EDGE, eid) if each in BLOCKING]
            if blockers:
                refuse_blockers_above(issues, _name(issues, eid), [target], blockers)


def refuse_blockers_above(issues: Issues, name: str, parents: Sequence[int], blockers: Iterable[int]) -> None:
    """As `refuse_deadlock`, of an issue that need not be there yet.

    Args:
        issues: those that are.
        name: what it is called.
        parents: what it is, or is to be, part of.
        blockers: what it waits for, or is to.
    """
    above = {*parents, *_family(issues, EDGE, parents)}
    for eid in blockers:
        if eid in above:
            raise RefusedError(
                f"{name} can't be a child of {_name(issues, eid)} and wait for it, too: that would create a deadlock",
                code=Code.CONFLICT,
                hint="a parent is done when its children are, so leave out one of the two dependencies",
                discreet="a child can't wait for its own parent: that would create a deadlock",
            )


def _parents(issues: Issues, eid: int) -> list[int]:
    return [other for other, edge_type, _ in issues.edges(EDGE, eid) if edge_type == PARENT]


def _family(issues: Issues, prefix: bytes, eids: Iterable[int]) -> set[int]:
    """The issues above some (EDGE) or below them (BACK_EDGE), at any distance."""
    found: set[int] = set()
    queue = list(eids)
    for current in queue:
        for other, edge_type, _ in issues.edges(prefix, current):
            if edge_type == PARENT and other not in found and len(found) < _SEARCHED:
                found.add(other)
                queue.append(other)
    return found


def _name(issues: Issues, eid: int) -> str:
    record = issues.entities.record(eid)
    return record.entity if record else "?"


def _path(issues: Issues, start: int, goal: int) -> list[int]:
    """The issues along a shortest way on which one waits for the other, both included; empty where there is none."""
    came_from = {start: 0}
    queue = [start]
    for current in queue:
        if current == goal or len(came_from) > _SEARCHED:
            break
        for other, edge_type, _ in issues.edges(EDGE, current):
            if edge_type in WAITING and other not in came_from:
                came_from[other] = current
                queue.append(other)
    path = [goal] if goal in came_from else []
    while path and path[-1] != start:
        path.append(came_from[path[-1]])
    return path[::-1]
