"""Requests that only read: each is answered from one snapshot."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.merge.kinds import ISSUE
from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import Blocked, Children, Conflicts, Cycles, Edges, EdgeTree, History
from moot_protocol.requests.machine import Events, Prove, ProveEvent
from moot_protocol.requests.transfer import Export
from mootd.engine.issues import aliases, conflicts, history, trees
from mootd.engine.issues.holding import contest
from mootd.engine.listing import exporting
from mootd.engine.stored import layout
from mootd.engine.stored.log import StoredEvent
from mootd.engine.views.erasers import Erasers
from mootd.service.access.tokens import TOKEN_READS
from mootd.service.mail import MAIL_READS
from mootd.service.reading.audit import AUDIT_READS
from mootd.service.reading.claims import CLAIM_READS
from mootd.service.reading.documents import DOCUMENT_READS
from mootd.service.reading.federation import FEDERATION_READS
from mootd.service.reading.leases import LEASE_READS
from mootd.service.reading.membership import MEMBERSHIP_READS
from mootd.service.reading.memories import MEMORY_READS
from mootd.service.reading.molecules import MOLECULE_READS
from mootd.service.reading.queries import QUERY_READS
from mootd.service.reading.quick import QUICK_READS
from mootd.service.sharing import SHARE_READS
from mootd.service.snapshot import Snapshot
from mootd.store.port import Table

if TYPE_CHECKING:
    from mootd.engine.proving import Prover

EVENTS_PAGE: Final = 1000
_MOST_ARRIVALS: Final = 2**63


def _conflicts(snapshot: Snapshot, request: Conflicts) -> list[dict[str, Any]]:
    issues = snapshot.issues
    records = [issues.find(request.id)[2]] if request.id else list(conflicts.conflicting_issues(issues))
    found = [found for record in records for found in conflicts.conflicts_of(issues, record)]
    return found if request.id else [*found, *aliases.clashes(issues)]


def events_since(snapshot: Snapshot, request: Events) -> dict[str, Any]:
    """Events in order of arrival."""
    limit = min(request.limit or EVENTS_PAGE, EVENTS_PAGE)
    arrivals = snapshot.reader.scan(Table.EVENTS, b"\0")
    first = next((int.from_bytes(key, "big") for key, _ in arrivals), 0)
    last = None if request.since is None else min(max(request.since, 0), _MOST_ARRIVALS)
    if last is None:
        newest = snapshot.reader.scan(Table.EVENTS, b"\0", reverse=True)
        return {"events": [], "next": next((int.from_bytes(key, "big") for key, _ in newest), 0), "first": first}
    found: list[dict[str, Any]] = []
    erasers = Erasers(snapshot.entities)
    for key, _ in snapshot.reader.scan(Table.EVENTS, layout.arrival_key(last + 1)):
        last = int.from_bytes(key, "big")
        stored = snapshot.entities.log.event(last)
        if request.kind in ("", stored.event.skeleton.kind):
            plane = snapshot.feed(stored.feed).plane
            shown = history.describe(snapshot.entities, plane, stored, erasers)
            shown |= snapshot.origin_of(plane, stored.feed) | _contested(snapshot, plane, stored)
            shown["own"] = snapshot.feed(stored.feed).author == snapshot.replica.id
            found.append({"arrival": last, "id": shown["entity"], **shown})
        if len(found) == limit:
            break
    return {"events": found, "next": last, "first": first}


def _contested(snapshot: Snapshot, plane: int, stored: StoredEvent) -> dict[str, Any]:
    """What an event that claims an issue is told with, where others claimed it too, and how that came out."""
    skeleton = stored.event.skeleton
    if skeleton.kind != ISSUE or not any(change.key == "assignee" for change in skeleton.changes):
        return {}
    found = contest(snapshot.entities, plane, skeleton.entity)
    return {"contested": found} if found else {}


def _prover(snapshot: Snapshot) -> "Prover":
    from mootd.engine.proving import Prover  # few daemons ever prove anything

    return Prover(snapshot.replica, snapshot.entities)


def _prove(snapshot: Snapshot, request: Prove) -> list[dict[str, Any]]:
    _, _, record = snapshot.issues.find(request.id)
    found = []
    prover, erasers = _prover(snapshot), Erasers(snapshot.entities)
    for stored in snapshot.entities.log.history(record.head):
        if request.n not in (None, stored.event.n):
            continue
        what = history.describe(snapshot.entities, record.plane, stored, erasers)
        if what["author"].startswith(request.author):
            found.append({"proof": prover.proof_of(stored), "what": what})
    if not found:
        raise RefusedError(
            f"no event {request.n}{'@' if request.author else ''}{request.author} of {request.id}",
            code=Code.NOT_FOUND,
            hint=f"`moot history {request.id}` shows the number of each as n=N; arrival numbers are others",
        )
    return found


def _prove_event(snapshot: Snapshot, request: ProveEvent) -> list[dict[str, Any]]:
    wanted = request.author or key_text(snapshot.replica.id)
    found = []
    prover, erasers = _prover(snapshot), Erasers(snapshot.entities)
    for row in list(snapshot.replica.feeds.values()):
        stored = (
            snapshot.entities.stored(row.plane, (row.author, request.n))
            if key_text(row.author).startswith(wanted)
            else None
        )
        if stored is not None:
            what = history.describe(snapshot.entities, row.plane, stored, erasers)
            found.append({"proof": prover.proof_of(stored), "what": what})
    if not found:
        raise RefusedError(
            f"no event {request.n} of {request.author or 'this machine'}",
            code=Code.NOT_FOUND,
            hint="`moot events --since 0` shows the number and the machine of each as n=N@KEY, its own as n=N",
        )
    return found


def _history(snapshot: Snapshot, request: History) -> list[dict[str, Any]]:
    own = key_text(snapshot.replica.id)
    events = history.history(snapshot.issues, request.id, request.limit)
    return [event | {"own": event["author"] == own} for event in events]


READS: Final[dict[type[Request[Any]], Callable[[Snapshot, Any], Any]]] = {
    Blocked: lambda snapshot, request: snapshot.lists(request.filter.plane).blocked(request),
    Children: lambda snapshot, request: snapshot.lists("").children(request),
    History: _history,
    Conflicts: _conflicts,
    Edges: lambda snapshot, request: trees.list_edges(snapshot.issues, request),
    EdgeTree: lambda snapshot, request: trees.edge_tree(snapshot.issues, request),
    Cycles: lambda snapshot, request: trees.cycles(snapshot.issues),
    Export: lambda snapshot, request: exporting.export_page(
        snapshot.issues_of(request.filter.plane), request, snapshot.now_ms
    ),
    Events: events_since,
    Prove: _prove,
    ProveEvent: _prove_event,
    **QUICK_READS,
    **CLAIM_READS,
    **MOLECULE_READS,
    **MEMBERSHIP_READS,
    **QUERY_READS,
    **MEMORY_READS,
    **DOCUMENT_READS,
    **SHARE_READS,
    **MAIL_READS,
    **FEDERATION_READS,
    **AUDIT_READS,
    **TOKEN_READS,
    **LEASE_READS,
}
"""What each reading request is answered with."""
