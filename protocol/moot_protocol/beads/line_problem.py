"""What is told of a line of a Beads file that could not be taken in as it is.

Its words are for people. What this code goes by are the marks beside them.
"""

from typing import Any, Final, NamedTuple

CONFLICT_MARKER: Final = "a conflict marker: this file holds a merge that nobody finished"
"""The problem of a line that is one."""


class LineProblem(NamedTuple):
    """Something of a file that could not be taken in."""

    line: int
    """Number of the line in its file, from 1."""
    id: str
    """The issue's id, or empty where the line has none to show."""
    problem: str
    """What is wrong, in words."""
    is_kept: bool = False
    """Whether an export gives it back all the same."""
    is_refused: bool = False
    """Whether the line is sound, and writing it was refused."""
    is_memory: bool = False
    """Whether the line is a whole one of a memory, which such files hold beside issues."""

    def document(self) -> dict[str, Any]:
        """As answers tell it: `{"line", "id", "problem"}`, `"kept": true` for what is kept, `"refused": true`."""
        told = {"line": self.line, "id": self.id, "problem": self.problem}
        return told | ({"kept": True} if self.is_kept else {}) | ({"refused": True} if self.is_refused else {})
