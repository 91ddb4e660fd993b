"""Requests about gates are known and change the log."""

from moot_protocol.gate_requests import GATE_REQUESTS
from moot_protocol.methods import REQUESTS


def test_every_one_is_known_by_its_method_and_writes() -> None:
    assert all(REQUESTS[request.method] is request and request.writes for request in GATE_REQUESTS)
