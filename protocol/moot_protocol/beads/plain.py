"""Lines of Beads' files whose every field is plain: what they write is settled by their names, once for all such lines.

A field is plain if it is a register or a text that is of its expected type, stays as it is, and says nothing odd.
Nearly all lines of a file hold nothing else, and have one of a few sets of names. Invariant: a plain line writes what
`writes.py` makes of the issue that `lines.py` reads from it, and has no problems; whatever is in doubt is left to
them. So is a status or a type of a project's own, since nothing here knows of any.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import call, gt, itemgetter
from typing import Any, Final, TypeAlias

import msgspec

from moot_protocol.beads.line_problem import LineProblem
from moot_protocol.beads.lines import EXPECTED, FITS, TEXTS, USUAL, ImportedIssue, open_line, sort_fields
from moot_protocol.beads.writes import SHORTS_CHARS, values_for_new
from moot_protocol.issues.issue import CLOSED, SHAPES, Shape
from moot_protocol.log.event import PlainShape, plain_shape
from moot_protocol.times import TIME_CHARS, is_time

PlainEvents: TypeAlias = list[tuple[PlainShape, Sequence[Any]]]
"""Of each event the keys that it writes over nothing, and the values in their order."""

_PLANS: Final = 256
"""Sets of names that are remembered."""
_PLAN_CHARS: Final = 1024
"""Longer sets of names are not: nobody must be able to make this keep megabytes."""
_QUARTER: Final = 4
"""Bytes of UTF-8 that a character takes at most."""
_ONLY_TEXT: Final = frozenset({str})
_plans: Final[dict[tuple[str, ...], "_Plan"]] = {}


class PlainLine(msgspec.Struct, frozen=True, gc=False):
    """A line that holds plain fields alone."""

    id: str
    line: int
    """Number of the line in its file, from 1."""
    data: Mapping[str, Any]
    """The line's fields."""
    plan: "_Plan"

    def imported(self) -> ImportedIssue:
        """The same line, its fields sorted by how they are kept."""
        return sort_fields(dict(self.data), self.line)


def read_line(line: bytes, number: int) -> PlainLine | ImportedIssue | LineProblem | None:
    """As `beads.parse_line`, at two thirds of the cost where a line is plain."""
    opened = open_line(line, number)
    if opened is None or isinstance(opened, LineProblem):
        return opened
    data, is_whole = opened
    if is_whole:
        names = tuple(data)
        plan = _plans.get(names) or _plan_of(names)
        if plan.is_plain and plan.fits(data):
            return PlainLine(data["id"], number, data, plan)
    return sort_fields(data, number)


def events_for_new(line: PlainLine | ImportedIssue, project: str) -> PlainEvents:
    """All that a line writes for an issue that doesn't exist yet, event by event.

    Args:
        line: the line.
        project: the project's prefix.
    """
    if isinstance(line, PlainLine):
        data = {**line.data, "project": project}
        return [(shape, pick(data)) for shape, pick in line.plan.events]
    events: PlainEvents = []
    for values in values_for_new(line, project):
        shape = plain_shape(tuple(values))
        events.append((shape, [values[key] for key in shape.keys]))
    return events


class _Plan:
    """What is to be looked at in a line of these names, and what it writes.

    Args:
        names: the names in order of the line.
    """

    __slots__ = (
        "_checks",
        "_is_closed",
        "_is_long",
        "_most",
        "_others",
        "_shorts",
        "_texts",
        "_times",
        "events",
        "is_plain",
    )

    def __init__(self, names: tuple[str, ...]) -> None:
        self.is_plain = "id" in names and all(name in SHAPES or name == "id" for name in names) and len(names) > 1
        shorts = [name for name in names if name in SHAPES and name not in TEXTS]
        texts = [name for name in names if name in TEXTS]
        times = [name for name in shorts if SHAPES[name] is Shape.TIME]
        named = [name for name in shorts if name in FITS]
        self._texts = _picker((*times, *named, *texts))
        self._times, self._shorts = len(times), len(times) + len(named)
        self._most = [TIME_CHARS] * len(times) + [_most_chars(name) for name in (*named, *texts)]
        others = [name for name in shorts if name in USUAL or (name not in times and name not in FITS)]
        self._others, self._checks = _picker(others), [USUAL.get(name, EXPECTED[name]) for name in others]
        # Few sets of names have to be asked these at all: whether it has to be closed, and whether it can be too long.
        self._is_closed, self._is_long = "closed_at" in names, sum(self._most[: self._shorts]) > SHORTS_CHARS
        events = [["project", *shorts], *([name] for name in texts)]
        if texts and "updated_at" in shorts:
            events[0].remove("updated_at")
            events[-1].append("updated_at")
        shapes = [plain_shape(tuple(keys)) for keys in events] if self.is_plain else []
        self.events: list[tuple[PlainShape, _Pick]] = [(shape, _picker(shape.keys)) for shape in shapes]

    def fits(self, data: dict[str, Any]) -> bool:
        """Whether all fields of a line are plain; False if in doubt."""
        texts = self._texts(data)
        if not _ONLY_TEXT.issuperset(map(type, texts)):
            return False
        sizes = [*map(len, texts)]
        return (
            0 not in sizes
            and " " not in data["id"]
            and not any(map(gt, sizes, self._most))
            and not (self._is_long and sum(sizes[: self._shorts]) > SHORTS_CHARS)
            and not (self._is_closed and data.get("status") != CLOSED)
            and all(map(is_time, texts[: self._times]))
            and all(map(call, self._checks, self._others(data)))
        )


def _most_chars(name: str) -> int:
    """Characters of any script that a text field holds for certain."""
    return FITS[name] if name == "title" else FITS[name] // _QUARTER


_Pick: TypeAlias = Callable[[Mapping[str, Any]], Sequence[Any]]


def _plan_of(names: tuple[str, ...]) -> _Plan:
    plan = _Plan(names)
    if len(_plans) < _PLANS and sum(map(len, names)) <= _PLAN_CHARS:
        _plans[names] = plan
    return plan


def _picker(names: Sequence[str]) -> _Pick:
    """Takes the values of these names out of a line, in order."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda data: [data[name] for name in names]
