"""handoff write, handoff read: what they ask of the daemon, and what they print."""

import json
from typing import Any

import pytest

from moot.console.commands.issues.handoffs import COMMANDS
from moot_protocol.requests.claims import WriteHandoff
from moot_testkit.clients.canned_api import CannedApi, Ran, run
from moot_testkit.clients.terminal import RecordingTerminal

LEFT = {
    "issue_id": "bd-1", "id": "c1", "author": "bob\x1b", "created_at": "2026-01-31T10:00:00Z", "head": "1a2b3c4",
    "decisions": ["LMDB"], "dead_ends": ["SQLite\nslow"], "next": "Go on\x07",
}  # fmt: skip
HEAD = "1a2b3c4\n"


def tried(argv: list[str], head: str | None = None, found: Any = (LEFT,)) -> Ran:
    terminal = RecordingTerminal()
    terminal.tools = {} if head is None else {"git-head": head}
    return run(COMMANDS, argv, CannedApi(write_handoff=LEFT, handoffs=list(found)), terminal=terminal)


@pytest.mark.parametrize(
    ("flags", "stands", "head"),
    [([], HEAD, "1a2b3c4"), ([], None, ""), (["--head", ""], HEAD, ""), (["--head", "f"], HEAD, "f")],
)  # fmt: skip
def test_the_commit_is_where_git_stands_unless_it_is_named(flags: list[str], stands: str | None, head: str) -> None:
    ran = tried(["handoff", "write", "x", "--next", "Go on", *flags], stands)
    assert ran.asked == [WriteHandoff(actor="alice", id="x", next="Go on", head=head)]
    assert ran.out == "✓ Handed over bd-1\n"


def test_decisions_and_dead_ends_can_be_several() -> None:
    flags = ["--decision", "a", "--decision", "b", "--dead-end", "c", "--dry-run"]
    ran = tried(["handoff", "write", "x", *flags])
    assert ran.asked == [WriteHandoff(actor="alice", dry_run=True, id="x", decisions=("a", "b"), dead_ends=("c",))]
    assert ran.out == "✓ Would hand over bd-1\n"


def test_the_latest_is_read_and_all_on_request() -> None:
    first = "Handed over by bob^[, 2h ago, at 1a2b3c4\n  Next: Go on^G\n  Decided: LMDB\n  Dead end: SQLite\n    slow\n"
    assert tried(["handoff", "read", "x"], found=(LEFT, LEFT)).out == first
    assert tried(["handoff", "read", "x", "--all"], found=(LEFT, LEFT)).out == f"{first}\n{first}"
    assert json.loads(tried(["handoff", "read", "x", "--json"]).out) == [LEFT]


def test_where_nothing_was_left_that_is_said() -> None:
    ran = tried(["handoff", "read", "x"], found=())
    assert (ran.out, ran.err) == ("", "nothing was handed over on x\n")
    assert tried(["handoff", "read", "x", "--json"], found=()).out == "[]\n"
