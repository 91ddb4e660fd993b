"""A sibling is ranked by time, author and number, and a missing value is like nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.merge.register import MISSING, Sibling
from moot_testkit.bytes.strategies import hashes

siblings = st.builds(Sibling, st.none(), st.integers(1, 3), hashes | st.just(bytes(32)), st.integers(1, 3))


@given(siblings, siblings)
def test_time_comes_before_author_and_author_before_number(one: Sibling, other: Sibling) -> None:
    expected = (one.hlc, one.author, one.n) < (other.hlc, other.author, other.n)
    assert (one.rank < other.rank) is expected


def test_a_missing_value_is_no_value() -> None:
    nothing: list[object] = [None, "", 0, False]
    assert MISSING not in nothing
    assert repr(MISSING) == "MISSING"
