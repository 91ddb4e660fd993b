"""Where each id first stood in a file, in memory that goes back to the system when the import ends.

A dict of a million ids takes 130 MB, in small pieces among others that stay, so that most of it is never given back.
Here an id is 64 bits of the interpreter's keyed hash in a table of its own. Invariant: a place of the table is empty or
holds the mark of one id, which is found by going on from the place that its mark names to the next empty one; at most
two thirds are taken.

Of a million ids some two have the same mark once in 30 million files; the second is then reported as one that stood
before.
"""

from array import array
from typing import Final

_MARK: Final = 2**64 - 1
_LEAST: Final = 1024
"""Places of a table that is empty; always a power of two."""


class FirstLines:
    """Id → the number of the line in which it first stood."""

    __slots__ = ("_count", "_lines", "_marks")

    def __init__(self) -> None:
        self._count = 0
        self._marks = array("Q", bytes(8 * _LEAST))
        self._lines = array("Q", bytes(8 * _LEAST))

    def __len__(self) -> int:
        return self._count

    def first(self, text: str, line: int) -> int:
        """The line in which an id first stood: this one, if it is met now."""
        mark = hash(text) & _MARK or 1
        at = self._place(mark)
        if self._marks[at]:
            return self._lines[at]
        self._marks[at], self._lines[at] = mark, line
        self._count += 1
        if 3 * self._count > 2 * len(self._marks):
            self._grow()
        return line

    def _place(self, mark: int) -> int:
        """Where a mark stands, or would."""
        marks = self._marks
        last = len(marks) - 1
        at = mark & last
        while marks[at] and marks[at] != mark:
            at = at + 1 & last
        return at

    def _grow(self) -> None:
        marks, lines = self._marks, self._lines
        self._marks = array("Q", bytes(16 * len(marks)))
        self._lines = array("Q", bytes(16 * len(marks)))
        for mark, line in zip(marks, lines, strict=True):
            if mark:
                at = self._place(mark)
                self._marks[at], self._lines[at] = mark, line
