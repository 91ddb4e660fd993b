"""Deletions: what they say, and that one made without sight of an edit is in conflict with it in any order."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.clock import from_ms
from moot_protocol.log.event import Write
from moot_protocol.merge.deletion import (
    TO_BE_SEEN,
    beside_deletions,
    deletion,
    is_blind,
    is_deletion,
    is_planned,
    read_deletion,
    renewed,
    said,
    seen_by,
    seen_in,
    sighted,
    with_seen,
)
from moot_protocol.merge.register import MISSING, Live, Sibling
from moot_testkit.bytes.strategies import values
from moot_testkit.naive.entity_map import EntityMap

ALICE, BOB, CAROL = b"a" * 32, b"b" * 32, b"c" * 32
NOON = 1_767_225_600_000
Act = Callable[["Issue"], None]


class Issue(EntityMap):
    """An issue with a label, a comment, an edge and an assignee; one event a second."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0
        self.write(ALICE, Write("title", "T"), Write("assignee", "ann"), Write("labels", "red"))
        self.write(ALICE, Write("comments", ["text", None, None, None, {}]), Write("edges", ["bd-2", "blocks"]))

    def write(self, author: bytes, *writes: Write) -> None:
        self.seconds += 1
        self.apply(author, from_ms(NOON + 1000 * self.seconds), sighted(writes, self.live), "someone")

    def register(self, author: bytes, key: str, value: Any) -> None:
        self.write(author, Write(key, value, self.over(key)))

    def delete(self, author: bytes = ALICE, reason: str = "") -> None:
        self.register(author, "deleted", deletion("someone", reason, NOON))


EDITS: dict[str, Act] = {
    "a field": lambda issue: issue.register(BOB, "title", "Better"),
    "a claim": lambda issue: issue.register(BOB, "assignee", "bob"),
    "a field cleared": lambda issue: issue.register(BOB, "assignee", ""),
    "a label": lambda issue: issue.write(BOB, Write("labels", "blue")),
    "the same label": lambda issue: issue.write(BOB, Write("labels", "red")),
    "a comment": lambda issue: issue.write(BOB, Write("comments", ["text", None, None, None, {}])),
    "a dependency": lambda issue: issue.write(BOB, Write("edges", ["bd-3", "blocks", None, None, {}])),
    "a label removed": lambda issue: issue.write(BOB, Write("labels", None, issue.over("labels"), removes=True)),
    "an entry": lambda issue: issue.write(BOB, Write("metadata", ["k", "1"])),
    "an unknown field": lambda issue: issue.write(BOB, Write("novel", 1)),
}


# -- Sight -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_without_sight_of_a_deletion_is_in_conflict_with_it(edit: str) -> None:
    issue = Issue()
    issue.delete()
    assert not read_deletion(issue.live).conflict
    EDITS[edit](issue)
    assert is_blind(issue.live)
    reading = read_deletion(issue.live)
    assert (reading.conflict, reading.value) == (True, ["someone", "", NOON])


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_that_was_seen_is_in_none(edit: str) -> None:
    issue = Issue()
    EDITS[edit](issue)
    issue.delete()
    assert not read_deletion(issue.live).conflict


def test_a_deletion_made_anew_settles_the_conflict() -> None:
    issue = Issue()
    issue.delete()
    EDITS["a field"](issue)
    issue.delete()
    assert not read_deletion(issue.live).conflict


def test_the_time_of_a_change_is_no_edit() -> None:
    issue = Issue()
    issue.delete()
    issue.write(BOB, Write("updated_at", "2026-01-01T00:00:00Z"))
    assert not is_blind(issue.live)


def test_an_event_of_the_same_number_on_another_branch_was_not_seen() -> None:
    issue = Issue()
    issue.delete()
    (title,) = issue.live["title"]
    issue.live["title"] = [title._replace(leaf8=b"x" * 8)]
    assert is_blind(issue.live)


def test_what_is_missing_of_a_value_does_not_show() -> None:
    issue = Issue()
    issue.delete()
    issue.erase("title")
    assert not is_blind(issue.live)


def test_what_else_the_deleting_event_changes_its_writer_has_seen() -> None:
    issue = Issue()
    value = deletion("someone", "", NOON)
    issue.write(BOB, Write("deleted", value), Write("title", "Last", issue.over("title")), Write("labels", "blue"))
    assert not is_blind(issue.live)
    assert sorted(key for key, _ in beside_deletions(issue.live)) == ["assignee", "comments", "edges", "labels"]


def test_deletions_that_saw_the_same_agree_and_one_that_saw_all_is_enough() -> None:
    issue = Issue()
    first = sighted([Write("deleted", deletion("someone", "", NOON))], issue.live)
    EDITS["a label"](issue)
    issue.write(BOB, Write("deleted", deletion("someone", "", NOON)))
    issue.apply(CAROL, from_ms(NOON), first)
    assert len({seen_by(sibling.value) for sibling in issue.live["deleted"]}) == 2
    assert not read_deletion(issue.live).conflict


def test_deletions_that_each_missed_an_edit_of_the_other_are_in_conflict() -> None:
    issue = Issue()
    before = issue.live
    issue.live = dict(before)
    EDITS["a field"](issue)
    mine = sighted([Write("deleted", deletion("someone", "", NOON))], issue.live)
    issue.live = {**before, "labels": [*before["labels"], Sibling("blue", from_ms(NOON), CAROL, 1)]}
    theirs = sighted([Write("deleted", deletion("someone", "", NOON))], issue.live)
    EDITS["a field"](issue)
    issue.write(BOB, *mine)
    issue.write(CAROL, *theirs)
    assert read_deletion(issue.live).conflict


def test_deletions_that_say_different_things_are_in_conflict_whatever_they_saw() -> None:
    issue = Issue()
    both = [sighted([Write("deleted", deletion("someone", why, NOON))], issue.live) for why in ("one", "two")]
    issue.write(BOB, *both[0])
    issue.write(CAROL, *both[1])
    assert not is_blind(issue.live)
    assert read_deletion(issue.live).conflict


@pytest.mark.parametrize("value", [["a", "", 5], ["a", "", "", "bug"], ["a", "", 5, None, "x"], ["a", "", 5, None, 7]])
def test_a_deletion_that_tells_nothing_is_never_blind(value: list[Any]) -> None:
    issue = Issue()
    issue.register(ALICE, "deleted", value)
    EDITS["a field"](issue)
    assert not read_deletion(issue.live).conflict
    assert renewed(issue.live) is None


def test_an_issue_brought_back_is_in_no_conflict() -> None:
    issue = Issue()
    issue.delete()
    issue.register(ALICE, "deleted", "")
    EDITS["a field"](issue)
    assert read_deletion(issue.live) == (None, issue.live["deleted"][0], False)
    assert read_deletion({}) == (None, None, False)


# -- Writing -----------------------------------------------------------------------------------------------------
def test_who_changes_a_deleted_issue_writes_its_deletion_anew_unless_it_is_in_conflict() -> None:
    issue = Issue()
    assert renewed(issue.live) is None
    issue.delete(reason="why")
    again = renewed(issue.live)
    assert again == ["someone", "why", NOON, None, TO_BE_SEEN]
    EDITS["a field"](issue)
    assert renewed(issue.live) is None
    issue.register(ALICE, "deleted", again)
    assert not read_deletion(issue.live).conflict


def test_only_a_planned_deletion_is_completed() -> None:
    live = Issue().live
    for value in ("", None, ["a", "", 5], ["a", "", 5, "bug"], ["a", "", 5, None, "0" * 16]):
        writes = [Write("title", "T"), Write("deleted", value)]
        assert not is_planned(writes)
        assert sighted(writes, live) == writes
    planned = [Write("title", "T"), Write("deleted", deletion("a", "", 5))]
    assert is_planned(planned)
    assert sighted(planned, live) == [planned[0], Write("deleted", deletion("a", "", 5, seen_in(live)))]


def test_a_deletion_says_the_same_with_and_without_what_was_seen() -> None:
    for value in (["a", "why", 5], ["a", "why", "2026", "bug"]):
        seen = with_seen(value, "0" * 16)
        assert (said(value), said(seen), seen_by(value), seen_by(seen)) == (value, value, "", "0" * 16)
    assert said(MISSING) is MISSING


# -- Laws --------------------------------------------------------------------------------------------------------
@st.composite
def lives(draw: st.DrawFn) -> dict[str, list[Sibling]]:
    told = st.tuples(st.just("a"), st.just(""), st.just(5), st.none(), st.sampled_from(["", "0" * 16])).map(list)
    live: dict[str, list[Sibling]] = {}
    for n, key in enumerate(draw(st.lists(st.sampled_from(["deleted", "title", "labels", "updated_at"]), max_size=6))):
        value = draw((told if key == "deleted" else values) | values | st.just(MISSING))
        author = draw(st.sampled_from([ALICE, BOB]))
        live.setdefault(key, []).append(Sibling(value, n, author, draw(st.integers(1, 2)), "", bytes([n]) * 8))
    return live


def backwards(live: Live) -> Live:
    return {key: list(reversed(live[key])) for key in reversed(list(live))}


@given(lives())
def test_a_reading_is_of_what_is_live_whatever_its_order(live: dict[str, list[Sibling]]) -> None:
    assert read_deletion(live) == read_deletion(backwards(live))
    assert seen_in(live) == seen_in(backwards(live))
    assert is_blind(live) == is_blind(backwards(live))


@given(values)
def test_any_value_can_be_read(value: Any) -> None:
    live = {"deleted": [Sibling(value, 1, ALICE, 1)], "title": [Sibling("T", 1, ALICE, 2)]}
    assert read_deletion(live).conflict == is_blind(live) == bool(seen_by(value))
    assert is_deletion(value) or said(value) is value
