"""Proofs: one event, shown to somebody who holds neither the log nor a daemon.

    proof = [1, skeleton, values, index, path, header, signature, certificate, genesis, further]

`values` are the event's, or the 32 bytes of their hash as extension type 1; `index` is the event's place in its batch
and `path` the Merkle proof of it (RFC 9162, from the leaf upwards); `header` and `signature` are the batch's;
`certificate` is `[body, signature, signer]`, or empty where the author is the founder's town key itself; `genesis` is
the document the plane is named after. `further` has room for proofs of charter events that a longer chain would need
(an admission of another town, an invite): such chains are not accepted yet, so it must be empty.

Whoever knows the plane's id by other means and verifies a proof knows that a key which the founder's town certified
for this plane signed this event. What that does not show stands in `NOT_SHOWN`.
"""

from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from moot_protocol import crypto, limits, merkle
from moot_protocol.batch import ABSENT, HASH_BYTES, Batch, Header, decode_header
from moot_protocol.certificate import decode_certificate
from moot_protocol.clock import to_ms
from moot_protocol.codec import decoder, encode
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.event import LEAF_PREFIX_BYTES, Dot, Event, Skeleton, decode_skeleton, event_from_bytes
from moot_protocol.genesis import PlaneKind, decode_genesis, plane_id
from moot_protocol.kinds import Role
from moot_protocol.register import MISSING

FORMAT: Final = 1

NOT_SHOWN: Final = (
    "that the named actor is who wrote it: the replica that signed says so",
    "that the time is true: the replica that signed says so",
    "that the event counts: its feed may have been ended before it, forked, or signed with a lesser role",
    "that it still holds: later writes may supersede it",
    "that it is all: the replica may have written anything else before, beside or after it",
)
"""What a proof leaves open, in words for whoever verifies one."""


class Link(StrEnum):
    """The links of a proof, from the event to the plane."""

    PATH = "path"
    """The event stands in the batch."""
    BATCH = "batch"
    """The author signed the batch."""
    CERTIFICATE = "certificate"
    """A town certified the author for this plane."""
    TOWN = "town"
    """The town is the plane's founder."""
    GENESIS = "genesis"
    """The plane is named after this genesis."""


class BrokenProofError(MalformedError):
    """A proof one of whose links doesn't hold.

    Args:
        link: the first that doesn't.
        message: what was found instead.
        code: the stable code.
    """

    def __init__(self, link: Link, message: str, code: Code) -> None:
        super().__init__(message, code=code)
        self.link = link


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
    further: tuple[bytes, ...]


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
    plane_kind: PlaneKind
    town: bytes
    """The founder's 32-byte town key."""
    replica: bytes
    """The 32-byte key that signed; the town key itself for an event of its charter."""
    role: Role
    """The role it was certified with."""
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
    not_shown: tuple[str, ...] = NOT_SHOWN

    @property
    def dot(self) -> Dot:
        """The event's name."""
        return Dot(self.replica, self.n, self.leaf[:LEAF_PREFIX_BYTES])


_decode: Final = decoder(Proof, FORMAT)


def build_proof(batch: Batch, n: int, certificate: Sequence[bytes], genesis: bytes) -> bytes:
    """Prove one event of a batch.

    Args:
        batch: the batch that holds it.
        n: its number in the feed.
        certificate: body, signature and signer as they stand in the feed's first event; empty for a charter.
        genesis: the plane's genesis document.

    Raises:
        RefusedError: code `not_found`: the batch doesn't hold that event.
        MalformedError: the parts given don't prove it.
    """
    index = n - batch.header.first
    if not 0 <= index < len(batch.events):
        raise RefusedError(f"event {n} is not in this batch", code=Code.NOT_FOUND)
    event = batch.events[index]
    data = encode(
        Proof(
            FORMAT,
            event.skeleton_bytes,
            msgspec.msgpack.Ext(ABSENT, event.values_hash) if event.values_bytes is None else event.values_bytes,
            index,
            tuple(merkle.prove([other.leaf for other in batch.events], index)),
            batch.header_bytes,
            batch.signature,
            tuple(certificate),
            genesis,
            (),
        )
    )
    verify_proof(data)
    return data


def decode_proof(data: bytes) -> Proof:
    """Decode a proof and check its structure; `verify_proof` is what tells whether it holds.

    Raises:
        MalformedError: `too_large`, `bad_version`, `bad_structure` or `not_canonical`.
    """
    if len(data) > limits.PROOF_BYTES:
        raise MalformedError(f"a proof of {len(data)} bytes", code=Code.TOO_LARGE)
    proof = _decode(data)
    if isinstance(proof.values, msgspec.msgpack.Ext) and (
        proof.values.code != ABSENT or len(bytes(proof.values.data)) != HASH_BYTES
    ):
        raise MalformedError("a proof with an extension type that is not an absent value's hash")
    if len(proof.signature) != crypto.SIGNATURE_BYTES or any(len(step) != HASH_BYTES for step in proof.path):
        raise MalformedError("a proof with a signature or hash of the wrong length")
    if len(proof.certificate) not in (0, 3):
        raise MalformedError("a proof whose certificate is not body, signature and signer")
    if proof.further:
        raise MalformedError("a proof that rests on further ones, which this version can't verify")
    return proof


def verify_proof(data: bytes) -> ProvenEvent:
    """Verify a proof link by link, and tell what it shows.

    Raises:
        BrokenProofError: with the first link that doesn't hold.
        MalformedError: it, or a part of it, is malformed.
    """
    proof = decode_proof(data)
    header = decode_header(proof.header)
    skeleton = decode_skeleton(proof.skeleton, len(header.authors) + 1)
    genesis = decode_genesis(proof.genesis)
    event = _event_in_batch(proof, header, skeleton)
    if not crypto.is_signed(header.author, proof.signature, crypto.BATCH_DOMAIN + proof.header):
        raise BrokenProofError(Link.BATCH, "the batch is not signed by its author", Code.BAD_SIGNATURE)
    role = _certified_role(proof, header, genesis.town)
    if plane_id(proof.genesis) != header.plane:
        raise BrokenProofError(Link.GENESIS, "the genesis is that of another plane", Code.WRONG_PLANE)
    return ProvenEvent(
        header.plane,
        genesis.name,
        genesis.kind,
        genesis.town,
        header.author,
        role,
        event.n,
        event.leaf,
        sha256(proof.header).digest(),
        skeleton.hlc,
        to_ms(skeleton.hlc),
        skeleton.actor,
        skeleton.kind,
        skeleton.entity,
        _changes(event, (header.author, *header.authors)),
    )


def _event_in_batch(proof: Proof, header: Header, skeleton: Skeleton) -> Event:
    """The event, which the path shows to stand under the header's root."""
    absent, values = b"", None
    if isinstance(proof.values, bytes):
        values = proof.values
    else:
        absent = bytes(proof.values.data)
    event = event_from_bytes(header.first + proof.index, skeleton, proof.skeleton, values, absent)
    if merkle.root_from_proof(event.leaf, proof.index, header.count, proof.path) != header.root:
        raise BrokenProofError(Link.PATH, "the path doesn't lead from the event to the batch's root", Code.BAD_HASH)
    return event


def _certified_role(proof: Proof, header: Header, founder: bytes) -> Role:
    """The role with which the founder's town made the author its own."""
    if not proof.certificate:
        if header.author != founder:
            raise BrokenProofError(Link.CERTIFICATE, "the author has no certificate", Code.BAD_KEY)
        return Role.ADMIN
    try:
        certificate = decode_certificate(list(proof.certificate))
    except MalformedError as error:
        raise BrokenProofError(Link.CERTIFICATE, error.message, error.code) from error
    body = certificate.body
    if body.plane != header.plane:
        raise BrokenProofError(Link.CERTIFICATE, "the certificate is for another plane", Code.WRONG_PLANE)
    if body.subject != header.author:
        raise BrokenProofError(Link.CERTIFICATE, "the certificate is for another replica", Code.BAD_KEY)
    if certificate.signer != body.town:
        raise BrokenProofError(Link.TOWN, "the certificate rests on an invite that isn't shown", Code.BAD_KEY)
    if body.town != founder:
        raise BrokenProofError(Link.TOWN, "the certificate is by a town whose admission isn't shown", Code.BAD_KEY)
    return body.role


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
