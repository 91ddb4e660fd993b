"""A replica: one daemon's log and views, changed by one unit of work at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from mootd.engine.receive import release_parked
from mootd.engine.state import State
from mootd.engine.unit import Unit


class Replica(State):
    """One data directory's engine."""

    @contextmanager
    def transaction(self) -> Iterator[Unit]:
        """One unit of work: commits when the block ends, and nothing of it stays when the block raises.

        It begins with what only time has changed: issues that were deferred until now, batches parked until now.
        """
        with self.store.write() as txn:
            unit = Unit(self, txn, self.wall.now_ms())
            unit.views.graph.release_due(unit.now_ms)
            release_parked(unit)
            yield unit
            unit.finish()
        self._committed(unit)

    def _committed(self, unit: Unit) -> None:
        for row in unit.new_planes:
            self.planes[row.number] = row
        self.planes.update(unit.changed_planes)
        self.keys.update(unit.new_keys)
        self.is_disowned = self.is_disowned or unit.is_disowned
        self.feeds.update(unit.feeds)
        self.feed_numbers.update(unit.new_feeds)
        self.projects.update(unit.new_projects)
        self.arrival, self.cuts, self.generation = unit.arrival, unit.cuts, unit.generation
        self.clock.last = unit.clock.last
