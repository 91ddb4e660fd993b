"""The first ready issue that is to be had, giving back, and keeping what one has."""

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.claims import ClaimReady, Heartbeat, Unclaim
from moot_protocol.requests.issues import Close, IssueFields, Script, Update
from moot_protocol.requests.listing import Filter
from moot_testkit.towns.engine import Desk
from mootd.service.writing.writes import carry_out

TTL_MS = 60_000


@pytest.fixture
def desk() -> Desk:
    made = Desk().found()
    made.create("mt-one", priority=1)
    made.create("mt-two", priority=2)
    return made


def claim(desk: Desk, actor: str, name: str = "mt-one", ttl_ms: int = 0) -> None:
    desk.do(Update(actor=actor, id=name, claim=True, ttl_ms=ttl_ms))


# -- The first that is to be had -----------------------------------------------------------------------------------
def test_the_most_urgent_ready_issue_is_taken_and_then_the_next() -> None:
    desk = Desk().found()
    desk.create("mt-one", priority=1)
    desk.create("mt-two", priority=2)
    taken = [desk.do(ClaimReady(actor="alice")) for _ in range(3)]
    assert [issue and (issue["id"], issue["assignee"], issue["status"]) for issue in taken] == [
        ("mt-one", "alice", "in_progress"), ("mt-two", "alice", "in_progress"), None
    ]  # fmt: skip


def test_what_others_have_is_passed_over_and_what_is_ones_own_is_not(desk: Desk) -> None:
    desk.update("mt-one", assignee="bob")
    desk.update("mt-two", assignee="alice")
    taken = desk.do(ClaimReady(actor="alice", ttl_ms=TTL_MS))
    assert taken is not None
    assert (taken["id"], taken["_claim"]["ttl_seconds"]) == ("mt-two", 60)


def test_one_whose_claim_has_ended_is_taken(desk: Desk) -> None:
    claim(desk, "bob", ttl_ms=TTL_MS)
    desk.clock.advance(TTL_MS)
    taken = desk.do(ClaimReady(actor="alice"))
    assert taken is not None
    assert (taken["id"], taken["assignee"]) == ("mt-one", "alice")


def test_what_is_given_to_somebody_and_back_has_no_end_any_more(desk: Desk) -> None:
    claim(desk, "bob", ttl_ms=TTL_MS)
    for actor in ("carol", "bob"):
        assert "_claim" not in desk.do(Update(actor="dave", id="mt-one", fields=IssueFields(assignee=actor)))
    desk.clock.advance(TTL_MS)
    with pytest.raises(RefusedError):
        claim(desk, "alice")


def test_filters_hold(desk: Desk) -> None:
    taken = desk.do(ClaimReady(actor="alice", filter=Filter(priorities=(2,), plane="ledger")))
    assert taken is not None
    assert taken["id"] == "mt-two"
    assert desk.do(ClaimReady(actor="alice", filter=Filter(priorities=(4,)))) is None


def test_it_is_found_behind_any_number_of_others() -> None:
    desk = Desk().found()
    for number in range(101):
        desk.create(f"mt-{number}", priority=0, assignee="bob")
    desk.create("mt-last", priority=4)
    taken = desk.do(ClaimReady(actor="alice"))
    assert taken is not None
    assert taken["id"] == "mt-last"


# -- Giving back ---------------------------------------------------------------------------------------------------
def test_what_is_given_back_is_open_and_nobodys(desk: Desk) -> None:
    claim(desk, "alice", ttl_ms=TTL_MS)
    shown = desk.do(Unclaim(actor="alice", id="mt-one", if_holder="alice"))
    assert (shown["status"], shown.get("assignee"), shown.get("_claim")) == ("open", None, None)
    assert desk.ready() == ["mt-one", "mt-two"]


def test_only_while_the_named_one_holds_it(desk: Desk) -> None:
    claim(desk, "alice")
    assert desk.refusal(Unclaim(actor="bob", id="mt-one", if_holder="bob")) is Code.LOST_RACE
    assert desk.refusal(Unclaim(actor="bob", id="mt-two", if_holder="bob")) is Code.LOST_RACE
    assert desk.do(Unclaim(actor="bob", id="mt-one"))["status"] == "open"


def test_a_status_that_isnt_in_progress_stays(desk: Desk) -> None:
    claim(desk, "alice")
    desk.do(Close(actor="alice", id="mt-one"))
    assert desk.do(Unclaim(actor="alice", id="mt-one"))["status"] == "closed"


def test_nobodys_issue_is_left_as_it_is(desk: Desk) -> None:
    before = len(desk.batches())
    assert desk.do(Unclaim(actor="alice", id="mt-one"))["_unchanged"]
    assert len(desk.batches()) == before


def test_several_are_given_back_or_none(desk: Desk) -> None:
    claim(desk, "alice")
    claim(desk, "bob", "mt-two")
    steps = tuple(
        {"method": "unclaim", "params": {"id": name, "if_holder": "alice"}, "label": name}
        for name in ("mt-one", "mt-two")
    )
    with pytest.raises(RefusedError, match=r"^mt-two is held by bob"), desk.replica.transaction() as unit:
        carry_out(unit, Script(actor="alice", steps=steps))
    assert desk.show("mt-one")["assignee"] == "alice"
    desk.do(Script(actor="alice", steps=steps[:1]))
    assert desk.ready() == ["mt-one"]


# -- Keeping -------------------------------------------------------------------------------------------------------
def events(desk: Desk) -> int:
    return sum(batch.header.count for batch in desk.batches())


def test_however_often_one_renews_there_is_one_event_in_half_the_time(desk: Desk) -> None:
    claim(desk, "alice", ttl_ms=TTL_MS)
    before = events(desk)
    for _ in range(60):
        desk.clock.advance(TTL_MS // 20)
        desk.do(Heartbeat(actor="alice", id="mt-one"))
    assert events(desk) - before == 6
    assert desk.refusal(Update(actor="bob", id="mt-one", claim=True)) is Code.LOST_RACE


def test_all_of_ones_claims_that_end_are_renewed_together(desk: Desk) -> None:
    claim(desk, "alice", ttl_ms=TTL_MS)
    claim(desk, "alice", "mt-two")
    desk.clock.advance(TTL_MS // 2)
    (renewed,) = desk.do(Heartbeat(actor="alice"))
    assert renewed == {"id": "mt-one", "expires_at": "2023-11-14T22:14:50.000Z", "renewed": True}
    assert desk.do(Heartbeat(actor="alice"))[0]["renewed"] is False
    assert desk.do(Heartbeat(actor="bob")) == []


def test_a_claim_can_be_given_an_end_or_another(desk: Desk) -> None:
    claim(desk, "alice")
    assert desk.refusal(Heartbeat(actor="alice", id="mt-one")) is Code.CONFLICT
    assert desk.do(Heartbeat(actor="alice", id="mt-one", ttl_ms=TTL_MS))[0]["renewed"] is True
    assert desk.do(Heartbeat(actor="alice", id="mt-one", ttl_ms=2 * TTL_MS))[0]["renewed"] is True
    assert desk.show("mt-one")["_claim"]["ttl_seconds"] == 120
    assert desk.refusal(Heartbeat(actor="alice", ttl_ms=1)) is Code.LIMIT


def test_who_doesnt_hold_it_cant_renew_it(desk: Desk) -> None:
    assert desk.refusal(Heartbeat(actor="alice", id="mt-one")) is Code.LOST_RACE
    claim(desk, "bob", ttl_ms=TTL_MS)
    assert desk.refusal(Heartbeat(actor="alice", id="mt-one")) is Code.LOST_RACE


def test_the_claim_of_what_is_done_is_over(desk: Desk) -> None:
    claim(desk, "alice", ttl_ms=TTL_MS)
    desk.do(Close(actor="alice", id="mt-one"))
    assert desk.refusal(Heartbeat(actor="alice", id="mt-one")) is Code.CONFLICT


def test_its_holder_can_renew_what_ended_but_was_not_taken(desk: Desk) -> None:
    claim(desk, "alice", ttl_ms=TTL_MS)
    desk.clock.advance(2 * TTL_MS)
    assert desk.ready() == ["mt-one", "mt-two"]
    desk.do(Heartbeat(actor="alice"))
    assert desk.ready() == ["mt-two"]
