"""Which frames of a remote this machine can't open, though it should.

Invariant: whoever may write to a remote can put any frame there, so only an epoch that the charters name is the plane's
own; of another nobody can say whether a frame of it is worth anything.
"""

from collections.abc import Iterator
from typing import NamedTuple

from mootd.engine.machine.remotes import RemoteRow, mode_of
from mootd.engine.membership.charters import epochs_of
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.replica import Replica
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.exchange.progress import Progress
from mootd.store.port import Reader


class Unopened(NamedTuple):
    """Frames of one epoch that couldn't be opened and still can't."""

    plane: PlaneRow
    epoch: bytes
    frames: int


def unopened(replica: Replica, reader: Reader, row: RemoteRow, progress: Progress) -> Iterator[Unopened]:
    """What couldn't be opened and still can't, of the planes that are exchanged with a remote.

    Who was removed isn't meant to open what was sealed since.

    Args:
        replica: this replica.
        reader: a snapshot of it.
        row: the remote.
        progress: how the exchange with it goes.
    """
    source = LogSnapshot(reader)
    for (number, epoch), frames in [*progress.unopened.items()]:
        plane = replica.planes.get(number)
        if plane is None or PlaneKeys(replica.keys, plane.id).key_of(epoch) is not None:
            continue
        if mode_of(reader, row, number) == "off" or source.feed(source.feed_number(number, replica.id)).ended:
            continue
        yield Unopened(plane, epoch, frames)


def withheld(replica: Replica, reader: Reader, row: RemoteRow, progress: Progress) -> dict[str, int]:
    """A plane's name → how many of its frames wait for a key that this replica should have, by what the charters say.

    The arguments are those of `unopened`.
    """
    found: dict[str, int] = {}
    source = LogSnapshot(reader)
    for each in unopened(replica, reader, row, progress):
        if each.epoch in {epoch.id for epoch in epochs_of(source, each.plane).written}:
            found[each.plane.name] = found.get(each.plane.name, 0) + each.frames
    return found
