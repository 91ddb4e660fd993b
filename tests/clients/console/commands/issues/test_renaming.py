"""rename and rename-prefix: what they ask of the daemon, and what they print."""

import json
from typing import Any

import pytest

from moot.console.commands.issues.renaming import COMMANDS
from moot.console.commands.issues.show import Neighbours, issue_page
from moot.console.lines import issues as issue_lines
from moot.console.lines.confirm import naming
from moot.console.text.style import Style
from moot_protocol.errors import RefusedError
from moot_protocol.requests.actions import Rename
from moot_protocol.requests.issues import ListIssues, Script
from moot_protocol.requests.listing import Page
from moot_testkit.clients.canned_api import NOW_MS, CannedApi, Ran, run
from moot_testkit.clients.console import issue

ISSUES = [
    issue(1) | {"id": "bd-one"},
    issue(2) | {"id": "bd-two", "_alias": "bd-login"},
    issue(3) | {"id": "bd-three", "_alias": "other"},
    issue(4) | {"id": "gt-four"},
]


def tried(argv: str, **answers: Any) -> Ran:
    canned: dict[str, Any] = {
        "rename": issue(1, _alias="login\x1b"), "list": Page(issues=ISSUES, total=4, truncated=False), "script": [],
    }  # fmt: skip
    return run(COMMANDS, argv, CannedApi(**canned | answers))


def test_an_issue_gets_another_name() -> None:
    ran = tried("rename a1b2 login")
    assert ran.asked == [Rename(actor="alice", id="a1b2", alias="login")]
    assert ran.out == "✓ Renamed bd-000000000001 to login^[ (both mean it)\n"
    dry = tried("rename a1b2 login --dry-run --json")
    assert dry.asked == [Rename(actor="alice", id="a1b2", alias="login", dry_run=True)]
    assert json.loads(dry.out) == {"old_id": "bd-000000000001", "new_id": "login\x1b", "dry_run": True}


def test_an_issue_that_is_called_so_already_is_told_as_such() -> None:
    again = {"rename": issue(1, _alias="login\x1b", _unchanged=True)}
    assert tried("rename a1b2 login", **again).out == "Nothing to do: bd-000000000001 is called login^[ already\n"
    document = {"old_id": "bd-000000000001", "new_id": "login\x1b", "_unchanged": True}
    assert json.loads(tried("rename a1b2 login --json", **again).out) == document


def test_a_name_that_is_taken_away_means_the_issue_no_longer() -> None:
    ran = tried("rename login bd-000000000001", rename=issue(1))
    assert ran.out == "✓ Renamed bd-000000000001 to bd-000000000001\n"


def test_every_issue_of_the_project_gets_the_prefix_where_it_has_the_old_one() -> None:
    ran = tried("rename-prefix app-")
    listed, script = ran.asked
    assert isinstance(listed, ListIssues)
    assert (listed.filter.projects, listed.all, listed.limit) == (("bd",), True, 0)
    assert isinstance(script, Script)
    assert [(step["method"], step["params"]) for step in script.steps] == [
        ("rename", {"id": "bd-one", "alias": "app-one"}),
        ("rename", {"id": "bd-two", "alias": "app-login"}),
    ]
    assert ran.out.splitlines() == [
        "✓ Renamed 2 issues; their ids go on meaning them",
        "  New issues are still made as bd-…: a project keeps its name",
    ]


def test_a_prefix_can_be_tried() -> None:
    ran = tried("rename-prefix app --dry-run")
    assert "  bd-one → app-one" in ran.out.splitlines()
    assert getattr(ran.asked[-1], "dry_run", False)
    document = json.loads(tried("rename-prefix app --json").out)
    assert document == {"old_prefix": "bd", "new_prefix": "app", "issues_updated": 2}


def test_the_present_prefix_and_what_is_none_are_refused() -> None:
    for prefix in ("bd", "No Prefix"):
        with pytest.raises(RefusedError):
            run(COMMANDS, ["rename-prefix", prefix], CannedApi())


def test_an_alias_is_shown_in_the_place_of_the_id() -> None:
    style = Style(terminal=False, colour=False, width=80)
    page = Page(issues=[ISSUES[1]], total=1, truncated=False, short=[4])
    assert issue_lines.issue_rows(style, page, issue_lines.READY) == ["bd-login P2 task Issue 2"]
    assert issue_lines.node_line(style, "", ISSUES[1]) == "bd-login P2 task open Issue 2"
    assert naming(ISSUES[1]) == "bd-login — Issue 2"
    assert issue_page(style, ISSUES[1], Neighbours(), NOW_MS)[0] == "bd-login (bd-two) Issue 2"
