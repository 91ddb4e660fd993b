"""Former keys: those that a town had on a plane before it took its present one, and those that this machine had.

A town gives up a key itself (`rotating`), or the recovery key puts another in its place (`recovering`), since that one
was stolen or lost. What a town wrote under a key that it gave up itself stays its own word. Of one that was replaced
nobody knows who wrote under it: only what must go on whoever that was, the numbers of leases, begins behind it.

Invariant: what were whose keys is read from the plane's charters, so that all machines that hold them agree, whether
they have the town's keys or not; and a machine takes over only what it held under a key that counts no more.
"""

from collections.abc import Callable, Iterator, Mapping, Set
from functools import cached_property

from mootd.engine.keyring import stored_name
from mootd.engine.membership.charters import charters_of, heirs_of, recovered_of
from mootd.engine.state import REPLICA_KEY, State
from mootd.engine.stored import layout
from mootd.engine.stored.feeds import Source
from mootd.engine.stored.log import FeedRow, PlaneRow
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.unit import Unit
from mootd.store.port import Reader, Table


# -- Towns -------------------------------------------------------------------------------------------------------
class OwnTown:
    """The keys of the town that a machine belongs to on a plane, so far as that gave them up itself.

    Charters are read when another key than the present one is asked about, and not before.

    Args:
        reader: the transaction.
        plane: the plane.
    """

    def __init__(self, reader: Reader, plane: PlaneRow) -> None:
        self._reader = reader
        self._plane = plane

    def __contains__(self, town: object) -> bool:
        return town == self._plane.town or (bool(town) and town in self._former)

    @cached_property
    def _former(self) -> Set[bytes]:
        source = LogSnapshot(self._reader)
        if not _has_gone(source, self._plane):
            return frozenset()
        earlier = _turned({key: {heir} for key, heir in heirs_of(source, self._plane).items()})
        return frozenset(_reached(self._plane.town, earlier))


def line_of(reader: Reader, plane: PlaneRow) -> tuple[bytes, ...]:
    """All keys that a machine's town has had on a plane, the latest first; those that others have put there, too."""
    source = LogSnapshot(reader)
    if not _has_gone(source, plane):
        return (plane.town,)
    later: dict[bytes, set[bytes]] = {key: {heir} for key, heir in heirs_of(source, plane).items()}
    for key, replaced in recovered_of(source, plane).items():
        for each in replaced:
            later.setdefault(each, set()).add(key)
    newer, older = list(_reached(plane.town, later)), list(_reached(plane.town, _turned(later)))
    return (*reversed(newer), plane.town, *(key for key in older if key not in newer))


class OwnFeeds:
    """Tells which feeds are of the town that a machine belongs to on their plane, under whichever key that had.

    Charters are read when a feed of another key than the present one is asked about, and not before.

    Args:
        reader: the transaction.
        replica: the machine.
        feed_of: a feed by its number.
    """

    def __init__(self, reader: Reader, replica: State, feed_of: Callable[[int], FeedRow]) -> None:
        self._reader = reader
        self._replica = replica
        self._feed_of = feed_of
        self._lines: dict[int, Set[bytes]] = {}
        """By plane."""

    def __call__(self, feed: int) -> bool:
        """Whether a feed, by its number, is the town's."""
        row = self._feed_of(feed)
        plane = self._replica.planes.get(row.plane)
        return plane is not None and (row.town == plane.town or row.town in self._line(plane))

    def _line(self, plane: PlaneRow) -> Set[bytes]:
        if plane.number not in self._lines:
            self._lines[plane.number] = self._replica.own_towns().union(line_of(self._reader, plane))
        return self._lines[plane.number]


def _has_gone(source: Source, plane: PlaneRow) -> bool:
    """Whether any town's charter has ended: else nobody has had another key."""
    return any(row.ended for row in charters_of(source, plane))


def _turned(edges: Mapping[bytes, Set[bytes]]) -> dict[bytes, set[bytes]]:
    turned: dict[bytes, set[bytes]] = {}
    for start, ends in edges.items():
        for end in ends:
            turned.setdefault(end, set()).add(start)
    return turned


def _reached(start: bytes, edges: Mapping[bytes, Set[bytes]]) -> Iterator[bytes]:
    """What can be reached from a key, the nearest first; never the key itself."""
    seen, waiting = {start}, [start]
    for key in waiting:
        further = sorted(edges.get(key, set()) - seen)
        seen.update(further)
        waiting += further
        yield from further


# -- This machine ------------------------------------------------------------------------------------------------
def is_over(row: FeedRow) -> bool:
    """Whether nothing more will count of a feed: it has ended, or has two histories."""
    return bool(row.ended or row.forked_at)


def former_replicas(source: Source, replica: State, plane: PlaneRow) -> frozenset[bytes]:
    """The keys that this machine had before and that count no more on a plane.

    On a copy of another machine that one's key is among them, but only once that one can't go on under it either.
    """
    keys = {replica.signer(name).public for name in replica.keys.stored(REPLICA_KEY)} - {replica.id}
    return frozenset(key for key in keys if is_over(source.feed(source.feed_number(plane.number, key))))


def held_replicas(source: Source, replica: State, plane: PlaneRow) -> frozenset[bytes]:
    """Of the former keys those that no other machine can have had: what was held under them this machine holds alone.

    Neither those that it had when it was salvaged, for it may be a copy, or have one, and its original or copy may go
    on as their successor just so; nor those of which there are two histories.
    """
    shared = _shared_with(source, replica)
    former = former_replicas(source, replica, plane) - shared
    return frozenset(key for key in former if not source.feed(source.feed_number(plane.number, key)).forked_at)


def note_shared(unit: Unit) -> None:
    """Note that the keys which this machine has had until now may be another's, too."""
    latest = unit.replica.keys.latest(REPLICA_KEY)
    unit.transaction.put(Table.META, layout.SHARED_KEYS, latest.to_bytes(4, "big"))


def _shared_with(source: Source, replica: State) -> frozenset[bytes]:
    """The keys of this machine that may be another's."""
    noted = source.transaction.get(Table.META, layout.SHARED_KEYS)
    if noted is None:  # an earlier release noted of a copy only that the town's key isn't its own
        names = list(replica.keys.stored(REPLICA_KEY)) if replica.is_disowned else []
    else:
        numbers = range(1, int.from_bytes(noted, "big") + 1)
        names = [name for name in (stored_name(REPLICA_KEY, each) for each in numbers) if replica.keys.has(name)]
    return frozenset(replica.signer(name).public for name in names)
