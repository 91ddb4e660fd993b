"""Aligned columns that fit a terminal, and the widths of text in its cells.

No line is wider than the terminal as long as the other columns leave the flexible one a little room, none ends in
spaces, and a column that is empty in every row takes none. Texts are `neutralise`d and single lines.
"""

import re
from collections.abc import Sequence
from typing import Final

from moot.console.text.style import unpainted

GAP: Final = "  "
ELLIPSIS: Final = "\u2026"
LEAST_FLEXIBLE: Final = 16
"""Columns that the flexible column keeps however narrow the terminal is."""

_ONE_CELL_EACH: Final = re.compile(
    "[ -~\u00a1-\u00ac\u00ae-\u02ff\u0370-\u0482\u048a-\u0556\u2010-\u2027\u2030-\u205e\u2190-\u21ff\u2500-\u257f✓✗⊘]*"
)
"""Texts of Latin, Greek, Cyrillic and the marks of our own: their widths are known without tables for all scripts."""


def width_of(text: str) -> int:
    """How many cells a text takes: East Asian wide characters and emoji two, combining marks none, colours none."""
    text = unpainted(text)
    if text.isascii() or _ONE_CELL_EACH.fullmatch(text):
        return len(text)
    from wcwidth import wcswidth  # its tables take more than a megabyte

    return max(wcswidth(text), 0)


def cut(text: str, width: int) -> str:
    """A text without colours that takes at most `width` cells, an ellipsis at its end if some of it is missing."""
    if width_of(text) <= width:
        return text
    if width <= 0:
        return ""
    is_plain = text.isascii() or _ONE_CELL_EACH.fullmatch(text)
    end = width - len(ELLIPSIS) if is_plain else _fitting(text, width - len(ELLIPSIS))
    return text[:end].rstrip() + ELLIPSIS


def _fitting(text: str, width: int) -> int:
    """How many of a text's leading characters fit into so many cells."""
    from wcwidth import wcwidth  # as above

    used = 0
    for place, character in enumerate(text):
        used += max(wcwidth(character), 0)
        if used > width:
            return place
    return len(text)


def aligned(rows: Sequence[Sequence[str]], *, width: int, flexible: int = -1) -> list[str]:
    """Lines with the rows' cells in columns.

    Args:
        rows: cells, painted or not; all rows have the same number of them.
        width: cells of the terminal.
        flexible: the column that is cut to fit; its cells are without colours.
    """
    if not rows:
        return []
    widths = [max(width_of(cell) for cell in column) for column in zip(*rows, strict=True)]
    flexible %= len(widths)
    others = sum(size + len(GAP) for place, size in enumerate(widths) if size and place != flexible)
    widths[flexible] = min(widths[flexible], max(width - others, LEAST_FLEXIBLE))
    kept = [place for place, size in enumerate(widths) if size]
    lines = []
    for row in rows:
        cells = [cut(row[place], widths[place]) if place == flexible else row[place] for place in kept]
        ended = [cell + " " * (widths[place] - width_of(cell)) for place, cell in zip(kept[:-1], cells, strict=False)]
        lines.append(GAP.join([*ended, *cells[-1:]]).rstrip(" "))
    return lines
