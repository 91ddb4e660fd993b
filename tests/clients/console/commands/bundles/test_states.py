"""state, set-state, todo and promote: what they ask of the daemon, and what they print."""

import json
from typing import Any

import pytest

from moot.console.commands.bundles.states import COMMANDS
from moot_protocol.errors import RefusedError
from moot_protocol.requests.actions import SetState
from moot_protocol.requests.issues import Close, Create, IssueFields, ListIssues, Script
from moot_protocol.requests.listing import Filter, Page
from moot_testkit.clients.canned_api import CannedApi, Ran, run
from moot_testkit.clients.console import issue

SHOWN = issue(1, labels=["mode:bad\x1b", "mode:worse", "patrol:active", "ui", ":odd"])
CHANGED = {
    "issue_id": SHOWN["id"], "dimension": "mode", "old_value": "good", "new_value": "bad\x07", "event_id": "bd-9",
    "changed": True,
}  # fmt: skip


def listed(shown: dict[str, Any]) -> Page:
    return Page(issues=[shown], total=1, truncated=False)


def tried(argv: str, **answers: Any) -> Ran:
    canned: dict[str, Any] = {
        "set_state": CHANGED, "create": SHOWN, "close": SHOWN, "script": [SHOWN, {}],
        "list": listed(SHOWN),
    }  # fmt: skip
    return run(COMMANDS, argv, CannedApi(**canned | answers))


# -- state, set-state --------------------------------------------------------------------------------------------
def test_a_dimension_is_told_alone() -> None:
    assert tried("state x mode").out == "bad^[\n"
    assert tried("state x none").out == "(no none state set)\n"
    assert json.loads(tried("state x none --json").out) == {
        "issue_id": SHOWN["id"], "dimension": "none", "value": None
    }  # fmt: skip


def test_all_dimensions_are_told() -> None:
    assert tried("state list x").out == "mode: bad^[\npatrol: active\n"
    assert json.loads(tried("state list x --json").out)["states"] == {"mode": "bad\x1b", "patrol": "active"}
    assert tried("state list x", list=listed(issue(1))).out == "bd-000000000001 has no state labels\n"


def test_setting_a_state_tells_what_it_was_and_the_event() -> None:
    ran = tried("set-state x mode=bad --reason why")
    assert ran.asked == [SetState(actor="alice", id="x", dimension="mode", value="bad", reason="why")]
    assert ran.out == "✓ Set mode = bad^G on bd-000000000001\n  Previous: good\n  Event: bd-9\n"
    assert json.loads(tried("set-state x mode=bad --json").out) == CHANGED


def test_a_trial_and_no_change_are_said() -> None:
    dry = tried("set-state x a=b=c --dry-run", set_state=CHANGED | {"old_value": None})
    assert dry.asked == [SetState(actor="alice", id="x", dimension="a", value="b=c", dry_run=True)]
    assert dry.out == "✓ Would set mode = bad^G on bd-000000000001\n"
    same = {name: value for name, value in CHANGED.items() if name != "event_id"} | {"changed": False}
    assert tried("set-state x mode=bad", set_state=same).out == "(no change: mode already set to bad^G)\n"


@pytest.mark.parametrize("state", ["mode", "=bad", "mode="])
def test_what_is_no_state_is_refused(state: str) -> None:
    with pytest.raises(RefusedError, match="no state"):
        tried(f"set-state x {state}")


# -- todo --------------------------------------------------------------------------------------------------------
def test_a_todo_is_a_task_of_ones_own() -> None:
    ran = tried("todo add Fix the link -p 1 -d Soon --dry-run")
    fields = IssueFields(title="Fix the link", description="Soon", priority=1, issue_type="task", assignee="alice")
    assert ran.asked == [Create(actor="alice", project="bd", fields=fields, dry_run=True)]
    assert ran.out == "✓ Would create bd-000000000001 — Issue 1\n"
    assert json.loads(tried("todo add Fix --json").out) == SHOWN


@pytest.mark.parametrize("argv", ["todo", "todo list"])
def test_todos_are_open_tasks(argv: str) -> None:
    ran = tried(argv)
    assert ran.asked == [ListIssues(filter=Filter(projects=("bd",), types=("task",), statuses=("open",)), limit=0)]
    assert ran.out == "bd-000000000001 P2 task open Issue 1\n"
    assert json.loads(tried(f"{argv} --json").out) == [SHOWN]
    assert tried(f"{argv} --all").asked == [
        ListIssues(filter=Filter(projects=("bd",), types=("task",)), all=True, limit=0)
    ]


def test_todos_are_done_together() -> None:
    ran = tried("todo done a")
    assert ran.asked == [Close(actor="alice", id="a", reason="Completed")]
    assert ran.out == "✓ Closed bd-000000000001 — Issue 1\n"
    both = tried("todo done a b --reason Done --json", script=[issue(1), issue(2)])
    assert isinstance(both.asked[0], Script)
    assert json.loads(both.out) == {"closed": [issue(1)["id"], issue(2)["id"]], "reason": "Done"}


def test_a_todo_that_is_done_already_is_told_as_such() -> None:
    was_done, now = issue(1) | {"_unchanged": True}, issue(2)
    assert tried("todo done a", close=was_done).out == "Nothing to do: bd-000000000001 — Issue 1 is closed already\n"
    one = json.loads(tried("todo done a --json", close=was_done).out)
    assert one == {"closed": [was_done["id"]], "reason": "Completed", "_unchanged": True}
    both = tried("todo done a b", script=[was_done, now]).out.splitlines()
    assert both[1] == "✓ Closed bd-000000000002 — Issue 2"
    assert json.loads(tried("todo done a b --json", script=[was_done, now]).out)["_unchanged"] == [was_done["id"]]


# -- promote -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("flag", ["", " --dry-run"])
def test_an_ephemeral_issue_is_kept_and_says_why(flag: str) -> None:
    ran = tried(f"promote x -r worth{flag}", list=listed(SHOWN | {"ephemeral": True}))
    script = ran.asked[-1]
    assert isinstance(script, Script)
    assert [step["method"] for step in script.steps] == ["update", "add_comment"]
    assert script.steps[0]["params"]["fields"] == {"ephemeral": False}
    assert script.steps[1]["params"]["text"] == "Promoted from ephemeral: worth"
    assert script.dry_run is bool(flag)
    assert ran.out == f"✓ {'Would promote' if flag else 'Promoted'} bd-000000000001 — Issue 1\n"


def test_what_is_kept_already_cant_be_promoted() -> None:
    with pytest.raises(RefusedError, match="not ephemeral"):
        tried("promote x")


def test_a_todo_that_completes_a_molecule_tells_so() -> None:
    done = issue(1) | {"_finished": ["bd-mol"]}
    assert tried("todo done a", close=done).out.splitlines()[-1] == "✓ Auto-closed completed molecule bd-mol"
    assert json.loads(tried("todo done a --json", close=done).out)["_finished"] == ["bd-mol"]
