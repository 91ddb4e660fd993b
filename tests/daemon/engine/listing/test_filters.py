"""Each part of a filter alone tells one issue from another, and all that are given must hold."""

import tracemalloc
from typing import Any

import pytest

from moot_protocol.errors import Code
from moot_protocol.requests.issues import Blocked, Close, Count, ListIssues, Ready
from moot_protocol.requests.listing import Filter
from moot_testkit.towns.engine import START_MS, Desk, ids_of
from mootd.engine.listing.filters import prefixes_below
from mootd.engine.stored import layout

YEAR_MS = 365 * 24 * 3600 * 1000
DUE_MS = 1_735_689_600_000
"""2025-01-01T00:00:00Z."""
SET = {
    "statuses": ("closed",), "exclude_statuses": ("open",), "types": ("bug",), "exclude_types": ("task",),
    "priorities": (0, 1), "assignee": "bob", "pinned": True, "projects": ("other",),
    "label_pattern": "bl?e", "label_regex": "^(blue|green)$", "external": "gh-9", "external_contains": "GH",
    "description_contains": "HAY", "notes_contains": "noted", "spec": "spec-",
    "defer_after": DUE_MS - 1, "defer_before": DUE_MS + 1,
    "labels": ("red", "blue"), "any_labels": ("red", "green"), "parent": "mt-top",
    "title_contains": "NEEDLE", "title_or_id": "NEED", "text_contains": "hAystack",
    "created_after": START_MS, "updated_after": START_MS, "closed_after": START_MS, "closed_before": START_MS + YEAR_MS,
    "due_after": DUE_MS - 1, "due_before": DUE_MS + 1,
    "metadata": {"size": "3", "name": "x"}, "has_metadata": ("size",), "ids": ("other-needle",),
}  # fmt: skip
"""Parts that the outstanding issue alone passes."""
PLAIN = {
    "statuses": ("open", "blocked"), "exclude_statuses": ("closed",), "types": ("task",), "exclude_types": ("bug",),
    "priorities": (2,), "unassigned": True, "pinned": False, "projects": ("mt",),
    "exclude_labels": ("green", "blue"), "empty_description": True, "no_labels": True, "no_parent": True,
    "ids": ("mt-plain",),
    "title_contains": "top", "title_or_id": "plai", "created_before": START_MS + 1, "updated_before": START_MS + 1,
}  # fmt: skip
"""Parts that the issue without anything of note passes, alone or with the parent."""


def test_what_keys_begin_with_is_found_once_each_however_many_there_are() -> None:
    desk = Desk().found()
    for name, status in (("a", "open"), ("b", "open"), ("c", "closed"), ("d", "blocked"), ("e", "open")):
        desk.create(f"mt-{name}", status=status)
    (number,) = desk.replica.projects.values()
    with desk.replica.read() as reader:
        entities = desk.entities(reader)
        found = list(prefixes_below(entities, layout.project_prefix(layout.STATUS, number)))
        none = list(prefixes_below(entities, layout.project_prefix(layout.STATUS, number + 1)))
    assert found == [layout.text_prefix(layout.STATUS, number, status) for status in ("blocked", "closed", "open")]
    assert none == []


@pytest.fixture
def desk() -> Desk:
    """A desk with a parent, an issue without anything of note, and one that has all."""
    made = Desk().found()
    made.create("mt-top", "At the top")
    made.create("mt-plain")
    made.clock.advance(1000)
    made.create(
        "other-needle", "A needle here", description="In a haystack", project="other", issue_type="bug", priority=1,
        assignee="bob", pinned=True, due_at="2025-01-01T00:00:00Z", labels=("red", "blue"), parent="mt-top",
        metadata={"size": 3, "name": "x"}, notes="Noted", spec_id="spec-9", defer_until="2025-01-01T00:00:00Z",
        external_ref="gh-9",
    )  # fmt: skip
    made.do(Close(actor="bob", id="other-needle"))
    return made


def matching(desk: Desk, **parts: Any) -> set[str]:
    return set(ids_of(desk.ask(ListIssues(filter=Filter(**parts), all=True, limit=0)).issues))


@pytest.mark.parametrize("part", sorted(SET))
def test_each_part_alone_finds_the_issue_that_has_it(desk: Desk, part: str) -> None:
    assert matching(desk, **{part: SET[part]}) == {"other-needle"}


@pytest.mark.parametrize("part", sorted(PLAIN))
def test_each_part_alone_leaves_out_the_issue_that_it_is_meant_to(desk: Desk, part: str) -> None:
    found = matching(desk, **{part: PLAIN[part]})
    assert found
    assert "other-needle" not in found


def test_every_part_has_an_example_here() -> None:
    elsewhere = {"overdue", "deferred", "deleted", "plane"}
    assert set(SET) | set(PLAIN) | elsewhere == set(Filter.__struct_fields__)


def test_all_parts_that_are_given_must_hold(desk: Desk) -> None:
    assert matching(desk, **SET) == {"other-needle"}
    for part, value in {"priorities": (2,), "any_labels": ("green",), "metadata": {"size": "4"}}.items():
        assert matching(desk, **{**SET, part: value}) == set()


def test_a_label_filter_wants_every_label_and_any_labels_one(desk: Desk) -> None:
    assert matching(desk, labels=("red", "green")) == set()
    assert matching(desk, any_labels=("green",)) == set()


@pytest.mark.parametrize("name", ["created", "updated", "closed", "due"])
def test_bounds_of_time_leave_the_bound_itself_out(desk: Desk, name: str) -> None:
    at = DUE_MS if name == "due" else START_MS + 1000
    assert "other-needle" in matching(desk, **{f"{name}_after": at - 1, f"{name}_before": at + 1})
    assert "other-needle" not in matching(desk, **{f"{name}_after": at})
    assert "other-needle" not in matching(desk, **{f"{name}_before": at})


def test_what_is_due_in_the_past_is_overdue_while_it_is_not_closed(desk: Desk) -> None:
    desk.create("mt-late", due_at="2025-01-01T00:00:00Z")
    assert matching(desk, overdue=True) == set()
    desk.clock.advance(2 * YEAR_MS)
    assert matching(desk, overdue=True) == {"mt-late"}


def test_what_has_a_time_ahead_is_deferred(desk: Desk) -> None:
    desk.create("mt-later", defer_until="2025-01-01T00:00:00Z")
    assert matching(desk, deferred=True) == {"mt-later", "other-needle"}
    desk.clock.advance(2 * YEAR_MS)
    assert matching(desk, deferred=True) == set()


def test_what_has_the_status_is_deferred_with_a_time_and_without_even_when_that_has_come(desk: Desk) -> None:
    desk.create("mt-dated", status="deferred", defer_until="2020-01-01T00:00:00Z")
    desk.create("mt-for-good", status="deferred")
    assert matching(desk, deferred=True) == {"mt-dated", "mt-for-good", "other-needle"}


def test_a_parent_has_descendants_at_any_depth_and_circles_of_parents_end(desk: Desk) -> None:
    desk.create("mt-below", parent="other-needle")
    assert matching(desk, parent="mt-top") == {"other-needle", "mt-below"}
    desk.link("mt-top", "mt-below", "parent-child", check_cycles=False)
    assert matching(desk, parent="mt-top") == {"mt-top", "other-needle", "mt-below"}
    assert desk.refusal(ListIssues(filter=Filter(parent="mt-none"))) is Code.NOT_FOUND


def test_search_finds_ids_by_their_beginnings_only(desk: Desk) -> None:
    for typed in ("mt-pl", "PLAIN", "mt-plain"):
        assert matching(desk, title_or_id=typed) >= {"mt-plain"}
    desk.create("mt-abcdef", "Nothing")
    assert matching(desk, title_or_id="abcd") == {"mt-abcdef"}
    assert matching(desk, title_or_id="cdef") == set()


def test_metadata_is_compared_as_text_and_must_be_there(desk: Desk) -> None:
    desk.create("mt-deep", metadata={"list": [1, "two"], "yes": True, "none": None})
    assert matching(desk, metadata={"yes": "true"}) == {"mt-deep"}
    assert matching(desk, has_metadata=("yes", "list")) == {"mt-deep"}
    assert matching(desk, has_metadata=("none",)) == {"mt-deep"}
    assert matching(desk, has_metadata=("yes", "size")) == set()


def test_every_list_takes_filters(desk: Desk) -> None:
    for name in ("mt-one", "mt-two"):
        desk.create(name, labels=(name,))
        desk.link(name, "mt-plain")
    wanted = Filter(labels=("mt-two",))
    assert ids_of(desk.ask(Blocked(filter=wanted)).issues) == ["mt-two"]
    assert desk.ask(Count(filter=wanted)) == {"total": 1}
    assert ids_of(desk.ask(Ready(filter=Filter(title_contains="top"))).issues) == ["mt-top"]
    assert ids_of(desk.ask(Ready(filter=wanted)).issues) == []


def test_several_statuses_are_one_order_and_each_issue_comes_once(desk: Desk) -> None:
    desk.create("mt-doing", status="in_progress", priority=0)
    request = ListIssues(filter=Filter(statuses=("open", "in_progress", "open"), exclude_types=("epic",)))
    assert ids_of(desk.ask(request).issues)[0] == "mt-doing"
    assert len(desk.ask(request).issues) == 3


def test_a_search_in_texts_keeps_none_of_them() -> None:
    desk = Desk().found()
    for number in range(40):
        desk.create(f"mt-{number}", description=f"{number} " + "x" * 50_000)
    desk.create("mt-found", description="a needle")
    tracemalloc.start()
    found = desk.ask(ListIssues(filter=Filter(text_contains="Needle")))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert ids_of(found.issues) == ["mt-found"]
    assert peak < 20 * 50_000
