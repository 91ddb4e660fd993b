"""What every clock guarantees."""

import datetime

import pytest

from mootd.edges.clock import ManualClock, SystemClock
from mootd.ports import Clock


@pytest.fixture(params=[SystemClock, ManualClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    made: Clock = request.param()
    return made


def test_the_wall_shows_whole_milliseconds_since_1970(clock: Clock) -> None:
    shown = clock.now_ms()
    assert isinstance(shown, int)
    year = datetime.datetime.fromtimestamp(shown / 1000, datetime.UTC).year
    assert 2023 <= year < 2200


def test_the_monotonic_clock_never_goes_back(clock: Clock) -> None:
    shown = [clock.monotonic_ms() for _ in range(1000)]
    assert shown == sorted(shown)
    assert all(isinstance(moment, int) for moment in shown)
