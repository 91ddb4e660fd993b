"""Durations as people write them: how long a claim holds, how long a gate waits.

Unlike in times (`when.py`), where `bd` has `m` mean a month, `m` is a minute here, as in `bd`'s own durations.
"""

import re
from argparse import ArgumentTypeError
from typing import Final

HELP: Final = "such as 90s, 30m, 1h30m or 2d"

_UNITS_MS: Final = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
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
