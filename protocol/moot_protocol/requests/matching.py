"""What parts of filters, orders and totals mean, whoever holds the issues: the daemon records, a client a snapshot.

Invariant: both give the same answers, because both ask here; and no pattern is slow, whatever text it meets.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Generic, NamedTuple, TypeVar

from moot_protocol.errors import RefusedError
from moot_protocol.issues.issue import CLOSED, DEFERRED
from moot_protocol.issues.settings import STATUSES, custom_statuses
from moot_protocol.requests.issues import Count, Labels, ListIssues
from moot_protocol.requests.listing import Filter
from moot_protocol.text import json_text
from moot_protocol.time_units import DAY_MS, HOUR_MS

T = TypeVar("T")

RECENT_MS: Final = 2 * DAY_MS
"""Issues younger than this come first, by priority, in the hybrid order."""
HIDDEN: Final = frozenset({"done", "frozen"})
"""Categories of statuses whose issues a list shows only where it is asked for them."""
STATUS_KEY: Final = "status.custom"
"""The setting that says which statuses a project has of its own."""
READY_SORTS: Final = ("priority", "oldest", "hybrid")
"""Orders of ready work."""


# -- What is shown -----------------------------------------------------------------------------------------------
def wants_closed(request: ListIssues) -> bool:
    """Whether a list shows closed issues, and those of a hidden category, though no status is named."""
    return request.all or request.filter.closed_after is not None or request.filter.closed_before is not None


def own_statuses(setting: str) -> dict[str, str]:
    """The statuses of a project's own, name → category (empty where none is given), as the setting has them.

    None where the setting can't be read, since a newer release's rules let it be written. The statuses of every project
    mean what they mean.
    """
    try:
        return {each.name: each.category for each in custom_statuses(setting) if each.name not in STATUSES}
    except RefusedError:
        return {}


# -- Filters -----------------------------------------------------------------------------------------------------
class Times(NamedTuple, Generic[T]):
    """How the times of an issue, in milliseconds since 1970, and its status are read; None for a time it hasn't."""

    created: Callable[[T], int | None]
    updated: Callable[[T], int | None]
    closed: Callable[[T], int | None]
    due: Callable[[T], int | None]
    defer_until: Callable[[T], int | None]
    status: Callable[[T], str]


def time_tests(wanted: Filter, times: Times[T], now_ms: int) -> Iterator[Callable[[T], bool]]:
    """The parts of a filter about times that are given, each as a test."""
    if wanted.deferred:
        status_of, is_ahead = times.status, within(times.defer_until, now_ms, None)
        yield lambda each: status_of(each) == DEFERRED or is_ahead(each)
    for time_of, after, before in (
        (times.created, wanted.created_after, wanted.created_before),
        (times.updated, wanted.updated_after, wanted.updated_before),
        (times.closed, wanted.closed_after, wanted.closed_before),
        (times.due, wanted.due_after, wanted.due_before),
        (times.defer_until, wanted.defer_after, wanted.defer_before),
    ):
        if after is not None or before is not None:
            yield within(time_of, after, before)
    if wanted.overdue:
        of_status, is_late = times.status, within(times.due, None, now_ms)
        yield lambda each: of_status(each) != CLOSED and is_late(each)


def within(time_of: Callable[[T], int | None], after: int | None, before: int | None) -> Callable[[T], bool]:
    """Whether a time is there, after one moment and before another; None for no such bound."""

    def test(each: T) -> bool:
        ms = time_of(each)
        return ms is not None and (after is None or ms > after) and (before is None or ms < before)

    return test


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


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json_text.to_text(value)


# -- Orders and totals -------------------------------------------------------------------------------------------
def check_ready_sort(name: str) -> None:
    """Refuse an order that ready work hasn't.

    Raises:
        RefusedError: `invalid`.
    """
    if name not in READY_SORTS:
        raise RefusedError(f"can't sort ready work by {name!r}", hint=f"one of {', '.join(READY_SORTS)}")


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


def labels_in_use(request: Labels, count: Callable[[Count], Mapping[str, Any]]) -> list[dict[str, Any]]:
    """All labels in use, with the number of issues that have each.

    Args:
        request: what is asked for.
        count: what answers how many there are.
    """
    counted = count(Count(filter=Filter(projects=request.projects), by="label"))["groups"]
    return [{"label": row["group"], "count": row["count"]} for row in counted if row["group"]]
