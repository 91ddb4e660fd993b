"""Invites: what a town's own machine writes into its charter on a plane so that machines and other towns can join.

Invariant: only where the town's private key is can any of this be done, and only admins let in other towns. An invite's
seed leaves in its ticket and is kept nowhere. A charter can't invite an admin, whoever uses the ticket: for a town that
is to be one, this machine remembers what the invite was made for, and admits it when it sees who came (`tending.py`).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from moot_protocol.errors import Code, RefusedError
from moot_protocol.log.batch import ZEROS
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.charter import Invite, close_draft, invite_draft, is_invite
from moot_protocol.trust.genesis import PlaneKind
from moot_protocol.trust.ticket import FORMAT, Remote, Ticket, invite_hpke_private, invite_signer, ticket_for_town
from mootd.engine.exchange.receive import resettle
from mootd.engine.membership.charters import epochs_of, invites_of, members_of
from mootd.engine.membership.epochs import begin_epoch, check_admin, renew
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.membership.towns import check_own, guests_of, name_of
from mootd.engine.stored import layout
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.shared_plane import SharedPlane
from mootd.engine.unit import Unit
from mootd.store.port import Table

_KEY_BYTES: Final = 32


class Invited(NamedTuple):
    """A new invite."""

    key: bytes
    """The invite's public key."""
    ticket: Ticket


def open_plane(unit: Unit, plane: PlaneRow) -> PlaneKeys:
    """Make a plane ready for the exchange: a topic key and a first epoch, where it has none.

    Raises:
        RefusedError: `denied`: the plane is operational; or it has no epoch, and the town's key isn't here.
    """
    SharedPlane(plane)
    keys = PlaneKeys(unit.replica.keys, plane.id)
    unit.seal()
    if epochs_of(unit, plane).newest is None:
        check_own(unit, plane)
        if not keys.has_topic:
            keys.keep_topic_key(unit.replica.entropy.bytes(_KEY_BYTES))
        begin_epoch(unit, plane, keys)
    return keys


def invite(unit: Unit, plane: PlaneRow, role: Role, expires_ms: int, remotes: Sequence[Remote]) -> Invited:
    """Make an invite for a machine of this town, and the ticket that carries its seed.

    Raises:
        RefusedError: `denied`: the town's key isn't here, or the plane is operational; `invalid`: no role to invite
            as, or no time to expire at.
    """
    if role is Role.ADMIN:
        raise RefusedError("a machine is invited as writer or reader", hint="admins are other towns")
    return Invited(*_make(unit, plane, Invite(role, plane.town, expires_ms, b""), remotes))


def invite_town(unit: Unit, plane: PlaneRow, role: Role, expires_ms: int, remotes: Sequence[Remote]) -> Invited:
    """Make an invite for another town, and the ticket that carries its seed.

    Raises:
        RefusedError: as `invite`; `denied` also where this town is no admin of the plane.
    """
    check_admin(unit, plane)
    lent = Role.READER if role is Role.READER else Role.WRITER
    key, ticket = _make(unit, plane, Invite(lent, ZEROS, expires_ms, b""), remotes)
    unit.transaction.put(Table.META, layout.meant_key(plane.number, key), role.value.encode())
    return Invited(key, ticket_for_town(ticket, role))


def _make(unit: Unit, plane: PlaneRow, meant: Invite, remotes: Sequence[Remote]) -> tuple[bytes, Ticket]:
    """Write an invite, its HPKE key filled in; its key, and a machine's ticket."""
    check_own(unit, plane)
    unit.seal()
    if not unit.feed(unit.feed_number(plane.number, plane.town)).role:
        raise RefusedError(
            f"this town isn't in on plane {plane.name} yet",
            code=Code.NOT_READY,
            hint="wait: `moot sync --wait`",
            retryable=True,
        )
    keys = open_plane(unit, plane)
    seed = unit.replica.entropy.bytes(_KEY_BYTES)
    public = invite_signer(seed).public
    hpke = X25519PrivateKey.from_private_bytes(invite_hpke_private(seed)).public_key().public_bytes_raw()
    made = meant._replace(hpke_key=hpke)
    if not is_invite(made):
        raise RefusedError(f"{made.expires_ms} is no time at which an invite can expire")
    charter = unit.feed_number(plane.number, plane.town)
    unit.append(plane.number, invite_draft(public, made, ""), feed=charter)
    unit.seal()
    newest = epochs_of(unit, plane).newest
    plane_key = keys.sealing_key(newest.id if newest else b"")
    kind, name = PlaneKind(plane.kind), name_of(unit, plane, plane.town)
    return public, Ticket(
        FORMAT, plane.id, kind, plane.name, plane.town, name, keys.topic_key, plane_key, tuple(remotes), seed
    )


def close_invite(unit: Unit, plane: PlaneRow, key: bytes, keep: Sequence[bytes] | None) -> list[bytes]:
    """Close an invite: of those who used it, these count (all that are known, for None); who counts.

    Raises:
        RefusedError: `denied`; `not_found`: there is no such invite; `conflict`: it is closed already.
    """
    check_own(unit, plane)
    unit.seal()
    invitation = invites_of(unit, plane).get(key)
    if invitation is None:
        raise RefusedError("there is no such invite", code=Code.NOT_FOUND, hint="see `moot invite list`")
    if invitation.counting is not None:
        raise RefusedError("this invite is closed already", code=Code.CONFLICT)
    users = users_of(unit, plane, key)
    kept = users if keep is None else list(keep)
    charter = unit.feed_number(plane.number, plane.town)
    unit.append(plane.number, close_draft(key, kept, ""), feed=charter)
    unit.transaction.delete(Table.META, layout.meant_key(plane.number, key))
    unit.seal()
    resettle(unit, plane.number, plane.town)
    if not kept or set(users) - set(kept):
        renew(unit, plane)  # who is left out reads nothing new
    return kept


def users_of(unit: Unit, plane: PlaneRow, key: bytes) -> list[bytes]:
    """The replicas that entered a plane with an invite, or the towns, if it is for those."""
    machines = [member.row.author for member in members_of(unit, plane) if member.certificate.signer == key]
    return machines or guests_of(unit, plane, key)
