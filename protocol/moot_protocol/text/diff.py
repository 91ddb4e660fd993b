"""What changed between two texts, as a unified diff that people and tools read.

Invariant: the lines that begin with a blank or a minus are lines of the old text, those with a blank or a plus of the
new one, in order; where two texts differ something is shown. Texts too far apart to be compared cheaply
(`limits.MERGE_STEPS`) are shown as one taken for the other.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from moot_protocol.text.merge import Hunk, hunks_of

CONTEXT: Final = 3
"""Unchanged lines shown around a change."""
NO_NEWLINE: Final = "\\ No newline at end of file"


def unified_diff(old: str, new: str, old_name: str, new_name: str) -> list[str]:
    """The lines of a unified diff, without line ends; none where the texts are equal.

    Args:
        old: what was there before.
        new: what is there now.
        old_name: what to call the old text, on one line.
        new_name: what to call the new one.
    """
    if old == new:
        return []
    before, after = _lines(old), _lines(new)
    found = hunks_of(before, after)
    hunks = [Hunk(0, len(before), tuple(after))] if found is None else found
    told = [f"--- {old_name}", f"+++ {new_name}"]
    shift = 0
    for group in _groups(hunks):
        told += _told(before, group, shift)
        shift += sum(len(hunk.lines) - (hunk.stop - hunk.start) for hunk in group)
    return told


def _lines(text: str) -> list[str]:
    """A text's lines with their ends, so that a last line without one differs from one that has it."""
    *whole, last = text.split("\n")
    return [f"{line}\n" for line in whole] + ([last] if last else [])


def _groups(hunks: Sequence[Hunk]) -> Iterator[list[Hunk]]:
    """Hunks whose surroundings touch, together."""
    group: list[Hunk] = []
    for hunk in hunks:
        if group and hunk.start - group[-1].stop > 2 * CONTEXT:
            yield group
            group = []
        group.append(hunk)
    if group:
        yield group


def _told(before: Sequence[str], group: Sequence[Hunk], shift: int) -> Iterator[str]:
    start = max(group[0].start - CONTEXT, 0)
    stop = min(group[-1].stop + CONTEXT, len(before))
    grown = sum(len(hunk.lines) - (hunk.stop - hunk.start) for hunk in group)
    yield f"@@ -{_range(start, stop - start)} +{_range(start + shift, stop - start + grown)} @@"
    at = start
    for hunk in group:
        for sign, lines in ((" ", before[at : hunk.start]), ("-", before[hunk.start : hunk.stop]), ("+", hunk.lines)):
            yield from _signed(sign, lines)
        at = hunk.stop
    yield from _signed(" ", before[at:stop])


def _signed(sign: str, lines: Sequence[str]) -> Iterator[str]:
    for line in lines:
        yield sign + line.removesuffix("\n")
        if not line.endswith("\n"):
            yield NO_NEWLINE


def _range(start: int, count: int) -> str:
    """Lines as a unified diff counts them: from 1; none of them by the line before."""
    return f"{start + 1 if count else start},{count}"
