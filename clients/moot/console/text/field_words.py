"""What the log keeps of a field's value, in words: times, deletions, and the elements of set-like fields.

Invariant: a value that isn't of the shape its field has is told as it is, so that nothing is hidden by being odd.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from moot_protocol.issues.claim_lease import LEASES
from moot_protocol.issues.edge_types import PARENT
from moot_protocol.issues.issue import SHAPES, Shape
from moot_protocol.merge.deletion import DELETED, is_deletion
from moot_protocol.times import format_ms


def field_words(field: Any, value: Any) -> str | None:
    """A value of a field in words, not yet safe to print; None for one that is told as it is."""
    if SHAPES.get(field) is Shape.TIME and isinstance(value, int):
        return format_ms(value)
    if field == DELETED and value in ("", None):
        return "no"
    tell = _TELLERS.get(field)
    return tell(value) if tell is not None and isinstance(value, list | tuple) else None


def _are_texts(values: Sequence[Any], least: int) -> bool:
    return len(values) >= least and all(isinstance(each, str) for each in values[:least])


def _edge(value: Sequence[Any]) -> str | None:
    if not _are_texts(value, 2):
        return None
    to, kind = value[:2]
    return f"child of {to}" if kind == PARENT else f"depends on {to} ({kind})"


def _comment(value: Sequence[Any]) -> str | None:
    if not _are_texts(value, 1):
        return None
    return f"{value[0]} (by {value[1]})" if _are_texts(value, 2) else str(value[0])


def _lease(value: Sequence[Any]) -> str | None:
    if len(value) < 3 or not (isinstance(value[0], str) and isinstance(value[2], int)):
        return None
    return f"held by {value[0]} until {format_ms(value[2])}"


def _entry(value: Sequence[Any]) -> str | None:
    return f"{value[0]} = {value[1]}" if _are_texts(value, 2) else None


def _deletion(value: Sequence[Any]) -> str | None:
    if not is_deletion(value):
        return None
    return f"by {value[0] or 'nobody named'}" + (f": {value[1]}" if value[1] else "")


_TELLERS: Final[Mapping[Any, Callable[[Sequence[Any]], str | None]]] = {
    "edges": _edge, "comments": _comment, LEASES: _lease, "metadata": _entry, "extra": _entry, DELETED: _deletion,
}  # fmt: skip
