"""Desks that receive the batches of feeds, and whether they stand where acceptance leaves them.

What counts is settled from the set of all the batches, in memory: nothing of what a replica stores or keeps is used.
"""

from collections.abc import Iterable

from moot_protocol.log.batch import Batch
from moot_protocol.merge.fold import Placed, fold
from moot_protocol.merge.kinds import CHARTER_KINDS
from moot_protocol.trust.charter import is_void
from moot_testkit.bytes.feeds import FeedWriter, Town, live_digest
from moot_testkit.naive.held import HeldBatches
from moot_testkit.naive.settlement import Settlement, allows, settle
from moot_testkit.towns.engine import Desk


def begun(*writers: FeedWriter, town: Town) -> Desk:
    """A desk that holds the charter and the openings of these feeds."""
    desk = Desk().watch(town)
    desk.receive([*town.charter.batches, *(writer.batches[0] for writer in writers)])
    return desk


def accepted_of(desk: Desk) -> dict[bytes, tuple[int, bytes]]:
    """author → (n, head) of every feed of which something counts."""
    return {row.author: (row.n, row.head) for row in desk.replica.feeds.values() if row.n}


def check(desk: Desk, town: Town, batches: Iterable[Batch]) -> None:
    """A desk that holds these batches has settled them as acceptance does, and its views follow."""
    held = HeldBatches(town.plane, batches)
    settlement = settle(town.plane, held)
    assert accepted_of(desk) == {a: (it.n, it.batch) for a, it in settlement.accepted.items() if it.n}
    events = [placed for placed in held.accepted(settlement) if _counts(settlement, placed)]
    assert desk.digest() == live_digest(events).digest()
    titles = {
        entity: sorted(str(write.sibling.value) for write in keys.get("title", ()))
        for (kind, entity), keys in fold(events).items()
        if kind == "issue"
    }
    with desk.replica.read() as reader:
        entities = desk.entities(reader)
        shown = {
            entity: sorted(str(sibling.value) for sibling in entities.live(record).get("title", ()))
            for entity, record in desk.records().items()
            if record.groups
        }
    assert shown == titles


def _counts(settlement: Settlement, placed: Placed) -> bool:
    """Whether an accepted event may say what it says, and says something."""
    skeleton = placed.event.skeleton
    if skeleton.kind in CHARTER_KINDS and is_void(placed.event):
        return False
    return allows(settlement.accepted[placed.author], skeleton.kind, skeleton.changes[0].key)
