"""How long lines to one remote last.

Two machines with the same key take the line from one another for ever; this slows that down.

Invariant: a line that breaks at once makes the back-off before the next one longer, though that is let in each time;
one that lasts ends that. It is told by how short lines last: many brokers give no reason when a name is taken over.
Lines that this side ends say nothing.
"""

from typing import Final

BRIEF_S: Final = 20.0
"""A line that breaks before is followed by another one later than the one before was."""
STEADY_S: Final = 600.0
"""A line that lasts for so long is a good one: whatever took the ones before doesn't any more."""
MANY: Final = 5
"""Lines in a row, none of them good, after which people are told."""
HINT: Final = (
    "where the network is fine, another machine may use a copy of this one's key: if one was copied or put back from a "
    "backup, `moot salvage --copied` there"
)


class Steadiness:
    """Counts the lines to one remote that broke, by the numbers of their planes."""

    def __init__(self) -> None:
        self._brief: dict[int, int] = {}
        self._broken: dict[int, int] = {}

    @property
    def brief(self) -> int:
        """How many lines of one plane broke at once, one after the other."""
        return max(self._brief.values(), default=0)

    def broke(self, plane: int, lasted_s: float) -> None:
        """A line broke."""
        self._brief[plane] = self._brief.get(plane, 0) + 1 if lasted_s < BRIEF_S else 0
        self._broken[plane] = self._broken.get(plane, 0) + 1 if lasted_s < STEADY_S else 0

    def lasts(self, plane: int, for_s: float) -> None:
        """A line is open."""
        if for_s >= STEADY_S:
            self._brief.pop(plane, None)
            self._broken.pop(plane, None)

    def breaking(self) -> dict[int, int]:
        """Plane's number → how many of its lines broke in a row, of planes whose lines don't last; from any thread."""
        return {plane: count for plane, count in self._broken.copy().items() if count >= MANY}
