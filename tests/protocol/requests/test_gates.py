"""Requests about gates change the log."""

from moot_protocol.requests.gates import GATE_REQUESTS


def test_every_one_writes() -> None:
    assert all(request.writes for request in GATE_REQUESTS)
