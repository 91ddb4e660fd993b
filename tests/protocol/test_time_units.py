"""Units of time: as many milliseconds as the calendar's own arithmetic has."""

from datetime import timedelta

import pytest

from moot_protocol.time_units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS


@pytest.mark.parametrize(
    ("unit_ms", "lasts"),
    [
        (SECOND_MS, timedelta(seconds=1)),
        (MINUTE_MS, timedelta(minutes=1)),
        (HOUR_MS, timedelta(hours=1)),
        (DAY_MS, timedelta(days=1)),
    ],
)
def test_a_unit_is_its_number_of_milliseconds(unit_ms: int, lasts: timedelta) -> None:
    assert unit_ms == lasts // timedelta(milliseconds=1)
