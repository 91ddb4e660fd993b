"""Numbers as people read them: how many of something, and how many bytes."""

from typing import Final

_UNIT: Final = 1024


def several(count: int, word: str, ending: str = "s") -> str:
    """A number of things: `1 event`, `4,211 events`; `ending` is what makes more than one of the word."""
    return f"{count:,} {word}{'' if count == 1 else ending}"


def size(count: float) -> str:
    """A number of bytes in its largest unit: `12 B`, `5 MiB`, `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB"):
        if count < _UNIT:
            return f"{count:.0f} {unit}"
        count /= _UNIT
    return f"{count:.1f} GiB"
