"""Gates: issues that hold others up until something outside has happened. Whether it has, is asked by commands."""

from typing import Any, Final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import NAME_BYTES, WAITERS_OF_ISSUE
from moot_protocol.requests.gates import AWAIT_TYPES, AWAITING_ISSUES, GATE, WAITERS, Await, CreateGate, SetAwaited
from moot_protocol.requests.issues import AddEdge, Create, Edge, IssueFields
from moot_protocol.requests.listing import IssueDoc
from mootd.engine.issues import checks
from mootd.engine.issues.addressing import plane_of_project
from mootd.engine.issues.links import add_edge
from mootd.engine.issues.mutations import UNCHANGED, IssueWriter
from mootd.engine.unit import Unit

_NS: Final = 1_000_000
_MOST_TIMEOUT_MS: Final = 2**63 // _NS - 1
_ASKED_BY_ID: Final = frozenset({*AWAITING_ISSUES, "gh:pr"})
"""What can't be known later: the number of a run can be found out, by the name of a workflow or the commit."""


def create_gate(unit: Unit, request: CreateGate) -> IssueDoc:
    """Make a gate, and let issues wait for it."""
    await_id, title = request.await_id.strip(), request.title.strip()
    _check(request, await_id)
    writer = IssueWriter(unit, plane_of_project(unit, request.project, request.plane))
    if request.await_type in AWAITING_ISSUES:
        await_id = writer.target(await_id)[0]
    blocked = [writer.target(issue)[0] for issue in dict.fromkeys(request.blocks)]
    fields = IssueFields(
        title=title or _title(request, await_id), issue_type=GATE, description=request.reason.strip(), priority=1
    )
    gate = writer.create(Create(actor=request.actor, project=request.project, fields=fields))["id"]
    editor = writer.editor(gate, request)
    further = {"await_type": request.await_type, "await_id": await_id, "timeout": request.timeout_ms * _NS}
    for name, value in further.items():
        if value:
            editor.set_entry("extra", name, checks.json_content(name, value))
    editor.save()
    for issue in blocked:
        # Nothing leads from a gate that is new, so there is no cycle to be checked for.
        add_edge(writer, AddEdge(actor=request.actor, id=issue, edge=Edge(to=gate), check_cycles=False))
    return writer.answer(gate)


def _check(request: CreateGate, await_id: str) -> None:
    if request.await_type not in AWAIT_TYPES:
        raise RefusedError(f"no gate waits for {request.await_type!r}", hint=f"one of {', '.join(AWAIT_TYPES)}")
    if request.await_type in _ASKED_BY_ID and not await_id:
        raise RefusedError(f"a gate of type {request.await_type} needs an id", code=Code.USAGE, hint="add --await-id")
    if request.await_type == "timer" and request.timeout_ms <= 0:
        raise RefusedError("a timer needs a duration", code=Code.USAGE, hint="add --timeout 30m")
    if not 0 <= request.timeout_ms <= _MOST_TIMEOUT_MS:
        raise RefusedError("no gate waits so long", code=Code.LIMIT)
    checks.check_text("what a gate waits for", await_id, NAME_BYTES)


def _title(request: CreateGate, await_id: str) -> str:
    if request.await_type == "human":
        return "Gate: somebody has to decide"
    return f"Gate: {' '.join(filter(None, (request.await_type, await_id)))}"


def set_awaited(writer: IssueWriter, request: SetAwaited) -> IssueDoc:
    """Say what a gate waits for."""
    await_id = request.await_id.strip()
    if not await_id:
        raise RefusedError("what does it wait for?", code=Code.USAGE, hint="name a run or a pull request")
    checks.check_text("what a gate waits for", await_id, NAME_BYTES)
    name = writer.find(request.id)[0]
    gate = writer.answer(name)
    if gate.get("issue_type") != GATE:
        raise RefusedError(f"{gate['id']} is no gate", code=Code.CONFLICT)
    if gate.get("await_id") == await_id:
        return gate | UNCHANGED
    editor = writer.editor(name, request)
    editor.set_entry("extra", "await_id", checks.json_content("await_id", await_id))
    editor.save()
    return writer.answer(name)


# -- Waiters -------------------------------------------------------------------------------------------------------
def change_waiters(writer: IssueWriter, request: Await) -> IssueDoc:
    """Put a name among those that wait for an issue, or take it away."""
    waiter = request.waiter.strip()
    if not waiter:
        raise RefusedError("who waits?", code=Code.USAGE, hint="name somebody")
    checks.check_text("a name", waiter, NAME_BYTES)
    name = writer.find(request.id)[0]
    waiting = waiters_of(writer.answer(name))
    others = [each for each in waiting if each != waiter]
    changed = others if request.remove else waiting if waiter in waiting else [*waiting, waiter]
    if len(changed) > WAITERS_OF_ISSUE:
        raise RefusedError(f"at most {WAITERS_OF_ISSUE} can wait for one issue", code=Code.LIMIT)
    if changed == waiting:
        return writer.answer(name) | UNCHANGED
    editor = writer.editor(name, request)
    if changed:
        editor.set_entry("extra", WAITERS, checks.json_content(WAITERS, changed))
    else:
        editor.remove_entry("extra", WAITERS)
    editor.save()
    return writer.answer(name)


def waiters_of(document: IssueDoc) -> list[str]:
    """Who waits for an issue, in order; what is no name is passed over."""
    found: Any = document.get(WAITERS)
    return [each for each in found if isinstance(each, str) and each] if isinstance(found, list) else []
