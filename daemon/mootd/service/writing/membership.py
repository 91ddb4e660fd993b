"""Requests that change who may read and write on planes: what each does inside a unit."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.ids import KEY_BEGINNING_CHARS, entity_problem, key_begins, key_text
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.base import Request
from moot_protocol.requests.exchange import Join
from moot_protocol.requests.membership import (
    CreateTown,
    InviteTown,
    Recover,
    RemoveTown,
    RetireReplica,
    RotatePlaneKey,
    RotateTownKey,
    Salvage,
    SettleFork,
)
from moot_protocol.trust.genesis import PlaneKind
from moot_protocol.trust.towns import FOUNDER_DEPTH
from mootd.edges.recovery import new_recovery_seed, recovery_seed, recovery_words
from mootd.engine.machine.home import is_copied
from mootd.engine.membership.charter_writing import found_town
from mootd.engine.membership.charters import members_of, towns_of
from mootd.engine.membership.dropping import Loss
from mootd.engine.membership.epochs import (
    awaits_room,
    begin_epoch,
    check_admin,
    crowd_told,
    recipients_of,
    way_out_of,
)
from mootd.engine.membership.forks import branch_meant, forks_of, settle_fork
from mootd.engine.membership.inviting import invite_town, open_plane
from mootd.engine.membership.removing import check_removals, check_retirements, remove_town, retire
from mootd.engine.membership.rotating import rotate_town
from mootd.engine.membership.towns import (
    check_own,
    home_of,
    is_own,
    keep_name,
    keeps_shared,
    known_name,
    name_town,
    own_name,
    town_meant,
)
from mootd.engine.planes import labels_of, plane_called, planes_here
from mootd.engine.state import REPLICA_KEY, TOWN_KEY, no_town
from mootd.engine.stored.log import PlaneRow
from mootd.engine.unit import Unit
from mootd.service.reading.forks import fork_meant
from mootd.service.writing.exchange import invited

M = TypeVar("M")


# -- Towns -------------------------------------------------------------------------------------------------------
def _create_town(unit: Unit, request: CreateTown) -> dict[str, Any]:
    problem = entity_problem(request.name)
    if problem:
        raise RefusedError(f"{request.name!r} can't name a town: {problem}")
    if planes_here(unit):
        return _name_own_town(unit, request.name)
    replica = unit.replica
    seed = new_recovery_seed(replica.entropy)
    found_town(unit, SeedSigner(seed).public)
    town = replica.signer(TOWN_KEY).public
    keep_name(unit, town, request.name)
    for plane in unit.new_planes:
        name_town(unit, plane, request.name)
    return {
        "created": True,
        "name": request.name,
        "town": key_text(town),
        "replica": key_text(replica.signer(REPLICA_KEY).public),
        "planes": [{"name": plane.name, "plane": plane.id.hex()} for plane in unit.new_planes],
        "recovery_words": recovery_words(seed),
    }


def _name_own_town(unit: Unit, name: str) -> dict[str, Any]:
    """Name the town that is here and has no name, on the planes that it founded; those that it joins later follow."""
    planes = planes_here(unit)
    home = home_of(planes)
    ours = [(plane, towns_of(unit, plane)[home]) for plane in planes if home in towns_of(unit, plane)]
    called = known_name(unit, planes, home)
    if called:
        raise RefusedError(
            f"there is a town on this machine already, and it is called {called}",
            code=Code.EXISTS,
            hint="`moot town show` shows it",
        )
    for plane in planes:
        if plane.town == home:
            check_own(unit, plane)
    keep_name(unit, home, name)
    founded = [plane for plane, standing in ours if standing.depth == FOUNDER_DEPTH]
    for plane in founded:
        name_town(unit, plane, name)
    return {
        "created": False,
        "name": name,
        "town": key_text(home),
        "replica": key_text(unit.replica.signer(REPLICA_KEY).public),
        "planes": [{"name": plane.name, "plane": plane.id.hex()} for plane in founded],
        "recovery_words": "",
    }


def _invite_town(unit: Unit, request: InviteTown) -> dict[str, Any]:
    plane = plane_called(unit, request.plane)
    if request.role not in list(Role):
        raise RefusedError(f"{request.role!r} is no role; there are {', '.join(Role)}")
    role = Role(request.role)
    return invited(unit, plane, request, lambda *rest: invite_town(unit, plane, role, *rest))


def _rotate_town_key(unit: Unit, request: RotateTownKey) -> dict[str, Any]:
    del request
    rotated = rotate_town(unit)
    return {
        "before": key_text(rotated.before),
        "town": key_text(rotated.town),
        "replica": key_text(rotated.replica),
        "planes": [{"plane": each.plane.name, "state": each.state, "detail": each.detail} for each in rotated.planes],
    }


# -- Members -----------------------------------------------------------------------------------------------------
def _meant_planes(unit: Unit, typed: str) -> list[PlaneRow]:
    """The plane that is named, or all that can be shared."""
    if typed:
        return [plane_called(unit, typed)]
    return [plane for plane in planes_here(unit) if plane.kind != PlaneKind.OPERATIONAL]


def _on_planes(unit: Unit, typed: str, what: str, meant: Callable[[PlaneRow], M]) -> list[tuple[PlaneRow, M]]:
    """The planes that are named, with what is meant there; where none was named, those that know nothing of it aside.

    Args:
        unit: the unit.
        typed: the plane that was named, or empty.
        what: what is looked for, in words.
        meant: what is meant on a plane.

    Raises:
        RefusedError: `not_found`, where nothing is anywhere; `not_ready`, where there is no town; else what `meant`
            raises.
    """
    unit.seal()
    planes = _meant_planes(unit, typed)
    if not planes:
        raise no_town()
    unknown: MootError | None = None
    found: list[tuple[PlaneRow, M]] = []
    for plane in planes:
        try:
            found.append((plane, meant(plane)))
        except RefusedError as error:
            if error.code is not Code.NOT_FOUND:
                raise
            unknown = error
    if not found and len(planes) > 1:
        hint = "" if unknown is None else unknown.hint
        raise RefusedError(f"there is no {what} on any plane here", code=Code.NOT_FOUND, hint=hint)
    if unknown is not None and not found:
        raise unknown
    return found


def _remove_town(unit: Unit, request: RemoveTown) -> dict[str, Any]:
    found = _on_planes(unit, request.plane, f"town {request.town}", lambda plane: town_meant(unit, plane, request.town))
    keys = {town.key for _, town in found}
    if len(keys) > 1:
        raise RefusedError(
            f"{request.town} is another town on each plane", code=Code.AMBIGUOUS, hint="name it by its key, or --plane"
        )
    if not request.plane and len(found) > 1:  # where it was removed before it isn't meant
        found = [(plane, town) for plane, town in found if not town.ended] or found[:1]
    check_removals(unit, found, drops=request.drop)
    planes: list[dict[str, Any]] = []
    losses: list[Loss] = []
    for plane, town in found:
        removed = remove_town(unit, plane, town, drops=True)  # what goes of all planes was told before
        replicas = [key_text(replica) for replica in removed.replicas]
        planes.append({"plane": plane.name, "replicas": replicas, "events": removed.events})
        planes[-1] |= _epoch(unit, plane, removed.epoch)
        losses += removed.dropped
    town = found[0][1]
    name = town.name or own_name(unit.transaction, town.key)
    names = {plane.number: plane.name for plane, _ in found}
    return {"town": key_text(town.key), "name": name, "planes": planes, "dropped": _dropped(losses, names)}


def _dropped(losses: Iterable[Loss], names: Mapping[int, str]) -> list[dict[str, Any]]:
    """What ended feeds had written that is nowhere else and counts no more; with the names of planes by number."""
    return [
        {
            "plane": names[loss.plane.number],
            "replica": key_text(loss.row.author),
            "branches": [{"branch": each.head.hex(), "events": len(each.events)} for each in loss.histories],
            "waiting": loss.waiting,
        }
        for loss in losses
    ]


def _retire_replica(unit: Unit, request: RetireReplica) -> dict[str, Any]:
    found = _on_planes(
        unit, request.plane, f"replica {request.replica}", lambda plane: _replica_meant(unit, plane, request.replica)
    )
    keys = {replica for _, replica in found}
    if len(keys) > 1:
        raise RefusedError(f"several replicas begin with {request.replica}", code=Code.AMBIGUOUS, hint="say more of it")
    own = [(plane, replica) for plane, replica in found if is_own(unit, plane)] or found
    check_retirements(unit, own, drops=request.drop)
    planes = []
    for plane, replica in own:
        retired = retire(unit, plane, replica, drops=True)  # what goes of all planes was told before
        same_ticket = [key_text(each) for each in retired.same_ticket]
        planes.append({"plane": plane.name, "n": retired.n, "same_ticket": same_ticket})
        planes[-1] |= _epoch(unit, plane, retired.epoch)
    return {"replica": key_text(keys.pop()), "planes": planes}


def _epoch(unit: Unit, plane: PlaneRow, epoch: bytes) -> dict[str, str]:
    """The epoch that follows an end, and why there is none where this machine should have begun it."""
    crowd = None if epoch else awaits_room(unit, plane)
    no_epoch = "" if crowd is None else f"{crowd_told(plane, crowd)}; {way_out_of(plane, crowd)}"
    return {"epoch": epoch.hex(), "no_epoch": no_epoch}


def _replica_meant(unit: Unit, plane: PlaneRow, typed: str) -> bytes:
    found = [member.row for member in members_of(unit, plane) if key_begins(member.row.author, typed)]
    if len(found) > 1:
        raise RefusedError(f"several replicas begin with {typed}", code=Code.AMBIGUOUS, hint="say more of its key")
    if not found:
        raise RefusedError(
            f"no replica of plane {plane.name} begins with {typed}",
            code=Code.NOT_FOUND,
            hint=f"`moot replica list` shows their keys; {KEY_BEGINNING_CHARS} characters of one are the least",
        )
    if found[0].town != plane.town and found[0].ended:
        raise RefusedError(
            f"{key_text(found[0].author)} is removed from plane {plane.name} already: nothing is left to be done there",
            code=Code.CONFLICT,
        )
    if found[0].town != plane.town:
        raise RefusedError(
            f"{typed} is a machine of another town",
            code=Code.DENIED,
            hint="its own town retires it; `moot member remove` removes the town",
        )
    return found[0].author


def _settle_fork(unit: Unit, request: SettleFork) -> dict[str, Any]:
    unit.seal()
    planes = _meant_planes(unit, request.plane)
    plane, fork = fork_meant([(plane, fork) for plane in planes for fork in forks_of(unit, plane)], request.author)
    branch = branch_meant(fork, request.branch)
    without = {_author_meant(unit, plane, typed) for typed in request.without}
    settled = settle_fork(unit, plane, fork, branch, without, drops=request.drop)
    return {
        "plane": plane.name,
        "author": key_text(fork.row.author),
        "kind": "charter" if fork.is_charter else "replica",
        "branch": branch.head.id.hex(),
        "n": settled.n,
        "replicas": [key_text(replica) for replica in settled.replicas],
        **_epoch(unit, plane, settled.epoch),
        "dropped": settled.dropped,
    }


def _author_meant(unit: Unit, plane: PlaneRow, typed: str) -> bytes:
    """An author of whom anything is held, whether it counts or not."""
    found = [key for key in unit.authors(plane.number) if key_begins(key, typed)]
    if len(found) != 1:
        code = Code.AMBIGUOUS if found else Code.NOT_FOUND
        raise RefusedError(f"{typed} is the beginning of {len(found)} keys on plane {plane.name}", code=code)
    return found[0]


def _rotate_plane_key(unit: Unit, request: RotatePlaneKey) -> dict[str, Any]:
    plane = plane_called(unit, request.plane)
    check_admin(unit, plane)
    epoch = begin_epoch(unit, plane, open_plane(unit, plane))
    return {"plane": plane.name, "epoch": epoch.hex(), "recipients": len(recipients_of(unit, plane))}


# -- When things have gone wrong ---------------------------------------------------------------------------------
def _recover(unit: Unit, request: Recover) -> dict[str, Any]:
    plane = plane_called(unit, request.plane)
    words = SeedSigner(recovery_seed(request.words))
    from mootd.engine.recovery.recovering import recover  # noqa: PLC0415 - hardly any daemon ever does that

    done = recover(unit, plane, words, branches=request.branches, drops=request.drop)
    labels = labels_of(list(unit.replica.planes.values()))
    return {
        "plane": labels[plane.number],
        "planes": [labels[each.number] for each in done.planes],
        "town": key_text(done.town),
        "removed": [key_text(town) for town in done.removed],
        "recovery": key_text(done.recovery),
        **_epoch(unit, unit.plane(plane.number), done.epoch),
        "dropped": _dropped(done.dropped, labels),
        "lost_memories": done.lost_memories,
        "lost_documents": done.lost_documents,
    }


def _salvage(unit: Unit, request: Salvage) -> dict[str, Any]:
    from mootd.engine.recovery.salvaging import salvage  # noqa: PLC0415 - hardly any daemon ever does that

    copied, keeps = is_copied(unit.transaction), keeps_shared(unit.replica)
    done = salvage(
        unit, is_only=request.moved, is_copy=request.copied, takes_both=request.both, resets_clock=request.clock
    )
    return {
        "before": key_text(done.before),
        "replica": key_text(done.replica),
        "forked": any(_is_forked(unit, each.plane, done.before) for each in done.planes),
        "copied": copied,
        "disowned": unit.is_disowned and keeps,
        "planes": [
            {"plane": each.plane.name, "state": each.state, "salvaged": each.salvaged, "skipped": each.skipped}
            for each in done.planes
        ],
    }


def _is_forked(unit: Unit, plane: PlaneRow, replica: bytes) -> bool:
    """Whether a replica's feed has two histories, and no end yet that says which of them counts."""
    row = unit.feed(unit.feed_number(plane.number, replica))
    return bool(row.forked_at) and not row.ended


MEMBERSHIP_WRITES: Final[dict[type[Request[Any]], Callable[[Unit, Any], Any]]] = {
    CreateTown: _create_town,
    InviteTown: _invite_town,
    RotateTownKey: _rotate_town_key,
    RemoveTown: _remove_town,
    RetireReplica: _retire_replica,
    SettleFork: _settle_fork,
    RotatePlaneKey: _rotate_plane_key,
    Recover: _recover,
    Salvage: _salvage,
}
"""What each of these requests does to the log."""
SECRET: Final = frozenset({CreateTown, InviteTown, Recover})
"""Requests that hold or answer secrets: nothing of them is kept for whoever asks again."""
NEW_IDENTITY: Final = frozenset({RotateTownKey, Salvage, Recover, Join})
"""Requests after which this machine is, or may be, another replica: whatever exchanges planes has to begin anew."""
