"""Requests about gates (issues that hold others up until something outside has happened) and about who waits for one.

A gate is an issue of type `gate` with four further fields, named as in Beads: `await_type` (human, timer, issue,
gh:run, gh:pr), `await_id` (what it waits for), `timeout` (nanoseconds), `waiters` (names). What it blocks depends
on it.
"""

from typing import Any, Final

from moot_protocol.requests.base import Mutation, Request
from moot_protocol.requests.listing import IssueDoc

GATE: Final = "gate"
AWAIT_TYPES: Final = ("human", "timer", "issue", "bead", "gh:run", "gh:pr")
"""What a gate can wait for; `bead` is what Beads calls an issue."""
AWAITING_ISSUES: Final = ("issue", "bead")
"""Those that wait for an issue, and name its id. A tuple, for it is asked about values that may not be hashable."""
WAITERS: Final = "waiters"


class CreateGate(Mutation[IssueDoc], kw_only=True):
    """Make a gate, and let issues wait for it, all or nothing; answers the gate's document."""

    method = "create_gate"
    project: str
    plane: str = ""
    """The plane it belongs to, where several have a project of this name."""
    await_type: str
    await_id: str = ""
    timeout_ms: int = 0
    """Of a timer: how long it waits. Of others: after how long the wait is told to be overdue; 0: never."""
    blocks: tuple[str, ...] = ()
    """Issues of the same plane."""
    title: str = ""
    """Empty: what it waits for."""
    reason: str = ""


class Await(Mutation[IssueDoc], kw_only=True):
    """Put a name among those that wait for an issue, at the end, or take it away; answers its document.

    So already: no change, and the answer is `_unchanged`.
    """

    method = "await"
    id: str
    waiter: str
    remove: bool = False


class SetAwaited(Mutation[IssueDoc], kw_only=True):
    """Say what a gate waits for, where that wasn't known when it was made; answers its document.

    So already: no change, and the answer is `_unchanged`. Raises `conflict` for an issue that is no gate.
    """

    method = "set_awaited"
    id: str
    await_id: str


GATE_REQUESTS: tuple[type[Request[Any]], ...] = (CreateGate, Await, SetAwaited)
"""All of this module."""
