"""Every request about claims that writes is carried out in one place."""

from moot_protocol.requests.claims import CLAIM_REQUESTS
from mootd.service.writing.claims import CLAIM_WRITES, PLANELESS_CLAIM_WRITES


def test_each_is_carried_out_once() -> None:
    writing = {request for request in CLAIM_REQUESTS if request.writes}
    assert CLAIM_WRITES.keys() | PLANELESS_CLAIM_WRITES.keys() == writing
    assert not CLAIM_WRITES.keys() & PLANELESS_CLAIM_WRITES.keys()
