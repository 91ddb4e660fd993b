"""What parts of filters, orders and totals mean, whoever holds the issues: the daemon records, a client a snapshot.

Invariant: both give the same answers, because both ask here; and no pattern is slow, whatever text it meets.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from moot_protocol import json_text
from moot_protocol.listing import Filter
from moot_protocol.time_units import DAY_MS, HOUR_MS

RECENT_MS: Final = 2 * DAY_MS
"""Issues younger than this come first, by priority, in the hybrid order."""


def like(pattern: str) -> Callable[[str], object]:
    """Whether a text is like a pattern, in which `*` stands for anything and `?` for one character.

    What stands between two `*` is taken where it is found first, which is always right, and never looked for again
    (atomic groups): else a pattern of many stars would try every division of a long text.
    """
    first, *rest = ("".join("." if sign == "?" else re.escape(sign) for sign in part) for part in pattern.split("*"))
    middle = "".join(f"(?>.*?{part})" for part in rest[:-1])
    return re.compile(first + middle + (f".*{rest[-1]}" if rest else ""), re.DOTALL).fullmatch


def id_begins(name: str, typed: str) -> bool:
    """Whether an id begins so, with its prefix or without."""
    return name.startswith(typed) or name.rpartition("-")[2].startswith(typed)


def has_metadata(wanted: Filter, entries: Any) -> bool:
    """Whether an issue's metadata has the entries that a filter names; values are compared as text."""
    if not isinstance(entries, Mapping) or any(name not in entries for name in wanted.has_metadata):
        return False
    return all(name in entries and _as_text(entries[name]) == value for name, value in wanted.metadata.items())


def hybrid_key(created_ms: int, priority: int, name: str, now_ms: int) -> tuple[int, int, int, str]:
    """What ready work is sorted by in the hybrid order: recent issues by priority, newest first, then the oldest.

    Args:
        created_ms: when the issue was made.
        priority: its priority.
        name: its id.
        now_ms: the wall clock.
    """
    if created_ms > now_ms - RECENT_MS:
        return 0, priority, -created_ms, name
    return 1, created_ms, 0, name


def lead_time_hours(lead_ms: Sequence[int]) -> float:
    """How long issues took from being made to being closed, on average; 0 without any."""
    return round(sum(lead_ms) / len(lead_ms) / HOUR_MS, 2) if lead_ms else 0.0


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json_text.to_text(value)
