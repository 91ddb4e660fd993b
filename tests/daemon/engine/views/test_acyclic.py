"""Which edges are kept of a graph that must have no cycle, however it is gone about."""

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol import limits
from mootd.engine.views import acyclic
from mootd.engine.views.acyclic import Pair, closing, components

NODES = st.integers(1, 6)
EDGES = st.lists(st.tuples(NODES, NODES), max_size=24)
CROWD = [(source, target) for source in range(9) for target in range(9)]
"""Everybody waits for everybody."""


def reached(start: int, edges: Iterable[Pair]) -> set[int]:
    found, frontier = {start}, [start]
    while frontier:
        at = frontier.pop()
        new = {target for source, target in edges if source == at} - found
        found |= new
        frontier += new
    return found


def by_definition(fixed: Iterable[Pair], pairs: Sequence[Pair]) -> set[int]:
    """Each edge in order is left out that closes a cycle with the kept ones and the fixed ones."""
    kept, out = set(fixed), set()
    for place, (source, target) in enumerate(pairs):
        if source in reached(target, kept):
            out.add(place)
        else:
            kept.add((source, target))
    return out


@given(EDGES)
def test_components_are_what_leads_to_one_another_and_come_after_what_they_lead_to(edges: list[Pair]) -> None:
    leads = {at: [target for source, target in edges if source == at] for at in range(1, 7)}
    found = [set(each) for each in components(leads, lambda node: leads[node])]
    assert sorted(at for each in found for at in each) == list(leads)
    for place, each in enumerate(found):
        for at in each:
            ahead = reached(at, edges)
            assert each == {other for other in ahead if at in reached(other, edges)}
            assert ahead <= set().union(*found[: place + 1])


def test_a_path_of_any_length_is_followed() -> None:
    assert sum(1 for _ in components([0], lambda node: [node + 1] if node < 5000 else ())) == 5001


@pytest.mark.parametrize("in_table", [1, 3, 512])
@given(fixed=st.lists(st.tuples(NODES, NODES), max_size=4), pairs=EDGES)
def test_in_pieces_of_any_size_it_is_what_weighing_edge_by_edge_leaves_out(
    in_table: int, fixed: list[Pair], pairs: list[Pair]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(acyclic, "_IN_TABLE", in_table)
        assert closing(fixed, pairs) == by_definition(fixed, pairs)


@pytest.mark.parametrize("steps", [0, 200, 500])
def test_where_it_takes_too_many_steps_what_is_kept_has_no_cycle_and_begins_as_it_would(
    steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acyclic, "_IN_TABLE", 4)
    exact = closing([], CROWD)
    monkeypatch.setattr(acyclic, "CYCLE_STEPS", steps)
    found = closing([], CROWD)
    assert exact < found
    kept = [pair for place, pair in enumerate(CROWD) if place not in found]
    assert by_definition([], kept) == set()
    renamed = [(100 - source, 100 - target) for source, target in CROWD]
    assert closing([], renamed) == found, "whatever numbers a machine has given to issues"
    later = CROWD.index((4, 3))
    assert steps == 0 or closing([], CROWD[:later]) <= found


@pytest.mark.parametrize(("steps", "left_out"), [(12_000, 1255), (20_000, 1010), (40_000, 820)])
def test_how_steps_are_counted_is_the_same_in_every_release(
    steps: int, left_out: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acyclic, "CYCLE_STEPS", steps)
    assert len(closing([], [(source, target) for source in range(40) for target in range(40)])) == left_out


def test_so_is_their_number() -> None:
    assert limits.CYCLE_STEPS == 3_000_000


def test_a_long_chain_that_its_last_edge_closes_loses_that_one_only() -> None:
    chain = [(at, at + 1) for at in range(1100)]
    assert closing([], [*chain, (1100, 0)]) == {1100}
    assert closing([(1100, 0)], chain) == {1099}


def test_edges_that_close_cycles_by_themselves_are_kept_where_they_are_given() -> None:
    assert closing([(1, 2), (2, 1)], [(2, 3), (3, 1), (1, 2)]) == {1, 2}
