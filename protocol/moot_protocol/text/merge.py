"""Three-way merge of text by lines: deterministic, the same from either side, and never a guess.

A merge is clean if between any two different changes of the two sides at least one line stands unchanged. Changes
that overlap or merely touch are not clean; the same change made on both sides counts once.

The differences are shortest edit scripts (Myers, "An O(ND) Difference Algorithm and Its Variations", 1986), found
within `MERGE_STEPS`; texts further apart are not merged.
"""

from typing import NamedTuple

from moot_protocol.limits import MERGE_STEPS


class Hunk(NamedTuple):
    """Lines `start` to `stop` of the base replaced by others."""

    start: int
    stop: int
    lines: tuple[str, ...]


class _Edit(NamedTuple):
    """Lines `start` to `stop` of the old text replaced by `first` to `last` of the new."""

    start: int
    stop: int
    first: int
    last: int


def merge3(base: str, ours: str, theirs: str) -> str | None:
    """Both changes of a text, or None where they touch or overlap, or are too large to be told apart cheaply."""
    if ours in (theirs, base):
        return theirs
    if theirs == base:
        return ours
    lines = base.split("\n")
    our_hunks = hunks_of(lines, ours.split("\n"))
    their_hunks = hunks_of(lines, theirs.split("\n"))
    if our_hunks is None or their_hunks is None:
        return None
    return _apply(lines, sorted({*our_hunks, *their_hunks}))


def _apply(base: list[str], hunks: list[Hunk]) -> str | None:
    merged: list[str] = []
    done = -1
    for hunk in hunks:
        # Hunks of one side never touch, so these are of both.
        if hunk.start <= done:
            return None
        merged += base[max(done, 0) : hunk.start]
        merged += hunk.lines
        done = hunk.stop
    return "\n".join(merged + base[max(done, 0) :])


def hunks_of(old: list[str], new: list[str]) -> list[Hunk] | None:
    """What turns `old` into `new`, in order and at least one kept line apart; None where that takes too long."""
    shorter = min(len(old), len(new))
    head = 0
    while head < shorter and old[head] == new[head]:
        head += 1
    tail = 0
    while tail < shorter - head and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    edits = _edits(old[head : len(old) - tail], new[head : len(new) - tail])
    if edits is None:
        return None
    return [
        Hunk(head + edit.start, head + edit.stop, tuple(new[head + edit.first : head + edit.last])) for edit in edits
    ]


def _edits(old: list[str], new: list[str]) -> list[_Edit] | None:
    rounds = _rounds(old, new)
    return None if rounds is None else _joined(_path(rounds, len(old), len(new)))


def _rounds(old: list[str], new: list[str]) -> list[dict[int, int]] | None:
    """For each number of edits, how far into `old` each diagonal was reached before that edit.

    The last round is the one that reaches the end of both.
    """
    reached = {1: 0}
    rounds: list[dict[int, int]] = []
    steps = 0
    for edits in range(len(old) + len(new) + 1):
        rounds.append(reached.copy())
        for diagonal in range(-edits, edits + 1, 2):
            begin = at = _enter(reached, edits, diagonal)
            while at < len(old) and at - diagonal < len(new) and old[at] == new[at - diagonal]:
                at += 1
            reached[diagonal] = at
            if at >= len(old) and at - diagonal >= len(new):
                return rounds
            steps += 1 + at - begin
        if steps > MERGE_STEPS:
            return None
    return rounds


def _enter(reached: dict[int, int], edits: int, diagonal: int) -> int:
    """Where the furthest path of so many edits enters a diagonal: by an insertion or by a deletion."""
    if _inserts(reached, edits, diagonal):
        return reached[diagonal + 1]
    return reached[diagonal - 1] + 1


def _inserts(reached: dict[int, int], edits: int, diagonal: int) -> bool:
    return diagonal == -edits or (diagonal != edits and reached[diagonal - 1] < reached[diagonal + 1])


def _path(rounds: list[dict[int, int]], old_end: int, new_end: int) -> list[_Edit]:
    """The single-line edits that lead to the end, in order."""
    path: list[_Edit] = []
    diagonal = old_end - new_end
    for edits in range(len(rounds) - 1, 0, -1):
        inserts = _inserts(rounds[edits], edits, diagonal)
        diagonal += 1 if inserts else -1
        old_at = rounds[edits][diagonal]
        new_at = old_at - diagonal
        path.append(_Edit(old_at, old_at + (not inserts), new_at, new_at + inserts))
    path.reverse()
    return path


def _joined(path: list[_Edit]) -> list[_Edit]:
    """Edits with no kept line between them as one."""
    joined: list[_Edit] = []
    for edit in path:
        last = joined[-1] if joined else None
        if last and last.stop == edit.start and last.last == edit.first:
            joined[-1] = _Edit(last.start, edit.stop, last.first, edit.last)
        else:
            joined.append(edit)
    return joined
