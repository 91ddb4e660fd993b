"""Salvage: what this machine wrote and what doesn't count any more, written again under a new key.

Invariant: only events that were accepted here before they were cut are written again, once, in their order: of a forked
feed those are this machine's own, never the copy's. Only people can know that another history is this machine's as well
(an old copy of its data was put back); where they say so, what of it is nowhere else is written again once the feed has
ended, for until then it may yet be chosen. What both histories say is written once, event by event. What they
superseded they supersede again: a dot of a lost event stands for the event that was written in its place, other dots
stay as they are; and what was superseded already stays so (`superseded`). An event that is written again keeps its
salt, so that everybody knows it for the same write.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from moot_protocol.clock import is_ahead
from moot_protocol.errors import Code, RefusedError
from moot_protocol.log.batch import Batch
from moot_protocol.log.event import Dot, Draft, Event, Write
from moot_protocol.merge.kinds import CERTIFICATE
from mootd.engine.machine.home import is_copied
from mootd.engine.membership.former import note_shared
from mootd.engine.membership.rejoining import needs_town_key
from mootd.engine.membership.rotating import NewKey, can_certify, change_replica, leave, new_key, present_key
from mootd.engine.recovery.lost import is_lost, lost, note_written, own_feeds
from mootd.engine.recovery.superseded import FormerNames, Place, dot_of, supersede_again
from mootd.engine.state import REPLICA_KEY, no_town
from mootd.engine.stored import layout
from mootd.engine.stored.aside import uncounted
from mootd.engine.stored.log import FeedRow, PlaneRow
from mootd.engine.unit import Unit
from mootd.engine.views.restored import salt_of
from mootd.store.port import Table

SALVAGED: Final = "salvaged"
INVITE: Final = "invite"
ROTATE: Final = "rotate"


class SalvagedPlane(NamedTuple):
    """What became of a plane."""

    plane: PlaneRow
    state: str
    """`salvaged`, `invite` where this machine has to join again before it can write, `rotate` where its town needs a
    new key before that."""
    salvaged: int
    """Events that were written again."""
    skipped: int
    """Events whose values are missing or that belong to the old key alone."""


class Salvage(NamedTuple):
    """What came of it."""

    before: bytes
    replica: bytes
    planes: list[SalvagedPlane]


def salvage(
    unit: Unit, *, is_only: bool = False, is_copy: bool = False, takes_both: bool = False, resets_clock: bool = False
) -> Salvage:
    """Give this machine a new key if its own doesn't count any more, and write again what was lost.

    The old feed is left as it is: one machine of the town, and one only, ends it (`forks.settle_fork` where one of its
    histories is to count, else `removing.retire`). A copy that is known to be one leaves the town's key to its
    original. Where the machine's clock was ahead, what was written meanwhile stays in the old feed, and counts on other
    machines once it is due; times ascend along each feed alone, so that the new key's clock may begin anew.

    Args:
        unit: the unit.
        is_only: whether the data directory was moved, so that nobody else writes under its key: it is kept.
        is_copy: whether it is known to be a copy of one that is in use, though that wasn't noticed.
        takes_both: whether other histories of its old keys are its own as well: those of data that was replaced.
        resets_clock: whether this machine's clock was ahead and is right now.

    Raises:
        RefusedError: `conflict`: nothing is lost here; `not_ready`: there is nothing here yet.
    """
    unit.seal()
    replica = unit.replica
    planes = list(replica.planes.values())
    if not planes:
        raise no_town()
    copied = is_copy or is_copied(unit.transaction)
    unit.transaction.delete(Table.META, layout.COPIED)
    unit.is_original = is_only
    if copied and is_only:
        return Salvage(replica.id, replica.id, [])
    if resets_clock:
        _reset_clock(unit)
    is_broken = copied or resets_clock or any(_is_broken(_own_feed(unit, plane)) for plane in planes)
    if not is_broken and not any(is_lost(unit, plane, takes_both) or _is_shut(unit, plane) for plane in planes):
        if is_only and replica.is_moved:
            return Salvage(replica.id, replica.id, [])
        raise _nothing_lost(unit, planes)
    before = replica.id
    if copied or any(_is_broken(_own_feed(unit, plane)) for plane in planes):
        note_shared(unit)
    machine = new_key(unit, REPLICA_KEY) if is_broken else None
    _go_on(unit, planes, machine)
    if copied and replica.own_towns():
        unit.disown()
    now = machine.signer.public if machine else before
    return Salvage(before, now, [_salvage(unit, plane, now, takes_both) for plane in planes])


def _reset_clock(unit: Unit) -> None:
    if not is_ahead(unit.clock.last, unit.now_ms):
        raise RefusedError(
            "this replica's clock isn't ahead of the machine's clock, and so it can write",
            code=Code.CONFLICT,
            hint="see `moot status`",
        )
    unit.clock.last = 0


def _nothing_lost(unit: Unit, planes: list[PlaneRow]) -> RefusedError:
    others = sum(len(each.events) for plane in planes for each in lost(unit, plane, takes_both=True))
    if others:
        return RefusedError(
            "what counted here once counts, or was written again; but another history of an old key of this "
            f"machine's has {others} {'event that counts' if others == 1 else 'events that count'} nowhere",
            code=Code.CONFLICT,
            hint="if this machine wrote it, and an old copy of its data was put back since: `moot salvage --both`",
        )
    return RefusedError(
        "nothing is known to be lost: as far as this machine has heard, all that it wrote counts",
        code=Code.CONFLICT,
        hint="a second history under its key shows once it has come here: run `moot sync --wait`, then try again",
    )


def _own_feed(unit: Unit, plane: PlaneRow) -> FeedRow:
    return unit.feed(unit.feed_number(plane.number, unit.replica.id))


def _is_broken(row: FeedRow) -> bool:
    return bool(row.forked_at or row.ended)


def _is_shut(unit: Unit, plane: PlaneRow) -> bool:
    """Whether this machine's key has no feed on a plane, though it can certify it there: its town came back."""
    row = _own_feed(unit, plane)
    return not (row.n or row.is_aside) and can_certify(unit, unit.replica, plane)


def _go_on(unit: Unit, planes: list[PlaneRow], machine: NewKey | None) -> None:
    """Open feeds under the new key, or under the present one those that aren't open.

    Nothing is written into charters: a copy of this machine may just do the same.
    """
    for plane in planes:
        if machine is None and not _is_shut(unit, plane):
            continue
        if can_certify(unit, unit.replica, plane):
            key = machine or present_key(unit)
            change_replica(unit, plane, key, unit.replica.signer_of(plane.town), ends=False)
        else:
            leave(unit, plane)


def _salvage(unit: Unit, plane: PlaneRow, replica: bytes, takes_both: bool) -> SalvagedPlane:
    number = unit.feed_number(plane.number, replica)
    if not unit.feed(number).n or unit.feed(number).reason:
        is_out = not unit.is_disowned and needs_town_key(unit, unit.replica, plane)
        return SalvagedPlane(plane, ROTATE if is_out else INVITE, 0, 0)
    again: dict[Dot, Dot] = {}
    places: set[Place] = set()
    salvaged = skipped = 0
    for each in lost(unit, plane, takes_both):
        author = unit.feed(each.feed).author
        for event in (event for batch in each.batches for event in uncounted(unit.log, each.feed, batch)):
            stand_in = each.again.get(event.leaf)
            if stand_in is not None and stand_in.is_same:
                other = stand_in.stored
                again[dot_of(author, event)] = dot_of(unit.feed(other.feed).author, other.event)
        for batch, event in each.events:
            draft = _draft(batch, event, again)
            if draft is None:
                skipped += event.skeleton.kind != CERTIFICATE
                continue
            # With the salt by which every machine knows that it is the same write.
            written = unit.append(plane.number, draft, feed=number, salt=salt_of(event))
            again[dot_of(author, event)] = dot_of(replica, written)
            places.add(Place(draft.kind, draft.entity))
            salvaged += 1
    former = FormerNames(unit, plane, own_feeds(unit, plane), again)
    supersede_again(unit, plane, sorted(places), number, former)
    note_written(unit, plane)
    unit.seal()
    return SalvagedPlane(plane, SALVAGED, salvaged, skipped)


def _draft(batch: Batch, event: Event, again: dict[Dot, Dot]) -> Draft | None:
    """An event as it is to be written again, or None where it can't be."""
    values, skeleton = event.values(), event.skeleton
    if values is None or skeleton.kind == CERTIFICATE:
        return None
    authors = (batch.header.author, *batch.header.authors)
    writes = tuple(_writes(event, values, authors, again))
    return Draft(skeleton.kind, skeleton.entity, skeleton.actor, writes)


def _writes(event: Event, values: list[object], authors: tuple[bytes, ...], again: dict[Dot, Dot]) -> Iterator[Write]:
    waiting = iter(values)
    for change in event.skeleton.changes:
        dots = [Dot(authors[index], n, leaf8) for index, n, leaf8 in change.over]
        over = [again.get(dot, dot) for dot in dots]
        if change.removes:
            yield Write(change.key, removes=True, over=over)
        else:
            yield Write(change.key, next(waiting), over)
