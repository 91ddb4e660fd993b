"""Times as people write and read them, to and from milliseconds since 1970.

Everything is a function of its arguments: what is "now" is given. Days, weeks and dates without an offset are UTC, so
that the same words mean the same instant on every machine of a town; help texts say so by `HELP`.
"""

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.time_units import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS
from moot_protocol.times import LEAST_MS, MOST_MS

HELP: Final = "+6h, +2d, 3d ago, today, tomorrow, next monday, 2026-01-31, or RFC 3339; UTC unless an offset is given"
AHEAD: Final = "24h, 30min, 7d, tomorrow, 2026-01-31, or RFC 3339; UTC unless an offset is given"
"""The same of what lies ahead, for `parse_ahead`."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_UNITS: Final = {"min": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS}
_MONTHS: Final = {"m": 1, "mo": 1, "y": 12}
"""As in `bd`, `m` is a month; minutes are `min`."""
_LONG_UNITS: Final = {
    "minute": "min", "hour": "h", "day": "d", "week": "w", "month": "mo", "year": "y",
}  # fmt: skip
_AMOUNT: Final = re.compile(r"([+-]|in +)?(\d{1,6}) *([a-z]+?)s?( +ago)?", re.ASCII)
_BARE_DAYS: Final = re.compile(r"\d+ *(h|hours?|d|days?|w|weeks?)", re.ASCII | re.IGNORECASE)
"""Amounts that mean the same to everybody: an `m` may be minutes or months."""
_BARE_M: Final = re.compile(r"(?:\+|in +)?(\d{1,6}) *m", re.ASCII | re.IGNORECASE)
_BARE: Final = re.compile(r"\d+ *[a-z]+", re.ASCII | re.IGNORECASE)
_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAYS: Final = {"yesterday": -1, "today": 0, "tomorrow": 1, "next week": 7}
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d([T ].+)?", re.IGNORECASE | re.ASCII)
_FRACTION: Final = re.compile(r"(\.\d{6})\d+")


def parse(text: str, now_ms: int) -> int:
    """The instant that people's words mean.

    Args:
        text: as `HELP` says; case and outer spaces don't matter.
        now_ms: the instant that relative words start from, milliseconds since 1970.

    Returns:
        Milliseconds since 1970; days begin at 00:00 UTC.

    Raises:
        RefusedError: `usage`: nothing that is understood, or outside the years 1970 to 9999.
    """
    return _parsed(text, text, now_ms)


def _parsed(text: str, given: str, now_ms: int, fitting: str = HELP) -> int:
    """As `parse`; refusals name what was `given` for the text, and what is `fitting`."""
    words = " ".join(text.lower().split())
    try:
        moment = _named(words, now_ms) or _relative(words, now_ms) or _absolute(text.strip())
    except (ValueError, OverflowError):
        moment = None
    if moment is None:
        raise RefusedError(f"{given!r} is no time that I understand", code=Code.USAGE, hint=f"write one of: {fitting}")
    if moment < _EPOCH:
        hint = f"times begin with 1970-01-01; write one of: {fitting}"
        raise RefusedError(f"{given!r} lies before 1970", code=Code.USAGE, hint=hint)
    return _milliseconds(moment)


def parse_due(text: str, now_ms: int) -> int:
    """As `parse`, for what is mostly ahead and needn't be: hours, days and weeks without a sign count from now.

    Raises:
        RefusedError: as `parse`.
    """
    words = text.strip()
    return _parsed(f"+{words}" if _BARE_DAYS.fullmatch(words) else words, text, now_ms)


def parse_ahead(text: str, now_ms: int) -> int:
    """As `parse`, for what lies ahead: an amount without a sign (`24h`, `7d`) counts from now.

    An `m` is refused, with which some mean minutes: so much longer than meant, a secret would be good for.

    Raises:
        RefusedError: `usage`: nothing that is understood, or nothing that lies ahead.
    """
    words = text.strip()
    if (doubtful := _BARE_M.fullmatch(words)) is not None:
        amount = doubtful[1]
        hint = f"write {amount}min or {amount}mo"
        raise RefusedError(f"{text!r} may be minutes or months", code=Code.USAGE, hint=hint)
    moment = _parsed(f"+{words}" if _BARE.fullmatch(words) else words, text, now_ms, AHEAD)
    if moment <= now_ms:
        raise RefusedError(f"{text!r} has passed already", code=Code.USAGE, hint="write 24h, 7d or a date to come")
    return moment


def _named(words: str, now_ms: int) -> datetime | None:
    now = _moment(now_ms)
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if words == "now":
        return now
    if words in _DAYS:
        return today + timedelta(days=_DAYS[words])
    weekday = words.removeprefix("next ")
    if weekday in _WEEKDAYS:
        ahead = (_WEEKDAYS.index(weekday) - today.weekday() - 1) % 7 + 1
        return today + timedelta(days=ahead)
    return None


def _relative(words: str, now_ms: int) -> datetime | None:
    match = _AMOUNT.fullmatch(words)
    if match is None:
        return None
    sign, digits, unit, ago = match.groups()
    if bool(sign) == bool(ago):  # `3d` alone could mean either way, `+3d ago` neither
        return None
    amount = -int(digits) if ago or sign == "-" else int(digits)
    unit = _LONG_UNITS.get(unit, unit)
    if unit in _MONTHS:
        return _months_later(_moment(now_ms), amount * _MONTHS[unit])
    return _moment(now_ms + amount * _UNITS[unit]) if unit in _UNITS else None


def _months_later(moment: datetime, months: int) -> datetime:
    """The same day some months on, or the last day of a month that is too short for it."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    day = min(moment.day, monthrange(year, month + 1)[1])
    return moment.replace(year=year, month=month + 1, day=day)


def _absolute(text: str) -> datetime | None:
    if not _DATE.fullmatch(text):
        return None
    moment = datetime.fromisoformat(_FRACTION.sub(r"\1", text.upper()))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def instant(value: Any) -> int | None:
    """Milliseconds since 1970 of a time in a document: a number of them, or RFC 3339; None for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        moment = _absolute(value) if isinstance(value, str) else None
    except (ValueError, OverflowError):
        return None
    return None if moment is None else _milliseconds(moment)


def rfc3339(ms: int) -> str:
    """An instant as documents hold it: RFC 3339 in UTC, with milliseconds where there are any.

    Times outside the years 1 to 9999 are shown as the nearest that can be written, as `format_ms` has it.
    """
    ms = min(max(ms, LEAST_MS), MOST_MS)
    text = _moment(ms).isoformat(timespec="milliseconds" if ms % SECOND_MS else "seconds")
    return text.replace("+00:00", "Z")


def age(ms: int, now_ms: int) -> str:
    """How long ago, or ahead, an instant is, in one unit: `just now`, `3h ago`, `in 2d`."""
    if abs(now_ms - ms) < MINUTE_MS:
        return "just now"
    amount = lasted(abs(now_ms - ms), units=1)
    return f"{amount} ago" if ms < now_ms else f"in {amount}"


_STEPS: Final = (
    ("y", 365 * DAY_MS), ("mo", 30 * DAY_MS), ("w", 7 * DAY_MS), ("d", DAY_MS), ("h", HOUR_MS), ("min", MINUTE_MS),
)  # fmt: skip


def lasted(duration_ms: int, *, units: int = 2) -> str:
    """A span of time in its largest units: `3d 4h`, `12min`, `0min`. Years and months are of 365 and 30 days."""
    parts: list[str] = []
    rest = max(duration_ms, 0)
    for name, size in _STEPS:
        count, rest = divmod(rest, size)
        if parts or count:  # once one unit stands, only its direct successors may follow
            parts.append(f"{count}{name}" if count else "")
        if len(parts) == units:
            break
    return " ".join(filter(None, parts)) or "0min"


def short_date(ms: int) -> str:
    """An instant to the minute, in UTC: `2026-01-31 10:05`."""
    try:
        return _moment(ms).strftime("%Y-%m-%d %H:%M")
    except OverflowError:
        return f"@{ms}ms"


def _moment(ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=ms)


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)
