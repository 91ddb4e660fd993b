"""How often something may be said that is answered by everybody who hears it.

Invariant: a burst goes at once, and after it one in each interval; whoever is told to wait may go when that is over, so
the last word is never lost.
"""


class Pace:
    """A generic cell rate algorithm.

    Args:
        burst: how many go at once.
        every_s: seconds in which another may go.
    """

    def __init__(self, burst: int, every_s: float) -> None:
        self._leeway_s = (burst - 1) * every_s
        self._every_s = every_s
        self._due_s = 0.0
        """When the next would go if all went evenly."""

    def wait_s(self, now_s: float) -> float:
        """Seconds until one may go; it goes now if that is 0."""
        early_s = self._due_s - self._leeway_s - now_s
        if early_s > 0:
            return early_s
        self._due_s = max(self._due_s, now_s) + self._every_s
        return 0.0
