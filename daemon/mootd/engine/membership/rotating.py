"""New keys for this machine: another replica key, another town key.

Invariant: everything that the old keys signed stays; the feeds that end are ended in the same commit that opens those
that take their place, and only when it commits does this machine speak under the new keys. Where the town may not
admit its new key itself the old one goes on speaking for it: no plane is left without a key that counts.
"""

from typing import Final, NamedTuple

from msgspec.structs import replace

from moot_protocol.crypto import Signer
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.log.batch import ZEROS
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.acceptance import Reason
from moot_protocol.trust.certificate import FORMAT, CertificateBody, build_certificate
from moot_protocol.trust.charter import Admission, End, admission_draft
from moot_protocol.trust.genesis import PlaneKind
from mootd.engine.exchange.receive import resettle
from mootd.engine.keyring import stored_name
from mootd.engine.machine.remotes import remotes
from mootd.engine.membership.charter_writing import append_end, begin_charter, enter_plane, write_end
from mootd.engine.membership.charters import members_of, towns_of
from mootd.engine.membership.dropping import check_losses, loss_of
from mootd.engine.membership.epochs import renew
from mootd.engine.membership.towns import has_key_of, hint_of_key, is_admin, is_own, name_of, own_name
from mootd.engine.state import REPLICA_KEY, TOWN_KEY, State
from mootd.engine.stored import layout
from mootd.engine.stored.feeds import Source
from mootd.engine.stored.log import FeedRow, PlaneRow
from mootd.engine.unit import Unit
from mootd.store.port import Table

ROTATED: Final = "rotated"
INVITE: Final = "invite"
KEPT: Final = "kept"
_STAYS: Final = "it never leaves this machine"
_LATER: Final = "an admin has to invite the new key; until then the old one speaks for this town"
_REMOVED: Final = "this town was removed from it, and an admin has to invite the new key"
_TWO_HISTORIES: Final = "the old key has signed two histories there, and an admin has to invite the new one"
_NEVER_IN: Final = "the old key has no part in it, and an admin has to invite the new one"


class NewKey(NamedTuple):
    """A private key that a name will stand for."""

    name: str
    number: int
    signer: Signer
    hpke_public: bytes


class RotatedPlane(NamedTuple):
    """What became of a plane."""

    plane: PlaneRow
    state: str
    """`rotated`, `invite` or `kept`."""
    detail: str


class Rotated(NamedTuple):
    """What became of a town's key."""

    before: bytes
    town: bytes
    replica: bytes
    planes: list[RotatedPlane]


# -- Keys --------------------------------------------------------------------------------------------------------
def new_key(unit: Unit, name: str) -> NewKey:
    """Make the key that a name stands for from this unit's commit on."""
    keys = unit.replica.keys
    number = keys.create_next(name)
    unit.change_key(name, number)
    stored = stored_name(name, number)
    return NewKey(name, number, unit.replica.signer(stored), keys.hpke_public(stored))


def can_certify(source: Source, replica: State, plane: PlaneRow) -> bool:
    """Whether this machine can certify a key of its own on a plane, and is heard: its town's key is here and stands.

    A plane that never leaves the machine is its own, though the key that founded it be another machine's to use on all
    other planes: nobody else sees what is signed there.
    """
    if plane.kind == PlaneKind.OPERATIONAL:
        return any(replica.signer(each).public == plane.town for each in replica.keys.stored(TOWN_KEY))
    charter = source.feed(source.feed_number(plane.number, plane.town))
    return has_key_of(replica, plane) and charter.n > 0 and not charter.ended


def present_key(unit: Unit) -> NewKey:
    """The key that this machine has."""
    keys = unit.replica.keys
    return NewKey(
        REPLICA_KEY, keys.latest(REPLICA_KEY), unit.replica.signer(REPLICA_KEY), keys.hpke_public(REPLICA_KEY)
    )


def change_replica(unit: Unit, plane: PlaneRow, replica: NewKey, town: Signer, *, ends: bool = True) -> None:
    """Open this machine's feed on a plane under a new key, with a certificate of its town's, and end the old one.

    Args:
        unit: the unit.
        plane: the plane, as a member of which town this machine goes on.
        replica: the new key.
        town: that town's key.
        ends: whether the old one ends; it doesn't where another machine goes on under it.
    """
    unit.seal()
    old = unit.feed(unit.feed_number(plane.number, unit.replica.id))
    body = CertificateBody(FORMAT, plane.id, town.public, replica.signer.public, replica.hpke_public, Role.ADMIN)
    enter_plane(unit, plane.number, build_certificate(body, town))
    if ends and old.n and not old.ended and old.town == plane.town:
        write_end(unit, plane, old.author, old.n, old.town)
        unit.seal()
        resettle(unit, plane.number, plane.town)
    forget_refs(unit, plane)


def leave(unit: Unit, plane: PlaneRow) -> None:
    """Let this machine wait to be invited to a plane: what it has there is of the key that was."""
    unit.transaction.delete(Table.META, layout.pending_key(plane.number))
    forget_refs(unit, plane)


def forget_refs(unit: Unit, plane: PlaneRow) -> None:
    """Forget this machine's own refs on remotes: under another key it has others."""
    for row in remotes(unit.transaction):
        unit.transaction.delete(Table.META, layout.own_ref_key(row.number, plane.number))


# -- The town's --------------------------------------------------------------------------------------------------
def rotate_town(unit: Unit) -> Rotated:
    """Give this machine's town a new key and this machine with it.

    Raises:
        RefusedError: `denied`: the town's key isn't here, `not_ready`: there is none.
    """
    replica = unit.replica
    planes = [*replica.planes.values(), *unit.new_planes]
    if not any(is_own(unit, plane) for plane in planes):
        raise RefusedError(
            "the key of this machine's town isn't here",
            code=Code.DENIED if planes else Code.NOT_READY,
            hint=hint_of_key(replica, planes),
        )
    before = replica.signer(TOWN_KEY).public
    town, machine = new_key(unit, TOWN_KEY), new_key(unit, REPLICA_KEY)
    name = own_name(unit.transaction, before)
    unit.transaction.put(Table.META, layout.town_name_key(town.signer.public), name.encode())
    rotated = [_rotate(unit, plane, town, machine) for plane in planes]
    return Rotated(before, town.signer.public, machine.signer.public, rotated)


def _rotate(unit: Unit, plane: PlaneRow, town: NewKey, machine: NewKey) -> RotatedPlane:
    unit.seal()
    if plane.kind == PlaneKind.OPERATIONAL:
        change_replica(unit, plane, machine, unit.replica.signer_of(plane.town))
        return RotatedPlane(plane, KEPT, _STAYS)
    if not is_own(unit, plane):
        leave(unit, plane)
        return RotatedPlane(plane, INVITE, "this machine has to be invited again by its town there")
    charter = unit.feed(unit.feed_number(plane.number, plane.town))
    if not charter.n or charter.reason:
        leave(unit, plane)
        why = _TWO_HISTORIES if charter.reason == Reason.FORKED else _REMOVED if charter.ended else _NEVER_IN
        return RotatedPlane(plane, INVITE, why)
    if not is_admin(unit, plane):
        change_replica(unit, plane, machine, unit.replica.signer_of(plane.town))
        return RotatedPlane(plane, INVITE, _LATER)
    others = _succeed(unit, plane, town, machine)
    who = "1 other machine of this town has" if others == 1 else f"{others} other machines of this town have"
    detail = f"{who} to join again (`moot invite` here)" if others else ""
    return RotatedPlane(plane, ROTATED, detail)


def _succeed(unit: Unit, plane: PlaneRow, town: NewKey, machine: NewKey) -> int:
    """Admit the new key, go on as it, and end the old one; how many other machines ended with it.

    Raises:
        RefusedError: `conflict`: events of another machine would be dropped.
    """
    keys = unit.replica.keys
    own = {unit.replica.signer(each).public for each in keys.stored(REPLICA_KEY)}  # earlier ones, from salvages, too
    others = [each.author for each in _machines(unit, plane) if each.town == plane.town and each.author not in own]
    # What this machine itself lost it can salvage.
    check_losses((loss_of(unit, plane, each) for each in others), drops="`moot replica retire` with --drop")
    charter = unit.feed_number(plane.number, plane.town)
    name = name_of(unit, plane, plane.town) or key_text(town.signer.public)
    standing = towns_of(unit, plane).get(plane.town)
    told = (standing.name if standing else "") or key_text(town.signer.public)  # by which `heirs_of` knows it
    unit.append(plane.number, admission_draft(town.signer.public, Admission(told, Role.ADMIN), ""), feed=charter)
    unit.seal()
    after = open_as(unit, plane, town.signer, name)
    change_replica(unit, after, machine, town.signer)
    ended = [row for row in _machines(unit, plane) if row.town == plane.town]
    for row in ended:
        write_end(unit, plane, row.author, row.n, plane.town)
    _end_itself(unit, plane)
    resettle(unit, plane.number, plane.town)
    renew(unit, after)
    return len([row for row in ended if row.author not in own and not row.ended])


def open_as(unit: Unit, plane: PlaneRow, town: Signer, name: str) -> PlaneRow:
    """Open the charter of a town that was admitted, and be a member of it on the plane; the plane's row from now on."""
    after = replace(plane, town=town.public)
    unit.change_plane(after)
    begin_charter(unit, plane.number, town.public, name)
    return after


def _machines(unit: Unit, plane: PlaneRow) -> list[FeedRow]:
    return [member.row for member in members_of(unit, plane)]


def _end_itself(unit: Unit, plane: PlaneRow) -> None:
    """End the old charter: the first event of a batch that names the event right before it."""
    unit.seal()
    row = unit.feed(unit.feed_number(plane.number, plane.town))
    append_end(unit, plane, plane.town, End(row.n, row.head if row.n else ZEROS, plane.town))
    unit.seal()
