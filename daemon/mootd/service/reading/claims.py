"""Requests that read who holds an issue, what others know of it, and what was handed over."""

from collections.abc import Callable
from typing import Any, Final

from moot_protocol.exchange.frontier import Entry, Frontier, summary
from moot_protocol.ids import key_text
from moot_protocol.issues.issue import facts
from moot_protocol.requests.base import Request
from moot_protocol.requests.claims import ClaimPeers, Handoffs
from moot_protocol.time_units import MINUTE_MS
from mootd.engine.issues.handoffs import handoffs_of
from mootd.engine.machine.members import seen
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.views.record import live_of
from mootd.service.snapshot import Snapshot

LIVE_MS: Final = 3 * MINUTE_MS
"""A machine that was heard of within this time counts as live: one on a line to a broker speaks every minute."""


def _frontier(snapshot: Snapshot, plane: int) -> Frontier:
    source = LogSnapshot(snapshot.reader)
    rows = (source.feed(number) for number in source.numbers(plane))
    return tuple(Entry(row.author, row.n, row.head, row.forked_at) for row in rows if row.n or row.forked_at)


def _claim_peers(snapshot: Snapshot, request: ClaimPeers) -> dict[str, Any]:
    _, _, record = snapshot.issues.find(request.id)
    plane = record.plane
    here = summary(_frontier(snapshot, plane))
    peers = [
        {
            "replica": key_text(member),
            "heard_ms": row.at_ms,
            "agrees": row.summary == here,
        }
        for member, row in seen(snapshot.reader, plane).items()
        if member != snapshot.replica.id and row.at_ms > snapshot.now_ms - LIVE_MS
    ]
    holder = facts(live_of(record, snapshot.entities.author_of)).assignee
    return {"holder": holder, "peers": peers}


def _handoffs(snapshot: Snapshot, request: Handoffs) -> list[dict[str, Any]]:
    issues = snapshot.issues
    return handoffs_of(issues.document(issues.find(request.id)[2]))


CLAIM_READS: Final[dict[type[Request[Any]], Callable[[Snapshot, Any], Any]]] = {
    ClaimPeers: _claim_peers,
    Handoffs: _handoffs,
}
"""What each of them is answered with."""
