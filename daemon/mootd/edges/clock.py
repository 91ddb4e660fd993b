"""The system's clocks and their twin that stands still until told."""

import time

_NS_PER_MS = 1_000_000


class SystemClock:
    """The clocks of this machine."""

    def now_ms(self) -> int:
        """The wall clock, in milliseconds since 1970."""
        return time.time_ns() // _NS_PER_MS

    def monotonic_ms(self) -> int:
        """A clock that only goes forward, in milliseconds."""
        return time.monotonic_ns() // _NS_PER_MS


class ManualClock:
    """A clock for simulations and tests. It moves when told and not otherwise.

    Args:
        now_ms: what the wall shows at first, in milliseconds since 1970.
    """

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ms = now_ms
        self._monotonic_ms = 0

    def now_ms(self) -> int:
        """What the wall shows."""
        return self._now_ms

    def monotonic_ms(self) -> int:
        """Milliseconds advanced so far."""
        return self._monotonic_ms

    def advance(self, ms: int) -> None:
        """Let time pass on both clocks.

        Raises:
            ValueError: `ms` is negative.
        """
        if ms < 0:
            raise ValueError("time passes forward; use `set_wall` for a clock that was set")
        self._now_ms += ms
        self._monotonic_ms += ms

    def set_wall(self, now_ms: int) -> None:
        """Set the wall clock, forward or back, as an administrator may; the monotonic one stays."""
        self._now_ms = now_ms
