"""Reading requests, answered from a snapshot: what lists, `ready`, `show`, `prime` and their like need.

The answers are the daemon's for the moment when the snapshot was made, as far as it holds the issues; a request that
asks for what it doesn't hold is refused.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from moot.spool.filter import cannot, children, find, tests_of
from moot_protocol.errors import RefusedError
from moot_protocol.issues.handoff import read_handoff
from moot_protocol.issues.issue import CLOSED, TOMBSTONE
from moot_protocol.requests.base import Request
from moot_protocol.requests.claims import Handoffs
from moot_protocol.requests.issues import (
    Blocked,
    Children,
    Count,
    Edges,
    Labels,
    ListIssues,
    Ready,
    ResolveIds,
    Show,
    Stats,
)
from moot_protocol.requests.listing import Filter, IssueDoc, Page
from moot_protocol.requests.matching import (
    HIDDEN,
    STATUS_KEY,
    check_ready_sort,
    hybrid_key,
    labels_in_use,
    lead_time_hours,
    own_statuses,
    wants_closed,
)
from moot_protocol.requests.memories import Memories, Prime, Settings
from moot_protocol.spool.snapshot_file import Snapshot
from moot_protocol.times import instant_ms, instant_ns

_ONLY_SHOWN: Final = frozenset({"dependents", "_conflicts", "_missing", "_erased", "_blocked", "_short"})
"""What `show` tells of an issue and lists don't."""
_TEXTS: Final = frozenset({"description", "design", "acceptance_criteria", "notes", "comments"})
_HANDED_FIELDS: Final = ("issue_id", "id", "author", "created_at")
_PRIME_FIELDS: Final = ("id", "title", "priority", "status", "_short")
_EDGE_FIELDS: Final = (
    "id", "title", "status", "priority", "issue_type", "created_at", "updated_at", "assignee", "labels", "closed_at",
    "_alias", "_short",
)  # fmt: skip


class Reading(NamedTuple):
    """A snapshot, and when it is read."""

    snapshot: Snapshot
    now_ms: int

    def matching(self, wanted: Filter, issues: Iterable[IssueDoc]) -> list[IssueDoc]:
        """The issues that a filter lets through; deleted ones never."""
        tests = tests_of(self.snapshot, wanted, self.now_ms)
        return [issue for issue in issues if issue["status"] != TOMBSTONE and all(test(issue) for test in tests)]

    def at_hand(self, wanted: Filter, issues: Iterable[IssueDoc]) -> list[IssueDoc]:
        """As `matching`, without what a list leaves out that names no statuses: what is closed, done or frozen."""
        setting = next((each["value"] for each in self.snapshot.settings if each["key"] == STATUS_KEY), "")
        hidden = {CLOSED} | {name for name, category in own_statuses(setting).items() if category in HIDDEN}
        return [issue for issue in self.matching(wanted, issues) if issue["status"] not in hidden]

    def find(self, typed: str) -> IssueDoc:
        """The issue that was meant by what was typed.

        Raises:
            RefusedError: `not_found`, `ambiguous`.
        """
        return find(self.snapshot, typed, self.now_ms)

    def by_priority(self) -> list[IssueDoc]:
        """All issues, by priority and then newest first."""
        return sorted(self.snapshot.issues.values(), key=_by_priority)


def _ms(issue: IssueDoc, name: str) -> int:
    return instant_ms(issue.get(name)) or 0


def _ns(issue: IssueDoc, name: str) -> int:
    return instant_ns(issue.get(name)) or 0


def _by_priority(issue: IssueDoc) -> Any:
    return issue["priority"], -_ms(issue, "created_at"), issue["id"]


_SORTS: Final[dict[str, Callable[[IssueDoc], Any]]] = {
    "priority": _by_priority,
    "created": lambda issue: (-_ns(issue, "created_at"), issue["id"]),
    "updated": lambda issue: (-_ns(issue, "updated_at"), issue["id"]),
    "closed": lambda issue: (-_ns(issue, "closed_at"), issue["id"]),
    "status": lambda issue: (issue["status"], issue["priority"], issue["id"]),
    "id": lambda issue: issue["id"],
    "title": lambda issue: (issue["title"].casefold(), issue["id"]),
    "type": lambda issue: (issue["issue_type"], issue["priority"], issue["id"]),
    "assignee": lambda issue: (issue.get("assignee", ""), issue["priority"], issue["id"]),
}


# -- Lists -------------------------------------------------------------------------------------------------------
def _page(found: Sequence[IssueDoc], limit: int, *, texts: bool = False) -> Page:
    shown = found[:limit] if limit else found
    return Page(
        issues=[_told(issue, texts=texts) for issue in shown],
        total=len(found),
        truncated=len(shown) < len(found),
        short=[issue["_short"] for issue in shown],
    )


def _told(issue: IssueDoc, *, texts: bool) -> IssueDoc:
    """An issue as lists tell it."""
    hidden = _ONLY_SHOWN if texts else _ONLY_SHOWN | _TEXTS
    told = {name: value for name, value in issue.items() if name not in hidden}
    if texts:
        told["dependency_count"] = len(issue.get("dependencies", ()))
        told["dependent_count"] = len(issue.get("dependents", ()))
        told["comment_count"] = len(issue.get("comments", ()))
    return told


def _list(reading: Reading, request: ListIssues) -> Page:
    wanted = request.filter
    key = _SORTS.get(request.sort)
    if key is None:
        raise RefusedError(f"can't sort by {request.sort!r}", hint=f"one of {', '.join(_SORTS)}")
    closed = wants_closed(request)
    if (closed or CLOSED in wanted.statuses) and reading.snapshot.left_out:
        raise cannot(f"what is closed: it leaves {reading.snapshot.left_out} issues out")
    let_through = reading.matching if closed or wanted.statuses else reading.at_hand
    found = let_through(wanted, reading.snapshot.issues.values())
    found.sort(key=key, reverse=request.reverse)
    return _page(found, request.limit, texts=request.texts)


def _ready(reading: Reading, request: Ready) -> Page:
    if request.include_deferred or (request.include_ephemeral and not _holds_all_ephemeral(reading, request)):
        raise cannot("what is deferred or ephemeral")
    if request.filter.types:
        raise cannot("ready work by its type")
    check_ready_sort(request.sort)
    ready = [reading.snapshot.issues[name] for name in reading.snapshot.ready]
    found = reading.matching(request.filter, ready)
    if request.sort == "oldest":
        found.sort(key=lambda issue: (_ns(issue, "created_at"), issue["id"]))
    elif request.sort == "hybrid":
        found.sort(key=lambda issue: _hybrid(issue, reading.now_ms))
    return _page(found, request.limit, texts=request.texts)


def _holds_all_ephemeral(reading: Reading, request: Ready) -> bool:
    """Whether nothing ephemeral can be missing: below an issue of the project there is none but of the project."""
    return bool(request.filter.parent) and not any(issue.get("ephemeral") for issue in reading.snapshot.issues.values())


def _hybrid(issue: IssueDoc, now_ms: int) -> Any:
    return hybrid_key(_ms(issue, "created_at"), issue["priority"], issue["id"], now_ms)


def _blocked(reading: Reading, request: Blocked) -> Page:
    snapshot = reading.snapshot
    found = reading.matching(request.filter, [snapshot.issues[name] for name in snapshot.blocked])
    page = _page(found, request.limit, texts=request.texts)
    for issue in page.issues:
        issue["blocked_by"] = list(snapshot.blocked[issue["id"]])
        issue["blocked_by_count"] = len(issue["blocked_by"])
    return page


def _children(reading: Reading, request: Children) -> Page:
    found = children(reading.snapshot, reading.find(request.id)["id"])
    return _page(sorted(found, key=_by_priority), 0, texts=request.texts)


# -- One issue ---------------------------------------------------------------------------------------------------
def _show(reading: Reading, request: Show) -> list[IssueDoc]:
    if request.as_of is not None:
        raise cannot("what was once")
    return [dict(reading.find(typed)) for typed in request.ids]


def _resolve(reading: Reading, request: ResolveIds) -> list[str]:
    return [str(reading.find(typed)["id"]) for typed in request.ids]


def _edges(reading: Reading, request: Edges) -> list[dict[str, Any]]:
    issue = reading.find(request.id)
    if request.direction == "up":
        return [each for each in issue.get("dependents", ()) if request.type in ("", each["dependency_type"])]
    found = []
    for edge in issue.get("dependencies", ()):
        if request.type in ("", edge["type"]):
            other = reading.snapshot.issues.get(edge["depends_on_id"], {"id": edge["depends_on_id"]})
            told = {name: other[name] for name in _EDGE_FIELDS if name in other}
            found.append(told | {"dependency_type": edge["type"]})
    return found


def _handoffs(reading: Reading, request: Handoffs) -> list[dict[str, Any]]:
    found = []
    for comment in reading.find(request.id).get("comments", ()):
        if (handoff := read_handoff(comment)) is not None:
            about = {name: comment[name] for name in _HANDED_FIELDS if name in comment}
            found.append(about | msgspec.to_builtins(handoff))
    return found[::-1]


# -- Totals ------------------------------------------------------------------------------------------------------
def _count(reading: Reading, request: Count) -> dict[str, Any]:
    _check_whole(reading, "totals")
    found = reading.matching(request.filter, reading.snapshot.issues.values())
    if not (request.all or request.filter.statuses):
        found = [issue for issue in found if issue["status"] != CLOSED]
    groupings: dict[str, Callable[[IssueDoc], Sequence[Any]]] = {
        "status": lambda issue: (issue["status"],),
        "priority": lambda issue: (issue["priority"],),
        "type": lambda issue: (issue["issue_type"],),
        "assignee": lambda issue: (issue.get("assignee", ""),),
        "label": lambda issue: issue.get("labels") or ("",),
        "project": lambda _: (reading.snapshot.project,),
    }
    if not request.by:
        return {"total": len(found)}
    group_of = groupings.get(request.by)
    if group_of is None:
        raise RefusedError(f"can't count by {request.by!r}", hint=f"one of {', '.join(groupings)}")
    groups = Counter(group for issue in found for group in group_of(issue))
    rows = [{"group": group, "count": groups[group]} for group in sorted(groups, key=str)]
    return {"total": len(found), "groups": rows}


def _labels(reading: Reading, request: Labels) -> list[dict[str, Any]]:
    return labels_in_use(request, partial(_count, reading))


def _stats(reading: Reading, request: Stats) -> dict[str, Any]:
    _check_whole(reading, "totals")
    found = reading.matching(Filter(projects=request.projects), reading.snapshot.issues.values())
    statuses = Counter(issue["status"] for issue in found)
    closed = [issue for issue in found if issue["status"] == CLOSED and instant_ms(issue.get("closed_at")) is not None]
    lead_ms = [_ms(issue, "closed_at") - _ms(issue, "created_at") for issue in closed]
    return {
        "total": len(found),
        "open": statuses["open"],
        "in_progress": statuses["in_progress"],
        "closed": statuses[CLOSED],
        "blocked": len(reading.snapshot.blocked),
        "deferred": statuses["deferred"],
        "ready": len(reading.snapshot.ready),
        "pinned": sum(issue.get("pinned") is True for issue in found),
        "epics_closable": sum(_is_closable(reading, issue) for issue in found),
        "lead_time_hours": lead_time_hours(lead_ms),
    }


def _is_closable(reading: Reading, issue: IssueDoc) -> bool:
    if issue["issue_type"] != "epic" or issue["status"] == CLOSED:
        return False
    below = children(reading.snapshot, issue["id"])
    return bool(below) and all(child["status"] == CLOSED for child in below)


def _check_whole(reading: Reading, what: str) -> None:
    if reading.snapshot.left_out:
        raise cannot(f"{what}: it leaves {reading.snapshot.left_out} issues out")


# -- Memories ----------------------------------------------------------------------------------------------------
def _memories(reading: Reading, request: Memories) -> list[dict[str, Any]]:
    _check_project(reading, request.project)
    wanted = request.search.casefold()
    return [
        dict(each)
        for each in reading.snapshot.memories
        if request.key in {"", each["key"]} and (wanted in each["key"].casefold() or wanted in each["text"].casefold())
    ]


def _settings(reading: Reading, request: Settings) -> list[dict[str, Any]]:
    _check_project(reading, request.project)
    return [dict(each) for each in reading.snapshot.settings if each["key"].startswith(request.prefix)]


def _prime(reading: Reading, request: Prime) -> dict[str, Any]:
    _check_project(reading, request.project)
    snapshot = reading.snapshot
    if snapshot.shared:
        raise cannot("what an agent should know first: other towns write here, and what they wrote isn't told apart")
    mine = Filter(assignee=request.actor)
    claimed = reading.at_hand(mine, reading.by_priority())
    mine_ids = {issue["id"] for issue in claimed}
    ready = [snapshot.issues[name] for name in snapshot.ready if name not in mine_ids]
    newest_first = sorted(snapshot.memories, key=lambda each: (-each["updated_at"], each["key"]))
    return {
        "memories": [_remembered(each) for each in newest_first],
        "claimed": [_primed(issue) | _handed_over(issue) for issue in claimed],
        "ready": [_primed(issue) for issue in ready[: request.limit]],
        "ready_total": len(ready),
        "foreign": {"memories": 0, "issues": 0},
    }


def _remembered(memory: dict[str, Any]) -> dict[str, Any]:
    return {name: memory[name] for name in ("key", "text", "conflict") if memory.get(name)}


def _primed(issue: IssueDoc) -> dict[str, Any]:
    return {name: issue[name] for name in _PRIME_FIELDS}


def _handed_over(issue: IssueDoc) -> dict[str, bool]:
    """The mark of an issue that somebody has handed over."""
    return {"handoff": True} if any(map(read_handoff, issue.get("comments", ()))) else {}


def _check_project(reading: Reading, project: str) -> None:
    if project != reading.snapshot.project:
        raise cannot(f"what project {project or 'none'} holds")


SNAPSHOT_READS: Final[dict[type[Request[Any]], Callable[[Reading, Any], Any]]] = {
    ListIssues: _list,
    Ready: _ready,
    Blocked: _blocked,
    Children: _children,
    Show: _show,
    ResolveIds: _resolve,
    Edges: _edges,
    Handoffs: _handoffs,
    Count: _count,
    Labels: _labels,
    Stats: _stats,
    Memories: _memories,
    Settings: _settings,
    Prime: _prime,
}
"""What each request that a snapshot can answer is answered with."""
