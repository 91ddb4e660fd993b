"""Instants: a stored time is an int (milliseconds since 1970) or an RFC 3339 string kept exactly as it was imported.

Every function here is total: what is no time gives None. Instants are exact integers, so that times with offsets and
nanoseconds compare as what they mean and never as text.
"""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

NS_PER_MS: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY: Final = _EPOCH.toordinal()
LEAST_MS: Final = -62_135_596_800_000
MOST_MS: Final = 253_402_300_799_999
"""The first and last milliseconds with a four-digit year, which is all that RFC 3339 can write."""

TIME_CHARS: Final = 66
"""Characters of the longest time: nobody must be able to make this remember more of a text that is none."""
_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,40}))?(?:[Zz]|([+-])(\d\d):(\d\d))", re.ASCII
)
_FRACTION_AT: Final = len("2026-01-08T21:32:38")
_BELOW_MS: Final = re.compile(r"\.\d{3}(\d{1,6})", re.ASCII)
_is_plain: Final = re.compile(
    r"(?:19[7-9]|20\d|21\d)\d-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d"
    r"(?:\.\d{1,40})?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
).fullmatch
"""Whether a text has the usual form and years: then it is a time if its month has that day, and the standard library
reads it as RFC 3339 means it."""


def instant_ns(value: Any) -> int | None:
    """The nanoseconds since 1970 of a stored time, or None where it is no time.

    Args:
        value: milliseconds as an int, or an RFC 3339 string; digits beyond nanoseconds are cut off.
    """
    if type(value) is int:
        return value * NS_PER_MS
    match = _RFC3339.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, offset_hour, offset_minute = match.groups()
    seconds = _seconds_of_day(int(hour), int(minute), int(second), most_seconds=60)
    offset = _seconds_of_day(int(offset_hour), int(offset_minute), 0) if sign else 0
    if seconds is None or offset is None:
        return None
    try:
        days = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    except ValueError:
        return None
    seconds += days * 86_400 - (-offset if sign == "-" else offset)
    return seconds * 1_000_000_000 + (int(fraction[:9].ljust(9, "0")) if fraction else 0)


def _seconds_of_day(hour: int, minute: int, second: int, most_seconds: int = 59) -> int | None:
    # RFC 3339 allows :60 for leap seconds; it then means the first second of the next minute.
    if hour > 23 or minute > 59 or second > most_seconds:
        return None
    return hour * 3600 + minute * 60 + second


def instant_ms(value: Any) -> int | None:
    """The milliseconds since 1970 of a stored time, rounded down, or None where it is no time."""
    if type(value) is int:
        return value
    return _text_ms(value) if type(value) is str and len(value) <= TIME_CHARS else None


# A line, its row and the next change of the same issue ask for the same texts.
@lru_cache(maxsize=8192)
def _text_ms(text: str) -> int | None:
    # The usual form takes a third of the time by way of a C function.
    if _is_plain(text):
        try:
            # Whole microseconds of these years are exact in a float.
            return round(datetime.fromisoformat(text).timestamp() * 1e6) // 1000
        except ValueError:
            pass  # no time at all, or one of the forms that are read below
    ns = instant_ns(text)
    return None if ns is None else ns // NS_PER_MS


def ns_below_ms(value: Any) -> int:
    """The nanoseconds of a stored time beyond its whole milliseconds, as in `instant_ns`; 0 for what is no time."""
    if type(value) is not str or instant_ms(value) is None:
        return 0
    match = _BELOW_MS.match(value, _FRACTION_AT)
    return int(match[1].ljust(6, "0")) if match else 0


def is_time(value: Any) -> bool:
    """Whether a value is a stored time."""
    # What it comes to is asked for soon, and remembered.
    return instant_ms(value) is not None


def format_ms(ms: int) -> str:
    """Milliseconds since 1970 as RFC 3339 in UTC, always with three decimals, so that equal lengths sort as text.

    Times outside the years 1 to 9999 are shown as the nearest that can be written.
    """
    seconds, rest = divmod(min(max(ms, LEAST_MS), MOST_MS), 1000)
    return f"{_format_second(seconds)}.{rest:03}Z"


# A new issue was created and changed at one time, and its neighbours within the same second.
@lru_cache(maxsize=1024)
def _format_second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).isoformat()[:-6]


def show_time(value: int | str) -> str:
    """A stored time as people and files see it: imported strings as they are, ints formatted."""
    return value if isinstance(value, str) else format_ms(value)
