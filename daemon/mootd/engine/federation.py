"""What of a plane a remote isn't known to carry, and what other towns have written.

Invariant: what is told to leave is at least what will: knowing less of a remote than is true tells too much, never too
little.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from moot_protocol.merge.kinds import CHARTER, CHARTER_KINDS
from mootd.engine.exchange.carried import carried
from mootd.engine.issues import history
from mootd.engine.machine.remotes import RemoteRow
from mootd.engine.planes import issue_plane_meant, issue_planes
from mootd.engine.state import State
from mootd.engine.stored.log import FeedRow, LogReader, PlaneRow, StoredEvent
from mootd.engine.views.entities import Entities
from mootd.engine.views.erasers import Erasers
from mootd.store.port import Reader


def shared_planes(replica: State, named: str) -> list[PlaneRow]:
    """The plane that is named; else all federation planes, and ledgers that another town is on."""
    if named:
        return [issue_plane_meant(replica.planes, named)]
    feeds = list(replica.feeds.values())
    several = {row.plane for row in feeds if row.n and row.town not in (b"", replica.planes[row.plane].town)}
    return [row for row in issue_planes(replica.planes) if row.kind == "federation" or row.number in several]


def lacking(replica: State, reader: Reader, remote: RemoteRow, plane: PlaneRow) -> Iterator[tuple[int, FeedRow, int]]:
    """(feed, its row, the last event that the remote is known to carry) of feeds that it doesn't carry whole."""
    known = carried(reader, remote.number, plane.number)
    for number, row in sorted(replica.feeds.items()):
        if row.plane != plane.number or not row.n:
            continue
        places = known[row.author].places if row.author in known else ()
        if (row.n, row.head) not in places:
            # Of a feed with several branches only a place on the one that counts would say how much of it is there.
            yield number, row, max((n for n, _ in places), default=0) if len(places) == 1 else 0


def ahead(replica: State, reader: Reader, remote: RemoteRow, plane: PlaneRow) -> int:
    """How many events the remote isn't known to carry."""
    return sum(max(row.n - n, 1) for _, row, n in lacking(replica, reader, remote, plane))


def leaving(replica: State, reader: Reader, remote: RemoteRow, plane: PlaneRow) -> Iterator[StoredEvent]:
    """The events that the remote isn't known to carry, feed by feed."""
    log = LogReader(reader)
    for number, _, n in lacking(replica, reader, remote, plane):
        first = log.batch_holding(number, n) if n else None
        for _, batch in log.batches(number, first.header.first if first is not None else 1):
            yield from (stored for stored in log.events_of(batch) if stored.event.n > n)


def by_entity(
    entities: Entities, plane: PlaneRow, events: Mapping[tuple[str, str], list[StoredEvent]]
) -> list[dict[str, Any]]:
    """What events change, by what they are about, as people read it; of charters only that they do."""
    told = []
    erasers = Erasers(entities)
    for (kind, name), found in events.items():
        described = [history.describe(entities, plane.number, stored, erasers) for stored in found]
        changes = [change for each in described for change in each["changes"]]
        told.append(
            {
                "kind": kind,
                "entity": name,
                "actors": sorted({each["actor"] for each in described}),
                "events": len(found),
                "changes": [] if kind in CHARTER_KINDS or kind == CHARTER else changes,
            }
        )
    return told
