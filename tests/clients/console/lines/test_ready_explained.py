"""Why issues are ready or not: what each asks of the daemon, and what is printed."""

import json
from typing import Any

from moot.console.commands.lists.lists import COMMANDS
from moot_protocol.requests.issues import Blocked, Cycles, ListIssues, Ready
from moot_protocol.requests.listing import Filter, IssueDoc, Page
from moot_testkit.clients.canned_api import CannedApi, InTurn, Ran, run
from moot_testkit.clients.console import issue

FREE = issue(1)
FREED = issue(
    2, dependencies=[{"depends_on_id": "bd-0", "type": "blocks"}, {"depends_on_id": "bd-9", "type": "parent-child"}]
)
WAITING = issue(3, blocked_by=["bd-8", "bd-gone"], blocked_by_count=2)
BLOCKER = issue(8, title="Evil\x1b", description="Long") | {"id": "bd-8"}


def page(*issues: dict[str, Any]) -> Page:
    return Page(issues=list(issues), total=len(issues), truncated=False)


def tried(argv: str = "ready --explain", **answers: Any) -> Ran:
    canned: dict[str, Any] = {
        "ready": page(FREE, FREED), "blocked": page(WAITING), "list": page(BLOCKER), "cycles": [{"cycle": ["a", "b"]}],
    }  # fmt: skip
    return run(COMMANDS, argv, CannedApi(**canned | answers))


def test_each_ready_issue_tells_what_it_no_longer_waits_for_and_each_blocked_one_what_it_does() -> None:
    ran = tried("ready --explain -l ui")
    assert ran.out.splitlines() == [
        "Ready (2)",
        "  bd-000000000001 P2 task open Issue 1 (no blocking dependencies)",
        "  bd-000000000002 P2 task open Issue 2 (1 blocker resolved: bd-0)",
        "Blocked (1)",
        "  bd-000000000003 P2 task open Issue 3",
        "    waits for bd-8 P2 task open Evil^[",
        "    waits for bd-gone",
        "Cycle: a → b → a",
    ]
    ready, blocked, cycles, listed = ran.asked
    assert isinstance(ready, Ready)
    assert isinstance(blocked, Blocked)
    assert ready.filter == blocked.filter == Filter(projects=("bd",), labels=("ui",))
    assert cycles == Cycles()
    assert listed == ListIssues(filter=Filter(ids=("bd-8", "bd-gone")), all=True, limit=0)


def test_json_has_the_same_in_one_document() -> None:
    document = json.loads(tried("ready --explain --json").out)
    assert document["summary"] == {"total_ready": 2, "total_blocked": 1, "cycle_count": 1}
    free, freed = document["ready"]
    assert (free["reason"], free["resolved_blockers"]) == ("no blocking dependencies", [])
    assert (freed["resolved_blockers"], freed["parent"]) == (["bd-0"], "bd-9")
    (waiting,) = document["blocked"]
    assert [blocker["id"] for blocker in waiting["blocked_by"]] == ["bd-8", "bd-gone"]
    assert "description" not in waiting["blocked_by"][0]


def test_where_nothing_is_blocked_nothing_more_is_asked() -> None:
    ran = tried(ready=page(), blocked=page(), cycles=[])
    assert ran.out == "Ready (0)\nBlocked (0)\n"
    assert [request.method for request in ran.asked] == ["ready", "blocked", "cycles"]


def test_totals_are_of_all_though_fewer_are_told() -> None:
    def cut(shown: IssueDoc, total: int | None = None) -> Page:
        return Page(issues=[shown], total=total, truncated=True)

    ran = tried(
        "ready --explain --json -n 1",
        ready=InTurn([cut(FREE), page(FREE, FREED)]),
        blocked=InTurn([cut(WAITING), page(WAITING, FREE, FREED)]),
    )
    document = json.loads(ran.out)
    assert document["summary"] == {"total_ready": 2, "total_blocked": 3, "cycle_count": 1}
    assert (len(document["ready"]), len(document["blocked"])) == (1, 1)
    assert [request.limit for request in ran.asked if isinstance(request, Ready | Blocked)] == [1, 1, 0, 0]
    told = tried("ready --explain -n 1", ready=cut(FREE, total=7), blocked=page())
    assert told.out.splitlines()[0] == "Ready (7)"
    assert [request.method for request in told.asked] == ["ready", "blocked", "cycles"]
