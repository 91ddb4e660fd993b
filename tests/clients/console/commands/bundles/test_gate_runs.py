"""gate discover: which run a gate is given, and what is asked of git and gh."""

import json
from typing import Any

import pytest

from moot.console.commands.bundles.gate_runs import COMMANDS, run_of
from moot_protocol.requests.gates import SetAwaited
from moot_protocol.requests.listing import Page
from moot_testkit.clients.canned_api import CannedApi, Ran, run
from moot_testkit.clients.console import issue
from moot_testkit.clients.terminal import RecordingTerminal

MADE = "2026-01-31T11:50:00Z"
"""Ten minutes before the console's now."""


def gate(number: int = 1, **parts: Any) -> dict[str, Any]:
    return issue(number, issue_type="gate", created_at=MADE, await_type="gh:run", **parts)


def of_ci(number: int, at: str = "11:51:00", **parts: Any) -> dict[str, Any]:
    known = {"databaseId": number, "workflowName": "CI", "headSha": "aaa", "status": "queued"}
    return known | {"createdAt": f"2026-01-31T{at}Z"} | parts


def tried(argv: str, *gates: dict[str, Any], runs: Any = (), branch: str = "topic") -> Ran:
    terminal = RecordingTerminal()
    terminal.tools = {"git-commit": "aaa\n", f"gh-runs {branch}": json.dumps(runs)}
    terminal.tools |= {"git-branch": f"{branch}\n"}
    page = Page(issues=list(gates), total=len(gates), truncated=False)
    return run(COMMANDS, argv, CannedApi(list=page, set_awaited=gate()), terminal=terminal)


def test_a_gate_is_given_the_run_of_this_commit_and_one_that_knows_its_own_is_left_alone() -> None:
    ran = tried("gate discover --json", gate(), gate(2, await_id="7"), runs=[of_ci(41, headSha="b"), of_ci(42)])
    assert ran.asked[1:] == [SetAwaited(actor="alice", id=gate()["id"], await_id="42")]
    document = json.loads(ran.out)
    assert (document["gates"], document["updated"], document["found"][0]["await_id"]) == (1, 1, "42")


def test_trying_it_writes_nothing_and_another_branch_may_be_named() -> None:
    ran = tried("gate discover --dry-run --branch main", gate(), runs=[of_ci(42)], branch="main")
    assert ran.asked[1:] == [SetAwaited(actor="alice", id=gate()["id"], await_id="42", dry_run=True)]
    assert ran.out.splitlines()[-1] == "✓ Would update 1 gate of 1"


def test_where_no_gate_needs_it_nobody_is_asked() -> None:
    assert tried("gate discover", gate(await_id="7")).out == "No gate waits for a run that isn't known\n"


@pytest.mark.parametrize(
    ("parts", "runs", "number"),
    [
        ({"await_id": "ci.yml"}, [of_ci(1, workflowName="Lint"), of_ci(2, headSha="b")], 2),
        ({"await_id": "CI"}, [of_ci(1, "11:40:00", headSha="b"), of_ci(2, "11:52:00", headSha="b")], 2),
        ({"await_id": "docs"}, [of_ci(1)], None),
        ({}, [of_ci(1, "11:54:59", headSha="b")], 1),
        ({}, [of_ci(1, "11:55:01", headSha="b")], None),
        ({}, [of_ci(1, "11:20:00")], None),
        ({}, [of_ci(1, createdAt="never"), of_ci(2, databaseId="--web")], None),
    ],
)
def test_a_run_fits_by_workflow_or_else_by_commit_or_time(
    parts: dict[str, Any], runs: list[dict[str, Any]], number: int | None
) -> None:
    now = 1_769_860_800_000
    found = run_of(gate(**parts), runs, "aaa", since_ms=now - 30 * 60_000)
    assert (found or {}).get("databaseId") == number
