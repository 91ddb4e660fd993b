"""Dependencies as they are read: lists, trees, and the edges left out of readiness."""

from typing import Any

import pytest

from moot_protocol.requests.issues import AddEdge, Cycles, Delete, Edge, Edges, EdgeTree
from moot_testkit.towns.engine import Desk
from mootd.engine.issues import trees


@pytest.fixture
def desk() -> Desk:
    """An epic with two children, one of which is blocked by a bug and by something outside."""
    made = Desk().found()
    for name in ("mt-epic", "mt-bug", "mt-one", "mt-two"):
        made.create(name)
    made.link("mt-one", "mt-epic", "parent-child")
    made.link("mt-two", "mt-epic", "parent-child")
    made.link("mt-one", "mt-bug")
    made.link("mt-one", "external:x:y", "tracks")
    return made


def shape(node: dict[str, Any]) -> Any:
    """A tree as (id, type, children)."""
    return node["id"], node["type"], [shape(child) for child in node["children"]]


# -- Lists ---------------------------------------------------------------------------------------------------------
def test_down_is_what_an_issue_depends_on_in_the_order_of_the_writes(desk: Desk) -> None:
    found = desk.ask(Edges(id="mt-one"))
    assert [(each["id"], each["dependency_type"]) for each in found] == [
        ("mt-epic", "parent-child"),
        ("mt-bug", "blocks"),
        ("external:x:y", "tracks"),
    ]
    assert found[1] | {"_short": 0} == {
        "id": "mt-bug", "title": "Title of mt-bug", "status": "open", "priority": 2, "issue_type": "task",
        "created_at": "2023-11-14T22:13:20.000Z", "updated_at": "2023-11-14T22:13:20.000Z",
        "dependency_type": "blocks", "_short": 0,
    }  # fmt: skip
    assert found[2] == {"id": "external:x:y", "dependency_type": "tracks"}


def test_up_is_what_depends_on_it(desk: Desk) -> None:
    found = desk.ask(Edges(id="mt-epic", direction="up"))
    assert {(each["id"], each["dependency_type"]) for each in found} == {
        ("mt-one", "parent-child"),
        ("mt-two", "parent-child"),
    }


def test_a_type_chooses_in_both_directions(desk: Desk) -> None:
    assert [each["id"] for each in desk.ask(Edges(id="mt-one", type="blocks"))] == ["mt-bug"]
    assert desk.ask(Edges(id="mt-epic", direction="up", type="blocks")) == []


def test_of_an_issue_that_is_gone_or_never_came_only_its_id_is_told(desk: Desk) -> None:
    desk.do(Delete(actor="a", id="mt-bug"))
    found = desk.ask(Edges(id="mt-one", type="blocks"))
    assert found == [{"id": "mt-bug", "dependency_type": "blocks"}]
    desk.do(Delete(actor="a", id="mt-two"))
    assert [each["id"] for each in desk.ask(Edges(id="mt-epic", direction="up"))] == ["mt-one"]


# -- Trees ---------------------------------------------------------------------------------------------------------
def test_a_tree_goes_down_to_what_depends_on_nothing(desk: Desk) -> None:
    tree = desk.ask(EdgeTree(id="mt-one"))
    assert shape(tree) == ("mt-one", "", [("mt-epic", "parent-child", []), ("mt-bug", "blocks", [])])
    assert tree["title"] == "Title of mt-one"
    assert not tree["seen"]


def test_a_tree_upwards_shows_what_hangs_on_an_issue(desk: Desk) -> None:
    tree = desk.ask(EdgeTree(id="mt-bug", direction="up"))
    assert shape(tree) == ("mt-bug", "", [("mt-one", "blocks", [])])


def test_an_issue_met_again_is_marked_and_not_opened_again(desk: Desk) -> None:
    desk.link("mt-epic", "mt-bug", "related")
    desk.create("mt-deep")
    desk.link("mt-bug", "mt-deep")
    tree = desk.ask(EdgeTree(id="mt-one"))
    met = [child for child in (*tree["children"], *tree["children"][0]["children"]) if child["id"] == "mt-bug"]
    assert sorted(child["seen"] for child in met) == [False, True]
    assert sorted(len(child["children"]) for child in met) == [0, 1]


def test_a_circle_ends_where_it_began(desk: Desk) -> None:
    desk.do(AddEdge(actor="a", id="mt-bug", edge=Edge("mt-one"), check_cycles=False))
    tree = desk.ask(EdgeTree(id="mt-bug"))
    assert shape(tree)[2][0][2][-1] == ("mt-bug", "blocks", [])


def test_a_tree_is_cut_at_the_depth_asked_for_and_says_so(desk: Desk) -> None:
    tree = desk.ask(EdgeTree(id="mt-one", depth=1))
    assert all(child["cut"] for child in tree["children"])
    assert desk.ask(EdgeTree(id="mt-one", depth=0))["cut"]


def test_no_tree_is_deeper_than_can_be_encoded_or_larger_than_can_be_read(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(300):
        desk.create(f"mt-{number:03}", edges=(Edge(f"mt-{number - 1:03}"),) if number else ())
    node, depth = desk.ask(EdgeTree(id="mt-299", depth=10**9)), 0
    while node["children"]:
        (node,), depth = node["children"], depth + 1
    assert depth == trees._TREE_DEPTH
    assert node["cut"]
    monkeypatch.setattr(trees, "_TREE_NODES", 10)
    node, depth = desk.ask(EdgeTree(id="mt-299")), 0
    while node["children"]:
        (node,), depth = node["children"], depth + 1
    assert depth == 10


def test_what_is_gone_is_marked_as_missing(desk: Desk) -> None:
    desk.do(Delete(actor="a", id="mt-bug"))
    missing = desk.ask(EdgeTree(id="mt-one"))["children"][1]
    assert (missing["id"], missing["missing"]) == ("mt-bug", True)


# -- Cycles --------------------------------------------------------------------------------------------------------
def test_an_edge_left_out_is_told_with_the_cycle_that_it_would_close(desk: Desk) -> None:
    assert desk.ask(Cycles()) == []
    desk.do(AddEdge(actor="a", id="mt-bug", edge=Edge("mt-two"), check_cycles=False))
    assert desk.ask(Cycles()) == []
    desk.do(AddEdge(actor="a", id="mt-epic", edge=Edge("mt-one"), check_cycles=False))
    assert desk.ask(Cycles()) == [
        {"issue_id": "mt-epic", "depends_on_id": "mt-one", "type": "blocks", "cycle": ["mt-one", "mt-epic"]}
    ]


def test_every_cycle_is_told_once_for_each_edge_left_out(desk: Desk) -> None:
    for source, target in (("mt-bug", "mt-one"), ("mt-epic", "mt-two"), ("mt-epic", "mt-one")):
        desk.do(AddEdge(actor="a", id=source, edge=Edge(target), check_cycles=False))
    found = desk.ask(Cycles())
    assert {(each["issue_id"], each["depends_on_id"]) for each in found} == {
        ("mt-bug", "mt-one"),
        ("mt-epic", "mt-two"),
        ("mt-epic", "mt-one"),
    }
    for each in found:
        assert (each["cycle"][0], each["cycle"][-1]) == (each["depends_on_id"], each["issue_id"])
