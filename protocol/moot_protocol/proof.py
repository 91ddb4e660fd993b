"""Proofs: one event, shown to somebody who holds neither the log nor a daemon.

    proof  = [1, skeleton, values, index, path, header, signature, certificate, genesis, further]
    signed = [skeleton, values, index, path, header, signature]

`values` are the event's, or the 32 bytes of their hash as extension type 1; `index` is the event's place in its batch
and `path` the Merkle proof of it (RFC 9162, from the leaf upwards); `header` and `signature` are the batch's;
`certificate` is `[body, signature, signer]`, or empty where the author is the founder's town key itself; `genesis` is
the document the plane is named after. `further` holds what the certificate rests on: nothing where the town key signed
it, and where an invite key did the one `signed` of the charter's event that made the invite. The chain from another
town, whose admission stands in a charter, is not accepted yet.

Whoever knows the plane's id by other means and verifies a proof knows that a key which the founder's town certified
for this plane, by itself or through an invite, signed this event. What that does not show stands in `NOT_SHOWN` and
`NOT_SHOWN_OF_INVITES`.
"""

from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from moot_protocol import crypto, limits, merkle
from moot_protocol.batch import ABSENT, HASH_BYTES, Batch, Header, decode_header
from moot_protocol.certificate import Certificate, decode_certificate
from moot_protocol.charter import Invite, invite_of
from moot_protocol.clock import to_ms
from moot_protocol.codec import decoder, encode
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.event import LEAF_PREFIX_BYTES, Dot, Event, decode_skeleton, event_from_bytes
from moot_protocol.genesis import Genesis, PlaneKind, decode_genesis, plane_id
from moot_protocol.kinds import Role
from moot_protocol.register import MISSING

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


class Link(StrEnum):
    """The links of a proof, from the event to the plane."""

    PATH = "path"
    """The event stands in the batch."""
    BATCH = "batch"
    """The author signed the batch."""
    CERTIFICATE = "certificate"
    """A town, or an invite of one, certified the author for this plane."""
    INVITE = "invite"
    """The town made the invite that certified the author."""
    ROLE = "role"
    """The author's role is one whose events can count."""
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


class SignedEvent(msgspec.Struct, array_like=True, frozen=True):
    """An event with its path to a signed header, in which nothing has been verified yet."""

    skeleton: bytes
    values: bytes | msgspec.msgpack.Ext
    index: int
    path: tuple[bytes, ...]
    header: bytes
    signature: bytes


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
    plane_kind: PlaneKind
    town: bytes
    """The founder's 32-byte town key."""
    replica: bytes
    """The 32-byte key that signed; the town key itself for an event of its charter."""
    invite: bytes
    """The 32-byte key of the invite that it joined with; empty where the town certified it without one."""
    role: Role
    """The role it was given: the least of its certificate's and its invite's."""
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

    @property
    def not_shown(self) -> tuple[str, ...]:
        """What the proof leaves open."""
        return NOT_SHOWN + NOT_SHOWN_OF_INVITES if self.invite else NOT_SHOWN

    @property
    def dot(self) -> Dot:
        """The event's name."""
        return Dot(self.replica, self.n, self.leaf[:LEAF_PREFIX_BYTES])


_decode: Final = decoder(Proof, FORMAT)


def build_proof(
    batch: Batch, n: int, certificate: Sequence[bytes], genesis: bytes, invite: tuple[Batch, int] | None = None
) -> bytes:
    """Prove one event of a batch.

    Args:
        batch: the batch that holds it.
        n: its number in the feed.
        certificate: body, signature and signer as they stand in the feed's first event; empty for a charter.
        genesis: the plane's genesis document.
        invite: where an invite key signed the certificate, the charter's batch and number of the event that made it.

    Raises:
        RefusedError: code `not_found`: the batch doesn't hold that event.
        MalformedError: the parts given don't prove it.
    """
    shown = _signed_event(batch, n)
    further = () if invite is None else (_signed_event(*invite),)
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
            further,
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
    if len(proof.further) > 1:
        raise MalformedError("a proof that rests on more than one invite")
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
    header, event = _verify_signed(proof.shown)
    role, invite = _standing(proof, header, genesis)
    if plane_id(proof.genesis) != header.plane:
        raise BrokenProofError(Link.GENESIS, "the genesis is that of another plane", Code.WRONG_PLANE)
    if role is Role.READER and event.n > 1:
        raise BrokenProofError(Link.ROLE, "of a reader nothing counts but its certificate", Code.DENIED)
    skeleton = event.skeleton
    return ProvenEvent(
        header.plane,
        genesis.name,
        genesis.kind,
        genesis.town,
        header.author,
        invite,
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


def _verify_signed(signed: SignedEvent) -> tuple[Header, Event]:
    """The event, which the path shows to stand under the root of the header that its author signed."""
    header = decode_header(signed.header)
    skeleton = decode_skeleton(signed.skeleton, len(header.authors) + 1)
    absent, values = b"", None
    if isinstance(signed.values, bytes):
        values = signed.values
    else:
        absent = bytes(signed.values.data)
    event = event_from_bytes(header.first + signed.index, skeleton, signed.skeleton, values, absent)
    if merkle.root_from_proof(event.leaf, signed.index, header.count, signed.path) != header.root:
        raise BrokenProofError(Link.PATH, "the path doesn't lead from the event to the batch's root", Code.BAD_HASH)
    if not crypto.is_signed(header.author, signed.signature, crypto.BATCH_DOMAIN + signed.header):
        raise BrokenProofError(Link.BATCH, "the batch is not signed by its author", Code.BAD_SIGNATURE)
    return header, event


# -- Who signed --------------------------------------------------------------------------------------------------
def _standing(proof: Proof, header: Header, genesis: Genesis) -> tuple[Role, bytes]:
    """The role with which the founder's town made the author its own, and the invite that it did so through."""
    if not proof.certificate:
        if header.author != genesis.town:
            raise BrokenProofError(Link.CERTIFICATE, "the author has no certificate", Code.BAD_KEY)
        role, invite = Role.ADMIN, b""
    else:
        certificate = _certificate(proof, header, genesis)
        role = certificate.body.role
        invite = b"" if certificate.signer == genesis.town else certificate.signer
    if invite:
        made = _invite(proof, invite, header.plane, genesis.town)
        role = min(role, made.role, key=lambda each: each.rank)
    elif proof.further:
        raise MalformedError("a proof with an invite that nothing in it rests on")
    return role, invite


def _certificate(proof: Proof, header: Header, genesis: Genesis) -> Certificate:
    """The author's certificate in the name of the founder's town, whoever signed it."""
    try:
        certificate = decode_certificate(list(proof.certificate))
    except MalformedError as error:
        raise BrokenProofError(Link.CERTIFICATE, error.message, error.code) from error
    body = certificate.body
    if body.plane != header.plane:
        raise BrokenProofError(Link.CERTIFICATE, "the certificate is for another plane", Code.WRONG_PLANE)
    if body.subject != header.author:
        raise BrokenProofError(Link.CERTIFICATE, "the certificate is for another replica", Code.BAD_KEY)
    if body.subject == genesis.recovery:
        raise BrokenProofError(Link.CERTIFICATE, "the certificate is for the recovery key", Code.BAD_KEY)
    if body.town != genesis.town:
        raise BrokenProofError(Link.TOWN, "the certificate is by a town whose admission isn't shown", Code.BAD_KEY)
    return certificate


def _invite(proof: Proof, key: bytes, plane: bytes, town: bytes) -> Invite:
    """The invite of this key, which the town has made in its charter for replicas of its own."""
    if not proof.further:
        raise BrokenProofError(Link.INVITE, "the certificate rests on an invite that isn't shown", Code.BAD_KEY)
    try:
        header, event = _verify_signed(proof.further[0])
    except MalformedError as error:
        raise BrokenProofError(Link.INVITE, error.message, error.code) from error
    if header.plane != plane:
        raise BrokenProofError(Link.INVITE, "it was made on another plane", Code.WRONG_PLANE)
    if header.author != town:
        raise BrokenProofError(Link.INVITE, "it doesn't stand in the charter of the town", Code.BAD_KEY)
    invite = invite_of(event, key)
    if invite is None:
        raise BrokenProofError(Link.INVITE, "the event makes no invite of the certificate's signer", Code.BAD_KEY)
    if invite.town != town:
        raise BrokenProofError(Link.INVITE, "it lets in replicas of another town", Code.BAD_KEY)
    return invite


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
