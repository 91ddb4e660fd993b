"""Joining a plane with a ticket, and what follows when its charter comes.

Invariant: a replica that has joined writes nothing before the plane's charter is accepted here; the certificate it will
enter with waits in META until then, so that a restart forgets nothing.
"""

from typing import Final, NamedTuple

import msgspec

from moot_protocol.certificate import FORMAT, CertificateBody, build_certificate
from moot_protocol.errors import Code, RefusedError
from moot_protocol.frame import epoch_id
from moot_protocol.kinds import Role
from moot_protocol.ticket import Ticket, invite_signer
from mootd.engine import layout
from mootd.engine.charters import epochs_of
from mootd.engine.exchange import Commit, Snapshot
from mootd.engine.log import PlaneRow
from mootd.engine.membership import adopt_plane, enter_plane
from mootd.engine.plane_keys import PlaneKeys
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

    Raises:
        RefusedError: `exists`: this replica writes on that plane already.
    """
    replica = unit.replica
    created = unit.plane_number(ticket.plane) is None
    if not created:
        return Joined(unit.plane(unit.plane_number(ticket.plane) or 0), created)
    keys = PlaneKeys(replica.keys, ticket.plane)
    keys.keep_topic_key(ticket.topic_key)
    keys.keep(ticket.plane_key)
    name = _free_name(unit, ticket)
    number = adopt_plane(unit, ticket.plane, ticket.kind, name, ticket.town)
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
        waits = is_waiting(reader, plane)
        has_charter = source.feed(source.feed_number(plane, row.town)).n > 0
        epochs = epochs_of(source, row).written if has_charter else ()
    for epoch in reversed(epochs):
        keys.learn(epoch.id, epoch.value, replica.id)
    if waits and has_charter:
        commit(lambda unit: _enter(unit, plane))


def _enter(unit: Unit, plane: int) -> None:
    key = layout.pending_key(plane)
    packed = unit.transaction.get(Table.META, key)
    if packed is None:
        return
    try:
        enter_plane(unit, plane, _decode_pending(packed).certificate)
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
