"""States of an issue by dimension: `mode:degraded` is the label that says that its `mode` is `degraded`.

Invariant: setting a dimension leaves one label of it, whatever labels of it there were.
"""

from typing import Any, Final

from moot_protocol.errors import RefusedError
from moot_protocol.issues.issue import CLOSED
from moot_protocol.limits import LOWEST_PRIORITY
from moot_protocol.requests.actions import SetState
from moot_protocol.requests.issues import Create, IssueFields
from mootd.engine.issues import checks
from mootd.engine.issues.mutations import IssueWriter

EVENT_TYPE: Final = "event"


def set_state(writer: IssueWriter, request: SetState) -> dict[str, Any]:
    """Set a dimension of an issue's state, and tell it by an event below the issue."""
    dimension, value = request.dimension, request.value
    if not dimension or ":" in dimension or not value:
        hint = "write DIMENSION=VALUE, the dimension without a colon"
        raise RefusedError(f"{dimension}={value} is no state", hint=hint)
    label = f"{dimension}:{value}"
    checks.check_label(label)
    name, _, _, shown = writer.find(request.id)
    before = [each for each in shown.labels if each.startswith(f"{dimension}:")]
    answer: dict[str, Any] = {
        "issue_id": name,
        "dimension": dimension,
        "old_value": before[0].partition(":")[2] if before else None,
        "new_value": value,
        "changed": before != [label],
    }
    if before == [label]:
        return answer
    editor = writer.editor(name, request)
    editor.remove("labels", [group for group, each in editor.elements("labels") if each in before and each != label])
    if label not in before:
        editor.add("labels", label)
    editor.save()
    return answer | {"event_id": _event(writer, request, name, shown.project, answer)}


def _event(writer: IssueWriter, request: SetState, parent: str, project: str, change: dict[str, Any]) -> str:
    old, new = change["old_value"], request.value
    told = (
        f"Changed {request.dimension} from {old} to {new}" if old is not None else f"Set {request.dimension} to {new}"
    )
    fields = IssueFields(
        title=f"State change: {request.dimension} → {new}",
        description=f"{told}\n\nReason: {request.reason}" if request.reason else told,
        status=CLOSED,
        priority=LOWEST_PRIORITY,
        issue_type=EVENT_TYPE,
    )
    created = writer.create(
        Create(actor=request.actor, project=project, fields=fields, parent=parent, inherit_labels=False)
    )
    return str(created["id"])
