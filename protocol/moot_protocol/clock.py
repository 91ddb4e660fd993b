"""Hybrid logical clock: 48 bits of milliseconds, 16 bits of counter, strictly increasing along a feed.

Source: Kulkarni et al., "Logical Physical Clocks" (2014). The wall clock is an argument. A clock that stands further
ahead of the wall than `CLOCK_AHEAD_MS` refuses to tick, and a remote timestamp that far ahead never moves it.
"""

from typing import Final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import CLOCK_AHEAD_MS

COUNTER_BITS: Final = 16
MAX_HLC: Final = 2**64 - 1


def from_ms(ms: int) -> int:
    """The first timestamp of a millisecond since 1970."""
    return ms << COUNTER_BITS


def to_ms(hlc: int) -> int:
    """The milliseconds since 1970 of a timestamp."""
    return hlc >> COUNTER_BITS


def is_ahead(hlc: int, now_ms: int) -> bool:
    """Whether a timestamp stands too far ahead of the wall clock to be applied yet."""
    return to_ms(hlc) > now_ms + CLOCK_AHEAD_MS


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
            minutes = (to_ms(following) - now_ms) // 60_000
            raise RefusedError(
                f"this replica's clock stands {minutes} minutes ahead of the machine's clock",
                code=Code.CLOCK_AHEAD,
                hint="set the machine's clock right, or wait until it has caught up; nothing was written",
                retryable=True,
            )
        self.last = following
        return following

    def observe(self, hlc: int, now_ms: int) -> None:
        """Move past a remote timestamp, unless it is too far ahead of the wall clock."""
        if hlc > self.last and not is_ahead(hlc, now_ms):
            self.last = hlc
