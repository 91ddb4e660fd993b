"""Requests that read what a project remembers, and what an agent is told first.

Invariant: nothing that was written in another town reaches `prime` unless somebody of this town has written over it:
whoever may write on a shared plane could else speak to every agent here.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

from moot_protocol.clock import to_ms
from moot_protocol.ids import key_text
from moot_protocol.issues.issue import CLOSED
from moot_protocol.merge.kinds import MEMORY, SETTING
from moot_protocol.merge.register import MISSING
from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import ListIssues, Ready
from moot_protocol.requests.listing import Filter, IssueDoc
from moot_protocol.requests.memories import Memories, Prime, Settings
from mootd.engine.issues.handoffs import handoffs_of
from mootd.engine.issues.origins import ORIGIN
from mootd.engine.membership.former import OwnTown
from mootd.engine.memories import Kept, Shelf, is_foreign
from mootd.engine.planes import issue_plane_meant, issue_planes
from mootd.engine.stored.log import PlaneRow
from mootd.service.snapshot import Snapshot

_OF_ISSUE: Final = ("id", "title", "priority", "status")
_LOOKED_AT: Final = 500
"""Issues of each sort that are looked at: what is foreign among them is left out."""

_HANDED_OVER: Final = 5
"""Claimed issues whose comments are looked through for hand-offs: about as many as are told."""


def _plane(snapshot: Snapshot, project: str, plane: str) -> PlaneRow:
    """The plane of a project: the one named, else the first that has it, else the machine's ledger."""
    planes = snapshot.replica.planes
    if plane:
        return issue_plane_meant(planes, plane)
    projects = snapshot.replica.projects
    holding = (row for row in issue_planes(planes) if (row.number, project) in projects)
    return next(holding, None) or snapshot.replica.ledger


def _shelf(snapshot: Snapshot, kind: str, project: str, plane: str) -> Shelf:
    row = _plane(snapshot, project, plane) if project else snapshot.replica.ledger
    return Shelf(snapshot.entities, row, kind, project, snapshot.feed)


# -- Memories and settings ---------------------------------------------------------------------------------------
def _memories(snapshot: Snapshot, request: Memories) -> list[dict[str, Any]]:
    wanted = request.search.casefold()
    plane = _plane(snapshot, request.project, request.plane) if request.project else snapshot.replica.ledger
    shelf = _shelf(snapshot, MEMORY, request.project, request.plane)
    found = shelf.disputed(request.key) if request.conflicts else shelf.all(request.key)
    return [
        {
            "key": kept.key,
            "text": kept.text,
            "updated_at": to_ms(kept.updated),
            "foreign": kept.foreign,
            "conflict": kept.conflict,
        }
        | _values(snapshot, plane, kept)
        | _origin(snapshot, plane, kept)
        for kept in found
        if request.key in {"", kept.key} and any(wanted in words.casefold() for words in _words(kept))
    ]


def _words(kept: Kept) -> Iterator[str]:
    """What a memory is searched in: its key and all of its texts."""
    yield from (kept.key, kept.text)
    yield from (each.value for each in kept.values if isinstance(each.value, str))


def _values(snapshot: Snapshot, plane: PlaneRow, kept: Kept) -> dict[str, Any]:
    """All that was written apart, and who wrote it; nothing where there is no conflict."""
    told = []
    for each in kept.values:
        origin = snapshot.origins.of_author(plane.number, each.author)
        told.append(
            {
                "value": None if each.value is MISSING else each.value,
                "actor": each.actor,
                "at": to_ms(each.hlc),
                "author": key_text(each.author),
                "n": each.n,
            }
            | ({} if origin is None else {ORIGIN: origin})
        )
    return {"values": told} if told else {}


def _origin(snapshot: Snapshot, plane: PlaneRow, kept: Kept) -> dict[str, Any]:
    """Which replicas of which other towns wrote the text; nothing where none did."""
    told = [snapshot.origins.of_author(plane.number, author) for author in kept.authors] if kept.foreign else []
    found = [each for each in told if each is not None]
    return {ORIGIN: found} if found else {}


def _settings(snapshot: Snapshot, request: Settings) -> list[dict[str, Any]]:
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for scope, project in (("town", ""), ("project", request.project)):
        if project or (scope == "town" and snapshot.replica.settings_plane):
            plane = _plane(snapshot, project, request.plane) if project else snapshot.replica.ledger
            shelf = _shelf(snapshot, SETTING, project, request.plane)
            for kept in shelf.disputed(request.prefix) if request.conflicts else shelf.all(request.prefix):
                said = {"key": kept.key, "value": kept.text, "of": scope, "conflict": kept.conflict}
                told = said | _values(snapshot, plane, kept) | _origin(snapshot, plane, kept)
                found[kept.key, scope if request.conflicts else ""] = told
    return [found[key] for key in sorted(found)]


# -- Prime -------------------------------------------------------------------------------------------------------
def _prime(snapshot: Snapshot, request: Prime) -> dict[str, Any]:
    row = _plane(snapshot, request.project, request.plane)
    kept = list(_shelf(snapshot, MEMORY, request.project, request.plane).all())
    own = sorted((each for each in kept if not each.foreign), key=_newest_first)
    plane = row.id.hex()
    place = Filter(projects=(request.project,), plane=plane)
    mine = Filter(projects=(request.project,), plane=plane, assignee=request.actor, exclude_statuses=(CLOSED,))
    lists = snapshot.lists(plane)
    claimed = lists.issues(ListIssues(filter=mine, limit=_LOOKED_AT, sort="priority")).issues
    # Where nobody else writes, no more has to be looked at than is told.
    looked_at = _LOOKED_AT if _is_shared(snapshot, row) else request.limit + len(claimed)
    ready = lists.ready(Ready(filter=place, limit=looked_at))
    mine_ids = {issue["id"] for issue in claimed}
    waiting = [issue for issue in ready.issues if issue["id"] not in mine_ids]
    own_claimed, foreign_claimed = _own(snapshot, row, claimed)
    own_ready, foreign_ready = _own(snapshot, row, waiting)
    return {
        "memories": [{"key": each.key, "text": each.text} | _mark(each) for each in own],
        "claimed": _with_handoffs(snapshot, row, own_claimed),
        "ready": own_ready[: request.limit],
        "ready_total": None if ready.truncated else len(own_ready),
        "foreign": {"memories": len(kept) - len(own), "issues": foreign_claimed + foreign_ready},
    }


def _is_shared(snapshot: Snapshot, plane: PlaneRow) -> bool:
    """Whether another town has written on a plane."""
    feeds = list(snapshot.replica.feeds.values())
    own = OwnTown(snapshot.reader, plane)
    return any(row.plane == plane.number and row.n and row.town and row.town not in own for row in feeds)


def _mark(kept: Kept) -> dict[str, bool]:
    return {"conflict": True} if kept.conflict else {}


def _newest_first(kept: Kept) -> tuple[int, str]:
    return -kept.updated, kept.key


def _own(snapshot: Snapshot, plane: PlaneRow, issues: list[IssueDoc]) -> tuple[list[dict[str, Any]], int]:
    """The issues whose titles this town stands behind, and how many others there are."""
    found = snapshot.issues_of(plane.id.hex())
    town = OwnTown(snapshot.reader, plane)
    own: list[dict[str, Any]] = []
    for issue in issues:
        _, _, record = found.find(issue["id"])
        if not is_foreign(record, "title", snapshot.feed, town):
            short = found.names.unique_chars(issue["id"])
            own.append({name: issue[name] for name in _OF_ISSUE} | {"_short": short})
    return own, len(issues) - len(own)


def _with_handoffs(snapshot: Snapshot, plane: PlaneRow, claimed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The first of the claimed issues marked where something was handed over; not what: others may have written it."""
    found = snapshot.issues_of(plane.id.hex())
    for issue in claimed[:_HANDED_OVER]:
        if handoffs_of(found.document(found.find(issue["id"])[2])):
            issue["handoff"] = True
    return claimed


MEMORY_READS: Final[dict[type[Request[Any]], Callable[[Snapshot, Any], Any]]] = {
    Memories: _memories,
    Settings: _settings,
    Prime: _prime,
}
"""What each of them is answered with."""
