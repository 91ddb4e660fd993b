"""Making and removing dependencies."""

from typing import Any

from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues import issue
from moot_protocol.issues.edge_types import EXTERNAL
from moot_protocol.requests.issues import AddEdge, RemoveEdge
from mootd.engine.issues import checks
from mootd.engine.issues.mutations import IssueWriter
from mootd.engine.issues.trees import refuse_cycle, refuse_deadlock
from mootd.engine.views.cycles import WAITING


def add_edge(writer: IssueWriter, request: AddEdge) -> dict[str, Any]:
    """Make an issue depend on another, unless that would close a cycle or make a deadlock known here."""
    checks.check_edge(request.edge)
    name, eid, _, _ = writer.find(request.id)
    target = request.edge.to
    if not target.startswith(EXTERNAL):
        target, target_eid, _, _ = writer.target(target)
        if target == name:
            raise RefusedError(f"{name} can't depend on itself", code=Code.CONFLICT)
        if request.edge.type in WAITING:
            refuse_deadlock(writer.issues(), eid, target_eid, request.edge.type)
            if request.check_cycles:
                refuse_cycle(writer.issues(), eid, target_eid)
    editor = writer.editor(name, request)
    values = [value for _, value in editor.elements("edges") if isinstance(value, list)]
    known = [value for value in values if value[:2] == [target, request.edge.type]]
    if not known:
        editor.add("edges", issue.new_edge(target, request.edge.type, request.edge.metadata))
        editor.save()
    return {"issue_id": name, "depends_on_id": target, "type": request.edge.type, "created": not known}


def remove_edge(writer: IssueWriter, request: RemoveEdge) -> dict[str, Any]:
    """Remove a dependency."""
    name, _, _, _ = writer.find(request.id)
    editor = writer.editor(name, request)
    live = [(group, value) for group, value in editor.elements("edges") if _is_edge(value)]
    targets = {request.to} | {value[0] for _, value in live if _means(writer, request.to, value[0])}
    gone = [(group, value) for group, value in live if value[0] in targets and request.type in ("", value[1])]
    if not gone and request.may_be_missing:
        return {"issue_id": name, "depends_on_id": request.to, "removed": 0}
    if not gone:
        raise RefusedError(
            f"{name} has no such dependency on {request.to}", code=Code.NOT_FOUND, hint=f"see `moot dep list {name}`"
        )
    editor.remove("edges", [group for group, _ in gone])
    editor.save()
    return {"issue_id": name, "depends_on_id": gone[0][1][0], "removed": len({value[1] for _, value in gone})}


def _is_edge(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and isinstance(value[0], str) and isinstance(value[1], str)


def _means(writer: IssueWriter, typed: str, target: str) -> bool:
    """Whether what was typed is short for an edge's target, which may be missing or deleted."""
    try:
        return writer.issues().names.resolve(typed)[0] == target
    except RefusedError:
        return False
