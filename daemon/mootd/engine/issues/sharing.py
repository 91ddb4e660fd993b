"""Shares: issues of one plane copied onto another, and the copies following.

What is shared stands in the log of the source's plane (kinds `share` and `copy`), so that every machine of the town
knows it and any of them can take over; only the machine that a share names as its follower writes to the copies, also
where it has another key by now: it takes over what it followed under one that counts no more.
Invariants: nothing reaches the other plane but what the share's rule lets through, under an actor's name that tells
nothing; and nothing is ever written back. A copy says only which share made it, by a random name.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import Enum, auto
from typing import Final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import ID_CHARS, ID_ENTROPY_BYTES, base32, check_prefix
from moot_protocol.issues.issue import facts
from moot_protocol.issues.redaction import read_rule
from moot_protocol.limits import SHARE_COPIES
from moot_protocol.merge.kinds import ISSUE, SHARE, Role
from moot_protocol.requests.shares import FollowShare, Share, Unshare
from mootd.engine.editor import Editor
from mootd.engine.issues.addressing import has_project, plane_of, plane_of_project
from mootd.engine.issues.copies import ACTOR
from mootd.engine.issues.follower import Follower, follow_each
from mootd.engine.issues.mutations import IssueWriter
from mootd.engine.issues.reading import Issues
from mootd.engine.issues.shares import Shared, copies_of, is_meant, shares_of
from mootd.engine.machine.uncopied import uncopied
from mootd.engine.membership.former import OwnFeeds, OwnTown, former_replicas, is_over
from mootd.engine.planes import issue_plane_meant, issue_planes, labels_of
from mootd.engine.state import State
from mootd.engine.stored import layout
from mootd.engine.stored.feeds import Source
from mootd.engine.stored.log import PlaneRow
from mootd.engine.unit import Unit
from mootd.store.port import Table

DEFAULT_PREFIX: Final = "shared"


class Part(Enum):
    """What this machine has to do with a share."""

    NONE = auto()
    """It has ended, or another machine follows."""
    FOLLOWS = auto()
    TAKES_OVER = auto()
    """It followed under a key that counts no more, and can go on under its present one."""
    ORPHANED = auto()
    """Whoever followed can write no more, and somebody has to say who follows now."""


# -- Following ---------------------------------------------------------------------------------------------------
def sources(unit: Unit, shared: Shared) -> list[str]:
    """The ids of all issues that belong to a share now, have a copy of it, or couldn't be copied."""
    unit.flush()
    entities = unit.entities()
    issues = Issues(entities, shared.plane.number)
    if shared.what == "issue":
        return [shared.value]
    found = set(copies_of(entities, shared, OwnFeeds(unit.transaction, unit.replica, unit.feed)))
    found.update(uncopied(unit.transaction, shared.id))
    prefix = layout.id_key(shared.plane.number, ISSUE, "")
    for eid in [value for _, value in entities.reader.scan(entities.views.ids, prefix, layout.after(prefix))]:
        record = entities.record(int.from_bytes(eid, "big"))
        if record is not None and record.groups:
            project = facts(entities.live(record, texts=False)).project
            if is_meant(shared, record.entity, project, issues.document(record, texts=False)):
                found.add(record.entity)
    return sorted(found)


def follow(unit: Unit, changed: Callable[[Shared], Iterable[str]]) -> int:
    """Let the copies of every share that this machine follows come into step; how many were written.

    Args:
        unit: the transaction.
        changed: the issues of a share that are to be looked at.
    """
    written = 0
    due: list[tuple[Follower, str]] = []
    for shared in list(_own_shares(unit)):
        part = part_in(unit, unit.replica, shared)
        if part is Part.TAKES_OVER:
            written += _take_over(unit, shared, ACTOR)[1]
        elif part is Part.FOLLOWS and _is_writable(unit, unit.replica, shared):
            follower = Follower(unit, shared)
            due += [(follower, name) for name in changed(shared)]
    return written + follow_each(unit, due)


def part_in(source: Source, replica: State, shared: Shared) -> Part:
    """What this machine has to do with a share."""
    if shared.ended:
        return Part.NONE
    if shared.follower == replica.id:
        return Part.FOLLOWS
    planes = [row for row in replica.planes.values() if row.id in {shared.plane.id, shared.to}]
    over = [row for row in planes if is_over(source.feed(source.feed_number(row.number, shared.follower)))]
    towns = [source.feed(source.feed_number(row.number, shared.follower)).town for row in over]
    if not over or towns[0] not in OwnTown(source.transaction, over[0]):
        return Part.NONE  # another town's, which that one has to see to
    is_former = shared.follower in former_replicas(source, replica, over[0])
    return Part.TAKES_OVER if is_former and _is_writable(source, replica, shared) else Part.ORPHANED


def _is_writable(source: Source, replica: State, shared: Shared) -> bool:
    """Whether this machine can write now, to the plane of a share's copies and to that which tells of them."""
    number = next((row.number for row in replica.planes.values() if row.id == shared.to), None)
    if number is None or source.transaction.get(Table.META, layout.COPIED) is not None:
        return False
    return all(_may_write(source, replica, plane) for plane in (number, shared.plane.number))


def _may_write(source: Source, replica: State, plane: int) -> bool:
    if not _is_let_in(source, replica, plane):
        return False
    row = source.feed(source.feed_number(plane, replica.id))
    return not (row.reason or row.forked_at)


def _is_let_in(source: Source, replica: State, plane: int) -> bool:
    """Whether this machine has a writer's part in a plane."""
    if replica.is_waiting(plane):
        return False
    row = source.feed(source.feed_number(plane, replica.id))
    return row.role != Role.READER and not row.ended


# -- Requests ----------------------------------------------------------------------------------------------------
def share(unit: Unit, request: Share) -> Shared:
    """Begin to share."""
    plane, what = _sources_meant(unit, request)
    if not request.to:
        raise _not_said_where(unit, plane)
    target = issue_plane_meant(unit.replica.planes, request.to)
    if target.number == plane.number:
        raise RefusedError("it stands on that plane already", hint="name another plane with --to")
    rule = read_rule(request.redact, request.fields)
    for each in _standing(unit):
        if (each.plane, each.what, each.value, each.project, each.to) == (plane, *what, target.id):
            raise RefusedError(
                f"it is shared there already, as {each.id}", code=Code.EXISTS, hint="see `moot share list`"
            )
    name = base32(unit.replica.entropy.bytes(ID_ENTROPY_BYTES), ID_CHARS)
    prefix = check_prefix(request.prefix or _prefix_on(unit, target))
    plane_of_project(unit, prefix, target.id.hex())  # no other plane here may have it
    made = Shared(plane, name, *what, target.id, rule, prefix, unit.replica.id, False)
    if not _is_let_in(unit, unit.replica, target.number):  # what else keeps it from writing is told where it writes
        raise RefusedError(f"this machine may not write on plane {target.name}", code=Code.DENIED)
    begun = sources(unit, made)
    if len(begun) > SHARE_COPIES:
        raise RefusedError(
            f"{len(begun)} issues at once; at most {SHARE_COPIES}", code=Code.LIMIT, hint="share a label"
        )
    editor = Editor(unit, plane.number, SHARE, name, request.actor)
    values = {"what": list(what), "to": target.id, "rule": rule.text, "prefix": prefix, "follower": unit.replica.id}
    for key, value in values.items():
        editor.set(key, value)
    editor.save()
    _begin(unit, made, begun)
    if unit.transaction.get(Table.META, layout.FOLLOWED) is None:
        note_followed(unit, unit.arrival - 1)
    return made


def _begin(unit: Unit, made: Shared, begun: Iterable[str]) -> None:
    follower = Follower(unit, made)
    if made.what != "issue":
        follow_each(unit, [(follower, source) for source in begun])
    elif not follower.follow(made.value):
        raise RefusedError("it can't be shared: it is a copy itself, is deleted, or has a label that keeps it here")


def _not_said_where(unit: Unit, source: PlaneRow) -> RefusedError:
    rows = issue_planes(unit.replica.planes)
    named = ", ".join(label for number, label in labels_of(rows).items() if number != source.number)
    hint = f"planes here: {named}" if named else "there is no other plane here: see `moot help plane create`"
    return RefusedError("share to which plane? name it with --to", code=Code.USAGE, hint=hint)


def _sources_meant(unit: Unit, request: Share | Unshare) -> tuple[PlaneRow, tuple[str, str, str]]:
    """(plane, (what, value, project)) of what a request names."""
    if request.id and not request.label and not request.project:
        writer = IssueWriter(unit, plane_of(unit, request))
        return unit.plane(writer.plane), ("issue", writer.find(request.id, deleted=True)[0], "")
    if request.id or not (request.label or request.project):
        raise RefusedError("share what?", code=Code.USAGE, hint="name an issue, or --label, or --project")
    number = plane_of_project(unit, request.project, "") if request.project else unit.replica.ledger.number
    what = ("label", request.label, request.project) if request.label else ("project", request.project, "")
    return unit.plane(number), what


def _prefix_on(unit: Unit, target: PlaneRow) -> str:
    projects = [name for plane, name in unit.replica.projects if plane == target.number and name]
    held = [name for name in projects if has_project(unit, target.number, name)]
    return held[0] if len(held) == 1 else DEFAULT_PREFIX


def _standing(unit: Unit) -> Iterator[Shared]:
    unit.flush()
    return (each for each in _own_shares(unit) if not each.ended)


def _own_shares(unit: Unit) -> Iterator[Shared]:
    own = OwnFeeds(unit.transaction, unit.replica, unit.feed)
    return shares_of(unit.entities(), issue_planes(unit.replica.planes), own)


def unshare(unit: Unit, request: Unshare) -> tuple[Shared, int]:
    """End a share; (the share, how many copies were withdrawn)."""
    standing = list(_standing(unit))
    meant = [each for each in standing if each.id == request.id] if request.id else []
    if not meant:
        plane, what = _sources_meant(unit, request)
        meant = [each for each in standing if (each.plane, each.what, each.value, each.project) == (plane, *what)]
    if request.to:
        target = issue_plane_meant(unit.replica.planes, request.to)
        meant = [each for each in meant if each.to == target.id]
    if not meant:
        raise RefusedError("nothing is shared so", code=Code.NOT_FOUND, hint="`moot share list` shows what is shared")
    if len(meant) > 1:
        hint = "name its plane with --to; `moot share list` shows them"
        raise RefusedError(f"it is shared {len(meant)} times", code=Code.AMBIGUOUS, hint=hint)
    shared = meant[0]
    withdrawn = Follower(unit, shared).give_up_all()
    editor = Editor(unit, shared.plane.number, SHARE, shared.id, request.actor)
    editor.set("ended", True)
    editor.save()
    return shared._replace(ended=True), withdrawn


def follow_share(unit: Unit, request: FollowShare) -> Shared:
    """Follow from now on, and bring all copies into step."""
    shared = next((each for each in _standing(unit) if each.id == request.share), None)
    if shared is None:
        raise RefusedError(f"there is no share {request.share}", code=Code.NOT_FOUND, hint="see `moot share list`")
    return _take_over(unit, shared, request.actor)[0]


def _take_over(unit: Unit, shared: Shared, actor: str) -> tuple[Shared, int]:
    """Follow a share from now on, whatever was missed meanwhile; (the share, how many copies were written)."""
    editor = Editor(unit, shared.plane.number, SHARE, shared.id, actor)
    editor.set("follower", unit.replica.id)
    editor.save()
    taken = shared._replace(follower=unit.replica.id)
    follower = Follower(unit, taken)
    written = follow_each(unit, [(follower, source) for source in sources(unit, taken)])
    if unit.transaction.get(Table.META, layout.FOLLOWED) is None:
        note_followed(unit, unit.arrival - 1)
    return taken, written


# -- How far the log has been followed ------------------------------------------------------------------------------
def note_followed(unit: Unit, arrival: int) -> None:
    """Note up to which arrival number this machine has followed its sources. Bookkeeping of this machine."""
    unit.transaction.put(Table.META, layout.FOLLOWED, arrival.to_bytes(8, "big"))
