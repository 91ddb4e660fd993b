"""Every request about gates that writes is carried out in one place."""

from moot_protocol.requests.gates import GATE_REQUESTS
from mootd.service.writing.gates import GATE_WRITES, PLANELESS_GATE_WRITES


def test_each_is_carried_out_once() -> None:
    assert GATE_WRITES.keys() | PLANELESS_GATE_WRITES.keys() == set(GATE_REQUESTS)
    assert not GATE_WRITES.keys() & PLANELESS_GATE_WRITES.keys()
