"""Typed answers from documents."""

from typing import Any

import pytest

from moot.answers import (
    Change,
    Comment,
    Dependency,
    Issue,
    Issues,
    Origin,
    comment_of,
    event_of,
    issue_of,
    issues_of,
    stats_of,
)
from moot_protocol.errors import MalformedError
from moot_protocol.listing import Page

DOCUMENT = {
    "id": "demo-1", "title": "One", "status": "closed", "priority": 0, "issue_type": "bug", "labels": ["a", "b"],
    "dependencies": [{"issue_id": "demo-1", "depends_on_id": "demo-2", "type": "related", "extra": 1}],
    "comments": [{"id": 1, "issue_id": "demo-1", "author": "ada", "text": "Hi", "created_at": "t"}],
    "dependents": [{"id": "demo-3", "dependency_type": "blocks"}], "metadata": {"k": [1]},
    "_conflicts": ["title"], "_missing": ["notes"], "_erased": ["notes"], "_blocked": True, "_short": 6,
    "_unblocked": ["demo-4"], "something_later": {},
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
