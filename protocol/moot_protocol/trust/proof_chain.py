"""Whose word a signature is: from the key that signed an event up to the plane's founder.

Invariant: every step is an event that a key signed which the step above speaks for, and each is verified before what it
says is used. The steps stand in the order in which they are needed, upwards from the author:

- the `invite` in its town's charter that certified the author, where an invite's key signed its certificate;
- then, for its town and for each that let the one below in, until the founder or the recovery key stands there: the
  `admission` in the charter of an admin; or the town's own `charter` event, which proves the invite it came with, and
  that `invite` in the charter of an admin.

The plane's genesis names founder and recovery key, so nothing above them has to be shown. Neither is a replica; the
recovery key has none and invites nobody. No town stands among those that let it in, and no replica among those that let
in its town.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from moot_protocol import crypto
from moot_protocol.errors import Code, MalformedError
from moot_protocol.log import merkle
from moot_protocol.log.batch import ZEROS, Header, decode_header
from moot_protocol.log.event import Event, decode_skeleton, event_from_bytes
from moot_protocol.merge.kinds import ADMISSION, Role
from moot_protocol.trust.certificate import Certificate, decode_certificate
from moot_protocol.trust.charter import Invite, InviteProof, invite_of, is_proof_of, opened_by, parse
from moot_protocol.trust.genesis import Genesis


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
    """The town is the plane's founder, or it is shown who let it in."""
    ADMISSION = "admission"
    """An admin's charter let the town in."""
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


class Standing(NamedTuple):
    """What makes an author one whose events can count."""

    town: bytes
    """The town it belongs to; itself for a charter."""
    invite: bytes
    """The key of the invite that certified it; empty where its town did."""
    role: Role
    """The least of its certificate's, its invite's and its town's, as far as they are shown."""
    through: tuple[bytes, ...]
    """Who let its town in, who let that one in, up to the founder or the recovery key; empty for those two."""
    came_invited: bool
    """Whether its town, or one of those, came with an invite."""


def verify_signed(signed: SignedEvent) -> tuple[Header, Event]:
    """The event, which the path shows to stand under the root of the header that its author signed.

    Raises:
        BrokenProofError: `path` or `batch`.
        MalformedError: a part of it is malformed.
    """
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
    later = header.count - 1 - signed.index  # events behind it, each later than the one before
    if skeleton.hlc > header.hlc_last - later or (not later and skeleton.hlc != header.hlc_last):
        raise BrokenProofError(Link.PATH, "its time doesn't fit the time of its batch's last event", Code.BAD_STRUCTURE)
    if not crypto.is_signed(header.author, signed.signature, crypto.BATCH_DOMAIN + signed.header):
        raise BrokenProofError(Link.BATCH, "the batch is not signed by its author", Code.BAD_SIGNATURE)
    return header, event


def verify_standing(
    header: Header, certificate: Sequence[bytes], further: Sequence[SignedEvent], genesis: Genesis
) -> Standing:
    """Verify who made the author of a header one whose events can count.

    Args:
        header: the header, verified.
        certificate: body, signature and signer, not verified; or nothing.
        further: the steps above it, not verified.
        genesis: what the plane is to be named after.

    Raises:
        BrokenProofError: with the first link that doesn't hold.
        MalformedError: there are steps that nothing rests on.
    """
    chain = _Chain(header.plane, genesis, further)
    if certificate:
        standing = chain.replica(_certificate(certificate, header, genesis))
        if header.author in standing.through:  # its feed opens with a certificate or as a charter, never as both
            raise BrokenProofError(Link.CERTIFICATE, "the certificate is for a key that has no replica", Code.BAD_KEY)
    elif header.author in {genesis.town, genesis.recovery} or further:
        standing = chain.town(header.author, [Role.ADMIN])
    else:
        raise BrokenProofError(Link.CERTIFICATE, "the author has no certificate", Code.BAD_KEY)
    chain.check_end()
    return standing


def _certificate(parts: Sequence[bytes], header: Header, genesis: Genesis) -> Certificate:
    """The author's certificate for this plane, whoever signed it."""
    try:
        certificate = decode_certificate(list(parts))
    except MalformedError as error:
        raise BrokenProofError(Link.CERTIFICATE, error.message, error.code) from error
    body = certificate.body
    if body.plane != header.plane:
        raise BrokenProofError(Link.CERTIFICATE, "the certificate is for another plane", Code.WRONG_PLANE)
    if body.subject != header.author:
        raise BrokenProofError(Link.CERTIFICATE, "the certificate is for another replica", Code.BAD_KEY)
    if body.subject in {genesis.recovery, genesis.town}:
        raise BrokenProofError(Link.CERTIFICATE, "the certificate is for a key that has no replica", Code.BAD_KEY)
    if body.town == genesis.recovery:
        raise BrokenProofError(Link.TOWN, "the recovery key has no replicas", Code.BAD_KEY)
    return certificate


class _Chain:
    """Takes the steps of a proof one after the other."""

    def __init__(self, plane: bytes, genesis: Genesis, further: Sequence[SignedEvent]) -> None:
        self._plane = plane
        self._tops: Final = (genesis.town, genesis.recovery)
        self._recovery = genesis.recovery
        self._left: Iterator[SignedEvent] = iter(further)
        self._came_invited = False

    def replica(self, certificate: Certificate) -> Standing:
        """Where a certificate puts the replica that it is for."""
        town, signer = certificate.body.town, certificate.signer
        if signer == town:
            return self.town(town, [certificate.body.role])
        missing = "the certificate rests on an invite that isn't shown"
        made = self._invite(signer, *self._next(Link.INVITE, Link.INVITE, missing), town, Link.INVITE)
        if made.town != town:
            raise BrokenProofError(Link.INVITE, "it lets in replicas of another town", Code.BAD_KEY)
        return self.town(town, [certificate.body.role, made.role])._replace(invite=signer)

    def town(self, town: bytes, roles: list[Role]) -> Standing:
        """Where a town stands whose word these roles are, and through whom."""
        through: list[bytes] = []
        at = town
        while at not in self._tops:
            if not crypto.is_certifiable(at):
                raise BrokenProofError(Link.ADMISSION, "it lets in a key that nobody may certify", Code.BAD_KEY)
            at, role = self._let_in(at)
            if through and role is not Role.ADMIN:
                raise BrokenProofError(Link.ADMISSION, "who lets it in is no admin", Code.DENIED)
            if not through:
                roles.append(role)
            if at in {town, *through}:
                raise BrokenProofError(Link.ADMISSION, "the towns let in one another", Code.BAD_KEY)
            through.append(at)
        return Standing(town, b"", min(roles, key=lambda role: role.rank), tuple(through), self._came_invited)

    def _let_in(self, town: bytes) -> tuple[bytes, Role]:
        """Who let a town in, and with which role."""
        missing = "it isn't shown who let the town in"
        header, event = self._next(Link.TOWN, Link.ADMISSION, missing)
        if header.author == town:
            return self._came(town, event)
        parsed = parse(event) if event.skeleton.kind == ADMISSION else None
        admission = None if parsed is None else parsed.values.get(ADMISSION)
        if parsed is None or admission is None or parsed.entity != town:
            raise BrokenProofError(Link.ADMISSION, "the event doesn't let in the town", Code.BAD_KEY)
        return header.author, admission.role

    def _came(self, town: bytes, event: Event) -> tuple[bytes, Role]:
        """Who made the invite that a town proves in the first event of its charter, and that invite's role."""
        opened = opened_by(event, town) if event.n == 1 else None
        proof: InviteProof | None = None if opened is None else opened.proof
        if proof is None or not is_proof_of(proof, self._plane, town):
            raise BrokenProofError(Link.ADMISSION, "the town's charter doesn't prove an invite", Code.BAD_KEY)
        header, made = self._next(Link.ADMISSION, Link.ADMISSION, "the invite the town came with isn't shown")
        invite = self._invite(proof.invite, header, made, header.author, Link.ADMISSION)
        if invite.town not in {ZEROS, town} or header.author in {town, self._recovery}:
            raise BrokenProofError(Link.ADMISSION, "the invite doesn't let in the town", Code.BAD_KEY)
        self._came_invited = True
        return header.author, invite.role

    def _invite(self, key: bytes, header: Header, event: Event, by: bytes, link: Link) -> Invite:
        """The invite of this key, which an event makes in the charter of a town."""
        if header.author != by:
            raise BrokenProofError(link, "it doesn't stand in the charter of the town", Code.BAD_KEY)
        invite = invite_of(event, key)
        if invite is None:
            raise BrokenProofError(link, "the event doesn't make the invite", Code.BAD_KEY)
        return invite

    def _next(self, missing: Link, broken: Link, message: str) -> tuple[Header, Event]:
        """The next step, verified.

        Args:
            missing: what is broken where there is none.
            broken: what is broken where it doesn't hold.
            message: that there is none.
        """
        signed = next(self._left, None)
        if signed is None:
            raise BrokenProofError(missing, message, Code.BAD_KEY)
        try:
            header, event = verify_signed(signed)
        except MalformedError as error:
            raise BrokenProofError(broken, error.message, error.code) from error
        if header.plane != self._plane:
            raise BrokenProofError(broken, "it was written on another plane", Code.WRONG_PLANE)
        return header, event

    def check_end(self) -> None:
        """Refuse steps that are left over."""
        if next(self._left, None) is not None:
            raise MalformedError("a proof with an event that nothing in it rests on")
