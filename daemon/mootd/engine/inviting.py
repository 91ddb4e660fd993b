"""Invites and epochs: what the town's own machine writes into a plane's charter so that others can join and read.

Invariant: only where the town's private key is can any of this be done. An invite's seed leaves in its ticket and is
kept nowhere; a plane's first key is made with its first epoch, before anything is sealed.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from moot_protocol.charter import Invite, close_draft, epoch_drafts, invite_draft, invite_from_value
from moot_protocol.epoch import build_epoch
from moot_protocol.errors import Code, RefusedError
from moot_protocol.event import Dot
from moot_protocol.frame import epoch_id
from moot_protocol.genesis import PlaneKind
from moot_protocol.kinds import Role
from moot_protocol.ticket import FORMAT, Remote, Ticket, invite_hpke_private, invite_signer
from mootd.engine.charters import epochs_of, invites_of, members_of
from mootd.engine.exchange import SharedPlane
from mootd.engine.log import PlaneRow
from mootd.engine.outbox import empty_queues
from mootd.engine.plane_keys import PlaneKeys
from mootd.engine.receive import resettle
from mootd.engine.state import TOWN_KEY
from mootd.engine.unit import Unit

_KEY_BYTES: Final = 32


class Invited(NamedTuple):
    """A new invite."""

    key: bytes
    """The invite's public key."""
    ticket: Ticket


def is_own(unit: Unit, plane: PlaneRow) -> bool:
    """Whether the key of a plane's town is on this machine."""
    keys = unit.replica.keys
    return keys.has(TOWN_KEY) and unit.replica.signer(TOWN_KEY).public == plane.town


def check_own(unit: Unit, plane: PlaneRow) -> None:
    """Refuse what only the town's own machine can do.

    Raises:
        RefusedError: `denied`.
    """
    if not is_own(unit, plane):
        raise RefusedError(
            f"the key of the town that plane {plane.name} belongs to isn't on this machine",
            code=Code.DENIED,
            hint="do this on the machine where the town was founded",
        )


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


def begin_epoch(unit: Unit, plane: PlaneRow, keys: PlaneKeys) -> bytes:
    """Begin a new epoch over all that are live, for every member that counts and every open invite; its 8 bytes."""
    check_own(unit, plane)
    key = unit.replica.entropy.bytes(_KEY_BYTES)
    keys.keep(key)
    known = epochs_of(unit, plane)
    recipients = {
        member.row.author: member.certificate.body.hpke_key
        for member in members_of(unit, plane)
        if not member.row.ended
    }
    recipients |= {
        name: invitation.invite.hpke_key
        for name, invitation in invites_of(unit, plane).items()
        if invitation.counting is None
    }
    before = [keys.sealing_key(epoch.id) for epoch in known.live]
    over: dict[bytes, list[Dot]] = {}
    for epoch in known.live:
        over.setdefault(epoch.id, []).append(epoch.dot)
    value = build_epoch(plane.id, key, recipients, before)
    charter = unit.feed_number(plane.number, plane.town)
    for draft in epoch_drafts(epoch_id(key), value, "", over):
        unit.append(plane.number, draft, feed=charter)
    unit.seal()
    empty_queues(unit, plane.number)
    return epoch_id(key)


def invite(unit: Unit, plane: PlaneRow, role: Role, expires_ms: int, remotes: Sequence[Remote]) -> Invited:
    """Make an invite, and the ticket that carries its seed.

    Raises:
        RefusedError: `denied`: the town's key isn't here, or the plane is operational; `invalid`: no role to invite
            as, or no time to expire at.
    """
    if role is Role.ADMIN:
        raise RefusedError("a machine is invited as writer or reader", hint="admins are other towns")
    check_own(unit, plane)
    keys = open_plane(unit, plane)
    seed = unit.replica.entropy.bytes(_KEY_BYTES)
    public = invite_signer(seed).public
    hpke = X25519PrivateKey.from_private_bytes(invite_hpke_private(seed)).public_key().public_bytes_raw()
    made = Invite(role, plane.town, expires_ms, hpke)
    if invite_from_value(list(made)) is None:  # nobody would take it for one
        raise RefusedError(f"{expires_ms} is no time at which an invite can expire")
    charter = unit.feed_number(plane.number, plane.town)
    unit.append(plane.number, invite_draft(public, made, ""), feed=charter)
    unit.seal()
    newest = epochs_of(unit, plane).newest
    plane_key = keys.sealing_key(newest.id if newest else b"")
    ticket = Ticket(
        FORMAT, plane.id, PlaneKind(plane.kind), plane.name, plane.town, "", keys.topic_key, plane_key, tuple(remotes),
        seed,
    )  # fmt: skip
    return Invited(public, ticket)


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
    unit.seal()
    resettle(unit, plane.number, plane.town)
    if not kept or set(users) - set(kept):
        begin_epoch(unit, plane, PlaneKeys(unit.replica.keys, plane.id))  # who is left out reads nothing new
    return kept


def users_of(unit: Unit, plane: PlaneRow, key: bytes) -> list[bytes]:
    """The replicas that entered a plane with an invite."""
    return [member.row.author for member in members_of(unit, plane) if member.certificate.signer == key]
