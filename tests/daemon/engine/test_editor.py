"""The editor collects a change to one entity and writes it as few events as the rules allow."""

from typing import Any
from unittest.mock import patch

import pytest

from moot_protocol.log.event import Event
from moot_protocol.merge.kinds import ISSUE
from moot_testkit.towns.engine import Desk, in_conflict
from mootd.engine.editor import Editor


@pytest.fixture
def desk() -> Desk:
    made = Desk().found()
    made.create("mt-1", "T", labels=("a", "b"), metadata={"k": 1}, description="d")
    return made


def edit(desk: Desk, *steps: tuple[Any, ...], issue: str = "mt-1") -> list[Event]:
    """Carry out steps, each a method's name and its arguments, and save."""
    with desk.replica.transaction() as unit:
        editor = Editor(unit, desk.replica.ledger.number, ISSUE, issue, "alice")
        for method, *arguments in steps:
            getattr(editor, method)(*arguments)
        saved = editor.save()
        assert editor.save() == [], "what was saved is not saved again"
    return saved


def keys(events: list[Event]) -> list[list[str]]:
    return [[change.key for change in event.skeleton.changes] for event in events]


def test_registers_and_one_element_of_each_set_share_an_event(desk: Desk) -> None:
    saved = edit(desk, ("set", "title", "U"), ("set", "priority", 0), ("add", "labels", "c"), ("add", "edges", []))
    assert keys(saved) == [["edges", "labels", "priority", "title"]]


def test_a_key_stands_once_in_an_event_so_further_elements_have_their_own(desk: Desk) -> None:
    saved = edit(desk, ("add", "labels", "c"), ("add", "labels", "d"), ("set_entry", "metadata", "l", "2"))
    assert keys(saved) == [["labels", "metadata"], ["labels"]]


def test_free_text_stands_alone_in_its_event(desk: Desk) -> None:
    saved = edit(
        desk, ("set", "description", "e"), ("set", "notes", "n"), ("add", "comments", ["c"]), ("set", "title", "U")
    )
    assert keys(saved) == [["title"], ["description"], ["notes"], ["comments"]]


def test_what_is_shown_already_is_not_written_again(desk: Desk) -> None:
    assert edit(desk, ("set", "title", "T"), ("set", "description", "d"), ("set_entry", "metadata", "k", "1")) == []
    assert edit(desk, ("set", "assignee", ""), ("set", "assignee", None), ("remove_entry", "metadata", "none")) == []
    assert edit(desk, ("remove", "labels", [])) == []


def test_entries_of_a_field_are_read_once_however_many_are_written(desk: Desk) -> None:
    names = [f"name {number}" for number in range(20)]
    edit(desk, *(("set_entry", "metadata", name, "1") for name in names))
    with patch.object(Editor, "elements", autospec=True, side_effect=Editor.elements) as reads:
        edit(desk, *(("set_entry", "metadata", name, "2") for name in names), ("remove_entry", "metadata", "k"))
    assert reads.call_count == 1
    assert desk.show("mt-1")["metadata"] == dict.fromkeys(names, 2)


def test_the_last_value_given_to_a_register_counts(desk: Desk) -> None:
    edit(desk, ("set", "title", "U"), ("set", "title", "V"))
    assert desk.show("mt-1")["title"] == "V"


def test_clearing_writes_an_empty_value(desk: Desk) -> None:
    assert keys(edit(desk, ("set", "description", ""))) == [["description"]]
    assert "description" not in desk.show("mt-1")


def test_a_register_is_written_over_every_sibling_it_has() -> None:
    one, _ = in_conflict()
    (event,) = edit(one, ("set", "title", "A"))
    assert len(event.skeleton.changes[0].over) == 2
    assert "_conflicts" not in one.show("mt-1")


def test_an_element_is_removed_by_the_writes_that_added_it(desk: Desk) -> None:
    with desk.replica.transaction() as unit:
        editor = Editor(unit, 1, ISSUE, "mt-1", "alice")
        red = [group for group, value in editor.elements("labels") if value == "a"]
        editor.remove("labels", red)
        (event,) = editor.save()
    assert event.skeleton.changes[0].removes
    assert desk.show("mt-1")["labels"] == ["b"]


def test_an_entry_is_written_over_those_of_its_name_alone(desk: Desk) -> None:
    edit(desk, ("set_entry", "metadata", "l", "2"))
    (event,) = edit(desk, ("set_entry", "metadata", "k", "3"))
    assert len(event.skeleton.changes[0].over) == 1
    assert desk.show("mt-1")["metadata"] == {"k": 3, "l": 2}
    edit(desk, ("remove_entry", "metadata", "l"))
    assert desk.show("mt-1")["metadata"] == {"k": 3}


def test_an_issue_that_is_not_there_is_begun(desk: Desk) -> None:
    edit(desk, ("set", "title", "New"), issue="mt-2")
    assert desk.show("mt-2")["title"] == "New"


def test_entities_of_every_kind_are_written_alike(desk: Desk) -> None:
    with desk.replica.transaction() as unit:
        editor = Editor(unit, desk.replica.ledger.number, "memory", "m-1", "alice")
        editor.set("text", "free text")
        editor.set("title", "T")
        saved = editor.save()
    assert keys(saved) == [["title"], ["text"]]
    assert {(event.skeleton.kind, event.skeleton.entity) for event in saved} == {("memory", "m-1")}
