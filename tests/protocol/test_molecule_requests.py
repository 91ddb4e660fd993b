"""Requests about what issues are poured from only read."""

from moot_protocol.methods import REQUESTS
from moot_protocol.molecule_requests import MOLECULE_REQUESTS


def test_every_one_is_known_and_reads() -> None:
    assert all(REQUESTS[request.method] is request and not request.writes for request in MOLECULE_REQUESTS)
