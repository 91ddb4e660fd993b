"""note, tag, link, dep relate, dep unrelate: what they ask for."""

from typing import Any

import pytest

from moot.console.arguments.several_issues import STEPS
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import AddEdge, Edge, Script, Update
from moot_protocol.requests.listing import Page
from moot_testkit.clients.console import issue, run_console

ONE = issue(1)


def edge(source: str = "bd-a", target: str = "bd-b", **parts: Any) -> dict[str, Any]:
    return {"issue_id": source, "depends_on_id": target, "type": "blocks"} | parts


def test_a_note_is_added_from_words_a_file_or_standard_input() -> None:
    ran = run_console("note a1b2 two words", {"update": ONE})
    assert ran.request == Update(actor="unknown", id="a1b2", append_notes="two words")
    assert ran.out.startswith("✓ Note added to")
    ran = run_console(
        "note a1b2 --file n.md --json", {"update": ONE | {"dependencies": [{}]}}, files={"n.md": b"kept\n"}
    )
    assert (ran.request.append_notes, ran.document) == ("kept", ONE)
    for argv in ("note a1b2 --stdin", "note a1b2 -"):
        assert run_console(argv, {"update": ONE}, stdin=[b"piped"]).request.append_notes == "piped"


@pytest.mark.parametrize("argv", ["note a1b2", "note a1b2 x --stdin", "tag a1b2 ''"])
def test_what_says_nothing_or_twice_is_a_mistake(argv: str) -> None:
    words = [word.strip("'") for word in argv.split()]
    assert run_console(words, stdin=[b""]).code == 2


def test_a_label_is_added() -> None:
    ran = run_console("tag a1b2 urgent", {"update": ONE})
    assert ran.request == Update(actor="unknown", id="a1b2", add_labels=("urgent",))
    assert ran.out == "✓ Added label 'urgent' to bd-000000000001 — Issue 1\n"


def test_a_label_that_is_there_already_is_told_as_such() -> None:
    ran = run_console("tag a1b2 urgent", {"update": ONE | {"_unchanged": True}})
    assert (ran.code, ran.out) == (0, "Nothing to do: bd-000000000001 — Issue 1 has label 'urgent' already\n")


def test_labels_with_commas_between_them_are_several() -> None:
    ran = run_console("tag a1b2 web,urgent", {"update": ONE})
    assert ran.request == Update(actor="unknown", id="a1b2", add_labels=("web", "urgent"))
    assert ran.out.startswith("✓ Added labels 'web', 'urgent' to ")
    children = [issue(1, labels=["web"]), issue(2), issue(3, labels=["urgent", "web"])]
    page = Page(issues=children, total=3, truncated=False)
    ran = run_console("label propagate a1b2 web,urgent --json", {"children": page, "script": [{}, {}]})
    assert [step["params"]["add_labels"] for step in ran.asked[1].steps] == [("urgent",), ("web", "urgent")]
    assert [(each["issue_id"][-1], each["label"]) for each in ran.document] == [
        ("1", "urgent"), ("2", "web"), ("2", "urgent"),
    ]  # fmt: skip
    assert run_console("label propagate a1b2 web,urgent", {"children": page, "script": [{}, {}]}).out == (
        "✓ Added labels 'web', 'urgent' to 2 of 3 children\n"
    )


def test_children_that_lack_a_label_get_it() -> None:
    children = [issue(1, labels=["web"]), issue(2), issue(3, labels=["x"])]
    page = Page(issues=children, total=3, truncated=False)
    ran = run_console("label propagate a1b2 web --json", {"children": page, "script": [{}, {}]})
    assert [step["params"]["id"] for step in ran.asked[1].steps] == [children[1]["id"], children[2]["id"]]
    assert [each["issue_id"] for each in ran.document] == [children[1]["id"], children[2]["id"]]
    assert run_console("label propagate a1b2 web", {"children": page, "script": [{}, {}]}).out == (
        "✓ Added label 'web' to 2 of 3 children\n"
    )


def test_children_are_labelled_in_scripts_no_longer_than_one_may_be() -> None:
    count = 2 * STEPS + 2
    page = Page(issues=list(map(issue, range(count))), total=count, truncated=False)
    ran = run_console("label propagate a1b2 web", {"children": page, "script": [{}] * STEPS})
    assert [len(asked.steps) for asked in ran.asked[1:]] == [STEPS, STEPS, 2]
    assert ran.out == f"✓ Added label 'web' to {count:,} of {count:,} children\n"


@pytest.mark.parametrize(
    ("children", "told"), [(1, "every child of a1b2 has label 'web' already"), (0, "a1b2 has no children")]
)
def test_where_no_child_lacks_a_label_it_is_told_as_such(children: int, told: str) -> None:
    page = Page(issues=[issue(1, labels=["web"])][:children], total=children, truncated=False)
    ran = run_console("label propagate a1b2 web", {"children": page})
    assert (ran.code, ran.out, len(ran.asked)) == (0, f"Nothing to do: {told}\n", 1)
    assert run_console("label propagate a1b2 web --json", {"children": page}).document == []


def test_an_issue_is_linked() -> None:
    ran = run_console("link a1b2 c3d4 -t tracks --json", {"add_edge": edge(type="tracks")})
    assert ran.request == AddEdge(actor="unknown", id="a1b2", edge=Edge(to="c3d4", type="tracks"))
    assert ran.document == {"status": "added", **edge(type="tracks")}
    ran = run_console("link a1b2 c3d4", {"add_edge": edge(created=True)})
    assert ran.out == "✓ Linked: bd-a depends on bd-b (blocks)\n"


def test_a_link_that_is_there_already_is_told_as_such() -> None:
    there = {"add_edge": edge(created=False)}
    ran = run_console("link a1b2 c3d4", there)
    assert (ran.code, ran.out) == (0, "Nothing to do: bd-a depends on bd-b (blocks) already\n")
    assert run_console("link a1b2 c3d4 --json", there).document == {"status": "added", **edge(), "_unchanged": True}


def test_two_issues_refer_to_one_another_and_no_longer() -> None:
    ran = run_console("dep relate a1b2 c3d4 --json", {"script": [edge(), edge()]})
    assert isinstance(ran.request, Script)
    assert [(step["params"]["id"], step["params"]["edge"]["to"]) for step in ran.request.steps] == [
        ("a1b2", "c3d4"), ("c3d4", "a1b2"),
    ]  # fmt: skip
    assert ran.document == {"id1": "a1b2", "id2": "c3d4", "linked": True}
    gone = run_console("unrelate a1b2 c3d4 --json", {"script": [{"removed": 1}, {"removed": 0}]})
    assert isinstance(gone.request, Script)
    assert [(step["params"]["id"], step["params"]["may_be_missing"]) for step in gone.request.steps] == [
        ("a1b2", True), ("c3d4", True),
    ]  # fmt: skip
    assert gone.document == {"id1": "a1b2", "id2": "c3d4", "unlinked": True}
    assert run_console("dep unrelate a1b2 c3d4", {"script": [{"removed": 0}, {"removed": 0}]}).code == 3


def test_issues_that_are_related_already_are_told_as_such() -> None:
    new, old = edge(created=True), edge(created=False)
    ran = run_console("relate a1b2 c3d4", {"script": [old, old]})
    assert (ran.code, ran.out) == (0, "Nothing to do: a1b2 and c3d4 are related already\n")
    document = {"id1": "a1b2", "id2": "c3d4", "linked": True}
    assert run_console("relate a1b2 c3d4 --json", {"script": [old, old]}).document == document | {"_unchanged": True}
    assert run_console("relate a1b2 c3d4 --json", {"script": [new, old]}).document == document
    assert run_console("relate a1b2 c3d4", {"script": [old, new]}).out == "✓ a1b2 and c3d4 are related\n"


def test_a_failure_is_passed_on() -> None:
    missing = RefusedError("no issue a1b2", code=Code.NOT_FOUND)
    assert run_console("tag a1b2 x", {"update": missing}).code == 3
