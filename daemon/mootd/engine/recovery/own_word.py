"""What of a machine's planes is its town's own word: its memories, and the documents that are in force.

Invariant: it is read as it stands inside the unit, by the town that the machine belongs to on each plane as it is told
here; so it can be read before and after a change of key, and the difference told.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from moot_protocol.merge.kinds import MEMORY
from mootd.engine.documents.adopted import Decisions
from mootd.engine.documents.reading import Documents
from mootd.engine.memories import Shelf
from mootd.engine.planes import issue_planes
from mootd.engine.stored.log import PlaneRow
from mootd.engine.unit import Unit


class OwnWord(NamedTuple):
    """What is the town's own word; each thing by its plane's number and its name there."""

    memories: frozenset[tuple[int, str]]
    documents: frozenset[tuple[int, str]]

    def lost_in(self, after: "OwnWord") -> tuple[int, int]:
        """(memories, documents) that are not the town's word any more."""
        return len(self.memories - after.memories), len(self.documents - after.documents)


def own_word(unit: Unit, planes: Iterable[PlaneRow]) -> OwnWord:
    """What is the own word of the towns that these rows say the machine belongs to."""
    unit.seal()
    unit.flush()
    rows = {row.number: row for row in planes}
    return OwnWord(frozenset(_memories(unit, rows)), frozenset(_documents(unit, rows)))


def _memories(unit: Unit, planes: Mapping[int, PlaneRow]) -> Iterator[tuple[int, str]]:
    for plane in issue_planes(planes):
        for project in {name for number, name in unit.replica.projects if number == plane.number} | {""}:
            for kept in Shelf(unit.entities(), plane, MEMORY, project, unit.feed).all():
                if not kept.foreign:
                    yield plane.number, f"{project}/{kept.key}"


def _documents(unit: Unit, planes: Mapping[int, PlaneRow]) -> Iterator[tuple[int, str]]:
    documents = Documents(unit.entities(), unit.feed, planes)
    for plane in issue_planes(planes):
        for document in documents.all(plane):
            if Decisions(documents, document).in_force() is not None:
                yield plane.number, document.id
