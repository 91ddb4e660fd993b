"""Recovery from the paper key: a plane's recovery key admits this machine's town and removes the founder.

Invariant: the recovery key signs inside one unit of work and is kept nowhere. It writes only behind what is held of its
own feed, which the caller has read from remotes before: two machines that recover at once would fork it, and above a
recovery key stands nobody who could settle that. All planes that name it are recovered together, for this machine
speaks under one key on all of them.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Final, NamedTuple

from moot_protocol.crypto import Signer
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.merge.kinds import GENESIS, Role
from moot_protocol.trust.charter import Admission, End, admission_draft, opening_value
from moot_protocol.trust.genesis import Genesis, decode_genesis
from moot_protocol.trust.towns import FOUNDER_DEPTH, TownReason
from mootd.engine.exchange.receive import resettle
from mootd.engine.membership.charter_writing import begin_charter
from mootd.engine.membership.charters import charters_of, claims_of, towns_of
from mootd.engine.membership.dropping import Loss, check_losses, loss_of, replicas_ended
from mootd.engine.membership.epochs import renew
from mootd.engine.membership.forks import Fork, branch_meant, forks_of
from mootd.engine.membership.removing import end_all
from mootd.engine.membership.rotating import NewKey, can_certify, change_replica, leave, new_key, open_as
from mootd.engine.membership.towns import keep_name, name_of
from mootd.engine.recovery.own_word import own_word
from mootd.engine.state import REPLICA_KEY, TOWN_KEY
from mootd.engine.stored import layout
from mootd.engine.stored.log import PlaneRow
from mootd.engine.unit import Unit
from mootd.store.port import Table

RECOVERY: Final = "recovery"
"""What the recovery key's charter calls itself."""


class Recovered(NamedTuple):
    """What came of a recovery."""

    town: bytes
    """The town that takes the founder's place."""
    removed: list[bytes]
    """The founder, and who else stood in its place on any of the planes."""
    recovery: bytes
    planes: list[PlaneRow]
    """All that name the recovery key, not only the one that was named."""
    epoch: bytes
    """The new epoch of the plane that was named; empty where it was never sealed."""
    dropped: list[Loss]
    """What ended machines had written that is nowhere else and counts no more."""
    lost_memories: int
    """How many memories were this machine's town's own word and aren't any more: a thief may have written them."""
    lost_documents: int
    """How many documents were in force and aren't any more."""


class _Successor(NamedTuple):
    """Who takes the founder's place."""

    town: Signer
    machine: NewKey | None
    """This machine's new key; None where it goes on under its own."""


def recover(
    unit: Unit, plane: PlaneRow, recovery: Signer, *, branches: Collection[str] = (), drops: bool = False
) -> Recovered:
    """Recover all planes whose recovery key this is.

    Args:
        unit: the unit.
        plane: a plane that must be among them.
        recovery: the recovery key.
        branches: histories of forked machines of the removed that are to count, by the beginnings of their names.
        drops: whether events of machines may go that are nowhere else (`dropping`).

    Raises:
        RefusedError: `not_ready`: the genesis hasn't come; `denied`: the plane names another recovery key; `conflict`:
            the recovery key's feed is forked, or the founder is removed already and nobody has taken its place, or
            events would be dropped: what goes of all planes is told at once.
    """
    unit.seal()
    genesis = genesis_of(unit, plane)
    if genesis is None:
        raise RefusedError(f"the charter of plane {plane.name} hasn't come yet", code=Code.NOT_READY, retryable=True)
    if genesis.recovery != recovery.public:
        raise RefusedError(
            f"these are not the recovery words of plane {plane.name}",
            code=Code.DENIED,
            hint="a plane has those of the town that founded it; `moot town list` shows which that is",
        )
    planes = [each for each in unit.replica.planes.values() if _names(unit, each, recovery.public)]
    for each in planes:
        _check(unit, each, recovery.public)
    successor = _successor(unit, plane, genesis.town)
    removed_of = {each.number: _to_be_removed(unit, each, successor) for each in planes}
    pins = {each.number: _pins(unit, each, removed_of[each.number], branches) for each in planes}
    found = (loss for each in planes for loss in _losses(unit, each, removed_of[each.number], pins[each.number]))
    losses = [loss for loss in found if loss is not None]
    if not drops:
        check_losses(losses, keeps="--branch NAME")
    _check_named({head for ends in pins.values() for head in (end.batch for end in ends.values())}, branches)
    before = own_word(unit, unit.replica.planes.values())
    unit.lend(recovery)
    done = {each.number: _recover(unit, each, recovery, successor, pins[each.number]) for each in planes}
    if successor.machine is not None:
        _go_on_elsewhere(unit, planes, successor.machine)
    removed = dict.fromkeys(town for towns, _ in done.values() for town in towns)
    after = own_word(unit, [unit.plane(number) for number in unit.replica.planes])
    epoch = done[plane.number][1]
    return Recovered(
        successor.town.public, list(removed), recovery.public, planes, epoch, losses, *before.lost_in(after)
    )


def _successor(unit: Unit, plane: PlaneRow, founder: bytes) -> _Successor:
    """Who takes the founder's place: another town that acts here under its own key, or this one under new keys.

    New ones where this machine works for the founder, or for whom the recovery key has put in its place before: what
    it has may be what was stolen. On a copy of another machine the town's key so far stays that one's, and only the new
    one is its own.
    """
    own = unit.replica.own_towns()
    standing = towns_of(unit, plane).get(plane.town)
    is_heir = founder in own or plane.town not in own or (standing is not None and standing.depth == FOUNDER_DEPTH)
    if not is_heir:
        return _Successor(unit.replica.signer_of(plane.town), None)
    if not unit.replica.keys.has(TOWN_KEY):
        unit.replica.keys.create(TOWN_KEY)
    town = unit.replica.signer(TOWN_KEY)
    if town.public in towns_of(unit, plane) or town.public not in unit.replica.own_towns():
        _keep_disowned(unit)
        town = new_key(unit, TOWN_KEY).signer
    return _Successor(town, new_key(unit, REPLICA_KEY))


def _keep_disowned(unit: Unit) -> None:
    """Note which keys of the town's are another machine's: from now on those are no longer all that are here."""
    if unit.replica.disowned:
        unit.transaction.put(Table.META, layout.DISOWNED, bytes([unit.replica.disowned]))


def genesis_of(unit: Unit, plane: PlaneRow) -> Genesis | None:
    """A plane's genesis, or None before it has come."""
    for charter in charters_of(unit, plane):
        first = unit.log.batch_holding(unit.feed_number(plane.number, charter.author), 1)
        opening = None if first is None else unit.log.event(first.arrival).event
        document = None if opening is None else opening_value(opening, GENESIS)
        if isinstance(document, bytes):
            return decode_genesis(document)
    return None


def _names(unit: Unit, plane: PlaneRow, recovery: bytes) -> bool:
    genesis = genesis_of(unit, plane)
    return genesis is not None and genesis.recovery == recovery


def _check(unit: Unit, plane: PlaneRow, recovery: bytes) -> None:
    row = unit.feed(unit.feed_number(plane.number, recovery))
    if row.forked_at:
        raise RefusedError(
            f"the recovery key has signed two histories of plane {plane.name}: nobody can settle that",
            code=Code.CONFLICT,
            hint="found a new plane, and bring what you need there (`moot export`, `moot import`)",
        )
    if row.is_aside:
        raise RefusedError(
            f"the recovery key has written on plane {plane.name} before, and not all of that has come",
            code=Code.NOT_READY,
            hint="run `moot sync --wait`, then try again",
            retryable=True,
        )


def _pins(unit: Unit, plane: PlaneRow, towns: Collection[bytes], branches: Collection[str]) -> dict[bytes, End]:
    """Where forked machines of the towns that are removed end, of which a history was named."""
    pins: dict[bytes, End] = {}
    for fork in forks_of(unit, plane):
        if fork.is_charter or fork.row.ended or fork.town not in towns:
            continue
        named = next((typed for typed in branches if _names_one(fork, typed)), None)
        if named is not None:
            head = branch_meant(fork, named).head
            pins[fork.row.author] = End(head.last, head.id, fork.town)
    return pins


def _losses(unit: Unit, plane: PlaneRow, towns: Collection[bytes], pins: Collection[bytes]) -> Iterator[Loss | None]:
    """What the end of the machines of the towns that are removed would drop; of their charters anything may go."""
    for town in towns:
        for author in replicas_ended(unit, plane, town):
            yield loss_of(unit, plane, author, is_chosen=author in pins)


def _names_one(fork: Fork, typed: str) -> bool:
    return any(branch.head.id.hex().startswith(typed) for branch in fork.branches)


def _check_named(heads: Collection[bytes], branches: Collection[str]) -> None:
    for typed in branches:
        if not any(head.hex().startswith(typed) for head in heads):
            raise RefusedError(
                f"no forked machine that this ends has a history {typed}",
                code=Code.NOT_FOUND,
                hint="see `moot fork list`",
            )


def _recover(
    unit: Unit, plane: PlaneRow, recovery: Signer, successor: _Successor, pins: Mapping[bytes, End]
) -> tuple[list[bytes], bytes]:
    """Recover one plane: the towns that it removes, and its new epoch, or nothing where it was never sealed."""
    removed = _to_be_removed(unit, plane, successor)
    named = name_of(unit, plane, plane.town)
    if named:
        keep_name(unit, successor.town.public, named)
    name = named or key_text(successor.town.public)
    charter = unit.feed_number(plane.number, recovery.public)
    if not unit.feed(charter).n:
        begin_charter(unit, plane.number, recovery.public, RECOVERY)
    admission = Admission(name, Role.ADMIN)
    unit.append(plane.number, admission_draft(successor.town.public, admission, ""), feed=charter)
    unit.seal()
    resettle(unit, plane.number, recovery.public)
    after = plane
    if successor.machine is not None:
        after = open_as(unit, plane, successor.town, name)
        change_replica(unit, after, successor.machine, successor.town)
    for town in _in_order(unit, plane, removed) if successor.machine is not None else removed:
        end_all(unit, plane, town, recovery.public, pins=pins)
    unit.seal()
    resettle(unit, plane.number, recovery.public)
    return removed, renew(unit, after)


def _in_order(unit: Unit, plane: PlaneRow, removed: Collection[bytes]) -> list[bytes]:
    """The towns to be removed, before them that in whose place the new key comes: so `recovered_of` knows it.

    It is ended once more where it was removed earlier, and where they would ascend: so earlier releases wrote them,
    whichever it was. A second end says what the first one did.
    """
    first = [plane.town] if plane.town in towns_of(unit, plane) else []
    order = [*first, *(town for town in removed if town != plane.town)]
    return [*order, *first] if order == sorted(order) and len(order) > 1 else order


def _to_be_removed(unit: Unit, plane: PlaneRow, successor: _Successor) -> list[bytes]:
    """The founder, whom the recovery key has put in its place before, and what this machine spoke for till now.

    Of the first two also the keys that they have taken since.
    """
    towns = towns_of(unit, plane)
    top = {key for key, town in towns.items() if town.depth == FOUNDER_DEPTH}
    own = {plane.town} if successor.machine is not None else set()
    taken = _taken(top, claims_of(unit, plane))  # a founder's, or a thief's who had a founder's key
    found = sorted(key for key in top | own | taken if key in towns and towns[key].reason is not TownReason.REMOVED)
    left = [key for key in found if key != successor.town.public]
    if not left:
        raise RefusedError(f"the founder of plane {plane.name} is removed already", code=Code.CONFLICT)
    return left


def _taken(keys: Collection[bytes], claims: Mapping[bytes, Collection[bytes]]) -> set[bytes]:
    """The keys that towns took one after the other instead of these."""
    found: set[bytes] = set()
    waiting = list(keys)
    for key in waiting:
        new = [heir for heir in claims.get(key, ()) if heir not in found]
        found.update(new)
        waiting += new
    return found


def _go_on_elsewhere(unit: Unit, recovered: list[PlaneRow], machine: NewKey) -> None:
    """Let this machine go on under its new key on the planes that were not recovered and where it can certify that."""
    numbers = {plane.number for plane in recovered}
    for plane in unit.replica.planes.values():
        if plane.number in numbers:
            continue
        if can_certify(unit, unit.replica, plane):
            change_replica(unit, plane, machine, unit.replica.signer_of(plane.town))
        else:
            leave(unit, plane)
