"""gate: what is asked of the daemon and of the user's gh, and what is printed."""

import json
from typing import Any

import pytest

from moot.console.commands.bundles.gates import COMMANDS
from moot_protocol.errors import RefusedError
from moot_protocol.requests.gates import Await, CreateGate
from moot_protocol.requests.issues import Close, ListIssues, Show
from moot_protocol.requests.listing import Filter, Page
from moot_testkit.clients.canned_api import CannedApi, Ran, run
from moot_testkit.clients.console import in_turn, issue
from moot_testkit.clients.terminal import RecordingTerminal

HOUR_NS = 3_600_000_000_000
CREATED = "2026-01-31T10:00:00Z"
"""Two hours before the console's now."""


def gate(number: int = 1, **parts: Any) -> dict[str, Any]:
    return issue(number, issue_type="gate", created_at=CREATED, **parts)


def tried(argv: str, *gates: dict[str, Any], tools: dict[str, str] | None = None, **answers: Any) -> Ran:
    terminal = RecordingTerminal()
    terminal.tools = tools or {}
    canned: dict[str, Any] = {
        "create_gate": gate(), "show": [gates[0] if gates else gate()], "await": gate(waiters=["bob"]),
        "list": Page(issues=list(gates), total=len(gates), truncated=False), "close": gate(_unblocked=["bd-7"]),
    }  # fmt: skip
    return run(COMMANDS, argv, CannedApi(**canned | answers), terminal=terminal)


def test_a_gate_is_made_with_what_it_waits_for_and_what_it_blocks() -> None:
    ran = tried("gate create -t timer --timeout 2h --blocks a --blocks b -r Rest --dry-run")
    assert ran.asked == [
        CreateGate(
            actor="alice", dry_run=True, project="bd", await_type="timer", timeout_ms=7_200_000, blocks=("a", "b"),
            reason="Rest",
        )
    ]  # fmt: skip
    assert ran.out == "✓ Would create gate bd-000000000001 (type: timer)\n  Blocks: a\n  Blocks: b\n"


def test_gates_are_listed_with_what_they_wait_for() -> None:
    ran = tried("gate list", gate(await_type="gh:pr", await_id="4\x1b"), gate(2, await_type="timer", timeout=HOUR_NS))
    assert ran.asked == [ListIssues(filter=Filter(projects=("bd",), types=("gate",)), texts=True)]
    assert ran.out.splitlines() == [
        "bd-000000000001 open gh:pr 4^[ Issue 1", "bd-000000000002 open timer (1h) Issue 2"
    ]  # fmt: skip


def test_a_gate_is_shown_with_what_it_holds_up() -> None:
    shown = gate(await_type="human", description="Why\nnot", waiters=["bob"], dependents=[issue(2)])
    assert tried("gate show x", shown).out.splitlines() == [
        "bd-000000000001 — Issue 1", "  status: open", "  waits for: human", "  reason: Why⏎not", "  waiting: bob",
        "  holds up: bd-000000000002 — Issue 2",
    ]  # fmt: skip


@pytest.mark.parametrize("argv", ["gate show x", "gate resolve x", "gate add-waiter x bob"])
def test_what_is_no_gate_is_refused(argv: str) -> None:
    with pytest.raises(RefusedError, match="is no gate"):
        tried(argv, issue(1))


def test_resolving_tells_what_became_ready_and_who_waits() -> None:
    ran = tried("gate resolve x -r Agreed", close=gate(_unblocked=["bd-7"], waiters=["bob"]))
    assert ran.asked[1] == Close(actor="alice", id=gate()["id"], reason="Agreed", force=True)
    assert ran.out.splitlines()[1:] == ["  Newly unblocked: bd-7", "  Waiting for it: bob"]


def test_resolving_is_told_in_the_words_that_programs_look_for() -> None:
    assert tried("gate resolve x").out.startswith("✓ Gate resolved: bd-000000000001")


def test_the_gates_of_one_issue_are_listed_by_themselves() -> None:
    needs = [{"depends_on_id": gate(n)["id"], "type": kind} for n, kind in ((1, "blocks"), (2, "parent-child"))]
    shown = in_turn([issue(9, dependencies=needs)], [gate()])
    ran = tried("gate list bd-9 --json", show=shown)
    assert [each["id"] for each in json.loads(ran.out)] == [gate()["id"]]
    assert ran.asked[1] == Show(ids=(gate()["id"],))


def test_resolving_again_says_that_nothing_was_done() -> None:
    again = tried("gate resolve x", close=gate(_unchanged=True, waiters=["bob"]))
    assert again.out.splitlines() == [
        "Nothing to do: gate bd-000000000001 — Issue 1 is resolved already", "  Waiting for it: bob"
    ]  # fmt: skip
    assert json.loads(tried("gate resolve x --json", close=gate(_unchanged=True)).out)["_unchanged"] is True


def test_who_waits_already_is_told_as_such() -> None:
    again = {"await": gate(waiters=["bob"], _unchanged=True)}
    told = "Nothing to do: bob already waits for bd-000000000001 — Issue 1\n"
    assert tried("gate add-waiter x bob", **again).out == told
    assert json.loads(tried("gate add-waiter x bob --json", **again).out)["_unchanged"] is True


def test_who_waits_is_added() -> None:
    ran = tried("gate add-waiter x bob")
    assert ran.asked[1] == Await(actor="alice", id=gate()["id"], waiter="bob")


# -- check -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("parts", "result"),
    [
        ({"await_type": "timer", "timeout": HOUR_NS}, "resolved"),
        ({"await_type": "timer", "timeout": 2 * HOUR_NS}, "resolved"),
        ({"await_type": "timer", "timeout": 3 * HOUR_NS}, "pending"),
        ({"await_type": "timer"}, "pending"),
        ({"await_type": "human"}, "pending"),
        ({"await_type": "human", "timeout": HOUR_NS}, "failed"),
        ({"await_type": ["odd"]}, "pending"),
        ({}, "pending"),
    ],
)
def test_time_alone_resolves_timers_only(parts: dict[str, Any], result: str) -> None:
    ran = tried("gate check --json", gate(**parts))
    assert [each["result"] for each in json.loads(ran.out)["gates"]] == [result]
    assert [type(request) for request in ran.asked[1:]] == ([Close] if result == "resolved" else [])


@pytest.mark.parametrize(("status", "result"), [("closed", "resolved"), ("in_progress", "pending")])
def test_an_issue_resolves_a_gate_when_it_is_closed(status: str, result: str) -> None:
    awaited = [issue(5, status=status)]
    ran = tried("gate check --json", gate(await_type="bead", await_id="bd-5"), show=awaited)
    assert json.loads(ran.out)["gates"][0]["result"] == result


def test_an_issue_that_is_not_here_is_told() -> None:
    ran = tried("gate check", gate(await_type="issue", await_id="bd-5"), show=RefusedError("no issue bd-5"))
    assert ran.out == "bd-000000000001 error: no issue bd-5\n"


@pytest.mark.parametrize(
    ("kind", "told", "result"),
    [
        ("gh:run", '{"status": "completed", "conclusion": "success"}', "resolved"),
        ("gh:run", '{"status": "completed", "conclusion": "failure"}', "failed"),
        ("gh:run", '{"status": "queued"}', "pending"),
        ("gh:pr", '{"state": "MERGED"}', "resolved"),
        ("gh:pr", '{"state": "CLOSED"}', "failed"),
        ("gh:pr", '{"state": "OPEN"}', "pending"),
        ("gh:pr", "[]", "error"),
    ],
)
def test_runs_and_pull_requests_are_asked_of_the_users_gh(kind: str, told: str, result: str) -> None:
    question = kind.replace(":", "-")
    ran = tried("gate check --json --dry-run", gate(await_type=kind, await_id="42"), tools={f"{question} 42": told})
    assert json.loads(ran.out)["gates"][0]["result"] == result
    assert all(request.dry_run for request in ran.asked if isinstance(request, Close))


def test_without_gh_that_is_said_and_the_other_gates_are_looked_at() -> None:
    ran = tried("gate check", gate(await_type="gh:pr", await_id="42"), gate(2, await_type="timer", timeout=HOUR_NS))
    assert ran.out.splitlines() == [
        "bd-000000000001 error: gh isn't installed, or not on the PATH",
        "bd-000000000002 resolved: its time is over",
    ]


def test_what_failed_is_put_before_a_human_once_if_asked() -> None:
    overdue: dict[str, Any] = {"await_type": "human", "timeout": HOUR_NS}
    ran = tried("gate check --escalate --json", gate(**overdue), gate(2, labels=["human"], **overdue), script=[{}, {}])
    assert (json.loads(ran.out)["escalated"], len(ran.asked)) == (2, 2)
    (update, comment) = ran.asked[1].steps
    assert (update["params"]["add_labels"], "overdue" in comment["params"]["text"]) == (("human",), True)
    assert len(tried("gate check", gate(**overdue)).asked) == 1


def test_a_run_that_is_not_known_is_to_be_looked_for() -> None:
    ran = tried("gate check", gate(await_type="gh:run", await_id="ci.yml"))
    assert "pending" in ran.out
    assert "gate discover" in ran.out


def test_only_gates_of_a_kind_are_looked_at_if_asked() -> None:
    gates = gate(await_type="gh:pr", await_id="42"), gate(2, await_type="issue", await_id="x"), gate(3)
    assert json.loads(tried("gate check --type gh --json", *gates).out)["checked"] == 1
    assert json.loads(tried("gate check --type bead --json", *gates).out)["checked"] == 1
    assert tried("gate check").out == "No open gates found.\n"


def test_a_gate_that_completes_a_molecule_tells_so() -> None:
    closed = gate(_finished=["bd-mol"])
    assert tried("gate resolve x", close=closed).out.splitlines()[1] == "✓ Auto-closed completed molecule bd-mol"
    passed = gate(await_type="timer", timeout=HOUR_NS)
    assert tried("gate check", passed, close=closed).out.splitlines()[-1] == "✓ Auto-closed completed molecule bd-mol"
    assert json.loads(tried("gate check --json", passed, close=closed).out)["_finished"] == ["bd-mol"]
