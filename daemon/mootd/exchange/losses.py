"""Refs of a plane that somebody took away from a remote, and when to look what went with them.

Invariant: what a remote carries is noted as frames go there, so whatever is taken away stays noted until it is counted
anew. That is due once for each loss: after a while, since senders bring their own refs back, though a machine that is
gone never does; and at once where this replica's own ref went too, for then all of the remote may be new. A remote that
hides refs again and again is counted once in that while.
"""

from collections.abc import Collection
from typing import Final

from moot_protocol.time_units import MINUTE_MS

LOST_MS: Final = 5 * MINUTE_MS
"""How long senders have to bring a ref back: several times as long as they take to look."""


class Losses:
    """What is gone of one plane on one remote."""

    def __init__(self) -> None:
        self._since_ms: dict[str, int] = {}
        """A ref of another sender that isn't where it was → since when."""
        self._counted: frozenset[str] = frozenset()
        """Those that the last count has seen to."""
        self._is_own_gone = False
        self._counted_ms: int | None = None

    def note(self, others: Collection[str], *, is_own_gone: bool, now_ms: int) -> None:
        """Note which refs aren't where they were in this round."""
        self._since_ms = {name: self._since_ms.get(name, now_ms) for name in others}
        self._counted &= set(others)
        self._is_own_gone = self._is_own_gone or is_own_gone

    def is_due(self, now_ms: int) -> bool:
        """Whether it is time to count what the remote carries."""
        if self._is_own_gone:
            return self._counted_ms is None or _is_over(self._counted_ms, now_ms)
        return any(_is_over(since, now_ms) for name, since in self._since_ms.items() if name not in self._counted)

    def count(self, now_ms: int) -> None:
        """It has been counted."""
        self._counted = frozenset(self._since_ms)
        self._is_own_gone = False
        self._counted_ms = now_ms


def _is_over(since_ms: int, now_ms: int) -> bool:
    """Whether the while is over; a clock that was set back ends it."""
    return not 0 <= now_ms - since_ms < LOST_MS
