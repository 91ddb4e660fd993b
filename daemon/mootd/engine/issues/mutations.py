"""What each mutation of one issue does to the log. All checks come before the first event is appended."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import msgspec

from moot_protocol import ids, limits
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues import issue
from moot_protocol.issues.claim_lease import IN_PROGRESS
from moot_protocol.issues.claiming import check_beside_claim
from moot_protocol.issues.edge_types import BLOCKING, EXTERNAL, PARENT
from moot_protocol.issues.issue import Facts, facts
from moot_protocol.issues.issue_document import comment_document
from moot_protocol.merge.deletion import DELETED, deletion
from moot_protocol.merge.kinds import ISSUE
from moot_protocol.merge.register import Sibling
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.issues import AddComment, Close, Create, Delete, Edge, IssueFields, Reopen, Undelete, Update
from moot_protocol.requests.listing import IssueDoc
from mootd.engine.issues import checks, holding
from mootd.engine.issues.addressing import exactly, refuse_elsewhere, refuse_taken
from mootd.engine.issues.editor import IssueEditor
from mootd.engine.issues.finishing import Finished, finish
from mootd.engine.issues.origins import Origins
from mootd.engine.issues.reading import Issues
from mootd.engine.issues.trees import refuse_blockers_above, refuse_cycle, refuse_deadlock
from mootd.engine.issues.vocabulary import Vocabularies, Vocabulary
from mootd.engine.unit import Unit
from mootd.engine.views.record import Group, Record, groups_of, live_of

_OPEN: Final = "open"
UNCHANGED: Final = {"_unchanged": True}
"""Beside an answer: there was nothing to do, so that nobody is told of something done."""


class IssueWriter:
    """Mutations of the issues of one plane, inside a unit."""

    def __init__(self, unit: Unit, plane: int) -> None:
        self.unit = unit
        self.plane = plane

    # -- Common ground -------------------------------------------------------------------------------------------
    def issues(self) -> Issues:
        """The issues as this unit has left them so far."""
        self.unit.flush()
        return Issues(self.unit.entities(), self.plane)

    def find(self, typed: str, *, deleted: bool = False) -> tuple[str, int, Record, Facts]:
        """The issue to be changed; deleted ones are refused unless asked for."""
        name, eid, record = exactly(self.unit, self.plane, typed) or self.issues().find(typed)
        shown = facts(live_of(record, self.unit.author_of))
        if shown.is_deleted and not deleted:
            raise RefusedError(f"{name} is deleted", code=Code.NOT_FOUND, hint=f"`moot undelete {name}` brings it back")
        return name, eid, record, shown

    def target(self, typed: str) -> tuple[str, int, Record, Facts]:
        """The issue that a dependency is to lead to: one of this plane, and not deleted.

        Raises:
            RefusedError: `not_found` or `ambiguous`; `invalid` for an issue of another plane.
        """
        if exactly(self.unit, self.plane, typed) is None:
            try:
                self.issues().find(typed)
            except RefusedError as error:
                if error.code is Code.NOT_FOUND:
                    refuse_elsewhere(self.unit, self.plane, typed)
                raise
        return self.find(typed)

    def editor(self, name: str, request: Mutation[Any]) -> IssueEditor:
        """Begin a change of an issue."""
        return IssueEditor(self.unit, self.plane, name, request.actor)

    def answer(self, name: str) -> IssueDoc:
        """The issue's document after the change."""
        record = self.unit.record(self.plane, ISSUE, name)
        if record is None:
            raise RefusedError(f"no issue {name}", code=Code.NOT_FOUND)
        origins = Origins(self.unit.replica, self.unit.transaction)
        return Issues(self.unit.entities(), self.plane, origins=origins).document(record)

    def own(self, project: str) -> Vocabulary:
        """The statuses and types that a project has of its own."""
        self.unit.flush()
        return Vocabularies(self.unit.entities(), self.unit.replica.settings_plane).of(self.plane, project)

    # -- Create --------------------------------------------------------------------------------------------------
    def create(self, request: Create) -> IssueDoc:
        """Create an issue."""
        fields = _given(request.fields)
        checks.check_title(fields.get("title", ""))
        checks.check_fields(fields, lambda: self.own(request.project))
        for label in request.labels:
            checks.check_label(label)
        labels = dict.fromkeys(request.labels)
        edges = [self._target(edge) for edge in request.edges]
        if request.parent:
            parent, parent_eid, _, above = self.target(request.parent)
            edges.insert(0, (parent, parent_eid, Edge(parent, PARENT)))
            if request.inherit_labels:
                labels |= dict.fromkeys(above.labels)
        self._refuse_deadlock(request, edges)
        name = self._new_id(request)
        editor = self.editor(name, request)
        defaults = {"status": _OPEN, "priority": issue.DEFAULT_PRIORITY, "issue_type": issue.DEFAULT_TYPE}
        for key, value in (defaults | fields).items():
            editor.set(key, value)
        editor.set("project", request.project)
        editor.set("created_by", request.actor)
        if fields.get("status") == issue.CLOSED:
            editor.set("closed_at", self.unit.now_ms)
        for label in labels:
            editor.add("labels", label)
        for target, _, edge in edges:
            editor.add("edges", issue.new_edge(target, edge.type, edge.metadata))
        for key, value in request.metadata.items():
            editor.add("metadata", [key, checks.json_content(key, value)])
        editor.save()
        return self.answer(name)

    def _new_id(self, request: Create) -> str:
        if not request.id:
            return ids.issue_id(request.project, self.unit.replica.entropy.bytes(ids.ID_ENTROPY_BYTES))
        problem = ids.entity_problem(request.id)
        if problem or " " in request.id:
            raise RefusedError(f"{request.id!r} can't be an issue id: {problem or 'it has spaces'}")
        refuse_taken(self.unit, request.id)
        return request.id

    def _target(self, edge: Edge) -> tuple[str, int, Edge]:
        """(id, number, edge) of what an edge is to lead to; no number for something outside."""
        checks.check_edge(edge)
        name, eid = (edge.to, 0) if edge.to.startswith(EXTERNAL) else self.target(edge.to)[:2]
        return name, eid, edge

    def _refuse_deadlock(self, request: Create, edges: list[tuple[str, int, Edge]]) -> None:
        parents = [eid for _, eid, edge in edges if edge.type == PARENT]
        blockers = [eid for _, eid, edge in edges if edge.type in BLOCKING]
        if parents and blockers:
            refuse_blockers_above(self.issues(), request.id or "the new issue", parents, blockers)

    # -- Update --------------------------------------------------------------------------------------------------
    def update(self, request: Update) -> IssueDoc:
        """Change fields, labels, metadata and parent of an issue, claim it first if that is asked, or close it."""
        fields = _given(request.fields)
        name, eid, record, shown = self.find(request.id)
        if request.unless_closed:
            holding.check_open(name, shown)
        if "title" in fields:
            checks.check_title(fields["title"])
        checks.check_fields(fields, lambda: self.own(shown.project))
        fields |= self._claimed(request, fields, name, record, shown)
        if fields.get("status") == issue.DEFERRED and "defer_until" not in fields:
            fields |= self._without_end(shown)
        if fields.get("status") == issue.CLOSED and shown.status != issue.CLOSED:
            self._check_closable(name, eid, "`moot close` with --force")
        if request.append_notes:
            notes = fields.get("notes", self.issues().read(record).values.get("notes", ""))
            fields["notes"] = f"{notes}\n{request.append_notes}" if notes else request.append_notes
            checks.check_text("notes", fields["notes"], limits.TEXT_BYTES)
        editor = self.editor(name, request)
        stand_ins = self._stand_ins(record) if any(key in fields for key in issue.STOOD_FOR) else ()
        for key, value in fields.items():
            editor.set(key, value, anew=key in stand_ins)
        self._hold(editor, request, fields)
        self._times(editor, fields.get("status", shown.status), shown.status)
        self._labels(editor, request)
        for key, value in request.set_metadata.items():
            editor.set_entry("metadata", key, checks.json_content(key, value))
        for key in request.unset_metadata:
            editor.remove_entry("metadata", key)
        if request.parent is not None:
            self._reparent(editor, name, request.parent)
        written = editor.save()
        self._note(name, request, fields)
        closes = fields.get("status") == issue.CLOSED and shown.status != issue.CLOSED
        finished = finish(self, eid, request) if closes else []
        return self.answer(name) | _finished(finished) if written else self.answer(name) | UNCHANGED

    def _without_end(self, shown: Facts) -> dict[str, Any]:
        """What deferring without a time sets: a time that has passed would end it at once."""
        until_ms = shown.defer_until_ms
        return {"defer_until": ""} if until_ms is not None and until_ms <= self.unit.now_ms else {}

    def _claimed(
        self, request: Update, fields: Mapping[str, Any], name: str, record: Record, shown: Facts
    ) -> dict[str, Any]:
        """What a claim sets, if one is asked for and may be had beside these fields."""
        if request.ttl_ms:
            holding.check_ttl(request.ttl_ms)
        if not request.claim:
            return {}
        check_beside_claim(fields, request.actor)
        live = live_of(record, self.unit.author_of)
        return holding.check_claim(name, shown, live, request.actor, self.unit.now_ms)

    def _stand_ins(self, record: Record) -> Collection[str]:
        """Fields whose value stands for another that a file had: who says the same value means it."""
        if next(iter(groups_of(record, "extra")), None) is None:
            return ()
        return set(issue.STOOD_FOR).intersection(self.issues().read(record).extra)

    def _hold(self, editor: IssueEditor, request: Update, fields: dict[str, Any]) -> None:
        """Begin or end a claim, if this does."""
        if request.claim:
            holding.hold(editor, request.actor, request.ttl_ms, self.unit.now_ms)
        elif "assignee" in fields or fields.get("status", IN_PROGRESS) != IN_PROGRESS:
            holding.let_go(editor)

    def _note(self, name: str, request: Update, fields: dict[str, Any]) -> None:
        """Note what became of the actor's claim; only once it is written, since a refusal leaves nothing behind."""
        if request.claim:
            holding.note_claim(self.unit, self.plane, name, request.actor)
        elif fields.get("assignee", request.actor) != request.actor:
            holding.forget_claim(self.unit, self.plane, name, request.actor)

    def _times(self, editor: IssueEditor, status: str, before: str) -> None:
        if status == before:
            return
        if status == issue.CLOSED:
            editor.set("closed_at", self.unit.now_ms)
        if status == IN_PROGRESS and not any(editor.elements("started_at")):
            editor.set("started_at", self.unit.now_ms)

    @staticmethod
    def _labels(editor: IssueEditor, request: Update) -> None:
        live = [(group, value) for group, value in editor.elements("labels") if isinstance(value, str)]
        have = {value for _, value in live}
        add, remove = set(request.add_labels), set(request.remove_labels)
        if request.set_labels is not None:
            wanted = set(request.set_labels)
            add, remove = add | wanted - have, remove | have - wanted
        for label in sorted(add - have):
            checks.check_label(label)
            editor.add("labels", label)
        groups: dict[str, list[Group]] = {}
        for group, value in live:
            groups.setdefault(value, []).append(group)
        for label in sorted(remove & have):
            editor.remove("labels", groups[label])

    def _reparent(self, editor: IssueEditor, name: str, typed: str) -> None:
        parents = [(group, value) for group, value in editor.elements("edges") if _edge_type(value) == PARENT]
        parent, parent_eid = self.target(typed)[:2] if typed else ("", 0)
        if parent == name:
            raise RefusedError("an issue can't be its own parent", code=Code.CONFLICT)
        if [value[0] for _, value in parents] == ([parent] if parent else []):
            return
        if parent:
            issues, eid = self.issues(), self.find(name)[1]
            refuse_deadlock(issues, eid, parent_eid, PARENT)
            refuse_cycle(issues, eid, parent_eid)
        for group, _ in parents:
            editor.remove("edges", [group])
        if parent:
            editor.add("edges", issue.new_edge(parent, PARENT))

    # -- Close and reopen ----------------------------------------------------------------------------------------
    def close(self, request: Close) -> IssueDoc:
        """Close an issue and say what became ready by it."""
        name, eid, _, shown = self.find(request.id)
        if shown.status == issue.CLOSED:
            return self.answer(name) | {"_unblocked": []} | UNCHANGED
        if not request.force:
            self._check_closable(name, eid, "add --force")
        unblocked = self.write_closing(name, request, request.reason, request.session)
        finished = finish(self, eid, request, request.session)
        freed = {*unblocked, *(other for each in finished for other in each.unblocked)}
        names = map(self.issues().entities.name, freed - {eid, *(each.eid for each in finished)})
        return self.answer(name) | {"_unblocked": sorted(filter(None, names))} | _finished(finished)

    def write_closing(self, name: str, request: Mutation[Any], reason: str, session: str) -> list[int]:
        """Close an issue without further questions.

        Args:
            name: its id.
            request: who closes it.
            reason: why.
            session: the agent's session that does.

        Returns:
            The numbers of the issues that this unblocked; it may be among them.
        """
        editor = self.editor(name, request)
        editor.set("status", issue.CLOSED)
        editor.set("closed_at", self.unit.now_ms)
        editor.set("close_reason", reason)
        editor.set("closed_by_session", session)
        holding.let_go(editor)
        editor.save()
        holding.forget_claim(self.unit, self.plane, name, request.actor)
        self.unit.flush()
        return self.unit.views.graph.unblocked

    def _check_closable(self, name: str, eid: int, otherwise: str) -> None:
        """Refuse to close what something open blocks.

        Args:
            name: the issue's id.
            eid: its number.
            otherwise: how to close it all the same, for the hint.

        Raises:
            RefusedError: `conflict`.
        """
        issues = self.issues()
        if issues.standing(eid).blockers:
            raise RefusedError(
                f"{name} is blocked by open issues: {', '.join(issues.open_blockers(eid, BLOCKING))}",
                code=Code.CONFLICT,
                hint=f"close those first, or {otherwise}",
                discreet=f"{name} is blocked by open issues; close those first, or {otherwise}",
            )

    def reopen(self, request: Reopen) -> IssueDoc:
        """Open a closed issue again."""
        name, _, _, shown = self.find(request.id)
        if shown.status != issue.CLOSED:
            return self.answer(name) | UNCHANGED
        editor = self.editor(name, request)
        editor.set("status", _OPEN)
        editor.set("close_reason", "")
        if request.reason:
            checks.check_text("reason", request.reason, limits.TEXT_BYTES)
            editor.add("comments", issue.new_comment(f"Reopened: {request.reason}"))
        editor.save()
        return self.answer(name)

    # -- Delete and undelete -------------------------------------------------------------------------------------
    def delete(self, request: Delete) -> IssueDoc:
        """Delete an issue; its record stays."""
        name, _, _, shown = self.find(request.id, deleted=True)
        if shown.is_deleted:
            return self.answer(name) | UNCHANGED
        checks.check_text("reason", request.reason, limits.KIB)
        editor = self.editor(name, request)
        editor.set(DELETED, deletion(request.actor, request.reason, self.unit.now_ms))
        editor.save()
        return self.answer(name)

    def undelete(self, request: Undelete) -> IssueDoc:
        """Bring a deleted issue back; an imported tombstone gets its type back and is open."""
        name, _, record, shown = self.find(request.id, deleted=True)
        if not shown.is_deleted:
            return self.answer(name) | UNCHANGED
        editor = self.editor(name, request)
        tombstone = self.issues().read(record).deleted or {}
        editor.set(DELETED, "")
        if shown.status == issue.TOMBSTONE:
            editor.set("status", _OPEN)
        if tombstone.get("original_type", shown.issue_type) != shown.issue_type:
            editor.set("issue_type", tombstone["original_type"])
        editor.save()
        return self.answer(name)

    # -- Comments ------------------------------------------------------------------------------------------------
    def add_comment(self, request: AddComment) -> dict[str, Any]:
        """Comment on an issue."""
        name, _, _, _ = self.find(request.id)
        if not request.text.strip():
            raise RefusedError("a comment can't be empty")
        checks.check_text("comment", request.text, limits.TEXT_BYTES)
        return self.write_comment(self.editor(name, request), name, issue.new_comment(request.text))

    def write_comment(self, editor: IssueEditor, name: str, element: list[Any]) -> dict[str, Any]:
        """Add a comment to an issue being changed, and write that.

        The answer is made from what was written: beside it imported comments may have any id, or none.

        Args:
            editor: the issue's, with nothing else collected.
            name: the issue's id.
            element: as `issue.py` tells it.

        Returns:
            The comment's document.
        """
        editor.add("comments", element)
        event = editor.save()[0]
        author = self.unit.author_of(self.unit.replica.own_feed(self.plane))
        written = Sibling(element, event.skeleton.hlc, author, event.n, event.skeleton.actor)
        (comment,) = issue.read_comments([written])
        return comment_document(name, comment)


def _given(fields: IssueFields) -> dict[str, Any]:
    return {name: value for name in fields.__struct_fields__ if (value := getattr(fields, name)) is not msgspec.UNSET}


def _finished(closed: Sequence[Finished]) -> dict[str, Any]:
    """What is told beside an answer of the molecules that were closed with it, if any."""
    return {"_finished": [each.id for each in closed]} if closed else {}


def _edge_type(value: Any) -> Any:
    return value[1] if isinstance(value, list) and len(value) > 1 else None
