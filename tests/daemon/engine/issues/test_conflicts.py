"""Conflicts: what is reported, and how each kind is settled."""

from typing import Any

import pytest

from moot_protocol.errors import Code
from moot_protocol.requests import Conflicts, Delete, Resolve, Undelete
from moot_testkit.engine import Desk, exchange, town_of
from moot_testkit.naive_index import check
from mootd.engine.issues.importing import Importer, parse


@pytest.fixture
def desks() -> list[Desk]:
    made = town_of("one", "two")
    made[0].create("mt-1", description="one\ntwo\nthree\n", metadata={"k": 0}, due_at="2030-01-01T00:00:00Z")
    exchange(*made)
    return made


def apart(desks: list[Desk], one: dict[str, Any], two: dict[str, Any]) -> Desk:
    """Let both change the issue without sight of one another, the second a little later."""
    desks[0].update("mt-1", actor="alice", **one)
    desks[0].clock.advance(5)
    desks[1].update("mt-1", actor="bob", **two)
    exchange(*desks)
    return desks[0]


def fields(desk: Desk, name: str = "") -> list[str]:
    return [each["field"] for each in desk.ask(Conflicts(id=name))]


def test_both_values_are_told_in_the_order_of_their_writes_with_who_wrote_them(desks: list[Desk]) -> None:
    desk = apart(desks, {"title": "Alice's"}, {"title": "Bob's"})
    (conflict,) = desk.ask(Conflicts())
    assert (conflict["id"], conflict["field"], conflict["shown"]) == ("mt-1", "title", "Bob's")
    told = [(each["value"], each["actor"], each["at"]) for each in conflict["values"]]
    later = desk.clock.now_ms()
    assert told == [("Alice's", "alice", later - 5), ("Bob's", "bob", later)]
    assert desk.show("mt-1")["_conflicts"] == ["title"]
    assert desks[1].ask(Conflicts()) == [conflict]


def test_equal_values_are_no_conflict_and_different_fields_are_none(desks: list[Desk]) -> None:
    desk = apart(desks, {"title": "Same", "priority": 1}, {"title": "Same", "status": "in_progress"})
    assert desk.ask(Conflicts()) == []
    shown = desk.show("mt-1")
    assert (shown["title"], shown["priority"], shown["status"]) == ("Same", 1, "in_progress")


def test_texts_that_merge_cleanly_are_no_conflict_and_others_are(desks: list[Desk]) -> None:
    desk = apart(desks, {"description": "ONE\ntwo\nthree\n"}, {"description": "one\ntwo\nTHREE\n"})
    assert desk.ask(Conflicts()) == []
    assert desk.show("mt-1")["description"] == "ONE\ntwo\nTHREE\n"
    desk = apart(desks, {"description": "a\n"}, {"description": "b\n"})
    assert fields(desk) == fields(desk, "mt-1") == ["description"]


def test_a_value_is_picked_by_its_number(desks: list[Desk]) -> None:
    desk = apart(desks, {"title": "Alice's"}, {"title": "Bob's"})
    shown = desk.do(Resolve(actor="carol", id="mt-1", field="title", pick=1))
    assert shown["title"] == "Alice's"
    assert desk.ask(Conflicts()) == []
    exchange(*desks)
    assert desks[1].show("mt-1")["title"] == "Alice's"
    for each in desks:
        check(each)


def test_a_new_value_settles_a_conflict_as_well(desks: list[Desk]) -> None:
    desk = apart(desks, {"priority": 0, "description": "a\n"}, {"priority": 4, "description": "b\n"})
    assert sorted(fields(desk)) == ["description", "priority"]
    assert desk.do(Resolve(actor="c", id="mt-1", field="priority", value=3))["priority"] == 3
    assert desk.do(Resolve(actor="c", id="mt-1", field="description", value="c"))["description"] == "c"
    assert fields(desk) == []


def test_one_name_of_metadata_is_settled_by_itself(desks: list[Desk]) -> None:
    desk = apart(desks, {"set_metadata": {"k": 1, "a.b": [1]}}, {"set_metadata": {"k": 2, "a.b": [2]}})
    assert sorted(fields(desk)) == ["metadata.a.b", "metadata.k"]
    assert desk.do(Resolve(actor="c", id="mt-1", field="metadata.k", pick=1))["metadata"]["k"] == 1
    assert fields(desk) == ["metadata.a.b"]
    shown = desk.do(Resolve(actor="c", id="mt-1", field="metadata.a.b", value={"x": None}))
    assert shown["metadata"] == {"k": 1, "a.b": {"x": None}}
    assert fields(desk) == []


def test_further_fields_of_files_may_be_in_conflict_too(desks: list[Desk]) -> None:
    for number, desk in enumerate(desks):
        line = b'{"id":"mt-1","odd":%d}' % number
        with desk.replica.transaction() as unit:
            Importer(unit, 1, "mt", "carol").take(parse([line], 1, {}))
    exchange(*desks)
    assert fields(desks[0]) == ["extra.odd"]
    desks[0].do(Resolve(actor="c", id="mt-1", field="extra.odd", pick=1))
    assert fields(desks[0]) == []
    assert "odd" in desks[0].show("mt-1")


def test_two_deletions_may_disagree_and_one_is_picked(desks: list[Desk]) -> None:
    desks[0].do(Delete(actor="alice", id="mt-1", reason="mine"))
    desks[1].do(Delete(actor="bob", id="mt-1", reason="theirs"))
    exchange(*desks)
    assert desks[0].show("mt-1")["_conflicts"] == ["deleted"]
    assert desks[0].refusal(Resolve(actor="c", id="mt-1", field="deleted", value="")) is Code.INVALID
    shown = desks[0].do(Resolve(actor="c", id="mt-1", field="deleted", pick=1))
    assert shown["status"] == "tombstone"
    assert desks[0].do(Undelete(actor="c", id="mt-1"))["status"] == "open"


@pytest.mark.parametrize(
    ("field", "parts", "code"),
    [
        ("title", {"pick": 0}, Code.INVALID),
        ("title", {"pick": 3}, Code.INVALID),
        ("title", {"value": ""}, Code.INVALID),
        ("title", {"value": 5}, Code.INVALID),
        ("priority", {"value": "high"}, Code.INVALID),
        ("priority", {"value": 9}, Code.INVALID),
        ("status", {"value": ["open"]}, Code.INVALID),
        ("due_at", {"value": "never"}, Code.INVALID),
        ("metadata.k", {"value": float("nan")}, Code.INVALID),
        ("assignee", {"pick": 1}, Code.NOT_FOUND),
        ("labels", {"value": "x"}, Code.NOT_FOUND),
        ("owner", {"pick": 1}, Code.NOT_FOUND),
        ("metadata", {"pick": 1}, Code.NOT_FOUND),
        ("metadata.none", {"pick": 1}, Code.NOT_FOUND),
        ("nonsense", {"value": 1}, Code.NOT_FOUND),
    ],
)
def test_what_is_not_in_conflict_or_cannot_be_a_value_is_refused(
    desks: list[Desk], field: str, parts: dict[str, Any], code: Code
) -> None:
    one = {"title": "A", "priority": 0, "status": "closed", "due_at": "", "assignee": "a", "set_metadata": {"k": 1}}
    two = {"title": "B", "priority": 1, "status": "hooked", "due_at": "2031-01-01T00:00:00Z", "assignee": "b"}
    desk = apart(desks, {**one, "add_labels": ("x",)}, {**two, "set_metadata": {"k": 2}, "add_labels": ("x",)})
    assert desk.refusal(Resolve(actor="c", id="mt-1", field=field, **parts)) is code


def test_a_resolution_made_apart_from_another_write_leaves_that_to_be_settled(desks: list[Desk]) -> None:
    apart(desks, {"title": "A"}, {"title": "B"})
    desks[0].do(Resolve(actor="c", id="mt-1", field="title", pick=1))
    desks[1].update("mt-1", title="C")
    exchange(*desks)
    (conflict,) = desks[0].ask(Conflicts())
    assert [each["value"] for each in conflict["values"]] == ["A", "C"]
