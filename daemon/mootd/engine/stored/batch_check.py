"""What makes an accepted batch sound by itself, whoever goes through the log: `fsck.py` all of it, `audit.py` a chain.

Not here, since each knows it in its own way: how a batch follows the one before it, and what a pin cuts off.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from moot_protocol import crypto
from moot_protocol.log import merkle
from moot_protocol.log.batch import Header
from mootd.engine.stored.log import StoredBatch, StoredEvent

NOT_SIGNED: Final = "its events are not those that were signed"


class Stand(NamedTuple):
    """Where a batch stands in BATCHES, and what its feed's row says."""

    feed: int
    first: int
    author: bytes
    plane: bytes
    """The plane's id; empty where there is no such plane."""


def batch_problems(stand: Stand, batch: StoredBatch, header: Header, events: Sequence[StoredEvent]) -> Iterator[str]:
    """What is wrong with an accepted batch.

    Args:
        stand: where it stands.
        batch: it.
        header: its header. Whether what was signed is all here can be told only of one that is accepted as a whole.
        events: its accepted events.
    """
    if (header.author, header.first) != (stand.author, stand.first):
        yield "its header is another batch's"
    if header.plane != stand.plane:
        yield "it is of another plane"
    if not crypto.is_signed(header.author, batch.signature, crypto.BATCH_DOMAIN + batch.header_bytes):
        yield "its signature doesn't fit"
    if batch.accepted == header.count and merkle.root([each.event.leaf for each in events]) != header.root:
        yield NOT_SIGNED
    if [(each.feed, each.event.n) for each in events] != [(stand.feed, stand.first + i) for i in range(batch.accepted)]:
        yield "its events are another's, or out of order"
