"""What a command learns of its actor's claims, of the other machines' view, and of what was handed over."""

import pytest

from moot_protocol.exchange.frontier import Form, FrontierBody, summary
from moot_protocol.ids import key_text
from moot_protocol.requests.claims import ClaimPeers, Handoffs, WriteHandoff
from moot_protocol.requests.issues import InitProject, Update, WorkspaceInfo
from moot_protocol.requests.machine import Events
from moot_protocol.requests.memories import Prime
from moot_testkit.towns.counting import let_count
from moot_testkit.towns.engine import PROJECT, Desk, exchange, town_of
from mootd.engine.machine.members import note_seen
from mootd.engine.unit import Unit
from mootd.service.reading.claims import LIVE_MS, _frontier
from mootd.service.snapshot import Snapshot

PEER = bytes(31) + b"\7"


@pytest.fixture
def desk() -> Desk:
    made = Desk().found()
    made.do(InitProject(actor="alice", prefix=PROJECT, workspace="w1", folder="/f"))
    made.create("mt-one")
    return made


def claim(desk: Desk, actor: str = "alice", ttl_ms: int = 0) -> None:
    desk.do(Update(actor=actor, id="mt-one", claim=True, ttl_ms=ttl_ms))


# -- Workspaces --------------------------------------------------------------------------------------------------
def test_a_workspace_is_told_with_the_actors_claims_only_where_they_want_attention(desk: Desk) -> None:
    claim(desk, ttl_ms=60_000)
    known = desk.ask(WorkspaceInfo(workspace="w1"))
    assert known == {"project": PROJECT, "folder": "/f", "plane": desk.replica.ledger.id.hex()}
    assert desk.ask(WorkspaceInfo(workspace="w1", actor="alice")) == known
    desk.clock.advance(30_000)
    assert desk.ask(WorkspaceInfo(workspace="w1", actor="alice")) == known | {"claims": {"lost": [], "due": 1}}
    assert desk.ask(WorkspaceInfo(workspace="w1", actor="bob")) == known
    assert desk.ask(WorkspaceInfo(workspace="w2", actor="alice")) is None


# -- Other machines ----------------------------------------------------------------------------------------------
def hear(desk: Desk, counter: int, *, agrees: bool) -> None:
    """Hear from another machine, which stands where this one stands, or elsewhere."""
    plane = desk.replica.ledger.number
    with desk.replica.transaction() as unit:
        let_count(unit, plane, PEER)
    with desk.replica.read() as reader:
        here = summary(_frontier(Snapshot(desk.replica, reader, 0), plane))
    body = FrontierBody(
        1, desk.replica.ledger.id, PEER, bytes(32), counter, bytes(32), here if agrees else bytes(32), Form.SUMMARY, ()
    )

    def note(unit: Unit) -> None:
        assert note_seen(unit, plane, body)

    with desk.replica.transaction() as unit:
        note(unit)


def peers(desk: Desk) -> list[dict[str, object]]:
    found: list[dict[str, object]] = desk.ask(ClaimPeers(id="mt-one"))["peers"]
    return found


def test_a_machine_agrees_that_stands_where_this_one_stands_with_the_claim(desk: Desk) -> None:
    hear(desk, 1, agrees=True)
    assert [peer["agrees"] for peer in peers(desk)] == [True]
    claim(desk)
    assert [peer["agrees"] for peer in peers(desk)] == [False]
    hear(desk, 2, agrees=True)
    assert peers(desk) == [{"replica": key_text(PEER), "heard_ms": desk.clock.now_ms(), "agrees": True}]
    assert desk.ask(ClaimPeers(id="mt-one"))["holder"] == "alice"


def test_machines_not_heard_of_for_long_are_left_out(desk: Desk) -> None:
    hear(desk, 1, agrees=True)
    desk.clock.advance(LIVE_MS - 1)
    assert len(peers(desk)) == 1
    desk.clock.advance(1)
    assert peers(desk) == []


# -- Events ------------------------------------------------------------------------------------------------------
def test_who_listens_to_events_learns_of_a_lost_claim() -> None:
    one, two = town_of("one", "two")
    one.create("mt-one")
    exchange(one, two)
    claim(one)
    two.clock.advance(1)
    claim(two, "bob")
    before = two.ask(Events(since=None))["next"]
    assert "contested" not in two.ask(Events())["events"][-1]
    exchange(one, two)
    (event,) = two.ask(Events(since=before))["events"]
    assert event["contested"] == {"holder": "alice", "lost": ["bob"]}


# -- Hand-offs ---------------------------------------------------------------------------------------------------
def test_what_was_handed_over_is_read_and_prime_points_to_it(desk: Desk) -> None:
    claim(desk)
    (before,) = desk.ask(Prime(project=PROJECT, actor="alice"))["claimed"]
    assert "handoff" not in before
    desk.do(WriteHandoff(actor="bob", id="mt-one", next="Go on"))
    assert [each["next"] for each in desk.ask(Handoffs(id="mt-one"))] == ["Go on"]
    (after,) = desk.ask(Prime(project=PROJECT, actor="alice"))["claimed"]
    assert after == before | {"handoff": True}
