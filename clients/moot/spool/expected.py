"""What a command that was queued will answer if nothing comes in between: for its document, never for its word.

The daemon's answer is what counts; it may refuse, and it knows what the snapshot doesn't. So what is guessed here is
marked `_queued` with the command's id wherever it can be.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec

from moot_protocol.issues.claim_lease import IN_PROGRESS
from moot_protocol.issues.issue import CLOSED, DEFAULT_STATUS
from moot_protocol.requests.actions import SetState
from moot_protocol.requests.base import Mutation, Request
from moot_protocol.requests.claims import Heartbeat, Unclaim, WriteHandoff
from moot_protocol.requests.gates import GATE, Await, CreateGate
from moot_protocol.requests.issues import (
    AddComment,
    AddEdge,
    Close,
    Create,
    Delete,
    IssueFields,
    RemoveEdge,
    Reopen,
    Resolve,
    Script,
    Undelete,
    Update,
)
from moot_protocol.requests.listing import IssueDoc
from moot_protocol.requests.memories import Forget, Remember
from moot_protocol.spool.files import METHODS
from moot_protocol.times import format_ms

_NEVER: Final = "9999"
"""Sorts behind every time."""
_DEFAULTS: Final[IssueDoc] = {"title": "", "status": "open", "priority": 2, "issue_type": "task"}


class Expectation:
    """Answers to expect of commands that were queued.

    Args:
        known: an issue by what was typed for it, as the snapshot has it, or None.
        now_ms: the wall clock.
        command: the command's id, for people.
    """

    def __init__(self, known: Callable[[str], IssueDoc | None], now_ms: int, command: str) -> None:
        self._known = known
        self._now = format_ms(now_ms)
        self._command = command
        self._made: list[Any] = []

    def of(self, request: Mutation[Any]) -> Any:
        """What a request will answer."""
        if isinstance(request, Script):
            for step in steps_of(request):
                self._made.append(self._of(step))
            return self._made
        return self._of(request)

    def _of(self, request: Request[Any]) -> Any:
        answered: Any = _ANSWERS[type(request)](self, request)
        return answered

    def issue(self, typed: str, **changed: Any) -> IssueDoc:
        """An issue as it will be."""
        return self._as_it_is(typed) | {"updated_at": self._now} | changed | {"_queued": self._command}

    def left_alone(self, typed: str) -> IssueDoc:
        """An issue that won't be changed, as far as is known here."""
        return self._as_it_is(typed) | {"_queued": self._command}

    def _as_it_is(self, typed: str) -> IssueDoc:
        known = self._made_before(typed) or self._known(typed)
        if known is None:
            known = {"id": typed, **_DEFAULTS, "created_at": self._now, "updated_at": self._now}
        return {name: value for name, value in known.items() if name not in {"dependents", "_short"}}

    def _made_before(self, typed: str) -> IssueDoc | None:
        """The issue that an earlier step of the script answers, for `$1` and so on; None where it answers none."""
        if not (typed.startswith("$") and typed[1:].isdecimal() and 1 <= int(typed[1:]) <= len(self._made)):
            return None
        made: IssueDoc | list[Any] = self._made[int(typed[1:]) - 1]
        return made if isinstance(made, dict) and "id" in made else None

    def name(self, typed: str) -> str:
        """An issue's id in full, as far as it is known."""
        return str(self.issue(typed)["id"])

    # -- By request ----------------------------------------------------------------------------------------------
    def create(self, request: Create) -> IssueDoc:
        """A new issue."""
        told = {"id": request.id, **_DEFAULTS, "created_at": self._now, "updated_at": self._now}
        told |= given_fields(request.fields)
        if request.labels:
            told["labels"] = sorted(request.labels)
        if request.metadata:
            told["metadata"] = request.metadata
        return told | {"_queued": self._command}

    def update(self, request: Update) -> IssueDoc:
        """A changed one; as it was where it will be refused: somebody else has what is claimed, or it is closed."""
        changed = given_fields(request.fields)
        if request.unless_closed and self.left_alone(request.id)["status"] == CLOSED:
            return self.left_alone(request.id)
        if request.claim:
            if not self._is_to_be_had(self.left_alone(request.id), request.actor):
                return self.left_alone(request.id)
            changed |= {"assignee": request.actor, "status": IN_PROGRESS}
        issue = self.issue(request.id, **changed)
        before = issue.get("labels", ()) if request.set_labels is None else request.set_labels
        labels = sorted((set(before) | set(request.add_labels)) - set(request.remove_labels))
        return issue | ({"labels": labels} if labels else {})

    def _is_to_be_had(self, issue: IssueDoc, actor: str) -> bool:
        """Whether a claim would be won: nobody else holds the issue, or their claim has ended."""
        is_over = issue.get("_claim", {}).get("expires_at", _NEVER) <= self._now
        return issue["status"] != CLOSED and (issue.get("assignee", "") in {"", actor} or is_over)

    def close(self, request: Close) -> IssueDoc:
        """A closed one; what it unblocks isn't known."""
        reason = {"close_reason": request.reason} if request.reason else {}
        return self.issue(request.id, status="closed", closed_at=self._now, **reason) | {"_unblocked": []}

    def set_state(self, request: SetState) -> dict[str, Any]:
        """A state that was set."""
        issue = self.issue(request.id)
        before = next(
            (label for label in issue.get("labels", ()) if label.startswith(f"{request.dimension}:")), ""
        ).partition(":")[2]
        return {
            "issue_id": issue["id"],
            "dimension": request.dimension,
            "old_value": before or None,
            "new_value": request.value,
            "event_id": "",
            "changed": before != request.value,
            "_queued": self._command,
        }

    def add_edge(self, request: AddEdge) -> dict[str, Any]:
        """A new dependency."""
        ends = {"issue_id": self.name(request.id), "depends_on_id": self.name(request.edge.to)}
        return {**ends, "type": request.edge.type, "created": True, "_queued": self._command}

    def remove_edge(self, request: RemoveEdge) -> dict[str, Any]:
        """One that is gone."""
        ends = {"issue_id": self.name(request.id), "depends_on_id": self.name(request.to)}
        return {**ends, "removed": 1, "_queued": self._command}

    def comment(self, request: AddComment) -> dict[str, Any]:
        """A new comment; its id isn't known."""
        told = {"id": "", "issue_id": self.name(request.id), "author": request.actor, "text": request.text}
        return {**told, "created_at": self._now, "_queued": self._command}

    def reopen(self, request: Reopen) -> IssueDoc:
        """An open one, if it was closed."""
        issue = self.left_alone(request.id)
        return self.issue(request.id, status=DEFAULT_STATUS) if issue["status"] == CLOSED else issue

    def unclaim(self, request: Unclaim) -> IssueDoc:
        """One that nobody holds; as it was where it is another's than whose claim is to end."""
        issue = self.left_alone(request.id)
        holder = issue.get("assignee", "")
        if not holder or request.if_holder not in {"", holder}:
            return issue
        status = DEFAULT_STATUS if issue["status"] == IN_PROGRESS else issue["status"]
        return self.issue(request.id, assignee="", status=status)

    def heartbeat(self, request: Heartbeat) -> list[dict[str, Any]]:
        """A claim that is renewed, if it is the actor's and half of its time is over; until when isn't known."""
        issue = self._made_before(request.id) or self._known(request.id)
        held = issue is None or (issue.get("assignee"), issue["status"]) == (request.actor, IN_PROGRESS)
        return [{"id": self.name(request.id), "expires_at": "", "renewed": held, "_queued": self._command}]

    def handoff(self, request: WriteHandoff) -> dict[str, Any]:
        """A hand-off."""
        told = {"issue_id": self.name(request.id), "id": "", "author": request.actor, "created_at": self._now}
        said = {"decisions": request.decisions, "dead_ends": request.dead_ends}
        words = {name: list(value) for name, value in said.items() if value}
        texts = {name: value for name, value in (("next", request.next), ("head", request.head)) if value}
        return {**told, **words, **texts, "_queued": self._command}

    def gate(self, request: CreateGate) -> IssueDoc:
        """A new gate; its id isn't known."""
        told = {**_DEFAULTS, "id": "", "title": request.title, "issue_type": GATE, "priority": 1}
        further = {"await_type": request.await_type, "await_id": request.await_id}
        return told | further | {"created_at": self._now, "_queued": self._command}

    def remember(self, request: Remember) -> dict[str, Any]:
        """A memory."""
        return {"key": request.key, "text": request.text, "created": True, "_queued": self._command}

    def forget(self, request: Forget) -> dict[str, Any]:
        """One taken away; its text isn't looked up."""
        return {"key": request.key, "text": "", "_queued": self._command}


def steps_of(script: Script) -> Iterator[Request[Any]]:
    """The requests of a script's steps, which are the script's actor's."""
    for step in script.steps:
        yield msgspec.convert({**step.get("params", {}), "actor": script.actor}, METHODS[step["method"]])


def given_fields(fields: IssueFields) -> dict[str, Any]:
    """The fields that are given, by name."""
    return {name: value for name, value in msgspec.structs.asdict(fields).items() if value is not msgspec.UNSET}


_ANSWERS: Final[dict[type[Request[Any]], Callable[[Expectation, Any], Any]]] = {
    Create: Expectation.create,
    Update: Expectation.update,
    Close: Expectation.close,
    Reopen: Expectation.reopen,
    Delete: lambda expected, request: expected.issue(request.id, status="tombstone"),
    Undelete: lambda expected, request: expected.issue(request.id),
    Resolve: lambda expected, request: expected.issue(request.id),
    SetState: Expectation.set_state,
    AddEdge: Expectation.add_edge,
    RemoveEdge: Expectation.remove_edge,
    AddComment: Expectation.comment,
    Unclaim: Expectation.unclaim,
    Heartbeat: Expectation.heartbeat,
    WriteHandoff: Expectation.handoff,
    CreateGate: Expectation.gate,
    Await: lambda expected, request: expected.issue(request.id),
    Remember: Expectation.remember,
    Forget: Expectation.forget,
}
"""What each request that may come through a spool is expected to answer."""
