"""Which lines of two states of a Beads file belong together: by id, whatever their order, equal ones left out.

Both files are read once, in step and line by line. What is held at a time is only what the files are out of step by,
so that nearly equal files of any size take little, and pipes will do. Every line that can't be taken is reported by
its number, and the rest goes on.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import msgspec

from moot_protocol.beads.line_problem import LineProblem
from moot_protocol.beads.lines import parse_line
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import MIB

HELD_BYTES: Final = 256 * MIB
"""Bytes of lines held at once while their partners are looked for."""


class LinePair(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """One issue's line in two states of a file."""

    base_number: int
    """Its number in the base, from 1; 0 where it isn't there."""
    base: bytes
    """The line; empty where it isn't there."""
    number: int
    line: bytes


class PairProblem(NamedTuple):
    """What is wrong with a line, and in which of the files it stands."""

    in_base: bool
    problem: LineProblem


class _Id(msgspec.Struct):
    id: str


_id_of: Final = msgspec.json.Decoder(_Id).decode


class Pairing:
    """Finds the changed lines of a file.

    Args:
        base: lines of the file as it was, without their ends; None for one that is too long to be read.
        lines: lines of the file as it is now.
        held_bytes: how much of both may be held at once.
    """

    def __init__(
        self, base: Iterable[bytes | None], lines: Iterable[bytes | None], held_bytes: int = HELD_BYTES
    ) -> None:
        self.problems: list[PairProblem] = []
        """Lines of either file that are no issue's, found so far."""
        self.is_whole = True
        """Whether every line of the file as it is now could be read so far: else one may only seem to be missing."""
        self.equal = 0
        """Lines found so far that stand in both files as they are."""
        self._sides = (_Side(base, self), _Side(lines, self))
        self._room = held_bytes

    def __iter__(self) -> Iterator[LinePair]:
        """The pairs that differ: first those in both files, then new lines, then missing ones.

        Raises:
            RefusedError: `limit`: the files are too far out of step.
        """
        base, new = self._sides
        while base.is_open or new.is_open:
            for side, other in ((base, new), (new, base)):
                name = side.step()
                if name is None:
                    continue
                if name not in other.waiting:
                    self._hold(side.waiting[name][1])
                    continue
                (base_number, before), (number, after) = base.waiting.pop(name), new.waiting.pop(name)
                self._room += len(before if side is new else after)
                if before == after:
                    self.equal += 1
                else:
                    yield LinePair(base_number, before, number, after)
        yield from (LinePair(0, b"", number, line) for number, line in new.waiting.values())
        yield from (LinePair(number, line, 0, b"") for number, line in base.waiting.values())

    def _hold(self, line: bytes) -> None:
        self._room -= len(line)
        if self._room < 0:
            raise RefusedError(
                "the files have too little in common, or are in different orders",
                code=Code.LIMIT,
                hint="import the file whole, without --since",
            )

    def report(self, side: "_Side", problem: LineProblem) -> None:
        """Note a line that can't be taken."""
        in_base = side is self._sides[0]
        self.problems.append(PairProblem(in_base, problem))
        self.is_whole &= in_base


class _Side:
    """One of the two files."""

    def __init__(self, lines: Iterable[bytes | None], pairing: Pairing) -> None:
        self._lines = enumerate(lines, start=1)
        self._pairing = pairing
        self._seen: set[str] = set()
        self.waiting: dict[str, tuple[int, bytes]] = {}
        """id → number and line, of those whose partner hasn't been met."""
        self.is_open = True

    def step(self) -> str | None:
        """Read one line; the id that waits now, or None where nothing was gained."""
        number, line = next(self._lines, (0, b""))
        if not number:
            self.is_open = False
            return None
        name = self._read(number, line)
        if isinstance(name, LineProblem):
            self._pairing.report(self, name)
        if not isinstance(name, str) or line is None:
            return None
        self._seen.add(name)
        self.waiting[name] = (number, line)
        return name

    def _read(self, number: int, line: bytes | None) -> str | LineProblem | None:
        if line is None:
            return LineProblem(number, "", "too long for a line")
        try:
            name = _id_of(line).id
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            parsed = parse_line(line, number)
            if parsed is None or isinstance(parsed, LineProblem):
                return parsed
            name = parsed.id
        if name in self._seen:
            return LineProblem(number, name, "this id stood in an earlier line, which was taken instead")
        return name
