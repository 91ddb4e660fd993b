"""From an issue's standing follows the one index it stands in."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mootd.engine.stored import layout
from mootd.engine.views.standing import (
    BLOCKED,
    CLOSED,
    EPHEMERAL,
    EXCLUDED_TYPE,
    EXISTS,
    OPEN,
    PARKED,
    PINNED,
    SETTLED,
    Standing,
    StandingFacts,
    rows_of_new,
)


def standing(flags: int, **facts: int) -> Standing:
    made = Standing(7, None)
    made.flags = flags
    for fact, value in facts.items():
        setattr(made, fact, value)
    return made


def indexes(it: Standing) -> list[bytes]:
    return [key[:1] for key in it.index_keys()]


def test_a_standing_comes_back_as_it_was_packed() -> None:
    facts = {"issue_class": 3, "project": 5, "priority": 2, "created_ms": 1, "tie": 9, "defer_ms": 2, "until_ms": 3}
    counters = {"blockers": 4, "blocked_parents": 5, "waits": 6}
    packed = standing(EXISTS | OPEN, **facts, **counters).pack()
    again = Standing(7, packed)
    assert again.pack() == packed
    assert {name: getattr(again, name) for name in (*facts, *counters)} == facts | counters
    assert again.flags == EXISTS | OPEN


def test_a_mere_reference_stands_nowhere() -> None:
    assert indexes(Standing(7, None)) == []
    assert not Standing(7, None).holds_up


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (EXISTS | OPEN, [layout.READY]),
        (OPEN, []),
        (EXISTS, []),
        (EXISTS | OPEN | PINNED, []),
        (EXISTS | CLOSED | SETTLED, []),
        (EXISTS | OPEN | PARKED, [layout.DEFERRED]),
        (EXISTS | OPEN | BLOCKED, [layout.BLOCKED]),
        (EXISTS | BLOCKED, [layout.BLOCKED]),
        (EXISTS | OPEN | BLOCKED | PARKED, [layout.BLOCKED]),
        (OPEN | BLOCKED, []),
    ],
)
def test_an_issue_stands_in_one_index_or_none(flags: int, expected: Sequence[bytes]) -> None:
    assert indexes(standing(flags, until_ms=5)) == expected


@pytest.mark.parametrize(
    ("flags", "holds_up"), [(EXISTS, True), (EXISTS | SETTLED, False), (0, False), (SETTLED, False)]
)
def test_only_what_exists_and_is_not_settled_holds_others_up_or_is_blocked(flags: int, *, holds_up: bool) -> None:
    it = standing(flags, blockers=1)
    assert it.holds_up is holds_up
    assert it.should_be_blocked is holds_up
    assert it.has_own_cause is holds_up


@pytest.mark.parametrize(("counter", "is_own"), [("blockers", True), ("waits", True), ("blocked_parents", False)])
def test_each_counter_blocks_but_a_blocked_parent_is_no_cause_of_its_own(counter: str, *, is_own: bool) -> None:
    assert not standing(EXISTS).should_be_blocked
    it = standing(EXISTS, **{counter: 1})
    assert it.should_be_blocked
    assert it.has_own_cause is is_own


def test_an_issue_is_parked_until_its_time_has_come() -> None:
    it = standing(EXISTS | OPEN, until_ms=100)
    parked = []
    for now_ms in (99, 100, 99):
        it.place(now_ms)
        parked.append(bool(it.flags & PARKED))
    assert parked == [True, False, True]


def _of(flags: int, facts: tuple[int, ...], counters: tuple[int, ...]) -> Standing:
    names = ("issue_class", "project", "priority", "created_ms", "tie", "until_ms")
    counts = ("blockers", "blocked_parents", "waits")
    return standing(flags, **dict(zip(names, facts, strict=True)), **dict(zip(counts, counters, strict=True)))


@st.composite
def _changes(draw: st.DrawFn) -> tuple[Standing | None, Standing]:
    """A standing before, or none, and after: each part of it as it was, or another."""
    flags, facts, counters = (
        st.integers(0, 255),
        st.tuples(*[st.integers(0, 2)] * 6),
        st.tuples(*[st.integers(0, 2)] * 3),
    )
    was = draw(flags), draw(facts), draw(counters)
    now = draw(st.just(was[0]) | flags), draw(st.just(was[1]) | facts), draw(st.just(was[2]) | counters)
    return draw(st.none() | st.just(_of(*was))), _of(*now)


@given(_changes())
def test_what_a_change_puts_and_deletes_leaves_the_rows_of_the_standing_as_it_is_now(
    change: tuple[Standing | None, Standing],
) -> None:
    before, after = change
    kept = {} if before is None else {layout.standing_key(7): before.pack(), **dict.fromkeys(before.index_keys(), b"")}
    after.packed = None if before is None else before.pack()
    puts: list[tuple[bytes, bytes]] = []
    deletes: list[bytes] = []
    has_changed = after.change(puts, deletes)
    assert has_changed == (after.pack() != after.packed)
    assert has_changed or not (puts or deletes)
    left = {key: value for key, value in kept.items() if key not in deletes} | dict(puts)
    assert left == {layout.standing_key(7): after.pack(), **dict.fromkeys(after.index_keys(), b"")}
    assert set(deletes) <= kept.keys()
    assert not kept.keys() & {key for key, value in puts if not value}


def test_an_issue_of_which_only_a_counter_changes_stays_where_it_stands_in_its_list() -> None:
    it = Standing(7, standing(EXISTS | BLOCKED, blockers=1).pack())
    it.blockers = 2
    puts: list[tuple[bytes, bytes]] = []
    deletes: list[bytes] = []
    assert it.change(puts, deletes)
    assert (puts, deletes) == ([(layout.standing_key(7), it.pack())], [])


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (EXISTS | BLOCKED, EXISTS, True),
        (EXISTS | BLOCKED, EXISTS | BLOCKED, False),
        (EXISTS | BLOCKED, EXISTS | CLOSED | SETTLED, False),
        (EXISTS | BLOCKED, 0, False),
        (EXISTS, EXISTS, False),
        (None, EXISTS, False),
    ],
)
def test_only_what_was_blocked_and_is_still_to_be_done_has_been_unblocked(
    before: int | None, now: int, *, expected: bool
) -> None:
    it = standing(now)
    it.packed = None if before is None else standing(before).pack()
    assert it.is_unblocked is expected


def test_the_key_in_ready_is_that_in_deferred_without_its_time() -> None:
    facts = {"project": 3, "priority": 1, "created_ms": 9, "issue_class": EPHEMERAL, "until_ms": 50}
    (ready,) = standing(EXISTS | OPEN, **facts).index_keys()
    (deferred,) = standing(EXISTS | OPEN | PARKED, **facts).index_keys()
    assert deferred == layout.deferred_key(50, ready[1:])


def test_classes_stand_apart_and_orders_by_priority_then_newest_first_inside_them() -> None:
    rows = [
        standing(EXISTS | OPEN, issue_class=issue_class, priority=priority, created_ms=created_ms)
        for issue_class in (0, EXCLUDED_TYPE, EPHEMERAL)
        for priority in (0, 2)
        for created_ms in (20, 10)
    ]
    keys = [it.index_keys()[0] for it in rows]
    assert keys == sorted(keys)


@pytest.mark.parametrize("defer_ms", [0, 100, 101])
@pytest.mark.parametrize("flags", [EXISTS, EXISTS | OPEN, EXISTS | OPEN | PINNED, EXISTS | CLOSED | SETTLED, OPEN])
def test_a_new_issue_has_the_rows_that_its_standing_gives_it(flags: int, defer_ms: int) -> None:
    it = standing(
        flags, issue_class=EPHEMERAL, project=5, priority=2, created_ms=9, tie=3, defer_ms=defer_ms, until_ms=defer_ms
    )
    it.place(100)
    rows = [(layout.standing_key(7), it.pack()), *((key, b"") for key in it.index_keys())]
    assert list(rows_of_new(7, StandingFacts(flags, EPHEMERAL, 5, 2, 9, 3, defer_ms), 100)) == rows
