"""Requests that read the audit stream: the newest records, the whole of it, and whether its chain holds."""

from collections.abc import Callable
from itertools import islice
from typing import Any, Final

from moot_protocol.errors import RefusedError
from moot_protocol.limits import AUDIT_RECORDS
from moot_protocol.requests.audit import ExportAudit, ListAudit, VerifyAudit
from moot_protocol.requests.base import Request
from mootd.engine.audit import Chain, Place, is_of, newest
from mootd.service.snapshot import Snapshot

_NO_CURSOR: Final = "this is no cursor of an audit"


def _list(snapshot: Snapshot, request: ListAudit) -> dict[str, Any]:
    limit = min(request.limit, AUDIT_RECORDS) if request.limit > 0 else AUDIT_RECORDS
    every = newest(snapshot.entities, snapshot.replica.planes, request.since_ms)
    found = list(islice((each for each in every if is_of(each, request.by, request.event_type)), limit + 1))
    return {"records": found[:limit], "truncated": len(found) > limit}


def _export(snapshot: Snapshot, request: ExportAudit) -> dict[str, Any]:
    chain = Chain(snapshot.reader, snapshot.replica)
    stretch = chain.follow(_place(request.cursor)[0])
    head, n = chain.head()
    last = {"head": head.hex(), "n": n} if stretch.done else {"head": "", "n": 0}
    return {"records": stretch.records, "cursor": "" if stretch.done else _cursor(stretch.place, found=False)} | last


def _verify(snapshot: Snapshot, request: VerifyAudit) -> dict[str, Any]:
    try:
        wanted = bytes.fromhex(request.head)
    except ValueError as error:
        raise RefusedError(f"{request.head} is no head", hint="`moot audit export` ends with one") from error
    chain = Chain(snapshot.reader, snapshot.replica)
    place, found = _place(request.cursor)
    stretch = chain.follow(place)
    found = found or (bool(wanted) and wanted in stretch.heads)
    head, n = chain.head()
    return {
        "done": stretch.done,
        "cursor": _cursor(stretch.place, found=found),
        "progress": [stretch.place.batches, max(stretch.place.batches, 0 if stretch.done else chain.total())],
        "problems": [{"where": where, "problem": problem} for where, problem in stretch.problems],
        "records": stretch.place.records,
        "head": head.hex(),
        "n": n,
        "head_found": found,
    }


def _cursor(place: Place, *, found: bool) -> str:
    return f"{place.feed} {place.n} {place.head.hex()} {place.records} {place.batches} {int(found)}"


def _place(cursor: str) -> tuple[Place, bool]:
    """Where to go on, and whether the head that is looked for was met already."""
    if not cursor:
        return Place(), False
    try:
        feed, n, head, records, batches, found = cursor.split(" ")
        place = Place(int(feed), int(n), bytes.fromhex(head), int(records), int(batches))
    except ValueError as error:
        raise RefusedError(_NO_CURSOR, hint="begin without one") from error
    if place.feed < 0 or not 0 <= place.n < 2**63:
        raise RefusedError(_NO_CURSOR, hint="begin without one")
    return place, found == "1"


AUDIT_READS: Final[dict[type[Request[Any]], Callable[[Snapshot, Any], Any]]] = {
    ListAudit: _list,
    ExportAudit: _export,
    VerifyAudit: _verify,
}
"""What each of these requests is answered with."""
