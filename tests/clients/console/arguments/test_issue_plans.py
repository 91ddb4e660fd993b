"""Issues in files: what Markdown and plans read as, and what is refused before anything is made."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from moot.console.arguments.issue_plans import Maker, from_markdown, plan_of, steps_of
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import AddEdge, Create, Edge

MAKER = Maker("alice", "bd", "plane", dry_run=True)
WHOLE = """Words before the first issue are none of it.

## First issue

What it is about,
on two lines.

### Priority
P1
### Type
Enhancement
### Design
```
## no title
### no section
```
### Acceptance Criteria
- It works
### Assignee
bob
### Labels
ui, auth ui
### Dependencies
bd-10, discovered-from:bd-20 external:x:y
### Risks
Many
## Second
### Notes
None
"""


def usage(call: Any) -> str:
    with pytest.raises(RefusedError) as caught:
        call()
    assert caught.value.code is Code.USAGE
    return caught.value.message


# -- Markdown ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("written", "labels"),
    [
        ('"needs review", ui', ("needs review", "ui")),
        ('"a, b" c\n"ui"', ("a, b", "c", "ui")),
        ('"say ""hi""" \'x\' `y`', ('say "hi"', "'x'", "`y`")),
        ('ui, "ui", "", " "', ("ui",)),
        ('"open ended', ('"open', "ended")),
        ('5" screen', ('5"', "screen")),
        ('"a"b', ('"a"b',)),
        (" ,, ", ()),
    ],
)
def test_a_label_in_double_quotes_is_one_and_loses_them(written: str, labels: tuple[str, ...]) -> None:
    (planned,) = from_markdown(f"## Title\n### Labels\n{written}\n")
    assert planned.labels == labels


def test_a_file_holds_issues_with_their_sections() -> None:
    first, second = from_markdown(WHOLE)
    fields = first.fields
    assert (fields.title, fields.priority, fields.issue_type) == ("First issue", 1, "feature")
    assert fields.description == "What it is about,\non two lines.\n\n### Risks\n\nMany"
    assert fields.design == "```\n## no title\n### no section\n```"
    assert (fields.acceptance_criteria, fields.assignee, first.labels) == ("- It works", "bob", ("ui", "auth"))
    assert first.edges == (Edge(to="bd-10"), Edge(to="bd-20", type="discovered-from"), Edge(to="external:x:y"))
    assert (second.fields.title, second.fields.notes, second.fields.priority) == ("Second", "None", 2)
    assert second.fields.description is UNSET


def test_a_priority_that_is_none_is_told_with_its_line() -> None:
    assert usage(lambda: from_markdown("\n## A\n### Priority\nhigh\n")) == "line 2: 'high' is no priority of 'A'"


def test_a_file_without_issues_is_refused() -> None:
    assert usage(lambda: from_markdown("# Only a heading\n### Section\n")) == "no issues found"


@given(st.text())
def test_no_word_of_a_files_issue_is_lost(body: str) -> None:
    text = "".join(letter for letter in body if letter.isalnum() or letter in " \n")
    (planned,) = from_markdown(f"## Title\n### Unknown\n{text}")
    assert str(planned.fields.description).split() == ["###", "Unknown", *text.split()]


# -- Plans -------------------------------------------------------------------------------------------------------
def planned(**parts: Any) -> tuple[list[str], list[Any]]:
    plan, unknown = plan_of(json.dumps(parts))
    assert not unknown
    keys, steps = steps_of(plan, MAKER)
    return keys, [step for _, step in steps]


def test_parents_are_made_first_and_edges_last() -> None:
    keys, steps = planned(
        nodes=[
            {"key": "b", "title": "B", "parent": "a", "deps": [{"target": "c"}, {"target": "bd-9", "type": "related"}]},
            {"key": "c", "title": "C", "parent_id": "bd-1"},
            {"key": "a", "title": "A", "type": "epic", "labels": ["x"], "metadata": {"k": 1}, "mol_type": "swarm"},
        ],
        edges=[
            {"from_key": "c", "to_id": "bd-2"},
            {"from_id": "bd-3", "to_key": "a", "type": "waits-for", "gate": "x"},
        ],
    )
    assert keys == ["c", "a", "b"]
    creates = [step for step in steps if isinstance(step, Create)]
    assert [(each.fields.title, each.parent) for each in creates] == [("C", "bd-1"), ("A", ""), ("B", "$2")]
    assert (creates[1].labels, creates[1].metadata) == (("x",), {"k": 1, "mol_type": "swarm"})
    assert creates[1].fields.issue_type == "epic"
    assert all(each.dry_run and each.plane == "plane" and not each.inherit_labels for each in creates)
    edges = [step for step in steps if isinstance(step, AddEdge)]
    assert steps == [*creates, *edges]
    assert [(each.id, each.edge) for each in edges] == [
        ("$3", Edge(to="$1")),
        ("$3", Edge(to="bd-9", type="related")),
        ("$1", Edge(to="bd-2")),
        ("bd-3", Edge(to="$2", type="waits-for", metadata='{"gate":"x"}')),
    ]


def test_every_field_of_a_node_reaches_its_issue() -> None:
    node = {
        "key": "a", "id": "bd-own", "title": "A", "status": "deferred", "description": "d", "design": "e",
        "acceptance_criteria": "f", "notes": "g", "spec_id": "h", "external_ref": "i", "assignee": "j", "owner": "k",
        "priority": 0, "estimate": 5, "due_at": "2026-01-01T00:00:00Z", "defer_until": "2026-02-01T00:00:00Z",
        "ephemeral": True, "pinned": True, "assign_after_create": True,
    }  # fmt: skip
    (create,) = planned(nodes=[node])[1]
    named = {"key", "id", "estimate", "assign_after_create"}
    assert {name: getattr(create.fields, name) for name in node.keys() - named} == {
        name: value for name, value in node.items() if name not in named
    }
    assert (create.id, create.fields.estimated_minutes) == ("bd-own", 5)


def test_what_means_nothing_is_told_with_its_place() -> None:
    plan, unknown = plan_of('{"nodes": [{"key": "a", "title": "A", "blocks": []}], "edges": [{"form": 1}], "x": 1}')
    assert unknown == ["x", "nodes[0].blocks", "edges[0].form"]
    assert len(plan.nodes) == 1


@pytest.mark.parametrize(
    ("plan", "problem"),
    [
        ("[]", "this is no plan"),
        ("{", "this is no plan"),
        ('{"nodes": [{"key": "a"}]}', "this is no plan: .*title"),
        ('{"nodes": [{"key": "a", "title": "A"}, {"key": "a", "title": "B"}]}', "same key"),
        ('{"nodes": [{"key": "a", "title": "A", "metadata_refs": {}}]}', r"nodes\[0\].metadata_refs"),
        ('{"nodes": [{"key": "a", "title": "A", "parent": "b"}]}', "no node has the key 'b'"),
        ('{"nodes": [{"key": "a", "title": "A", "parent": "a"}]}', "go round in a circle"),
        ('{"nodes": [], "edges": [{"from_key": "a", "to_id": "b"}]}', "no node has the key 'a'"),
        ('{"nodes": [], "edges": [{"to_id": "b"}]}', "two ends"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(plan: str, problem: str) -> None:
    with pytest.raises(RefusedError, match=problem) as caught:
        steps_of(plan_of(plan)[0], MAKER)
    assert caught.value.code is Code.USAGE


def test_a_plan_that_is_nested_too_deeply_is_refused_and_is_no_defect() -> None:
    deep = "[" * 100_000 + "]" * 100_000
    with pytest.raises(RefusedError, match="nested too deeply"):
        plan_of(f'{{"nodes": [{{"key": "a", "title": "A", "metadata": {{"k": {deep}}}}}]}}')
