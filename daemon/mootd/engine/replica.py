"""A replica: one daemon's log and views, changed by one unit of work at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from mootd.engine.log import FeedRow
from mootd.engine.receive import release_parked
from mootd.engine.state import REPLICA_KEY, TOWN_KEY, State
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
            try:
                unit.views.graph.follow_rules(self.projects.values())
                unit.views.graph.release_due(unit.now_ms)
                release_parked(unit)
                yield unit
                unit.finish()
            finally:
                unit.release()
        self._committed(unit)

    def _committed(self, unit: Unit) -> None:
        for row in unit.new_planes:
            self.planes[row.number] = row
        self.planes.update(unit.changed_planes)
        self.keys.update(unit.new_keys)
        if unit.is_disowned:
            self.disowned = self.keys.latest(TOWN_KEY)
        self.is_moved = self.is_moved and REPLICA_KEY not in unit.new_keys  # nobody else writes under a new one
        is_same_feeds = all(_is_further(self.feeds.get(number), row) for number, row in unit.feeds.items())
        self.feeds.update(unit.feeds)
        self.feed_numbers.update(unit.new_feeds)
        self.projects.update(unit.new_projects)
        self.arrival, self.cuts, self.generation = unit.arrival, unit.cuts, unit.generation
        self.clock.last = unit.clock.last
        self.settled = unit.settled
        self.changes.remotes += unit.changes_remotes
        if not is_same_feeds or unit.new_planes or unit.changed_planes or unit.new_keys or unit.is_disowned:
            self.changes.feeds += 1  # last, so that whoever read feeds under this number has read these


def _is_further(before: FeedRow | None, row: FeedRow) -> bool:
    """Whether a feed's row tells of more events and of nothing else that says whose feed it is."""
    if before is None:
        return False
    return (before.plane, before.kind, before.town, before.n > 0) == (row.plane, row.kind, row.town, row.n > 0)
