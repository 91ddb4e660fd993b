"""Towns as this machine sees them on a plane: its own, who came with an invite, what each is called, who is meant.

Invariant: what a town may do is read from acceptance's settlement, never from what the town says of itself. A name is
only a name: where two towns have the same, people have to say the key.
"""

from collections.abc import Collection, Iterable

from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import KEY_BEGINNING_CHARS, key_begins, key_text
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.charter import Admission, admission_draft
from moot_protocol.trust.genesis import PlaneKind
from moot_protocol.trust.towns import TownStanding
from mootd.engine.membership.charters import charters_of, members_of, proved_by, towns_of
from mootd.engine.state import State
from mootd.engine.stored import layout
from mootd.engine.stored.feeds import Source
from mootd.engine.stored.log import FeedRow, PlaneRow
from mootd.engine.unit import Unit
from mootd.store.port import Reader, Table


# -- This machine's town -----------------------------------------------------------------------------------------
def has_key_of(replica: State, plane: PlaneRow) -> bool:
    """Whether the key of the town that this replica belongs to on a plane is on this machine."""
    return plane.town in replica.own_towns()


def is_own(unit: Unit, plane: PlaneRow) -> bool:
    """Whether the key of the town that this replica belongs to on a plane is on this machine."""
    return has_key_of(unit.replica, plane)


def check_own(unit: Unit, plane: PlaneRow) -> None:
    """Refuse what only the town's own machine can do.

    Raises:
        RefusedError: `denied`.
    """
    if not is_own(unit, plane):
        raise RefusedError(
            f"the key of the town that plane {plane.name} belongs to {_how_it_lacks(unit.replica, [plane])}",
            code=Code.DENIED,
            hint=hint_of_key(unit.replica, [plane]),
        )


def _how_it_lacks(replica: State, planes: Iterable[PlaneRow]) -> str:
    is_copy = is_disowned(replica, planes)
    return "stays with the machine that this one is a copy of" if is_copy else "isn't on this machine"


def hint_of_key(replica: State, planes: Iterable[PlaneRow]) -> str:
    """Where what needs the key of these planes' town is to be done, on a machine that hasn't the use of that key."""
    if is_disowned(replica, planes):
        return "do this on the original; only if that is gone for good, `moot recover` makes a new key, here"
    return "do this on the machine where the town was founded"


def is_disowned(replica: State, planes: Iterable[PlaneRow]) -> bool:
    """Whether the key of these planes' town is here and another machine's to use, since this one is a copy of it.

    The plane that never leaves this machine doesn't count: what it is written under says nothing of a town.
    """
    disowned = replica.disowned_towns()
    return any(plane.kind != PlaneKind.OPERATIONAL and plane.town in disowned for plane in planes)


def keeps_shared(replica: State) -> bool:
    """Whether a key is this machine's to use on which a plane depends that others can have."""
    return any(plane.kind != PlaneKind.OPERATIONAL and has_key_of(replica, plane) for plane in replica.planes.values())


def home_of(planes: Iterable[PlaneRow]) -> bytes:
    """The town that a machine with these planes works in: of its first ledger, or of what it has; empty for none."""
    rows = sorted(planes, key=lambda plane: (plane.kind != PlaneKind.LEDGER, plane.number))
    return rows[0].town if rows else b""


def is_admin(source: Source, plane: PlaneRow) -> bool:
    """Whether the town that this replica belongs to is an admin of a plane, and not removed."""
    return _is_acting(source.feed(source.feed_number(plane.number, plane.town)))


def acting_admins(source: Source, plane: PlaneRow) -> list[bytes]:
    """The towns that are admins of a plane and can write, the shallowest first."""
    acting = [row.author for row in charters_of(source, plane) if _is_acting(row)]
    towns = towns_of(source, plane) if len(acting) > 1 else {}
    return sorted(acting, key=lambda town: (towns[town].depth if town in towns else 0, town))


def _is_acting(row: FeedRow) -> bool:
    return row.n > 0 and row.role == Role.ADMIN and not row.ended and not row.forked_at


# -- Others ------------------------------------------------------------------------------------------------------
def guests_of(source: Source, plane: PlaneRow, invite: bytes) -> list[bytes]:
    """The towns whose charter says that they came with an invite, and of which anything is accepted."""
    return sorted(row.author for row in charters_of(source, plane) if proved_by(source, plane, row.author) == invite)


def entrances_of(source: Source, plane: PlaneRow) -> dict[bytes, bytes]:
    """Replica → the key of the invite that it, or else its town, came with; nothing of those that came with none."""
    towns = {row.author: proved_by(source, plane, row.author) for row in charters_of(source, plane)}
    found = {}
    for member in members_of(source, plane):
        signer, town = member.certificate.signer, member.row.town
        found[member.row.author] = signer if signer != town else towns.get(town, b"")
    return {replica: invite for replica, invite in found.items() if invite}


def own_name(reader: Reader, town: bytes) -> str:
    """What a town was called on this machine: by its people, or by the ticket that spoke of it; or empty."""
    name = (reader.get(Table.META, layout.town_name_key(town)) or b"").decode()
    return "" if name == key_text(town) else name  # its key, noted for the name that it lacked


def keep_name(unit: Unit, town: bytes, name: str) -> None:
    """Remember what a town is called."""
    unit.transaction.put(Table.META, layout.town_name_key(town), name.encode())


def name_town(unit: Unit, plane: PlaneRow, name: str) -> None:
    """Say in this town's charter on a plane that it founded what it is called."""
    charter = unit.feed_number(plane.number, plane.town)
    unit.append(plane.number, admission_draft(plane.town, Admission(name, Role.ADMIN), ""), feed=charter)


def name_of(source: Source, plane: PlaneRow, town: bytes) -> str:
    """What a town is called on a plane; empty where nobody has said."""
    standing = towns_of(source, plane).get(town)
    return (standing.name if standing else "") or own_name(source.transaction, town)


def known_name(source: Source, planes: Iterable[PlaneRow], town: bytes) -> str:
    """What a town is called on this machine, else on the first of these planes where it has a name; or empty."""
    standings = (towns_of(source, plane).get(town) for plane in planes)
    return own_name(source.transaction, town) or next((each.name for each in standings if each and each.name), "")


def told_apart(name: str, town: bytes, others: Collection[bytes]) -> str:
    """A town's name, with as much of its key behind it as tells it from others of that name: `hill 4Fht`."""
    if not others:
        return name
    key, keys = key_text(town), [key_text(other) for other in others]
    chars = KEY_BEGINNING_CHARS
    while any(other.startswith(key[:chars]) for other in keys):
        chars += 1
    return f"{name} {key[:chars]}"


def is_called(town: bytes, names: Collection[str], typed: str) -> bool:
    """Whether a town that has these names is called so: by one, by its key, or by both as they are told apart."""
    name, _, beginning = typed.rpartition(" ")
    return typed == key_text(town) or typed in names or (name in names and key_begins(town, beginning))


def town_meant(source: Source, plane: PlaneRow, typed: str) -> TownStanding:
    """The town that is named: by its name, its key, the beginning of that, or both as they are told apart.

    Raises:
        RefusedError: `not_found` or `ambiguous`.
    """
    towns = [each for each in towns_of(source, plane).values() if each.role is not None]
    found = [
        each for each in towns if is_called(each.key, {each.name, own_name(source.transaction, each.key)} - {""}, typed)
    ]
    if not found:
        found = [each for each in towns if key_begins(each.key, typed)]
    if not found or not typed:
        raise RefusedError(
            f"there is no town {typed} on plane {plane.name}", code=Code.NOT_FOUND, hint="see `moot town list`"
        )
    if len(found) > 1:
        several = ", ".join(key_text(each.key)[:12] for each in found)
        raise RefusedError(
            f"{typed} may mean several towns: {several}",
            code=Code.AMBIGUOUS,
            hint="name it by its key instead",
            discreet=f"{typed} may mean several towns",
        )
    return found[0]
