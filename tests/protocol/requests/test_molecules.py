"""Requests about what issues are poured from only read."""

from moot_protocol.requests.molecules import MOLECULE_REQUESTS


def test_every_one_reads() -> None:
    assert all(not request.writes for request in MOLECULE_REQUESTS)
