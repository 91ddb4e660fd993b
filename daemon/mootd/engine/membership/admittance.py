"""Whether what this machine writes on a plane can count, and what has to be done where it can't.

Invariant: what is answered follows from what is held alone, as acceptance does. Nothing is told to be missing that
would not help: a machine certifies its own new key where its town's key is here and counts, a town whose charter
doesn't count comes back under another key only, and everybody else needs a ticket.
"""

from enum import StrEnum

from mootd.engine.membership.joining import is_refused, is_waiting
from mootd.engine.membership.rejoining import is_void, needs_town_key
from mootd.engine.membership.rotating import can_certify
from mootd.engine.membership.towns import has_key_of
from mootd.engine.state import REPLICA_KEY, State
from mootd.engine.stored.feeds import Source
from mootd.engine.stored.log import PlaneRow


class Lack(StrEnum):
    """What this machine lacks on a plane."""

    NOTHING = ""
    """What it writes counts, or a fork is in the way that people settle."""
    CHARTER = "charter"
    """What lets it in hasn't come yet."""
    TICKET = "ticket"
    """A new ticket of its town's, for a machine."""
    TOWN_TICKET = "town_ticket"
    """A new ticket for its town, under the key that the town has now."""
    TOWN_KEY = "town_key"
    """A new key of its town's, which is to be made here, and then a ticket for that."""
    TOWN = "town"
    """Its town has to be let in again under a new key, which isn't here, and then to invite this machine."""
    KEY = "key"
    """A key of its own that counts: it can certify one itself."""


def lack_on(source: Source, replica: State, plane: PlaneRow) -> Lack:
    """What this machine lacks on a plane, for what it writes to count; nothing is told where its own key isn't here.

    Args:
        source: the state that it is told of.
        replica: the replica.
        plane: the plane.
    """
    if not replica.keys.has(REPLICA_KEY):  # whose feeds they are is told by that key
        return Lack.NOTHING
    row = source.feed(source.feed_number(plane.number, replica.id))
    if (row.n or row.forked_at) and not row.ended:
        return Lack.NOTHING
    if is_waiting(source.transaction, plane.number):
        return _new_ticket(replica, plane) if is_refused(source, plane) else Lack.CHARTER
    if can_certify(source, replica, plane):
        return Lack.KEY
    return Lack.TOWN_KEY if needs_town_key(source, replica, plane) else _lack_of_ticket(source, replica, plane)


def _lack_of_ticket(source: Source, replica: State, plane: PlaneRow) -> Lack:
    charter = source.feed(source.feed_number(plane.number, plane.town))
    if has_key_of(replica, plane):
        return Lack.TOWN_TICKET
    if charter.ended or is_void(charter):
        return Lack.TOWN
    return Lack.TICKET if charter.n else Lack.CHARTER


def _new_ticket(replica: State, plane: PlaneRow) -> Lack:
    return Lack.TOWN_TICKET if has_key_of(replica, plane) else Lack.TICKET
