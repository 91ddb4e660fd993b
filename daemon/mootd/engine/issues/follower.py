"""Bringing the copies of one share into step, inside a unit; the rules that hold here stand in `sharing.py`.

Invariant: an issue that can't be copied as it stands keeps no other one from being followed. It is noted with why on
this machine, and looked at again when it changes.
"""

from collections.abc import Sequence
from typing import Any, Final

from moot_protocol.beads.lines import TEXTS
from moot_protocol.beads.writes import grouped
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import ID_ENTROPY_BYTES, issue_id
from moot_protocol.issues import issue
from moot_protocol.issues.issue import facts
from moot_protocol.issues.redaction import projected
from moot_protocol.limits import ENTITY_BYTES
from moot_protocol.log.event import Write
from moot_protocol.merge.deletion import DELETED, deletion, is_deletion
from moot_protocol.merge.kinds import COPY, ISSUE, PROJECT
from moot_protocol.text import json_text
from mootd.engine.editor import Editor
from mootd.engine.issues.addressing import has_project
from mootd.engine.issues.copies import ACTOR, MARK, Copy, Followed, followed
from mootd.engine.issues.editor import IssueEditor
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
from mootd.engine.machine.uncopied import forget_all_uncopied, forget_uncopied, note_uncopied
from mootd.engine.membership.former import OwnFeeds, OwnTown
from mootd.engine.unit import Unit
from mootd.engine.views.record import Record

WITHDRAWN: Final = "no longer shared"
"""Why a copy was deleted that nothing lets out any more."""
_OF_AN_ISSUE: Final = frozenset({Code.INVALID, Code.LIMIT})
"""What copying is refused for because of what an issue says; all else keeps this machine from copying any."""


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
        """Bring the copy of one issue into step, make it, or let go of it; whether anything was written.

        Raises:
            RefusedError: it can't be copied as it stands, or this machine can't write now.
        """
        forget_uncopied(self._unit.transaction, self._shared.id, name)
        original = self._original(name)
        if original is None or not self._has_entry(original):
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

    def keep_home(self, name: str, refused: RefusedError) -> None:
        """Note why an issue couldn't be copied.

        Raises:
            RefusedError: the refusal, if it isn't the issue's: no other could be copied either.
        """
        if refused.code not in _OF_AN_ISSUE:
            raise refused
        note_uncopied(self._unit.transaction, self._shared.id, name, refused.message)

    def _has_entry(self, original: Original) -> bool:
        """Whether there can be an entry about an issue; where there can't, nothing of it ever goes.

        Raises:
            RefusedError: it is to go.
        """
        most = ENTITY_BYTES - len(entry_id(self._shared, "").encode())
        size = len(original.name.encode())
        if size > most and is_meant(self._shared, *original):
            raise RefusedError(f"its id has {size} bytes; what is shared has {most} at most", code=Code.LIMIT)
        return size <= most

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
        if held:
            try:
                with self._unit.savepoint():
                    return self._leave(original, copy, held)
            except RefusedError as refused:  # what this share let out mustn't stay for that
                Follower(self._unit, held[0]).keep_home(original.name, refused)
        self._withdraw(copy)
        return True

    def _leave(self, original: Original, copy: str, held: Sequence[Shared]) -> bool:
        """Leave a copy to the first of the shares that hold it; whether it was withdrawn, and made anew for them."""
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
        values = {field: "" if value is None else value for field, value in change.values.items()}
        if "status" in values:
            values["closed_at"] = self._unit.now_ms if values["status"] == issue.CLOSED else ""
        for label in change.add_labels:
            editor.add("labels", label)
        live = editor.elements("labels")
        for label in change.remove_labels:
            editor.remove("labels", [group for group, value in live if value == label])
        for each in change.comments:
            parts = [each.get(name) for name in ("author", "created_at", "id")]
            editor.add("comments", [each["text"], *parts, {}])
        alone = [Write(field, value) for field, value in values.items() if field in TEXTS]
        shorts = [Write(field, value) for field, value in values.items() if field not in TEXTS]
        for writes in grouped(shorts, alone, [], None) or [[]]:  # all that was imported may be more than an event holds
            for write in writes:
                editor.set(write.key, write.value)
            editor.save()

    def _withdraw(self, copy: str) -> None:
        editor = IssueEditor(self._unit, self._target.number, copy, ACTOR)
        if editor.record.groups and not facts(editor.entities.live(editor.record, texts=False)).is_deleted:
            editor.set(DELETED, deletion(ACTOR, WITHDRAWN, self._unit.now_ms))
            editor.save()

    def give_up_all(self) -> int:
        """Hold no copy any more; how many were deleted with that."""
        unit, shared = self._unit, self._shared
        forget_all_uncopied(unit.transaction, shared.id)
        copies = copies_of(unit.entities(), shared, self._is_noted).items()
        return sum(self._give_up(_entry(unit, shared, name), copy, self._original(name)) for name, copy in copies)


def _entry(unit: Unit, shared: Shared, name: str) -> Editor:
    """What a share notes of an issue: its copy."""
    return Editor(unit, shared.plane.number, COPY, entry_id(shared, name), ACTOR)


def follow_each(unit: Unit, due: Sequence[tuple[Follower, str]]) -> int:
    """Follow issues, so that one that can't be copied is noted and keeps no other from it; how many were written.

    All at once, and by halves only where something is refused: each savepoint costs a batch.

    Raises:
        RefusedError: this machine can't write now.
    """
    if not due:
        return 0
    try:
        with unit.savepoint():
            return sum(follower.follow(name) for follower, name in due)
    except RefusedError as refused:
        if len(due) == 1:
            ((follower, name),) = due
            follower.keep_home(name, refused)
            return 0
    middle = len(due) // 2
    return follow_each(unit, due[:middle]) + follow_each(unit, due[middle:])
