"""Requests about leases that only read."""

from collections.abc import Callable, Iterator
from typing import Any, Final

from moot_protocol.clock import to_ms
from moot_protocol.requests.base import Request
from moot_protocol.requests.leases import Leases
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.task_leases import LeaseView, OwnKeys, document, fenced
from mootd.service.snapshot import Snapshot


def _leases(snapshot: Snapshot, request: Leases) -> list[dict[str, Any]]:
    del request
    view = LeaseView(snapshot.entities, snapshot.replica.ledger, snapshot.feed)
    own = OwnKeys(LogSnapshot(snapshot.reader), snapshot.replica)
    lost = fenced(snapshot.reader, view, own)
    now_ms = max(snapshot.now_ms, to_ms(snapshot.replica.clock.last))
    return [document(held, own, now_ms, lost.get(held.name, 0)) for held in view.all()]


def lease_alarms(snapshot: Snapshot) -> Iterator[dict[str, Any]]:
    """What a machine is told whose leases another has taken over."""
    if not any(plane.kind == "ledger" for plane in snapshot.replica.planes.values()):
        return
    view = LeaseView(snapshot.entities, snapshot.replica.ledger, snapshot.feed)
    own = OwnKeys(LogSnapshot(snapshot.reader), snapshot.replica)
    for name, epoch in fenced(snapshot.reader, view, own).items():
        yield {
            "code": "fenced",
            "severity": "warning",
            "message": f"another machine has taken over lease {name}, which this one held under epoch {epoch}",
            "hint": f"what was done on its behalf must stop; `moot lease release {name} {epoch}` takes this note away",
        }


LEASE_READS: Final[dict[type[Request[Any]], Callable[[Snapshot, Any], Any]]] = {Leases: _leases}
"""What each of these requests is answered with."""
