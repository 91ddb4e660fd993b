"""Conflicts: what is reported, and how each kind is settled."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.beads.pairs import LinePair
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import AddComment, AddEdge, Conflicts, Delete, Edge, Resolve, Undelete, Update
from moot_protocol.requests.transfer import ImportEdits
from moot_testkit.laws.naive_index import check
from moot_testkit.towns.engine import Desk, exchange, town_of
from mootd.engine.issues.first_lines import FirstLines
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


def test_a_value_that_was_seen_is_picked_by_its_name_whatever_came_in_between(desks: list[Desk]) -> None:
    apart(desks, {"title": "Alice's"}, {"title": "Bob's"})
    (conflict,) = desks[0].ask(Conflicts())
    seen = conflict["values"][0]
    assert seen["value"] == "Alice's"
    desks[1].do(Resolve(actor="bob", id="mt-1", field="title", pick=2))
    desks[0].clock.advance(60_000)
    desks[0].do(Resolve(actor="alice", id="mt-1", field="title", value="Alice's"))  # written anew: Bob's comes first
    exchange(*desks)
    (conflict,) = desks[0].ask(Conflicts())
    assert conflict["values"][0]["value"] == "Bob's"
    assert desks[0].do(Resolve(actor="carol", id="mt-1", field="title", pick=seen["name"]))["title"] == "Alice's"


def test_a_value_that_was_seen_and_is_gone_is_not_taken_for_another(desks: list[Desk]) -> None:
    apart(desks, {"title": "Alice's"}, {"title": "Bob's"})
    (conflict,) = desks[0].ask(Conflicts())
    desks[0].update("mt-1", title="Alice's own")
    desks[1].update("mt-1", title="Bob's own")
    exchange(*desks)
    gone = Resolve(actor="carol", id="mt-1", field="title", pick=conflict["values"][0]["name"])
    assert desks[0].refusal(gone) is Code.CONFLICT
    assert fields(desks[0]) == ["title"]


def test_a_deletion_is_picked_by_its_name_too(desks: list[Desk]) -> None:
    apart(desks, {"title": "A"}, {"title": "A"})
    desks[0].do(Delete(actor="alice", id="mt-1"))
    desks[1].update("mt-1", title="B")
    exchange(*desks)
    (conflict,) = desks[0].ask(Conflicts())
    not_deleted, deleted = (value["name"] for value in conflict["values"])
    assert not_deleted != deleted
    assert desks[0].do(Resolve(actor="carol", id="mt-1", field="deleted", pick=deleted))["status"] == "tombstone"


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
            Importer(unit, 1, "mt", "carol").take(parse([line], 1, FirstLines()))
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


# -- Deletions ---------------------------------------------------------------------------------------------------
EDITS: dict[str, Callable[[Desk], object]] = {
    "a field": lambda desk: desk.update("mt-1", actor="bob", title="Bob's"),
    "a claim": lambda desk: desk.do(Update(actor="bob", id="mt-1", claim=True)),
    "a label": lambda desk: desk.update("mt-1", actor="bob", add_labels=("x",)),
    "a comment": lambda desk: desk.do(AddComment(actor="bob", id="mt-1", text="Still needed")),
    "a dependency": lambda desk: desk.do(AddEdge(actor="bob", id="mt-1", edge=Edge("mt-2", "blocks"))),
    "a text": lambda desk: desk.update("mt-1", actor="bob", description="other"),
}


def deleted_and_edited(desks: list[Desk], edit: str = "a field", *, deleted_last: bool = False) -> None:
    """Let one delete the issue and the other edit it without sight of one another."""
    desks[0].create("mt-2")
    exchange(*desks)
    acts: list[Callable[[], object]] = [
        lambda: desks[0].do(Delete(actor="alice", id="mt-1", reason="wrong")),
        lambda: EDITS[edit](desks[1]),
    ]
    for act in reversed(acts) if deleted_last else acts:
        for desk in desks:
            desk.clock.advance(5)
        act()
    exchange(*desks)


@pytest.mark.parametrize("deleted_last", [False, True])
@pytest.mark.parametrize("edit", EDITS)
def test_a_deletion_and_an_edit_without_sight_of_one_another_are_reported_everywhere(
    desks: list[Desk], edit: str, *, deleted_last: bool
) -> None:
    deleted_and_edited(desks, edit, deleted_last=deleted_last)
    for desk in desks:
        (conflict,) = desk.ask(Conflicts())
        assert (conflict["id"], conflict["field"], conflict["deleted"]) == ("mt-1", "deleted", True)
        assert conflict["shown"][:2] == ["alice", "wrong"]
        told = [(each["value"] is None, each["actor"]) for each in conflict["values"]]
        assert told == [(True, "bob"), (False, "alice")]
        assert desk.show("mt-1")["status"] == "tombstone"
        check(desk)


@pytest.mark.parametrize(("pick", "status"), [(1, "open"), (2, "tombstone")])
def test_an_edited_deletion_is_settled_by_picking_one(desks: list[Desk], pick: int, status: str) -> None:
    deleted_and_edited(desks)
    desks[1].do(Resolve(actor="carol", id="mt-1", field="deleted", pick=pick))
    exchange(*desks)
    for desk in desks:
        assert fields(desk) == []
        shown = desk.show("mt-1")
        assert (shown["title"], shown["status"]) == ("Bob's", status)
        check(desk)


def test_undeleting_settles_an_edited_deletion(desks: list[Desk]) -> None:
    deleted_and_edited(desks)
    desks[0].do(Undelete(actor="alice", id="mt-1"))
    assert fields(desks[0]) == []


def test_a_removal_without_sight_of_a_deletion_is_reported(desks: list[Desk]) -> None:
    desks[0].update("mt-1", add_labels=("x",))
    exchange(*desks)
    desks[0].do(Delete(actor="alice", id="mt-1"))
    desks[1].update("mt-1", remove_labels=("x",))
    exchange(*desks)
    assert [fields(desk) for desk in desks] == [["deleted"], ["deleted"]]


def test_a_dependency_of_another_issue_on_a_deleted_one_is_no_edit_of_it(desks: list[Desk]) -> None:
    desks[0].create("mt-2")
    exchange(*desks)
    desks[0].do(Delete(actor="alice", id="mt-1"))
    desks[1].do(AddEdge(actor="bob", id="mt-2", edge=Edge("mt-1", "blocks")))
    exchange(*desks)
    assert fields(desks[0]) == fields(desks[1]) == []


def test_conflicts_of_a_deleted_issue_are_listed_and_settling_one_is_no_edit_unseen(desks: list[Desk]) -> None:
    desk = apart(desks, {"title": "Alice's", "description": "a\n"}, {"title": "Bob's", "description": "b\n"})
    desk.do(Delete(actor="alice", id="mt-1"))
    assert fields(desk) == ["description", "title"]
    for field in ("title", "description"):
        desk.do(Resolve(actor="carol", id="mt-1", field=field, pick=1))
    exchange(*desks)
    assert fields(desk) == fields(desks[1]) == []
    assert desk.show("mt-1")["deleted_by"] == "alice"
    for each in desks:
        check(each)


def test_settling_another_field_leaves_an_edited_deletion_in_conflict(desks: list[Desk]) -> None:
    apart(desks, {"title": "Alice's"}, {"title": "Bob's"})
    deleted_and_edited(desks, "a label")
    desks[0].do(Resolve(actor="carol", id="mt-1", field="title", pick=1))
    assert fields(desks[0]) == ["deleted"]


def test_settling_another_field_leaves_the_numbers_of_a_deletion_as_they_were(desks: list[Desk]) -> None:
    apart(desks, {"title": "Alice's"}, {"title": "Bob's"})
    deleted_and_edited(desks, "a label", deleted_last=True)
    before = told_of(desks[1], "deleted")
    desks[1].clock.advance(5)
    desks[1].do(Resolve(actor="bob", id="mt-1", field="title", pick=1))
    assert told_of(desks[1], "deleted") == before
    assert desks[1].do(Resolve(actor="bob", id="mt-1", field="deleted", pick=1))["status"] == "open"


def told_of(desk: Desk, field: str) -> list[Any]:
    """The values of a field in conflict, as they are numbered."""
    found = {each["field"]: each["values"] for each in desk.ask(Conflicts(id="mt-1"))}
    return [each["value"] for each in found[field]]


@pytest.mark.parametrize("chosen", [{"pick": 1}, {"value": "Both"}])
def test_a_resolution_answers_which_value_was_taken(desks: list[Desk], chosen: dict[str, Any]) -> None:
    desk = apart(desks, {"title": "Alice's"}, {"title": "Bob's"})
    taken = desk.do(Resolve(actor="carol", id="mt-1", field="title", **chosen))["_resolved"]
    assert taken == {"field": "title", "value": "Both" if "value" in chosen else "Alice's"}


@pytest.mark.parametrize("pick", [1, 2])
def test_a_settled_deletion_answers_whether_it_stands(desks: list[Desk], pick: int) -> None:
    deleted_and_edited(desks)
    taken = desks[0].do(Resolve(actor="carol", id="mt-1", field="deleted", pick=pick))["_resolved"]
    assert taken["field"] == "deleted"
    assert (taken["value"] or [])[:2] == ([] if pick == 1 else ["alice", "wrong"])


def test_an_imported_tombstone_is_never_in_conflict_with_an_edit(desks: list[Desk]) -> None:
    with desks[0].replica.transaction() as unit:
        Importer(unit, 1, "mt", "carol").take(parse([b'{"id":"mt-1","status":"tombstone"}'], 1, FirstLines()))
    EDITS["a field"](desks[1])
    exchange(*desks)
    assert fields(desks[0]) == fields(desks[1]) == []
    assert desks[0].show("mt-1")["status"] == "tombstone"


def test_conflicts_are_listed_in_order_of_id_whatever_came_first(desks: list[Desk]) -> None:
    for name in ("mt-3", "mt-2"):
        desks[0].create(name)
    exchange(*desks)
    for desk, title in zip(desks, ("A", "B"), strict=True):
        for name in ("mt-3", "mt-1", "mt-2"):
            desk.update(name, title=title)
    exchange(*desks)
    for desk in desks:
        assert [each["id"] for each in desk.ask(Conflicts())] == ["mt-1", "mt-2", "mt-3"]


def line_of(desk: Desk, **fields: Any) -> bytes:
    shown = {name: told for name, told in desk.show("mt-1").items() if not name.startswith("_")}
    shown.pop("dependents", None)
    return json.dumps(shown | fields).encode()


def take_line(desk: Desk, **fields: Any) -> None:
    """Import what is shown of the issue, a little changed, as a newer line."""
    line = line_of(desk, updated_at="2030-01-01T00:00:00Z", **fields)
    with desk.replica.transaction() as unit:
        Importer(unit, 1, "mt", "carol").take(parse([line], 1, FirstLines()))


def edit_line(desk: Desk, **fields: Any) -> None:
    """Take in that what is shown of the issue became a little different."""
    pair = LinePair(1, line_of(desk), 1, line_of(desk, **fields))
    desk.do(ImportEdits(actor="carol", project="mt", pairs=(pair,)))


ALONE: dict[str, Callable[[Desk], object]] = {
    **EDITS,
    "delete": lambda desk: desk.do(Delete(actor="alice", id="mt-1")),
    "undelete": lambda desk: desk.do(Undelete(actor="alice", id="mt-1")),
    "a line": lambda desk: take_line(desk, title="In a file", description="long"),
    "a tombstone": lambda desk: take_line(desk, status="tombstone", labels=["a", "b"], notes="n"),
    "an edited line": lambda desk: edit_line(desk, design="d", labels=["c"]) if is_here(desk) else None,
    "an edited tombstone": lambda desk: edit_line(desk, status="tombstone", notes="m", labels=["d", "e"]),
}


def is_here(desk: Desk) -> bool:
    return bool(desk.show("mt-1")["status"] != "tombstone")


@given(st.lists(st.sampled_from(sorted(ALONE)), min_size=2, max_size=8))
def test_who_works_alone_is_never_in_conflict(acts: list[str]) -> None:
    desk = Desk().found()
    for name in ("mt-1", "mt-2"):
        desk.create(name)
    for act in acts:
        desk.clock.advance(1000)
        with suppress(RefusedError):  # a deleted issue takes no edits
            ALONE[act](desk)
        assert fields(desk) == [], act
    check(desk)


# -- Refusals ----------------------------------------------------------------------------------------------------
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
