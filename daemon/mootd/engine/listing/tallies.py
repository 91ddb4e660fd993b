"""Counting by keys alone: what stands in an index needs no record to be read.

Invariant: a tally is what reading every issue's record would count, or there is none: what the keys can't tell is left
to who reads the records.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from moot_protocol.requests.listing import Filter
from mootd.engine.issues.reading import Issues
from mootd.engine.listing.filters import prefixes_below, status_prefixes
from mootd.engine.stored import layout
from mootd.engine.views.standing import Standing

_EVERYTHING: Final = Filter()
_NOT_CLOSED: Final = b"\0"
"""Follows who holds an issue in a key, where the issue isn't closed."""


class Tallies:
    """Counts of the issues of some projects.

    Args:
        issues: the issues.
        numbers: the projects' numbers.
    """

    def __init__(self, issues: Issues, numbers: list[int]) -> None:
        self._issues = issues
        self._numbers = numbers

    def can_tell(self, wanted: Filter) -> bool:
        """Whether keys tell which issues a filter means: it names projects, each with its number, and statuses only."""
        others = replace(wanted, projects=(), plane="", statuses=())
        return others == _EVERYTHING and layout.OTHER_PROJECTS not in self._numbers

    def statuses(self, wanted: Filter, *, closed: bool) -> Counter[str] | None:
        """Status → issues; None where one is so long that its key holds a hash of it.

        Args:
            wanted: the filter.
            closed: whether closed ones are counted, unless statuses are named.
        """
        counts: Counter[str] = Counter()
        for prefix in self._prefixes(wanted, closed=closed):
            status = layout.text_of(prefix)
            if status is None:
                return None
            counts[status] += sum(1 for _ in self._keys(prefix))
        return +counts

    def priorities(self, wanted: Filter, *, closed: bool) -> Counter[int]:
        """Priority → issues."""
        counts: Counter[int] = Counter()
        for prefix in self._prefixes(wanted, closed=closed):
            counts.update(map(layout.priority_of, self._keys(prefix)))
        return counts

    def assignees(self, wanted: Filter, *, closed: bool) -> Counter[str] | None:
        """Who holds issues → how many, empty for nobody; None where a name is so long that keys hold a hash of it.

        Args:
            wanted: the filter; it names no status.
            closed: whether closed ones are counted.
        """
        counts: Counter[str] = Counter()
        for prefix in self._held():
            holder = layout.text_of(prefix)
            if holder is None:
                return None
            meant = prefix if closed else prefix + _NOT_CLOSED
            counts[holder] += sum(1 for _ in self._keys(meant))
        counts[""] = self.priorities(wanted, closed=closed).total() - counts.total()
        return +counts

    def _held(self) -> Iterator[bytes]:
        """What the keys of issues that somebody holds begin with: a prefix for each project and holder."""
        for number in self._numbers:
            yield from prefixes_below(self._issues.entities, layout.project_prefix(layout.ASSIGNEE, number))

    def pinned(self) -> int:
        """Issues that are pinned."""
        numbers = set(self._numbers)
        standings = (Standing(layout.eid_of(key), packed) for key, packed in self._scan(layout.STANDING))
        return sum(standing.is_pinned and standing.project in numbers for standing in standings)

    def _prefixes(self, wanted: Filter, *, closed: bool) -> Iterator[bytes]:
        for number in self._numbers:
            yield from dict.fromkeys(status_prefixes(self._issues, number, wanted, closed=closed))

    def _keys(self, prefix: bytes) -> Iterator[bytes]:
        return (key for key, _ in self._scan(prefix))

    def _scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        entities = self._issues.entities
        return entities.reader.scan(entities.views.index, prefix, layout.after(prefix))
