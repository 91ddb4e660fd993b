"""Policies: what siblings show and when they are in conflict."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.merge.kinds import Policy
from moot_protocol.merge.lineage import Name
from moot_protocol.merge.policies import elements, keyed, maximum, read, total
from moot_protocol.merge.register import MISSING, Sibling
from moot_testkit.bytes.strategies import values
from moot_testkit.naive.entity_map import KeyHistory

ALICE, BOB, CAROL = (bytes([n]) * 32 for n in (1, 2, 3))

contents: st.SearchStrategy[Any] = (
    values
    | st.just(MISSING)
    | st.sampled_from(["", None, "a", "b", 1, 1.0, True, 0, ["1.0.0", "x"], ["1.0.0", "y"], ["2.0.0", "x"], ["k", "v"]])
    | st.sampled_from(["2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", 1_767_225_600_000, 1_767_225_600_000.5])
)
siblings_of_any_key: st.SearchStrategy[list[Sibling]] = st.lists(
    st.builds(Sibling, contents, st.integers(1, 3), st.sampled_from([ALICE, BOB, CAROL]), st.integers(1, 3)),
    max_size=5,
    unique_by=lambda sibling: (sibling.author, sibling.n),
)


def sibling(value: Any, hlc: int = 1, author: bytes = ALICE, n: int = 0) -> Sibling:
    return Sibling(value, hlc, author, n or hlc)


def fork(base: Any, *changed: Any) -> tuple[list[Sibling], KeyHistory]:
    """A first write and others over it, none of which saw another."""
    first = sibling(base, 1, CAROL)
    live = [sibling(value, 2 + place, bytes([10 + place]) * 32) for place, value in enumerate(changed)]
    writes: dict[Name, tuple[Sibling, list[Name]]] = {(CAROL, 1): (first, [])}
    writes |= {(s.author, s.n): (s, [(CAROL, 1)]) for s in live}
    return live, KeyHistory(writes)


def show(policy: Policy, *live: Sibling) -> tuple[Any, bool]:
    reading = read(policy, live)
    return reading.value, reading.conflict


# -- All policies --------------------------------------------------------------------------------------------------
@given(st.sampled_from(Policy), siblings_of_any_key, st.data())
def test_no_reading_depends_on_the_order_of_siblings(policy: Policy, live: list[Sibling], data: st.DataObject) -> None:
    assert repr(read(policy, live)) == repr(read(policy, data.draw(st.permutations(live))))


@given(st.sampled_from(Policy), siblings_of_any_key, st.data())
def test_no_reading_with_history_depends_on_the_order_of_siblings(
    policy: Policy, live: list[Sibling], data: st.DataObject
) -> None:
    base = (Sibling("a\nb", 0, bytes(32), 1), list[Name]())
    past = KeyHistory({(s.author, s.n): (s, [(bytes(32), 1)]) for s in live} | {(bytes(32), 1): base})
    assert repr(read(policy, live, past)) == repr(read(policy, data.draw(st.permutations(live)), past))


@pytest.mark.parametrize("policy", Policy)
def test_where_nothing_is_live_nothing_is_shown(policy: Policy) -> None:
    reading = read(policy, [])
    assert not reading.value
    assert reading.shown is None
    assert not reading.conflict


REGISTERS = [Policy.LATEST, Policy.EARLIEST, Policy.MAXIMUM, Policy.TEXT, Policy.VERSION, Policy.REVIEW]


@pytest.mark.parametrize("policy", REGISTERS)
def test_a_single_value_is_shown_and_an_empty_one_clears(policy: Policy) -> None:
    assert read(policy, [sibling(["1.0.0", "x"])]) == (["1.0.0", "x"], sibling(["1.0.0", "x"]), False)
    assert show(policy, sibling("")) == (None, False)
    assert show(policy, sibling(None)) == (None, False)
    assert show(policy, sibling(0)) == (0, False)
    assert show(policy, sibling(MISSING)) == (MISSING, False)


@pytest.mark.parametrize("policy", REGISTERS)
def test_equal_values_are_no_conflict(policy: Policy) -> None:
    assert show(policy, sibling("same", 1), sibling("same", 2, BOB)) == ("same", False)
    assert show(policy, sibling("", 1), sibling(None, 2, BOB)) == (None, False)


@pytest.mark.parametrize("policy", [Policy.LATEST, Policy.TEXT, Policy.VERSION, Policy.REVIEW])
def test_different_values_are_a_conflict(policy: Policy) -> None:
    assert show(policy, sibling("a", 1), sibling("b", 2, BOB))[1]
    assert show(policy, sibling("a", 1), sibling("", 2, BOB))[1]
    assert show(policy, sibling(1, 1), sibling(True, 2, BOB))[1]
    assert show(policy, sibling(1, 1), sibling(1.0, 2, BOB))[1]
    assert show(policy, sibling("a", 1), sibling(MISSING, 2, BOB))[1]
    assert show(policy, sibling("", 1), sibling(MISSING, 2, BOB))[1], "it may be something"


@pytest.mark.parametrize("policy", [Policy.EARLIEST, Policy.MAXIMUM, Policy.UNION, Policy.KEEP_BOTH, Policy.TOTAL])
def test_policies_that_keep_or_choose_without_loss_are_never_in_conflict(policy: Policy) -> None:
    assert not show(policy, sibling("a", 1), sibling("b", 2, BOB))[1]


@pytest.mark.parametrize("policy", [Policy.LATEST, Policy.EARLIEST, Policy.MAXIMUM, Policy.TEXT, Policy.VERSION])
def test_a_value_that_is_here_is_shown_before_one_that_is_missing(policy: Policy) -> None:
    for hlc in (1, 3):
        assert show(policy, sibling(MISSING, hlc), sibling("a", 2, BOB))[0] == "a"
        assert show(policy, sibling(MISSING, hlc), sibling(MISSING, 2, BOB))[0] is MISSING


# -- latest, earliest, maximum -------------------------------------------------------------------------------------
def test_latest_shows_the_highest_time_then_author_then_number() -> None:
    assert show(Policy.LATEST, sibling("old", 1, BOB), sibling("new", 2)) == ("new", True)
    assert show(Policy.LATEST, sibling("alice", 1), sibling("bob", 1, BOB)) == ("bob", True)
    assert show(Policy.LATEST, sibling("first", 1, n=1), sibling("second", 1, n=2)) == ("second", True)


def test_the_first_of_concurrent_claimers_keeps_the_issue() -> None:
    assert show(Policy.EARLIEST, sibling("bob", 2, BOB), sibling("alice", 1)) == ("alice", False)
    assert show(Policy.EARLIEST, sibling("bob", 1, BOB), sibling("alice", 1)) == ("alice", False)


def test_the_maximum_of_times_is_the_latest_instant_whatever_its_form() -> None:
    early, late = "2026-01-01T00:30:00Z", "2026-01-01T00:00:00-01:00"
    assert show(Policy.MAXIMUM, sibling(late, 1), sibling(early, 2, BOB))[0] == late
    assert show(Policy.MAXIMUM, sibling(1_767_225_600_000, 2), sibling(early, 1, BOB))[0] == early
    assert show(Policy.MAXIMUM, sibling(1_767_300_000_000, 1), sibling(early, 2, BOB))[0] == 1_767_300_000_000


def test_the_maximum_of_numbers_goes_by_value_and_anything_else_comes_below() -> None:
    assert show(Policy.MAXIMUM, sibling(10, 1), sibling(9, 2, BOB))[0] == 10
    assert show(Policy.MAXIMUM, sibling(-1, 1), sibling("no time", 2, BOB), sibling(True, 3))[0] == -1
    assert show(Policy.MAXIMUM, sibling(2**64 - 1, 1), sibling(1.5, 2, BOB))[0] == 2**64 - 1


@given(siblings_of_any_key.filter(bool))
def test_the_maximum_is_at_least_every_time(live: list[Sibling]) -> None:
    shown = maximum(live).value
    numbers = [s.value for s in live if type(s.value) in (int, float)]
    if numbers and not isinstance(shown, str):
        assert shown >= max(numbers)


# -- Set-like keys -------------------------------------------------------------------------------------------------
def test_a_union_shows_each_element_once_as_it_was_written_first() -> None:
    live = [sibling("b", 3), sibling("a", 2, BOB), sibling("b", 1, BOB), sibling(MISSING, 4)]
    assert [(s.value, s.hlc) for s in elements(live)] == [("b", 1), ("a", 2)]
    assert read(Policy.UNION, live).value == ["b", "a"]


def test_elements_that_only_python_takes_for_equal_are_different() -> None:
    assert read(Policy.UNION, [sibling(1, 1), sibling(True, 2), sibling(1.0, 3), sibling([1], 4)]).value == [
        1,
        True,
        1.0,
        [1],
    ]


def test_a_missing_element_alone_is_no_element() -> None:
    assert elements([sibling(MISSING)]) == []


def test_a_keyed_entry_shows_its_latest_content() -> None:
    live = [sibling(["x", "1"], 1), sibling(["x", "2"], 2, BOB), sibling(["y", "3"], 3)]
    entries = keyed(live)
    assert {name: (entry.value, entry.conflict) for name, entry in entries.items()} == {
        "x": ("2", True),
        "y": ("3", False),
    }
    assert read(Policy.KEYED, live) == ({"x": "2", "y": "3"}, None, True)


def test_an_empty_content_clears_its_entry_only() -> None:
    assert read(Policy.KEYED, [sibling(["x", None], 1), sibling(["y", "3"], 2)]).value == {"y": "3"}


@pytest.mark.parametrize("value", [MISSING, None, "x", ["x"], ["x", 1, 2], [1, "x"], {"x": 1}])
def test_what_is_no_entry_is_passed_over(value: Any) -> None:
    assert keyed([sibling(value), sibling(["x", "1"], 2)]).keys() == {"x"}


def test_keep_both_shows_every_sibling() -> None:
    assert read(Policy.KEEP_BOTH, [sibling("b", 2), sibling("a", 1, BOB)]) == (["a", "b"], None, False)


def test_a_total_adds_the_latest_number_of_each_author() -> None:
    assert total([sibling(5, 1, ALICE), sibling(7, 2, ALICE), sibling(10, 1, BOB), sibling("x", 1, CAROL)]) == 17
    assert total([sibling(5, 1, ALICE), sibling(True, 1, BOB)]) == 5, "true is no number"
    assert total([sibling(0.5, 1), sibling(1, 1, BOB)]) == 1.5
    assert total([sibling(1.7e308, 1), sibling(1.7e308, 1, BOB)]) == pytest.approx(1.7976931348623157e308)


# -- version -------------------------------------------------------------------------------------------------------
def test_the_highest_version_is_shown_however_late_a_lower_one_came() -> None:
    high, low = ["1.10.0", "high"], ["1.9.0", "low"]
    assert show(Policy.VERSION, sibling(high, 1), sibling(low, 2, BOB)) == (high, False)


def test_one_version_with_different_contents_is_a_conflict() -> None:
    assert show(Policy.VERSION, sibling(["1.0.0", "a"], 1), sibling(["1.0.0", "b"], 2, BOB)) == (["1.0.0", "b"], True)
    assert not show(Policy.VERSION, sibling(["1.0.0", "a"], 1), sibling(["1.0.0", "a"], 2, BOB))[1]
    assert not show(Policy.VERSION, sibling(["1.0.0", "a"], 1), sibling(["1.0.0+b", "a"], 2, BOB))[1]
    hidden = [sibling(["1.0.0", "a"], 1), sibling(["1.0.0", "b"], 2, BOB), sibling(["2.0.0", "c"], 3, CAROL)]
    assert show(Policy.VERSION, *hidden) == (["2.0.0", "c"], True)


def test_a_value_without_a_version_comes_below_all_that_have_one() -> None:
    assert show(Policy.VERSION, sibling(["0.0.1", "a"], 1), sibling(["latest", "b"], 2, BOB)) == (["0.0.1", "a"], False)


# -- text ----------------------------------------------------------------------------------------------------------
LINES = "one\ntwo\nthree\nfour"


def test_texts_changed_in_different_places_are_shown_merged() -> None:
    live, past = fork(LINES, LINES.replace("one", "1"), LINES.replace("four", "4"))
    reading = read(Policy.TEXT, live, past)
    assert reading.value == "1\ntwo\nthree\n4"
    assert not reading.conflict
    assert reading.shown == live[1]


@pytest.mark.parametrize(
    ("base", "changed"),
    [
        (LINES, (LINES.replace("one", "1"), LINES.replace("two", "2"))),
        (LINES, (LINES.replace("one", "1"), "")),
        (MISSING, (LINES.replace("one", "1"), LINES.replace("four", "4"))),
        (MISSING, ("", LINES)),
        (LINES, (MISSING, LINES)),
        (["no", "text"], (LINES.replace("one", "1"), LINES.replace("four", "4"))),
        (LINES, (LINES.replace("one", "1"), LINES.replace("four", "4"), LINES.replace("three", "3"))),
    ],
    ids=[
        "touching",
        "cleared",
        "erased ancestor",
        "erased ancestor, one cleared",
        "withheld sibling",
        "ancestor that is no text",
        "three siblings",
    ],
)
def test_a_text_that_does_not_merge_cleanly_shows_the_latest_in_conflict(base: Any, changed: Sequence[Any]) -> None:
    live, past = fork(base, *changed)
    assert read(Policy.TEXT, live, past)[::2] == (changed[-1] or None, True)


def test_texts_without_history_or_common_ancestor_show_the_latest_in_conflict() -> None:
    live, _ = fork(LINES, LINES.replace("one", "1"), LINES.replace("four", "4"))
    unrelated = KeyHistory({(s.author, s.n): (s, []) for s in live})
    for past in (None, unrelated):
        assert read(Policy.TEXT, live, past)[::2] == (live[1].value, True)


def test_a_text_whose_rest_was_deleted_on_both_sides_is_cleared() -> None:
    live, past = fork("a\nb\n", "b\n", "a\nb\n")
    assert read(Policy.TEXT, live, past)[::2] == ("b\n", False)


# -- review --------------------------------------------------------------------------------------------------------
def test_a_review_shows_what_was_agreed_before_the_fork() -> None:
    live, past = fork("agreed", "ours", "theirs")
    assert read(Policy.REVIEW, live, past) == ("agreed", None, True)


def test_a_review_of_two_beginnings_shows_nothing() -> None:
    live, _ = fork("", "ours", "theirs")
    unrelated = KeyHistory({(s.author, s.n): (s, []) for s in live})
    for past in (None, unrelated):
        assert read(Policy.REVIEW, live, past) == (None, None, True)


def test_a_review_of_an_erased_agreement_shows_it_as_missing() -> None:
    live, past = fork(MISSING, "ours", "theirs")
    assert read(Policy.REVIEW, live, past).value is MISSING
