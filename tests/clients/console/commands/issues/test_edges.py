"""Dependencies, labels, comments: what is asked of the daemon, what is printed."""

from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import AddComment, AddEdge, Edge, RemoveEdge, Update
from moot_testkit.clients.console import Outcome, issue, run_console

EDGE = {"issue_id": "bd-1", "depends_on_id": "bd-2", "type": "blocks", "created": True}
COMMENT = {"id": "c1", "issue_id": "bd-1", "author": "bob", "text": "Seen", "created_at": "2026-01-31T12:00:00Z"}


# -- dep add, dep remove -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("argv", ["a b", "a --blocked-by b", "a --depends-on b"])
def test_dep_add_makes_the_first_wait_for_the_second(argv: str) -> None:
    ran = run_console(f"dep add {argv}", {"add_edge": EDGE})
    assert ran.request == AddEdge(actor="unknown", id="a", edge=Edge(to="b"))
    assert ran.out == "✓ Added dependency: bd-1 depends on bd-2 (blocks)\n"


def test_dep_add_answers_as_bd_does() -> None:
    document = run_console("dep add a b --json", {"add_edge": EDGE}).document
    assert document == {"status": "added", "issue_id": "bd-1", "depends_on_id": "bd-2", "type": "blocks"}


def test_an_edge_that_is_there_already_is_no_failure_and_not_told_as_new() -> None:
    ran = run_console("dep add a b", {"add_edge": EDGE | {"created": False}})
    assert (ran.code, ran.out) == (0, "Nothing to do: bd-1 depends on bd-2 (blocks) already\n")


def test_type_and_cycle_check_are_passed_on() -> None:
    request = run_console("dep add a b -t related --no-cycle-check", {"add_edge": EDGE}).request
    assert request == AddEdge(actor="unknown", id="a", edge=Edge(to="b", type="related"), check_cycles=False)


def test_a_cycle_is_a_conflict() -> None:
    cycle = RefusedError("that would close a cycle", code=Code.CONFLICT)
    assert run_console("dep add a b", {"add_edge": cycle}).code == 5


def test_dep_remove_takes_every_type_unless_one_is_named() -> None:
    answer = {"issue_id": "bd-1", "depends_on_id": "bd-2", "removed": 2}
    ran = run_console("dep remove a b", {"remove_edge": answer})
    assert ran.request == RemoveEdge(actor="unknown", id="a", to="b")
    assert ran.out == "✓ Removed dependency: bd-1 no longer depends on bd-2\n"
    assert run_console("dep rm a b -t related", {"remove_edge": answer}).request.type == "related"


def test_removing_what_is_not_there_is_not_found() -> None:
    ran = run_console("dep remove a b", {"remove_edge": {"issue_id": "bd-1", "depends_on_id": "bd-2", "removed": 0}})
    assert (ran.code, ran.out) == (3, "")


@pytest.mark.parametrize("argv", ["dep add a", "dep add a b --blocked-by c", "dep remove a"])
def test_an_edge_needs_two_ends(argv: str) -> None:
    ran = run_console(argv)
    assert (ran.code, ran.asked) == (2, [])


# -- label add, label remove -------------------------------------------------------------------------------------
def test_a_label_is_added_to_every_issue_named_before_it() -> None:
    ran = run_console("label add a b urgent", {"script": [issue(1), issue(2)]})
    assert [step["params"] for step in ran.request.steps] == [
        {"id": "a", "fields": {}, "add_labels": ("urgent",)},
        {"id": "b", "fields": {}, "add_labels": ("urgent",)},
    ]
    assert ran.out == "".join(f"✓ Added label 'urgent' to bd-{n:012d}\n" for n in (1, 2))


def test_a_label_is_removed_and_told_as_bd_does() -> None:
    ran = run_console("label remove a urgent --json", {"update": issue()})
    assert ran.request == Update(actor="unknown", id="a", remove_labels=("urgent",))
    assert ran.document == [{"status": "removed", "issue_id": "bd-000000000001", "label": "urgent"}]


def test_a_label_that_is_there_already_or_isnt_there_is_told_as_such() -> None:
    unchanged = {"script": [issue(1), issue(2) | {"_unchanged": True}]}
    assert run_console("label add a b urgent", unchanged).out.splitlines() == [
        "✓ Added label 'urgent' to bd-000000000001",
        "Nothing to do: bd-000000000002 has label 'urgent' already",
    ]
    assert run_console("label remove a b urgent", unchanged).out.endswith(
        "Nothing to do: bd-000000000002 has no label 'urgent'\n"
    )
    for command, status in (("add", "added"), ("remove", "removed")):
        assert run_console(f"label {command} a b urgent --json", unchanged).document == [
            {"status": status, "issue_id": issue(1)["id"], "label": "urgent"},
            {"status": status, "issue_id": issue(2)["id"], "label": "urgent", "_unchanged": True},
        ]


def test_labels_with_commas_between_them_are_several_and_each_is_told_of() -> None:
    answers = {"script": [issue(1), issue(1) | {"_unchanged": True}, issue(2), issue(2)]}
    ran = run_console("label add a b p,q", answers)
    assert [(step["params"]["id"], step["params"]["add_labels"]) for step in ran.request.steps] == [
        ("a", ("p",)), ("a", ("q",)), ("b", ("p",)), ("b", ("q",)),
    ]  # fmt: skip
    assert ran.out.splitlines() == [
        "✓ Added label 'p' to bd-000000000001",
        "Nothing to do: bd-000000000001 has label 'q' already",
        "✓ Added label 'p' to bd-000000000002",
        "✓ Added label 'q' to bd-000000000002",
    ]
    documents = run_console("label remove a b p,q --json", answers).document
    assert [(each["issue_id"][-1], each["label"], "_unchanged" in each) for each in documents] == [
        ("1", "p", False), ("1", "q", True), ("2", "p", False), ("2", "q", False),
    ]  # fmt: skip


def test_a_label_of_an_import_that_has_a_comma_in_it_is_named_in_quotes() -> None:
    ran = run_console(["label", "remove", "a", '"p,q"'], {"update": issue()})
    assert ran.request == Update(actor="unknown", id="a", remove_labels=("p,q",))


@pytest.mark.parametrize("argv", [["label", "add", "a"], ["label", "add", "a", " "], ["label", "add", "a", ","]])
def test_a_label_needs_an_issue_and_a_name(argv: list[str]) -> None:
    ran = run_console(argv)
    assert (ran.code, ran.asked) == (2, [])


# -- comment -----------------------------------------------------------------------------------------------------
def comment(*argv: str, **more: Any) -> Outcome:
    return run_console(["comment", "a", *argv], {"add_comment": COMMENT}, **more)


def test_a_comments_words_are_put_together() -> None:
    ran = comment("Seen", "on", "3.12")
    assert ran.request == AddComment(actor="unknown", id="a", text="Seen on 3.12")
    assert ran.out == "Comment added to bd-1\n"
    assert comment("Seen", "--json").document == COMMENT


def test_comments_add_is_comment_and_takes_an_author() -> None:
    ran = run_console("comments add a Seen --author bob", {"add_comment": COMMENT})
    assert ran.request == AddComment(actor="bob", id="a", text="Seen")


def test_a_hyphen_alone_is_standard_input_as_in_the_other_texts() -> None:
    assert comment("-", stdin=[b"piped"]).request.text == "piped"
    assert comment("-", "x", stdin=[b"piped"]).request.text == "- x"
    assert comment("-", "--stdin", stdin=[b"piped"]).code == 2


def test_a_comment_can_come_from_a_file_or_standard_input() -> None:
    assert comment("-f", "c.md", files={"c.md": b"# All\n"}).request.text == "# All\n"
    assert comment("--stdin", stdin=[b"piped"]).request.text == "piped"
    assert comment("-f", "-", stdin=[b"piped"]).request.text == "piped"


@pytest.mark.parametrize("argv", [[], ["x", "--stdin"], ["x", "-f", "f"], [" "]])
def test_a_comment_needs_one_text(argv: list[str]) -> None:
    ran = comment(*argv)
    assert (ran.code, ran.asked) == (2, [])


def test_an_issue_that_blocks_another_can_be_named_first() -> None:
    edge = {"issue_id": "bd-2", "depends_on_id": "bd-1", "type": "blocks", "created": True}
    ran = run_console("dep bd-1 --blocks bd-2 --json", {"add_edge": edge})
    assert ran.request == AddEdge(actor="unknown", id="bd-2", edge=Edge(to="bd-1"))
    assert ran.document == {"status": "added", "blocker_id": "bd-1", "blocked_id": "bd-2", "type": "blocks"}
    assert run_console("dep bd-1").code == 2


def test_an_issue_that_blocks_another_already_is_told_as_such() -> None:
    edge = {"issue_id": "bd-2", "depends_on_id": "bd-1", "type": "blocks", "created": False}
    ran = run_console("dep bd-1 --blocks bd-2", {"add_edge": edge})
    assert (ran.code, ran.out) == (0, "Nothing to do: bd-1 blocks bd-2 already\n")
    assert run_console("dep bd-1 --blocks bd-2 --json", {"add_edge": edge}).document == {
        "status": "added", "blocker_id": "bd-1", "blocked_id": "bd-2", "type": "blocks", "_unchanged": True,
    }  # fmt: skip
    edge["created"] = True
    assert run_console("dep bd-1 --blocks bd-2", {"add_edge": edge}).out == "✓ Added dependency: bd-1 blocks bd-2\n"


# -- dep add --file ----------------------------------------------------------------------------------------------
LINES = b'{"from":"a","to":"b"}\n\n{"issue_id":"a","depends_on_id":"c","type":"related"}\n'


def test_a_file_of_edges_is_added_all_or_none_in_either_of_bds_ways_to_write_them() -> None:
    answers = {"script": [EDGE, EDGE | {"created": False}]}
    ran = run_console("dep add --file deps.jsonl", answers, files={"deps.jsonl": LINES})
    steps = [(step["label"], step["params"]["id"], step["params"]["edge"]) for step in ran.request.steps]
    assert [step[:2] for step in steps] == [("line 1", "a"), ("line 3", "a")]
    assert [(edge["to"], edge.get("type", "blocks")) for *_, edge in steps] == [("b", "blocks"), ("c", "related")]
    assert ran.out == "✓ Added 1 dependency; 1 were there already\n"
    assert run_console("dep add --file - --json", stdin=[b"\n"]).document["total"] == 0


@pytest.mark.parametrize("line", [b"[]", b"{", b'{"from":"a"}', b'{"to":"a"}'])
def test_a_line_that_is_no_edge_is_named_and_nothing_is_asked(line: bytes) -> None:
    ran = run_console("dep add --file -", stdin=[b'{"from":"a","to":"b"}\n' + line])
    assert (ran.code, ran.asked, "line 2" in ran.err) == (2, [], True)


def test_a_file_names_the_issues_itself() -> None:
    assert run_console("dep add a --file deps.jsonl").code == 2
