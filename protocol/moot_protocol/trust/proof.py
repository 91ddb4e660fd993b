"""Proofs: one event, shown to somebody who holds neither the log nor a daemon.

    proof  = [1, skeleton, values, index, path, header, signature, certificate, genesis, further]
    signed = [skeleton, values, index, path, header, signature]

`values` are the event's, or the 32 bytes of their hash as extension type 1; `index` is the event's place in its batch
and `path` the Merkle proof of it (RFC 9162, from the leaf upwards); `header` and `signature` are the batch's;
`certificate` is `[body, signature, signer]`, or empty where the author is a town's key itself; `genesis` is the
document that the plane is named after. `further` holds what the certificate rests on, upwards: nothing where the
founder's town key signed it; the one `signed` of the charter's event that made the invite, where an invite key did; and
for any other town how it was let in, step by step, up to the founder or the recovery key (`proof_chain.py`). There are
at most 64 steps, and none that nothing rests on. A replica's first event is the certificate that stands in the proof;
of a reader that is all a proof can show. All checks in their order: `docs/proofs.md`.

Whoever knows the plane's id by other means and verifies a proof knows that a key signed this event which a town
certified for this plane, by itself or through an invite, and that the founder let in that town, or somebody whom it let
in as an admin. What that does not show stands in `NOT_SHOWN`, `NOT_SHOWN_OF_INVITES` and `NOT_SHOWN_OF_TOWNS`.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from moot_protocol import crypto, limits
from moot_protocol.clock import to_ms
from moot_protocol.codec import decoder, encode
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.log import merkle
from moot_protocol.log.batch import ABSENT, HASH_BYTES, Batch
from moot_protocol.log.event import LEAF_PREFIX_BYTES, Dot, Event
from moot_protocol.merge import kinds
from moot_protocol.merge.kinds import Role
from moot_protocol.merge.register import MISSING
from moot_protocol.trust.charter import opening_value
from moot_protocol.trust.genesis import decode_genesis, plane_id
from moot_protocol.trust.proof_chain import BrokenProofError, Link, SignedEvent, verify_signed, verify_standing

FORMAT: Final = 1

NOT_SHOWN: Final = (
    "that the named actor is who wrote it: the replica that signed says so",
    "that the time is true: the replica that signed says so",
    "that the event counts: a proof shows no ends and no forks, nor that the role is enough for what it changes",
    "that it still holds: later writes may supersede it",
    "that it is all: the replica may have written anything else before, beside or after it",
)
"""What every proof leaves open, in words for whoever verifies one."""

NOT_SHOWN_OF_INVITES: Final = (
    "that the invite lets this replica in: a proof shows no closes, and the town may have closed it for others",
    "that the invite's role is this one: the first event about it holds, and a proof doesn't show which that is",
)
"""What the proof of an event of a replica that joined with an invite leaves open beside that."""


NOT_SHOWN_OF_TOWNS: Final = (
    "that the town, and each that let it in, is still a member: a proof shows no removals",
    "that the town's role is this one: others may have let it in with a higher one",
)
"""What the proof of an event of a town that didn't found the plane leaves open beside that."""


class Proof(msgspec.Struct, array_like=True, frozen=True):
    """A proof of good structure, in which nothing has been verified yet."""

    version: int
    skeleton: bytes
    values: bytes | msgspec.msgpack.Ext
    index: int
    path: tuple[bytes, ...]
    header: bytes
    signature: bytes
    certificate: tuple[bytes, ...]
    genesis: bytes
    further: tuple[SignedEvent, ...]

    @property
    def shown(self) -> SignedEvent:
        """The event that it is about."""
        return SignedEvent(self.skeleton, self.values, self.index, self.path, self.header, self.signature)


class ProvenChange(NamedTuple):
    """What a proven event did to one key."""

    key: str
    value: Any
    """The value; None where the change removes; MISSING where values are withheld, erased or malformed."""
    removes: bool
    over: tuple[Dot, ...]
    """The writes it superseded."""


class ProvenEvent(NamedTuple):
    """What a proof shows."""

    plane: bytes
    """16 bytes; to be compared with an id known by other means."""
    plane_name: str
    town: bytes
    """The 32-byte key of the author's town."""
    replica: bytes
    """The 32-byte key that signed; the town key itself for an event of its charter."""
    invite: bytes
    """The 32-byte key of the invite that it joined with; empty where the town certified it without one."""
    role: Role
    """The role it was given: the least of its certificate's, its invite's and its town's."""
    n: int
    """The event's number in its feed."""
    leaf: bytes
    batch: bytes
    """The id of its batch."""
    hlc: int
    time_ms: int
    """Milliseconds since 1970, as claimed."""
    actor: str
    """As claimed."""
    kind: str
    entity: str
    changes: tuple[ProvenChange, ...]
    through: tuple[bytes, ...]
    """Who let the town in, who let that one in, up to the founder or the recovery key; empty for those two."""
    came_invited: bool
    """Whether the town, or one of those, came with an invite."""

    @property
    def not_shown(self) -> tuple[str, ...]:
        """What the proof leaves open."""
        of_invites = NOT_SHOWN_OF_INVITES if self.invite or self.came_invited else ()
        return NOT_SHOWN + of_invites + (NOT_SHOWN_OF_TOWNS if self.through else ())

    @property
    def dot(self) -> Dot:
        """The event's name."""
        return Dot(self.replica, self.n, self.leaf[:LEAF_PREFIX_BYTES])


_decode: Final = decoder(Proof, FORMAT)


def build_proof(
    batch: Batch, n: int, certificate: Sequence[bytes], genesis: bytes, further: Sequence[tuple[Batch, int]] = ()
) -> bytes:
    """Prove one event of a batch.

    Args:
        batch: the batch that holds it.
        n: its number in the feed.
        certificate: body, signature and signer as they stand in the feed's first event; empty for a charter.
        genesis: the plane's genesis document.
        further: what it rests on, upwards, each by a charter's batch and the event's number in it (`proof_chain.py`).

    Raises:
        RefusedError: code `not_found`: the batch doesn't hold that event.
        MalformedError: the parts given don't prove it.
    """
    shown = _signed_event(batch, n)
    data = encode(
        Proof(
            FORMAT,
            shown.skeleton,
            shown.values,
            shown.index,
            shown.path,
            shown.header,
            shown.signature,
            tuple(certificate),
            genesis,
            tuple(_signed_event(*each) for each in further),
        )
    )
    verify_proof(data)
    return data


def _signed_event(batch: Batch, n: int) -> SignedEvent:
    index = n - batch.header.first
    if not 0 <= index < len(batch.events):
        raise RefusedError(f"event {n} is not in this batch", code=Code.NOT_FOUND)
    event = batch.events[index]
    return SignedEvent(
        event.skeleton_bytes,
        msgspec.msgpack.Ext(ABSENT, event.values_hash) if event.values_bytes is None else event.values_bytes,
        index,
        tuple(merkle.prove([other.leaf for other in batch.events], index)),
        batch.header_bytes,
        batch.signature,
    )


def decode_proof(data: bytes) -> Proof:
    """Decode a proof and check its structure; `verify_proof` is what tells whether it holds.

    Raises:
        MalformedError: `too_large`, `bad_version`, `bad_structure` or `not_canonical`.
    """
    if len(data) > limits.PROOF_BYTES:
        raise MalformedError(f"a proof of {len(data)} bytes", code=Code.TOO_LARGE)
    proof = _decode(data)
    if len(proof.certificate) not in (0, 3):
        raise MalformedError("a proof whose certificate is not body, signature and signer")
    if len(proof.further) > limits.PROOF_EVENTS:
        raise MalformedError(f"a proof that rests on {len(proof.further)} other events", code=Code.TOO_LARGE)
    for each in (proof.shown, *proof.further):
        _check(each)
    return proof


def _check(signed: SignedEvent) -> None:
    values = signed.values
    if isinstance(values, msgspec.msgpack.Ext) and (values.code != ABSENT or len(bytes(values.data)) != HASH_BYTES):
        raise MalformedError("a proof with an extension type that is not an absent value's hash")
    if len(signed.signature) != crypto.SIGNATURE_BYTES or any(len(step) != HASH_BYTES for step in signed.path):
        raise MalformedError("a proof with a signature or hash of the wrong length")


def verify_proof(data: bytes) -> ProvenEvent:
    """Verify a proof link by link, and tell what it shows.

    Raises:
        BrokenProofError: with the first link that doesn't hold.
        MalformedError: it, or a part of it, is malformed.
    """
    proof = decode_proof(data)
    genesis = decode_genesis(proof.genesis)
    header, event = verify_signed(proof.shown)
    standing = verify_standing(header, proof.certificate, proof.further, genesis)
    if plane_id(proof.genesis) != header.plane:
        raise BrokenProofError(Link.GENESIS, "the genesis is that of another plane", Code.WRONG_PLANE)
    if event.n == 1 and proof.certificate and not _is_certificate(event, header.author, proof):
        raise BrokenProofError(Link.CERTIFICATE, "its author's feed begins with something else", Code.BAD_KEY)
    if standing.role is Role.READER and event.n > 1 and proof.certificate:
        raise BrokenProofError(Link.ROLE, "of a reader nothing counts but its certificate", Code.DENIED)
    skeleton = event.skeleton
    return ProvenEvent(
        header.plane,
        genesis.name,
        standing.town,
        header.author,
        standing.invite,
        standing.role,
        event.n,
        event.leaf,
        sha256(proof.header).digest(),
        skeleton.hlc,
        to_ms(skeleton.hlc),
        skeleton.actor,
        skeleton.kind,
        skeleton.entity,
        _changes(event, (header.author, *header.authors)),
        standing.through,
        standing.came_invited,
    )


def _is_certificate(event: Event, author: bytes, proof: Proof) -> bool:
    """Whether a replica's first event is the certificate that the proof rests on: with another its feed is nobody's."""
    value = opening_value(event, kinds.CERTIFICATE)
    return event.skeleton.entity == key_text(author) and value == list(proof.certificate)


def _changes(event: Event, authors: Sequence[bytes]) -> tuple[ProvenChange, ...]:
    values = event.values()
    rest = iter(values or ())
    return tuple(
        ProvenChange(
            change.key,
            None if change.removes else MISSING if values is None else next(rest),
            change.removes,
            tuple(Dot(authors[index], n, leaf8) for index, n, leaf8 in change.over),
        )
        for change in event.skeleton.changes
    )
