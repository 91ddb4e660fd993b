"""The history of a key: what two writes have in common, found in one walk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.merge import lineage
from moot_protocol.merge.lineage import Name, agreed, nearest_common_ancestor
from moot_protocol.merge.register import Sibling
from moot_testkit.naive.entity_map import KeyHistory


def history(links: dict[int, list[int]], hlcs: dict[int, int] | None = None) -> KeyHistory:
    """Writes by number, each over others; the number is the time unless told otherwise."""
    return KeyHistory(
        {
            name(n): (Sibling(f"v{n}", (hlcs or {}).get(n, n), author(n), n), [name(link) for link in over])
            for n, over in links.items()
        }
    )


def author(n: int) -> bytes:
    return bytes([n % 3]) * 32


def name(n: int) -> Name:
    return (author(n), n)


@st.composite
def worlds(draw: st.DrawFn) -> dict[int, list[int]]:
    count = draw(st.integers(2, 12))
    return {n: draw(st.lists(st.integers(1, n - 1), max_size=3, unique=True)) if n > 1 else [] for n in range(1, count)}


def reachable(links: dict[int, list[int]], n: int) -> set[int]:
    """By the definition."""
    return {below for link in links[n] for below in {link, *reachable(links, link)}}


def test_the_write_both_started_from_is_their_nearest_common_ancestor() -> None:
    forked = history({1: [], 2: [1], 3: [2], 4: [2]})
    assert nearest_common_ancestor(forked, name(3), name(4)) == name(2)


def test_two_first_writes_have_no_common_ancestor() -> None:
    assert nearest_common_ancestor(history({1: [], 2: []}), name(1), name(2)) is None


def test_after_crossed_merges_no_ancestor_is_the_one() -> None:
    crossed = history({1: [], 2: [1], 3: [1], 4: [2, 3], 5: [2, 3]})
    assert nearest_common_ancestor(crossed, name(4), name(5)) is None


def test_the_last_write_before_a_fork_is_what_was_agreed() -> None:
    forked = history({1: [], 2: [1], 3: [2], 4: [2], 5: [3]})
    assert agreed(forked, [name(4), name(5)]) == name(2)


def test_nothing_is_agreed_where_one_side_started_from_nothing() -> None:
    assert agreed(history({1: [], 2: [1], 3: []}), [name(2), name(3)]) is None


def test_a_link_that_says_what_others_say_already_changes_nothing() -> None:
    repeated = history({1: [], 2: [], 3: [1, 2], 4: [3, 1], 5: [3]})
    assert agreed(repeated, [name(4), name(5)]) == name(3)


def test_what_was_agreed_again_after_a_fork_is_later_than_the_fork() -> None:
    joined = history({1: [], 2: [1], 3: [1], 4: [2, 3], 5: [4], 6: [4]})
    assert agreed(joined, [name(5), name(6)]) == name(4)


def test_a_link_to_a_later_time_is_not_followed() -> None:
    lying = history({1: [], 2: [1], 3: [1]}, {1: 10, 2: 2, 3: 30})
    assert nearest_common_ancestor(lying, name(2), name(3)) is None
    assert agreed(lying, [name(2), name(3)]) is None


def test_nothing_is_agreed_where_a_write_says_that_it_superseded_a_later_one() -> None:
    lying = history({1: [], 2: [1], 3: [2], 4: [2]}, {1: 30, 2: 2, 3: 3, 4: 4})
    assert nearest_common_ancestor(lying, name(3), name(4)) == name(2)
    assert agreed(lying, [name(3), name(4)]) is None


def test_links_in_a_circle_end() -> None:
    circle = history({1: [2], 2: [1]}, {1: 5, 2: 5})
    assert nearest_common_ancestor(circle, name(1), name(2)) is None
    assert agreed(circle, [name(1), name(2)]) is None


def test_walks_end_at_their_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "LINEAGE_STEPS", 5)
    links = {1: [], **{n: [max(1, n - 2)] for n in range(2, 30)}}
    assert nearest_common_ancestor(history(links), name(28), name(29)) is None
    assert agreed(history(links), [name(28), name(29)]) is None


def test_a_long_history_below_the_fork_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lineage, "LINEAGE_STEPS", 5)
    links = {1: [], **{n: [n - 1] for n in range(2, 100)}, 100: [98]}
    assert nearest_common_ancestor(history(links), name(99), name(100)) == name(98)
    assert agreed(history(links), [name(99), name(100)]) == name(98)


@given(worlds())
def test_the_nearest_common_ancestor_is_the_only_greatest_one(links: dict[int, list[int]]) -> None:
    for ours in links:
        for theirs in links:
            if ours in reachable(links, theirs) | {theirs} or theirs in reachable(links, ours):
                continue
            common = reachable(links, ours) & reachable(links, theirs)
            nearest = [n for n in common if not any(n in reachable(links, other) for other in common)]
            expected = name(nearest[0]) if len(nearest) == 1 else None
            assert nearest_common_ancestor(history(links), name(ours), name(theirs)) == expected


@given(worlds(), st.data())
def test_what_is_agreed_is_below_all_and_concurrent_with_none(links: dict[int, list[int]], data: st.DataObject) -> None:
    superseded = {link for over in links.values() for link in over}
    live = [n for n in links if n not in superseded]
    if not live:
        return
    among = set(live).union(*(reachable(links, n) for n in live))
    candidates = [
        n
        for n in among
        if all(n in reachable(links, m) for m in live if m != n)
        and all(m == n or m in reachable(links, n) or n in reachable(links, m) for m in among)
    ]
    expected = name(max(candidates)) if candidates else None
    assert agreed(history(links), [name(n) for n in data.draw(st.permutations(live))]) == expected
