"""Hybrid logical clock: 48 bits of milliseconds, 16 bits of counter, strictly increasing along a feed.

Source: Kulkarni et al., "Logical Physical Clocks" (2014). The wall clock is an argument. A clock that stands further
ahead of the wall than `CLOCK_AHEAD_MS` refuses to tick, and a remote timestamp that far ahead never moves it.
"""

from typing import Final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import CLOCK_AHEAD_MS
from moot_protocol.time_units import MINUTE_MS
from moot_protocol.times import MOST_MS, format_ms

COUNTER_BITS: Final = 16
MAX_HLC: Final = 2**64 - 1


def from_ms(ms: int) -> int:
    """The first timestamp of a millisecond since 1970."""
    return ms << COUNTER_BITS


def to_ms(hlc: int) -> int:
    """The milliseconds since 1970 of a timestamp."""
    return hlc >> COUNTER_BITS


def due_ms(hlc: int) -> int:
    """From when on, in milliseconds since 1970, a timestamp is no longer too far ahead of the wall clock."""
    return to_ms(hlc) - CLOCK_AHEAD_MS


def shown_minute(ms: int) -> str:
    """The minute of a time, rounded up, as people read it: `2026-11-24 07:50 UTC`; times beyond 9999 as that year's."""
    return f"{format_ms(min(ms + 59_999, MOST_MS))[:16].replace('T', ' ')} UTC"


def minute_of(ms: int) -> str:
    """The minute that a time lies in, written as `shown_minute` writes it."""
    return shown_minute(ms - ms % MINUTE_MS)


def is_ahead(hlc: int, now_ms: int) -> bool:
    """Whether a timestamp stands too far ahead of the wall clock to be applied yet."""
    return to_ms(hlc) > now_ms + CLOCK_AHEAD_MS


def clock_ahead(hlc: int, now_ms: int) -> RefusedError:
    """The refusal to write an event that would be dated as far ahead."""
    minutes = (to_ms(hlc) - now_ms) // MINUTE_MS
    return RefusedError(
        f"this replica's clock stands {minutes} minutes ahead of the machine's clock; nothing was written",
        code=Code.CLOCK_AHEAD,
        hint=f"if the machine's clock is behind, set it right; if it is right now and was ahead, this can be written "
        f"from {shown_minute(due_ms(hlc))} on, or under a new key: `moot salvage --clock`",
        retryable=True,
    )


class HybridClock:
    """The clock of one replica. `last` is the highest timestamp issued or observed; the owner persists it."""

    __slots__ = ("last",)

    def __init__(self, last: int = 0) -> None:
        self.last = last

    def tick(self, now_ms: int) -> int:
        """Issue the next timestamp.

        Raises:
            RefusedError: code `clock_ahead`, when this clock stands too far ahead of the wall clock.
        """
        following, now = self.last + 1, now_ms << COUNTER_BITS
        if following <= now:  # written out, as `from_ms` and `is_ahead` are: every event asks
            following = now
        elif following >> COUNTER_BITS > now_ms + CLOCK_AHEAD_MS:
            raise clock_ahead(following, now_ms)
        self.last = following
        return following

    def observe(self, hlc: int, now_ms: int) -> None:
        """Move past a remote timestamp, unless it is too far ahead of the wall clock."""
        if hlc > self.last and not is_ahead(hlc, now_ms):
            self.last = hlc
