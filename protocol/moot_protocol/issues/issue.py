"""Reading an issue: from what is live to the fields that are shown.

Reading is total. Values of a type a field can't have are passed over, as if nothing were there, so what is shown
always has the field's type; what a file held beyond that stands in `extra`. A title or priority there has a stand-in
in its register, and counts as long as nobody has written that since. Documents of Beads' shape are made from readings
(`issue_document.py`).

Shapes of set-like values, with None where the write itself tells (its actor, its time):
    labels    text
    edges     [to, type, created_at, created_by, extra]          extra: name → JSON text
    comments  [text, author, created_at, id, extra]
    metadata  [name, JSON text]
    extra     [name, JSON text]
The register `deleted` has a module of its own (`deletion.py`). Empty text stands for what a file left out.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from hashlib import sha256
from typing import Any, Final, NamedTuple

from moot_protocol.clock import to_ms
from moot_protocol.codec import encode
from moot_protocol.ids import base32
from moot_protocol.issues.claim_lease import LEASES, lease_held
from moot_protocol.limits import LOWEST_PRIORITY, TITLE_CHARS
from moot_protocol.merge import policies
from moot_protocol.merge.deletion import DELETED_NAMES, is_deletion, read_deletion
from moot_protocol.merge.kinds import ISSUE, KINDS, Policy
from moot_protocol.merge.lineage import Lineage
from moot_protocol.merge.register import MISSING, Live, Sibling
from moot_protocol.text import json_text
from moot_protocol.times import NS_PER_MS, format_ms, instant_ms, ns_below_ms, show_time

WORDED: Final = frozenset(
    {
        "title", "description", "design", "acceptance_criteria", "notes", "comments", "close_reason", "labels",
        "metadata", "extra", "external_ref", "spec_id",
    }
)  # fmt: skip
"""Fields that hold words of whoever wrote them: somebody might take them for an instruction, or want them gone."""


class Shape(Enum):
    """What values a field can have."""

    TEXT = "text"
    TIME = "time"
    """RFC 3339 text as imported, or milliseconds since 1970."""
    INT = "int"
    PRIORITY = "priority"
    """0 (most urgent) to 4."""
    FLAG = "flag"


SHAPES: Final[dict[str, Shape]] = {
    "title": Shape.TEXT,
    "description": Shape.TEXT,
    "design": Shape.TEXT,
    "acceptance_criteria": Shape.TEXT,
    "notes": Shape.TEXT,
    "spec_id": Shape.TEXT,
    "status": Shape.TEXT,
    "priority": Shape.PRIORITY,
    "issue_type": Shape.TEXT,
    "assignee": Shape.TEXT,
    "owner": Shape.TEXT,
    "estimated_minutes": Shape.INT,
    "created_at": Shape.TIME,
    "created_by": Shape.TEXT,
    "updated_at": Shape.TIME,
    "started_at": Shape.TIME,
    "closed_at": Shape.TIME,
    "close_reason": Shape.TEXT,
    "closed_by_session": Shape.TEXT,
    "due_at": Shape.TIME,
    "defer_until": Shape.TIME,
    "external_ref": Shape.TEXT,
    "compaction_level": Shape.INT,
    "ephemeral": Shape.FLAG,
    "pinned": Shape.FLAG,
}
"""The registers of an issue that its document shows, in the document's order."""

TOMBSTONE: Final = "tombstone"
CLOSED: Final = "closed"
DEFERRED: Final = "deferred"
"""Put off: until `defer_until` where that says when, else until somebody takes it up again."""
DEFAULT_STATUS: Final = "open"
DEFAULT_PRIORITY, ABSENT_PRIORITY = 2, 0
"""Of what is made here without one, which is written; and what it means that none was: Beads reads it as 0."""
DEFAULT_TYPE: Final = "task"
LONG_TEXTS: Final = ("description", "design", "acceptance_criteria", "notes")
"""The fields of many lines, in the order in which they are shown."""


def _show_text(value: Any) -> str | None:
    return value if type(value) is str and value else None


def _show_time(value: Any) -> str | None:
    return format_ms(value) if type(value) is int else _show_text(value)


def _show_int(value: Any) -> int | None:
    return value if type(value) is int else None


def _show_priority(value: Any) -> int | None:
    # What was meant by a number out of range or by no number nobody knows: never that nothing is more urgent.
    if type(value) is int:
        return min(max(value, 0), LOWEST_PRIORITY)
    return None if value is None or value is MISSING else DEFAULT_PRIORITY


def _show_flag(value: Any) -> bool | None:
    return True if value is True else None


_SHOW: Final[dict[Shape, Callable[[Any], Any]]] = {
    Shape.TEXT: _show_text, Shape.TIME: _show_time, Shape.INT: _show_int, Shape.PRIORITY: _show_priority,
    Shape.FLAG: _show_flag,
}  # fmt: skip
STOOD_FOR: Final = ("title", "priority")
"""Registers that show something in place of a value that they can't have."""
_HALF: Final = re.compile("[\ud800-\udfff]")


def stand_in(name: str, value: Any) -> Any:
    """What is shown in place of a value that a file has in a field and the field can't have; None for nothing.

    Args:
        name: the field.
        value: as JSON has it; half characters are allowed.
    """
    if name == "priority":
        return DEFAULT_PRIORITY if value is None else _show_priority(value)
    if name == "title" and isinstance(value, str):
        return _HALF.sub("\ufffd", value[:TITLE_CHARS]) or None
    return None


def shown_value(name: str, value: Any) -> Any:
    """What is shown of a field where this is its only value, None for nothing. A status and a type always show one."""
    shape = SHAPES.get(name)
    shown = value if shape is None else _SHOW[shape](value)
    return _ALWAYS_SHOWN.get(name) if shown is None else shown


_ALWAYS_SHOWN: Final = {"status": DEFAULT_STATUS, "issue_type": DEFAULT_TYPE}
ALIAS: Final = "alias"
"""The register of a name that stands for an issue's id. Documents tell it as `_alias`, Beads' files not at all."""
_REGISTERS: Final = {
    name: (KINDS[ISSUE][name].policy, _SHOW[shape]) for name, shape in (*SHAPES.items(), (ALIAS, Shape.TEXT))
}
"""How each register is read, and what of a value is shown: None for what its field can't have."""


class Edge(NamedTuple):
    """A dependency of an issue as it is shown."""

    to: str
    type: str
    created_at: str
    """RFC 3339, or empty where the file it came from had none."""
    created_by: str
    extra: dict[str, Any]
    """Further names (`metadata`, `thread_id`, unknown ones) with their JSON texts."""
    rank: tuple[int, bytes, int]
    """(hlc, author, n) of its earliest write: edges are taken in this order where they close a cycle."""


class Comment(NamedTuple):
    """A comment as it is shown."""

    text: str
    author: str
    created_at: str
    id: str | int
    extra: dict[str, Any]


class IssueReading(NamedTuple):
    """What is shown of an issue."""

    id: str
    values: dict[str, Any]
    """Registers and texts that have a value of their field's type: times as text, the status as it was before a
    deletion, `closed_at` whatever the status, `updated_at` only if nothing was written since."""
    labels: list[str]
    edges: list[Edge]
    comments: list[Comment]
    metadata: dict[str, str]
    """Name → JSON text."""
    extra: dict[str, str]
    """Name → JSON text; of `STOOD_FOR` only what the value shown stands for, or where none is shown."""
    deleted: dict[str, str] | None
    """By the document's names, empty ones left out; None for an issue that isn't deleted."""
    created_at: str
    updated_at: str
    conflicts: list[str]
    """Fields whose live values disagree; entries of keyed fields as `metadata.name`."""
    missing: list[str]
    """Fields shown without their value because it was erased or withheld."""


def read_issue(
    entity: str,
    live: Live,
    created_hlc: int,
    updated_hlc: int,
    lineage_of: Callable[[str], Lineage] | None = None,
) -> IssueReading:
    """Read an issue.

    Args:
        entity: its id.
        live: what is live; values may be missing (long texts of a list, say). Where keys are left out, a deletion looks
            as if it had been made without sight of what is here.
        created_hlc: time of its first event.
        updated_hlc: time of its latest event.
        lineage_of: the superseded writes of a key, asked for only where siblings of a text disagree.
    """
    values: dict[str, Any] = {}
    conflicts: list[str] = []
    missing: list[str] = []
    for name, siblings in live.items():
        register = _REGISTERS.get(name)
        if register is None or not siblings:
            continue
        policy, show = register
        if len(siblings) == 1:
            value = siblings[0].value
        else:
            lineage = lineage_of(name) if policy is Policy.TEXT and lineage_of else None
            value, _, conflict = policies.read(policy, siblings, lineage)
            if conflict:
                conflicts.append(name)
        shown = show(value)
        if shown is not None:
            values[name] = shown
        elif value is MISSING:
            missing.append(name)
    deleted = _read_deleted(live, values, conflicts)
    if LEASES in live and (lease := lease_held(live, values.get("status"), values.get("assignee"))):
        values[LEASES] = lease.document
    if "updated_at" in values and not _is_last(live["updated_at"], updated_hlc):
        del values["updated_at"]
    return IssueReading(
        entity,
        values,
        read_labels(live["labels"]) if "labels" in live else [],
        read_edges(live["edges"]) if "edges" in live else [],
        read_comments(live["comments"]) if "comments" in live else [],
        _read_keyed("metadata", live, conflicts) if "metadata" in live else {},
        _read_extra(live, values, conflicts) if "extra" in live else {},
        deleted,
        values.get("created_at") or format_ms(to_ms(created_hlc)),
        values.get("updated_at") or format_ms(to_ms(updated_hlc)),
        sorted(conflicts),
        sorted(missing),
    )


def _is_last(updated_at: Sequence[Sibling], updated_hlc: int) -> bool:
    # An import writes `updated_at` last: whatever came later is a change that the file doesn't know.
    return max(sibling.hlc for sibling in updated_at) >= updated_hlc


def _read_deleted(live: Live, values: dict[str, Any], conflicts: list[str]) -> dict[str, str] | None:
    reading = read_deletion(live)
    if reading.conflict:
        conflicts.append("deleted")
    if not is_deletion(reading.value):
        return {} if values.get("status") == TOMBSTONE else None
    original_type = values.get("issue_type", DEFAULT_TYPE)
    by, reason, at, kind = (*reading.value, original_type) if len(reading.value) == 3 else reading.value
    if at is None and reading.shown is not None:
        at = to_ms(reading.shown.hlc)
    shown = zip(DELETED_NAMES, (by, reason, show_time(at) if type(at) is int else at, kind), strict=True)
    return {name: value for name, value in shown if isinstance(value, str) and value}


def _read_keyed(key: str, live: Live, conflicts: list[str]) -> dict[str, str]:
    shown: dict[str, str] = {}
    for name, entry in policies.keyed(live[key]).items():
        if entry.conflict:
            conflicts.append(f"{key}.{name}")
        if isinstance(entry.value, str):
            shown[name] = entry.value
    return shown


def _read_extra(live: Live, values: Mapping[str, Any], conflicts: list[str]) -> dict[str, str]:
    shown = _read_keyed("extra", live, conflicts)
    for name in STOOD_FOR:
        if name in shown and name in values and not _is_stood_for(name, shown[name], live, values[name]):
            del shown[name]
    return shown


def _is_stood_for(name: str, text: str, live: Live, shown: Any) -> bool:
    try:
        is_meant = stand_in(name, json_text.from_text(text)) == shown
    except ValueError:
        return False
    # An import writes both, the stand-in never later: one written later is what somebody wants there.
    entries = (each for each in live["extra"] if isinstance(each.value, list | tuple) and each.value)
    kept = max(each.hlc for each in entries if each.value[0] == name)
    return is_meant and kept >= max(each.hlc for each in live[name])


def read_labels(siblings: Sequence[Sibling]) -> list[str]:
    """The labels, in order, each once."""
    if not siblings:
        return []
    return sorted({sibling.value for sibling in siblings if type(sibling.value) is str and sibling.value})


def read_edges(siblings: Sequence[Sibling]) -> list[Edge]:
    """The dependencies in the order of their writes; one `(to, type)` once, as it was written first."""
    if not siblings:
        return []
    edges: dict[tuple[str, str], Edge] = {}
    for sibling in siblings if len(siblings) == 1 else sorted(siblings, key=policies.rank):
        value = sibling.value
        if not isinstance(value, list | tuple) or len(value) < 5:
            continue
        to, kind, at, by, extra = value[:5]
        if isinstance(to, str) and to and isinstance(kind, str) and kind and (to, kind) not in edges:
            by, extra = _shown_author(by, sibling), extra if isinstance(extra, dict) else {}
            edges[to, kind] = Edge(to, kind, _shown_time(at, sibling), by, extra, sibling.rank)
    return list(edges.values())


def read_comments(siblings: Sequence[Sibling]) -> list[Comment]:
    """The comments, oldest first; those that say the same in all their parts, id included, once."""
    comments: dict[bytes, Comment] = {}
    for sibling in siblings if len(siblings) == 1 else sorted(siblings, key=policies.rank):
        value = sibling.value
        if not isinstance(value, list | tuple) or len(value) < 5 or not isinstance(value[0], str):
            continue
        text, author, at, name, extra = value[:5]
        comment = Comment(
            text,
            _shown_author(author, sibling),
            _shown_time(at, sibling),
            name if type(name) is int or isinstance(name, str) else comment_id(sibling),
            extra if isinstance(extra, dict) else {},
        )
        comments.setdefault(encode(comment), comment)
    return sorted(
        comments.values(), key=lambda comment: (instant_ms(comment.created_at) or 0, str(comment.id), comment.text)
    )


def comment_id(sibling: Sibling) -> str:
    """The id of a comment that was made here and not imported: from the write's name, so it is everywhere the same."""
    return base32(sha256(sibling.author + sibling.n.to_bytes(8, "big")).digest(), 12)


def _shown_time(value: Any, sibling: Sibling) -> str:
    if value is None:
        return format_ms(to_ms(sibling.hlc))
    return show_time(value) if isinstance(value, str) or type(value) is int else ""


def _shown_author(value: Any, sibling: Sibling) -> str:
    return sibling.actor if value is None else value if isinstance(value, str) else ""


# -- Facts -----------------------------------------------------------------------------------------------------------
class Facts(NamedTuple):
    """What lists and indexes need of an issue. Only fields that stand in its record are read."""

    project: str
    title: str
    status: str
    """As it was before a deletion."""
    priority: int
    issue_type: str
    assignee: str
    labels: list[str]
    pinned: bool
    ephemeral: bool
    is_deleted: bool
    defer_until_ms: int | None
    due_ms: int | None
    closed_ms: int | None
    """Only while the status is closed."""


_FACT_FIELDS: Final = (
    "project", "title", "status", "priority", "issue_type", "assignee", "pinned", "ephemeral", "deleted",
    "defer_until", "due_at", "closed_at",
)  # fmt: skip


def facts(live: Live) -> Facts:
    """Read the facts of an issue."""
    labels = live.get("labels")
    values = {name: _value(live, name) for name in _FACT_FIELDS if name in live}
    return facts_of(values, read_labels(labels) if labels else [])


def facts_of(values: Mapping[str, Any], labels: list[str]) -> Facts:
    """The facts of an issue from what its registers show; a few microseconds, since every row needs them.

    Args:
        values: name → shown value of the registers that have one; other names are passed over.
        labels: its labels in order.
    """
    get = values.get
    project, title, status, assignee = get("project"), get("title"), get("status"), get("assignee")
    priority, issue_type = get("priority"), get("issue_type")
    if type(priority) is not int or not 0 <= priority <= LOWEST_PRIORITY:
        priority = _show_priority(priority)
    if type(status) is not str or not status:
        status = DEFAULT_STATUS
    return Facts(
        project if type(project) is str else "",
        title if type(title) is str else "",
        status,
        ABSENT_PRIORITY if priority is None else priority,
        issue_type if type(issue_type) is str and issue_type else DEFAULT_TYPE,
        assignee if type(assignee) is str else "",
        labels,
        "pinned" in values and values["pinned"] is True,
        "ephemeral" in values and values["ephemeral"] is True,
        status == TOMBSTONE or ("deleted" in values and is_deletion(values["deleted"])),
        instant_ms(values["defer_until"]) if "defer_until" in values else None,
        instant_ms(values["due_at"]) if "due_at" in values else None,
        instant_ms(get("closed_at")) if status == CLOSED else None,
    )


def project_of(live: Live) -> str:
    """The project that an issue belongs to; empty where none is named."""
    project = _value(live, "project")
    return project if type(project) is str else ""


def created_ms(live: Live, created_hlc: int) -> int:
    """When an issue was created, in milliseconds since 1970."""
    ms = instant_ms(_value(live, "created_at")) if "created_at" in live else None
    return to_ms(created_hlc) if ms is None else ms


def created_ns(live: Live, created_hlc: int) -> int:
    """When an issue was created, in nanoseconds since 1970."""
    below = ns_below_ms(_value(live, "created_at")) if "created_at" in live else 0
    return created_ms(live, created_hlc) * NS_PER_MS + below


def updated_ms(live: Live, updated_hlc: int) -> int:
    """When an issue was last changed, in milliseconds since 1970: what a file said, unless it was changed since."""
    siblings = live.get("updated_at")
    if siblings and _is_last(siblings, updated_hlc):
        ms = instant_ms(_value(live, "updated_at"))
        if ms is not None:
            return ms
    return to_ms(updated_hlc)


def updated_ns(live: Live, updated_hlc: int) -> int:
    """When an issue was last changed, in nanoseconds since 1970, as `updated_ms`."""
    siblings = live.get("updated_at")
    below = ns_below_ms(_value(live, "updated_at")) if siblings and _is_last(siblings, updated_hlc) else 0
    return updated_ms(live, updated_hlc) * NS_PER_MS + below


def closed_ns(live: Live, shown: Facts) -> int | None:
    """When an issue was closed, in nanoseconds since 1970; None where it isn't, or nobody has said when."""
    return None if shown.closed_ms is None else shown.closed_ms * NS_PER_MS + ns_below_ms(_value(live, "closed_at"))


def _value(live: Live, key: str) -> Any:
    siblings = live.get(key) or ()
    return siblings[0].value if len(siblings) == 1 else policies.read(KINDS[ISSUE][key].policy, siblings).value


# -- Values of writes made here ------------------------------------------------------------------------------------
def new_edge(to: str, kind: str, metadata: str = "") -> list[Any]:
    """The element for a dependency made here; its time and author are those of the write."""
    return [to, kind, None, None, {"metadata": json_text.to_text(metadata)} if metadata else {}]


def new_comment(text: str) -> list[Any]:
    """The element for a comment made here; its id, time and author are those of the write."""
    return [text, None, None, None, {}]
