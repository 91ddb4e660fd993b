"""Whole runs of the console: an argument list in, and what came of it out, as the user and the daemon see it."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import Any

import msgspec

from moot.console import main
from moot.console.terminal import Facts
from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import WorkspaceInfo
from moot_testkit.clients.canned_api import NOW_MS, CannedApi, InTurn
from moot_testkit.clients.terminal import FACTS, RecordingTerminal

PROJECT = "bd"
REQUEST_ID = "r-7"
"""The id under which a defect is logged."""


class Outcome:
    """What came of a run."""

    def __init__(self, code: int, terminal: RecordingTerminal, asked: Sequence[Request[Any]], crashes: list[Exception]):
        self.code = code
        self.out = terminal.written
        self.err = terminal.complaints
        self.asked: list[Any] = [request for request in asked if not isinstance(request, WorkspaceInfo)]
        """Every request but the one for the workspace's project."""
        self.crashes = crashes
        self.terminal = terminal
        self.keys: list[str] = []
        """The idempotency keys that requests came with, where the command had a request id."""

    @property
    def document(self) -> Any:
        """The one JSON document on standard output."""
        return msgspec.json.decode(self.out)

    @property
    def request(self) -> Any:
        """The only request."""
        assert len(self.asked) == 1, self.asked
        return self.asked[0]


def run_console(
    argv: str | Sequence[str],
    answers: Mapping[str, Any] | None = None,
    *,
    facts: Facts = FACTS,
    stdin: Iterable[bytes] = (),
    files: Mapping[str, bytes] | None = None,
    project: str = PROJECT,
    seconds: Callable[[], float] = lambda: 0.0,
) -> Outcome:
    """Run the console.

    Args:
        argv: the arguments; a string is split at blanks.
        answers: method → what the daemon answers (see `CannedApi`).
        facts: what the client says of itself, but for `argv`.
        stdin: chunks of standard input.
        files: files that the client can read.
        project: the workspace's project; empty where there is none.
        seconds: the monotonic clock.
    """
    words = tuple(argv.split() if isinstance(argv, str) else argv)
    terminal = RecordingTerminal(facts._replace(argv=words), stdin=stdin, files=files)
    known = {"project": project, "folder": facts.folder} if project else None
    api = CannedApi(**{"workspace_info": known, **(answers or {})})
    crashes: list[Exception] = []

    def on_crash(error: Exception) -> str:
        if isinstance(error, AssertionError):
            raise error
        crashes.append(error)
        return REQUEST_ID

    code = main.run(api, terminal, NOW_MS, on_crash, monotonic=seconds)
    outcome = Outcome(code, terminal, api.asked, crashes)
    outcome.keys = api.keys
    return outcome


def issue(number: int = 1, **fields: Any) -> dict[str, Any]:
    """An issue's document."""
    return {
        "id": f"bd-{number:012d}", "title": f"Issue {number}", "status": "open", "priority": 2, "issue_type": "task",
    } | fields  # fmt: skip


def in_turn(*answers: Any) -> InTurn:
    """Answers that a method gives one after the other."""
    return InTurn(answers)


def ticking(step: float) -> Callable[[], float]:
    """A clock that goes on by so many seconds whenever it is looked at."""
    ticks = count()
    return lambda: next(ticks) * step
