"""What is odd about values of a Beads file that are kept though no command gives them, in words for people.

Invariant: a value that is shown otherwise than it was meant is told, and so is one that is shown as it stands though
commands refuse to write it. What says nothing at all (an empty text or list, null) isn't: programs write such fields
for all that is not set. But every issue has a status and a type: empty texts in their place are told.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from moot_protocol.ids import line_problem
from moot_protocol.issues.issue import DEFAULT_STATUS, DEFAULT_TYPE, SHAPES, Shape, stand_in
from moot_protocol.limits import TITLE_CHARS
from moot_protocol.text import json_text
from moot_protocol.time_units import DAY_MS
from moot_protocol.times import format_ms, instant_ms

NO_TITLE: Final = "no title: kept, shown without one"
_KEPT: Final = "which no command gives: kept"
"""Of what is shown as it stands."""
_SHOWN_CHARS: Final = 40
_SHAPES: Final = {
    Shape.TEXT: "no text",
    Shape.TIME: "no time",
    Shape.INT: "no whole number of 64 bits",
    Shape.PRIORITY: "none of 0 to 4",
    Shape.FLAG: "neither true nor false",
}
_BLANK_ENDS: Final = "has white space at its ends"
_ALWAYS: Final = ("status", "issue_type")
"""What no program leaves unset."""
_DATED: Final = ("created_at", "updated_at", "closed_at")
"""What happened already, and has no time that is still to come."""
_SETS: Final = {"labels": "no list", "dependencies": "no list", "comments": "no list", "metadata": "no object"}
_INSTEAD: Final = {
    "status": f"shown as {DEFAULT_STATUS}",
    "issue_type": f"shown as {DEFAULT_TYPE}",
    "created_at": "the time of the import is shown",
    "updated_at": "the time of the import is shown",
}


class Present(NamedTuple):
    """When lines are taken in, as their times are compared with it."""

    text: str
    """As RFC 3339 in UTC."""
    most_ms: int
    """A day later, in milliseconds since 1970: what clocks and time zones of others are allowed to be ahead."""

    @classmethod
    def at(cls, now_ms: int) -> "Present":
        """When it is so many milliseconds since 1970."""
        return cls(format_ms(now_ms), now_ms + DAY_MS)


def ahead_oddity(fields: Mapping[str, Any], present: Present) -> str:
    """Which times of a line lie more than a day in the future; empty where none does.

    Args:
        fields: the line's; of those that are looked at here only texts that are times.
        present: when it is.
    """
    get = fields.get
    # Nearly every line ends here. An offset is less than a day: what is more than one ahead is a greater text, too.
    text = present.text
    if get("updated_at", "") <= text and get("created_at", "") <= text and get("closed_at", "") <= text:
        return ""
    ahead = [name for name in _DATED if (instant_ms(get(name)) or 0) > present.most_ms]
    return f"{', '.join(ahead)} more than a day ahead of this machine's clock: kept" if ahead else ""


def id_oddity(name: str) -> str:
    """Why no issue could be given this id here, though one that has it keeps it; empty where one could."""
    return f"its id has spaces, {_KEPT}; write it in quotes" if " " in name else ""


def register_oddity(name: str, value: Any) -> str:
    """Why no command would give a register this value, which is of its type and shown as it stands; empty if one would.

    Of a status and a type the project has to say: `unknown_oddity`.
    """
    problem: str | None = None
    if name == "title":
        problem = None if value.strip() else "is blank"
    elif name == "assignee":
        problem = _control_characters(value)
    elif name == "estimated_minutes":
        problem = "is negative" if value < 0 else None
    return f"{name} {_told(value)} {problem}, {_KEPT}" if problem else ""


def unknown_oddity(name: str, value: str, setting: str) -> str:
    """What is odd about a status or a type that the project hasn't got.

    Args:
        name: the field.
        value: what it says.
        setting: where the project's own stand.
    """
    return f"{name} {_told(value)} is none of the project's: kept; `moot config set {setting}` adds your own"


def label_oddity(position: int, label: str) -> str:
    """Why no command would give a label; empty if one would."""
    problem = _control_characters(label) or (_BLANK_ENDS if label != label.strip() else None)
    return f"label {position} {_told(label)} {problem}, {_KEPT}" if problem else ""


def edge_oddity(name: str, to: str, kind: str) -> str:
    """Why no command would make an issue depend on another; empty if one would."""
    return f"depends on itself ({_told(kind)}), {_KEPT}, blocks nothing" if to == name else ""


def comment_oddity(position: int, text: str) -> str:
    """Why no command would write a comment; empty if one would."""
    return "" if text.strip() else f"comment {position} is empty, {_KEPT}"


def _control_characters(text: str) -> str | None:
    problem = line_problem(text)
    return f"has {problem}" if problem else None


def _told(value: Any) -> str:
    """A value as JSON, shortened."""
    told = json_text.to_text(value)
    return told if len(told) <= _SHOWN_CHARS else f"{told[:_SHOWN_CHARS]}…"


def oddity(name: str, value: Any, *, is_deleted: bool = False) -> str:
    """What is odd about a value of a known field that can't have it, and what is shown in its place.

    Args:
        name: the field.
        value: as JSON has it, and can be stored.
        is_deleted: whether the line is a tombstone, whose title nobody reads.

    Returns:
        Empty where it says nothing.
    """
    is_empty = value is None or value in ("", [], {})
    if name == "title" and is_empty:
        return "" if is_deleted else NO_TITLE
    if name == "title" and isinstance(value, str):
        return f"title of {len(value)} characters where {TITLE_CHARS} are the limit: kept, {shown_instead(name, value)}"
    if name in _ALWAYS and value == "":
        return "" if is_deleted else f"{name} {_told(value)} is empty: kept, {shown_instead(name, value)}"
    shape = SHAPES.get(name)
    if (is_empty and shape is not Shape.PRIORITY) or (shape is Shape.FLAG and value is False):
        return ""
    what = _SETS[name] if shape is None else _SHAPES[shape]
    return f"{name} {_told(value)} is {what}: kept, {shown_instead(name, value)}"


def shown_instead(name: str, value: Any) -> str:
    """What is shown in the place of a value of a known field that can't have it, in words."""
    if name == "priority":
        return f"shown as P{stand_in(name, value)}"
    if name == "title" and isinstance(value, str):
        return (
            f"its first {TITLE_CHARS} characters are shown" if len(value) > TITLE_CHARS else "shown with \ufffd for it"
        )
    return _INSTEAD.get(name, "not shown")
