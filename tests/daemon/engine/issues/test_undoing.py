"""Undoing a write: what was there before is there again, by another write; and only where nobody has written since."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import Code, MootError
from moot_protocol.merge.kinds import ISSUE
from moot_protocol.requests.actions import SetState, Undo
from moot_protocol.requests.issues import (
    AddComment,
    Close,
    Create,
    Delete,
    History,
    IssueFields,
    RemoveEdge,
    Reopen,
    Script,
    Undelete,
)
from moot_protocol.requests.transfer import Export
from moot_testkit.towns.engine import Desk, exchange, imported, town_of
from moot_testkit.towns.planes import TEAM, TEAM_PROJECT, create_on, two_planes
from mootd.engine.editor import Editor
from mootd.engine.issues.holding import attention
from mootd.engine.views.record import pairs_of

TOLD = {
    "title", "status", "priority", "assignee", "labels", "description", "notes", "metadata", "dependencies",
    "closed_at",
}  # fmt: skip


@pytest.fixture
def desk() -> Desk:
    desk = Desk().found()
    desk.create("mt-other")
    tick(desk)
    desk.create(
        "mt-1", "Before", description="Old text", labels=("ui",), metadata={"k": "old"}, priority=3, parent="mt-other"
    )
    tick(desk)
    return desk


def tick(desk: Desk) -> None:
    desk.clock.advance(1000)


def told(desk: Desk, name: str = "mt-1") -> dict[str, Any]:
    """What an issue shows, without what says when and by whom it was written."""
    shown = {field: value for field, value in desk.show(name).items() if field in TOLD}
    shown["dependencies"] = [(edge["depends_on_id"], edge["type"]) for edge in shown.get("dependencies", ())]
    shown["deleted"] = desk.show(name)["status"] == "tombstone"
    return shown


def undo(desk: Desk, actor: str = "alice", **parts: Any) -> dict[str, Any]:
    tick(desk)
    answer = desk.do(Undo(actor=actor, **parts))
    tick(desk)
    return answer


def refused(desk: Desk, actor: str = "alice", **parts: Any) -> MootError:
    with pytest.raises(MootError) as caught:
        desk.do(Undo(actor=actor, **parts))
    return caught.value


# -- What comes back ---------------------------------------------------------------------------------------------
WRITES: dict[str, dict[str, Any]] = {
    "fields and texts": {"title": "After", "priority": 0, "description": "New", "notes": "More", "assignee": "bob"},
    "labels added and removed": {"add_labels": ("x", "y"), "remove_labels": ("ui",)},
    "metadata": {"set_metadata": {"k": "new", "l": 1}},
    "metadata removed": {"unset_metadata": ("k",)},
    "the parent": {"parent": ""},
    "a claim": {"claim": True},
}  # fmt: skip


@pytest.mark.parametrize("what", WRITES)
def test_an_update_is_undone_and_undone_again(desk: Desk, what: str) -> None:
    before = told(desk)
    desk.update("mt-1", **WRITES[what])
    after = told(desk)
    assert after != before
    undo(desk)
    assert told(desk) == before
    undo(desk)
    assert told(desk) == after


@pytest.mark.parametrize(
    "request_",
    [
        Close(actor="alice", id="mt-1", reason="Done", session="s"),
        Delete(actor="alice", id="mt-1", reason="Gone"),
        AddComment(actor="alice", id="mt-1", text="Hello"),
        RemoveEdge(actor="alice", id="mt-1", to="mt-other"),
        SetState(actor="alice", id="mt-1", dimension="mode", value="bad"),
    ],
    ids=lambda request: type(request).__name__,
)
def test_other_writes_are_undone_too(desk: Desk, request_: Any) -> None:
    before, comments = told(desk), desk.show("mt-1").get("comments", [])
    desk.do(request_)
    undo(desk)
    assert told(desk) == before
    assert desk.show("mt-1").get("comments", []) == comments


def test_undoing_a_reopening_closes_with_the_reason_it_had(desk: Desk) -> None:
    desk.do(Close(actor="alice", id="mt-1", reason="Done"))
    tick(desk)
    closed = desk.show("mt-1")
    desk.do(Reopen(actor="alice", id="mt-1"))
    undo(desk)
    again = desk.show("mt-1")
    assert [again[name] for name in ("status", "close_reason", "closed_at")] == [
        closed[name] for name in ("status", "close_reason", "closed_at")
    ]


def test_undoing_an_undeletion_deletes_again(desk: Desk) -> None:
    desk.do(Delete(actor="alice", id="mt-1"))
    tick(desk)
    desk.do(Undelete(actor="alice", id="mt-1"))
    undo(desk)
    assert told(desk)["deleted"]


def test_a_new_issue_is_deleted_and_comes_back(desk: Desk) -> None:
    desk.create("mt-new", "New", description="Text")
    answer = undo(desk)
    assert told(desk, "mt-new")["deleted"]
    assert answer["changes"] == [{"id": "mt-new", "field": "deleted", "from": None, "to": True}]
    undo(desk)
    assert not told(desk, "mt-new")["deleted"]


def test_an_edge_that_comes_back_keeps_its_time_and_author(desk: Desk) -> None:
    before = desk.show("mt-1")["dependencies"]
    desk.do(RemoveEdge(actor="bob", id="mt-1", to="mt-other"))
    undo(desk, "bob")
    assert desk.show("mt-1")["dependencies"] == before


def test_all_that_one_command_wrote_is_undone_together(desk: Desk) -> None:
    before = told(desk), told(desk, "mt-other")
    steps = [
        {"method": "update", "params": {"id": "mt-1", "fields": {"title": "X"}, "add_labels": ["z"]}},
        {"method": "close", "params": {"id": "mt-other"}},
    ]
    desk.do(Script(actor="alice", steps=tuple(steps)))
    answer = undo(desk)
    assert (told(desk), told(desk, "mt-other")) == before
    assert {change["id"] for change in answer["changes"]} == {"mt-1", "mt-other"}


def test_an_undo_tells_what_it_changes_and_can_be_tried(desk: Desk) -> None:
    desk.update("mt-1", title="After", add_labels=("x",))
    tick(desk)
    digest = desk.digest()
    answer = desk.do(Undo(actor="alice", dry_run=True))
    assert sorted(answer["changes"], key=lambda change: change["field"]) == [
        {"id": "mt-1", "field": "labels", "from": "x", "to": None},
        {"id": "mt-1", "field": "title", "from": "After", "to": "Before"},
    ]
    assert answer["issues"][0]["title"] == "Before"
    assert desk.digest() == digest


# -- What no command gives ---------------------------------------------------------------------------------------
ODD: dict[str, dict[str, Any]] = {
    "a priority that is text": {"priority": "high"},
    "a priority out of range": {"priority": 9},
    "a priority of nothing": {"priority": None},
    "no priority": {},
    "a title that is no text": {"title": 7},
    "a title that is a list": {"title": ["x"]},
    "a title of nothing": {"title": None},
    "a title of too many characters": {"title": "x" * 600},
    "both": {"priority": "high", "title": "x" * 600},
}
FILE_LINE: dict[str, Any] = {"id": "mt-odd", "title": "Odd"}


def exported(desk: Desk, name: str = "mt-odd") -> dict[str, Any]:
    """An issue's line as a file would have it, without what every write changes."""
    every = map(json.loads, desk.ask(Export())["lines"])
    line: dict[str, Any] = next(each for each in every if each["id"] == name)
    del line["updated_at"]
    return line


@pytest.mark.parametrize("what", ODD)
def test_what_a_file_said_comes_back_though_no_command_gives_it(desk: Desk, what: str) -> None:
    imported(desk, FILE_LINE | ODD[what])
    before = exported(desk)
    tick(desk)
    desk.update("mt-odd", title="After", priority=1)
    after = exported(desk)
    assert (after["title"], after["priority"]) == ("After", 1)
    for _ in range(2):
        undo(desk)
        assert exported(desk) == before
        undo(desk)
        assert exported(desk) == after


def test_an_undo_tells_what_the_file_said(desk: Desk) -> None:
    imported(desk, FILE_LINE | {"priority": "high"})
    tick(desk)
    desk.update("mt-odd", priority=1)
    answer = undo(desk)
    assert answer["changes"] == [{"id": "mt-odd", "field": "priority", "from": 1, "to": "high"}]
    assert answer["issues"][0]["priority"] == 2


@pytest.mark.parametrize("then", ["low", 9, 3, 2])
def test_an_import_over_an_odd_value_is_undone_and_undone_again(desk: Desk, then: Any) -> None:
    imported(desk, FILE_LINE | {"priority": "high"})
    tick(desk)
    imported(desk, FILE_LINE | {"priority": then})
    assert exported(desk)["priority"] == then
    for priority in ("high", then, "high"):
        undo(desk, "importer", id="mt-odd")
        assert exported(desk)["priority"] == priority


def test_an_odd_value_that_was_given_up_before_does_not_come_back(desk: Desk) -> None:
    imported(desk, FILE_LINE | {"priority": "high"})
    for priority in (1, 2, 3):
        tick(desk)
        desk.update("mt-odd", priority=priority)
    undo(desk)
    assert exported(desk)["priority"] == 2


@pytest.mark.parametrize("text", ["9", "{"])
def test_an_entry_that_the_priority_did_not_stand_for_does_not_take_its_place(desk: Desk, text: str) -> None:
    desk.create("mt-odd", priority=3)
    with desk.replica.transaction() as unit:
        editor = Editor(unit, desk.replica.ledger.number, ISSUE, "mt-odd", "mallory")
        editor.set_entry("extra", "priority", text)
        editor.save()
    tick(desk)
    desk.update("mt-odd", priority=1)
    assert undo(desk)["changes"] == [{"id": "mt-odd", "field": "priority", "from": 1, "to": 3}]
    assert exported(desk)["priority"] == 3


# -- Which write -------------------------------------------------------------------------------------------------
def test_the_last_write_is_the_actors_own(desk: Desk) -> None:
    desk.update("mt-1", title="Mine")
    tick(desk)
    desk.update("mt-other", title="Theirs", actor="bob")
    undo(desk)
    assert (told(desk)["title"], told(desk, "mt-other")["title"]) == ("Before", "Theirs")


def test_the_last_write_to_one_issue_can_be_named(desk: Desk) -> None:
    desk.update("mt-1", title="Mine")
    tick(desk)
    desk.update("mt-other", title="Mine too")
    undo(desk, id="mt-1")
    assert (told(desk)["title"], told(desk, "mt-other")["title"]) == ("Before", "Mine too")


def test_an_event_can_be_named_by_any_of_its_writes_numbers(desk: Desk) -> None:
    for number in (0, 1):
        desk.update("mt-1", title="After", description="New")
        tick(desk)
        desk.update("mt-other", title=f"Later {number}")
        named = desk.do(Undo(actor="alice", id="mt-1", dry_run=True))["undone"]["n"]
        assert len(set(named)) == 2
        undo(desk, n=named[number])
        assert (told(desk)["title"], told(desk)["description"]) == ("Before", "Old text")


def test_writes_of_others_and_none_are_refused(desk: Desk) -> None:
    last = desk.do(Undo(actor="alice", dry_run=True))["undone"]["n"][1]
    assert refused(desk, "bob", n=last).code is Code.DENIED
    unknown = refused(desk, n=10**6)
    assert (unknown.code, "`moot history ID`" in unknown.hint) == (Code.NOT_FOUND, True)
    assert refused(desk, n=1).code is Code.NOT_FOUND  # the certificate
    assert refused(desk, "bob", id="mt-1").code is Code.NOT_FOUND
    assert refused(desk, "nobody").code is Code.NOT_FOUND


def test_a_write_is_found_on_any_plane() -> None:
    desk = two_planes()
    create_on(desk, TEAM, "tm-one", TEAM_PROJECT)
    tick(desk)
    desk.update("tm-one", title="After")
    undo(desk)
    assert desk.show("tm-one")["title"] == "Title of tm-one"
    last = desk.do(Undo(actor="alice", dry_run=True))["undone"]["n"][1]
    assert desk.do(Undo(actor="alice", n=last, plane=TEAM, dry_run=True))["changes"]
    unknown = refused(desk, n=last + 1, plane=TEAM)
    assert (unknown.code, unknown.message.endswith(" on plane team")) == (Code.NOT_FOUND, True)


def test_a_number_that_several_planes_have_needs_the_plane() -> None:
    desk = two_planes()
    create_on(desk, "ledger", "mt-one")
    create_on(desk, TEAM, "tm-one", TEAM_PROJECT)
    [number] = {event["n"] for name in ("mt-one", "tm-one") for event in desk.ask(History(id=name))}
    several = refused(desk, n=number)
    assert (several.code, "--plane" in several.hint) == (Code.AMBIGUOUS, True)
    assert several.message.endswith(": ledger, team")
    assert [each["id"] for each in undo(desk, n=number, plane=TEAM)["issues"]] == ["tm-one"]


def test_a_number_that_one_plane_has_needs_no_plane() -> None:
    desk = two_planes()
    create_on(desk, "ledger", "mt-one")
    create_on(desk, TEAM, "tm-one", TEAM_PROJECT)
    tick(desk)
    desk.update("tm-one", title="After")
    last = desk.ask(History(id="tm-one"))[0]["n"]
    assert [each["id"] for each in undo(desk, n=last)["issues"]] == ["tm-one"]


def test_all_numbers_of_the_write_are_told_whichever_was_named(desk: Desk) -> None:
    desk.update("mt-1", title="After", description="New")
    first, last = desk.do(Undo(actor="alice", dry_run=True))["undone"]["n"]
    assert last == first + 1
    for number in (first, last):
        assert desk.do(Undo(actor="alice", n=number, dry_run=True))["undone"]["n"] == [first, last]


def test_an_event_of_another_machine_is_refused_and_one_of_this_machine_may_be_named_with_its_key(desk: Desk) -> None:
    desk.update("mt-1", title="After")
    event = desk.ask(History(id="mt-1"))[0]
    elsewhere = refused(desk, n=event["n"], author="x" + event["author"][:8])
    assert (elsewhere.code, "another machine's" in elsewhere.message) == (Code.DENIED, True)
    undo(desk, n=event["n"], author=event["author"][:12])
    assert told(desk)["title"] == "Before"


# -- Later writes ------------------------------------------------------------------------------------------------
def test_a_field_that_was_written_since_is_not_put_back(desk: Desk) -> None:
    desk.update("mt-1", title="Mine", priority=0)
    tick(desk)
    desk.update("mt-1", title="Theirs", actor="bob")
    before = told(desk)
    error = refused(desk)
    assert (error.code, error.message) == (Code.CONFLICT, "title of mt-1 was changed since by bob")
    assert told(desk) == before


def test_other_fields_may_have_been_written_since(desk: Desk) -> None:
    desk.update("mt-1", title="Mine")
    tick(desk)
    desk.update("mt-1", priority=0, actor="bob")
    undo(desk)
    assert (told(desk)["title"], told(desk)["priority"]) == ("Before", 0)


def test_a_label_that_was_taken_away_since_is_not_taken_away_again(desk: Desk) -> None:
    desk.update("mt-1", add_labels=("x",))
    tick(desk)
    desk.update("mt-1", remove_labels=("x",), actor="bob")
    assert refused(desk).code is Code.CONFLICT


def test_a_label_that_came_back_since_is_not_added_twice(desk: Desk) -> None:
    desk.update("mt-1", remove_labels=("ui",), title="After")
    tick(desk)
    desk.update("mt-1", add_labels=("ui",), actor="bob")
    undo(desk)
    assert told(desk)["labels"] == ["ui"]
    live = [key for _, key, _ in pairs_of(desk.records()["mt-1"])]
    assert live.count("labels") == 1


def test_a_new_issue_that_somebody_has_worked_on_is_not_deleted(desk: Desk) -> None:
    desk.create("mt-new")
    tick(desk)
    desk.update("mt-new", priority=0, actor="bob")
    error = refused(desk)
    assert (error.code, error.message) == (Code.CONFLICT, "mt-new was changed since by bob")


def test_a_value_written_at_once_on_another_machine_is_not_lost() -> None:
    here, there = town_of("here", "there")
    here.create("mt-1")
    exchange(here, there)
    here.clock.advance(1000)
    here.update("mt-1", title="Here", actor="alice")
    there.update("mt-1", title="There", actor="bob")
    exchange(here, there)
    assert refused(here).code is Code.CONFLICT
    assert sorted(map(str, here.show("mt-1")["_conflicts"])) == ["title"]


def test_an_undo_reaches_other_machines_as_any_write() -> None:
    here, there = town_of("here", "there")
    here.create("mt-1", "Before", labels=("a",))
    here.clock.advance(1000)
    here.update("mt-1", title="After", add_labels=("b",))
    undo(here)
    exchange(here, there)
    assert told(there) == told(here)
    assert here.digest() == there.digest()


def test_where_all_is_as_it_was_nothing_is_written_and_it_is_said(desk: Desk) -> None:
    desk.update("mt-1", remove_labels=("ui",))
    tick(desk)
    desk.update("mt-1", add_labels=("ui",), actor="bob")
    digest = desk.digest()
    answer = undo(desk)
    assert (answer["_unchanged"], answer["changes"]) == (True, [])
    assert desk.digest() == digest
    assert "_unchanged" not in undo(desk, "bob")


# -- Claims ------------------------------------------------------------------------------------------------------
def lost(desk: Desk, actor: str = "alice") -> dict[str, Any]:
    with desk.replica.read() as reader:
        return attention(reader, desk.entities(reader), actor, desk.clock.now_ms())


def test_a_claim_that_its_holder_undoes_is_not_told_as_lost(desk: Desk) -> None:
    desk.update("mt-1", claim=True)
    undo(desk)
    assert lost(desk) == {}


def test_a_claim_that_an_undo_gives_back_is_told_if_it_is_lost(desk: Desk) -> None:
    desk.update("mt-1", claim=True)
    undo(desk)
    undo(desk)
    assert lost(desk) == {}
    tick(desk)
    desk.update("mt-1", assignee="bob", actor="bob")
    assert lost(desk) == {"lost": [{"id": "mt-1", "holder": "bob"}], "due": 0}


# -- Any sequence ------------------------------------------------------------------------------------------------
STEPS = st.lists(
    st.one_of(
        st.sampled_from(["A", "B", ""]).map(lambda value: {"assignee": value}),
        st.integers(0, 4).map(lambda value: {"priority": value}),
        st.sampled_from(["x", "y"]).map(lambda label: {"add_labels": (label,)}),
        st.sampled_from(["x", "y", "ui"]).map(lambda label: {"remove_labels": (label,)}),
        st.sampled_from([1, 2]).map(lambda value: {"set_metadata": {"k": value}}),
        st.just({"unset_metadata": ("k",)}),
        st.sampled_from(["", "One", "Two"]).map(lambda text: {"description": text}),
    ),
    min_size=1,
    max_size=3,
)


@pytest.fixture(scope="module")
def busy() -> Desk:
    """A desk on which every example has an issue of its own."""
    return Desk("busy").found()


@given(STEPS)
def test_undoing_the_last_write_gives_what_was_before_whatever_came_first(
    busy: Desk, steps: list[dict[str, Any]]
) -> None:
    name = busy.do(Create(actor="alice", project="mt", fields=IssueFields(title="One"), labels=("ui",)))["id"]
    seen = []
    for step in steps:
        tick(busy)
        before = told(busy, name)
        if busy.update(name, **step) and told(busy, name) != before:
            seen.append(before)
    if seen:
        undo(busy, id=name)
        assert told(busy, name) == seen[-1]
