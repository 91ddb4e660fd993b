"""count, stats: how many issues there are, in all and by what they have."""

import json
from typing import Any

from moot.console.commands.lists import COMMANDS
from moot_protocol.listing import Filter, Page
from moot_protocol.requests import Count, Stats
from moot_testkit.canned_api import CannedApi, run
from moot_testkit.console import issue, run_console
from moot_testkit.terminal import at_terminal, without_colours

COLOURLESS = without_colours(at_terminal(72))


def asked(argv: str) -> Any:
    """The only request of a command."""
    return run_console(argv, {"count": {"total": 0}}).request


GROUPS = {"total": 12, "groups": [{"group": "open", "count": 10}, {"group": "", "count": 2}]}


def test_counting_is_over_closed_issues_too_unless_a_status_is_named() -> None:
    assert asked("count") == Count(filter=Filter(projects=("bd",)))
    assert asked("count").all
    assert asked("count --by-label").by == "label"


def test_a_count_is_a_number() -> None:
    assert run(COMMANDS, "count", CannedApi(count={"total": 12})).out == "12\n"
    assert run(COMMANDS, "count --json", CannedApi(count={"total": 12})).out == '{"count":12}\n'


def test_groups_are_counted_line_by_line() -> None:
    assert run(COMMANDS, "count --by-status", CannedApi(count=GROUPS)).out == "10 open\n2 (none)\n12 total\n"
    assert run(COMMANDS, "count --by-status", CannedApi(count=GROUPS), COLOURLESS).out.splitlines() == [
        "10  open",
        " 2  (none)",
        "12  total",
    ]
    assert json.loads(run(COMMANDS, "count --by-status --json", CannedApi(count=GROUPS)).out) == GROUPS


TOTALS = {
    "total": 120, "open": 30, "in_progress": 4, "closed": 80, "blocked": 5, "deferred": 6, "ready": 21, "pinned": 0,
    "epics_closable": 1, "lead_time_hours": 50.25,
}  # fmt: skip


BY_STATUS = {
    "total": 131,
    "groups": [
        {"group": name, "count": count}
        for name, count in (
            ("open", 30), ("in_progress", 4), ("deferred", 6), ("closed", 80), ("hooked", 9), ("bl\x07ocked", 2)
        )
    ],
}  # fmt: skip


def test_statistics_are_read_at_a_glance() -> None:
    assert run(COMMANDS, "stats", CannedApi(stats=TOTALS, count=BY_STATUS), COLOURLESS).out.splitlines() == [
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
    ]


def test_without_closed_issues_there_is_no_mean_time() -> None:
    told = run(COMMANDS, "stats", CannedApi(stats={"total": 1, "lead_time_hours": 0.0}, count={"groups": []})).out
    assert told.startswith("1 total\n0 ready\n")
    assert "hours" not in told


def test_statistics_have_the_names_of_bd() -> None:
    api = CannedApi(stats=TOTALS)
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
        }
    }
    assert api.asked == [Stats(projects=("bd",))]


def test_totals_may_be_of_what_one_holds() -> None:
    counted = {"total": 3, "groups": [{"group": "open", "count": 1}, {"group": "closed", "count": 2}]}
    ready = Page(issues=[issue()], total=1, truncated=False)
    ran = run_console("stats --assigned --json", {"count": counted, "ready": ready})
    counting: Any = ran.asked[0]
    assert counting.filter == Filter(projects=("bd",), assignee="unknown")
    summary = ran.document["summary"]
    assert [summary[name] for name in ("total_issues", "open_issues", "closed_issues", "ready_issues")] == [3, 1, 2, 1]
