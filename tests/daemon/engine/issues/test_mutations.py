"""What each mutation of an issue does, and what it refuses before anything is written."""

import json
from typing import Any

import pytest

from moot_protocol import limits
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.base import Request
from moot_protocol.requests.issues import AddComment, Close, Create, Delete, Edge, IssueFields, Reopen, Undelete, Update
from moot_protocol.requests.transfer import Export, Import
from moot_testkit.towns.engine import START_MS, Desk, exchange, in_conflict, town_of
from mootd.engine.issues.first_lines import FirstLines
from mootd.engine.issues.importing import Importer, parse
from mootd.service.writing.writes import carry_out

NOW = "2023-11-14T22:13:20.000Z"
"""START_MS as documents show it."""


@pytest.fixture
def desk() -> Desk:
    made = Desk().found()
    assert made.clock.now_ms() == START_MS
    return made


def take(desk: Desk, *lines: bytes) -> None:
    """Import lines."""
    with desk.replica.transaction() as unit:
        Importer(unit, desk.replica.ledger.number, "mt", "carol").take(parse(lines, 1, FirstLines()))


# -- Create --------------------------------------------------------------------------------------------------------
def test_a_new_issue_shows_what_was_given_and_the_defaults(desk: Desk) -> None:
    shown = desk.do(Create(actor="alice", project="mt", fields=IssueFields(title="A title", description="Long\ntext")))
    assert shown.pop("id").startswith("mt-")
    assert shown == {
        "title": "A title", "description": "Long\ntext", "status": "open", "priority": 2, "issue_type": "task",
        "created_at": NOW, "created_by": "alice", "updated_at": NOW,
    }  # fmt: skip


def test_every_field_labels_metadata_parent_and_edges_can_be_given(desk: Desk) -> None:
    desk.create("mt-parent", labels=("inherited",))
    desk.create("mt-other")
    fields: dict[str, Any] = {
        "title": "T", "description": "d", "design": "e", "acceptance_criteria": "f", "notes": "n",
        "status": "in_progress", "priority": 0, "issue_type": "bug", "assignee": "bob", "owner": "carol",
        "estimated_minutes": 5, "due_at": "2030-01-01T00:00:00Z", "defer_until": "2029-01-01T00:00:00Z",
        "external_ref": "gh-1", "spec_id": "s", "close_reason": "c", "ephemeral": True, "pinned": True,
    }  # fmt: skip
    shown = desk.create(
        "mt-1",
        labels=("red", "red"),
        metadata={"a": [1, {"b": None}]},
        parent="mt-parent",
        edges=(Edge("mt-other"), Edge("external:x:y", "tracks"), Edge("mt-other", "related", "because")),
        **fields,
    )
    assert {name: shown[name] for name in fields} == fields
    assert shown["labels"] == ["inherited", "red"]
    assert shown["metadata"] == {"a": [1, {"b": None}]}
    assert {(each["depends_on_id"], each["type"], each.get("metadata")) for each in shown["dependencies"]} == {
        ("mt-parent", "parent-child", None),
        ("mt-other", "blocks", None),
        ("external:x:y", "tracks", None),
        ("mt-other", "related", "because"),
    }


def test_a_child_need_not_inherit_labels_and_may_inherit_odd_ones(desk: Desk) -> None:
    take(desk, b'{"id":"mt-p","title":"P","labels":[" odd ","red"]}')
    assert desk.create("mt-1", parent="mt-p")["labels"] == [" odd ", "red"]
    wanted = Create(actor="a", project="mt", parent="mt-p", inherit_labels=False, fields=IssueFields(title="T"))
    assert "labels" not in desk.do(wanted)


def test_ids_are_random_and_an_own_one_must_be_free_even_of_the_deleted(desk: Desk) -> None:
    made = [desk.do(Create(actor="a", project="mt", fields=IssueFields(title="T")))["id"] for _ in range(5)]
    assert len(set(made)) == 5
    assert all(len(name) == len("mt-") + 12 for name in made)
    desk.create("mt-mine")
    desk.do(Delete(actor="a", id="mt-mine"))
    wanted = Create(actor="a", project="mt", id="mt-mine", fields=IssueFields(title="T"))
    assert desk.refusal(wanted) is Code.EXISTS


def test_an_issue_that_others_already_depend_on_can_be_created(desk: Desk) -> None:
    take(desk, b'{"id":"mt-1","title":"T","dependencies":[{"depends_on_id":"mt-later","type":"blocks"}]}')
    assert desk.ready() == ["mt-1"]
    desk.create("mt-later")
    assert desk.blocked() == ["mt-1"]


def test_an_issue_created_closed_has_a_closing_time(desk: Desk) -> None:
    assert desk.create("mt-1", status="closed")["closed_at"] == NOW


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"fields": IssueFields(title="  ")}, Code.INVALID),
        ({"fields": IssueFields()}, Code.INVALID),
        ({"fields": IssueFields(title="x" * 501)}, Code.LIMIT),
        ({"fields": IssueFields(title="T", priority=5)}, Code.INVALID),
        ({"fields": IssueFields(title="T", status="nonsense")}, Code.INVALID),
        ({"fields": IssueFields(title="T", issue_type="nonsense")}, Code.INVALID),
        ({"fields": IssueFields(title="T", due_at="tomorrow")}, Code.INVALID),
        ({"fields": IssueFields(title="T", description="x" * (limits.TEXT_BYTES + 1))}, Code.LIMIT),
        ({"labels": (" red",)}, Code.INVALID),
        ({"labels": ("x" * 101,)}, Code.INVALID),
        ({"parent": "mt-none"}, Code.NOT_FOUND),
        ({"edges": (Edge("mt-none"),)}, Code.NOT_FOUND),
        ({"edges": (Edge("external:x", "two words"),)}, Code.INVALID),
        ({"edges": (Edge("external:x"), Edge("external:y", "blocks", "x" * 70_000))}, Code.LIMIT),
        ({"metadata": {"a": 1, "b": "x" * 70_000}}, Code.LIMIT),
        ({"metadata": {"a": 1, "b": float("nan")}}, Code.INVALID),
        ({"metadata": {"a": 1, "\ud800": 1}}, Code.INVALID),
        ({"id": "two words"}, Code.INVALID),
        ({"id": "a\nb"}, Code.INVALID),
        ({"actor": "x" * 256}, Code.INVALID),
    ],
)
def test_what_cannot_be_stored_is_refused_before_anything_is_written(
    desk: Desk, changes: dict[str, Any], code: Code
) -> None:
    wanted: dict[str, Any] = {"actor": "alice", "project": "mt", "fields": IssueFields(title="T")} | changes
    assert desk.refusal(Create(**wanted)) is code


# -- Update --------------------------------------------------------------------------------------------------------
def test_an_update_changes_what_it_names_and_clears_with_empty_values(desk: Desk) -> None:
    desk.create("mt-1", description="d", assignee="bob", due_at="2030-01-01T00:00:00Z")
    shown = desk.update("mt-1", title="New", description="", assignee="", due_at="")
    assert shown["title"] == "New"
    assert not {"description", "assignee", "due_at"} & shown.keys()
    assert shown["created_at"] == NOW


def test_an_update_that_changes_nothing_writes_nothing(desk: Desk) -> None:
    desk.create("mt-1", title="T", labels=("red",), metadata={"a": 1}, description="d")
    before = desk.log_length()
    desk.update("mt-1", title="T", description="d", priority=2, assignee="", add_labels=("red",), set_metadata={"a": 1})
    desk.update("mt-1", remove_labels=("blue",), unset_metadata=("b",), set_labels=("red",), parent="")
    assert desk.log_length() == before


def test_an_update_of_short_fields_is_one_event_and_each_text_has_its_own(desk: Desk) -> None:
    desk.create("mt-1")
    before = desk.log_length()
    desk.update("mt-1", title="New", priority=1, status="in_progress", add_labels=("x",), set_metadata={"k": 1})
    assert desk.log_length() == before + 1
    desk.update("mt-1", description="d", notes="n", title="Newer")
    assert desk.log_length() == before + 4


def test_texts_of_the_full_size_fit(desk: Desk) -> None:
    desk.create("mt-1", description="é" * (limits.TEXT_BYTES // 2), notes="x" * limits.TEXT_BYTES)
    assert len(desk.show("mt-1")["notes"]) == limits.TEXT_BYTES


def test_labels_are_added_removed_and_set(desk: Desk) -> None:
    desk.create("mt-1", labels=("a", "b"))
    assert desk.update("mt-1", add_labels=("c",), remove_labels=("a",))["labels"] == ["b", "c"]
    assert desk.update("mt-1", set_labels=("c", "d"))["labels"] == ["c", "d"]
    assert "labels" not in desk.update("mt-1", set_labels=())
    assert desk.refusal(Update(actor="a", id="mt-1", add_labels=("",))) is Code.INVALID


def test_a_label_added_concurrently_with_its_removal_stays() -> None:
    one, two = town_of("one", "two")
    one.create("mt-1", labels=("red",))
    exchange(one, two)
    one.update("mt-1", remove_labels=("red",))
    two.update("mt-1", remove_labels=("red",))
    two.update("mt-1", add_labels=("red",))
    exchange(one, two)
    assert one.show("mt-1")["labels"] == two.show("mt-1")["labels"] == ["red"]


def test_metadata_entries_are_set_and_unset_by_name(desk: Desk) -> None:
    desk.create("mt-1", metadata={"a": 1, "b": 2})
    assert desk.update("mt-1", set_metadata={"b": [3], "c": None}, unset_metadata=("a",))["metadata"] == {
        "b": [3],
        "c": None,
    }


def test_notes_are_appended_to_what_is_there_or_was_just_given(desk: Desk) -> None:
    desk.create("mt-1")
    assert desk.update("mt-1", append_notes="one")["notes"] == "one"
    assert desk.update("mt-1", append_notes="two")["notes"] == "one\ntwo"
    assert desk.update("mt-1", notes="new", append_notes="three")["notes"] == "new\nthree"
    too_much = Update(actor="a", id="mt-1", append_notes="x" * limits.TEXT_BYTES)
    assert desk.refusal(too_much) is Code.LIMIT


def test_starting_and_closing_by_an_update_leave_their_times(desk: Desk) -> None:
    desk.create("mt-1")
    assert desk.update("mt-1", status="in_progress")["started_at"] == NOW
    desk.clock.advance(1000)
    shown = desk.update("mt-1", status="closed")
    assert (shown["started_at"], shown["closed_at"]) == (NOW, "2023-11-14T22:13:21.000Z")
    assert "closed_at" not in desk.update("mt-1", status="open")
    desk.clock.advance(1000)
    shown = desk.update("mt-1", status="in_progress")
    assert shown["started_at"] == NOW, "it was begun once"
    assert desk.update("mt-1", status="closed")["closed_at"] == "2023-11-14T22:13:22.000Z"


# -- Reparent ------------------------------------------------------------------------------------------------------
def test_an_issue_gets_another_parent_or_none(desk: Desk) -> None:
    for name in ("mt-a", "mt-b"):
        desk.create(name)
    desk.create("mt-1", parent="mt-a", edges=(Edge("mt-a", "related"),))
    assert parents(desk.update("mt-1", parent="mt-b")) == ["mt-b"]
    assert parents(desk.update("mt-1", parent="mt-b")) == ["mt-b"]
    assert parents(desk.update("mt-1", parent="")) == []
    assert len(desk.show("mt-1")["dependencies"]) == 1


def parents(shown: dict[str, Any]) -> list[str]:
    return [each["depends_on_id"] for each in shown["dependencies"] if each["type"] == "parent-child"]


def test_no_issue_becomes_its_own_ancestor(desk: Desk) -> None:
    desk.create("mt-a")
    desk.create("mt-b", parent="mt-a")
    desk.create("mt-c", parent="mt-b")
    assert desk.refusal(Update(actor="a", id="mt-a", parent="mt-a")) is Code.CONFLICT
    assert desk.refusal(Update(actor="a", id="mt-a", parent="mt-c")) is Code.CONFLICT


# -- Close and reopen ----------------------------------------------------------------------------------------------
def test_closing_keeps_reason_session_and_time_and_closing_again_changes_nothing(desk: Desk) -> None:
    desk.create("mt-1")
    shown = desk.do(Close(actor="a", id="mt-1", reason="done", session="s-1"))
    assert (shown["status"], shown["close_reason"], shown["closed_by_session"]) == ("closed", "done", "s-1")
    assert (shown["closed_at"], shown["_unblocked"]) == (NOW, [])
    before = desk.log_length()
    desk.do(Close(actor="b", id="mt-1", reason="again"))
    assert desk.log_length() == before


def test_a_change_can_leave_closed_issues_alone(desk: Desk) -> None:
    desk.create("mt-1")
    aside = Update(actor="a", id="mt-1", fields=IssueFields(status="deferred"), unless_closed=True)
    assert desk.do(aside)["status"] == "deferred"
    desk.update("mt-1", status="closed")
    assert desk.refusal(aside) is Code.CONFLICT
    assert desk.show("mt-1")["status"] == "closed"


def test_an_issue_that_something_open_blocks_is_closed_by_force_only(desk: Desk) -> None:
    desk.create("mt-a")
    desk.create("mt-1", edges=(Edge("mt-a"),))
    with pytest.raises(RefusedError, match="mt-a"):
        desk.do(Close(actor="a", id="mt-1"))
    assert desk.refusal(Close(actor="a", id="mt-1")) is Code.CONFLICT
    assert desk.do(Close(actor="a", id="mt-1", force=True))["status"] == "closed"


def test_an_update_closes_no_issue_that_something_open_blocks(desk: Desk) -> None:
    desk.create("mt-a")
    desk.create("mt-1", edges=(Edge("mt-a"),))
    by_update = Update(actor="a", id="mt-1", fields=IssueFields(status="closed", priority=0))
    assert desk.refusal(by_update) is Code.CONFLICT
    with pytest.raises(RefusedError, match="mt-1 is blocked by open issues: mt-a") as raised:
        desk.do(by_update)
    assert "`moot close` with --force" in raised.value.hint
    assert "mt-a" not in raised.value.discreet
    assert desk.update("mt-1", priority=0)["status"] == "open", "the rest of it can be changed"
    desk.do(Close(actor="a", id="mt-1", force=True))
    assert desk.do(by_update)["_unchanged"], "it is closed already"
    desk.update("mt-1", status="open")
    desk.do(Close(actor="a", id="mt-a"))
    assert desk.do(by_update)["status"] == "closed"


def test_closing_tells_everything_that_is_blocked_no_longer(desk: Desk) -> None:
    desk.create("mt-a")
    desk.create("mt-direct", edges=(Edge("mt-a"),))
    desk.create("mt-child", parent="mt-direct")
    desk.create("mt-b")
    desk.create("mt-still", edges=(Edge("mt-a"), Edge("mt-b")))
    desk.create("mt-epic")
    desk.update("mt-a", parent="mt-epic")
    desk.create("mt-waits", edges=(Edge("mt-epic", "waits-for"),))
    desk.create("mt-gone", edges=(Edge("mt-a"),), status="closed")
    assert desk.do(Close(actor="a", id="mt-a"))["_unblocked"] == ["mt-child", "mt-direct", "mt-waits"]


def test_reopening_clears_the_closing_and_a_reason_becomes_a_comment(desk: Desk) -> None:
    desk.create("mt-1")
    desk.do(Close(actor="a", id="mt-1", reason="done"))
    shown = desk.do(Reopen(actor="bob", id="mt-1", reason="not quite"))
    assert shown["status"] == "open"
    assert not {"closed_at", "close_reason"} & shown.keys()
    assert [(each["author"], each["text"]) for each in shown["comments"]] == [("bob", "Reopened: not quite")]
    assert "_unchanged" not in shown
    before = desk.log_length()
    assert desk.do(Reopen(actor="bob", id="mt-1", reason="again"))["_unchanged"]
    assert desk.log_length() == before, "it was open"


def test_a_change_that_changes_nothing_says_so(desk: Desk) -> None:
    desk.create("mt-1", labels=("red",))
    same: list[Update] = [
        Update(actor="a", id="mt-1", add_labels=("red",)),
        Update(actor="a", id="mt-1", remove_labels=("blue",)),
        Update(actor="a", id="mt-1", fields=IssueFields(status="open", defer_until="")),
    ]
    before = desk.log_length()
    assert all(desk.do(request)["_unchanged"] for request in same)
    assert desk.log_length() == before
    assert "_unchanged" not in desk.do(Update(actor="a", id="mt-1", remove_labels=("red",)))
    assert "_unchanged" not in desk.do(Close(actor="a", id="mt-1", reason="done"))
    again = desk.do(Close(actor="a", id="mt-1", reason="again"))
    assert (again["_unchanged"], again["close_reason"]) == (True, "done")
    assert "_unchanged" not in desk.do(Delete(actor="a", id="mt-1"))
    assert desk.do(Delete(actor="a", id="mt-1"))["_unchanged"]


@pytest.mark.parametrize(
    "said",
    [
        {"assignee": "bob"},
        {"priority": 1},
        {"title": "T"},
        {"status": "deferred", "defer_until": "2030-01-01T00:00:00Z"},
    ],
)
def test_fields_that_have_their_value_already_are_not_written_and_that_is_told(
    desk: Desk, said: dict[str, Any]
) -> None:
    desk.create("mt-1", "T", priority=1)
    desk.update("mt-1", status="deferred", defer_until="2030-01-01T00:00:00Z", assignee="bob")
    before = desk.log_length()
    assert desk.do(Update(actor="a", id="mt-1", fields=IssueFields(**said)))["_unchanged"]
    assert desk.log_length() == before
    assert "_unchanged" not in desk.do(Update(actor="a", id="mt-1", fields=IssueFields(**said | {"notes": "n"})))


def test_who_says_again_one_of_several_values_in_conflict_settles_it_and_has_changed_something() -> None:
    one, _ = in_conflict()
    shown, before = one.show("mt-1"), one.log_length()
    again = one.do(Update(actor="a", id="mt-1", fields=IssueFields(title=shown["title"])))
    assert "_conflicts" in shown
    assert not {"_unchanged", "_conflicts"} & again.keys()
    assert one.log_length() == before + 1


# -- Delete and undelete -------------------------------------------------------------------------------------------
def test_a_deleted_issue_is_a_tombstone_takes_no_changes_and_comes_back_whole(desk: Desk) -> None:
    made = desk.create("mt-1", labels=("red",), description="d", priority=1)
    shown = desk.do(Delete(actor="bob", id="mt-1", reason="mistake"))
    assert shown["status"] == "tombstone"
    assert (shown["deleted_by"], shown["delete_reason"], shown["deleted_at"]) == ("bob", "mistake", NOW)
    assert desk.ready() == []
    refused: list[Request[Any]] = [
        Update(actor="a", id="mt-1", fields=IssueFields(title="x")),
        Close(actor="a", id="mt-1"),
        Reopen(actor="a", id="mt-1"),
        AddComment(actor="a", id="mt-1", text="x"),
    ]
    assert {desk.refusal(request) for request in refused} == {Code.NOT_FOUND}
    before = desk.log_length()
    desk.do(Delete(actor="bob", id="mt-1"))
    assert desk.log_length() == before
    assert desk.do(Undelete(actor="bob", id="mt-1")) == made
    assert desk.do(Undelete(actor="bob", id="mt-1")) == made | {"_unchanged": True}
    assert desk.log_length() == before + 1


def test_an_imported_tombstone_comes_back_open_with_the_type_it_had(desk: Desk) -> None:
    take(
        desk,
        b'{"id":"mt-1","title":"T","status":"tombstone","issue_type":"task","original_type":"bug","deleted_by":"x"}',
    )
    shown = desk.do(Undelete(actor="bob", id="mt-1"))
    assert (shown["status"], shown["issue_type"]) == ("open", "bug")
    assert not {"deleted_by", "original_type"} & shown.keys()
    assert desk.ready() == ["mt-1"]


def test_an_edit_made_apart_from_a_deletion_stays_in_the_record() -> None:
    one, two = town_of("one", "two")
    one.create("mt-1")
    exchange(one, two)
    one.do(Delete(actor="a", id="mt-1"))
    two.update("mt-1", title="Edited")
    exchange(one, two)
    assert two.show("mt-1")["status"] == "tombstone"
    assert two.do(Undelete(actor="b", id="mt-1"))["title"] == "Edited"


# -- Comments ------------------------------------------------------------------------------------------------------
def test_a_comment_has_an_id_an_author_and_a_time_and_two_alike_are_two(desk: Desk) -> None:
    desk.create("mt-1")
    first = desk.do(AddComment(actor="bob", id="mt-1", text="hm"))
    second = desk.do(AddComment(actor="bob", id="mt-1", text="hm"))
    assert first == {"id": first["id"], "issue_id": "mt-1", "author": "bob", "text": "hm", "created_at": NOW}
    assert desk.show("mt-1")["comments"] == [first, second] or desk.show("mt-1")["comments"] == [second, first]
    assert first["id"] != second["id"]


@pytest.mark.parametrize(
    "odd",
    ["", '"id": "", ', '"id": 1.5, ', '"id": [1], ', '"id": {}, ', '"id": null, ', '"id": 99999999999999999999999, '],
)
def test_a_comment_can_be_added_beside_an_imported_one_that_has_no_id_to_show(desk: Desk, odd: str) -> None:
    take(desk, b'{"id": "mt-1", "comments": [{%s"text": "imported"}]}' % odd.encode())
    added = desk.do(AddComment(actor="bob", id="mt-1", text="hello"))
    assert added == {"id": added["id"], "issue_id": "mt-1", "author": "bob", "text": "hello", "created_at": NOW}
    shown = desk.show("mt-1")["comments"]
    assert added in shown
    assert [each["text"] for each in shown if "id" not in each] == ["imported"]


@pytest.mark.parametrize(("text", "code"), [("", Code.INVALID), (" \n", Code.INVALID), ("x" * 61_441, Code.LIMIT)])
def test_an_empty_or_endless_comment_is_refused(desk: Desk, text: str, code: Code) -> None:
    desk.create("mt-1")
    assert desk.refusal(AddComment(actor="bob", id="mt-1", text=text)) is code


# -- What all have in common ---------------------------------------------------------------------------------------
def test_a_unique_beginning_of_an_id_is_enough(desk: Desk) -> None:
    desk.create("mt-abcdef")
    assert desk.update("mt-abcd", title="x")["id"] == "mt-abcdef"
    assert desk.update("abcd", title="y")["id"] == "mt-abcdef"


def test_mutations_of_one_transaction_see_each_other(desk: Desk) -> None:
    with desk.replica.transaction() as unit:
        carry_out(unit, Create(actor="a", project="mt", id="mt-1", fields=IssueFields(title="T")))
        carry_out(unit, Update(actor="a", id="mt-1", add_labels=("x",)))
        carry_out(unit, Close(actor="a", id="mt-1"))
        shown = carry_out(unit, Reopen(actor="a", id="mt-1"))
    assert desk.show("mt-1") == shown | {"_blocked": False, "_short": 4}


def test_a_clock_that_went_back_does_not_make_events_go_back(desk: Desk) -> None:
    desk.create("mt-1")
    desk.clock.set_wall(START_MS - 60_000)
    assert desk.update("mt-1", title="Later")["updated_at"] == NOW
    desk.clock.set_wall(START_MS - limits.CLOCK_AHEAD_MS - 2000)
    assert desk.refusal(Update(actor="a", id="mt-1", fields=IssueFields(title="x"))) is Code.CLOCK_AHEAD


@pytest.mark.parametrize(
    ("kept", "said"), [({"priority": 9}, {"priority": 4}), ({"title": "x" * 501}, {"title": "x" * 500})]
)
def test_whoever_says_what_stands_for_an_odd_value_of_a_file_means_it(
    desk: Desk, kept: dict[str, Any], said: dict[str, Any]
) -> None:
    take(desk, json.dumps({"id": "mt-a", "title": "t", "priority": 1} | kept).encode())
    (name,) = kept

    def exported() -> Any:
        return json.loads(desk.ask(Export())["lines"][0])[name]

    assert exported() == kept[name]
    assert "_unchanged" not in desk.do(Update(actor="alice", id="mt-a", fields=IssueFields(**said)))
    assert exported() == said[name]
    assert "_unchanged" in desk.do(Update(actor="alice", id="mt-a", fields=IssueFields(**said)))


def test_import_is_no_mutation_of_one_issue(desk: Desk) -> None:
    with pytest.raises(KeyError):
        desk.do(Import(actor="a", project="mt", lines=()))
