"""Durations: m is a minute."""

from argparse import ArgumentTypeError

import pytest

from moot.console.text.durations import duration_ms


@pytest.mark.parametrize(
    ("text", "ms"),
    [("90s", 90_000), ("30m", 1_800_000), (" 5min ", 300_000), ("1h30m", 5_400_000), ("2D", 172_800_000),
     ("1w", 604_800_000), ("250ms", 250), ("0s5s", 5_000)],
)  # fmt: skip
def test_durations_are_read(text: str, ms: int) -> None:
    assert duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "5", "m", "1y", "-5m", "5m x", "0s", "1.5h", "٣m", "9999999999s"])
def test_what_is_none_is_refused(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        duration_ms(text)
