"""Signed feeds from names: deterministic keys, a town with its charter and replicas, batches, forks, stripped values.

Nothing is random: the same calls make the same bytes.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import msgspec

from moot_protocol.clock import from_ms
from moot_protocol.crypto import SeedSigner
from moot_protocol.log.batch import ZEROS, Batch, BatchBuilder, encode_batch
from moot_protocol.log.event import LEAF_PREFIX_BYTES, Dot, Draft, Event, Write
from moot_protocol.merge.digest import Digest, place_prefix, place_suffix, term
from moot_protocol.merge.fold import Placed, fold
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.certificate import CertificateBody, build_certificate
from moot_protocol.trust.charter import (
    Admission,
    End,
    Invite,
    InviteProof,
    admission_draft,
    build_charter_proof,
    certificate_draft,
    charter_draft,
    close_draft,
    end_draft,
    genesis_draft,
    invite_draft,
)
from moot_protocol.trust.genesis import PlaneKind, build_genesis, plane_id

START_MS = 1_700_000_000_000
"""When all feeds begin, in milliseconds since 1970."""


def seed(name: str) -> bytes:
    """32 bytes that follow from a name."""
    return sha256(b"moot test " + name.encode()).digest()


def signer(name: str) -> SeedSigner:
    """The key pair of a name."""
    return SeedSigner(seed(name))


def note(text: Any = "x", *, entity: str = "mt-1", key: str = "title", over: Sequence[Dot] = ()) -> Draft:
    """An event that writes one key of an issue."""
    return Draft("issue", entity, "alice", (Write(key, text, over),))


def dot_of(event: Event, author: bytes) -> Dot:
    """The name of an event's writes."""
    return Dot(author, event.n, event.leaf[:LEAF_PREFIX_BYTES])


def wire(batch: Batch) -> bytes:
    """A batch as it is sent."""
    return encode_batch(batch.header_bytes, batch.signature, batch.events)


def stripped(batch: Batch, numbers: Iterable[int] | None = None) -> Batch:
    """A batch without the values of these events, or of all."""
    wanted = None if numbers is None else set(numbers)
    return msgspec.structs.replace(
        batch,
        events=tuple(
            msgspec.structs.replace(event, values_bytes=None) if wanted is None or event.n in wanted else event
            for event in batch.events
        ),
    )


class FeedWriter:
    """Writes one author's feed on one plane.

    Args:
        plane: the plane's 16 bytes.
        key: the author's key pair.
        salt: what sets this writer apart from another of the same author that writes the same drafts.
    """

    def __init__(self, plane: bytes, key: SeedSigner, salt: str = "") -> None:
        self.plane = plane
        self.key = key
        self.salt = salt
        self.hlc = from_ms(START_MS)
        self.batches: list[Batch] = []
        """All batches from number 1 on, on this writer's branch."""

    @property
    def author(self) -> bytes:
        """The author's public key."""
        return self.key.public

    @property
    def n(self) -> int:
        """Number of the last event."""
        return self.batches[-1].header.last if self.batches else 0

    @property
    def head(self) -> bytes:
        """Id of the last batch, or zeros."""
        return self.batches[-1].id if self.batches else ZEROS

    def write(self, *drafts: Draft, hlc: int | None = None) -> Batch:
        """Sign these drafts as the next batch, one millisecond later than the last, or at the given time."""
        builder = BatchBuilder(self.plane, self.author, self.n + 1, self.head)
        self.hlc = self.hlc + from_ms(1) if hlc is None else hlc
        for draft in drafts:
            salt = seed(f"{self.salt} {self.author.hex()} {builder.next_n}")[:16]
            if builder.add(draft, self.hlc, salt) is None:
                raise ValueError("more than fits one batch")
            self.hlc += 1
        self.batches.append(builder.seal(self.key.sign))
        return self.batches[-1]

    def fork(self, salt: str, keep: int | None = None) -> "FeedWriter":
        """Another writer of the same author, which goes on after the first `keep` batches, or after all."""
        twin = FeedWriter(self.plane, self.key, salt)
        twin.batches = self.batches[:keep]
        twin.hlc = twin.batches[-1].header.hlc_last + 1 if twin.batches else from_ms(START_MS)
        return twin


class Town:
    """A town that founds a plane: its keys, its charter, and replicas as they are asked for."""

    def __init__(self, name: str = "town", kind: PlaneKind = PlaneKind.LEDGER) -> None:
        self.name = name
        self.key = signer(f"{name} town")
        self.recovery = signer(f"{name} recovery")
        self.genesis = build_genesis(kind, self.key.public, self.recovery.public, name, seed(f"{name} nonce")[:16])
        self.plane = plane_id(self.genesis)
        self.charter = FeedWriter(self.plane, self.key)
        self.charter.write(genesis_draft(self.genesis, "admin"))

    def certificate(
        self, subject: bytes, role: Role = Role.WRITER, *, by: SeedSigner | None = None, **changes: Any
    ) -> list[bytes]:
        """A certificate for a key, by the town or an invite of it; `changes` replaces fields of its body."""
        body = CertificateBody(1, self.plane, self.key.public, subject, seed(subject.hex()), role)
        return build_certificate(msgspec.structs.replace(body, **changes), by or self.key)

    def replica(self, name: str, role: Role = Role.WRITER, *drafts: Draft, by: SeedSigner | None = None) -> FeedWriter:
        """A replica's feed: its certificate, by the town or an invite of it, and these drafts in the same batch."""
        feed = FeedWriter(self.plane, signer(f"{self.name} {name}"))
        feed.write(self.opening(feed.author, role, by=by), *drafts)
        return feed

    def opening(self, subject: bytes, role: Role = Role.WRITER, *, by: SeedSigner | None = None) -> Draft:
        """The first event of a replica's feed."""
        return certificate_draft(self.certificate(subject, role, by=by), subject, "admin")

    def invite(self, name: str = "invite", role: Role = Role.WRITER, **changes: Any) -> SeedSigner:
        """Make an invite for the town's own replicas, in the charter or by another writer; returns its key pair."""
        key, by = signer(f"{self.name} {name}"), changes.pop("by", self.charter)
        invite = Invite(role, self.key.public, 0, seed(f"{name} hpke"))._replace(**changes)
        by.write(invite_draft(key.public, invite, "admin"))
        return key

    def close(self, invite: SeedSigner, *subjects: bytes, by: FeedWriter | None = None) -> Batch:
        """Close an invite, so that only these of its users count."""
        return (by or self.charter).write(close_draft(invite.public, subjects, "admin"))

    def end(
        self,
        author: bytes,
        n: int,
        batch: bytes,
        *,
        by: FeedWriter | None = None,
        over: Sequence[Dot] = (),
        of: bytes = b"",
    ) -> Batch:
        """End an author's feed, in the charter or in another writer's branch of it, as one of this town or another."""
        return (by or self.charter).write(end_draft(author, End(n, batch, of or self.key.public), "admin", over))

    def end_charter(self, by: FeedWriter | None = None) -> Batch:
        """End the town's own charter, or a branch of it, right here."""
        charter = by or self.charter
        return self.end(self.key.public, charter.n, charter.head, by=charter)

    def admit(self, other: "Town | bytes", role: Role = Role.ADMIN, *, by: FeedWriter | None = None) -> Batch:
        """Let another town in, under its own name."""
        key, name = (other, "unnamed") if isinstance(other, bytes) else (other.key.public, other.name)
        return (by or self.charter).write(admission_draft(key, Admission(name, role), "admin"))

    def remove(self, other: "Town", *feeds: FeedWriter, by: FeedWriter | None = None) -> Batch:
        """Remove another town: its charter ends where it stands, and these of its replicas where they stand."""
        drafts = [
            end_draft(feed.author, End(feed.n, feed.head, other.key.public), "admin")
            for feed in (*feeds, other.charter)
        ]
        return (by or self.charter).write(*drafts)

    def guest(self, name: str, invite: SeedSigner | None = None) -> "Guest":
        """Another town that opens its charter on this one's plane, with an invite or without."""
        return Guest(self, name, invite)


class Guest(Town):
    """A town on a plane that another one founded; whether anybody lets it in is another matter."""

    def __init__(
        self, founder: Town, name: str, invite: SeedSigner | None = None, key: SeedSigner | None = None
    ) -> None:
        self.name = name
        self.key = key or signer(f"{name} town")
        self.recovery, self.genesis, self.plane = founder.recovery, founder.genesis, founder.plane
        self.charter = self.open_charter(invite)

    def open_charter(self, invite: SeedSigner | None = None, salt: str = "") -> FeedWriter:
        """A feed that opens this town's charter; with a salt one that forks from others at the first batch."""
        charter = FeedWriter(self.plane, self.key, salt)
        charter.write(charter_draft(self.key.public, self.name, "admin", self.proof(invite)))
        return charter

    def proof(self, invite: SeedSigner | None) -> InviteProof | None:
        """What shows that this town came with an invite."""
        return None if invite is None else build_charter_proof(self.plane, self.key.public, invite)


def live_digest(events: Iterable[Placed]) -> Digest:
    """The digest of a set of accepted events, from its definition."""
    digest = Digest()
    for (kind, entity), keys in fold(events).items():
        for key, live in keys.items():
            for sibling, leaf in live:
                digest.add(term(place_prefix(kind, entity), key, place_suffix(sibling.author, sibling.n, leaf)))
    return digest
