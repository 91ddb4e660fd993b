"""Shares: issues of one plane copied onto another, and the copies following.

What is shared stands in the log of the source's plane (kinds `share` and `copy`), so that every machine of the town
knows it and any of them can take over; only the machine that a share names as its follower writes to the copies, also
where it has another key by now: it takes over what it followed under one that counts no more.
Invariants: nothing reaches the other plane but what the share's rule lets through, under an actor's name that tells
nothing; and nothing is ever written back. A copy says only which share made it, by a random name.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import Enum, auto
from typing import Any, Final

from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import ID_CHARS, ID_ENTROPY_BYTES, base32, check_prefix, issue_id
from moot_protocol.issues import issue
from moot_protocol.issues.issue import facts
from moot_protocol.issues.redaction import projected, read_rule
from moot_protocol.limits import SHARE_COPIES
from moot_protocol.merge.deletion import DELETED, deletion, is_deletion
from moot_protocol.merge.kinds import COPY, ISSUE, PROJECT, SHARE, Role
from moot_protocol.requests.shares import FollowShare, Share, Unshare
from moot_protocol.text import json_text
from mootd.engine.editor import Editor
from mootd.engine.issues.addressing import has_project, plane_of, plane_of_project
from mootd.engine.issues.copies import ACTOR, MARK, Copy, Followed, followed
from mootd.engine.issues.editor import IssueEditor
from mootd.engine.issues.mutations import IssueWriter
from mootd.engine.issues.reading import Issues
from mootd.engine.issues.shares import (
    Entries,
    Original,
    Shared,
    copies_of,
    copy_in,
    entry_id,
    is_meant,
    own_part,
    shares_of,
)
from mootd.engine.membership.former import OwnFeeds, OwnTown, former_replicas, is_over
from mootd.engine.planes import issue_plane_meant, issue_planes, labels_of
from mootd.engine.state import State
from mootd.engine.stored import layout
from mootd.engine.stored.feeds import Source
from mootd.engine.stored.log import PlaneRow
from mootd.engine.unit import Unit
from mootd.engine.views.record import Record
from mootd.store.port import Table

DEFAULT_PREFIX: Final = "shared"
WITHDRAWN: Final = "no longer shared"
"""Why a copy was deleted that nothing lets out any more."""


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
class Follower:
    """Lets the copies of one share follow, inside a unit."""

    def __init__(self, unit: Unit, shared: Shared) -> None:
        self._unit = unit
        self._shared = shared
        target = next((row for row in unit.replica.planes.values() if row.id == shared.to), None)
        if target is None:
            raise RefusedError("the plane that it is shared to isn't here", code=Code.NOT_FOUND)
        self._target = target
        self._own = OwnTown(unit.transaction, target)
        self._is_noted = OwnFeeds(unit.transaction, unit.replica, unit.feed)
        alike = shares_of(unit.entities(), [shared.plane], self._is_noted)
        self._others = [each for each in alike if each.to == shared.to and each.id != shared.id]

    def follow(self, name: str) -> bool:
        """Bring the copy of one issue into step, make it, or let go of it; whether anything was written."""
        original = self._original(name)
        if original is None:
            return False
        entry = _entry(self._unit, self._shared, name)
        own = own_part(entry.record, self._is_noted)
        siblings = entry.entities.elements(own, "issue") if own is not None else []
        copies = [value for _, value in siblings if isinstance(value, str) and value]
        copy = copy_in(entry.entities, own) if own is not None else ""
        for doubled in set(copies) - {copy}:  # two machines made one at the same time
            if not self._entries.holders(original, doubled):
                self._withdraw(doubled)
        if not is_meant(self._shared, *original):
            if copy:
                self._give_up(entry, copy, original)
            return bool(copy)
        if copy and not self._is_withdrawn(copy):
            return self._lead(original, copy)
        held = self._held(original)
        entry.set("issue", held or self._make(projected(self._shared.rule, original.document)))
        entry.save()
        if held:
            self._lead(original, held)
        return True

    def _original(self, name: str) -> Original | None:
        unit, plane = self._unit, self._shared.plane.number
        record = unit.record(plane, ISSUE, name)
        if record is None:
            return None
        project = facts(unit.entities().live(record, texts=False)).project
        return Original(name, project, Issues(unit.entities(), plane).document(record))

    # -- Copies that several shares hold -------------------------------------------------------------------------
    @property
    def _entries(self) -> Entries:
        plane = self._shared.plane.number
        return Entries(
            self._unit.entities(),
            [*self._others, self._shared],
            lambda name: own_part(self._unit.record(plane, COPY, name), self._is_noted),
        )

    def _holders(self, original: Original, copy: str) -> list[Shared]:
        """The shares that hold a copy; without looking where this one is alone."""
        return self._entries.holders(original, copy) if self._others else [self._shared]

    def _lead(self, original: Original, copy: str) -> bool:
        """Bring a copy into step, where it follows by this share's rule; whether anything was written."""
        return self._holders(original, copy)[0].id == self._shared.id and self._bring_into_step(copy, original)

    def _held(self, original: Original) -> str:
        """The copy that another share has made, if one stands; else nothing."""
        standing = self._entries.standing(original) if self._others else []
        return next((copy for _, copy in standing if not self._is_withdrawn(copy)), "")

    def _give_up(self, entry: Editor, copy: str, original: Original | None) -> bool:
        """Hold a copy no more; whether it was deleted with that."""
        entry.set("issue", "")
        entry.save()
        if original is not None:
            return self._let_go(original, copy)
        self._withdraw(copy)
        return True

    def _let_go(self, original: Original, copy: str) -> bool:
        """Leave a copy to the next share that holds it, or withdraw it; whether it was withdrawn."""
        held = self._entries.holders(original, copy)
        if not held:
            self._withdraw(copy)
            return True
        heir = Follower(self._unit, held[0])
        if "comments" not in self._shared.rule.fields or heir._shared.rule == self._shared.rule:
            heir._bring_into_step(copy, original)
            return False
        self._withdraw(copy)  # comments that only this rule let out couldn't be taken out of it
        made = heir._make(projected(heir._shared.rule, original.document))
        for each in held:
            entry = _entry(self._unit, each, original.name)
            entry.set("issue", made)
            entry.save()
        return True

    def _is_withdrawn(self, copy: str) -> bool:
        """Whether this town has withdrawn a copy: of another's deletion nothing more is said."""
        record = self._unit.record(self._target.number, ISSUE, copy)
        if record is None:
            return False
        deleted = self._unit.entities().live(record, texts=False).get(DELETED, [])
        own = [each for each in deleted if self._is_own(self._unit.feed_number(self._target.number, each.author))]
        return any(is_deletion(each.value) and list(each.value[:2]) == [ACTOR, WITHDRAWN] for each in own)

    def _make(self, wanted: dict[str, Any]) -> str:
        unit, target, prefix = self._unit, self._target.number, self._shared.prefix
        if not has_project(unit, target, prefix):
            project = Editor(unit, target, PROJECT, prefix, ACTOR)
            project.set("title", prefix)
            project.save()
        name = issue_id(prefix, unit.replica.entropy.bytes(ID_ENTROPY_BYTES))
        editor = IssueEditor(unit, target, name, ACTOR)
        editor.set("project", prefix)
        editor.add("metadata", [MARK, json_text.to_text(self._shared.id)])
        self._write(editor, followed(Copy.empty(self._shared.rule.fields), wanted))
        return name

    def _bring_into_step(self, copy: str, original: Original) -> bool:
        record = self._unit.record(self._target.number, ISSUE, copy)
        if record is None:
            return False
        if self._others and not self._is_sealed(record):
            self._unit.seal()  # what another share has just taken out of it is read from its batch
        change = self._entries.change_of(self._shared, original, record, self._is_own)
        if change.is_empty:
            return False
        self._write(IssueEditor(self._unit, self._target.number, copy, ACTOR), change)
        return True

    def _is_sealed(self, record: Record) -> bool:
        last = next(iter(self._unit.log.history(record.head)), None)
        return last is None or self._unit.log.batch_holding(last.feed, last.event.n) is not None

    def _is_own(self, feed: int) -> bool:
        town = self._unit.feed(feed).town
        return town in self._own or town in self._unit.replica.own_towns()

    def _write(self, editor: IssueEditor, change: Followed) -> None:
        for field, value in change.values.items():
            editor.set(field, "" if value is None else value)
        if "status" in change.values:
            editor.set("closed_at", self._unit.now_ms if change.values["status"] == issue.CLOSED else "")
        for label in change.add_labels:
            editor.add("labels", label)
        live = editor.elements("labels")
        for label in change.remove_labels:
            editor.remove("labels", [group for group, value in live if value == label])
        for each in change.comments:
            parts = [each.get(name) for name in ("author", "created_at", "id")]
            editor.add("comments", [each["text"], *parts, {}])
        editor.save()

    def _withdraw(self, copy: str) -> None:
        editor = IssueEditor(self._unit, self._target.number, copy, ACTOR)
        if editor.record.groups and not facts(editor.entities.live(editor.record, texts=False)).is_deleted:
            editor.set(DELETED, deletion(ACTOR, WITHDRAWN, self._unit.now_ms))
            editor.save()

    def give_up_all(self) -> int:
        """Hold no copy any more; how many were deleted with that."""
        unit, shared = self._unit, self._shared
        copies = copies_of(unit.entities(), shared, self._is_noted).items()
        return sum(self._give_up(_entry(unit, shared, name), copy, self._original(name)) for name, copy in copies)


def _entry(unit: Unit, shared: Shared, name: str) -> Editor:
    """What a share notes of an issue: its copy."""
    return Editor(unit, shared.plane.number, COPY, entry_id(shared, name), ACTOR)


def sources(unit: Unit, shared: Shared) -> list[str]:
    """The ids of all issues that belong to a share now, or have a copy of it."""
    unit.flush()
    entities = unit.entities()
    issues = Issues(entities, shared.plane.number)
    if shared.what == "issue":
        return [shared.value]
    found = set(copies_of(entities, shared, OwnFeeds(unit.transaction, unit.replica, unit.feed)))
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
    for shared in list(_own_shares(unit)):
        part = part_in(unit, unit.replica, shared)
        if part is Part.TAKES_OVER:
            written += _take_over(unit, shared, ACTOR)[1]
        elif part is Part.FOLLOWS and _is_writable(unit, unit.replica, shared):
            follower = Follower(unit, shared)
            written += sum(follower.follow(name) for name in changed(shared))
    return written


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
    follower = Follower(unit, made)
    if not sum(follower.follow(source) for source in begun) and made.what == "issue":
        raise RefusedError("it can't be shared: it is a copy itself, is deleted, or has a label that keeps it here")
    if unit.transaction.get(Table.META, layout.FOLLOWED) is None:
        note_followed(unit, unit.arrival - 1)
    return made


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
    written = sum(follower.follow(source) for source in sources(unit, taken))
    if unit.transaction.get(Table.META, layout.FOLLOWED) is None:
        note_followed(unit, unit.arrival - 1)
    return taken, written


# -- How far the log has been followed ------------------------------------------------------------------------------
def note_followed(unit: Unit, arrival: int) -> None:
    """Note up to which arrival number this machine has followed its sources. Bookkeeping of this machine."""
    unit.transaction.put(Table.META, layout.FOLLOWED, arrival.to_bytes(8, "big"))
