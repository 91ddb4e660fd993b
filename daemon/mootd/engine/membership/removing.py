"""Ending members of a plane: a machine of one's own town, or another town with all its machines.

Invariant: an author ends at what is accepted of it here, so that nothing that others have seen is taken back by whoever
had not; and where this machine may, a new epoch begins in the same commit: what is written after the end is sealed for
those who remain. An end never waits for that: where too many remain for one epoch, nothing is sealed until it is begun.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.trust.charter import Admission, End, admission_draft
from moot_protocol.trust.towns import TownStanding
from mootd.engine.exchange.receive import resettle
from mootd.engine.membership.charter_writing import append_end, end_replica, write_end
from mootd.engine.membership.charters import invites_of, members_of, towns_of
from mootd.engine.membership.dropping import Loss, check_losses, loss_of, replicas_ended
from mootd.engine.membership.epochs import check_admin, renew
from mootd.engine.membership.inviting import close_invite, users_of
from mootd.engine.membership.towns import check_own
from mootd.engine.stored.log import FeedRow, PlaneRow
from mootd.engine.unit import Unit


class Removed(NamedTuple):
    """What a removal came to."""

    replicas: list[bytes]
    """The town's replicas that were ended."""
    events: int
    """How many events of theirs stay."""
    epoch: bytes
    """The new epoch's 8 bytes; empty where there was none before, or too many remain for one."""
    dropped: list[Loss]
    """What its machines had written that is nowhere else and counts no more."""


class Retired(NamedTuple):
    """What the end of a machine came to."""

    n: int
    """The last of its events that counts."""
    epoch: bytes
    """The new epoch's 8 bytes; empty where this machine may begin none, there was none before, or too many remain."""
    same_ticket: list[bytes]
    """The town's other machines that came with the same invite and count: whoever has a ticket can let in more."""


def retire(unit: Unit, plane: PlaneRow, author: bytes, *, drops: bool = False) -> Retired:
    """End a machine of this town at what is accepted of it here.

    Args:
        unit: the unit.
        plane: the plane.
        author: the machine's key.
        drops: whether events may go with that which are nowhere else (`dropping`).

    Raises:
        RefusedError: as `check_retirements`.
    """
    check_retirements(unit, [(plane, author)], drops=drops)
    invite = shut_entrance(unit, plane, author)
    n = _feed(unit, plane, author).n
    end_replica(unit, plane.number, author, n)
    same_ticket = _came_with(unit, plane, invite) if invite else []
    return Retired(n, renew(unit, plane), same_ticket)


def check_retirements(unit: Unit, meant: Sequence[tuple[PlaneRow, bytes]], *, drops: bool) -> None:
    """Refuse to retire a machine on planes where this one may not, or where events would be dropped unasked.

    Raises:
        RefusedError: `denied`: the town's key isn't here; `conflict`: it is this machine, or was ended already, or
            events would be dropped: what goes of all planes is told at once.
    """
    for plane, author in meant:
        _check_may_retire(unit, plane, author)
    if not drops:
        check_losses(loss_of(unit, plane, author) for plane, author in meant)


def _check_may_retire(unit: Unit, plane: PlaneRow, author: bytes) -> None:
    check_own(unit, plane)
    unit.seal()
    if author == unit.replica.id:
        raise RefusedError(
            "this machine can't retire itself", code=Code.CONFLICT, hint="`moot town rotate-key` gives it a new key"
        )
    if _feed(unit, plane, author).ended:
        raise RefusedError(f"{key_text(author)} is retired already", code=Code.CONFLICT)


def shut_entrance(unit: Unit, plane: PlaneRow, author: bytes) -> bytes:
    """Close the invite that a machine of this town came with, if it is open; its key, empty for none.

    Everybody that it let in counts as before; what it is wrapped for next, its seed must not open.
    """
    invite = _entrance(unit, plane, author)
    invitation = invites_of(unit, plane).get(invite)
    if invitation is not None and invitation.counting is None:
        close_invite(unit, plane, invite, None)
    return invite if invitation is not None else b""


def _entrance(unit: Unit, plane: PlaneRow, author: bytes) -> bytes:
    """Who let a machine in: the invite that it came with, and so has the seed of, or its town's key."""
    return next((each.certificate.signer for each in members_of(unit, plane) if each.row.author == author), b"")


def _came_with(unit: Unit, plane: PlaneRow, invite: bytes) -> list[bytes]:
    """The machines that came with an invite and aren't ended."""
    rows = (unit.feed(unit.feed_number(plane.number, author)) for author in users_of(unit, plane, invite))
    return [row.author for row in rows if not row.ended]


def remove_town(unit: Unit, plane: PlaneRow, town: TownStanding, *, drops: bool = False) -> Removed:
    """Remove a town: end its charter and each of its replicas at what is accepted of them here.

    Args:
        unit: the unit.
        plane: the plane.
        town: the town.
        drops: whether events may go with that which are nowhere else (`dropping`).

    Raises:
        RefusedError: as `check_removals`.
    """
    check_removals(unit, [(plane, town)], drops=drops)
    losses = [loss for loss in _losses(unit, plane, town) if loss is not None]
    for key, (_, counting) in invites_of(unit, plane).items():
        if counting is None and town.key in users_of(unit, plane, key):
            close_invite(unit, plane, key, None)
    rows = end_all(unit, plane, town.key, plane.town)
    unit.seal()
    resettle(unit, plane.number, plane.town)
    return Removed([row.author for row in rows], sum(row.n for row in rows), renew(unit, plane), losses)


def check_removals(unit: Unit, meant: Sequence[tuple[PlaneRow, TownStanding]], *, drops: bool) -> None:
    """Refuse to remove a town from planes where this one may not, or where events would be dropped unasked.

    Raises:
        RefusedError: `denied`: this town isn't an admin that is shallower, or its key isn't here; `conflict`: it is
            this town, or was removed already, or events would be dropped: what goes of all planes is told at once.
    """
    for plane, town in meant:
        _check_may_remove(unit, plane, town)
    if not drops:
        check_losses(loss for plane, town in meant for loss in _losses(unit, plane, town))


def _losses(unit: Unit, plane: PlaneRow, town: TownStanding) -> Iterator[Loss | None]:
    """What the end of a town's machines and of its charter would drop."""
    for author in (*replicas_ended(unit, plane, town.key), town.key):
        yield loss_of(unit, plane, author)


def _check_may_remove(unit: Unit, plane: PlaneRow, town: TownStanding) -> None:
    check_admin(unit, plane)
    if town.key == plane.town:
        raise RefusedError(
            "a town can't remove itself",
            code=Code.CONFLICT,
            hint="`moot town rotate-key` gives it a new key; an admin's town above it can remove it",
        )
    if town.ended:
        raise RefusedError(f"{key_text(town.key)} is removed already", code=Code.CONFLICT)
    own = towns_of(unit, plane)[plane.town]
    if own.depth >= town.depth:
        raise RefusedError(
            f"only a town of less depth than {town.depth} can remove it, and this one has {own.depth}",
            code=Code.DENIED,
            hint="peers can't remove one another: ask whoever admitted it, or use `moot recover` against a founder",
        )


def end_all(
    unit: Unit,
    plane: PlaneRow,
    town: bytes,
    charter: bytes,
    end: End | None = None,
    without: Collection[bytes] = (),
    *,
    pins: Mapping[bytes, End] = MappingProxyType({}),
) -> list[FeedRow]:
    """Write into a charter that another town's replicas and charter end as they stand here; its replicas' rows.

    Args:
        unit: the unit.
        plane: the plane.
        town: the town that is removed.
        charter: the town key whose charter says so.
        end: where the town's charter ends; at what is accepted of it here where left out.
        without: replicas of it that are not listed, of which nothing counts from then on.
        pins: replica of it → where it ends, if elsewhere than at what is accepted of it here.

    A removal voids what a deeper town has admitted, and all that it wrote with that. So the charter that removes a town
    which somebody deeper let in lets it in first: what counted up to its end counts on.
    """
    standing = towns_of(unit, plane)[town]
    if standing.role is not None and standing.admitter not in {b"", charter}:
        admission = Admission(standing.name or key_text(town), standing.role)
        draft = admission_draft(town, admission, "")
        unit.append(plane.number, draft, feed=unit.feed_number(plane.number, charter))
    # Those that ended before, too: what a remover doesn't list ends at nothing.
    rows = [member.row for member in members_of(unit, plane) if member.row.town == town]
    rows = [row for row in rows if row.author not in without]
    for row in rows:
        if row.author in pins:
            append_end(unit, plane, row.author, pins[row.author], charter)
        else:
            write_end(unit, plane, row.author, row.n, town, charter)
    if end is None:
        write_end(unit, plane, town, _feed(unit, plane, town).n, town, charter)
    else:
        append_end(unit, plane, town, end, charter)
    return rows


def _feed(unit: Unit, plane: PlaneRow, author: bytes) -> FeedRow:
    return unit.feed(unit.feed_number(plane.number, author))
