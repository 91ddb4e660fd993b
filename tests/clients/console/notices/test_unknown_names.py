"""What is told of a status or type in a list's arguments that nobody has."""

from collections.abc import Sequence
from typing import Any

import pytest

from moot.console.commands.lists import lists, queries
from moot.console.notices.unknown_names import unknown_type
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.base import Request
from moot_protocol.requests.listing import Page
from moot_testkit.clients.canned_api import CannedApi, Ran, run

EMPTY = Page(issues=[], total=0, truncated=False)
SOME = Page(
    issues=[{"id": "wbe-1", "title": "One", "status": "open", "priority": 2, "issue_type": "task"}],
    total=1,
    truncated=False,
    short=[5],
)
GROUPS = {"total": 3, "groups": [{"group": "open", "count": 2}, {"group": "in\x07review", "count": 1}]}
SET = [{"key": "status.custom", "value": "parked:frozen"}, {"key": "types.custom", "value": "rite"}]


def listed(argv: str | Sequence[str], groups: object = GROUPS) -> Ran:
    answers = dict.fromkeys(("list", "ready", "blocked", "query", "stale"), EMPTY)
    api = CannedApi(count=groups, settings=SET, lint={"checked": 0, "results": []}, **answers)
    return run((*lists.COMMANDS, *queries.COMMANDS), argv, api)


@pytest.mark.parametrize(
    "argv",
    [
        "list --status opne", "list --status open,opne --json", "search x -s opne", "count --status opne",
        "query status=opne", ["query", "NOT (type=bug OR status!=opne)"], "stale -s opne", "lint -s opne",
    ],
)  # fmt: skip
def test_a_status_that_nobody_has_is_told_with_those_that_there_are(argv: str | list[str]) -> None:
    ran = listed(argv)
    assert ran.code == 0, "bd answers so, and programs go by it"
    assert ran.err.startswith(
        "No issue has the status 'opne'; there are blocked, closed, deferred, hooked, in^Greview, in_progress, open, "
        "parked, pinned\n"
    )


@pytest.mark.parametrize("flag", ["--status", "--type", "--project"])
def test_of_a_name_that_is_huge_the_middle_is_left_out(flag: str) -> None:
    run_list = of_project if flag == "--project" else listed
    err = run_list(f"list {flag} {'x' * 20_000}").err
    assert "x…x" in err
    assert len(err) < 2_000


@pytest.mark.parametrize("argv", ["list -t foo", "ready -t foo", "blocked -t foo", "count -t foo", "query type=foo"])
def test_so_is_a_type(argv: str) -> None:
    err = listed(argv).err
    assert err.startswith("No issue has the type 'foo'; there are ")
    assert "gate" in err
    assert "rite" in err


@pytest.mark.parametrize(
    "argv",
    [
        "list -s open,closed -t feat", "list -s all", "list -s parked", "list -t rite", "list -s in\x07review",
        "query status~opn", "query status=o*", "query status!=none", "query title=opne", "search opne", "list",
    ],
)  # fmt: skip
def test_names_that_somebody_has_are_not_told_of(argv: str) -> None:
    assert "No issue has" not in listed(argv).err


def of_project(argv: str, page: Page = EMPTY) -> Ran:
    status = {"projects": [{"project": "web"}, {"project": "in\x07fra"}]}
    return run(lists.COMMANDS, argv, CannedApi(list=page, ready=EMPTY, status=status))


@pytest.mark.parametrize("argv", ["list --project wbe", "ready --rig wbe", "list --project web,wbe --json"])
def test_so_is_a_project_that_has_no_issue_and_no_folder_here(argv: str) -> None:
    ran = of_project(argv)
    assert (ran.code, ran.err.splitlines()[0]) == (
        0, "No issue is of a project 'wbe'; on this machine there are in^Gfra, web",
    )  # fmt: skip


@pytest.mark.parametrize("argv", ["list --project web", "list --project all", "list"])
def test_a_project_that_is_here_and_all_of_them_are_not_told_of(argv: str) -> None:
    assert "No issue is of" not in of_project(argv).err


def test_a_project_whose_issues_came_from_elsewhere_is_not_told_of() -> None:
    assert "No issue is of" not in of_project("list --project wbe", page=SOME).err


def test_the_names_of_every_project_cost_no_request() -> None:
    assert [each.method for each in listed("list -s open -t bug,feat").asked] == ["list"]


def test_a_query_that_is_only_parsed_asks_nothing() -> None:
    assert listed("query status=opne --parse-only").asked == []


def test_what_cannot_be_asked_keeps_no_list_back() -> None:
    ran = listed("list -s opne", RefusedError("no", code=Code.DENIED))
    assert (ran.code, "No issue has" in ran.err) == (0, False)


# -- Clients that await ------------------------------------------------------------------------------------------
async def said_of(name: str, projects: Sequence[str] = ("bd",), **answers: object) -> tuple[str, CannedApi]:
    api = CannedApi(**{"count": GROUPS, "settings": SET, **answers})

    async def ask(request: Request[Any]) -> Any:
        return api.call(request)

    return await unknown_type(ask, name, projects), api


async def test_who_awaits_is_told_the_same_of_a_type() -> None:
    assert (await said_of("Bug"))[0].startswith("No issue has the type 'Bug'; there are ")
    assert "rite" in (await said_of("Bug"))[0]


@pytest.mark.parametrize("name", ["", "bug", "rite", "open"])
async def test_and_nothing_of_one_that_somebody_has(name: str) -> None:
    said, api = await said_of(name)
    assert said == ""
    assert bool(api.asked) == (name in {"rite", "open"}), "what every project has isn't asked for"


async def test_what_may_not_be_asked_is_no_failure_there_either() -> None:
    assert (await said_of("Bug", count=RefusedError("no", code=Code.DENIED)))[0] == ""
