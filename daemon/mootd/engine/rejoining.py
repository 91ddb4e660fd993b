"""Another key for a machine whose feed on a plane has ended, so that a new ticket lets it in once more.

Invariant: a feed that has ended stays ended, and what was cut from it waits for `moot salvage`; this machine goes on
under a key that nobody has ended. Since a machine has one key for all its planes, it goes on under the new one on those
of its own town at once, and has to be invited again to every other.
"""

from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.ticket import Ticket, TownTicket, invite_signer
from mootd.engine import layout
from mootd.engine.charters import invites_of
from mootd.engine.log import PlaneRow
from mootd.engine.rotating import NewKey, change_replica, forget_refs, new_key
from mootd.engine.state import REPLICA_KEY
from mootd.engine.towns import is_own
from mootd.engine.unit import Unit
from mootd.store.port import Table


def has_ended(unit: Unit, plane: int) -> bool:
    """Whether the feed of this machine's present key on a plane was ended: nothing that it writes there counts."""
    return unit.feed(unit.feed_number(plane, unit.replica.id)).ended


def check_rejoin(unit: Unit, plane: PlaneRow, ticket: Ticket, town: bytes) -> None:
    """Refuse a ticket that can't let this machine in again, before it gives up its key for it.

    Args:
        unit: the unit.
        plane: the plane, on which its feed has ended.
        ticket: the ticket.
        town: the town that it would be a member of.

    Raises:
        RefusedError: `denied`: the town has ended there, or the invite is closed.
    """
    if unit.feed(unit.feed_number(plane.number, town)).ended:
        is_own_town = isinstance(ticket, TownTicket)
        raise RefusedError(
            f"town {key_text(town)} doesn't count on plane {plane.name} any more",
            code=Code.DENIED,
            hint="`moot town rotate-key` first" if is_own_town else "ask for a ticket of the town's new key",
        )
    found = invites_of(unit, plane, ticket.town).get(invite_signer(ticket.invite_seed).public)
    if found is not None and found.counting is not None:
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
        elif _has_standing_town(unit, plane):
            change_replica(unit, plane, machine, unit.replica.signer_of(plane.town))
        else:
            # A certificate that waits there is of the key that was.
            unit.transaction.delete(Table.META, layout.pending_key(plane.number))
            forget_refs(unit, plane)
            left.append(plane)
    return machine, left


def _has_standing_town(unit: Unit, plane: PlaneRow) -> bool:
    """Whether this machine can certify its own new key there."""
    charter = unit.feed(unit.feed_number(plane.number, plane.town))
    return is_own(unit, plane) and charter.n > 0 and not charter.reason
