"""The town of the golden vectors: its keys, its plane, and the batches that stand on it. All of it is fixed."""

from hashlib import sha256

from moot_protocol.clock import from_ms
from moot_protocol.crypto import SeedSigner
from moot_protocol.issues.erasure import Erased, erasures
from moot_protocol.log.batch import ZEROS, Batch, BatchBuilder
from moot_protocol.log.event import Dot, Draft, Event, PlainDraft, Write
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.certificate import CertificateBody, build_certificate
from moot_protocol.trust.charter import (
    Admission,
    End,
    Invite,
    admission_draft,
    build_charter_proof,
    certificate_draft,
    charter_draft,
    end_draft,
    genesis_draft,
    invite_draft,
)
from moot_protocol.trust.genesis import PlaneKind, build_genesis, plane_id
from moot_protocol.trust.ticket import invite_signer

SEEDS = {
    "town": b"\x01" * 32, "recovery": b"\x02" * 32, "replica one": b"\x03" * 32, "replica two": b"\x04" * 32,
    "replica three": b"\x0e" * 32,
}  # fmt: skip
TOWN, RECOVERY, ONE, TWO, THREE = (SeedSigner(seed) for seed in SEEDS.values())
INVITE_SEED = b"\x0d" * 32
INVITE = invite_signer(INVITE_SEED)
HPKE = b"\x05" * 32
START = from_ms(1_767_225_600_000)
GENESIS = build_genesis(PlaneKind.LEDGER, TOWN.public, RECOVERY.public, "rivertown", b"\x06" * 16)
PLANE = plane_id(GENESIS)


def salt(number: int) -> bytes:
    """The salt of the vector's events, by number."""
    return sha256(b"salt" + bytes([number])).digest()[:16]


def sealed(key: SeedSigner, first: int, prev: bytes, hlc: int, *drafts: Draft | PlainDraft) -> Batch:
    """A batch whose events are one tick apart."""
    builder = BatchBuilder(PLANE, key.public, first, prev)
    for i, draft in enumerate(drafts):
        builder.add(draft, hlc + i, salt(first + i))
    return builder.seal(key.sign)


def dot(event: Event, key: SeedSigner) -> Dot:
    """The name of an event."""
    return Dot(key.public, event.n, event.leaf[:8])


def certified(key: SeedSigner, by: SeedSigner = TOWN) -> list[bytes]:
    """A certificate for a replica, by the town or an invite of it."""
    return build_certificate(CertificateBody(1, PLANE, TOWN.public, key.public, HPKE, Role.WRITER), by)


def issue(*writes: Write, actor: str = "alice") -> Draft:
    """A change to the one issue of the vectors."""
    return Draft("issue", "rt-0123456789ab", actor, writes)


CHARTER = sealed(TOWN, 1, ZEROS, START, genesis_draft(GENESIS, "alice"))
OPENING_ONE, OPENING_TWO = (
    sealed(key, 1, ZEROS, START + 10, certificate_draft(certified(key), key.public, "alice")) for key in (ONE, TWO)
)
CREATED = sealed(
    ONE, 2, OPENING_ONE.id, START + 20,
    issue(Write("title", "Mend the bridge"), Write("status", "open"), Write("priority", 1)),
    issue(Write("labels", "water")),
    issue(Write("extra", {"name": "cost", "value": [1, -1, 2.5, None, True, b"\x00\xff", "Brücke"]})),
)  # fmt: skip
BY_TWO = sealed(
    TWO, 2, OPENING_TWO.id, START + from_ms(1),
    issue(Write("status", "closed", [dot(CREATED.events[0], ONE)]), Write("labels", "stone"), actor="bob/agent"),
    issue(Write("labels", removes=True, over=[dot(CREATED.events[1], ONE)]), actor="bob/agent"),
)  # fmt: skip
BY_ONE = sealed(
    ONE, 5, CREATED.id, START + from_ms(1) + 1, issue(Write("status", "blocked", [dot(CREATED.events[0], ONE)]))
)
(ERASURE,) = erasures(ONE.public, [Erased(each.n, each.leaf[:8]) for each in CREATED.events[::2]], "bob")
ERASED = sealed(TWO, 4, BY_TWO.id, START + from_ms(2), ERASURE)
INVITED = sealed(
    TOWN, 2, CHARTER.id, START + 30,
    invite_draft(invite_signer(b"\x0f" * 32).public, Invite(Role.READER, TOWN.public, 0, HPKE), "alice"),
    invite_draft(INVITE.public, Invite(Role.WRITER, TOWN.public, 1_767_830_400_000, HPKE), "alice"),
)  # fmt: skip
OPENING_THREE = sealed(
    THREE, 1, ZEROS, START + 40, certificate_draft(certified(THREE, INVITE), THREE.public, "carol"),
    issue(Write("labels", "timber"), actor="carol"),
)  # fmt: skip
GUEST = SeedSigner(b"\x10" * 32)
GUEST_INVITE_SEED = b"\x11" * 32
GUEST_INVITE = invite_signer(GUEST_INVITE_SEED)
PROOF = build_charter_proof(PLANE, GUEST.public, GUEST_INVITE)
GUESTS_ADMITTED = sealed(
    TOWN, 4, INVITED.id, START + 50,
    invite_draft(GUEST_INVITE.public, Invite(Role.WRITER, ZEROS, 0, HPKE), "alice"),
    admission_draft(GUEST.public, Admission("hilltown", Role.ADMIN), "alice"),
)  # fmt: skip
GUEST_OPENED = sealed(GUEST, 1, ZEROS, START + 60, charter_draft(GUEST.public, "hilltown", "dave"))
GUEST_PROVED = sealed(GUEST, 1, ZEROS, START + 60, charter_draft(GUEST.public, "hilltown", "dave", PROOF))
GUEST_REMOVED = sealed(
    TOWN, 6, GUESTS_ADMITTED.id, START + 70,
    end_draft(GUEST.public, End(1, GUEST_PROVED.id, GUEST.public), "alice"),
)  # fmt: skip
