"""A replica: one daemon's log and views, changed by one unit of work at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from mootd.engine.exchange.receive import release_parked
from mootd.engine.state import REPLICA_KEY, TOWN_KEY, State
from mootd.engine.stored.erased import has_erasures
from mootd.engine.stored.log import FeedRow
from mootd.engine.unit import Unit
from mootd.ports import Clock, Entropy, KeyStore
from mootd.store.port import Store


class Replica(State):
    """One data directory's engine."""

    def __init__(self, store: Store, keys: KeyStore, clock: Clock, entropy: Entropy) -> None:
        super().__init__(store, keys, clock, entropy)
        self._waiters: dict[int, list[int]] = {}
        """Issue to which many edges lead → who waits for it (`Graph.waiters`). A cache."""

    @contextmanager
    def transaction(self) -> Iterator[Unit]:
        """One unit of work: commits when the block ends, and nothing of it stays when the block raises.

        It begins with what only time has changed: issues that were deferred until now, batches parked until now.
        """
        with self.store.write() as txn:
            unit = Unit(self, txn, self.wall.now_ms(), self._waiters)
            try:
                unit.views.follow_rules(self.projects.values())
                unit.views.graph.release_due(unit.now_ms)
                release_parked(unit)
                yield unit
                if unit.erasures or not (self.follows_erasures or self._has_no_erasures(unit)):
                    _settle_erasures(unit)
                unit.finish()
            finally:
                unit.release()
        self._committed(unit)

    def _has_no_erasures(self, unit: Unit) -> bool:
        return not any(has_erasures(unit.transaction, unit.views.views, plane) for plane in self.planes)

    def _committed(self, unit: Unit) -> None:
        for row in unit.new_planes:
            self.planes[row.number] = row
        self.planes.update(unit.changed_planes)
        self.keys.update(unit.new_keys)
        if unit.is_disowned:
            self.disowned = self.keys.latest(TOWN_KEY)
        if unit.is_original or REPLICA_KEY in unit.new_keys:  # nobody else writes under this key
            self.is_moved = False
        is_same_feeds = all(_is_further(self.feeds.get(number), row) for number, row in unit.feeds.items())
        self.feeds.update(unit.feeds)
        self.feed_numbers.update(unit.new_feeds)
        self.projects.update(unit.new_projects)
        self.follows_erasures = True
        self.arrival, self.cuts, self.generation = unit.arrival, unit.cuts, unit.generation
        self.clock.last = unit.clock.last
        self.settled = unit.settled
        self._waiters = unit.waiters
        self._waiters.update(unit.found_waiters)
        self.changes.remotes += unit.changes_remotes
        if not is_same_feeds or unit.new_planes or unit.changed_planes or unit.new_keys or unit.is_disowned:
            self.changes.feeds += 1  # last, so that whoever read feeds under this number has read these


def _settle_erasures(unit: Unit) -> None:
    from mootd.engine.erasure.erasing import settle_erasures  # few transactions erase anything

    settle_erasures(unit)


def _is_further(before: FeedRow | None, row: FeedRow) -> bool:
    """Whether a feed's row tells of more events and of nothing else that says whose feed it is."""
    if before is None:
        return False
    told, now = ((each.plane, each.kind, each.town, each.n > 0, each.ended) for each in (before, row))
    return told == now
