"""Planes and who may write on them: founding, entering and ending. Who may end whom, `removing.py` knows.

Invariant: a replica writes to a plane only after the plane's genesis and charter are accepted here, and the first event
of its feed there is its certificate. Whatever opens a feed here settles it in the same call: nothing is written behind
an opening before acceptance has said what it makes of it, as it says everywhere else.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from moot_protocol.crypto import Signer
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.log.batch import ZEROS
from moot_protocol.merge.kinds import CHARTER, Role
from moot_protocol.trust.certificate import FORMAT, CertificateBody, build_certificate, decode_certificate
from moot_protocol.trust.charter import End, InviteProof, certificate_draft, charter_draft, end_draft, genesis_draft
from moot_protocol.trust.genesis import NONCE_BYTES, PlaneKind, build_genesis, plane_id
from mootd.engine.exchange.receive import resettle
from mootd.engine.state import REPLICA_KEY, TOWN_KEY
from mootd.engine.stored import layout
from mootd.engine.stored.log import FeedRow, PlaneRow, encode_row
from mootd.engine.unit import Unit
from mootd.ports import KeyStore
from mootd.store.port import Table

OPERATIONAL_ONLY = ((PlaneKind.OPERATIONAL, "operational"),)
"""The plane that a machine needs which joins another's town."""
FIRST_PLANES = ((PlaneKind.LEDGER, "ledger"), (PlaneKind.OPERATIONAL, "operational"))
"""The planes that a new town begins with."""


def found_town(unit: Unit, recovery: bytes, planes: Sequence[tuple[PlaneKind, str]] = FIRST_PLANES) -> None:
    """Make this machine's town: its planes with their charters, and this replica's certificates.

    Args:
        unit: the unit it is written in.
        recovery: the recovery key's public half.
        planes: (kind, name) of those to begin with.

    Raises:
        RefusedError: `exists`: this replica belongs to a town already.
    """
    replica = unit.replica
    if replica.is_founded:
        raise RefusedError("there is a town on this machine already", code=Code.EXISTS)
    for key in (TOWN_KEY, REPLICA_KEY):
        if not replica.keys.has(key):
            replica.keys.create(key)
    for kind, name in planes:
        found_plane(unit, kind, name, recovery)


def found_plane(unit: Unit, kind: PlaneKind, name: str, recovery: bytes) -> int:
    """Found a plane of this machine's town, and enter it; returns its local number.

    Args:
        unit: the unit it is written in.
        kind: which sharing rule it has.
        name: what people call it.
        recovery: the public half of the town's recovery key.
    """
    replica = unit.replica
    town = replica.signer(TOWN_KEY)
    document = build_genesis(kind, town.public, recovery, name, replica.entropy.bytes(NONCE_BYTES))
    number = adopt_plane(unit, plane_id(document), kind, name, town.public)
    charter = unit.feed_number(number, town.public)
    unit.set_feed(charter, FeedRow(number, town.public, kind=CHARTER, role=Role.ADMIN, town=town.public))
    unit.append(number, genesis_draft(document, ""), feed=charter)
    enter_plane(unit, number, certify(town, plane_id(document), replica.id, replica.keys, Role.ADMIN))
    return number


def adopt_plane(unit: Unit, plane: bytes, kind: PlaneKind, name: str, town: bytes) -> int:
    """Begin to hold a plane, as a member of a town; returns its local number.

    Args:
        unit: the unit.
        plane: the plane's 16 bytes.
        kind: which sharing rule it has.
        name: what people call it.
        town: the key of the town that this replica belongs to on it.
    """
    known = unit.plane_number(plane)
    if known is not None:
        return known
    number = len(unit.replica.planes) + len(unit.new_planes) + 1
    row = PlaneRow(number, plane, kind.value, name, town)
    unit.new_planes.append(row)
    unit.transaction.put(Table.META, layout.plane_key(number), encode_row(row))
    return number


def certify(town: Signer, plane: bytes, subject: bytes, keys: KeyStore, role: Role) -> list[bytes]:
    """A certificate for this machine's replica key."""
    body = CertificateBody(FORMAT, plane, town.public, subject, keys.hpke_public(REPLICA_KEY), role)
    return build_certificate(body, town)


def open_charter(unit: Unit, plane: int, name: str, proof: InviteProof) -> None:
    """Open the charter of this replica's town on a plane that another town founded, unless it is open already.

    Args:
        unit: the unit.
        plane: the plane's local number.
        name: what the town calls itself.
        proof: what shows that it was invited.
    """
    town = unit.plane(plane).town
    number = unit.feed_number(plane, town)
    if unit.feed(number).n or unit.feed(number).is_aside:
        return
    begin_charter(unit, plane, town, name, proof)


def begin_charter(unit: Unit, plane: int, town: bytes, name: str, proof: InviteProof | None = None) -> None:
    """Write the first event of the charter of a town that didn't found the plane; of the recovery key's, too."""
    number = unit.feed_number(plane, town)
    # The feed may have been named by others, and found to have no opening.
    unit.set_feed(number, replace(unit.feed(number), kind=CHARTER, town=town, reason=""))
    unit.append(plane, charter_draft(town, name, "", proof), feed=number)
    unit.seal()
    resettle(unit, plane, town)


def enter_plane(unit: Unit, plane: int, certificate: list[bytes]) -> None:
    """Open this replica's feed on a plane with its certificate, and see what acceptance makes of it.

    Raises:
        RefusedError: `not_ready`: the plane's genesis or charter hasn't come yet; `exists`: the feed is open already.
        MalformedError: the certificate is none.
    """
    row = unit.plane(plane)
    body = decode_certificate(certificate).body
    unit.seal()
    if not unit.feed(unit.feed_number(plane, row.town)).n:
        raise RefusedError(f"the charter of plane {row.name} hasn't come yet", code=Code.NOT_READY, retryable=True)
    number = unit.feed_number(plane, body.subject)
    if unit.feed(number).n:
        raise RefusedError(f"this replica writes on plane {row.name} already", code=Code.EXISTS)
    unit.set_feed(number, replace(unit.feed(number), kind="replica", role=body.role, town=row.town, reason=""))
    unit.append(plane, certificate_draft(certificate, body.subject, ""), feed=number)
    unit.seal()
    resettle(unit, plane, body.subject)


def end_replica(unit: Unit, plane: int, author: bytes, n: int) -> None:
    """End a feed of this town at one of its accepted events (0: nothing of it counts), and act on it.

    Raises:
        RefusedError: `not_found`: that event isn't accepted here.
    """
    row = unit.plane(plane)
    write_end(unit, row, author, n, row.town)
    unit.seal()
    resettle(unit, plane, row.town)


def write_end(unit: Unit, plane: PlaneRow, author: bytes, n: int, town: bytes, charter: bytes = b"") -> None:
    """Write into a charter that an author ends.

    Args:
        unit: the unit.
        plane: the plane.
        author: whose feed ends.
        n: the last of its accepted events that counts, 0 for none.
        town: the town that the author belongs to.
        charter: the town key whose charter says so; that of this replica's town where left out.

    Raises:
        RefusedError: `not_found`: that event isn't accepted here.
    """
    unit.seal()
    holding = unit.log.batch_holding(unit.feed_number(plane.number, author), n) if n else None
    if n and holding is None:
        raise RefusedError(f"event {n} of {key_text(author)} isn't accepted here", code=Code.NOT_FOUND)
    append_end(unit, plane, author, End(n, holding.id if holding else ZEROS, town), charter)


def append_end(unit: Unit, plane: PlaneRow, author: bytes, end: End, charter: bytes = b"") -> None:
    """Write into a charter that an author ends where somebody says, be it held here or not.

    Args:
        unit: the unit.
        plane: the plane.
        author: whose feed ends.
        end: where, and which town the author belongs to.
        charter: the town key whose charter says so; that of this replica's town where left out.
    """
    unit.append(plane.number, end_draft(author, end, ""), feed=unit.feed_number(plane.number, charter or plane.town))
