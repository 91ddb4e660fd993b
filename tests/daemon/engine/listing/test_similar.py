"""Issues with many words in common: the same pairs as comparing all with all, and a bounded cost."""

from array import array
from collections import Counter
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Close
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.queries import Similar
from moot_testkit.towns.engine import Desk
from mootd.engine.listing import similar
from mootd.engine.listing.similar import Found, Vocabulary, similar_pairs

SETS = st.lists(st.frozensets(st.integers(0, 12), max_size=9), max_size=12)
THRESHOLDS = st.sampled_from([0.05, 0.3, 0.5, 2 / 3, 0.75, 0.9, 1.0])


def pairs_of(sets: list[frozenset[int]], threshold: float) -> Found:
    often = Counter(number for numbers in sets for number in numbers)
    return similar_pairs([array("I", sorted(numbers)) for numbers in sets], often, threshold)


@given(SETS, THRESHOLDS)
def test_the_pairs_are_those_that_comparing_all_with_all_finds(sets: list[frozenset[int]], threshold: float) -> None:
    found = pairs_of(sets, threshold)
    naive = {
        (one, other)
        for one, other in combinations(range(len(sets)), 2)
        if sets[one] | sets[other] and len(sets[one] & sets[other]) / len(sets[one] | sets[other]) >= threshold
    }
    assert {(pair.first, pair.second) for pair in found.pairs} == naive
    assert found.complete


def test_comparing_ends_after_so_many_pairs_and_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    same = [frozenset({1, 2})] * 5
    monkeypatch.setattr(similar, "COMPARISONS", 3)
    found = pairs_of(same, 0.5)
    assert (found.compared, found.complete, len(found.pairs)) == (3, False, 3)
    monkeypatch.setattr(similar, "COMPARISONS", 20)
    assert pairs_of(same, 0.5).complete


def test_pairs_that_share_the_rarest_words_are_compared_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(similar, "COMPARISONS", 1)
    sets = [frozenset({1, 2, 3})] * 9 + [frozenset({1, 2, 50})] * 2
    found = pairs_of(sets, 0.5)
    assert [(pair.first, pair.second) for pair in found.pairs] == [(9, 10)]


def test_few_issues_meet_that_are_not_alike() -> None:
    sets = [frozenset({0, *range(10 * n + 1, 10 * n + 9)}) for n in range(200)]
    assert pairs_of(sets, 0.5).compared == 0


def test_words_are_compared_whatever_their_case_and_single_letters_are_none() -> None:
    vocabulary = Vocabulary()
    one = vocabulary.take("The Clock-Skew, a bug!", "")
    assert vocabulary.take("the clock-skew", "BUG") == one
    assert len(one) == 3


# -- Requests ----------------------------------------------------------------------------------------------------
@pytest.fixture
def desk() -> Desk:
    desk = Desk().found()
    desk.create("mt-a", "Login fails when the clock is ahead", description="Seen on Linux")
    desk.create("mt-b", "Login fails if the clock is ahead")
    desk.create("mt-c", "Nothing of the kind")
    desk.create("mt-d", "Login fails when the clock is ahead", description="Seen on Linux")
    return desk


def pairs(desk: Desk, **parts: Any) -> list[tuple[str, str, float]]:
    answer = desk.ask(Similar(**parts))
    assert answer["complete"]
    return [(each["issue_a_id"], each["issue_b_id"], each["similarity"]) for each in answer["pairs"]]


def test_the_most_alike_come_first(desk: Desk) -> None:
    found = pairs(desk, threshold=0.3)
    assert [{one, other} for one, other, _ in found[:1]] == [{"mt-a", "mt-d"}]
    assert found[0][2] == 1.0
    assert len(found) == 3
    assert len(pairs(desk, threshold=0.3, limit=2)) == 2
    assert desk.ask(Similar(threshold=0.3, limit=1))["found"] == 3
    assert pairs(desk, threshold=1.0) == found[:1]


def test_only_the_issues_asked_for_are_compared(desk: Desk) -> None:
    desk.do(Close(actor="alice", id="mt-d"))
    assert all("mt-d" not in pair for pair in pairs(desk, threshold=0.3))
    assert pairs(desk, threshold=0.3, filter=Filter(statuses=("closed",))) == []


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5])
def test_a_threshold_lies_between_nothing_and_all(desk: Desk, threshold: float) -> None:
    assert desk.refusal(Similar(threshold=threshold)) is Code.INVALID
    with pytest.raises(RefusedError, match=r"threshold of .* can't be used"):
        desk.ask(Similar(threshold=threshold))
