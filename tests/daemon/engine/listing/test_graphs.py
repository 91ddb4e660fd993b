"""Issues as a graph: what belongs to it, what holds each up; and how far epics are."""

from typing import Any

import pytest

from moot_protocol.errors import Code
from moot_protocol.requests.actions import EpicStatus, Graph
from moot_protocol.requests.issues import Close, Delete
from moot_testkit.towns.engine import Desk, ids_of
from mootd.engine.listing import graphs
from mootd.engine.views.record import decode_record


@pytest.fixture
def desk() -> Desk:
    """An epic with two children, of which one waits for the other and for an issue outside."""
    desk = Desk().found()
    desk.create("mt-epic", issue_type="epic")
    desk.create("mt-a", parent="mt-epic")
    desk.create("mt-b", parent="mt-epic")
    desk.create("mt-out")
    desk.create("mt-alone")
    desk.create("ot-1", project="ot")
    desk.link("mt-b", "mt-a")
    desk.link("mt-a", "mt-out", "conditional-blocks")
    desk.link("mt-out", "mt-epic", "related")
    return desk


def ids(desk: Desk, **parts: Any) -> list[str]:
    return ids_of(desk.ask(Graph(**parts))["issues"])


def test_all_that_edges_connect_belongs_to_a_graph_whichever_way_they_lead(desk: Desk) -> None:
    for root in ("mt-epic", "mt-a", "mt-b", "mt-out"):
        found = ids(desk, id=root)
        assert found[0] == root
        assert sorted(found) == ["mt-a", "mt-b", "mt-epic", "mt-out"]
    assert ids(desk, id="mt-alone") == ["mt-alone"]


def test_children_are_the_direct_ones(desk: Desk) -> None:
    desk.create("mt-below", parent="mt-a")
    assert sorted(ids(desk, id="mt-epic", scope="children")) == ["mt-a", "mt-b", "mt-epic"]


def test_every_issue_not_closed_can_be_asked_for_by_project(desk: Desk) -> None:
    desk.do(Close(actor="alice", id="mt-alone"))
    assert sorted(ids(desk, scope="open", projects=("mt",))) == ["mt-a", "mt-b", "mt-epic", "mt-out"]
    assert ids(desk, scope="open", projects=("ot",)) == ["ot-1"]
    assert len(ids(desk, scope="open")) == 5


def test_each_tells_what_holds_it_up_and_what_it_depends_on(desk: Desk) -> None:
    nodes = {node["id"]: node for node in desk.ask(Graph(id="mt-epic"))["issues"]}
    assert nodes["mt-a"]["blocked_by"] == ["mt-out"]
    assert nodes["mt-b"]["blocked_by"] == ["mt-a"]
    assert "blocked_by" not in nodes["mt-out"]
    assert {edge["depends_on_id"] for edge in nodes["mt-b"]["dependencies"]} == {"mt-epic", "mt-a"}


def test_deleted_issues_are_in_no_graph_but_as_its_root(desk: Desk) -> None:
    desk.link("mt-alone", "mt-b")
    desk.do(Delete(actor="alice", id="mt-b"))
    assert "mt-b" not in ids(desk, id="mt-a")
    assert ids(desk, id="mt-alone") == ["mt-alone"]
    assert ids(desk, id="mt-b")[0] == "mt-b"


def test_a_graph_that_is_too_large_is_cut_and_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not desk.ask(Graph(id="mt-epic"))["cut"]
    monkeypatch.setattr(graphs, "NODES", 2)
    found = desk.ask(Graph(id="mt-epic"))
    assert (len(found["issues"]), found["cut"], found["root"]) == (2, True, "mt-epic")


def test_there_is_no_other_part_of_a_graph(desk: Desk) -> None:
    assert desk.refusal(Graph(id="mt-a", scope="near")) is Code.INVALID


# -- Epics -------------------------------------------------------------------------------------------------------
def epics(desk: Desk, **parts: Any) -> dict[str, tuple[int, int, bool]]:
    return {
        each["epic"]["id"]: (each["closed_children"], each["total_children"], each["eligible_for_close"])
        for each in desk.ask(EpicStatus(**parts))
    }


def test_epics_tell_how_many_of_their_children_are_closed(desk: Desk) -> None:
    assert epics(desk) == {"mt-epic": (0, 2, False)}
    desk.do(Close(actor="alice", id="mt-a", force=True))
    assert epics(desk) == {"mt-epic": (1, 2, False)}
    desk.do(Close(actor="alice", id="mt-b"))
    assert epics(desk) == {"mt-epic": (2, 2, True)}
    desk.do(Close(actor="alice", id="mt-epic"))
    assert epics(desk) == {}


def test_any_issue_that_is_named_tells_how_far_its_children_are(desk: Desk) -> None:
    desk.do(Close(actor="alice", id="mt-a", force=True))
    desk.do(Close(actor="alice", id="mt-epic", force=True))
    assert epics(desk, ids=("mt-epic", "mt-b")) == {"mt-epic": (1, 2, False), "mt-b": (0, 0, False)}
    assert desk.refusal(EpicStatus(ids=("mt-none",))) is Code.NOT_FOUND


def test_children_are_counted_without_being_read(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def decoding(packed: bytes) -> Any:
        record = decode_record(packed)
        read.append(record.entity)
        return record

    monkeypatch.setattr("mootd.engine.listing.lists.decode_record", decoding)
    desk.update("mt-a", title="Not as any list before has seen it")
    assert epics(desk, ids=("mt-epic",)) == {"mt-epic": (0, 2, False)}
    assert read == ["mt-epic"]


def test_deleted_children_dont_count_and_an_epic_without_any_is_not_done(desk: Desk) -> None:
    desk.do(Delete(actor="alice", id="mt-a"))
    desk.do(Delete(actor="alice", id="mt-b"))
    assert epics(desk) == {"mt-epic": (0, 0, False)}
    assert epics(desk, projects=("ot",)) == {}
