"""Readiness is kept incrementally: after any changes in any grouping it equals a computation from its definition."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_testkit.naive.readiness import EXCLUDED_TYPES, Naive, NaiveEdge, NaiveIssue
from mootd.engine.stored import layout
from mootd.engine.stored.layout import Views
from mootd.engine.views import graph as graph_module
from mootd.engine.views import standing
from mootd.engine.views.graph import ALL_CHILDREN, ANY_CHILD, EdgeFacts, Graph, must_wait, pack_arrival
from mootd.engine.views.standing import Standing, StandingFacts
from mootd.store import memory_store
from mootd.store.memory_store import MemoryStore, MemoryWrite
from mootd.store.port import Table, WriteTransaction

VIEWS = Views(0)
CREATED_MS = 1000
EIDS = range(1, 7)
TYPES = ("blocks", "blocks", "conditional-blocks", "parent-child", "parent-child", "waits-for", "related")
State = dict[int, NaiveIssue[int]]


# -- A graph driven by hand ----------------------------------------------------------------------------------------
def facts_of(it: NaiveIssue[int]) -> StandingFacts:
    flags = standing.EXISTS
    flags |= standing.CLOSED if it.status == "closed" else 0
    flags |= standing.SETTLED if it.is_settled else 0
    flags |= standing.OPEN if it.is_to_do else 0
    flags |= standing.PINNED if it.pinned else 0
    issue_class = (it.issue_type in EXCLUDED_TYPES) * standing.EXCLUDED_TYPE + it.ephemeral * standing.EPHEMERAL
    return StandingFacts(flags, issue_class, 1, 2, CREATED_MS, 0, it.defer_ms)


def set_issue(graph: Graph, eid: int, it: NaiveIssue[int] | None, *, is_new: bool = False) -> None:
    """Tell the graph of an issue, one that it never heard of if it is new; None deletes it."""
    if it is None:
        graph.set_issue(eid, StandingFacts(0, 0, 0, 0, 0, 0, 0), {})
        return
    edges = {
        (edge.target, edge.type): EdgeFacts(edge.rank, ANY_CHILD if edge.any_child else ALL_CHILDREN)
        for edge in it.edges
    }
    (graph.set_new if is_new else graph.set_issue)(eid, facts_of(it), edges)


def flush(graph: Graph, transaction: WriteTransaction, now_ms: int) -> None:
    graph.settle()
    puts, deletes = graph.flush(now_ms)
    for key in deletes:
        transaction.delete(VIEWS.index, key)
    transaction.put_many(VIEWS.index, sorted(puts))


@pytest.fixture(autouse=True, scope="module")
def _each_edge_is_many() -> Iterator[None]:
    """So that few issues are enough for the graph to remember who waits for whom."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(graph_module, "_MANY", 1)
        yield


class Bench:
    """A graph in a store of its own, with the issues it was told of."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.now_ms = 100
        self.state: State = {}
        self.waiters: dict[int, list[int]] = {}

    def graph(self, transaction: WriteTransaction) -> Graph:
        """The graph in a transaction, or anew after what it wrote was taken back."""
        graph = Graph(transaction, VIEWS)
        graph.waiters = self.waiters
        return graph

    def unit(self, *changes: tuple[int, NaiveIssue[int] | None]) -> None:
        """One transaction in which issues change, one after the other."""
        with self.store.write() as transaction:
            graph = self.graph(transaction)
            graph.release_due(self.now_ms)
            new = {eid for eid, _ in changes if transaction.get(VIEWS.index, layout.standing_key(eid)) is None}
            for eid, it in changes:
                set_issue(graph, eid, it, is_new=eid in new)
                new.discard(eid)
            flush(graph, transaction, self.now_ms)
        self.waiters.update(graph.found_waiters)
        for eid, it in changes:
            if it is None:
                self.state.pop(eid, None)
            else:
                self.state[eid] = it

    def index(self) -> dict[bytes, bytes]:
        with self.store.read() as reader:
            return dict(reader.scan(VIEWS.index, b"\0"))

    def keys(self, prefix: bytes) -> set[bytes]:
        return {key for key in self.index() if key[:1] == prefix}

    def standing(self, eid: int) -> Standing:
        return Standing(eid, self.index().get(layout.standing_key(eid)))

    def blocked(self) -> set[int]:
        return {layout.eid_of(key) for key in self.keys(layout.BLOCKED)}

    def ready(self) -> set[int]:
        """What a reader takes for ready: READY, and what is due of DEFERRED, but for issues whose time is not now."""
        due = {key for key in self.keys(layout.DEFERRED) if key < layout.deferred_key(self.now_ms + 1, b"")}
        ready = {key for key in self.keys(layout.READY) if not key[3]}
        found = {layout.eid_of(key) for key in ready} | {layout.eid_of(key) for key in due if not key[11]}
        return {eid for eid in found if self.standing(eid).until_ms <= self.now_ms}

    def check(self) -> None:
        """Everything the graph keeps equals what its definition says."""
        naive = Naive(self.state)
        left_out = {layout.edge_parts(key) for key in self.keys(layout.CYCLE)}
        assert left_out == naive.left_out
        assert self.blocked() == naive.blocked
        assert self.ready() == naive.ready(self.now_ms)
        expected_edges = {(source, edge.target, edge.type) for source, it in self.state.items() for edge in it.edges}
        assert {layout.edge_parts(key) for key in self.keys(layout.EDGE)} == expected_edges
        assert {(to, at, kind) for at, to, kind in map(layout.edge_parts, self.keys(layout.BACK_EDGE))} == (
            expected_edges
        )
        placed: set[bytes] = set()
        for eid in self.state:
            kept = self.standing(eid)
            assert kept.blockers == len(naive.blockers(eid))
            assert kept.waits == len(naive.waits(eid))
            assert kept.blocked_parents == sum(parent in naive.blocked for parent in naive.parents(eid))
            assert kept.until_ms == naive.until_ms(eid)
            assert len(kept.index_keys()) == (eid in naive.blocked or naive.is_candidate(eid))
            placed.update(kept.index_keys())
        assert self.keys(layout.READY) | self.keys(layout.DEFERRED) | self.keys(layout.BLOCKED) == placed


def issue(*edges: Any, **parts: Any) -> NaiveIssue[int]:
    """An issue with edges given as (target, type) or (target, type, rank)."""
    made = []
    for position, (target, edge_type, *rest) in enumerate(edges):
        rank = rest[0] if rest else 1000 + position
        made.append(NaiveEdge(target, edge_type, rank.to_bytes(4, "big"), "any" in rest[1:]))
    return NaiveIssue(edges=made, **parts)


# -- Random changes ------------------------------------------------------------------------------------------------
class Step(NamedTuple):
    """One transaction: how the time moves, and groups of changes, each of which may be taken back."""

    time: int
    groups: list[tuple[bool, list[tuple[int, NaiveIssue[int] | None]]]]


@st.composite
def issues(draw: st.DrawFn, eid: int) -> NaiveIssue[int] | None:
    if draw(st.integers(0, 9)) == 0:
        return None
    edges: dict[tuple[int, str], NaiveEdge[int]] = {}
    for _ in range(draw(st.integers(0, 3))):
        target, edge_type = draw(st.sampled_from(range(1, 8))), draw(st.sampled_from(TYPES))
        # One write makes one edge, so no two edges have one rank.
        rank = bytes((draw(st.integers(0, 20)), eid, target, TYPES.index(edge_type)))
        edges[target, edge_type] = NaiveEdge(target, edge_type, rank, draw(st.booleans()))
    return NaiveIssue(
        status=draw(st.sampled_from(["open", "open", "open", "in_progress", "closed", "pinned", "deferred"])),
        pinned=draw(st.integers(0, 5)) == 0,
        issue_type=draw(st.sampled_from(["task", "task", "task", "gate"])),
        ephemeral=draw(st.integers(0, 5)) == 0,
        defer_ms=draw(st.sampled_from([0, 0, 0, 50, 100, 101, 150, 200])),
        edges=list(edges.values()),
    )


@st.composite
def steps(draw: st.DrawFn) -> Step:
    groups = []
    for _ in range(draw(st.integers(1, 3))):
        eids = draw(st.lists(st.sampled_from(EIDS), min_size=1, max_size=4))
        groups.append((draw(st.integers(0, 3)) == 0, [(eid, draw(issues(eid))) for eid in eids]))
    return Step(draw(st.sampled_from([100, 100, 149, 150, 99, 200, 50])), groups)


@given(st.lists(steps(), min_size=1, max_size=8))
def test_any_changes_in_any_grouping_leave_what_the_definition_says(taken: list[Step]) -> None:
    bench = Bench()
    for step in taken:
        bench.now_ms = step.time
        for taken_back, changes in step.groups:
            if not taken_back:
                bench.unit(*changes)
                bench.check()


class _TakenBackError(Exception):
    pass


@given(st.lists(steps(), min_size=1, max_size=6))
def test_savepoints_taken_back_and_kept_in_one_transaction_leave_what_the_definition_says(taken: list[Step]) -> None:
    bench = Bench()
    for step in taken:
        bench.now_ms = step.time
        with bench.store.write() as transaction:
            graph = bench.graph(transaction)
            graph.release_due(bench.now_ms)
            flush(graph, transaction, bench.now_ms)
            for taken_back, changes in step.groups:
                try:
                    with transaction.nested():
                        for eid, it in changes:
                            set_issue(graph, eid, it)
                        flush(graph, transaction, bench.now_ms)
                        end(taken_back=taken_back)
                except _TakenBackError:
                    graph = bench.graph(transaction)
                else:
                    apply(bench.state, changes)
        bench.waiters.update(graph.found_waiters)
        bench.check()


def end(*, taken_back: bool) -> None:
    if taken_back:
        raise _TakenBackError


def apply(state: State, changes: list[tuple[int, NaiveIssue[int] | None]]) -> None:
    for eid, it in changes:
        if it is None:
            state.pop(eid, None)
        else:
            state[eid] = it


@given(st.data())
def test_the_order_in_which_issues_come_does_not_show(data: st.DataObject) -> None:
    state = {eid: it for eid in EIDS if (it := data.draw(issues(eid))) is not None}
    benches = [Bench(), Bench()]
    benches[0].unit(*state.items())
    for change in data.draw(st.permutations(sorted(state.items(), key=lambda pair: pair[0]))):
        benches[1].unit(change)
    shown = [{k: v for k, v in bench.index().items() if k[:1] != layout.STANDING} for bench in benches]
    assert shown[0] == shown[1]


# -- Rules by example ----------------------------------------------------------------------------------------------
def built(*issues: NaiveIssue[int]) -> Bench:
    """A bench with issues 1, 2, 3, …, told one transaction each."""
    bench = Bench()
    for eid, it in enumerate(issues, 1):
        bench.unit((eid, it))
    bench.check()
    return bench


def test_an_open_target_of_blocks_and_of_conditional_blocks_blocks() -> None:
    bench = built(issue(), issue((1, "blocks")), issue((1, "conditional-blocks")), issue((1, "related")))
    assert bench.blocked() == {2, 3}
    assert bench.ready() == {1, 4}


def test_every_status_but_closed_and_pinned_holds_up() -> None:
    for status in ("open", "in_progress", "blocked", "deferred", "hooked", "anything"):
        assert built(issue(status=status), issue((1, "blocks"))).blocked() == {2}
    for status in ("closed", "pinned"):
        assert built(issue(status=status), issue((1, "blocks"))).blocked() == set()


def test_the_pinned_flag_keeps_an_issue_from_ready_and_still_blocks_others() -> None:
    bench = built(issue(pinned=True), issue((1, "blocks")))
    assert bench.ready() == set()
    assert bench.blocked() == {2}


def test_the_status_pinned_is_never_blocked_and_blocks_nothing() -> None:
    bench = built(issue(), issue((1, "blocks"), status="pinned"), issue((2, "blocks")))
    assert bench.blocked() == set()
    assert bench.ready() == {1, 3}


def test_missing_and_deleted_targets_hold_nothing_up() -> None:
    bench = built(issue((9, "blocks"), (9, "parent-child"), (9, "waits-for")))
    assert bench.ready() == {1}
    bench.unit((9, issue()))
    assert bench.blocked() == {1}
    bench.unit((9, None))
    bench.check()
    assert bench.ready() == {1}


def test_an_open_parent_does_not_block_and_a_blocked_one_does_at_any_depth() -> None:
    bench = built(issue(), issue(), issue((2, "parent-child")), issue((3, "parent-child")), issue((4, "parent-child")))
    assert bench.blocked() == set()
    bench.unit((2, issue((1, "blocks"))))
    bench.check()
    assert bench.blocked() == {2, 3, 4, 5}
    bench.unit((1, issue(status="closed")))
    bench.check()
    assert bench.blocked() == set()


def test_a_closed_child_between_does_not_carry_blockedness_on() -> None:
    bench = built(issue(), issue((1, "blocks")), issue((2, "parent-child")), issue((3, "parent-child")))
    assert bench.blocked() == {2, 3, 4}
    bench.unit((3, issue((2, "parent-child"), status="closed")))
    bench.check()
    assert bench.blocked() == {2}


def test_parents_in_a_circle_are_not_blocked_by_one_another() -> None:
    bench = built(issue((3, "parent-child")), issue((1, "parent-child")), issue((2, "parent-child")), issue())
    assert bench.blocked() == set()
    bench.unit((1, issue((3, "parent-child"), (4, "blocks"))))
    bench.check()
    assert bench.blocked() == {1, 2, 3}
    bench.unit((4, issue(status="closed")))
    bench.check()
    assert bench.blocked() == set()


def test_an_issue_that_is_its_own_parent_or_blocker_is_not_held_up_by_itself() -> None:
    bench = built(issue((1, "parent-child")), issue((2, "blocks")))
    assert bench.ready() == {1, 2}


def test_waiting_for_all_children_ends_when_the_last_is_closed_and_for_any_with_the_first() -> None:
    child: Callable[[str], NaiveIssue[int]] = lambda status: issue((1, "parent-child"), status=status)  # noqa: E731
    bench = built(issue(), child("open"), child("open"), issue((1, "waits-for", 7)), issue((1, "waits-for", 8, "any")))
    assert bench.blocked() == {4, 5}
    bench.unit((2, child("closed")))
    bench.check()
    assert bench.blocked() == {4}
    bench.unit((3, child("closed")))
    bench.check()
    assert bench.blocked() == set()
    bench.unit((3, None))
    bench.check()
    assert bench.blocked() == set()


def test_waiting_for_an_issue_without_children_or_for_one_that_is_gone_holds_nothing_up() -> None:
    bench = built(issue(), issue((1, "waits-for")), issue((1, "waits-for", 5, "any")))
    assert bench.blocked() == set()
    for gone in ((4, issue()), (1, None)):
        bench.unit((1, issue()), (4, child()))
        assert bench.blocked() == {2, 3}
        bench.unit(gone)
        assert bench.blocked() == set()


def test_an_issue_becomes_ready_when_its_time_and_that_of_its_parents_have_come_and_only_then() -> None:
    bench = built(issue(defer_ms=150), issue((1, "parent-child"), defer_ms=120), issue((2, "parent-child")))
    assert bench.ready() == set()
    bench.now_ms = 120
    assert bench.ready() == {3}, "only direct parents defer"
    bench.now_ms = 150
    assert bench.ready() == {1, 2, 3}
    bench.unit()
    assert not bench.keys(layout.DEFERRED)
    bench.now_ms = 100
    assert bench.ready() == set(), "the clock was set back"
    bench.unit((1, issue(defer_ms=150)))
    bench.check()
    assert bench.ready() == set()


def test_deferring_and_advancing_a_parent_moves_its_children() -> None:
    bench = built(issue(), issue((1, "parent-child")))
    bench.unit((1, issue(defer_ms=150)))
    bench.check()
    assert bench.ready() == set()
    bench.unit((1, issue(defer_ms=90)))
    bench.check()
    assert bench.ready() == {1, 2}


def test_what_is_deferred_until_some_time_is_ready_after_it_and_without_a_time_never() -> None:
    bench = built(issue(status="deferred", defer_ms=150), issue(status="deferred"), issue((1, "blocks")))
    assert (bench.ready(), bench.blocked()) == (set(), {3})
    bench.now_ms = 150
    assert (bench.ready(), bench.blocked()) == ({1}, {3}), "what is deferred still has to be done first"
    bench.unit((1, issue(status="deferred")))
    bench.check()
    assert bench.ready() == set()


def test_standings_made_by_earlier_rules_follow_these_once() -> None:
    bench = Bench()
    deferred = StandingFacts(standing.EXISTS, 0, 1, 2, CREATED_MS, 0, 150)
    status = layout.text_prefix(layout.STATUS, 1, "deferred") + layout.order_suffix(2, CREATED_MS, 0, 1)
    with bench.store.write() as transaction:
        graph = Graph(transaction, VIEWS)
        graph.set_issue(1, deferred, {})
        graph.set_issue(2, deferred._replace(defer_ms=0), {})
        for eid in (1, 2):
            transaction.put(VIEWS.index, status[:-8] + layout.eid_key(eid), b"")
        flush(graph, transaction, bench.now_ms)
    assert not bench.keys(layout.DEFERRED)
    for _ in range(2):
        with bench.store.write() as transaction:
            graph = Graph(transaction, VIEWS)
            graph.follow_rules([1])
            is_first = not graph.is_flushed
            flush(graph, transaction, bench.now_ms)
            transaction.put(Table.META, layout.ARRIVAL, pack_arrival(1))
        assert len(bench.keys(layout.DEFERRED)) == 1
    assert not is_first
    bench.now_ms = 150
    assert bench.ready() == {1}, "what was deferred without an end stays put"


def test_telling_an_issue_again_as_it_was_changes_nothing() -> None:
    bench = built(issue(), issue((1, "blocks")), issue((2, "parent-child")))
    before = bench.index()
    bench.unit(*[(eid, replace(it)) for eid, it in bench.state.items()])
    assert bench.index() == before


def test_closing_a_blocker_of_many_frees_them_in_one_transaction() -> None:
    bench = Bench()
    bench.unit((1, issue()), *[(eid, issue((1, "blocks", eid))) for eid in range(2, 200)])
    assert len(bench.blocked()) == 198
    bench.unit((1, issue(status="closed")))
    bench.check()
    assert len(bench.ready()) == 198


# -- Many children -------------------------------------------------------------------------------------------------
CHILDREN = 300


def child(**parts: Any) -> NaiveIssue[int]:
    return issue((1, "parent-child"), **parts)


def family() -> Bench:
    bench = Bench()
    bench.unit((1, issue()), *[(eid, child()) for eid in range(2, CHILDREN + 2)])
    return bench


def rows_read(work: Callable[[], object]) -> int:
    """How many rows the transactions of some work scan."""
    read = 0

    class Counting(MemoryWrite):
        def scan(self, *args: Any, **options: Any) -> Iterator[tuple[bytes, bytes]]:
            nonlocal read
            for row in super().scan(*args, **options):
                read += 1
                yield row

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(memory_store, "MemoryWrite", Counting)
        work()
    return read


def test_children_are_not_read_once_more_for_every_child_that_comes_with_them() -> None:
    assert rows_read(family) < 10 * CHILDREN


def test_nor_for_every_part_of_a_long_transaction() -> None:
    bench = Bench()

    def come() -> None:
        with bench.store.write() as transaction:
            graph = bench.graph(transaction)
            for eid in range(2, CHILDREN):
                set_issue(graph, eid, child(), is_new=True)
                flush(graph, transaction, bench.now_ms)

    assert rows_read(come) < 10 * CHILDREN


@pytest.mark.parametrize("it", [child(status="closed"), child(status="in_progress"), issue(), None])
def test_nor_when_one_is_changed_or_added_later_but_once_after_a_restart(it: NaiveIssue[int] | None) -> None:
    bench = family()
    assert rows_read(lambda: bench.unit((7, it))) < 20
    bench.waiters = {}
    assert CHILDREN <= rows_read(lambda: bench.unit((1001, child()))) < CHILDREN + 20
    bench.unit((2000, issue((1, "waits-for"))), *[(eid, child(status="closed")) for eid in range(2, CHILDREN // 2)])
    assert rows_read(lambda: bench.unit((CHILDREN // 2, it))) < 20, "who waits, and an open child, are found as soon"
    bench.check()


@pytest.mark.parametrize(("gate", "read"), [(ALL_CHILDREN, 3), (ANY_CHILD, 2)])
def test_of_children_that_somebody_waits_for_no_more_are_read_than_tell(gate: bytes, read: int) -> None:
    missing, closed, unclosed = (Standing(eid, None) for eid in range(3))
    closed.flags, unclosed.flags = standing.EXISTS | standing.CLOSED, standing.EXISTS
    children = iter([missing, closed, unclosed, closed, unclosed])
    assert must_wait(unclosed, children, gate) == (gate == ALL_CHILDREN)
    assert len(list(children)) == 5 - read
