"""Requests that change who holds an issue: which function of the engine carries out which."""

from collections.abc import Callable
from typing import Any, Final

from moot_protocol.requests.base import Request
from moot_protocol.requests.claims import ClaimReady, ClaimsTold, Heartbeat, Unclaim, WriteHandoff
from mootd.engine.claims import claim_ready, claims_told, heartbeat, unclaim
from mootd.engine.issues.handoffs import write_handoff
from mootd.engine.issues.mutations import IssueWriter
from mootd.engine.unit import Unit

CLAIM_WRITES: Final[dict[type[Request[Any]], Callable[[IssueWriter, Any], Any]]] = {
    Unclaim: unclaim,
    WriteHandoff: write_handoff,
}
"""What each of these requests does, on the plane that holds its issue."""

PLANELESS_CLAIM_WRITES: Final[dict[type[Request[Any]], Callable[[Unit, Any], Any]]] = {
    ClaimReady: claim_ready,
    Heartbeat: heartbeat,
    ClaimsTold: claims_told,
}
"""As `CLAIM_WRITES`, of requests that find their planes themselves."""
