"""query, stale and lint: what they ask of the daemon, and what they print."""

import json
from typing import Any

import pytest

from moot.console.commands.lists.queries import COMMANDS
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.listing import Filter, Page
from moot_protocol.requests.queries import Lint, Query, Stale
from moot_testkit.clients.canned_api import NOW_MS, CannedApi, Ran, run
from moot_testkit.clients.console import issue, run_console
from moot_testkit.clients.terminal import at_terminal

DAY_MS = 24 * 3600 * 1000
PAGE = Page(issues=[issue(1, title="Evil \x1b[31mred"), issue(2, assignee="bob")], total=2, truncated=False)
LINTED: dict[str, Any] = {
    "checked": 3,
    "results": [{"id": "bd-1", "title": "Evil\x07", "type": "bug", "missing": ["## A", "## B"], "warnings": 2}],
}


def tried(argv: str | list[str], **answers: object) -> Ran:
    return run(COMMANDS, argv, CannedApi(**{"query": PAGE, "stale": PAGE, "lint": LINTED} | answers))


# -- query -------------------------------------------------------------------------------------------------------
def test_a_query_is_asked_as_it_was_written() -> None:
    ran = tried(["query", "status=open AND", "priority<=1", "--all", "--sort", "updated", "-r", "-n", "3"])
    wanted = Query(
        text="status=open AND priority<=1", projects=("bd",), all=True, sort="updated", reverse=True, limit=3
    )
    assert ran.asked == [wanted]


def test_what_a_query_finds_is_listed_like_all_issues() -> None:
    assert tried("query type=task").out == (
        "bd-000000000001 P2 task open Evil ^[[31mred\nbd-000000000002 P2 task open @bob Issue 2\n"
    )
    assert tried("query type=task --fields id,title").out.startswith("bd-000000000001\tEvil ^[[31mred\n")
    assert json.loads(tried("query type=task --json").out) == PAGE.issues


def test_a_query_is_understood_without_asking_anything() -> None:
    ran = tried(["query", "type=1", "or", "NOT label=x", "--parse-only"])
    assert (ran.out, ran.asked) == ("Parsed query: (type=1 OR NOT label=x)\n", [])
    assert json.loads(tried("query type=1 --parse-only --json").out) == {"query": "type=1"}


def test_a_mistake_is_told_before_anything_is_asked() -> None:
    with pytest.raises(RefusedError, match="column 6: expected a value") as caught:
        tried("query type=")
    assert caught.value.code is Code.USAGE


# -- stale -------------------------------------------------------------------------------------------------------
def test_stale_counts_days_from_now() -> None:
    assert tried("stale --days 7 -s open,blocked -n 5").asked == [
        Stale(before=NOW_MS - 7 * DAY_MS, filter=Filter(projects=("bd",), statuses=("open", "blocked")), limit=5)
    ]
    assert tried("stale").asked == [Stale(before=NOW_MS - 30 * DAY_MS, filter=Filter(projects=("bd",)))]


def test_stale_tells_how_long_ago_it_was() -> None:
    page = Page(issues=[issue(1, updated_at="2026-01-01T00:00:00Z")], total=1, truncated=False)
    assert tried("stale", stale=page).out == "bd-000000000001 P2 task open 1mo ago Issue 1\n"
    assert json.loads(tried("stale --json", stale=page).out) == page.issues


def test_stale_issues_of_all_statuses_can_not_be_asked_for_by_that_word() -> None:
    with pytest.raises(RefusedError, match="named") as refused:
        tried("stale --status all")
    assert refused.value.code is Code.USAGE


def test_stale_needs_a_day_at_least() -> None:
    with pytest.raises(RefusedError, match="--days"):
        tried("stale --days 0")


# -- lint --------------------------------------------------------------------------------------------------------
def test_lint_looks_at_open_issues_unless_told_otherwise() -> None:
    assert tried("lint").asked == [Lint(filter=Filter(projects=("bd",), statuses=("open",)))]
    assert tried("lint --status all -t bug").asked == [Lint(filter=Filter(projects=("bd",), types=("bug",)))]
    named = tried("lint bd-1 bd-2").asked
    assert named == [Lint(ids=("bd-1", "bd-2"), filter=Filter(projects=("bd",), statuses=("open",)))]


def test_lint_tells_what_is_missing_and_ends_with_1() -> None:
    ran = tried("lint")
    assert ran.out == (
        "Template warnings (1 issue, 2 warnings):\nbd-1 [bug]: Evil^G\n  ⚠ Missing: ## A\n  ⚠ Missing: ## B\n"
    )
    assert ran.code == 1


def test_lint_cuts_a_title_that_the_terminal_has_no_room_for() -> None:
    result = LINTED["results"][0] | {"title": "long " * 20}
    answers = {"lint": LINTED | {"results": [result]}}
    assert run_console("lint", answers, facts=at_terminal(30)).out.splitlines()[1].endswith("[bug]: long long long lo…")
    assert "long " * 20 in run_console("lint", answers).out


def test_lint_that_finds_nothing_says_so() -> None:
    ran = tried("lint", lint={"checked": 3, "results": []})
    assert (ran.code, ran.out) == (0, "✓ No template warnings found (3 issues checked)\n")


def test_lint_as_json_counts_and_ends_with_0() -> None:
    ran = tried("lint --json")
    assert (ran.code, json.loads(ran.out)) == (0, {"total": 2, "issues": 1, "results": LINTED["results"]})
