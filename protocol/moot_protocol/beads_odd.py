"""What is odd about values of a Beads file that are kept though their fields can't have them, in words for people.

Invariant: a value that is shown otherwise than it was meant is told, and what says nothing at all (an empty text or
list, null) isn't: programs write such fields for all that is not set.
"""

from typing import Any, Final

from moot_protocol import json_text
from moot_protocol.issue import DEFAULT_STATUS, DEFAULT_TYPE, SHAPES, Shape, stand_in
from moot_protocol.limits import TITLE_CHARS

NO_TITLE: Final = "no title: kept, shown without one"
_SHOWN_CHARS: Final = 40
_SHAPES: Final = {
    Shape.TEXT: "no text",
    Shape.TIME: "no time",
    Shape.INT: "no whole number of 64 bits",
    Shape.PRIORITY: "none of 0 to 4",
    Shape.FLAG: "neither true nor false",
}
_SETS: Final = {"labels": "no list", "dependencies": "no list", "comments": "no list", "metadata": "no object"}
_INSTEAD: Final = {
    "status": f"shown as {DEFAULT_STATUS}",
    "issue_type": f"shown as {DEFAULT_TYPE}",
    "created_at": "the time of the import is shown",
    "updated_at": "the time of the import is shown",
}


def id_oddity(name: str) -> str:
    """Why no issue could be given this id here, though one that has it keeps it; empty where one could."""
    return "its id has spaces, which no command gives: kept; write it in quotes" if " " in name else ""


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
    shape = SHAPES.get(name)
    if (is_empty and shape is not Shape.PRIORITY) or (shape is Shape.FLAG and value is False):
        return ""
    what = _SETS[name] if shape is None else _SHAPES[shape]
    told = json_text.to_text(value)
    told = told if len(told) <= _SHOWN_CHARS else f"{told[:_SHOWN_CHARS]}…"
    return f"{name} {told} is {what}: kept, {shown_instead(name, value)}"


def shown_instead(name: str, value: Any) -> str:
    """What is shown in the place of a value of a known field that can't have it, in words."""
    if name == "priority":
        return f"shown as P{stand_in(name, value)}"
    if name == "title" and isinstance(value, str):
        return (
            f"its first {TITLE_CHARS} characters are shown" if len(value) > TITLE_CHARS else "shown with \ufffd for it"
        )
    return _INSTEAD.get(name, "not shown")
