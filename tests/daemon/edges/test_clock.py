"""The system's clocks, and the twin that stands still until told. What both guarantee: conformance/test_clock.py."""

import datetime

import pytest

from mootd.edges.clock import ManualClock, SystemClock


def test_the_systems_wall_is_the_machines() -> None:
    before = int(datetime.datetime.now(datetime.UTC).timestamp())  # noqa: TID251 - the reference to compare with
    shown = SystemClock().now_ms()
    after = int(datetime.datetime.now(datetime.UTC).timestamp()) + 1  # noqa: TID251
    assert before * 1000 <= shown <= after * 1000


def test_the_manual_clock_stands_until_it_is_told() -> None:
    clock = ManualClock(5000)
    assert (clock.now_ms(), clock.monotonic_ms()) == (5000, 0)
    clock.advance(7)
    assert (clock.now_ms(), clock.monotonic_ms()) == (5007, 7)


def test_setting_the_wall_back_leaves_the_monotonic_clock() -> None:
    clock = ManualClock(5000)
    clock.advance(7)
    clock.set_wall(1)
    assert (clock.now_ms(), clock.monotonic_ms()) == (1, 7)


def test_time_does_not_pass_backwards() -> None:
    with pytest.raises(ValueError, match="forward"):
        ManualClock().advance(-1)
