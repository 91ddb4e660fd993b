"""Typed answers from documents."""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

import msgspec
import pytest

from moot.answers import (
    Apart,
    Change,
    Claim,
    Comment,
    Contest,
    Dependency,
    Erasure,
    Event,
    Issue,
    Issues,
    Memory,
    Origin,
    Stats,
    comment_of,
    event_of,
    issue_of,
    issues_of,
    memory_of,
    stats_of,
)
from moot_protocol.errors import MalformedError
from moot_protocol.issues.issue_document import FIELDS
from moot_protocol.requests.actions import Erase, Rename
from moot_protocol.requests.issues import (
    AddComment,
    AddEdge,
    Blocked,
    Children,
    Close,
    Create,
    Delete,
    Edge,
    IssueFields,
    ListIssues,
    Show,
    Update,
)
from moot_protocol.requests.issues import Stats as StatsRequest
from moot_protocol.requests.listing import Page
from moot_protocol.requests.machine import Events
from moot_protocol.requests.memories import Memories, Remember
from moot_testkit.towns.town import PROJECT, make_api

DOCUMENT = {
    "id": "demo-1", "title": "One", "status": "closed", "priority": 0, "issue_type": "bug", "labels": ["a", "b"],
    "dependencies": [{"issue_id": "demo-1", "depends_on_id": "demo-2", "type": "related", "extra": 1}],
    "comments": [{"id": 1, "issue_id": "demo-1", "author": "ada", "text": "Hi", "created_at": "t"}],
    "dependents": [{"id": "demo-3", "dependency_type": "blocks"}], "metadata": {"k": [1]},
    "_conflicts": ["title"], "_missing": ["notes"], "_erased": ["notes"], "_blocked": True, "_short": 6,
    "_unblocked": ["demo-4"], "_finished": ["demo-5"], "something_later": {},
}  # fmt: skip


def test_an_issue_has_every_part_of_its_document() -> None:
    issue = issue_of(DOCUMENT)
    assert (issue.id, issue.title, issue.status, issue.priority, issue.issue_type) == (
        "demo-1", "One", "closed", 0, "bug",
    )  # fmt: skip
    assert issue.labels == ("a", "b")
    assert issue.dependencies == (Dependency(issue_id="demo-1", depends_on_id="demo-2", type="related"),)
    assert issue.comments == (Comment(id=1, issue_id="demo-1", author="ada", text="Hi", created_at="t"),)
    assert issue.dependents == (Issue(id="demo-3", dependency_type="blocks"),)
    assert issue.metadata == {"k": [1]}
    assert (issue.conflicts, issue.missing, issue.erased) == (("title",), ("notes",), ("notes",))
    assert (issue.is_blocked, issue.unique_chars, issue.unblocked) == (True, 6, ("demo-4",))
    assert issue.finished == ("demo-5",)


def test_what_a_document_leaves_out_is_what_beads_takes_it_for() -> None:
    issue = issue_of({"id": "demo-1"})
    assert (issue.status, issue.priority, issue.issue_type, issue.description) == ("open", 2, "task", "")


def test_an_issue_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        issue_of({"id": "demo-1"}).title = "Two"  # type: ignore[misc]


def test_issues_can_be_iterated_counted_and_indexed() -> None:
    issues = issues_of(Page(issues=[{"id": "a"}, {"id": "b"}], total=None, truncated=True))
    assert [issue.id for issue in issues] == ["a", "b"]
    assert (len(issues), issues[1].id, issues.total, issues.truncated) == (2, "b", None, True)
    assert not Issues(issues=(), total=0, truncated=False)


def test_an_event_tells_what_was_written_and_what_taken_out() -> None:
    changes = [
        {"field": "title", "value": "x"},
        {"field": "labels", "removed": "a"},
        {"field": "notes", "missing": True},
    ]
    event = event_of({"arrival": 3, "id": "demo-1", "kind": "issue", "entity": "demo-1", "at": 5, "changes": changes})
    assert (event.arrival, event.entity, event.at) == (3, "demo-1", 5)
    assert event.changes == (
        Change(field="title", value="x"), Change(field="labels", removed="a"), Change(field="notes", missing=True),
    )  # fmt: skip


def test_totals_and_comments_are_typed_too() -> None:
    assert stats_of({"total": 2, "lead_time_hours": 0}).total == 2
    assert comment_of({"id": "c", "text": "Hi"}).text == "Hi"


def test_an_answer_of_another_shape_is_malformed_and_says_where() -> None:
    with pytest.raises(MalformedError, match=r"not an issue.*priority"):
        issue_of({"id": "demo-1", "priority": "high"})


def test_what_other_towns_have_written_is_told_of_issues_comments_and_events() -> None:
    origin: dict[str, Any] = {"town": "abcd", "town_name": "rivertown", "replica": "efgh"}
    issue = issue_of({"id": "demo-1", "_origin": [origin | {"fields": ["title"], "created": True}]})
    assert issue.origin == (Origin(**origin, fields=("title",), created=True),)
    assert comment_of({"text": "Hi", "_origin": origin}).origin == Origin(**origin)
    assert event_of({"arrival": 1, "kind": "issue", "entity": "x", "_origin": origin}).origin == Origin(**origin)
    assert (issue_of({"id": "demo-1"}).origin, comment_of({}).origin) == ((), None)


# -- Nothing is left out -----------------------------------------------------------------------------------------
def structs_in(annotation: Any) -> Iterator[type[msgspec.Struct]]:
    """The shapes that stand in an annotation: of a tuple or an optional value the inner one."""
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield annotation
    for inner in get_args(annotation):
        yield from structs_in(inner)


def left_out(shape: type[msgspec.Struct], document: Mapping[str, Any]) -> set[str]:
    """Names that a document has, in it or in what stands in it, and its shape doesn't."""
    fields = {field.encode_name: field.type for field in msgspec.structs.fields(shape)}
    found = {f"{shape.__name__}.{name}" for name in document.keys() - fields.keys()}
    for name in document.keys() & fields.keys():
        inner = next(structs_in(fields[name]), None)
        values = document[name] if isinstance(document[name], list) else [document[name]]
        found |= {each for value in values if inner is not None for each in left_out(inner, value)}
    return found


def test_an_issue_has_every_field_of_documents() -> None:
    marks = ["_alias", "_blocked", "_claim", "_conflicts", "_erased", "_missing", "_origin", "_short", "_unchanged"]
    assert left_out(Issue, {name: [] for name in (*FIELDS, *marks)}) == set()


def test_nothing_that_the_daemon_answers_is_left_out() -> None:
    api = make_api()
    create = Create(
        actor="ada", project=PROJECT, id="demo-1", labels=("a",), metadata={"k": 1},
        fields=IssueFields(title="T", description="D", notes="N", estimated_minutes=1, issue_type="bug"),
    )  # fmt: skip
    api.call(create)
    api.call(Create(actor="ada", project=PROJECT, id="demo-2", fields=IssueFields(title="T"), parent="demo-1"))
    api.call(AddEdge(actor="ada", id="demo-1", edge=Edge("demo-2", "related")))
    api.call(AddComment(actor="bob", id="demo-1", text="Hi"))
    api.call(Rename(actor="ada", id="demo-1", alias="roof"))
    api.call(Erase(actor="eve", id="demo-1", fields=("notes",)))
    claimed = api.call(Update(actor="ada", id="demo-1", claim=True, ttl_ms=600_000))
    again = api.call(Update(actor="ada", id="demo-1", fields=IssueFields(title="T")))
    shown = api.call(Show(ids=("demo-1",)))[0]
    assert {"_claim", "_alias", "dependents", "comments", "dependencies"} <= shown.keys()
    assert "_unchanged" in again
    api.call(Create(actor="ada", project=PROJECT, id="demo-4", fields=IssueFields(title="T"), parent="demo-1"))
    api.call(AddEdge(actor="ada", id="demo-4", edge=Edge("demo-2")))
    blocked = api.call(Blocked())
    api.call(Delete(actor="ada", id="demo-2", reason="twice"))
    deleted = api.call(Show(ids=("demo-2",)))[0]
    assert "delete_reason" in deleted
    closed = api.call(Close(actor="ada", id="demo-1", reason="Done", session="s"))
    lists = [api.call(ListIssues(all=True)), api.call(Children(id="demo-1")), blocked]
    assert all(page.issues for page in lists)
    issues = [claimed, again, shown, deleted, closed, *(issue for page in lists for issue in page.issues)]
    assert {name for issue in issues for name in left_out(Issue, issue)} == {"Issue.blocked_by_count"}  # `blocked_by`
    events = api.call(Events())["events"]
    assert any("erased_by" in change for event in events for change in event["changes"])
    assert {name for event in events for name in left_out(Event, event)} == {"Event.id"}  # `entity` says it
    api.call(Remember(actor="ada", project=PROJECT, key="k", text="v"))
    assert {name for each in api.call(Memories(project=PROJECT)) for name in left_out(Memory, each)} == set()
    totals = api.call(StatsRequest())
    assert left_out(Stats, totals) == set()


def test_who_erased_a_value_who_holds_an_issue_and_how_a_contest_came_out_are_typed() -> None:
    by: dict[str, Any] = {"actor": "eve", "author": "k", "at": 5}
    changes = [{"field": "notes", "missing": True, "erased": True, "erased_by": by}]
    contested = {"holder": "ada", "lost": ["bob"]}
    event = event_of(
        {"arrival": 1, "kind": "issue", "entity": "x", "changes": changes, "own": True} | {"contested": contested}
    )
    assert event.changes == (Change(field="notes", missing=True, erased=True, erased_by=Erasure(**by)),)
    assert (event.own, event.contested) == (True, Contest(holder="ada", lost=("bob",)))
    claim: dict[str, Any] = {"holder": "ada", "expires_at": "2026-01-31T12:00:00.000Z", "ttl_seconds": 600}
    assert issue_of({"id": "demo-1", "_claim": claim}).claim == Claim(**claim)


def test_a_memory_that_was_written_apart_has_every_text_typed() -> None:
    origin: dict[str, Any] = {"town": "T", "town_name": "hill", "replica": "R"}
    values = [
        {"value": "one", "actor": "ann", "at": 5, "author": "k", "n": 7, "_origin": origin},
        {"value": None, "actor": "bob", "at": 6, "author": "l", "n": 8},
    ]
    memory = memory_of({"key": "k", "text": "one", "conflict": True, "values": values})
    ours, theirs = memory.values
    assert ours == Apart(value="one", actor="ann", at=5, author="k", n=7, origin=Origin(**origin))
    assert (theirs.value, theirs.origin) == (None, None)
    assert memory_of({"key": "k", "text": "one"}).values == ()
