"""What the tools take: one structure a tool, from which both its JSON Schema and the check of a call are made.

Words cost whoever reads the schema, in every session: names say what they can, and a description stands only where a
name can't. Arguments that a tool doesn't know are refused, so that none is dropped silently.
"""

import re
from typing import Annotated, Any, Final, Literal, TypeVar, get_args, get_type_hints

import msgspec

from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.edge_types import BLOCKS

T = TypeVar("T", bound=msgspec.Struct)

FIND_LIMIT: Final = 20
_FIELD: Final = re.compile(r"at `\$\.(\w+)`")
"""Where a validation error says which field it is about."""
_INSIDE: Final = re.compile(r"at `\$\.(\w+)\[")
"""Where it says of which list an element is meant."""

Ids = Annotated[list[str], msgspec.Meta(min_length=1)]
Priority = Annotated[int, msgspec.Meta(ge=0, le=4)]


class Find(msgspec.Struct, forbid_unknown_fields=True):
    """Which issues."""

    which: Literal["ready", "open", "mine", "blocked", "closed", "all"] = "ready"
    text: str = ""
    type: str = ""
    label: str = ""
    parent: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=100)] = FIND_LIMIT
    fields: Annotated[
        list[str],
        msgspec.Meta(
            description="beside id: title, status, priority, issue_type, assignee, labels, parent, blocked_by, "
            "description, design, acceptance_criteria, notes, comments, dependencies, updated_at, closed_at, metadata"
        ),
    ] = []


class Show(msgspec.Struct, forbid_unknown_fields=True):
    """Which issues."""

    ids: Ids


class NewIssue(msgspec.Struct, forbid_unknown_fields=True):
    """An issue to be made."""

    title: str
    description: str = ""
    type: str = "task"
    priority: Annotated[Priority, msgspec.Meta(description="0 is most urgent")] = 2
    labels: list[str] = []
    parent: str = ""
    depends_on: Annotated[list[str], msgspec.Meta(description="blockers; $1 is the first issue of this call")] = []


class Create(msgspec.Struct, forbid_unknown_fields=True):
    """The issues, all or none."""

    issues: Annotated[list[NewIssue], msgspec.Meta(min_length=1)]


class Update(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What is to change; the rest stays."""

    id: str
    title: str | msgspec.UnsetType = msgspec.UNSET
    description: str | msgspec.UnsetType = msgspec.UNSET
    design: str | msgspec.UnsetType = msgspec.UNSET
    acceptance_criteria: str | msgspec.UnsetType = msgspec.UNSET
    append_notes: str = ""
    status: str | msgspec.UnsetType = msgspec.UNSET
    priority: Priority | msgspec.UnsetType = msgspec.UNSET
    type: str | msgspec.UnsetType = msgspec.UNSET
    assignee: str | msgspec.UnsetType = msgspec.UNSET
    parent: str | msgspec.UnsetType = msgspec.UNSET
    add_labels: list[str] = []
    remove_labels: list[str] = []


class Claim(msgspec.Struct, forbid_unknown_fields=True):
    """Which issue; empty for the first ready one."""

    id: str = ""
    ttl_minutes: (
        Annotated[int, msgspec.Meta(ge=1, description="hold it until so long after this session")] | msgspec.UnsetType
    ) = msgspec.UNSET


class Close(msgspec.Struct, forbid_unknown_fields=True):
    """Which issues, all or none, and why."""

    ids: Ids
    reason: str = ""


class Comment(msgspec.Struct, forbid_unknown_fields=True):
    """On which issue, and what: a text, what is handed over, or both."""

    id: str
    text: str = ""
    next: str = ""
    decisions: list[str] = []
    dead_ends: list[str] = []


class Link(msgspec.Struct, forbid_unknown_fields=True):
    """Which issue hangs on which."""

    id: str
    depends_on: str
    type: Annotated[
        str, msgspec.Meta(description="blocks, waits-for, parent-child; related, discovered-from, … hold nothing up")
    ] = BLOCKS
    remove: bool = False


def read(shape: type[T], given: dict[str, Any]) -> T:
    """The arguments of a call.

    Raises:
        RefusedError: `invalid`: they don't fit, naming the field.
    """
    try:
        return msgspec.convert(given, shape)
    except msgspec.ValidationError as error:
        hint = _takes(shape, str(error))
        raise RefusedError(f"the arguments don't fit: {error}", hint=hint, code=Code.INVALID) from error


def _takes(shape: type[msgspec.Struct], said: str) -> str:
    """What fits instead: the choices of the field that was named, if it has some, else all fields of what holds it."""
    inside = _INSIDE.search(said)
    if inside:
        for inner in get_args(get_type_hints(shape).get(inside[1])):
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                return f"each of {inside[1]} takes {', '.join(inner.__struct_fields__)}"
    named = _FIELD.search(said)
    choices = get_args(get_type_hints(shape).get(named[1])) if named else ()
    if choices and all(isinstance(each, str) for each in choices):
        return f"one of {', '.join(choices)}"
    return f"it takes {', '.join(shape.__struct_fields__)}"


def schema_of(shape: type[msgspec.Struct]) -> dict[str, Any]:
    """The JSON Schema of a tool's arguments, without what only repeats a name or a default that is empty."""
    (root,), definitions = msgspec.json.schema_components([shape], ref_template="{name}")
    slim = _slim(definitions[root["$ref"]], definitions)
    return slim if isinstance(slim, dict) else {}


def _slim(part: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(part, list):
        return [_slim(each, definitions) for each in part]
    if not isinstance(part, dict):
        return part
    if "$ref" in part:
        return _slim(definitions[part["$ref"]], definitions)
    inner = {
        name: {field: _slim(shape, definitions) for field, shape in value.items()}
        if name == "properties"
        else _slim(value, definitions)
        for name, value in part.items()
    }
    dropped = {name for name, value in inner.items() if name == "default" and value in ("", [], False)}
    if part.get("type") == "object":  # a structure: its name and docstring are for those who read this source
        dropped |= {"title", "description"} | ({"required"} if not part.get("required") else set())
    return {name: value for name, value in inner.items() if name not in dropped}
