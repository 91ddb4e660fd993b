"""Who holds an issue, across machines too, and what a machine notes of the claims made on it."""

from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import CLAIM_TTL_LEAST_MS, CLAIM_TTL_MOST_MS, CLAIMS_WATCHED
from moot_protocol.requests.claims import ClaimsTold, Heartbeat, Unclaim
from moot_protocol.requests.issues import Close, Delete, Reopen, Update
from moot_testkit.towns.engine import Desk, exchange, town_of
from mootd.engine.issues.holding import attention, contest
from mootd.engine.stored import layout
from mootd.service.writing.writes import carry_out

TTL_MS = 60_000


@pytest.fixture
def desk() -> Desk:
    made = Desk().found()
    made.create("mt-one")
    return made


def claim(desk: Desk, actor: str, name: str = "mt-one", ttl_ms: int = 0) -> dict[str, Any]:
    return desk.do(Update(actor=actor, id=name, claim=True, ttl_ms=ttl_ms))


def told(desk: Desk, actor: str) -> dict[str, Any]:
    """What of an actor's claims wants attention."""
    with desk.replica.read() as reader:
        return attention(reader, desk.entities(reader), actor, desk.clock.now_ms())


def test_a_claim_that_is_refused_leaves_no_note_to_be_told_as_lost(desk: Desk) -> None:
    refused = Update(actor="alice", id="mt-one", claim=True, add_labels=("two\nlines",))
    with desk.replica.transaction() as unit, pytest.raises(RefusedError):
        carry_out(unit, refused)  # its transaction goes on, as those of the writer do
    assert told(desk, "alice") == {}


# -- Claims with an end ------------------------------------------------------------------------------------------
def test_a_claim_with_an_end_is_told_with_the_issue(desk: Desk) -> None:
    assert claim(desk, "alice", ttl_ms=TTL_MS)["_claim"] == {
        "holder": "alice", "expires_at": "2023-11-14T22:14:20.000Z", "ttl_seconds": 60
    }  # fmt: skip
    desk.create("mt-two")
    assert "_claim" not in claim(desk, "alice", "mt-two")


def test_nobody_else_gets_it_before_its_end_and_anybody_after(desk: Desk) -> None:
    claim(desk, "alice", ttl_ms=TTL_MS)
    desk.clock.advance(TTL_MS - 1)
    assert desk.refusal(Update(actor="bob", id="mt-one", claim=True)) is Code.LOST_RACE
    assert desk.ready() == []
    desk.clock.advance(1)
    assert desk.ready() == ["mt-one"]
    taken = claim(desk, "bob")
    assert taken["assignee"] == "bob"
    assert "_claim" not in taken
    assert desk.ready() == []


def test_what_is_claimed_without_an_end_stays_claimed(desk: Desk) -> None:
    claim(desk, "alice")
    desk.clock.advance(10**9)
    assert desk.refusal(Update(actor="bob", id="mt-one", claim=True)) is Code.LOST_RACE
    assert desk.ready() == []


def test_claiming_again_begins_the_same_duration_anew(desk: Desk) -> None:
    claim(desk, "alice", ttl_ms=TTL_MS)
    desk.clock.advance(1000)
    again = claim(desk, "alice")["_claim"]
    assert (again["expires_at"], again["ttl_seconds"]) == ("2023-11-14T22:14:21.000Z", 60)


def test_an_ended_claim_of_what_is_blocked_or_put_off_is_not_ready(desk: Desk) -> None:
    desk.create("mt-two")
    claim(desk, "alice", ttl_ms=TTL_MS)
    desk.clock.advance(TTL_MS)
    desk.link("mt-one", "mt-two")
    assert desk.ready() == ["mt-two"]
    desk.do(Close(actor="alice", id="mt-two"))
    desk.update("mt-one", defer_until="2030-01-01T00:00:00Z")
    assert desk.ready() == []
    desk.update("mt-one", defer_until="", pinned=True)
    assert desk.ready() == []


@pytest.mark.parametrize("change", ["assign", "close", "delete", "unclaim", "status"])
def test_a_claim_ends_with_what_it_was_for(desk: Desk, change: str) -> None:
    claim(desk, "alice", ttl_ms=TTL_MS)
    match change:
        case "assign":
            desk.update("mt-one", assignee="bob")
        case "close":
            desk.do(Close(actor="alice", id="mt-one"))
            desk.do(Reopen(actor="alice", id="mt-one"))
            desk.update("mt-one", status="in_progress")
        case "delete":
            desk.do(Delete(actor="alice", id="mt-one"))
        case "unclaim":
            desk.do(Unclaim(actor="alice", id="mt-one"))
        case _:
            desk.update("mt-one", status="blocked")
            desk.update("mt-one", status="in_progress")
    assert "_claim" not in desk.show("mt-one") if change != "delete" else True
    desk.clock.advance(TTL_MS)
    assert desk.ready() == (["mt-one"] if change == "unclaim" else [])


@pytest.mark.parametrize("ttl_ms", [1, -1, CLAIM_TTL_LEAST_MS - 1, CLAIM_TTL_MOST_MS + 1])
def test_a_duration_out_of_bounds_is_refused(desk: Desk, ttl_ms: int) -> None:
    assert desk.refusal(Update(actor="alice", id="mt-one", claim=True, ttl_ms=ttl_ms)) is Code.LIMIT


def test_a_claim_from_before_the_clock_was_set_back_ends_as_soon_as_any_once_it_is_renewed(desk: Desk) -> None:
    claim(desk, "alice", ttl_ms=TTL_MS)
    now_ms = desk.clock.now_ms()
    desk.clock.set_wall(now_ms - TTL_MS // 2)
    assert told(desk, "alice") == {}
    desk.clock.set_wall(now_ms - TTL_MS)
    assert told(desk, "alice") == {"lost": [], "due": 1}
    desk.do(Heartbeat(actor="alice"))
    desk.clock.advance(TTL_MS)
    assert desk.ready() == ["mt-one"]


def test_rebuilt_views_know_when_claims_end(desk: Desk) -> None:
    claim(desk, "alice", ttl_ms=TTL_MS)
    kept = desk.index(layout.LEASE)
    assert len(kept) == 1
    desk.do(Update(actor="alice", id="mt-one", append_notes="seen"))
    assert desk.index(layout.LEASE) == kept


# -- Several machines --------------------------------------------------------------------------------------------
@pytest.fixture
def two() -> list[Desk]:
    desks = town_of("one", "two")
    desks[0].create("mt-one")
    exchange(*desks)
    return desks


def test_of_two_machines_that_claim_at_once_the_first_keeps_it_and_only_the_other_is_told(two: list[Desk]) -> None:
    claim(two[0], "alice", ttl_ms=TTL_MS)
    two[1].clock.advance(1)
    claim(two[1], "bob", ttl_ms=TTL_MS)
    exchange(*two)
    assert [desk.show("mt-one")["assignee"] for desk in two] == ["alice", "alice"]
    assert [desk.show("mt-one")["_claim"]["holder"] for desk in two] == ["alice", "alice"]
    assert told(two[0], "alice") == {}
    assert told(two[1], "bob") == {"lost": [{"id": "mt-one", "holder": "alice"}], "due": 0}
    assert [desk.show("mt-one").get("_conflicts") for desk in two] == [None, None]


def test_whoever_was_told_is_told_once(two: list[Desk]) -> None:
    claim(two[0], "alice")
    two[1].clock.advance(1)
    claim(two[1], "bob")
    exchange(*two)
    two[1].do(ClaimsTold(actor="bob", ids=("mt-other",)))
    assert told(two[1], "bob")
    two[1].do(ClaimsTold(actor="bob", ids=("mt-one",)))
    assert told(two[1], "bob") == {}


def test_a_contest_names_who_has_it_and_who_lost_it(two: list[Desk]) -> None:
    for desk, actor in zip(two, ("alice", "bob"), strict=True):
        claim(desk, actor)
        desk.clock.advance(1)
    with two[0].replica.read() as reader:
        assert contest(two[0].entities(reader), 2, "mt-none") is None
    exchange(*two)
    plane = two[0].replica.ledger.number
    with two[0].replica.read() as reader:
        assert contest(two[0].entities(reader), plane, "mt-one") == {"holder": "alice", "lost": ["bob"]}
    two[0].update("mt-one", assignee="carol")
    with two[0].replica.read() as reader:
        assert contest(two[0].entities(reader), plane, "mt-one") is None


def test_who_renews_while_another_takes_over_has_lost(two: list[Desk]) -> None:
    claim(two[0], "alice", ttl_ms=TTL_MS)
    exchange(*two)
    two[0].clock.advance(TTL_MS)
    claim(two[1], "bob", ttl_ms=TTL_MS)
    two[0].do(Heartbeat(actor="alice"))
    exchange(*two)
    assert [desk.show("mt-one")["_claim"]["holder"] for desk in two] == ["bob", "bob"]
    assert told(two[0], "alice")["lost"] == [{"id": "mt-one", "holder": "bob"}]


# -- Notes -------------------------------------------------------------------------------------------------------
def test_what_one_gave_away_oneself_or_finished_is_not_told(desk: Desk) -> None:
    desk.create("mt-two")
    desk.create("mt-three")
    for name in ("mt-one", "mt-two", "mt-three"):
        claim(desk, "alice", name)
    desk.update("mt-one", assignee="bob")
    desk.do(Close(actor="alice", id="mt-two"))
    desk.do(Unclaim(actor="alice", id="mt-three"))
    assert told(desk, "alice") == {}


def test_what_somebody_else_took_away_is_told(desk: Desk) -> None:
    claim(desk, "alice")
    desk.update("mt-one", assignee="bob", actor="carol")
    assert told(desk, "alice")["lost"] == [{"id": "mt-one", "holder": "bob"}]
    desk.do(Close(actor="bob", id="mt-one"))
    assert told(desk, "alice") == {}


def test_renewing_is_due_from_half_of_the_time_on(desk: Desk) -> None:
    claim(desk, "alice", ttl_ms=TTL_MS)
    desk.clock.advance(TTL_MS // 2 - 1)
    assert told(desk, "alice") == {}
    desk.clock.advance(1)
    assert told(desk, "alice") == {"lost": [], "due": 1}
    assert told(desk, "bob") == {}


def test_only_so_many_claims_are_watched_the_latest(desk: Desk) -> None:
    for number in range(CLAIMS_WATCHED):
        desk.create(f"mt-n{number}")
        desk.clock.advance(1)
        claim(desk, "alice", f"mt-n{number}")
    desk.clock.advance(1)
    claim(desk, "alice")
    for number in (0, 1):
        desk.update(f"mt-n{number}", assignee="bob", actor="bob")
    assert [each["id"] for each in told(desk, "alice")["lost"]] == ["mt-n1"]
