"""The history of one key: which writes each write superseded, and what they have in common.

A write is named `(author, n)`. A link counts only if it leads to an earlier time: a writer's clock has passed all
it saw, so honest links always do. Walking from the latest write down therefore meets a write only after all its
successors, which makes every question here one walk that ends near its answer, and no walk can go in circles. Walks
are bounded by `LINEAGE_STEPS`; beyond it the answer is the same as where there is no history.
"""

from collections.abc import Iterable, Sequence
from heapq import heappop, heappush
from typing import Any, Final, Protocol, TypeAlias

from moot_protocol.limits import LINEAGE_STEPS

Name: TypeAlias = tuple[bytes, int]
"""A write of one key: the author's key and the event's number."""


class Lineage(Protocol):
    """The writes of one (kind, entity, key), superseded ones included."""

    def over(self, name: Name) -> Sequence[Name]:
        """The accepted writes that a write superseded; empty for one that isn't known."""

    def value(self, name: Name) -> Any:
        """What a write wrote, or MISSING."""

    def hlc(self, name: Name) -> int:
        """When a write was made; 0 for one that isn't known."""


class _Descent:
    """Writes in descending (hlc, author, n), each once, from given ones down through what they superseded."""

    def __init__(self, lineage: Lineage, start: Iterable[Name]) -> None:
        self._lineage = lineage
        self._heap: list[tuple[int, _Descending, int, Name]] = []
        self._met: set[Name] = set()
        self.steps = 0
        for name in start:
            self.add(name)

    def add(self, name: Name) -> None:
        if name not in self._met:
            self._met.add(name)
            heappush(self._heap, (-self._lineage.hlc(name), _Descending(name[0]), -name[1], name))

    def __len__(self) -> int:
        return len(self._heap)

    def pop(self) -> Name:
        self.steps += 1
        return heappop(self._heap)[3]

    def links(self, name: Name) -> tuple[list[Name], bool]:
        """The links of a write that lead to earlier times, and whether these are all it has."""
        hlc = self._lineage.hlc(name)
        over = self._lineage.over(name)
        earlier = [link for link in over if self._lineage.hlc(link) < hlc]
        return earlier, len(earlier) == len(over)


class _Descending(bytes):
    """Bytes in the opposite order, for a heap that gives the greatest first."""

    __slots__ = ()

    def __lt__(self, other: bytes) -> bool:
        return bytes.__gt__(self, other)


_OURS: Final = 1
_THEIRS: Final = 2
_BELOW: Final = 4
"""Marks a write below a common ancestor already found."""


def nearest_common_ancestor(lineage: Lineage, ours: Name, theirs: Name) -> Name | None:
    """The one write that both superseded and that no other such write superseded; None if there is none, or several."""
    marks = {ours: _OURS, theirs: _THEIRS}
    open_marks = 2
    descent = _Descent(lineage, (ours, theirs))
    found: Name | None = None
    while open_marks:
        if descent.steps == LINEAGE_STEPS:
            return None
        name = descent.pop()
        mark = marks[name]
        if not mark & _BELOW:
            open_marks -= 1
            if mark == _OURS | _THEIRS:
                if found is not None:
                    return None
                found = name
                mark |= _BELOW
        for link in descent.links(name)[0]:
            before = marks.get(link)
            after = marks[link] = (before or 0) | mark
            open_marks += (not after & _BELOW) - (before is not None and not before & _BELOW)
            descent.add(link)
    return found


def agreed(lineage: Lineage, names: Sequence[Name]) -> Name | None:
    """The latest write that all of `names` succeed (or are) and nothing is concurrent with; None if there is none."""
    links_of: dict[Name, list[Name]] = {}
    descent = _Descent(lineage, names)
    while descent:
        if descent.steps == LINEAGE_STEPS:
            return None
        name = descent.pop()
        links_of[name], all_earlier = descent.links(name)
        if not all_earlier:
            return None
        if not descent:
            # Whatever is below is below this one, and so below all that lead here.
            links_of[name] = []
            break
        for link in links_of[name]:
            descent.add(link)
    return _first_comparable(links_of)


def _first_comparable(links_of: dict[Name, list[Name]]) -> Name | None:
    """Of writes with their links, latest first: the first that leads to all after it and that all before lead to."""
    # Sets of writes as bits of integers.
    bit = {name: 1 << place for place, name in enumerate(links_of)}
    below: dict[Name, int] = {}
    for name in reversed(links_of):
        below[name] = 0
        for link in links_of[name]:
            below[name] |= bit[link] | below[link]
    below_all_before = after = (1 << len(links_of)) - 1
    for name in links_of:
        after ^= bit[name]
        if below_all_before & bit[name] and below[name] == after:
            return name
        below_all_before &= below[name]
    return None
