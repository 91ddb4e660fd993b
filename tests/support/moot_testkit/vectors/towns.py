"""Proofs that hold, of towns that didn't found the plane and of events out of the ordinary, with what they show."""

from hashlib import sha256
from typing import Any, Final

from moot_protocol.codec import encode
from moot_protocol.crypto import SeedSigner
from moot_protocol.log.batch import ZEROS, Batch
from moot_protocol.log.event import Draft, Write
from moot_protocol.merge.kinds import Role
from moot_protocol.merge.register import MISSING
from moot_protocol.trust.certificate import CertificateBody, build_certificate
from moot_protocol.trust.charter import (
    Admission,
    Invite,
    admission_draft,
    build_charter_proof,
    certificate_draft,
    charter_draft,
    invite_draft,
)
from moot_protocol.trust.proof import ProvenChange, build_proof, verify_proof
from moot_protocol.trust.ticket import invite_signer
from moot_testkit.vectors.form import packed, shown
from moot_testkit.vectors.proof_parts import REPLICA, SALT, proof, signed, skeleton, values
from moot_testkit.vectors.scene import GENESIS, HPKE, PLANE, RECOVERY, START, TOWN, dot, issue, sealed
from moot_testkit.vectors.values import in_array, nested

HILLTOWN, HILL_REPLICA, MILLTOWN, MILL_REPLICA, LAKETOWN, LAKE_REPLICA = (
    SeedSigner(bytes([0x20 + at]) * 32) for at in range(6)
)
FOR_TOWNS, FOR_MILL, FOR_REPLICAS = (invite_signer(bytes([0x30 + at]) * 32) for at in range(3))
BEFORE: Final = sha256(b"a batch before").digest()
LETTING_IN: Final = sealed(
    TOWN, 2, BEFORE, START + 10,
    admission_draft(HILLTOWN.public, Admission("hilltown", Role.WRITER), "alice"),
    invite_draft(FOR_TOWNS.public, Invite(Role.WRITER, ZEROS, 0, HPKE), "alice"),
    admission_draft(HILLTOWN.public, Admission("hilltown", Role.ADMIN), "alice"),
)  # fmt: skip
RECOVERED: Final = sealed(
    RECOVERY, 2, BEFORE, START + 10, admission_draft(HILLTOWN.public, Admission("hilltown", Role.READER), "alice")
)
HILL_CHARTER: Final = sealed(HILLTOWN, 1, ZEROS, START + 20, charter_draft(HILLTOWN.public, "hilltown", "dave"))
HILL_INVITES: Final = sealed(
    HILLTOWN, 2, HILL_CHARTER.id, START + 30,
    invite_draft(FOR_MILL.public, Invite(Role.WRITER, MILLTOWN.public, 1_767_830_400_000, HPKE), "dave"),
    invite_draft(FOR_REPLICAS.public, Invite(Role.READER, HILLTOWN.public, 0, HPKE), "dave"),
)  # fmt: skip


def opening(town: SeedSigner, name: str, invited: SeedSigner) -> Batch:
    """The first batch of the charter of a town that came with an invite."""
    proof = build_charter_proof(PLANE, town.public, invited)
    return sealed(town, 1, ZEROS, START + 40, charter_draft(town.public, name, "erin", proof))


def charter_name() -> Draft:
    """What a town writes into its charter to tell its name."""
    return admission_draft(LAKETOWN.public, Admission("laketown", Role.WRITER), "erin")


LAKE_CHARTER: Final = opening(LAKETOWN, "laketown", FOR_TOWNS)
MILL_CHARTER: Final = opening(MILLTOWN, "milltown", FOR_MILL)
MILL_ADMITTED: Final = sealed(
    HILLTOWN, 4, HILL_INVITES.id, START + 40,
    admission_draft(MILLTOWN.public, Admission("milltown", Role.ADMIN), "dave"),
)  # fmt: skip
MILL_ADMITS: Final = sealed(
    MILLTOWN, 2, MILL_CHARTER.id, START + 50,
    admission_draft(LAKETOWN.public, Admission("laketown", Role.WRITER), "erin"),
)  # fmt: skip
MILL_AS_ADMIN: Final = ((MILL_ADMITTED, 4), (LETTING_IN, 4))


def certified(key: SeedSigner, town: SeedSigner, role: Role = Role.WRITER, by: SeedSigner | None = None) -> list[bytes]:
    """A certificate for a replica of a town, by the town or an invite of it."""
    return build_certificate(CertificateBody(1, PLANE, town.public, key.public, HPKE, role), by or town)


def titled(key: SeedSigner, *drafts: Draft) -> Batch:
    """A later batch of a replica, of one change unless told otherwise."""
    return sealed(key, 2, BEFORE, START + 50, *(drafts or [issue(Write("title", "Mend the mill"))]))


def without_values(batch: Batch) -> Batch:
    """The same batch with all its values withheld or erased."""
    events = tuple(event.without_values() for event in batch.events)
    return Batch(batch.header, batch.header_bytes, batch.signature, events, batch.id)


def absent(batch: Batch) -> Batch:
    """The same batch with its values withheld or erased."""
    events = tuple(event.without_values() for event in batch.events)
    return Batch(batch.header, batch.header_bytes, batch.signature, events, batch.id)


def through_towns() -> dict[str, bytes]:
    """Proofs of what towns wrote that others let in, and of what their replicas wrote."""
    as_writer, for_towns, as_admin = ((LETTING_IN, n) for n in (2, 3, 4))
    by_hill, by_mill, by_lake = titled(HILL_REPLICA), titled(MILL_REPLICA), titled(LAKETOWN, charter_name())
    of_hill, of_mill = certified(HILL_REPLICA, HILLTOWN, Role.ADMIN), certified(MILL_REPLICA, MILLTOWN)
    joined = certified(MILL_REPLICA, HILLTOWN, by=FOR_REPLICAS)
    joining = sealed(MILL_REPLICA, 1, ZEROS, START + 40, certificate_draft(joined, MILL_REPLICA.public, "erin"))
    to_hill = (MILL_CHARTER, 1), (HILL_INVITES, 2), as_admin
    return {
        "a replica of a town that an admission let in": build_proof(by_hill, 2, of_hill, GENESIS, (as_writer,)),
        "the same over a higher admission": build_proof(by_hill, 2, of_hill, GENESIS, (as_admin,)),
        "the charter of that town": build_proof(HILL_CHARTER, 1, (), GENESIS, (as_writer,)),
        "the charter of a town that the recovery key let in": build_proof(
            HILL_CHARTER, 1, (), GENESIS, ((RECOVERED, 2),)
        ),
        "the charter of a town that came with an invite": build_proof(
            LAKE_CHARTER, 1, (), GENESIS, ((LAKE_CHARTER, 1), for_towns)
        ),
        "a later event of that charter": build_proof(by_lake, 2, (), GENESIS, ((LAKE_CHARTER, 1), for_towns)),
        "a replica of a town that came with an invite of a town that was let in": build_proof(
            by_mill, 2, of_mill, GENESIS, to_hill
        ),
        "the certificate of a reader that joined a town with an invite": build_proof(
            joining, 1, joined, GENESIS, ((HILL_INVITES, 3), as_writer)
        ),
        "three towns, one above the other": build_proof(
            titled(LAKE_REPLICA), 2, certified(LAKE_REPLICA, LAKETOWN), GENESIS, ((MILL_ADMITS, 2), *MILL_AS_ADMIN)
        ),
    }


def out_of_the_ordinary() -> dict[str, bytes]:
    """Proofs of a replica of the founder, with its certificate and nothing further."""
    certificate = certified(HILL_REPLICA, TOWN)

    def proven(n: int, batch: Batch) -> bytes:
        return build_proof(batch, n, certificate, GENESIS)

    seven = titled(HILL_REPLICA, *(issue(Write("labels", f"label {at}")) for at in range(7)))
    seen = dot(LETTING_IN.events[0], TOWN)
    changes = issue(
        Write("labels", removes=True, over=[seen]), Write("status", "open"), Write("title", "The mill", [seen])
    )
    return {
        "an empty actor": proven(2, titled(HILL_REPLICA, issue(Write("title", "Mend the mill"), actor=""))),
        "changes over another author's writes": proven(2, titled(HILL_REPLICA, changes)),
        "values that are absent": proven(2, absent(titled(HILL_REPLICA, changes))),
        "the last of seven events, which stands alone at two levels of the tree": proven(8, seven),
        "the third of seven events": proven(4, seven),
        "one of 200 events": proven(177, titled(HILL_REPLICA, *(issue(Write("labels", str(at))) for at in range(200)))),
    }


def without_meaning() -> dict[str, bytes]:
    """Proofs of events whose values are shown, and mean nothing; and of one whose values just do."""
    salted = b"\x92\xc4\x10" + SALT
    found = {
        "values of 16 levels, the array of all values included": values(nested(in_array, 15)),
        "values of 17 levels": values(nested(in_array, 16)),
        "values that are not canonical": salted + b"\xd9\1a",
        "values with a number that is none": salted + b"\xcb\x7f\xf8" + bytes(6),
        "values without a salt": encode(["Mend the bridge", "Mend the bridge"]),
        "values whose salt is short": encode([SALT[1:], "Mend the bridge"]),
        "one value too many": values("Mend the bridge", 1),
        "one value too few": values(),
        "no values": b"",
    }
    return {name: proof(signed(REPLICA, (skeleton(), data))) for name, data in found.items()}


def shows(data: bytes) -> dict[str, Any]:
    """What a proof shows; a change whose value is missing has none."""
    event = verify_proof(data)
    return {
        "plane": event.plane.hex(), "plane_name": event.plane_name, "town": event.town.hex(),
        "let_in_by": [town.hex() for town in event.through], "replica": event.replica.hex(),
        "invite": event.invite.hex() or None, "role": event.role, "n": event.n, "batch": event.batch.hex(),
        "leaf": event.leaf.hex(), "hlc": shown(event.hlc), "time_ms": event.time_ms, "actor": event.actor,
        "kind": event.kind, "entity": event.entity, "changes": [change_shown(each) for each in event.changes],
    }  # fmt: skip


def change_shown(change: ProvenChange) -> dict[str, Any]:
    """A change: its key, what it is over, whether it removes, and its value where it writes one that is there."""
    over = [{"author": author.hex(), "n": n, "leaf8": leaf8.hex()} for author, n, leaf8 in change.over]
    found = {"key": change.key, "over": over, "removes": change.removes}
    return found if change.removes or change.value is MISSING else found | {"value": shown(change.value)}


def vectors() -> dict[str, Any]:
    """Proofs that hold: through other towns, of events out of the ordinary, of values that mean nothing."""
    proofs = through_towns() | out_of_the_ordinary() | without_meaning()
    return {name: {"proof": packed("as in proof.json", data), "shows": shows(data)} for name, data in proofs.items()}
