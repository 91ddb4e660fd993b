"""How attempts to come back spread."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mootd.backoff import full_jitter

FRACTIONS = st.floats(0, 1, exclude_max=True)


@given(attempt=st.integers(0, 10_000), fraction=FRACTIONS)
def test_a_wait_is_never_longer_than_its_window_nor_the_window_than_the_cap(attempt: int, fraction: float) -> None:
    assert 0 <= full_jitter(attempt, 0.5, 300, fraction) <= min(300, 0.5 * 2 ** min(attempt, 20))


@given(attempt=st.integers(0, 30), fraction=FRACTIONS)
def test_the_window_doubles_until_it_reaches_the_cap(attempt: int, fraction: float) -> None:
    unlimited = 2.0**40
    wait, next_wait = (full_jitter(each, 1, unlimited, fraction) for each in (attempt, attempt + 1))
    assert next_wait == 2 * wait
    assert full_jitter(attempt, 1, 1, fraction) == fraction


def test_fifty_that_come_back_at_once_use_every_tenth_of_the_window() -> None:
    waits = [full_jitter(3, 1, 60, (number + 0.5) / 50) for number in range(50)]
    assert Counter(int(wait / 0.8) for wait in waits) == dict.fromkeys(range(10), 5)


@pytest.mark.parametrize(
    ("attempt", "base_s", "cap_s", "random01"),
    [(-1, 1, 60, 0.5), (0, 0, 60, 0.5), (0, 2, 1, 0.5), (0, 1, 60, 1.0), (0, 1, 60, -0.1), (0, 1, 60, float("nan"))],
    ids=["attempt", "base", "cap", "one", "negative", "nan"],
)
def test_what_makes_no_sense_is_refused(attempt: int, base_s: float, cap_s: float, random01: float) -> None:
    with pytest.raises(ValueError, match="no back-off"):
        full_jitter(attempt, base_s, cap_s, random01)
