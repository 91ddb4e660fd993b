"""What parts of filters, orders and totals mean, whoever holds the issues."""

from typing import Any

import pytest

from moot_protocol.errors import Code
from moot_protocol.requests.issues import Count, Labels, ListIssues
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.matching import (
    READY_SORTS,
    Times,
    check_ready_sort,
    has_metadata,
    hybrid_key,
    id_begins,
    labels_in_use,
    lead_time_hours,
    like,
    own_statuses,
    time_tests,
    wants_closed,
    within,
)
from moot_protocol.time_units import HOUR_MS
from moot_testkit.refusals import refusal


@pytest.mark.parametrize(
    ("request_", "wants"),
    [
        (ListIssues(), False), (ListIssues(all=True), True), (ListIssues(filter=Filter(closed_after=0)), True),
        (ListIssues(filter=Filter(closed_before=0)), True), (ListIssues(filter=Filter(statuses=("closed",))), False),
    ],
)  # fmt: skip
def test_a_list_shows_what_is_closed_where_all_or_a_time_of_closing_is_asked_for(
    request_: ListIssues, wants: bool
) -> None:
    assert wants_closed(request_) is wants


def test_statuses_of_a_project_s_own_have_a_category_and_those_of_every_project_keep_their_meaning() -> None:
    assert own_statuses("parked:frozen, bare,open:frozen") == {"parked": "frozen", "bare": ""}
    assert own_statuses("") == own_statuses("parked:of-a-later-release") == {}


@pytest.mark.parametrize(
    ("ms", "after", "before", "fits"),
    [
        (5, None, None, True), (5, 4, None, True), (5, 5, None, False), (5, None, 6, True), (5, None, 5, False),
        (5, 4, 6, True), (0, -1, 1, True), (None, None, None, False), (None, 4, 6, False), (5, 0, None, True),
        (5, None, 0, False),
    ],
)  # fmt: skip
def test_a_time_is_between_its_bounds_and_never_on_them(
    ms: int | None, after: int | None, before: int | None, fits: bool
) -> None:
    assert within(lambda _: ms, after, before)(None) is fits


TIMES = Times[dict[str, Any]](
    lambda each: each.get("created"),
    lambda each: each.get("updated"),
    lambda each: each.get("closed"),
    lambda each: each.get("due"),
    lambda each: each.get("defer_until"),
    lambda each: str(each["status"]),
)
NOW_MS = 100


@pytest.mark.parametrize("name", ["created", "updated", "closed", "due", "defer_until"])
def test_each_time_has_bounds_of_its_own(name: str) -> None:
    part = name.removesuffix("_until")
    bounds: dict[str, Any] = {f"{part}_after": 3, f"{part}_before": 6}
    wanted = Filter(**bounds)
    (test,) = time_tests(wanted, TIMES, NOW_MS)
    inside = dict.fromkeys(TIMES._fields, 9) | {name: 4, "status": "open"}
    assert test(inside)
    assert not test(inside | {name: 6})


@pytest.mark.parametrize(
    ("wanted", "issue", "fits"),
    [
        (Filter(overdue=True), {"status": "open", "due": 99}, True),
        (Filter(overdue=True), {"status": "open", "due": 100}, False),
        (Filter(overdue=True), {"status": "closed", "due": 99}, False),
        (Filter(overdue=True), {"status": "open"}, False),
        (Filter(deferred=True), {"status": "deferred"}, True),
        (Filter(deferred=True), {"status": "open", "defer_until": 101}, True),
        (Filter(deferred=True), {"status": "open", "defer_until": 100}, False),
        (Filter(deferred=True), {"status": "open"}, False),
    ],
)
def test_what_is_overdue_or_deferred_is_so_now(wanted: Filter, issue: dict[str, Any], fits: bool) -> None:
    (test,) = time_tests(wanted, TIMES, NOW_MS)
    assert test(issue) is fits


def test_ready_work_has_its_orders_and_no_other() -> None:
    for name in READY_SORTS:
        check_ready_sort(name)
    refused = refusal(lambda: check_ready_sort("updated"))
    assert (refused.code, refused.hint) == (Code.INVALID, "one of priority, oldest, hybrid")


def test_labels_in_use_are_those_that_are_counted_and_none_is_no_label() -> None:
    def count(request: Count) -> dict[str, Any]:
        assert request == Count(filter=Filter(projects=("mt",)), by="label")
        return {"total": 3, "groups": [{"group": "", "count": 2}, {"group": "red", "count": 1}]}

    assert labels_in_use(Labels(projects=("mt",)), count) == [{"label": "red", "count": 1}]


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("tech-*", "tech-debt", True), ("*", "", True), ("v?", "v1", True), ("v?", "v12", False),
        ("a*b*c", "axxbyybc", True), ("a*b*c", "axxbyyb", False), ("a*ab", "aab", True), ("*a*b", "ab", True),
        ("x.y", "xzy", False), ("a**b", "ab", True), ("*aab*", "aaab", True), ("", "", True), ("a*", "ba", False),
    ],
)  # fmt: skip
def test_a_pattern_has_signs_for_anything_and_for_one_character(pattern: str, text: str, fits: bool) -> None:
    assert bool(like(pattern)(text)) is fits


def test_no_pattern_is_slow() -> None:
    assert not like("a*" * 50 + "b")("a" * 1000)


@pytest.mark.parametrize(
    ("typed", "begins"), [("mt-ab", True), ("abc", True), ("mt-my-ab", False), ("bc", False), ("my", False), ("", True)]
)
def test_an_id_begins_with_its_prefix_or_behind_it(typed: str, begins: bool) -> None:
    assert id_begins("mt-abc", typed) is begins


@pytest.mark.parametrize(
    ("entries", "fits"),
    [
        ({"size": 3, "name": "x"}, True), ({"size": "3", "name": None}, True), ({"size": 4, "name": "x"}, False),
        ({"size": 3}, False), ({"name": "x"}, False), ({}, False), ([3, "x"], False), ("size name", False),
    ],
)  # fmt: skip
def test_metadata_has_every_entry_that_is_named_with_its_value_as_text(entries: Any, fits: bool) -> None:
    assert has_metadata(Filter(metadata={"size": "3"}, has_metadata=("name",)), entries) is fits


def test_values_of_metadata_that_are_no_texts_are_compared_in_canonical_form() -> None:
    entries = {"list": [1, {"b": 2, "a": True}]}
    assert has_metadata(Filter(metadata={"list": '[1,{"a":true,"b":2}]'}), entries)


def test_in_the_hybrid_order_issues_of_two_days_come_by_priority_and_then_the_oldest() -> None:
    now_ms = 1_000 * HOUR_MS
    ages = {"new-2": (1, 2), "old-0": (48, 0), "new-0": (47, 0), "newer-0": (2, 0), "older-3": (72, 3), "b": (47, 0)}
    keys = {name: hybrid_key(now_ms - hours * HOUR_MS, level, name, now_ms) for name, (hours, level) in ages.items()}
    assert sorted(keys, key=lambda name: keys[name]) == ["newer-0", "b", "new-0", "new-2", "older-3", "old-0"]


@pytest.mark.parametrize(("lead_ms", "hours"), [([], 0.0), ([HOUR_MS], 1.0), ([HOUR_MS, HOUR_MS // 6], 0.58)])
def test_lead_time_is_an_average_in_hours_to_two_places(lead_ms: list[int], hours: float) -> None:
    assert lead_time_hours(lead_ms) == hours
