"""Only planes whose rule says so may leave a machine."""

import pytest

from moot_protocol.errors import Code
from moot_testkit.refusals import refusal_code
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.shared_plane import SharedPlane


@pytest.mark.parametrize("kind", ["operational", "", "ledgers", "LEDGER"])
def test_only_planes_whose_rule_says_so_can_be_shared(kind: str) -> None:
    row = PlaneRow(1, bytes(16), kind, "a name", bytes(32))
    assert refusal_code(lambda: SharedPlane(row)) is Code.DENIED


@pytest.mark.parametrize("kind", ["ledger", "federation"])
def test_ledgers_and_federations_can_be_shared(kind: str) -> None:
    assert SharedPlane(PlaneRow(3, b"x" * 16, kind, "a name", bytes(32))).number == 3
