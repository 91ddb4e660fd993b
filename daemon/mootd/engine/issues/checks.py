"""Checks of what people ask to be written: clear refusals before anything is."""

from collections.abc import Callable
from typing import Any

from moot_protocol import limits
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import line_problem
from moot_protocol.issues.issue import DEFAULT_STATUS, DEFAULT_TYPE, SHAPES, Shape
from moot_protocol.issues.settings import STATUSES, TYPES
from moot_protocol.limits import LOWEST_PRIORITY
from moot_protocol.merge.kinds import ISSUE, Policy, field_of
from moot_protocol.requests.issues import Edge
from moot_protocol.text import json_text
from moot_protocol.times import instant_ms
from mootd.engine.issues.vocabulary import Vocabulary


def _nothing() -> Vocabulary:
    return Vocabulary({}, frozenset())


def check_fields(fields: dict[str, Any], own: Callable[[], Vocabulary] = _nothing) -> None:
    """Check the registers of a create or update.

    Args:
        fields: register → value.
        own: what the project has beside the statuses and types of every project; asked for only where it matters.

    Raises:
        RefusedError: `invalid` or `limit`, naming the field.
    """
    if fields.get("status", DEFAULT_STATUS) not in STATUSES:
        own().refuse_status(fields["status"])
    if fields.get("issue_type", DEFAULT_TYPE) not in TYPES:
        own().refuse_type(fields["issue_type"])
    for name, value in fields.items():
        _check_field(name, value)


def _check_field(name: str, value: Any) -> None:
    if name == "title":
        check_title(value)
    elif name == "priority" and not 0 <= value <= LOWEST_PRIORITY:
        raise RefusedError(f"priority {value} is out of range", hint="0 is the most urgent, 4 the least")
    elif name == "estimated_minutes" and value < 0:
        raise RefusedError("an estimate can't be negative")
    elif SHAPES.get(name) is Shape.TIME and value and instant_ms(value) is None:
        raise RefusedError(f"{name} {value!r} is no time", hint="write it like 2026-01-31T09:00:00Z")
    elif name == "assignee":
        check_text("assignee", value, limits.ACTOR_BYTES, hint="give a name")
        check_line("assignee", value)
    elif isinstance(value, str):
        check_text(name, value, limits.TEXT_BYTES if field_of(ISSUE, name).policy is Policy.TEXT else 4 * limits.KIB)


def check_title(title: str) -> None:
    """Check a title: 1 to 500 characters on one line."""
    if not title.strip():
        raise RefusedError("a title can't be empty")
    if len(title) > limits.TITLE_CHARS:
        raise RefusedError(
            f"the title has {len(title)} characters, at most {limits.TITLE_CHARS} fit",
            code=Code.LIMIT,
            hint="put the details into the description",
        )
    check_text("title", title, limits.TEXT_BYTES)


def check_text(name: str, text: str, most: int, *, hint: str = "split it over several issues or comments") -> None:
    """Check a text's size, and that it can be stored at all."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise RefusedError(f"{name} has characters that are half of a pair (lone surrogates)") from error
    if size > most:
        raise RefusedError(
            f"{name} has {size} bytes, at most {most} fit",
            code=Code.LIMIT,
            hint=hint,
        )


def check_line(name: str, text: str) -> None:
    """Check that a name is one line: that it has no line breaks and no other control characters."""
    if problem := line_problem(text):
        raise RefusedError(f"{name} {text!r} can't be stored: it has {problem}", hint="write it on one line")


def check_label(label: str) -> None:
    """Check a label: 1 to 100 characters, no white space at the ends."""
    if not label or label != label.strip() or len(label) > limits.LABEL_CHARS:
        raise RefusedError(f"{label!r} can't be a label", hint=f"use 1 to {limits.LABEL_CHARS} characters")
    check_text("label", label, 4 * limits.LABEL_CHARS)
    check_line("label", label)


def check_edge(edge: Edge) -> None:
    """Check a dependency to be made: its type is any word of at most 50 characters."""
    edge_type = edge.type
    if not edge_type or len(edge_type) > limits.EDGE_TYPE_CHARS or " " in edge_type or not edge_type.isprintable():
        raise RefusedError(
            f"{edge_type!r} can't be a dependency type", hint=f"use a word of 1 to {limits.EDGE_TYPE_CHARS} characters"
        )
    check_text("metadata", edge.metadata, 4 * limits.KIB)


def check_actor(actor: str) -> None:
    """Check the name of who acts, whatever client sent it: it goes into events, and is shown on terminals.

    Raises:
        RefusedError: `invalid`: it is no line.
    """
    problem = line_problem(actor)
    if problem:
        raise RefusedError(f"the name of who acts has {problem}", hint="give a name of one line")


def json_content(name: str, value: Any) -> str:
    """The content of a metadata entry as it is kept: JSON text.

    Raises:
        RefusedError: `invalid` or `limit`: the name or the value can't be stored.
    """
    check_text("a name of metadata", name, limits.NAME_BYTES)
    try:
        text = json_text.to_text(value)
    except (TypeError, ValueError) as error:
        raise RefusedError(f"metadata {name} can't be stored: {error}") from error
    check_text(f"metadata {name}", text, limits.TEXT_BYTES)
    return text
