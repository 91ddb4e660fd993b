"""Proofs of single events, for people who have neither the log nor this program's word."""

from typing import Any

from moot_protocol.batch import Batch, decode_batch
from moot_protocol.kinds import CERTIFICATE, GENESIS
from moot_protocol.proof import build_proof
from mootd.engine.entities import Entities
from mootd.engine.log import StoredEvent, damaged
from mootd.engine.replica import Replica


def proof_of(replica: Replica, entities: Entities, stored: StoredEvent) -> bytes:
    """The proof of an accepted event: itself, its path, its batch's signature, and who may sign for the plane."""
    row = replica.feeds[stored.feed]
    charter = entities.feed_number(row.plane, row.town)
    if charter is None:
        raise damaged("the town's charter is missing")
    genesis = _opening(entities, charter, GENESIS)
    certificate = () if row.author == row.town else _opening(entities, stored.feed, CERTIFICATE)
    return build_proof(_batch(entities, stored), stored.event.n, certificate, genesis)


def _batch(entities: Entities, stored: StoredEvent) -> Batch:
    held = entities.log.batch_holding(stored.feed, stored.event.n)
    if held is None or held.accepted != held.header.count:
        raise damaged(f"the batch that holds event {stored.event.n} is not whole")
    return decode_batch(entities.log.batch_bytes(held), verify=False)


def _opening(entities: Entities, feed: int, kind: str) -> Any:
    """What the first event of a feed wrote."""
    held = entities.log.batch_holding(feed, 1)
    first = None if held is None else entities.event(held.arrival).event
    values = None if first is None or first.skeleton.kind != kind else first.values()
    if not values:
        raise damaged(f"a feed doesn't begin with its {kind}")
    return values[0]
