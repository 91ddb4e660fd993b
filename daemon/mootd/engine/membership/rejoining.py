"""Another key for a machine of whose feed on a plane nothing more counts, so that a new ticket lets it in once more.

Invariant: a feed that has ended stays ended, and what was cut from it waits for `moot salvage`; this machine goes on
under a key that nobody has ended. Since a machine has one key for all its planes, it goes on under the new one on those
of its own town at once, and has to be invited again to every other.
"""

from typing import Final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.trust.acceptance import Reason
from moot_protocol.trust.ticket import Ticket, TownTicket, invite_signer
from mootd.engine.membership.charters import invites_of
from mootd.engine.membership.rotating import NewKey, can_certify, change_replica, forget_refs, leave, new_key
from mootd.engine.membership.towns import has_key_of
from mootd.engine.state import REPLICA_KEY, TOWN_KEY, State
from mootd.engine.stored import layout
from mootd.engine.stored.feeds import Source
from mootd.engine.stored.log import FeedRow, PlaneRow
from mootd.engine.unit import Unit
from mootd.store.port import Table

_UNSETTLED: Final = frozenset({Reason.NONE, Reason.NO_GENESIS, Reason.NO_OPENING})
"""Reasons that more of the plane may lift: what is held doesn't tell yet what becomes of a feed."""


def is_void(row: FeedRow) -> bool:
    """Whether a feed is held of which nothing counts, by what is known of who may let it in."""
    return row.n == 0 and row.is_aside and row.reason not in _UNSETTLED


def has_ended(unit: Unit, plane: int) -> bool:
    """Whether nothing counts that this machine writes on a plane under its present key: the feed was ended, or is void.

    While it waits to enter, a void feed is one that came back from a remote before what let it in.
    """
    row = unit.feed(unit.feed_number(plane, unit.replica.id))
    return row.ended or (is_void(row) and unit.transaction.get(Table.META, layout.pending_key(plane)) is None)


def needs_town_key(source: Source, replica: State, plane: PlaneRow) -> bool:
    """Whether no ticket lets this machine's town in on a plane before it has another key, which is to be made here."""
    charter = source.feed(source.feed_number(plane.number, plane.town))
    is_present = has_key_of(replica, plane) and replica.signer(TOWN_KEY).public == plane.town
    return is_present and (charter.ended or is_void(charter))


def check_rejoin(unit: Unit, plane: PlaneRow, ticket: Ticket, town: bytes) -> None:
    """Refuse a ticket that can't let this machine in again, before it gives up its key for it.

    Args:
        unit: the unit.
        plane: the plane, on which nothing that it writes counts so far.
        ticket: the ticket.
        town: the town that it would be a member of.

    Raises:
        RefusedError: `denied`: the town doesn't count there under this key, or the invite is closed.
    """
    is_own_town = isinstance(ticket, TownTicket)
    charter = unit.feed(unit.feed_number(plane.number, town))
    if charter.ended or (is_own_town and is_void(charter)):
        again = "`moot town rotate-key` gives it a key that can be let in; then join with this ticket again"
        raise RefusedError(
            f"town {key_text(town)} doesn't count on plane {plane.name}{' any more' if charter.ended else ''}",
            code=Code.DENIED,
            hint=again if is_own_town else "ask for a ticket of the town's new key",
        )
    found = invites_of(unit, plane, ticket.town).get(invite_signer(ticket.invite_seed).public)
    newcomer = town if is_own_town else unit.replica.id
    if (
        found is not None
        and found.counting is not None
        and (has_ended(unit, plane.number) or newcomer not in found.counting)
    ):
        raise RefusedError(
            f"the invite of this ticket to plane {plane.name} is closed", code=Code.DENIED, hint="ask for a new ticket"
        )


def new_replica_key(unit: Unit, joining: PlaneRow) -> tuple[NewKey, list[PlaneRow]]:
    """Give this machine a new key of its own; with it, the other planes that it has to be invited to again.

    Args:
        unit: the unit.
        joining: the plane that it is about to join anew.
    """
    machine = new_key(unit, REPLICA_KEY)
    left = []
    for plane in [*unit.replica.planes.values(), *unit.new_planes]:
        if plane.number == joining.number:
            forget_refs(unit, plane)
        elif can_certify(unit, unit.replica, plane):
            change_replica(unit, plane, machine, unit.replica.signer_of(plane.town))
        else:
            leave(unit, plane)
            left.append(plane)
    return machine, left
