"""What wants care: issues that lie still, that lack sections, and that are there twice."""

from typing import Any

import pytest

from moot_protocol.requests.issues import Close, Delete
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.queries import Duplicates, Lint, Stale
from moot_testkit.towns.engine import START_MS, Desk, ids_of

DAY_MS = 24 * 3600 * 1000


def stale(desk: Desk, days: int, **parts: Any) -> list[str]:
    return ids_of(desk.ask(Stale(before=desk.clock.now_ms() - days * DAY_MS, **parts)).issues)


# -- Stale -------------------------------------------------------------------------------------------------------
def test_what_nobody_has_changed_for_long_comes_oldest_first(desk: Desk) -> None:
    for name in ("mt-c", "mt-a", "mt-b"):
        desk.create(name)
        desk.clock.advance(DAY_MS)
    desk.update("mt-a", priority=0)
    desk.clock.advance(10 * DAY_MS)
    assert stale(desk, 5) == ["mt-c", "mt-b", "mt-a"]
    assert stale(desk, 12) == ["mt-c"]
    assert stale(desk, 5, limit=1) == ["mt-c"]


def test_projects_are_put_in_one_order(desk: Desk) -> None:
    for name, project in (("b-1", "b"), ("a-1", "a"), ("b-2", "b")):
        desk.create(name, project=project)
        desk.clock.advance(DAY_MS)
    assert stale(desk, 0) == ["b-1", "a-1", "b-2"]
    assert stale(desk, 0, filter=Filter(projects=("b",))) == ["b-1", "b-2"]


def test_closed_issues_are_stale_only_when_named_and_deleted_ones_never(desk: Desk) -> None:
    for name in ("mt-open", "mt-done", "mt-gone"):
        desk.create(name)
    desk.do(Close(actor="alice", id="mt-done"))
    desk.do(Delete(actor="alice", id="mt-gone"))
    desk.clock.advance(2 * DAY_MS)
    assert stale(desk, 1) == ["mt-open"]
    assert stale(desk, 1, filter=Filter(statuses=("closed",))) == ["mt-done"]


def test_a_time_before_all_time_finds_nothing(desk: Desk) -> None:
    desk.create("mt-a")
    assert desk.ask(Stale(before=-START_MS)).issues == []


# -- Lint --------------------------------------------------------------------------------------------------------
def missing(desk: Desk, *ids: str, **parts: Any) -> dict[str, list[str]]:
    answer = desk.ask(Lint(ids=ids, filter=Filter(**parts)))
    return {result["id"]: result["missing"] for result in answer["results"]}


def test_each_type_has_its_sections(desk: Desk) -> None:
    for issue_type in ("bug", "task", "feature", "epic", "chore"):
        desk.create(f"mt-{issue_type}", issue_type=issue_type)
    assert missing(desk) == {
        "mt-bug": ["## Steps to Reproduce", "## Acceptance Criteria"],
        "mt-task": ["## Acceptance Criteria"],
        "mt-feature": ["## Acceptance Criteria"],
        "mt-epic": ["## Success Criteria"],
    }
    assert missing(desk, types=("epic", "chore")) == {"mt-epic": ["## Success Criteria"]}
    assert missing(desk, "mt-task", "mt-chore") == {"mt-task": ["## Acceptance Criteria"]}


def test_sections_are_found_in_the_description_or_in_the_field_of_their_own(desk: Desk) -> None:
    desk.create("mt-bug", issue_type="bug", description="### steps to reproduce\nLook", acceptance_criteria="It works")
    desk.create("mt-epic", issue_type="epic", description="## Success criteria\nAll done")
    desk.create("mt-other", issue_type="epic", acceptance_criteria="All done")
    assert missing(desk) == {}
    assert desk.ask(Lint())["checked"] == 3


def test_a_result_tells_how_many_are_missing(desk: Desk) -> None:
    desk.create("mt-bug", "Broken", issue_type="bug")
    (result,) = desk.ask(Lint())["results"]
    assert (result["title"], result["type"], result["warnings"]) == ("Broken", "bug", 2)


# -- Duplicates --------------------------------------------------------------------------------------------------
def groups(desk: Desk, **parts: Any) -> list[tuple[str, list[str]]]:
    found = desk.ask(Duplicates(**parts))
    return [(group["suggested_target"], group["suggested_sources"]) for group in found]


def twins(desk: Desk, *names: str, **fields: Any) -> None:
    for name in names:
        desk.create(name, "Same", **fields)
        desk.clock.advance(1000)


def test_issues_that_say_the_same_are_a_group_and_the_oldest_stays(desk: Desk) -> None:
    twins(desk, "mt-b", "mt-a", "mt-c", description="Text")
    desk.create("mt-d", "Same", description="Other text")
    assert groups(desk) == [("mt-b", ["mt-a", "mt-c"])]


@pytest.mark.parametrize("field", ["description", "design", "acceptance_criteria", "status"])
def test_what_differs_in_a_text_or_in_status_is_no_duplicate(desk: Desk, field: str) -> None:
    twins(desk, "mt-a")
    desk.create("mt-b", "Same", **{field: "blocked"})
    assert groups(desk) == []


def test_what_most_hangs_on_stays(desk: Desk) -> None:
    twins(desk, "mt-a", "mt-b", "mt-c")
    desk.create("mt-below", parent="mt-c")
    desk.create("mt-needed")
    desk.link("mt-b", "mt-needed")
    (group,) = desk.ask(Duplicates())
    assert group["suggested_target"] == "mt-c"
    assert {each["id"]: each["weight"] for each in group["issues"]} == {"mt-a": 0, "mt-b": 1, "mt-c": 3}
    assert [each["children"] for each in group["issues"]] == [[], [], ["mt-below"]]
    assert [each["is_merge_target"] for each in group["issues"]] == [False, False, True]


def test_closed_issues_and_those_of_other_projects_are_no_duplicates(desk: Desk) -> None:
    twins(desk, "mt-a", "mt-b")
    desk.create("ot-a", "Same", project="ot")
    desk.do(Close(actor="alice", id="mt-b"))
    assert groups(desk) == []
    assert groups(desk, projects=("ot",)) == []
