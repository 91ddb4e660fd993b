"""Joining a plane with a ticket, as a machine of the inviting town or as another town, and what follows.

Invariant: a replica that has joined writes nothing before the part of the plane's charter that lets it in is accepted
here; the certificate it will enter with waits in META until then, so that a restart forgets nothing. Once it has
entered, it counts here as it does everywhere: by what acceptance says of its certificate. A town enters with a charter
of its own, whose first event proves the invite, and certifies this machine with its own key. A machine whose feed has
ended, or never came to count, enters under a new key (`rejoining.py`), as a member of the town that its new ticket is
of.

The invite's seed is kept: until an epoch is wrapped for the newcomer, it opens what is wrapped for the invite.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.merge.kinds import Role
from moot_protocol.sealing.frame import epoch_id
from moot_protocol.trust.certificate import FORMAT, CertificateBody, build_certificate, decode_certificate
from moot_protocol.trust.charter import InviteProof, build_charter_proof
from moot_protocol.trust.charter_reading import Invitation
from moot_protocol.trust.ticket import Ticket, TownTicket, invite_signer
from mootd.engine.commit import Committer
from mootd.engine.exchange.outbox import empty_queues
from mootd.engine.membership.charter_writing import adopt_plane, enter_plane, open_charter
from mootd.engine.membership.charters import charters_of, epochs_of, invites_of
from mootd.engine.membership.epochs import present_of
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.membership.rejoining import check_rejoin, has_ended, new_replica_key
from mootd.engine.membership.rotating import NewKey
from mootd.engine.membership.tending import tend
from mootd.engine.membership.towns import hint_of_key, home_of, is_disowned, keep_name, own_name
from mootd.engine.replica import Replica
from mootd.engine.state import REPLICA_KEY, TOWN_KEY, State
from mootd.engine.stored import layout
from mootd.engine.stored.feeds import Source
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.unit import Unit
from mootd.store.port import Reader, Table

NAME_HEX: Final = 4
"""Hexadecimal digits of a plane's id that tell it from another of its name."""


class _Pending(msgspec.Struct, array_like=True, frozen=True):
    """What a newcomer waits with."""

    certificate: list[bytes]
    epoch: bytes
    """The epoch of the key in its ticket."""
    proof: tuple[bytes, bytes] | None = None
    """Of a town that will enter with a charter of its own: the invite's key and signature."""

    @property
    def invite(self) -> bytes:
        """The key of the invite."""
        return self.proof[0] if self.proof else decode_certificate(self.certificate).signer


_decode_pending: Final = msgspec.msgpack.Decoder(_Pending).decode


class Joined(NamedTuple):
    """What came of a ticket."""

    plane: PlaneRow
    created: bool
    """Whether the plane is new here."""
    is_again: bool = False
    """Whether it was here, and is joined anew: with a newer ticket, or under another key."""
    new_key: NewKey | None = None
    """The key that this machine has from now on, where the feed of the one before had ended."""
    left: Sequence[PlaneRow] = ()
    """Other planes that it has to be invited to again under its new key."""


def join(unit: Unit, ticket: Ticket) -> Joined:
    """Begin to hold the plane of a ticket; its feeds come with the exchange.

    On a plane that this replica writes on nothing happens; while it still waits, the newer ticket takes the place of
    the older one. A town that was given a new key since joins again under it, and a machine of whose feed nothing more
    counts joins again under a new key of its own.

    Raises:
        RefusedError: `exists`: the plane has another topic key here; `denied`: the ticket is for a town, and the key
            of this machine's town is elsewhere, or it can't let in again whose feed has ended; `conflict`: it is for
            another town than the inviting one, or of another town than this machine counts for.
    """
    replica = unit.replica
    number = unit.plane_number(ticket.plane)
    created = number is None
    town = _joining_town(unit, ticket)
    is_ended = number is not None and has_ended(unit, number)
    if number is not None:
        if not is_ended and unit.plane(number).town == town and _has_entered(unit, number):
            return Joined(unit.plane(number), created)
        check_rejoin(unit, unit.plane(number), ticket, town)
    keys = PlaneKeys(replica.keys, ticket.plane)
    keys.keep_topic_key(ticket.topic_key)
    keys.keep(ticket.plane_key)
    keys.keep_invite(ticket.invite_seed)
    if ticket.town_name:
        keep_name(unit, ticket.town, ticket.town_name)
    if number is None:
        number = adopt_plane(unit, ticket.plane, ticket.kind, _free_name(unit, ticket), town)
    elif unit.plane(number).town != town:
        unit.change_plane(replace(unit.plane(number), town=town))
    machine, left = new_replica_key(unit, unit.plane(number)) if is_ended else (None, [])
    pending = msgspec.msgpack.encode(_pending(replica, ticket, machine))
    unit.transaction.put(Table.META, layout.pending_key(number), pending)
    if not created and _may_enter(unit, unit.plane(number)):
        _enter(unit, number)  # the invite came before its ticket did, and nothing else may come
    return Joined(unit.plane(number), created, is_again=not created, new_key=machine, left=left)


def _has_entered(unit: Unit, plane: int) -> bool:
    """Whether this replica has opened its feed, under the key that it has now."""
    if is_waiting(unit.transaction, plane):
        return False
    row = unit.feed(unit.feed_number(plane, unit.replica.id))
    return row.n > 0 or row.is_aside


def _check_same_town(plane: PlaneRow, ticket: Ticket) -> None:
    """Whoever counts on a plane as a member of one town doesn't become one of another."""
    if plane.town != ticket.town:
        raise RefusedError(
            f"this machine is on plane {plane.name} for town {key_text(plane.town)}, and the ticket is of another town",
            code=Code.CONFLICT,
            hint="if that town was given a new key: `moot sync --wait`, then join again",
        )


def _joining_town(unit: Unit, ticket: Ticket) -> bytes:
    """The town that this machine is a member of on the plane of a ticket, once it has joined."""
    if not isinstance(ticket, TownTicket):
        known = unit.plane_number(ticket.plane)
        if known is not None and _has_entered(unit, known) and not has_ended(unit, known):
            _check_same_town(unit.plane(known), ticket)
        return ticket.town
    replica = unit.replica
    own = replica.signer(TOWN_KEY).public if replica.keys.has(TOWN_KEY) else b""
    planes = [*replica.planes.values(), *unit.new_planes]
    home = home_of(planes)
    if not own or home not in replica.own_towns():
        where = "join on the machine where the town was founded, then invite this one from there"
        raise RefusedError(
            "this ticket is for a town, and the key of this machine's town isn't here",
            code=Code.DENIED,
            hint=hint_of_key(replica, planes) if is_disowned(replica, planes) else where,
        )
    if ticket.town in replica.own_towns():
        raise RefusedError("this ticket is for another town than the one it comes from", code=Code.CONFLICT)
    return own


def _pending(replica: State, ticket: Ticket, machine: NewKey | None) -> _Pending:
    """What to wait with; `machine` is the key to enter under, None for the one that this machine has."""
    invite, epoch = invite_signer(ticket.invite_seed), epoch_id(ticket.plane_key)
    subject = machine.signer.public if machine else replica.id
    hpke_public = machine.hpke_public if machine else replica.keys.hpke_public(REPLICA_KEY)
    if isinstance(ticket, TownTicket):
        town = replica.signer(TOWN_KEY)
        key, signature = build_charter_proof(ticket.plane, town.public, invite)
        body = CertificateBody(FORMAT, ticket.plane, town.public, subject, hpke_public, Role.ADMIN)
        return _Pending(build_certificate(body, town), epoch, (key, signature))
    body = CertificateBody(FORMAT, ticket.plane, ticket.town, subject, hpke_public, Role.WRITER)
    return _Pending(build_certificate(body, invite), epoch)


def _free_name(unit: Unit, ticket: Ticket) -> str:
    taken = {row.name for row in (*unit.replica.planes.values(), *unit.new_planes)}
    name = ticket.plane_name
    return name if name not in taken else f"{name}-{ticket.plane.hex()[:NAME_HEX]}"


def is_waiting(reader: Reader, plane: int) -> bool:
    """Whether a joined plane's charter hasn't come yet."""
    return reader.get(Table.META, layout.pending_key(plane)) is not None


def advance(replica: Replica, plane: int, keys: PlaneKeys, commit: Committer) -> None:
    """Do what has become possible by what came in: enter a joined plane, open epochs, see to who joined."""
    with replica.read() as reader:
        source = LogSnapshot(reader)
        row = replica.planes[plane]
        may_enter = _may_enter(source, row)
        epochs = epochs_of(source, row)
    newest = epochs.newest
    is_news = newest is not None and keys.key_of(newest.id) is None
    for epoch in reversed(epochs.written):
        keys.learn(epoch.id, epoch.value, replica.id)
    if is_news:
        commit(lambda unit: empty_queues(unit, plane))
    if may_enter:
        commit(lambda unit: _enter(unit, plane))
    tend(replica, plane, keys, commit)


def _may_enter(source: Source, plane: PlaneRow) -> bool:
    """Whether this replica waits for a plane on which the invite that it holds is known by now, and lets it in."""
    packed = source.transaction.get(Table.META, layout.pending_key(plane.number))
    if packed is None:
        return False
    pending = _decode_pending(packed)
    found = _invitation(source, plane, pending)
    return found is not None and (pending.proof is None or not _is_closed_to(found, plane.town))


def is_refused(source: Source, plane: PlaneRow) -> bool:
    """Whether this replica waits for a plane with an invite that was closed without it."""
    packed = source.transaction.get(Table.META, layout.pending_key(plane.number))
    if packed is None:
        return False
    pending = _decode_pending(packed)
    found = _invitation(source, plane, pending)
    newcomer = plane.town if pending.proof else decode_certificate(pending.certificate).body.subject
    return found is not None and _is_closed_to(found, newcomer)


def _invitation(source: Source, plane: PlaneRow, pending: _Pending) -> Invitation | None:
    """What is known of the invite that this replica waits with."""
    if pending.proof is None:
        return invites_of(source, plane).get(pending.invite)
    charters = [invites_of(source, plane, charter.author) for charter in charters_of(source, plane)]
    return next((invites[pending.invite] for invites in charters if pending.invite in invites), None)


def _is_closed_to(invitation: Invitation, newcomer: bytes) -> bool:
    return invitation.counting is not None and newcomer not in invitation.counting


def _enter(unit: Unit, plane: int) -> None:
    key = layout.pending_key(plane)
    packed = unit.transaction.get(Table.META, key)
    if packed is None:
        return
    pending = _decode_pending(packed)
    try:
        if pending.proof is not None:
            town = unit.plane(plane).town
            open_charter(unit, plane, own_name(unit.transaction, town) or key_text(town), InviteProof(*pending.proof))
        enter_plane(unit, plane, pending.certificate)
    except RefusedError as error:
        if error.code is not Code.EXISTS:  # it came back from a remote: this replica has been here before
            raise
    unit.transaction.delete(Table.META, key)


def joining_key(replica: State, plane: int, keys: PlaneKeys) -> bytes | None:
    """The key of the ticket that this replica joins with; None once it has entered."""
    with replica.read() as reader:
        packed = reader.get(Table.META, layout.pending_key(plane))
    return None if packed is None else keys.key_of(_decode_pending(packed).epoch)


def present_epoch(replica: State, plane: PlaneRow) -> bytes | None:
    """The epoch that is sealed under now, which accepted events confirm (`epochs.py`); None where there is none."""
    with replica.read() as reader:
        present = present_of(LogSnapshot(reader), plane)
    return None if present is None else present.id
