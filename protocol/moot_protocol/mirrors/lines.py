"""A mirrored Beads file as lines: what its versions are told apart by, and whether a state of it can be taken in.

Invariant: `joined(split(content)) == content`, whatever the content: what nobody changed is written back as it was,
bad lines, blank lines and line ends included. A state is refused while something in it looks like a moment in between:
a conflict marker, or a line that can't be read and wasn't there before.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Final, NamedTuple

import msgspec

from moot_protocol.beads.line_problem import LineProblem
from moot_protocol.beads.lines import parse_line
from moot_protocol.beads.pairs import LinePair, Pairing, PairProblem
from moot_protocol.text.json_text import UNREADABLE
from moot_protocol.times import instant_ns

KEY_BYTES: Final = 16
"""Bytes of the hash that stands for a line in a version."""
_MARKERS: Final = (b"<<<<<<< ", b">>>>>>> ", b"||||||| ")


class _Head(msgspec.Struct):
    id: str


class _Times(msgspec.Struct):
    updated_at: str = ""


_head_of: Final = msgspec.json.Decoder(_Head).decode
_times_of: Final = msgspec.json.Decoder(_Times).decode


def split(content: bytes) -> list[bytes]:
    """The lines of a file without their ends; the last is empty where the file ends with one."""
    return content.split(b"\n")


def joined(lines: Iterable[bytes]) -> bytes:
    """What `split` split."""
    return b"\n".join(lines)


def content_hash(content: bytes) -> bytes:
    """The 32 bytes that a state of a file is known by."""
    return sha256(content).digest()


def line_key(line: bytes) -> bytes:
    """The 16 bytes that a line is known by."""
    return sha256(line).digest()[:KEY_BYTES]


def id_of(line: bytes) -> str | None:
    """The id of the issue whose line it is; None where it is nobody's."""
    try:
        return _head_of(line).id
    except UNREADABLE:
        parsed = parse_line(line, 1) if line.strip() else None
        return None if parsed is None or isinstance(parsed, LineProblem) else parsed.id


def problem_of(lines: Sequence[bytes], known: Collection[bytes] | None) -> str | None:
    """Why a state of a file can't be taken in now, in words; None where it can.

    Args:
        lines: the state.
        known: lines that were taken in before, as they are; bad ones among them stay where they are. None for a file
            that is met first: of that one only a last line without its end is taken for half written, and most lines
            have to be of issues or memories.
    """
    if known is None and (strange := strangeness(lines)):
        return strange
    for number, line in enumerate(lines, start=1):
        if (known is not None and line in known) or not line.strip():
            continue
        if line.startswith(_MARKERS):
            return f"line {number} is a conflict marker: the file holds a merge that nobody finished"
        if known is None and number < len(lines):
            continue
        problem = _unreadable(line, number)
        if problem is not None:
            return f"line {number} can't be read ({problem.problem}): the file may be half written"
    return None


def strangeness(lines: Iterable[bytes], *, most: bool = True) -> str | None:
    """Why a file is none of issues, in words; None for one that is, and for one that is empty.

    Args:
        lines: the file's. Conflict markers count neither way.
        most: whether most of its lines have to be of issues or memories; else one is enough.
    """
    own = others = 0
    first = ""
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.startswith(_MARKERS):
            continue
        problem = _unreadable(line, number)
        if problem is None:
            own += 1
            if not most:
                return None
        else:
            others += 1
            first = first or f"line {number}: {problem.problem}"
    if own >= others:
        return None
    some = f"{others:,} of its {own + others:,} lines are" if own else "not a single line of it is"
    return f"{some} {'none of issues' if own else 'an issue'} ({first}): it is something else, and is left as it is"


def _unreadable(line: bytes, number: int) -> LineProblem | None:
    """What is wrong with a line that is neither an issue's nor a memory's."""
    parsed = parse_line(line, number) if id_of(line) is None else None
    return parsed if isinstance(parsed, LineProblem) and not parsed.is_memory else None


class Differences(NamedTuple):
    """What differs between two states of a file."""

    pairs: list[LinePair]
    """In the order of `Pairing`: changed, new, gone."""
    problems: list[PairProblem]
    total: int
    """Issues in the base."""

    @property
    def gone(self) -> list[LinePair]:
        """Lines of the base whose issues have none any more."""
        return [pair for pair in self.pairs if not pair.number]

    @property
    def older(self) -> list[LinePair]:
        """Lines that say that their issues were last changed before the base was: they bring nothing."""
        return [pair for pair in self.pairs if _is_back(pair)]


def differences(base: Sequence[bytes], lines: Sequence[bytes]) -> Differences:
    """Which issues' lines differ between two states; those that are equal as bytes cost little.

    Raises:
        RefusedError: `limit`: they have too little in common.
    """
    common = set(base) & set(lines)
    pairing = Pairing(_without(base, common), _without(lines, common))
    pairs = list(pairing)
    return Differences(pairs, pairing.problems, sum(1 for line in base if line.strip()))


def _without(lines: Iterable[bytes], common: Collection[bytes]) -> Iterator[bytes]:
    """Lines with blanks in the places of some, so that numbers stay."""
    return (b"" if line in common else line for line in lines)


# -- Judging -----------------------------------------------------------------------------------------------------
class Doubt(msgspec.Struct, array_like=True, frozen=True):
    """Why a change is asked about before it is taken in."""

    gone: int
    """Issues whose lines are gone."""
    reverted: int
    """Issues whose lines went back to an older state."""
    total: int
    """Issues that the file had."""


def doubt_of(found: Differences, seen: Collection[bytes]) -> Doubt | None:
    """Whether a change looks like a mistake: over half of the issues gone, or over half back in an older state.

    Args:
        found: the change.
        seen: the keys of those changed lines that stood in an earlier version.
    """
    gone = len(found.gone)
    changed = [pair for pair in found.pairs if pair.number and pair.base_number]
    reverted = sum(1 for pair in changed if line_key(pair.line) in seen or _is_back(pair))
    if 2 * gone > found.total or 2 * reverted > found.total:
        return Doubt(gone, reverted, found.total)
    return None


def _is_back(pair: LinePair) -> bool:
    """Whether a line says that it was last changed before its base was."""
    if not pair.number or not pair.base_number:
        return False
    before, after = _changed_at(pair.base), _changed_at(pair.line)
    return before is not None and after is not None and after < before


def _changed_at(line: bytes) -> int | None:
    try:
        return instant_ns(_times_of(line).updated_at)
    except UNREADABLE:
        return None


def distance(keys: Collection[bytes], version: Collection[bytes]) -> int:
    """By how many lines two states of a file differ; both as sets of keys."""
    return len(frozenset(keys) ^ frozenset(version))


# -- Who did it --------------------------------------------------------------------------------------------------
MIRROR: Final = "mirror"
"""The actor of changes that don't say whose they are."""


class _Who(msgspec.Struct):
    status: str = ""
    created_by: str = ""
    deleted_by: str = ""
    updated_by: str = ""


_who_of: Final = msgspec.json.Decoder(_Who).decode


def actor_of(pair: LinePair, most_bytes: int) -> str:
    """Who made a change, as far as its line says: who made a new issue, deleted one, or changed it; else `mirror`.

    Args:
        pair: the line's two states.
        most_bytes: how long a name may be.
    """
    try:
        who = _who_of(pair.line or b"{}")
    except UNREADABLE:
        return MIRROR
    if who.status == "tombstone":
        name = who.deleted_by
    elif pair.base_number:
        name = who.updated_by
    else:
        name = who.created_by
    return name if name.strip() and len(name.encode()) <= most_bytes else MIRROR
