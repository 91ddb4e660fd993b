"""What goes into a workspace's snapshot: the issues and memories of its project, read at one moment."""

from collections.abc import Iterator

from msgspec.structs import replace

from moot_protocol.issues.issue import CLOSED
from moot_protocol.limits import SNAPSHOT_ISSUES
from moot_protocol.requests.issues import Blocked, Count, ListIssues, Ready, Show
from moot_protocol.requests.listing import Filter, IssueDoc
from moot_protocol.requests.memories import Memories, Settings
from moot_protocol.spool.snapshot_file import Kept, Place, Totals, build_snapshot
from mootd.engine.issues.holding import lost_claims
from mootd.engine.issues.mirroring import plane_number
from mootd.engine.membership.former import OwnTown
from mootd.engine.replica import Replica
from mootd.engine.spools import SpoolRow
from mootd.service.reading.reads import READS
from mootd.service.snapshot import Snapshot
from mootd.store.port import Reader


def snapshot_body(replica: Replica, row: SpoolRow) -> bytes:
    """The body of a snapshot of a spool's project, as of now."""
    now_ms = replica.wall.now_ms()
    wanted = Filter(projects=(row.project,), plane=row.plane)
    with replica.read() as reader:
        snapshot = Snapshot(replica, reader, now_ms)
        read = READS
        issues, totals = _issues(snapshot, wanted)
        blocked = read[Blocked](snapshot, Blocked(filter=wanted, limit=0)).issues
        return build_snapshot(
            Place(row.workspace, row.project, row.plane, now_ms, _is_shared(replica, reader, row)),
            issues,
            [issue["id"] for issue in read[Ready](snapshot, Ready(filter=wanted, limit=0)).issues],
            {issue["id"]: issue["blocked_by"] for issue in blocked},
            Kept(
                read[Memories](snapshot, Memories(project=row.project, plane=row.plane)),
                read[Settings](snapshot, Settings(project=row.project, plane=row.plane)),
                _lost(snapshot, row),
            ),
            totals,
        )


def _issues(snapshot: Snapshot, wanted: Filter) -> tuple[list[IssueDoc], Totals]:
    """The issues in full, and how many there are.

    Those not closed come first, by priority, then the latest closed, as many as a snapshot may hold.
    """
    counted = READS[Count](snapshot, Count(filter=wanted, by="status"))
    numbers = {row["group"]: row["count"] for row in counted["groups"]}
    total, closed = counted["total"], numbers.pop(CLOSED, 0)
    names: list[str] = []
    # Statuses are named: a list leaves out what a project counts as done or frozen, where none is.
    for statuses, sort in ((tuple(numbers), "priority"), ((CLOSED,), "closed")):
        left = SNAPSHOT_ISSUES - len(names)
        if statuses and left > 0:
            of_these = replace(wanted, statuses=statuses)
            page = READS[ListIssues](snapshot, ListIssues(filter=of_these, sort=sort, limit=left))
            names += [issue["id"] for issue in page.issues]
    found: list[IssueDoc] = READS[Show](snapshot, Show(ids=tuple(names)))
    return found, Totals(total, total - closed)


def _lost(snapshot: Snapshot, row: SpoolRow) -> Iterator[tuple[str, str, str]]:
    """Claims of the project's issues that were made on this machine, and that others have taken."""
    plane = plane_number(snapshot.replica, bytes.fromhex(row.plane))
    for actor, claim in lost_claims(snapshot.reader, snapshot.entities, plane, row.project):
        yield actor, claim.issue, claim.holder


def _is_shared(replica: Replica, reader: Reader, row: SpoolRow) -> bool:
    """Whether another town has written on the project's plane."""
    plane = next((each for each in replica.planes.values() if each.id.hex() == row.plane), None)
    if plane is None:
        return False
    feeds, own = list(replica.feeds.values()), OwnTown(reader, plane)
    return any(feed.plane == plane.number and feed.n and feed.town and feed.town not in own for feed in feeds)
