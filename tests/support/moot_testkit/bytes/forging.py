"""Batches put together by hand, so that each rule of the format can be broken by itself, correctly signed."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

from msgspec.msgpack import Ext

from moot_protocol.codec import encode
from moot_protocol.crypto import BATCH_DOMAIN, SeedSigner
from moot_protocol.log.batch import ABSENT, ZEROS
from moot_protocol.log.merkle import root

PLANE = b"a plane's 16 byt"
SIGNER = SeedSigner(b"\x07" * 32)
SALT = bytes(range(16))


def forged_skeleton(**other: Any) -> bytes:
    """An event's skeleton that is as it should be but for what is named."""
    parts = {
        "version": 1, "hlc": 1, "actor": "alice", "kind": "issue", "entity": "mo-1",
        "changes": [["title", [], False]],
    }  # fmt: skip
    return encode([*(parts | other).values()])


def forged_values(*values: Any) -> bytes:
    """An event's values behind a salt."""
    return encode([SALT, *values])


def leaf_of(skeleton: bytes, values: bytes | Ext) -> bytes:
    """The leaf of an event, by the book."""
    values_hash = bytes(values.data) if isinstance(values, Ext) else sha256(values).digest()
    return sha256(b"\x00" + sha256(skeleton).digest() + values_hash).digest()


def absent(values: bytes) -> Ext:
    """What stands in a batch for values that are not there."""
    return Ext(ABSENT, sha256(values).digest())


def forged_header(events: Sequence[tuple[bytes, bytes | Ext]], signer: SeedSigner = SIGNER, **other: Any) -> bytes:
    """A header for one event at time 1 that is as it should be but for what is named."""
    parts = {
        "version": 1, "plane": PLANE, "author": signer.public, "first": 1, "count": len(events), "prev": ZEROS,
        "root": root([leaf_of(*event) for event in events] or [ZEROS]), "authors": [], "hlc_last": 1,
    }  # fmt: skip
    return encode([*(parts | other).values()])


def forged_batch(
    events: Sequence[tuple[bytes, bytes | Ext]] = (), signer: SeedSigner = SIGNER, header: bytes = b"", **other: Any
) -> bytes:
    """A signed batch that is as it should be but for what is named.

    Args:
        events: skeletons and values; one plain event if there are none.
        signer: who signs, and is named as author.
        header: its header's bytes, instead of one that fits the events.
        other: what the header says otherwise.
    """
    events = events or [(forged_skeleton(), forged_values("a title"))]
    header = header or forged_header(events, signer, **other)
    return encode([1, header, signer.sign(BATCH_DOMAIN + header), events])
