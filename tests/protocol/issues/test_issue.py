"""Reading an issue: what is shown of what is live, and facts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.clock import from_ms
from moot_protocol.issues.issue import (
    CLOSED,
    SHAPES,
    Facts,
    created_ms,
    created_ns,
    facts,
    new_comment,
    new_edge,
    project_of,
    read_edges,
    read_issue,
    shown_value,
    stand_in,
    updated_ms,
    updated_ns,
)
from moot_protocol.issues.issue_document import document
from moot_protocol.log.event import Write
from moot_protocol.merge.deletion import deletion
from moot_protocol.merge.kinds import ISSUE, KINDS
from moot_protocol.merge.register import MISSING, Sibling
from moot_protocol.text import json_text
from moot_protocol.times import format_ms, instant_ms
from moot_testkit.bytes.strategies import values
from moot_testkit.clients.written_issue import ALICE, BOB, T0, Issue, at


# -- Fields --------------------------------------------------------------------------------------------------------
def test_a_cleared_field_is_not_shown() -> None:
    issue = Issue(assignee="alice", description="text", due_at=T0)
    issue.write(assignee="", description=None, due_at="")
    assert not {"assignee", "description", "due_at"} & issue.document().keys()


@given(st.sampled_from(sorted(SHAPES)), values | st.just(MISSING))
def test_a_value_of_a_type_its_field_cannot_have_is_passed_over(name: str, value: Any) -> None:
    issue = Issue()
    issue.write(**{name: value})
    shown = issue.document()
    for key in ("title", "status", "issue_type", "created_at", "updated_at"):
        assert isinstance(shown[key], str)
    assert shown["priority"] in range(5)
    assert type(shown.get(name, True)) in (str, int, bool)
    assert (name in issue.read().missing) == (value is MISSING)


@given(
    st.dictionaries(st.sampled_from(sorted(KINDS[ISSUE])), st.lists(values | st.just(MISSING), min_size=1, max_size=3))
)
def test_whatever_is_live_can_be_read_and_exported(live: dict[str, list[Any]]) -> None:
    siblings = {
        key: [Sibling(value, from_ms(T0) + n, bytes([n]) * 32, n + 1) for n, value in enumerate(written)]
        for key, written in live.items()
    }
    reading = read_issue("bd-1", siblings, from_ms(T0), from_ms(T0) + 9)
    for exact in (False, True):
        assert json_text.to_line(document(reading, exact=exact))
    assert isinstance(facts(siblings), Facts)
    assert project_of(siblings) == facts(siblings).project
    assert created_ms(siblings, from_ms(T0)) is not None
    assert updated_ms(siblings, from_ms(T0)) is not None
    backwards = {key: list(reversed(written)) for key, written in reversed(siblings.items())}
    assert read_issue("bd-1", backwards, from_ms(T0), from_ms(T0) + 9) == reading
    assert facts(backwards) == facts(siblings)


@given(st.sampled_from(sorted(SHAPES.keys() - {"created_at", "updated_at"})), values)
def test_what_is_shown_of_a_field_s_only_value_is_what_its_document_says(name: str, value: Any) -> None:
    issue = Issue(**{"status": CLOSED} if name == "closed_at" else {})  # no other has one
    issue.write(**{name: value})
    instead = {"title": "", "priority": 0}
    shown = shown_value(name, value)
    assert issue.document().get(name) == (instead.get(name) if shown is None else shown)


# -- Times ---------------------------------------------------------------------------------------------------------
def test_created_at_is_what_a_file_said_else_the_time_of_the_first_event() -> None:
    issue = Issue()
    issue.write(title="Changed")
    assert issue.document()["created_at"] == at(1)
    assert created_ms(issue.live, issue.created_hlc) == T0 + 1000
    issue.write(created_at="2025-11-02T21:58:07.295058-08:00")
    assert issue.document()["created_at"] == "2025-11-02T21:58:07.295058-08:00"
    assert created_ms(issue.live, issue.created_hlc) == 1_762_149_487_295
    assert created_ns(issue.live, issue.created_hlc) == 1_762_149_487_295_058_000


def test_updated_at_is_what_a_file_said_until_something_is_written_after_it() -> None:
    issue = Issue()
    issue.write(updated_at="2025-11-02T21:58:07.295058-08:00")
    assert issue.document()["updated_at"] == "2025-11-02T21:58:07.295058-08:00"
    assert updated_ms(issue.live, issue.updated_hlc) == 1_762_149_487_295
    assert updated_ns(issue.live, issue.updated_hlc) == 1_762_149_487_295_058_000
    issue.write(labels="x")
    assert issue.document()["updated_at"] == at(3)
    assert updated_ms(issue.live, issue.updated_hlc) == T0 + 3000
    assert updated_ns(issue.live, issue.updated_hlc) == (T0 + 3000) * 1_000_000


def test_of_two_files_imported_at_once_the_later_updated_at_is_shown() -> None:
    issue = Issue()
    issue.fork("updated_at", "2025-11-03T00:00:00Z", "2025-11-02T00:00:00Z")
    assert issue.document()["updated_at"] == "2025-11-03T00:00:00Z"
    assert issue.read().conflicts == []


def test_closed_at_shows_only_while_the_shown_status_is_closed() -> None:
    issue = Issue(status="closed", closed_at=T0)
    assert issue.document()["closed_at"] == format_ms(T0)
    assert facts(issue.live).closed_ms == T0
    issue.write(status="open")
    assert "closed_at" not in issue.document()
    assert facts(issue.live).closed_ms is None


# -- Set-like fields -----------------------------------------------------------------------------------------------
def test_labels_are_shown_in_order_each_once() -> None:
    issue = Issue(labels="zebra")
    issue.write(labels="ant")
    issue.write(BOB, labels="zebra")
    assert issue.document()["labels"] == ["ant", "zebra"]
    assert facts(issue.live).labels == ["ant", "zebra"]


def test_a_label_added_concurrently_with_its_removal_stays() -> None:
    issue = Issue(labels="bug")
    seen = issue.over("labels")
    issue.write(BOB, labels="bug")
    issue.apply(ALICE, from_ms(T0 + 9000), [Write("labels", over=seen, removes=True)])
    assert issue.document()["labels"] == ["bug"]


def test_a_dependency_made_here_has_its_write_s_time_and_actor() -> None:
    issue = Issue()
    issue.write(actor="alice/claude", edges=new_edge("bd-2", "waits-for", '{"gate":"any-children"}'))
    assert issue.document()["dependencies"] == [
        {
            "issue_id": "bd-1",
            "depends_on_id": "bd-2",
            "type": "waits-for",
            "created_at": at(2),
            "created_by": "alice/claude",
            "metadata": '{"gate":"any-children"}',
        }
    ]


def test_one_dependency_of_a_type_shows_once_as_it_was_made_first() -> None:
    issue = Issue()
    issue.write(edges=new_edge("bd-2", "blocks"))
    issue.write(BOB, "bob", edges=new_edge("bd-2", "blocks"))
    issue.write(BOB, "bob", edges=new_edge("bd-2", "related"))
    edges = read_edges(list(reversed(issue.live["edges"])))
    assert [(edge.to, edge.type, edge.created_by, edge.rank[0]) for edge in edges] == [
        ("bd-2", "blocks", "alice", from_ms(T0 + 2000)),
        ("bd-2", "related", "bob", from_ms(T0 + 4000)),
    ]


def test_comments_are_shown_oldest_first_by_instant() -> None:
    issue = Issue(comments=["second", "bob", "2025-01-01T09:30:00+01:00", "b", {}])
    issue.write(comments=["first", "bob", "2025-01-01T08:00:00Z", 7, {}])
    issue.write(comments=new_comment("third"))
    first, second, third = issue.document()["comments"]
    assert first == {
        "id": 7,
        "issue_id": "bd-1",
        "author": "bob",
        "text": "first",
        "created_at": "2025-01-01T08:00:00Z",
    }
    assert second["text"] == "second"
    assert (third["author"], third["created_at"]) == ("alice", at(3))


def test_equal_comments_made_here_are_as_many_as_were_made() -> None:
    issue = Issue(comments=new_comment("+1"))
    issue.write(comments=new_comment("+1"))
    issue.write(BOB, comments=new_comment("+1"))
    assert len({comment["id"] for comment in issue.document()["comments"]}) == 3


def test_a_comment_imported_at_two_places_is_one() -> None:
    issue = Issue()
    issue.write(comments=["text", "bob", "2025-01-01T08:00:00Z", "c1", {}])
    native = new_comment("made here")
    issue.write(BOB, "bob", comments=["text", "bob", "2025-01-01T08:00:00Z", "c1", {}])
    issue.write(comments=native)
    made = issue.document()["comments"][-1]
    issue.write(BOB, "bob", comments=[made["text"], made["author"], made["created_at"], made["id"], {}])
    assert [comment["text"] for comment in issue.document()["comments"]] == ["text", "made here"]


def test_metadata_is_one_object_of_the_latest_values() -> None:
    issue = Issue(metadata=["size", "1"])
    issue.write(metadata=["tags", '["a",{"b":1.0}]'])
    assert issue.document()["metadata"] == {"size": 1, "tags": ["a", {"b": 1.0}]}


# -- Deletion ------------------------------------------------------------------------------------------------------
def test_a_deleted_issue_is_a_tombstone_that_keeps_its_record() -> None:
    issue = Issue(issue_type="bug", status="closed", closed_at=T0, description="text")
    issue.write(deleted=deletion("alice", "duplicate", T0))
    assert issue.document() == {
        "id": "bd-1", "title": "A title", "description": "text", "status": "tombstone", "priority": 0,
        "issue_type": "bug", "created_at": at(1), "updated_at": at(2), "deleted_at": format_ms(T0),
        "deleted_by": "alice", "delete_reason": "duplicate", "original_type": "bug",
    }  # fmt: skip
    assert facts(issue.live).is_deleted
    assert facts(issue.live).status == "closed"


def test_undeleting_brings_all_back() -> None:
    issue = Issue(status="in_progress")
    before = issue.document()
    issue.write(deleted=deletion("alice", "", T0))
    issue.write(deleted=None)
    assert issue.document() == before | {"updated_at": at(3)}
    assert not facts(issue.live).is_deleted


def test_an_edit_concurrent_with_a_deletion_stays_in_the_record() -> None:
    issue = Issue()
    issue.write(deleted=deletion("alice", "", T0))
    issue.write(BOB, title="Better")
    assert issue.document()["title"] == "Better"
    assert issue.document()["status"] == "tombstone"


def test_the_status_tombstone_means_deleted_too() -> None:
    issue = Issue(status="tombstone")
    assert issue.read().deleted == {}
    assert facts(issue.live).is_deleted


def test_an_erased_deletion_hides_nothing() -> None:
    issue = Issue()
    issue.write(deleted=deletion("alice", "", T0))
    issue.erase("deleted")
    assert issue.document()["status"] == "open"
    assert not facts(issue.live).is_deleted


# -- Conflicts -----------------------------------------------------------------------------------------------------
def test_fields_that_disagree_are_named_in_order() -> None:
    issue = Issue(description="one\ntwo\nthree")
    issue.fork("title", "Ours", "Theirs")
    issue.fork("assignee", "alice", "bob")
    issue.fork("description", "1\ntwo\nthree", "one\ntwo\n3")
    issue.fork("notes", "ours", "theirs")
    issue.fork("metadata", ["k", "1"], ["k", "2"])
    issue.fork("labels", "x", "y")
    reading = issue.read()
    assert reading.conflicts == ["metadata.k", "notes", "title"]
    assert reading.values["description"] == "1\ntwo\n3"
    assert reading.values["assignee"] == "alice"
    assert reading.values["title"] == "Theirs"


def test_an_issue_deleted_and_undeleted_at_once_is_in_conflict() -> None:
    issue = Issue(deleted=deletion("alice", "", T0))
    issue.fork("deleted", None, deletion("bob", "again", T0))
    assert issue.read().conflicts == ["deleted"]


# -- Facts ---------------------------------------------------------------------------------------------------------
def test_facts_tell_what_a_list_needs() -> None:
    issue = Issue(
        project="bd", status="closed", priority=0, issue_type="bug", assignee="alice", labels="x", pinned=True,
        ephemeral=True, defer_until="2026-01-01T00:00:00Z", due_at=T0 + 1, closed_at="2026-01-01T01:00:00.0029+01:00",
    )  # fmt: skip
    assert facts(issue.live) == Facts(
        "bd", "A title", "closed", 0, "bug", "alice", ["x"], True, True, False, T0, T0 + 1, T0 + 2
    )


def test_facts_read_no_field_that_is_kept_outside_the_record() -> None:
    class OnlyInline(dict[str, list[Sibling]]):
        def get(self, key: str, default: Any = None) -> Any:
            assert KINDS[ISSUE][key].inline, key
            return super().get(key, default)

    issue = Issue(status="closed", closed_at=T0, pinned=True, due_at=T0, deleted=None)
    assert facts(OnlyInline(issue.live)) == facts(issue.live)


@given(st.data())
def test_facts_and_document_tell_the_same(data: st.DataObject) -> None:
    issue = Issue(status="closed")
    for _ in range(data.draw(st.integers(1, 4))):
        key = data.draw(st.sampled_from(["title", "status", "priority", "assignee", "pinned", "labels", "closed_at"]))
        pick = st.sampled_from(["a", "closed", "", None, 0, 3, 9, True, False, T0, "2026-01-01T00:00:00Z", MISSING])
        issue.fork(key, data.draw(pick), data.draw(pick))
    shown, told = issue.document(), facts(issue.live)
    assert (told.title, told.status, told.priority) == (shown["title"], shown["status"], shown["priority"])
    assert (told.assignee, told.pinned) == (shown.get("assignee", ""), shown.get("pinned", False))
    assert (told.labels, told.closed_ms) == (shown.get("labels", []), instant_ms(shown.get("closed_at")))


@pytest.mark.parametrize(
    ("written", "shown"),
    [(9, 4), (2**63, 4), (-3, 0), (3, 3), ("high", 2), (1.0, 2), (True, 2), ([], 2), (None, 0), (MISSING, 0)],
)
def test_a_priority_that_is_none_is_read_as_the_nearest_or_the_default_and_never_as_more_urgent(
    written: Any, shown: int
) -> None:
    issue = Issue(priority=written)
    assert (issue.document()["priority"], facts(issue.live).priority) == (shown, shown)


def test_what_stands_for_a_value_that_a_field_cannot_have() -> None:
    assert [stand_in("priority", value) for value in (9, -1, None, "x")] == [4, 0, 2, 2]
    assert [stand_in("title", value) for value in ("x" * 501, "a\ud800", "", 5)] == ["x" * 500, "a\ufffd", None, None]
    assert stand_in("status", "x") is None
