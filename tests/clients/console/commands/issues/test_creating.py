"""Issues from a file, and one by answering questions: what is asked of the daemon, and what is printed."""

import json
from typing import Any

import pytest

from moot.console.commands.issues import creating, write
from moot_protocol.errors import RefusedError
from moot_protocol.requests.issues import Create, Edge, IssueFields, Script
from moot_testkit.clients.canned_api import CannedApi, Ran, run
from moot_testkit.clients.console import issue
from moot_testkit.clients.terminal import FACTS, RecordingTerminal

MARKDOWN = b"## One\nText\n## Two\n### Priority\n0\n"
PLAN = b'{"nodes": [{"key": "b", "title": "B", "parent": "a"}, {"key": "a", "title": "A"}], "x": 1}'
COMMANDS = (*creating.COMMANDS, *write.COMMANDS)


def tried(argv: str, stdin: bytes = b"", files: dict[str, bytes] | None = None, **answers: Any) -> Ran:
    canned = {"script": [issue(1), issue(2, title="Evil\x1b")], "create": issue(1)}
    terminal = RecordingTerminal(FACTS, stdin=[stdin[:5], stdin[5:]], files=files)
    return run(COMMANDS, argv, CannedApi(**canned | answers), terminal=terminal)


# -- Files -------------------------------------------------------------------------------------------------------
def test_the_issues_of_a_markdown_file_are_made_together() -> None:
    ran = tried("create -f plan.md", files={"plan.md": MARKDOWN})
    (script,) = ran.asked
    assert isinstance(script, Script)
    assert [step["params"]["fields"]["title"] for step in script.steps] == ["One", "Two"]
    assert ran.out.splitlines() == [
        "✓ Created 2 issues from plan.md:",
        "  bd-000000000001 — Issue 1 [P2, task]",
        "  bd-000000000002 — Evil^[ [P2, task]",
    ]


def test_a_file_of_one_issue_may_come_from_standard_input_and_be_tried() -> None:
    ran = tried("create --file - --dry-run --json", stdin=b"## One\n")
    assert ran.asked == [
        Create(
            actor="alice", dry_run=True, project="bd",
            fields=IssueFields(title="One", priority=2, issue_type="task"),
        )
    ]  # fmt: skip
    assert [each["id"] for each in json.loads(ran.out)] == [issue(1)["id"]]


def test_a_plan_tells_which_key_became_which_id() -> None:
    ran = tried("create --graph plan.json", files={"plan.json": PLAN})
    assert ran.out.splitlines() == ["✓ Created 2 issues", "  a → bd-000000000001", "  b → bd-000000000002"]
    assert ran.err == "Warning: x means nothing in a plan and is left out\n"
    document = json.loads(tried("create --graph - --json", stdin=PLAN).out)
    assert document == {"ids": {"a": issue(1)["id"], "b": issue(2)["id"]}}


def test_a_plan_can_be_tried_out() -> None:
    ran = tried("create --graph - --dry-run --json", stdin=PLAN)
    (script,) = ran.asked
    assert isinstance(script, Script)
    assert script.dry_run
    document = json.loads(ran.out)
    assert (document["node_count"], document["edge_count"], document["parent_deps"]) == (2, 0, 1)
    assert document["nodes"][0] == {"key": "b", "title": "B", "type": "task", "priority": 2, "parent_key": "a"}
    assert tried("create --graph - --dry-run", stdin=PLAN).out == "Would create 2 issues\n"


@pytest.mark.parametrize("argv", ["create One -f x", "create -f x --graph y", "create --title One --graph y"])
def test_a_file_takes_the_place_of_a_title(argv: str) -> None:
    with pytest.raises(RefusedError, match="exclude one another"):
        tried(argv)


# -- Questions ---------------------------------------------------------------------------------------------------
def test_questions_are_asked_one_by_one() -> None:
    answers = b"Title\n\nenhancement\nP0\nbob\nui, auth\n\nWorks\ngh-9\nbd-7\n"
    ran = tried("create-form --parent bd-1", stdin=answers)
    (create,) = ran.asked
    assert isinstance(create, Create)
    assert create.fields == IssueFields(
        title="Title", description="", issue_type="feature", priority=0, assignee="bob", design="",
        acceptance_criteria="Works", external_ref="gh-9",
    )  # fmt: skip
    assert (create.labels, create.edges, create.parent) == (("ui", "auth"), (Edge(to="bd-7"),), "bd-1")
    assert ran.err.startswith("Title: Description: Type [task]: Priority, 0 to 4 [2]: ")
    assert ran.out == "✓ Created issue: bd-000000000001 — Issue 1\n"


def test_what_isnt_answered_is_left_at_its_default() -> None:
    ran = tried("create-form --dry-run --json", stdin=b"Only a title")
    (create,) = ran.asked
    assert isinstance(create, Create)
    assert (create.fields.priority, create.fields.issue_type, create.labels) == (2, "task", ())
    assert create.dry_run
    assert json.loads(ran.out)["id"] == issue(1)["id"]


def test_a_question_at_the_end_of_input_ends_its_line() -> None:
    assert tried("create-form", stdin=b"One").err.startswith("Title: Description: \nType [task]: \n")
    assert "\n" not in tried("create-form", stdin=b"One\n" + b"\n" * 9).err


@pytest.mark.parametrize(("answers", "problem"), [(b"\n", "needs a title"), (b"T\n\n\nhigh\n", "no priority")])
def test_answers_that_make_no_sense_are_refused(answers: bytes, problem: str) -> None:
    with pytest.raises(RefusedError, match=problem):
        tried("create-form", stdin=answers)
