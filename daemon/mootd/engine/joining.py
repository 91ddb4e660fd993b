"""Joining a plane with a ticket, and what follows when its charter comes.

Invariant: a replica that has joined writes nothing before the part of the plane's charter that lets it in is accepted
here; the certificate it will enter with waits in META until then, so that a restart forgets nothing. Once it has
entered, it counts here as it does everywhere: by what acceptance says of its certificate.
"""

from typing import Final, NamedTuple

import msgspec

from moot_protocol.certificate import FORMAT, CertificateBody, build_certificate, decode_certificate
from moot_protocol.errors import Code, RefusedError
from moot_protocol.frame import epoch_id
from moot_protocol.kinds import Role
from moot_protocol.ticket import Ticket, invite_signer
from mootd.engine import layout
from mootd.engine.charters import epochs_of, invites_of
from mootd.engine.exchange import Commit, Snapshot
from mootd.engine.log import PlaneRow
from mootd.engine.membership import adopt_plane, enter_plane
from mootd.engine.outbox import empty_queues
from mootd.engine.plane_keys import PlaneKeys
from mootd.engine.receive import resettle
from mootd.engine.replica import Replica
from mootd.engine.state import REPLICA_KEY, State
from mootd.engine.unit import Unit
from mootd.store.port import Reader, Table

NAME_HEX: Final = 4
"""Hexadecimal digits of a plane's id that tell it from another of its name."""


class _Pending(msgspec.Struct, array_like=True, frozen=True):
    """What a newcomer waits with."""

    certificate: list[bytes]
    epoch: bytes
    """The epoch of the key in its ticket."""


_decode_pending: Final = msgspec.msgpack.Decoder(_Pending).decode


class Joined(NamedTuple):
    """What came of a ticket."""

    plane: PlaneRow
    created: bool
    """Whether the plane is new here."""


def join(unit: Unit, ticket: Ticket) -> Joined:
    """Begin to hold the plane of a ticket; its feeds come with the exchange.

    On a plane that this replica writes on nothing happens; while it still waits, the newer ticket takes the place of
    the older one.

    Raises:
        RefusedError: `exists`: the plane has another topic key here.
    """
    replica = unit.replica
    number = unit.plane_number(ticket.plane)
    created = number is None
    if number is not None and not is_waiting(unit.transaction, number):
        return Joined(unit.plane(number), created)
    keys = PlaneKeys(replica.keys, ticket.plane)
    keys.keep_topic_key(ticket.topic_key)
    keys.keep(ticket.plane_key)
    if number is None:
        number = adopt_plane(unit, ticket.plane, ticket.kind, _free_name(unit, ticket), ticket.town)
    body = CertificateBody(
        FORMAT, ticket.plane, ticket.town, replica.id, replica.keys.hpke_public(REPLICA_KEY), Role.WRITER
    )
    certificate = build_certificate(body, invite_signer(ticket.invite_seed))
    pending = _Pending(certificate, epoch_id(ticket.plane_key))
    unit.transaction.put(Table.META, layout.pending_key(number), msgspec.msgpack.encode(pending))
    return Joined(unit.plane(number), created)


def _free_name(unit: Unit, ticket: Ticket) -> str:
    taken = {row.name for row in (*unit.replica.planes.values(), *unit.new_planes)}
    name = ticket.plane_name
    return name if name not in taken else f"{name}-{ticket.plane.hex()[:NAME_HEX]}"


def is_waiting(reader: Reader, plane: int) -> bool:
    """Whether a joined plane's charter hasn't come yet."""
    return reader.get(Table.META, layout.pending_key(plane)) is not None


def advance(replica: Replica, plane: int, keys: PlaneKeys, commit: Commit) -> None:
    """Do what has become possible by what came in: enter a joined plane, open epochs."""
    with replica.read() as reader:
        source = Snapshot(reader)
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


def _may_enter(source: Snapshot, plane: PlaneRow) -> bool:
    """Whether this replica waits for a plane whose charter names the invite that it holds by now."""
    packed = source.transaction.get(Table.META, layout.pending_key(plane.number))
    return packed is not None and decode_certificate(_decode_pending(packed).certificate).signer in invites_of(
        source, plane
    )


def _enter(unit: Unit, plane: int) -> None:
    key = layout.pending_key(plane)
    packed = unit.transaction.get(Table.META, key)
    if packed is None:
        return
    try:
        enter_plane(unit, plane, _decode_pending(packed).certificate)
        unit.seal()
        resettle(unit, plane, unit.replica.id)  # the invite may be a reader's, or closed by now
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
    """The epoch that is sealed under now: the newest that an accepted event confirms; None before the first."""
    with replica.read() as reader:
        newest = epochs_of(Snapshot(reader), plane).newest
    return None if newest is None else newest.id
