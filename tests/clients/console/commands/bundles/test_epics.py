"""epic status and epic close-eligible: what they ask of the daemon, and what they print."""

import json
from typing import Any

import pytest

from moot.console.commands.bundles.epics import COMMANDS
from moot_protocol.requests.actions import EpicStatus
from moot_protocol.requests.issues import Close, Script
from moot_testkit.clients.canned_api import CannedApi, Ran, run
from moot_testkit.clients.console import issue


def epic(number: int, closed: int, total: int) -> dict[str, Any]:
    return {
        "epic": issue(number, issue_type="epic"),
        "total_children": total,
        "closed_children": closed,
        "eligible_for_close": 0 < total == closed,
    }


DONE, UNDER_WAY = epic(1, 2, 2), epic(2, 1, 3)


def tried(argv: str, *epics: dict[str, Any], close: dict[str, Any] | None = None) -> Ran:
    return run(COMMANDS, argv, CannedApi(epic_status=list(epics), close=close or {}, script=[]))


def test_epics_are_told_with_their_progress() -> None:
    ran = tried("epic status", DONE, UNDER_WAY)
    assert ran.out.splitlines() == [
        "bd-000000000001 P2 epic open Issue 1",
        "  Progress: 2/2 children closed (100%), eligible for closure",
        "bd-000000000002 P2 epic open Issue 2",
        "  Progress: 1/3 children closed (33%)",
    ]
    assert ran.asked == [EpicStatus(projects=("bd",))]
    assert json.loads(tried("epic status --json", DONE, UNDER_WAY).out) == [DONE, UNDER_WAY]
    assert json.loads(tried("epic status --eligible-only --json", DONE, UNDER_WAY).out) == [DONE]
    assert tried("epic status").out == "No open epics found\n"


@pytest.mark.parametrize("dry_run", [False, True])
def test_epics_whose_children_are_closed_are_closed(dry_run: bool) -> None:
    flag = " --dry-run" if dry_run else ""
    ran = tried(f"epic close-eligible{flag}", DONE, UNDER_WAY)
    assert ran.asked[1:] == [
        Close(actor="alice", id=DONE["epic"]["id"], reason="All children completed", dry_run=dry_run)
    ]
    verb = "Would close" if dry_run else "✓ Closed"
    assert ran.out.splitlines()[0] == f"{verb} 1 epic with reason 'All children completed'"


def test_closing_as_json_tells_what_was_closed_and_a_trial_what_would_be() -> None:
    ids = [DONE["epic"]["id"]]
    done = json.loads(tried("epic close-eligible -r Shipped --json", DONE).out)
    assert done == {"closed": ids, "count": 1, "reason": "Shipped"}
    assert json.loads(tried("epic close-eligible --dry-run --json", DONE).out) == [DONE]


def test_several_are_closed_in_one_commit_and_none_asks_nothing() -> None:
    assert isinstance(tried("epic close-eligible", DONE, epic(3, 1, 1)).asked[-1], Script)
    ran = tried("epic close-eligible", UNDER_WAY)
    assert (ran.out, len(ran.asked)) == ("No epics eligible for closure\n", 1)
    assert json.loads(tried("epic close-eligible --json", UNDER_WAY).out) == []


def test_an_epic_that_completes_a_molecule_tells_so() -> None:
    closed = {"_finished": ["bd-mol"]}
    assert (
        tried("epic close-eligible", DONE, close=closed).out.splitlines()[-1]
        == "✓ Auto-closed completed molecule bd-mol"
    )
    assert json.loads(tried("epic close-eligible --json", DONE, close=closed).out)["_finished"] == ["bd-mol"]
