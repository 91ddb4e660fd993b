"""stats: what it asks for, how totals are told, and who holds what isn't closed."""

import json
from typing import Any, cast

import pytest

from moot.console.commands.lists import statistics
from moot.console.commands.lists.statistics import COMMANDS
from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import Close, Count, Create, IssueFields, ListIssues, Stats
from moot_protocol.requests.listing import Filter, Page
from moot_testkit.clients.canned_api import CannedApi, run
from moot_testkit.clients.console import issue
from moot_testkit.clients.pouring import Pourer
from moot_testkit.clients.terminal import at_terminal, without_colours
from moot_testkit.towns.town import PROJECT

COLOURLESS = without_colours(at_terminal(72))
TOTALS = {
    "total": 120, "open": 30, "in_progress": 4, "closed": 80, "blocked": 5, "deferred": 6, "ready": 21, "pinned": 0,
    "epics_closable": 1, "lead_time_hours": 50.25,
}  # fmt: skip
COUNTS: dict[str, dict[Any, int]] = {
    "status": {"open": 30, "in_progress": 4, "deferred": 6, "closed": 80, "hooked": 9, "bl\x07ocked": 2},
    "assignee": {"": 12, "ada": 7, "bob\x07": 21},
    "type": {"bug": 12, "task": 28},
    "priority": {0: 10, 2: 20, 4: 10},
}


class Counting(CannedApi):
    """Answers counts by what is counted by; the last update was two hours ago."""

    def __init__(self, counts: dict[str, dict[Any, int]], **answers: Any) -> None:
        latest = Page(issues=[issue(updated_at="2026-01-31T10:00:00Z")], total=None, truncated=True)
        super().__init__(**{"stats": TOTALS, "list": latest, "count": None} | answers)
        self._counts = counts

    def call(self, request: Request[Any]) -> Any:
        found = super().call(request)
        if not isinstance(request, Count):
            return found
        groups = self._counts.get(request.by, {})
        return {"groups": [{"group": group, "count": count} for group, count in groups.items()]}


def test_statistics_are_read_at_a_glance() -> None:
    assert run(COMMANDS, "stats", Counting(COUNTS), COLOURLESS).out.splitlines() == [
        "120  total",
        " 21  ready",
        " 30  open",
        "  4  in progress",
        "  5  blocked",
        "  6  deferred",
        " 80  closed",
        "  0  pinned",
        "  1  epics closable",
        "  9  of status hooked",
        "  2  of status bl^Gocked",
        " 50  hours from created to closed on average",
        "",
        "Not closed, by who holds it:",
        " 21  bob^G",
        "  7  ada",
        " 12  nobody",
        "",
        "Not closed, by type:",
        " 28  task",
        " 12  bug",
        "",
        "Not closed, by priority:",
        " 10  P0",
        " 20  P2",
        " 10  P4",
        "",
        "Average priority of what isn't closed: 2.00",
        "Last update: 2026-01-31 10:00 UTC, 2h ago",
    ]


def test_without_issues_there_is_no_mean_of_anything() -> None:
    nothing = Page(issues=[], total=0, truncated=False)
    told = run(COMMANDS, "stats", Counting({}, stats={"total": 1, "lead_time_hours": 0.0}, list=nothing)).out
    assert told.startswith("1 total\n0 ready\n")
    assert told.endswith("0 epics closable\n")


def test_of_many_names_lines_tell_those_that_hold_most_and_documents_all() -> None:
    many = {f"agent-{number:02d}": 100 - number for number in range(23)}
    told = run(COMMANDS, "stats", Counting(COUNTS | {"assignee": many | {"": 1}})).out.splitlines()
    first = told.index("100 agent-00")
    assert told[first + 19 : first + 22] == ["81 agent-19", "237 3 others", "1 nobody"]
    document = json.loads(run(COMMANDS, "stats --json", Counting(COUNTS | {"assignee": many})).out)
    assert len(document["not_closed"]["assignees"]) == 23


def test_statistics_have_the_names_of_bd_and_what_is_not_closed_under_its_own() -> None:
    api = Counting(COUNTS)
    assert json.loads(run(COMMANDS, "stats --json", api).out) == {
        "summary": {
            "total_issues": 120,
            "open_issues": 30,
            "in_progress_issues": 4,
            "closed_issues": 80,
            "blocked_issues": 5,
            "deferred_issues": 6,
            "ready_issues": 21,
            "pinned_issues": 0,
            "epics_eligible_for_closure": 1,
            "average_lead_time_hours": 50.25,
        },
        "not_closed": {
            "total": 40,
            "assignees": [
                {"assignee": "bob\x07", "count": 21}, {"assignee": "", "count": 12}, {"assignee": "ada", "count": 7},
            ],
            "types": [{"type": "task", "count": 28}, {"type": "bug", "count": 12}],
            "priorities": [{"priority": 0, "count": 10}, {"priority": 2, "count": 20}, {"priority": 4, "count": 10}],
            "average_priority": 2.0,
        },
        "last_update": "2026-01-31T10:00:00Z",
    }  # fmt: skip
    assert api.asked[0] == Stats(projects=("bd",))
    wanted = Filter(projects=("bd",))
    assert [each for each in api.asked if isinstance(each, ListIssues)] == [
        ListIssues(filter=wanted, all=True, sort="updated", limit=1)
    ]
    assert all((each.filter, each.all) == (wanted, False) for each in api.asked if isinstance(each, Count))


def test_totals_may_be_of_a_plane() -> None:
    api = Counting(COUNTS)
    run(COMMANDS, "stats --json --plane team", api)
    assert api.asked[0] == Stats(plane="team")
    assert all(each.filter == Filter(plane="team") for each in api.asked[1:])


def test_types_of_very_many_issues_are_left_out_since_each_would_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MOST_READ", 39)
    api = Counting(COUNTS)
    told = run(COMMANDS, "stats", api).out
    left_out = "Types left out: each of the 40 issues would have to be read for them, which `{}` does\n"
    assert "by type:" not in told
    assert left_out.format("moot count --by-type") in told
    assert not any(each.by == "type" for each in api.asked if isinstance(each, Count))
    ran = run(COMMANDS, "stats --json", Counting(COUNTS))
    assert json.loads(ran.out)["not_closed"]["types"] is None
    assert ran.err == left_out.format("moot count --by-type")


def test_the_command_that_counts_types_is_told_for_the_same_issues(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MOST_READ", 39)
    argv = ["stats", "--assigned", "--project", "a", "--project", "b c", "--plane", "team\x1b"]
    told = run(COMMANDS, argv, Counting(COUNTS, ready=Page(issues=[], total=0, truncated=False)), actor="ada").out
    assert "`moot count --by-type --project a --project 'b c' --plane 'team^[' --assignee ada`" in told


def test_totals_may_be_of_what_one_holds() -> None:
    ready = Page(issues=[issue()], total=1, truncated=False)
    api = Counting({"status": {"open": 1, "closed": 2}}, ready=ready)
    summary = json.loads(run(COMMANDS, "stats --assigned --json", api, actor="ada").out)["summary"]
    assert api.asked[0].filter == Filter(projects=("bd",), assignee="ada")
    assert [summary[name] for name in ("total_issues", "open_issues", "closed_issues", "ready_issues")] == [3, 1, 2, 1]


def test_a_service_tells_it_all() -> None:
    town = Pourer()
    for number, assignee in enumerate(("ada", "ada", "bob", "")):
        fields = IssueFields(title="T", assignee=assignee, priority=number, issue_type="bug" if number else "task")
        town.call(Create(actor="ada", project=PROJECT, id=f"demo-{number}", fields=fields))
    town.call(Close(actor="ada", id="demo-1"))
    told = json.loads(run(COMMANDS, "stats --json", cast("CannedApi", town), project=PROJECT).out)
    assert told["not_closed"] == {
        "total": 3,
        "assignees": [
            {"assignee": "", "count": 1}, {"assignee": "ada", "count": 1}, {"assignee": "bob", "count": 1},
        ],
        "types": [{"type": "bug", "count": 2}, {"type": "task", "count": 1}],
        "priorities": [{"priority": number, "count": 1} for number in (0, 2, 3)],
        "average_priority": 1.667,
    }  # fmt: skip
    assert told["last_update"].startswith("2023-11-14T")
