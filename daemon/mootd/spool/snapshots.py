"""What goes into a workspace's snapshot: the issues and memories of its project, read at one moment."""

from collections.abc import Iterator

from moot_protocol.issue import CLOSED
from moot_protocol.limits import SNAPSHOT_ISSUES
from moot_protocol.listing import Filter, IssueDoc
from moot_protocol.memory_requests import Memories, Settings
from moot_protocol.requests import Blocked, Count, ListIssues, Ready, Show
from moot_protocol.snapshot_file import Kept, Place, Totals, build_snapshot
from mootd.engine.former import OwnTown
from mootd.engine.issues.holding import lost_claims
from mootd.engine.issues.mirroring import plane_number
from mootd.engine.replica import Replica
from mootd.engine.spools import SpoolRow
from mootd.service.reads import READS
from mootd.service.snapshot import Snapshot
from mootd.store.port import Reader


def snapshot_body(replica: Replica, row: SpoolRow) -> bytes:
    """The body of a snapshot of a spool's project, as of now."""
    now_ms = replica.wall.now_ms()
    wanted = Filter(projects=(row.project,), plane=row.plane)
    with replica.read() as reader:
        snapshot = Snapshot(replica, reader, now_ms)
        read = READS
        issues, not_closed = _issues(snapshot, wanted)
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
            Totals(read[Count](snapshot, Count(filter=wanted))["total"], not_closed),
        )


def _issues(snapshot: Snapshot, wanted: Filter) -> tuple[list[IssueDoc], int]:
    """The issues in full, and how many aren't closed.

    Those not closed come first, by priority, then the latest closed, as many as a snapshot may hold.
    """
    first = READS[ListIssues](snapshot, ListIssues(filter=wanted, limit=SNAPSHOT_ISSUES))
    names = [issue["id"] for issue in first.issues]
    not_closed = len(names)
    if first.truncated:
        not_closed = READS[Count](snapshot, Count(filter=wanted, all=False))["total"]
    left = SNAPSHOT_ISSUES - len(names)
    if left > 0:
        closed = Filter(projects=wanted.projects, plane=wanted.plane, statuses=(CLOSED,))
        page = READS[ListIssues](snapshot, ListIssues(filter=closed, sort="closed", limit=left))
        names += [issue["id"] for issue in page.issues]
    found: list[IssueDoc] = READS[Show](snapshot, Show(ids=tuple(names)))
    return found, not_closed


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
