"""swarm create, list, status and validate: what they ask of the daemon, and what they print."""

import json
from typing import Any

import pytest

from moot.console.commands.bundles.swarms import COMMANDS
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.actions import Graph
from moot_protocol.requests.issues import Create, Script
from moot_protocol.requests.listing import Page
from moot_testkit.clients.canned_api import CannedApi, InTurn, Ran, run
from moot_testkit.clients.console import issue

EPIC = issue(1, title="Epic\x1b", issue_type="epic", priority=1)
CHILD = issue(2, dependencies=[{"depends_on_id": EPIC["id"], "type": "parent-child"}], assignee="eve")
BLOCKED = issue(3, dependencies=[{"depends_on_id": CHILD["id"], "type": "blocks"}], blocked_by=[CHILD["id"]])
SWARM = issue(
    9, title="Swarm: Epic", issue_type="molecule", assignee="bob", metadata={"mol_type": "swarm"},
    dependencies=[{"depends_on_id": EPIC["id"], "type": "relates-to"}],
)  # fmt: skip
FAMILY = {"root": EPIC["id"], "issues": [EPIC, CHILD, BLOCKED], "cut": False}
TASK = issue(5)


def page(*issues: dict[str, Any]) -> Page:
    return Page(issues=list(issues), total=len(issues), truncated=False)


def tried(argv: str, **answers: Any) -> Ran:
    canned: dict[str, Any] = {
        "show": [EPIC], "graph": FAMILY, "query": page(), "create": SWARM, "script": [issue(7), {}, SWARM],
    }  # fmt: skip
    return run(COMMANDS, argv, CannedApi(**canned | answers))


# -- validate, status --------------------------------------------------------------------------------------------
def test_an_epic_is_told_in_waves() -> None:
    ran = tried("swarm validate x")
    assert ran.out.splitlines() == [
        "Swarm analysis: bd-000000000001 Epic^[",
        "  2 issues, 0 closed",
        "  Wave 1: 1 issue",
        "    bd-000000000002 Issue 2",
        "  Wave 2: 1 issue",
        "    bd-000000000003 Issue 3",
        "  Max parallelism: 1",
        "Swarmable: YES",
    ]
    assert ran.asked[-1] == Graph(id=EPIC["id"], scope="children")
    assert "issues" not in json.loads(tried("swarm validate x --json").out)
    assert set(json.loads(tried("swarm validate x --json --issues").out)["issues"]) == {CHILD["id"], BLOCKED["id"]}


def test_what_cant_be_done_ends_with_1() -> None:
    ring = CHILD | {"dependencies": [{"depends_on_id": BLOCKED["id"], "type": "blocks"}]}
    ran = tried("swarm validate x", graph=FAMILY | {"issues": [EPIC, ring, BLOCKED]})
    assert (ran.code, ran.out.splitlines()[-1]) == (1, "Swarmable: NO (fix errors first)")


def test_how_far_a_swarm_is_can_be_asked_by_its_epic_or_itself() -> None:
    for shown in (EPIC, SWARM):
        ran = tried("swarm status x", show=[shown])
        assert ran.asked[-1] == Graph(id=EPIC["id"], scope="children")
        assert ran.out.splitlines()[1:] == [
            "  Completed: (none)",
            "  Active: (none)",
            "  Ready: bd-000000000002 [eve]",
            "  Blocked: bd-000000000003 (needs bd-000000000002)",
            "  Progress: 0/2 complete (0%)",
        ]
    assert json.loads(tried("swarm status x --json").out)["blocked_count"] == 1


def test_any_other_issue_is_no_swarm() -> None:
    with pytest.raises(RefusedError, match="not an epic or swarm"):
        tried("swarm status x", show=[TASK])


# -- list --------------------------------------------------------------------------------------------------------
def test_swarms_are_listed_with_their_progress() -> None:
    stray = issue(8, issue_type="molecule", metadata={"mol_type": "swarm"})
    ran = tried("swarm list", query=page(SWARM, stray))
    assert ran.out == "bd-000000000009 Swarm: Epic (0/2, 0 active)\nbd-000000000008 Issue 8 (0/0, 0 active)\n"
    (first, second) = json.loads(tried("swarm list --json", query=page(SWARM, stray)).out)["swarms"]
    assert (first["epic_id"], first["coordinator"], first["total_issues"]) == (EPIC["id"], "bob", 2)
    assert second["epic_id"] == ""
    assert tried("swarm list").out == "No active swarms\n"


# -- create ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("flag", ["", " --dry-run"])
def test_a_swarm_is_an_issue_that_leads_to_its_epic(flag: str) -> None:
    ran = tried(f"swarm create x --coordinator bob{flag}")
    made = ran.asked[-1]
    assert isinstance(made, Create)
    assert (made.fields.title, made.fields.issue_type, made.fields.assignee) == ("Swarm: Epic\x1b", "molecule", "bob")
    assert [(edge.to, edge.type) for edge in made.edges] == [(EPIC["id"], "relates-to")]
    assert (made.metadata, made.dry_run) == ({"mol_type": "swarm"}, bool(flag))
    verb = "Would create" if flag else "Created"
    assert ran.out == f"✓ {verb} swarm: bd-000000000009 — Swarm: Epic\n"
    document = json.loads(tried("swarm create x --json").out)
    assert (document["swarm_id"], document["epic_id"]) == (SWARM["id"], EPIC["id"])


def test_any_other_issue_gets_an_epic_around_it() -> None:
    ran = tried("swarm create x --json", show=[TASK])
    script = ran.asked[-1]
    assert isinstance(script, Script)
    assert [step["method"] for step in script.steps] == ["create", "update", "create"]
    assert script.steps[1]["params"]["parent"] == "$1"
    assert script.steps[2]["params"]["edges"] == ({"to": "$1", "type": "relates-to"},)
    assert json.loads(ran.out)["epic_id"] == issue(7)["id"]


def test_a_second_swarm_wants_force() -> None:
    with pytest.raises(RefusedError, match="already exists") as caught:
        tried("swarm create x", query=page(SWARM))
    assert caught.value.code is Code.EXISTS
    assert tried("swarm create x --force", query=page(SWARM)).code == 0


def test_an_epic_that_waits_for_itself_gets_no_swarm() -> None:
    ring = CHILD | {"dependencies": [{"depends_on_id": BLOCKED["id"], "type": "blocks"}]}
    with pytest.raises(RefusedError, match="not swarmable"):
        tried("swarm create x", show=InTurn([[EPIC], [EPIC]]), graph=FAMILY | {"issues": [EPIC, ring, BLOCKED]})
