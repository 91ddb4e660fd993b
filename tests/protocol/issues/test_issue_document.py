"""Documents of issues: which fields they have, in which order, and what only an exact one shows."""

import json

from moot_protocol.issues.issue import new_comment, new_edge
from moot_testkit.clients.written_issue import Issue, at


def test_an_issue_with_a_title_only_shows_the_fields_that_are_always_there() -> None:
    assert Issue().document() == {
        "id": "bd-1", "title": "A title", "status": "open", "priority": 0, "issue_type": "task", "created_at": at(1),
        "updated_at": at(1),
    }  # fmt: skip


def test_a_document_has_its_fields_in_the_order_of_beads() -> None:
    issue = Issue(pinned=True, labels="x", notes="n", spec_id="s", description="d", extra=["zeta", "1"], assignee="a")
    issue.write(edges=new_edge("bd-2", "blocks"), comments=new_comment("c"), metadata=["k", "1"], extra=["alpha", "2"])
    assert list(issue.document()) == [
        "id", "title", "description", "notes", "spec_id", "status", "priority", "issue_type", "assignee", "created_at",
        "updated_at", "metadata", "labels", "dependencies", "comments", "pinned", "alpha", "zeta",
    ]  # fmt: skip


def test_extra_fills_in_only_names_that_nothing_else_shows() -> None:
    issue = Issue(extra=["title", "null"])
    issue.write(extra=["assignee", '""'], labels="x")
    issue.write(extra=["labels", "[]"])
    issue.write(extra=["sender", '"s"'])
    issue.write(extra=["id", '"other"'])
    shown = issue.document(exact=True)
    assert (shown["id"], shown["title"], shown["assignee"], shown["labels"], shown["sender"]) == (
        "bd-1",
        "A title",
        "",
        ["x"],
        "s",
    )


def test_only_an_exact_document_shows_values_of_unexpected_types() -> None:
    issue = Issue(extra=["estimated_minutes", '"long"'])
    assert "estimated_minutes" not in issue.document()
    assert issue.document(exact=True)["estimated_minutes"] == "long"


def test_an_exact_document_has_the_value_that_another_is_shown_for() -> None:
    issue = Issue(priority=4, extra=["priority", "9"])
    issue.write(title="x" * 500, extra=["title", json.dumps("x" * 501)])
    shown, exact = issue.document(), issue.document(exact=True)
    assert (shown["priority"], shown["title"]) == (4, "x" * 500)
    assert (exact["priority"], exact["title"]) == (9, "x" * 501)


def test_what_was_written_later_is_meant_even_where_it_is_what_was_shown() -> None:
    for priority in (1, 4):
        issue = Issue(priority=4, extra=["priority", "9"])
        issue.write(priority=priority)
        assert issue.document(exact=True)["priority"] == priority


def test_a_value_that_what_is_shown_does_not_stand_for_is_no_part_of_a_document() -> None:
    for text in ("3", "no JSON", "null"):
        assert Issue(priority=4, extra=["priority", text]).document(exact=True)["priority"] == 4
