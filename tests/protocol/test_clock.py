"""The clock only moves forwards, stays near the wall clock, and follows what it sees unless that is too far ahead."""

import contextlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.clock import HybridClock, due_ms, from_ms, is_ahead, minute_of, shown_minute, to_ms
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import CLOCK_AHEAD_MS

NOW = 1_800_000_000_000
walls = st.integers(NOW - 2 * CLOCK_AHEAD_MS, NOW + 2 * CLOCK_AHEAD_MS)
seen = st.builds(lambda ms, counter: from_ms(ms) + counter, walls, st.integers(0, 2**16 - 1))
steps = st.lists(st.tuples(st.sampled_from(["tick", "observe"]), walls, seen), max_size=30)


@given(steps)
def test_whatever_the_wall_clock_does_times_ascend_strictly(history: list[tuple[str, int, int]]) -> None:
    clock, issued = HybridClock(), [0]
    for action, now, hlc in history:
        if action == "observe":
            clock.observe(hlc, now)
            continue
        with contextlib.suppress(RefusedError):
            issued.append(clock.tick(now))
    assert all(one < following for one, following in pairwise(issued))


@given(steps)
def test_no_time_issued_is_too_far_ahead(history: list[tuple[str, int, int]]) -> None:
    clock = HybridClock()
    for action, now, hlc in history:
        if action == "observe":
            clock.observe(hlc, now)
            continue
        before = clock.last
        try:
            assert not is_ahead(clock.tick(now), now)
        except RefusedError:
            assert is_ahead(before + 1, now)
            assert clock.last == before


@given(steps)
def test_what_was_seen_is_passed_unless_it_is_too_far_ahead(history: list[tuple[str, int, int]]) -> None:
    clock = HybridClock()
    for _, now, hlc in history:
        before = clock.last
        clock.observe(hlc, now)
        if is_ahead(hlc, now):
            assert clock.last == before
        else:
            assert clock.last == max(before, hlc)


def test_who_may_not_write_is_told_from_when_on_and_what_else_helps() -> None:
    clock = HybridClock(from_ms(NOW + 5 * 24 * 3_600_000))
    with pytest.raises(RefusedError) as raised:
        clock.tick(NOW)
    due = due_ms(clock.last)
    assert "7200 minutes ahead" in raised.value.message
    assert f"from {shown_minute(due)} on" in raised.value.hint
    assert "moot salvage --clock" in raised.value.hint
    assert clock.tick(due + 1) > clock.last - 1


@pytest.mark.parametrize(
    ("ms", "shown"),
    [
        (NOW, "2027-01-15 08:00 UTC"),
        (NOW + 1, "2027-01-15 08:01 UTC"),
        (2**48, "9999-12-31 23:59 UTC"),
    ],
)
def test_a_time_is_shown_by_the_minute_after_which_it_is_over(ms: int, shown: str) -> None:
    assert shown_minute(ms) == shown


def test_a_minute_that_has_begun_is_shown_as_the_one_that_a_time_lies_in() -> None:
    assert [minute_of(NOW + ms) for ms in (0, 1, 59_999)] == ["2027-01-15 08:00 UTC"] * 3
    assert minute_of(NOW + 60_000) == "2027-01-15 08:01 UTC"


def test_a_first_time_is_the_wall_clock() -> None:
    assert to_ms(HybridClock().tick(NOW)) == NOW
    assert HybridClock().tick(NOW) == from_ms(NOW)


def test_within_one_millisecond_the_counter_counts() -> None:
    clock = HybridClock()
    assert [clock.tick(NOW) - from_ms(NOW) for _ in range(3)] == [0, 1, 2]


def test_a_full_counter_carries_into_the_next_millisecond() -> None:
    clock = HybridClock(from_ms(NOW) + 2**16 - 1)
    assert clock.tick(NOW) == from_ms(NOW + 1)


def test_a_kept_time_is_passed_after_a_restart_although_the_wall_clock_went_back() -> None:
    last = HybridClock(from_ms(NOW)).tick(NOW)
    assert HybridClock(last).tick(NOW - 1000) > last


def test_ten_minutes_ahead_is_allowed_and_a_millisecond_more_is_not() -> None:
    assert not is_ahead(from_ms(NOW + CLOCK_AHEAD_MS), NOW)
    assert not is_ahead(from_ms(NOW + CLOCK_AHEAD_MS) + 2**16 - 1, NOW)
    assert is_ahead(from_ms(NOW + CLOCK_AHEAD_MS + 1), NOW)


def test_a_clock_too_far_ahead_refuses_to_write_until_the_wall_clock_has_caught_up() -> None:
    clock = HybridClock(from_ms(NOW + CLOCK_AHEAD_MS + 1))
    with pytest.raises(RefusedError, match="10 minutes ahead") as caught:
        clock.tick(NOW)
    assert caught.value.code is Code.CLOCK_AHEAD
    assert caught.value.retryable
    assert clock.tick(NOW + 1) == from_ms(NOW + CLOCK_AHEAD_MS + 1) + 1


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**16 - 1))
def test_48_bits_are_milliseconds_and_16_are_the_counter(ms: int, counter: int) -> None:
    assert to_ms(from_ms(ms) + counter) == ms
    assert from_ms(ms) + counter < 2**64
