"""Which edge of a cycle is left out: the latest that closes it, and never a parent edge."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.issues.edge_types import PARENT
from mootd.engine.stored.layout import EDGE
from mootd.engine.views import cycles
from mootd.engine.views.cycles import WAITING, Cutter

EdgeName = tuple[int, int, str]
BLOCKS = "blocks"


class Drawing:
    """A graph by hand: edges in the order in which they were written."""

    def __init__(self) -> None:
        self.ranks: dict[EdgeName, bytes] = {}
        self.out: set[EdgeName] = set()
        self.settles = True
        """Whether each edge is added in a transaction of its own."""
        self.looks = 0
        """How many edges were looked at."""
        self.cutter = Cutter(self)

    def add(self, source: int, target: int, edge_type: str = BLOCKS, *, rank: int | None = None) -> None:
        """Add an edge, later than all others unless a rank is given."""
        self.ranks[source, target, edge_type] = (len(self.ranks) if rank is None else rank).to_bytes(2, "big")
        if edge_type in WAITING:
            self.cutter.check(source, target)
        if self.settles:
            self.cutter.settle()

    def remove(self, source: int, target: int, edge_type: str = BLOCKS) -> None:
        """Remove an edge."""
        del self.ranks[source, target, edge_type]
        self.out.discard((source, target, edge_type))
        self.cutter.reconsider()
        self.cutter.settle()

    # -- `Edges` -------------------------------------------------------------------------------------------------
    def edges(self, prefix: bytes, eid: int) -> Iterator[tuple[int, str, bytes]]:
        for (source, target, edge_type), rank in self.ranks.items():
            at, other = (source, target) if prefix == EDGE else (target, source)
            if at == eid:
                self.looks += 1
                yield other, edge_type, b"\0" + rank

    def left_out(self) -> list[EdgeName]:
        return sorted(self.out)

    def leave_out(self, source: int, target: int, edge_type: str, *, leave: bool) -> bool:
        before = len(self.out)
        (self.out.add if leave else self.out.discard)((source, target, edge_type))
        return len(self.out) != before


def drawing(*edges: tuple[int, int] | EdgeName) -> Drawing:
    made = Drawing()
    for edge in edges:
        made.add(*edge)
    return made


def by_definition(ranks: dict[EdgeName, bytes]) -> set[EdgeName]:
    """Blocking edges in order of rank, each left out that closes a cycle with the kept ones and the parent edges."""
    kept = {(source, target) for source, target, edge_type in ranks if edge_type == PARENT}
    out = set()
    for rank, (source, target, edge_type) in sorted((rank, edge) for edge, rank in ranks.items()):
        del rank
        if edge_type == PARENT or edge_type not in WAITING:
            continue
        reached, frontier = {target}, [target]
        while frontier:
            at = frontier.pop()
            new = {b for a, b in kept if a == at} - reached
            reached |= new
            frontier += new
        if source in reached:
            out.add((source, target, edge_type))
        else:
            kept.add((source, target))
    return out


def test_without_a_cycle_nothing_is_left_out() -> None:
    assert drawing((1, 2), (2, 3), (1, 3)).out == set()


def test_the_edge_that_closes_a_cycle_is_left_out() -> None:
    assert drawing((1, 2), (2, 3), (3, 1)).out == {(3, 1, BLOCKS)}


def test_it_is_the_latest_written_that_is_left_out_whatever_came_last() -> None:
    made = drawing((1, 2), (2, 3))
    made.ranks = {edge: rank[:1] + bytes([rank[1] + 10]) for edge, rank in made.ranks.items()}
    made.add(3, 1, rank=0)
    assert made.out == {(2, 3, BLOCKS)}


def test_an_issue_that_blocks_itself_does_not() -> None:
    assert drawing((1, 1)).out == {(1, 1, BLOCKS)}


def test_a_parent_edge_is_never_left_out() -> None:
    assert drawing((1, 2), (2, 1, PARENT)).out == {(1, 2, BLOCKS)}
    assert drawing((1, 2, PARENT), (2, 1, PARENT)).out == set()


def test_edges_along_which_nobody_waits_close_no_cycle() -> None:
    assert drawing((1, 2), (2, 1, "related"), (2, 1, "waits-for")).out == set()


def test_once_the_cycle_is_broken_the_edge_counts_again() -> None:
    made = drawing((1, 2), (2, 3), (3, 1))
    made.remove(1, 2)
    assert made.out == set()


def test_an_edge_that_two_cycles_close_stays_out_until_both_are_broken() -> None:
    made = drawing((1, 2), (2, 3), (1, 3), (3, 1))
    assert made.out == {(3, 1, BLOCKS)}
    made.remove(1, 2)
    assert made.out == {(3, 1, BLOCKS)}
    made.remove(1, 3)
    assert made.out == set()


def test_a_new_issue_on_which_nothing_depends_costs_a_few_looks_however_much_lies_ahead() -> None:
    made = drawing(*((step, step + 1) for step in range(2, 100)))
    made.looks = 0
    made.add(1, 2)
    assert made.looks <= 4


def test_a_cycle_that_is_longer_than_the_looks_edge_by_edge_is_found_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cycles, "_LOOKS", 10)
    made = drawing(*((at, at + 1) for at in range(1, 40)), (40, 1))
    assert made.out == {(40, 1, BLOCKS)}


def test_a_long_chain_that_comes_link_by_link_costs_a_few_looks_a_link() -> None:
    made = drawing()
    made.settles = False
    for at in range(1, 100):
        made.add(at, at - 1)
    made.cutter.settle()
    assert made.looks <= 4 * 100


NODES = st.integers(1, 5)


def test_many_edges_between_what_is_waited_for_and_what_waits_are_looked_for_at_once() -> None:
    made = drawing()
    made.settles = False
    for at in range(1, 40):
        made.add(at, at // 2)  # all of them wait for 0
        made.add(100 + at // 2, 100 + at)  # 100 waits for all of them
    made.cutter.settle()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cycles, "_LOOKS", 200)
        made.looks = 0
        for at in range(20):
            made.add(at % 2, 100 + at % 4 // 2, f"{'conditional-' * (at // 4 % 2)}{BLOCKS}")
        made.cutter.settle()
    assert made.out == set()
    assert made.looks <= 200 + len(made.ranks) + 2


@given(
    st.lists(st.tuples(NODES, NODES, st.sampled_from([BLOCKS, BLOCKS, "conditional-blocks", PARENT])), unique=True),
    st.data(),
)
def test_any_edges_in_any_order_leave_out_what_the_definition_says(edges: list[EdgeName], data: st.DataObject) -> None:
    made = Drawing()
    ranks = data.draw(st.permutations(range(len(edges))))
    for edge, rank in zip(edges, ranks, strict=True):
        made.add(*edge, rank=rank)
    assert made.out == by_definition(made.ranks)
    together = Drawing()
    together.settles = False
    for edge, rank in zip(edges, ranks, strict=True):
        together.add(*edge, rank=rank)
    together.cutter.settle()
    assert together.out == made.out
    for edge in data.draw(st.lists(st.sampled_from(edges), unique=True)) if edges else []:
        made.remove(*edge)
        assert made.out == by_definition(made.ranks)


@pytest.mark.parametrize("looks", [20_000, 30, 0])
def test_where_everybody_waits_for_everybody_one_transaction_looks_at_each_edge_a_few_times(
    looks: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cycles, "_LOOKS", looks)
    made = Drawing()
    made.settles = False
    for source in range(16):
        for target in set(range(16)) - {source}:
            made.add(source, target)
    made.looks = 0
    made.cutter.settle()
    assert made.looks <= 3 * len(made.ranks)
    assert made.out == by_definition(made.ranks)
    made.looks = 0
    made.remove(0, 1)
    assert made.looks <= 3 * len(made.ranks) + 3
    assert made.out == by_definition(made.ranks)
