"""What a command that was queued will answer if nothing comes in between: for its document, never for its word.

The daemon's answer is what counts; it may refuse, and it knows what the snapshot doesn't. So what is guessed here is
marked `_queued` with the command's id wherever it can be.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from moot_protocol.action_requests import SetState
from moot_protocol.claim_requests import Heartbeat, Unclaim, WriteHandoff
from moot_protocol.gate_requests import GATE, Await, CreateGate
from moot_protocol.listing import IssueDoc
from moot_protocol.memory_requests import Forget, Remember
from moot_protocol.request_base import Mutation, Request
from moot_protocol.requests import (
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
from moot_protocol.spool import ALLOWED
from moot_protocol.times import format_ms

_METHODS: Final = {request.method: request for request in ALLOWED}
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
            for step in request.steps:
                params = {**step.get("params", {}), "actor": request.actor}
                self._made.append(self._of(msgspec.convert(params, _METHODS[step["method"]])))
            return self._made
        return self._of(request)

    def _of(self, request: Request[Any]) -> Any:
        answered: Any = _ANSWERS[type(request)](self, request)
        return answered

    def issue(self, typed: str, **changed: Any) -> IssueDoc:
        """An issue as it will be."""
        known = self._made_before(typed) or self._known(typed) or {"id": typed, **_DEFAULTS, "created_at": self._now}
        told = {name: value for name, value in known.items() if name not in {"dependents", "_short"}}
        return told | {"updated_at": self._now} | changed | {"_queued": self._command}

    def _made_before(self, typed: str) -> IssueDoc | None:
        """The issue that an earlier step of the script makes, for `$1` and so on."""
        if typed.startswith("$") and typed[1:].isdecimal() and 1 <= int(typed[1:]) <= len(self._made):
            made: IssueDoc = self._made[int(typed[1:]) - 1]
            return made
        return None

    def name(self, typed: str) -> str:
        """An issue's id in full, as far as it is known."""
        return str(self.issue(typed)["id"])

    # -- By request ----------------------------------------------------------------------------------------------
    def create(self, request: Create) -> IssueDoc:
        """A new issue."""
        told = {"id": request.id, **_DEFAULTS, "created_at": self._now, "updated_at": self._now}
        told |= _set(request.fields)
        if request.labels:
            told["labels"] = sorted(request.labels)
        if request.metadata:
            told["metadata"] = request.metadata
        return told | {"_queued": self._command}

    def update(self, request: Update) -> IssueDoc:
        """A changed one."""
        changed = _set(request.fields)
        if request.claim:
            changed |= {"assignee": request.actor, "status": "in_progress"}
        issue = self.issue(request.id, **changed)
        before = issue.get("labels", ()) if request.set_labels is None else request.set_labels
        labels = sorted((set(before) | set(request.add_labels)) - set(request.remove_labels))
        return issue | ({"labels": labels} if labels else {})

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

    def heartbeat(self, request: Heartbeat) -> list[dict[str, Any]]:
        """A claim that is renewed, if half of its time is over; until when isn't known."""
        return [{"id": self.name(request.id), "expires_at": "", "renewed": True, "_queued": self._command}]

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


def _set(fields: IssueFields) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(fields).items() if value is not msgspec.UNSET}


_ANSWERS: Final[dict[type[Request[Any]], Callable[[Expectation, Any], Any]]] = {
    Create: Expectation.create,
    Update: Expectation.update,
    Close: Expectation.close,
    Reopen: lambda expected, request: expected.issue(request.id, status="open"),
    Delete: lambda expected, request: expected.issue(request.id, status="tombstone"),
    Undelete: lambda expected, request: expected.issue(request.id),
    Resolve: lambda expected, request: expected.issue(request.id),
    SetState: Expectation.set_state,
    AddEdge: Expectation.add_edge,
    RemoveEdge: Expectation.remove_edge,
    AddComment: Expectation.comment,
    Unclaim: lambda expected, request: expected.issue(request.id, assignee="", status="open"),
    Heartbeat: Expectation.heartbeat,
    WriteHandoff: Expectation.handoff,
    CreateGate: Expectation.gate,
    Await: lambda expected, request: expected.issue(request.id),
    Remember: Expectation.remember,
    Forget: Expectation.forget,
}
"""What each request that may come through a spool is expected to answer."""
