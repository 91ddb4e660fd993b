"""How many issues there are, by what; and what keys tell of it is what the records say."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import Code
from moot_protocol.requests.issues import Close, Count, Delete, Labels, Stats
from moot_protocol.requests.listing import Filter
from moot_testkit.towns.engine import Desk, imported
from mootd.engine.listing import counting, lists
from mootd.engine.listing.candidates import Candidate
from mootd.engine.listing.counting import CountLists

HOUR_MS = 3_600_000
HOLDERS = ("", "bob", "bo", "bob b", "Ада", "b\1b", "y" * 250)
LABELS = ("red", "re", "red b", "", "b\1b", "y" * 250)
STATUSES = ("open", "closed", "pinned", "in_progress", "waiting for rain", "x" * 250)


@pytest.fixture
def some(desk: Desk) -> Desk:
    desk.create("mt-a", labels=("red", "blue"), assignee="bob", issue_type="bug", priority=1)
    desk.create("mt-b", labels=("red",), priority=1)
    desk.create("mt-c", project="other", issue_type="bug")
    desk.do(Close(actor="alice", id="mt-b"))
    return desk


@pytest.mark.parametrize(
    ("by", "groups"),
    [
        ("status", {"open": 2, "closed": 1}),
        ("priority", {1: 2, 2: 1}),
        ("type", {"bug": 2, "task": 1}),
        ("assignee", {"": 2, "bob": 1}),
        ("label", {"red": 2, "blue": 1, "": 1}),
        ("project", {"mt": 2, "other": 1}),
    ],
)
def test_issues_are_counted_in_groups(some: Desk, by: str, groups: dict[Any, int]) -> None:
    answer = some.ask(Count(by=by))
    assert answer["total"] == 3
    assert {row["group"]: row["count"] for row in answer["groups"]} == groups


def test_a_count_without_groups_is_a_total_of_what_matches(some: Desk) -> None:
    assert some.ask(Count()) == {"total": 3}
    assert some.ask(Count(all=False)) == {"total": 2}
    assert some.ask(Count(filter=Filter(labels=("red",)))) == {"total": 2}
    assert some.refusal(Count(by="colour")) is Code.INVALID


def test_labels_in_use_are_listed_with_their_counts(some: Desk) -> None:
    assert some.ask(Labels()) == [{"label": "blue", "count": 1}, {"label": "red", "count": 2}]
    assert some.ask(Labels(projects=("other",))) == []


def test_stats_count_each_state_and_the_mean_time_to_close(desk: Desk) -> None:
    assert desk.ask(Stats())["lead_time_hours"] == 0
    for name, status in (("mt-open", "open"), ("mt-doing", "in_progress"), ("mt-later", "deferred")):
        desk.create(name, status=status)
    desk.create("mt-pinned", pinned=True)
    desk.create("mt-blocked")
    desk.link("mt-blocked", "mt-open")
    for name in ("mt-done", "mt-undone", "mt-empty"):
        desk.create(name, issue_type="epic")
    desk.create("mt-child", parent="mt-done")
    desk.create("mt-other", parent="mt-undone")
    desk.clock.advance(HOUR_MS)
    desk.do(Close(actor="alice", id="mt-child"))
    desk.clock.advance(HOUR_MS)
    desk.do(Close(actor="alice", id="mt-pinned"))
    assert desk.ask(Stats()) == {
        "total": 10, "open": 6, "in_progress": 1, "closed": 2, "blocked": 1, "deferred": 1,
        "ready": len(desk.ready()), "pinned": 1, "epics_closable": 1, "lead_time_hours": 1.5,
    }  # fmt: skip
    assert desk.ask(Stats(projects=("none",)))["total"] == 0


def test_of_very_many_closed_issues_some_tell_how_long_they_took(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(9):
        desk.create(f"mt-{number}")
        desk.clock.advance(HOUR_MS)
        desk.do(Close(actor="alice", id=f"mt-{number}"))
    looked_at: list[int] = []

    def counted(eid: int, *more: Any) -> Candidate:
        looked_at.append(eid)
        return Candidate(eid, *more)

    monkeypatch.setattr(lists, "Candidate", counted)
    monkeypatch.setattr(counting, "MOST_TIMED", 3)
    assert desk.ask(Stats())["lead_time_hours"] == 1
    assert len(looked_at) == 3


def test_named_issues_are_counted_without_looking_at_others(some: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    some.create("mt-d")
    some.do(Delete(actor="alice", id="mt-d"))
    monkeypatch.setattr(CountLists, "_in_priority_order", None)
    named = ("mt-a", "mt-b", "mt-c", "mt-d", "mt-a")
    assert some.ask(Count(filter=Filter(ids=named), by="project"))["groups"] == [
        {"group": "mt", "count": 2}, {"group": "other", "count": 1},
    ]  # fmt: skip
    assert some.ask(Count(filter=Filter(ids=named), all=False)) == {"total": 2}
    assert some.ask(Count(filter=Filter(ids=named, statuses=("closed",)), all=False)) == {"total": 1}
    assert some.ask(Count(filter=Filter(ids=named, deleted=True), all=False)) == {"total": 1}
    assert some.refusal(Count(filter=Filter(ids=("mt-none",)))) is Code.NOT_FOUND


def test_who_holds_issues_is_told_without_looking_at_any(some: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CountLists, "_matching", None)
    assert some.ask(Count(by="assignee", all=False))["groups"] == [
        {"group": "", "count": 1}, {"group": "bob", "count": 1},
    ]  # fmt: skip


def test_labels_are_counted_without_looking_at_any_issue(some: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CountLists, "_matching", None)
    assert some.ask(Count(by="label", all=False)) == {
        "total": 2, "groups": [{"group": "", "count": 1}, {"group": "blue", "count": 1}, {"group": "red", "count": 1}],
    }  # fmt: skip
    assert some.ask(Labels(projects=("other",))) == []


def read_through(wanted: Filter) -> Filter:
    """A filter that means the same and can't be told by keys."""
    return Filter(projects=wanted.projects, statuses=wanted.statuses, created_after=-1)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(STATUSES),
            st.integers(0, 4),
            st.sampled_from(HOLDERS),
            st.sampled_from(["mt", "other"]),
            st.booleans(),
            st.sets(st.sampled_from(LABELS), max_size=3),
        ),
        max_size=8,
    )
)
def test_what_keys_tell_is_what_the_records_say(made: list[tuple[str, int, str, str, bool, set[str]]]) -> None:
    desk = Desk().found()
    for number, (status, priority, holder, project, is_deleted, labels) in enumerate(made):
        name = f"{project}-{number}"
        line = {"id": name, "title": "T", "status": status, "priority": priority, "assignee": holder}
        line["labels"] = sorted(labels)
        imported(desk, line, project=project)
        if is_deleted:
            desk.do(Delete(actor="alice", id=name))
    for by in ("", "status", "priority", "assignee", "label"):
        for wanted in (Filter(), Filter(projects=("mt",)), Filter(projects=("none",)), Filter(statuses=STATUSES[:3])):
            for closed in (True, False):
                told = desk.ask(Count(by=by, filter=wanted, all=closed))
                assert told == desk.ask(Count(by=by, filter=read_through(wanted), all=closed))
