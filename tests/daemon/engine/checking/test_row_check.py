"""Checking INDEX: sound rows have no problem, and whatever is changed in one is found."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.requests.issues import AddEdge, Close, Delete, Edge
from moot_testkit.towns.engine import START_MS, Desk, exchange, flipped, town_of
from moot_testkit.towns.planes import make_twins, two_planes
from mootd.engine.checking.fsck import Checker
from mootd.engine.checking.row_check import RowCheck
from mootd.engine.stored import layout
from mootd.engine.views.entities import Entities
from mootd.store.port import Table

INDEX = Table.INDEX_0


def problems(desk: Desk) -> dict[str, str]:
    """Issue → what is wrong with its row."""
    records = desk.records()
    with desk.replica.read() as reader:
        check = RowCheck(desk.entities(reader))
        found = {name: check.problem(eid_of(desk, name), record) for name, record in records.items()}
    return {name: problem for name, problem in found.items() if problem}


def eid_of(desk: Desk, name: str) -> int:
    with desk.replica.read() as reader:
        return desk.issues(reader).names.eid(name) or 0


def used_desk() -> Desk:
    """Issues in every state, with every edge that matters, two writers, and a cycle."""
    one, two = town_of("one", "two")
    one.create("mt-a", labels=("red",), assignee="bob", priority=1)
    one.create("mt-b", edges=(Edge("mt-a"), Edge("external:x"), Edge("mt-a", "related")))
    one.create("mt-c", parent="mt-b")
    one.create("mt-d", edges=(Edge("mt-b", "waits-for"),), defer_until="2030-01-01T00:00:00Z")
    one.create("mt-e", status="closed", issue_type="gate", ephemeral=True, pinned=True)
    one.create("mt-g", defer_until="2030-01-01T00:00:00Z")
    one.create("mt-f")
    one.do(Delete(actor="a", id="mt-f"))
    one.do(AddEdge(actor="a", id="mt-a", edge=Edge("mt-c"), check_cycles=False))
    exchange(one, two)
    one.update("mt-a", title="A", description="a")
    two.update("mt-a", title="B", description="b")
    exchange(one, two)
    return one


def test_rows_that_were_kept_up_to_date_have_no_problem() -> None:
    desk = used_desk()
    assert problems(desk) == {}
    desk.do(Close(actor="a", id="mt-a", force=True))
    assert problems(desk) == {}
    desk.clock.set_wall(START_MS + 10**12)
    with desk.replica.transaction():
        pass
    assert problems(desk) == {}


def test_parents_in_a_circle_are_no_problem() -> None:
    desk = Desk().found()
    desk.create("mt-a")
    desk.create("mt-b", parent="mt-a")
    desk.do(AddEdge(actor="a", id="mt-a", edge=Edge("mt-b", "parent-child"), check_cycles=False))
    assert problems(desk) == {}
    assert desk.ready() == ["mt-a", "mt-b"]


LISTS = (layout.STATUS, layout.ASSIGNEE, layout.LABEL, layout.UPDATED, layout.CONFLICT, layout.DELETED)


@pytest.mark.parametrize(
    "prefix", [*LISTS, layout.READY, layout.DEFERRED, layout.BLOCKED, layout.EDGE, layout.BACK_EDGE]
)
def test_a_key_that_is_missing_is_found(prefix: bytes) -> None:
    desk = used_desk()
    keys = sorted(desk.index(prefix)) or pytest.fail("nothing to lose")
    for key in keys:
        value = desk.rows(INDEX)[key]
        with desk.store.write() as writer:
            writer.delete(INDEX, key)
        assert problems(desk)
        desk.put(INDEX, key, value)


@pytest.fixture(scope="module")
def kept_desk() -> Desk:
    """A used desk that tests leave as it is."""
    return used_desk()


@given(st.data())
def test_a_flipped_bit_of_a_standing_or_an_edge_is_found(kept_desk: Desk, data: st.DataObject) -> None:
    desk = kept_desk
    key = data.draw(st.sampled_from(sorted(desk.index(layout.STANDING, layout.EDGE))))
    value = desk.rows(INDEX)[key]
    at = data.draw(st.integers(0, 8 * len(value) - 1))
    changed = list(flipped(value))[at]
    meaningless = key[:1] == layout.STANDING and (changed[0] ^ value[0]) & 192
    if not meaningless:
        desk.put(INDEX, key, changed)
        found = problems(desk)
        desk.put(INDEX, key, value)
        assert found


def test_a_cycle_that_is_forgotten_is_found_by_the_counters() -> None:
    desk = used_desk()
    (key,) = desk.index(layout.CYCLE)
    with desk.store.write() as writer:
        writer.delete(INDEX, key)
    assert list(problems(desk).values()) == ["what is kept of its readiness is wrong"]


def test_the_check_of_records_tells_it_and_advises_a_rebuild() -> None:
    desk = used_desk()
    (key,) = (key for key in desk.index(layout.ASSIGNEE))
    with desk.store.write() as writer:
        writer.delete(INDEX, key)
    with desk.replica.read() as reader:
        _, _, found = Checker(desk.entities(reader), dict(desk.replica.feeds)).check_records(b"")
    (problem,) = found
    assert problem.where == "issue mt-a"
    assert "rebuild" in problem.hint


def test_entities_that_are_no_issues_have_no_row() -> None:
    desk = used_desk()
    with desk.replica.read() as reader:
        check = RowCheck(desk.entities(reader))
        found: list[Any] = [check.problem(0, record) for record in desk.records("certificate").values()]
    assert found == ["", ""]


def test_issues_of_a_project_that_two_planes_have_stand_in_lists_of_their_own() -> None:
    desk = two_planes()
    make_twins(desk)
    with desk.replica.read() as reader:
        entities = desk.entities(reader)
        check = RowCheck(entities)
        eids = [int.from_bytes(key, "big") for key, _ in reader.scan(entities.views.records, b"\0")]
        records = [(eid, record) for eid in eids if (record := entities.record(eid)) is not None]
        assert sum(record.entity == "mt-same22" for _, record in records) == 2
        assert [check.problem(eid, record) for eid, record in records] == [""] * len(records)


def surplus(desk: Desk) -> list[str]:
    """What is wrong with each key of INDEX that shouldn't be there."""
    with desk.replica.read() as reader:
        check = RowCheck(desk.entities(reader))
        return [problem for key in desk.rows(INDEX) if (problem := check.surplus(key))]


def test_every_key_of_issues_in_every_state_stands_for_something() -> None:
    assert surplus(used_desk()) == []


@pytest.mark.parametrize("prefix", [*LISTS, layout.READY, layout.DEFERRED, layout.BLOCKED])
def test_a_key_that_stands_in_a_list_of_another_project_or_of_no_issue_is_found(prefix: bytes) -> None:
    desk = used_desk()
    key = min(desk.index(prefix))
    for other in (prefix + b"\xff" + key[2:], key[:-8] + layout.eid_key(10**6)):
        desk.put(INDEX, other, b"")
    (one, two) = sorted(surplus(desk))
    assert one == "it leads to no issue"
    assert "doesn't belong into that list" in two


def test_edges_of_nobody_and_standings_of_numbers_never_given_are_found() -> None:
    desk = used_desk()
    lonely = 10**6
    for key in (
        layout.edge_key(layout.EDGE, lonely, 1, "blocks"),
        layout.edge_key(layout.BACK_EDGE, 1, lonely, "related"),
        layout.edge_key(layout.CYCLE, lonely, 1, "tracks"),
        layout.standing_key(lonely),
    ):
        desk.put(INDEX, key, b"")
    assert sorted(surplus(desk)) == [
        "it is of no issue that was ever named",
        "it leads to no issue",
        "no such dependency is kept",
        "no such dependency is kept",
    ]


def test_the_record_of_an_issue_with_many_labels_is_read_once_for_all_its_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk().found()
    for name in ("mt-1", "mt-2"):
        desk.create(name, labels=tuple(f"label-{number}" for number in range(300)))
    read: list[int] = []
    packed = Entities.packed

    def counted(entities: Entities, eid: int) -> bytes | None:
        read.append(eid)
        return packed(entities, eid)

    monkeypatch.setattr(Entities, "packed", counted)
    with desk.replica.read() as reader:
        checked = Checker(desk.entities(reader), {}).check_index(b"")
    assert (checked.problems, checked.checked > 600) == ([], True)
    assert len(read) == 2


def test_keys_too_short_to_name_an_issue_are_found() -> None:
    desk = used_desk()
    for key in (layout.LABEL, layout.EDGE + bytes(9)):
        desk.put(INDEX, key, b"")
    assert surplus(desk) == ["it leads to no issue"] * 2
