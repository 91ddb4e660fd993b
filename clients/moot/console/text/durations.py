"""Durations as people write them: how long a claim holds, how long a gate waits.

Unlike in times (`when.py`), where `bd` has `m` mean a month, `m` is a minute here, as in `bd`'s own durations.
"""

import re
from argparse import ArgumentTypeError
from typing import Final

from moot_protocol.time_units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS

HELP: Final = "such as 90s, 30m, 1h30m or 2d"

_UNITS_MS: Final = {
    "ms": 1, "s": SECOND_MS, "m": MINUTE_MS, "min": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS,
}  # fmt: skip
_PART: Final = re.compile(r"(\d{1,9})(ms|min|s|m|h|d|w)", re.ASCII)
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+", re.ASCII)


def duration_ms(text: str) -> int:
    """Milliseconds of a duration; for arguments.

    Raises:
        ArgumentTypeError: it is none, or nothing.
    """
    words = text.strip().lower()
    total = sum(int(number) * _UNITS_MS[unit] for number, unit in _PART.findall(words))
    if not _WHOLE.fullmatch(words) or not total:
        raise ArgumentTypeError(f"{text!r} is no duration; write one {HELP}")
    return total
