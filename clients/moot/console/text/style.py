"""How output looks: colours, marks and the short forms of ids, as the terminal at hand has them.

Three cases: a terminal with colours; a terminal without (NO_COLOR, TERM=dumb); and no terminal, where output is plain
and frugal: words instead of marks, no escape, no padding. Only the 16 colours that the user's own theme defines are
used. Nothing here makes foreign text safe: it is handed over `neutralise`d.
"""

import re
from typing import Final, NamedTuple

from moot.console.terminal import Facts
from moot_protocol.ids import chars_shown

_RESET: Final = "\x1b[0m"
_ESCAPE: Final = re.compile("\x1b\\[[0-9;]*m")
_BOLD: Final = "1"
_FAINT: Final = "2"
RED: Final = "31"
GREEN: Final = "32"
_YELLOW: Final = "33"
_BLUE: Final = "34"
_MAGENTA: Final = "35"
CYAN: Final = "36"

_PRIORITY: Final = {0: f"{_BOLD};{RED}", 1: _YELLOW, 3: _FAINT, 4: _FAINT}
_STATUS: Final = {
    "in_progress": CYAN, "blocked": RED, "deferred": _BLUE, "closed": _FAINT, "tombstone": _FAINT,
    "pinned": _MAGENTA, "hooked": _MAGENTA,
}  # fmt: skip
_TYPE: Final = {"bug": RED, "epic": _MAGENTA, "feature": GREEN}
_MARKS: Final = {
    "open": "\u25cb", "in_progress": "\u25d0", "blocked": "\u25cf", "deferred": "\u25cc", "closed": "\u2713",
    "tombstone": "\u2717", "pinned": "\u25c6", "hooked": "\u25c7",
}  # fmt: skip
_OTHER_MARK: Final = "\u00b7"


class Style(NamedTuple):
    """How to write for one terminal."""

    terminal: bool
    """Whether a person looks at it: aligned columns and marks; else plain lines."""
    colour: bool
    width: int
    """Columns."""

    def paint(self, text: str, codes: str) -> str:
        """Text in a colour or weight (SGR codes), where colours are wanted."""
        return f"\x1b[{codes}m{text}{_RESET}" if self.colour and codes and text else text

    def heading(self, text: str) -> str:
        """A heading or a title."""
        return self.paint(text, _BOLD)

    def faint(self, text: str) -> str:
        """What matters less."""
        return self.paint(text, _FAINT)

    def alarm(self, text: str) -> str:
        """What wants attention."""
        return self.paint(text, f"{_BOLD};{RED}")

    def priority(self, priority: object) -> str:
        """A priority as `P1`; none is `P-`."""
        number = priority if isinstance(priority, int) and not isinstance(priority, bool) else None
        return self.paint(
            "P-" if number is None else f"P{number}", _PRIORITY.get(number if number is not None else 2, "")
        )

    def status(self, status: str) -> str:
        """A status by its name."""
        return self.paint(status, _STATUS.get(status, ""))

    def mark(self, status: str) -> str:
        """A status as one character at a terminal; by its name elsewhere, where a mark would have to be learnt."""
        return self.paint(_MARKS.get(status, _OTHER_MARK), _STATUS.get(status, "")) if self.terminal else status

    def issue_type(self, issue_type: str) -> str:
        """An issue's type by its name."""
        return self.paint(issue_type, _TYPE.get(issue_type, ""))

    def issue_id(self, issue: str, unique: int = 0, shown: int = 0) -> str:
        """An id cut short, the part that has to be typed standing out.

        Args:
            issue: the whole id.
            unique: how many of its leading characters make it unique; 0 if that isn't known.
            shown: how many to show where there is room; ids shown in one column get the same number,
                but a child's is cut only where it looks whole.
        """
        if not unique:
            return self.paint(issue, _BOLD)
        cut = issue[: chars_shown(issue, max(unique, shown))]
        return self.paint(cut[:unique], _BOLD) + self.paint(cut[unique:], _FAINT)


def style_of(facts: Facts, *, plain: bool = False) -> Style:
    """How to write to a client's standard output; `plain` as if it were no terminal."""
    terminal = facts.out_is_terminal and not plain
    environment = facts.environment
    colour = terminal and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
    return Style(terminal=terminal, colour=colour, width=max(facts.width, 20))


def unpainted(text: str) -> str:
    """Text without what `paint` added."""
    return _ESCAPE.sub("", text) if "\x1b" in text else text
