"""Proofs of single events, for people who have neither the log nor this program's word.

Invariant: only accepted events are proven, by what their authors signed: of a batch that a pin cuts the whole of it,
which lies in ASIDE.
"""

from typing import Any

from moot_protocol.batch import Batch, decode_batch
from moot_protocol.certificate import decode_certificate
from moot_protocol.charter import invite_of
from moot_protocol.ids import key_text
from moot_protocol.kinds import CERTIFICATE, GENESIS, INVITE
from moot_protocol.proof import build_proof
from mootd.engine import layout
from mootd.engine.aside import whole_batch
from mootd.engine.entities import Entities
from mootd.engine.log import StoredEvent, damaged
from mootd.engine.record import decode_record
from mootd.engine.replica import Replica


def proof_of(replica: Replica, entities: Entities, stored: StoredEvent) -> bytes:
    """The proof of an accepted event: itself, its path, its batch's signature, and who may sign for the plane."""
    row = replica.feeds[stored.feed]
    charter = entities.feed_number(row.plane, row.town)
    if charter is None:
        raise damaged("the town's charter is missing")
    genesis = _opening(entities, charter, GENESIS)
    batch = _batch(entities, stored)
    if row.author == row.town:
        return build_proof(batch, stored.event.n, (), genesis)
    certificate = _opening(entities, stored.feed, CERTIFICATE)
    signer = decode_certificate(certificate).signer
    if signer == row.town:
        return build_proof(batch, stored.event.n, certificate, genesis)
    made = _invite(entities, row.plane, charter, signer)
    return build_proof(batch, stored.event.n, certificate, genesis, (_batch(entities, made), made.event.n))


def _batch(entities: Entities, stored: StoredEvent) -> Batch:
    """The whole batch that holds an accepted event."""
    held = entities.log.batch_holding(stored.feed, stored.event.n)
    if held is None:
        raise damaged(f"the batch that holds event {stored.event.n} is missing")
    return decode_batch(whole_batch(entities.reader, stored.feed, held), verify=False)


def _opening(entities: Entities, feed: int, kind: str) -> Any:
    """What the first event of a feed wrote."""
    held = entities.log.batch_holding(feed, 1)
    first = None if held is None else entities.event(held.arrival).event
    values = None if first is None or first.skeleton.kind != kind else first.values()
    if not values:
        raise damaged(f"a feed doesn't begin with its {kind}")
    return values[0]


def _invite(entities: Entities, plane: int, charter: int, key: bytes) -> StoredEvent:
    """The event of a charter that made an invite: the first one of its key."""
    eid = entities.reader.get(entities.views.ids, layout.id_key(plane, INVITE, key_text(key)))
    packed = None if eid is None else entities.reader.get(entities.views.records, eid)
    events = [] if packed is None else entities.log.history(decode_record(packed).head)
    made = [each for each in events if each.feed == charter and invite_of(each.event, key) is not None]
    if not made:
        raise damaged("the charter doesn't hold the invite that a feed rests on")
    return min(made, key=lambda each: each.event.n)
