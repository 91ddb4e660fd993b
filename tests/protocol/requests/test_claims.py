"""Requests about claims: the right ones change the log."""

from moot_protocol.requests.claims import CLAIM_REQUESTS


def test_what_changes_the_log_says_so() -> None:
    writing = {request.method for request in CLAIM_REQUESTS if request.writes}
    assert writing == {"claim_ready", "unclaim", "heartbeat", "claims_told", "write_handoff"}
