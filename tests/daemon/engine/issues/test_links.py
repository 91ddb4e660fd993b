"""Making and removing dependencies."""

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import AddEdge, Delete, Edge, RemoveEdge, Show
from moot_testkit.towns.engine import Desk, exchange, town_of


@pytest.fixture
def desk() -> Desk:
    made = Desk().found()
    for name in ("mt-a", "mt-b", "mt-c"):
        made.create(name)
    return made


def test_a_dependency_is_made_once(desk: Desk) -> None:
    expected = {"issue_id": "mt-a", "depends_on_id": "mt-b", "type": "blocks"}
    assert desk.link("mt-a", "mt-b") == expected | {"created": True}
    assert desk.link("mt-a", "mt-b") == expected | {"created": False}
    assert desk.link("mt-a", "mt-b", "related")["created"]
    assert len(desk.show("mt-a")["dependencies"]) == 2


def test_a_dependency_tells_who_made_it_and_when(desk: Desk) -> None:
    desk.link("mt-a", "mt-b", "waits-for", '{"gate":"any-children"}')
    assert desk.show("mt-a")["dependencies"] == [
        {
            "issue_id": "mt-a",
            "depends_on_id": "mt-b",
            "type": "waits-for",
            "created_at": "2023-11-14T22:13:20.000Z",
            "created_by": "alice",
            "metadata": '{"gate":"any-children"}',
        }
    ]


def test_what_is_external_stands_for_itself_and_blocks_nothing(desk: Desk) -> None:
    assert desk.link("mt-a", "external:beads:cap")["depends_on_id"] == "external:beads:cap"
    assert "mt-a" in desk.ready()


@pytest.mark.parametrize("edge_type", ["blocks", "conditional-blocks", "parent-child"])
def test_an_edge_that_closes_a_cycle_of_waiting_is_refused_and_names_it(desk: Desk, edge_type: str) -> None:
    desk.link("mt-a", "mt-b", "parent-child")
    desk.link("mt-b", "mt-c")
    with pytest.raises(RefusedError, match="mt-c → mt-a → mt-b → mt-c"):
        desk.link("mt-c", "mt-a", edge_type)
    assert desk.refusal(AddEdge(actor="a", id="mt-c", edge=Edge("mt-a", edge_type))) is Code.CONFLICT


def test_a_cycle_of_other_edges_is_nobodys_business(desk: Desk) -> None:
    for edge_type in ("related", "waits-for", "tracks"):
        assert desk.link("mt-a", "mt-b", edge_type)["created"]
        assert desk.link("mt-b", "mt-a", edge_type)["created"]


def test_without_the_check_the_edge_is_kept_and_left_out_of_readiness(desk: Desk) -> None:
    desk.link("mt-a", "mt-b")
    assert desk.link("mt-b", "mt-a", check_cycles=False)["created"]
    assert desk.blocked() == ["mt-a"]
    assert "mt-b" in desk.ready()


@pytest.mark.parametrize("check_cycles", [True, False])
def test_an_issue_cannot_wait_for_what_it_is_part_of_nor_be_put_below_what_it_waits_for(
    desk: Desk, *, check_cycles: bool
) -> None:
    desk.link("mt-b", "mt-a", "parent-child")
    desk.link("mt-c", "mt-b", "parent-child")
    for source, target in (("mt-b", "mt-a"), ("mt-c", "mt-a")):
        with pytest.raises(RefusedError, match=f"{source} can't be a child of {target}.*deadlock") as caught:
            desk.link(source, target, check_cycles=check_cycles)
        assert caught.value.code is Code.CONFLICT
        assert target not in caught.value.discreet
    assert desk.link("mt-c", "mt-a", "related")["created"]
    desk.create("mt-d")
    desk.link("mt-d", "mt-b")
    with pytest.raises(RefusedError, match="mt-d can't be a child of mt-b"):
        desk.link("mt-d", "mt-c", "parent-child", check_cycles=check_cycles)


def test_an_issue_cannot_depend_on_itself_on_nothing_or_on_what_is_deleted(desk: Desk) -> None:
    desk.do(Delete(actor="a", id="mt-c"))
    assert desk.refusal(AddEdge(actor="a", id="mt-a", edge=Edge("mt-a"))) is Code.CONFLICT
    assert desk.refusal(AddEdge(actor="a", id="mt-a", edge=Edge("mt-none"))) is Code.NOT_FOUND
    assert desk.refusal(AddEdge(actor="a", id="mt-a", edge=Edge("mt-c"))) is Code.NOT_FOUND
    assert desk.refusal(AddEdge(actor="a", id="mt-c", edge=Edge("mt-a"))) is Code.NOT_FOUND
    assert desk.refusal(AddEdge(actor="a", id="mt-a", edge=Edge("mt-b", "x" * 51))) is Code.INVALID


def test_dependencies_are_removed_by_target_of_one_type_or_of_all(desk: Desk) -> None:
    desk.link("mt-a", "mt-b")
    desk.link("mt-a", "mt-b", "related")
    desk.link("mt-a", "mt-c")
    removed = desk.do(RemoveEdge(actor="a", id="mt-a", to="mt-b", type="related"))
    assert removed == {"issue_id": "mt-a", "depends_on_id": "mt-b", "removed": 1}
    desk.link("mt-a", "mt-b", "tracks")
    assert desk.do(RemoveEdge(actor="a", id="mt-a", to="mt-b"))["removed"] == 2
    assert [each["depends_on_id"] for each in desk.show("mt-a")["dependencies"]] == ["mt-c"]
    assert desk.refusal(RemoveEdge(actor="a", id="mt-a", to="mt-b")) is Code.NOT_FOUND
    assert desk.refusal(RemoveEdge(actor="a", id="mt-a", to="mt-c", type="related")) is Code.NOT_FOUND


def test_a_dependency_that_may_be_missing_is_removed_where_it_is_there(desk: Desk) -> None:
    desk.link("mt-a", "mt-b", "relates-to")
    either = RemoveEdge(actor="a", id="mt-a", to="mt-b", type="relates-to", may_be_missing=True)
    assert desk.do(either)["removed"] == 1
    before = desk.log_length()
    assert desk.do(either) == {"issue_id": "mt-a", "depends_on_id": "mt-b", "removed": 0}
    assert desk.log_length() == before
    assert desk.refusal(RemoveEdge(actor="a", id="mt-none", to="mt-b", may_be_missing=True)) is Code.NOT_FOUND


def test_what_leads_nowhere_any_more_can_still_be_removed(desk: Desk) -> None:
    desk.link("mt-a", "mt-b")
    desk.link("mt-a", "external:x")
    desk.do(Delete(actor="a", id="mt-b"))
    assert desk.do(RemoveEdge(actor="a", id="mt-a", to="mt-b"))["removed"] == 1
    assert desk.do(RemoveEdge(actor="a", id="mt-a", to="external:x"))["removed"] == 1


def test_the_same_dependency_made_by_two_is_one_and_goes_with_one_removal() -> None:
    one, two = town_of("one", "two")
    one.create("mt-a")
    one.create("mt-b")
    exchange(one, two)
    one.link("mt-a", "mt-b")
    two.link("mt-a", "mt-b")
    exchange(one, two)
    assert len(one.ask(Show(ids=("mt-a",)))[0]["dependencies"]) == 1
    assert one.do(RemoveEdge(actor="a", id="mt-a", to="mt-b"))["removed"] == 1
    assert "dependencies" not in one.show("mt-a")


def test_of_edges_made_apart_that_close_a_cycle_the_later_is_left_out_everywhere() -> None:
    one, two = town_of("one", "two")
    one.create("mt-a")
    one.create("mt-b")
    exchange(one, two)
    one.link("mt-a", "mt-b")
    one.clock.advance(5)
    two.link("mt-b", "mt-a")
    exchange(one, two)
    assert one.blocked() == two.blocked() == ["mt-a"]
    assert one.ready() == two.ready() == ["mt-b"]
