"""An issue as a document of Beads' shape, made from its reading.

Invariant: every known field of a document has the field's type, and stands in Beads' order. Only an exact document,
which is for export, shows what a file held beyond that.
"""

from typing import Any, Final

from moot_protocol.ids import entity_problem
from moot_protocol.issues.claim_lease import LEASES
from moot_protocol.issues.issue import (
    ABSENT_PRIORITY,
    ALIAS,
    CLOSED,
    DEFAULT_STATUS,
    DEFAULT_TYPE,
    SHAPES,
    STOOD_FOR,
    TOMBSTONE,
    Comment,
    Edge,
    IssueReading,
    Shape,
)
from moot_protocol.text import json_text

_ORDER: Final = (
    *(name for name, shape in SHAPES.items() if shape is not Shape.FLAG),
    "metadata", "labels", "dependencies", "comments", "ephemeral", "pinned",
    "deleted_at", "deleted_by", "delete_reason", "original_type",
)  # fmt: skip
FIELDS: Final = frozenset(_ORDER) | {"id"}
"""The names that Beads gives fields."""
_EDGE_NAMES: Final = frozenset({"issue_id", "depends_on_id", "type", "created_at", "created_by"})
_COMMENT_NAMES: Final = frozenset({"id", "issue_id", "author", "text", "created_at"})


def document(reading: IssueReading, *, exact: bool = False) -> dict[str, Any]:
    """An issue as Beads writes it, empty fields left out, in Beads' order of fields.

    Args:
        reading: the issue.
        exact: for export: also fields whose imported value hasn't the field's type. Without it every known field has
            its type.
    """
    shown = _shown(reading, exact=exact)
    unknown: dict[str, Any] = {}
    for name, value in _decoded(reading.extra).items():
        if name not in FIELDS:
            unknown[name] = value
        elif exact and name != "id" and (name not in shown or name in STOOD_FOR):
            shown[name] = value
    for name, value in defaults(reading):
        shown.setdefault(name, value)
    if ALIAS in reading.values and not (exact or entity_problem(reading.values[ALIAS])):
        unknown["_alias"] = reading.values[ALIAS]
    if LEASES in reading.values and not exact:
        unknown["_claim"] = reading.values[LEASES]
    return {"id": reading.id} | {name: shown[name] for name in _ORDER if name in shown} | unknown


def _shown(reading: IssueReading, *, exact: bool) -> dict[str, Any]:
    """The known fields that have something to show, in no order."""
    shown = dict(reading.values)
    if reading.deleted is not None:
        shown["status"] = TOMBSTONE
        shown.update(reading.deleted)
    if "closed_at" in shown and shown.get("status") != CLOSED:
        del shown["closed_at"]
    if reading.labels:
        shown["labels"] = reading.labels
    if reading.edges:
        shown["dependencies"] = [_edge_document(reading.id, edge, exact=exact) for edge in reading.edges]
    if reading.comments:
        shown["comments"] = [comment_document(reading.id, comment, exact=exact) for comment in reading.comments]
    if reading.metadata:
        shown["metadata"] = _decoded(reading.metadata)
    return shown


def defaults(reading: IssueReading) -> tuple[tuple[str, Any], ...]:
    """What a document shows of the fields that it always has where nothing else is known of them."""
    return (
        ("title", ""),
        ("status", DEFAULT_STATUS),
        ("priority", ABSENT_PRIORITY),
        ("issue_type", DEFAULT_TYPE),
        ("created_at", reading.created_at),
        ("updated_at", reading.updated_at),
    )


def _edge_document(entity: str, edge: Edge, *, exact: bool) -> dict[str, Any]:
    shown = {"issue_id": entity, "depends_on_id": edge.to, "type": edge.type}
    if edge.created_at:
        shown["created_at"] = edge.created_at
    if edge.created_by:
        shown["created_by"] = edge.created_by
    return _with_extra(shown, edge.extra, _EDGE_NAMES, exact=exact) if edge.extra else shown


def comment_document(entity: str, comment: Comment, *, exact: bool = False) -> dict[str, Any]:
    """A comment as it stands in its issue's document: what it doesn't say (an imported one's id, say) is left out."""
    shown: dict[str, Any] = {"id": comment.id, "issue_id": entity, "author": comment.author, "text": comment.text}
    shown["created_at"] = comment.created_at
    shown = {name: value for name, value in shown.items() if value != "" or name == "text"}
    return _with_extra(shown, comment.extra, _COMMENT_NAMES, exact=exact) if comment.extra else shown


def _with_extra(shown: dict[str, Any], extra: dict[str, Any], known: frozenset[str], *, exact: bool) -> dict[str, Any]:
    for name, value in _decoded(extra).items():
        if name not in known or (exact and (name not in shown or name == "issue_id")):
            shown[name] = value
    return shown


def _decoded(texts: dict[str, Any]) -> dict[str, Any]:
    """Names with the values of their JSON texts, in order; what is no JSON is left out."""
    values: dict[str, Any] = {}
    for name in sorted(texts):
        try:
            values[name] = json_text.from_text(texts[name])
        except (ValueError, TypeError):
            continue
    return values
