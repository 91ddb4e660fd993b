"""Making and removing dependencies."""

from typing import Any

from moot_protocol import issue
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests import AddEdge, RemoveEdge
from mootd.engine import layout
from mootd.engine.cycles import WAITING
from mootd.engine.issues import checks
from mootd.engine.issues.mutations import IssueWriter
from mootd.engine.issues.reading import Issues

_SEARCH_LIMIT = 100_000
"""Issues looked at before a cycle check gives up and lets the edge in: readiness cuts cycles anyway."""


def add_edge(writer: IssueWriter, request: AddEdge) -> dict[str, Any]:
    """Make an issue depend on another, unless that would close a cycle known here."""
    checks.check_edge_type(request.edge.type)
    name, eid, _, _ = writer.find(request.id)
    target = request.edge.to
    if not target.startswith("external:"):
        target, target_eid, _, _ = writer.find(target)
        if target == name:
            raise RefusedError(f"{name} can't depend on itself", code=Code.CONFLICT)
        if request.check_cycles and request.edge.type in WAITING:
            _refuse_cycle(writer.issues(), name, eid, target, target_eid)
    editor = writer.editor(name, request)
    known = [value for _, value in editor.elements("edges") if value[:2] == [target, request.edge.type]]
    if not known:
        editor.add("edges", issue.new_edge(target, request.edge.type, request.edge.metadata))
        editor.save()
    return {"issue_id": name, "depends_on_id": target, "type": request.edge.type, "created": not known}


def _refuse_cycle(issues: Issues, name: str, eid: int, target: str, target_eid: int) -> None:
    came_from = {target_eid: 0}
    queue = [target_eid]
    for current in queue:
        if current == eid or len(came_from) > _SEARCH_LIMIT:
            break
        for other, edge_type, _ in issues.edges(layout.EDGE, current):
            if edge_type in WAITING and other not in came_from:
                came_from[other] = current
                queue.append(other)
    if eid in came_from:
        path = [eid]
        while came_from[path[-1]]:
            path.append(came_from[path[-1]])
        names = [record.entity if (record := issues.entities.record(at)) else "?" for at in reversed(path)]
        raise RefusedError(
            f"this would close a cycle: {' → '.join([name, *names])}",
            code=Code.CONFLICT,
            hint=f"remove one of these dependencies first; `moot dep tree {target}` shows them",
        )


def remove_edge(writer: IssueWriter, request: RemoveEdge) -> dict[str, Any]:
    """Remove a dependency."""
    name, _, _, _ = writer.find(request.id)
    editor = writer.editor(name, request)
    live = [(group, value) for group, value in editor.elements("edges") if isinstance(value, list) and len(value) > 1]
    targets = {request.to} | {value[0] for _, value in live if _means(writer, request.to, value[0])}
    gone = [(group, value) for group, value in live if value[0] in targets and request.type in ("", value[1])]
    if not gone:
        raise RefusedError(
            f"{name} has no such dependency on {request.to}", code=Code.NOT_FOUND, hint=f"see `moot dep list {name}`"
        )
    editor.remove("edges", [group for group, _ in gone])
    editor.save()
    return {"issue_id": name, "depends_on_id": gone[0][1][0], "removed": len({value[1] for _, value in gone})}


def _means(writer: IssueWriter, typed: str, target: str) -> bool:
    """Whether what was typed is short for an edge's target, which may be missing or deleted."""
    try:
        return writer.issues().names.resolve(typed)[0] == target
    except RefusedError:
        return False
