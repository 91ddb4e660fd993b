"""What mutations see to, so that issues become ready when people expect it: deferral without end, no deadlocks."""

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Edge, Update
from moot_testkit.towns.engine import Desk


@pytest.fixture
def desk() -> Desk:
    return Desk().found()


def test_deferring_without_a_time_has_no_end_though_one_that_has_passed_stood_there(desk: Desk) -> None:
    desk.create("mt-1", defer_until="2020-01-01T00:00:00Z")
    desk.create("mt-2", defer_until="2090-01-01T00:00:00Z")
    for name in ("mt-1", "mt-2"):
        desk.update(name, status="deferred")
    assert "defer_until" not in desk.show("mt-1")
    assert desk.show("mt-2")["defer_until"] == "2090-01-01T00:00:00Z"
    assert desk.ready() == []
    desk.update("mt-1", status="deferred", defer_until="2020-01-01T00:00:00Z")
    assert desk.ready() == ["mt-1"]


# -- Waiting for what an issue is part of --------------------------------------------------------------------------
@pytest.mark.parametrize("edge_type", ["blocks", "conditional-blocks"])
def test_what_is_new_cannot_wait_for_what_it_is_to_be_part_of(desk: Desk, edge_type: str) -> None:
    desk.create("mt-epic")
    desk.create("mt-part", parent="mt-epic")
    edges = Edge("mt-epic", edge_type), Edge("mt-part", "parent-child")
    for parts in ({"parent": "mt-part", "edges": edges[:1]}, {"edges": edges}):
        with pytest.raises(RefusedError, match=r"mt-new can't be a child of mt-epic.*deadlock") as caught:
            desk.create("mt-new", **parts)
        assert caught.value.code is Code.CONFLICT
    assert desk.create("mt-new", parent="mt-part", edges=(Edge("mt-epic", "related"), Edge("external:a:b")))


def test_an_issue_is_not_put_below_what_it_or_a_part_of_it_waits_for(desk: Desk) -> None:
    for name in ("mt-top", "mt-epic", "mt-part"):
        desk.create(name)
    desk.create("mt-below", parent="mt-part")
    desk.update("mt-epic", parent="mt-top")
    desk.link("mt-below", "mt-top")
    with pytest.raises(RefusedError, match=r"mt-below can't be a child of mt-top.*deadlock"):
        desk.do(Update(actor="a", id="mt-part", parent="mt-epic"))
    desk.link("mt-part", "mt-epic")
    with pytest.raises(RefusedError, match="mt-part can't be a child of mt-epic"):
        desk.do(Update(actor="a", id="mt-part", parent="mt-epic"))
    assert desk.do(Update(actor="a", id="mt-below", parent=""))["id"] == "mt-below"
