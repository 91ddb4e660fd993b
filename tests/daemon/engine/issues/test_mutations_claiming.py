"""Claims by an update: who wins, what may stand beside them, and what nobody can claim."""

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import IssueFields, Update
from moot_testkit.towns.engine import Desk, exchange, town_of
from mootd.service.writing.writes import carry_out


def test_of_many_claims_one_wins_and_the_others_are_told_who(desk: Desk) -> None:
    desk.create("mt-1")
    shown = desk.do(Update(actor="alice", id="mt-1", claim=True))
    assert (shown["assignee"], shown["status"]) == ("alice", "in_progress")
    with pytest.raises(RefusedError, match="alice") as raised:
        desk.do(Update(actor="bob", id="mt-1", claim=True))
    assert raised.value.code is Code.LOST_RACE
    assert desk.do(Update(actor="alice", id="mt-1", claim=True))["assignee"] == "alice"


def test_claims_in_one_transaction_race_as_well(desk: Desk) -> None:
    desk.create("mt-1")
    with desk.replica.transaction() as unit:
        carry_out(unit, Update(actor="alice", id="mt-1", claim=True))
        for actor in ("bob", "carol"):
            with pytest.raises(RefusedError) as raised:
                carry_out(unit, Update(actor=actor, id="mt-1", claim=True))
            assert raised.value.code is Code.LOST_RACE
    assert desk.show("mt-1")["assignee"] == "alice"


def test_a_closed_issue_cannot_be_claimed(desk: Desk) -> None:
    desk.create("mt-1", status="closed")
    assert desk.refusal(Update(actor="a", id="mt-1", claim=True)) is Code.CONFLICT


def test_what_is_changed_beside_a_claim_is_changed_if_the_claim_is_won(desk: Desk) -> None:
    desk.create("mt-1", priority=3)
    beside = {"priority": 0, "status": "in_progress", "assignee": "bob"}
    shown = desk.update("mt-1", actor="bob", claim=True, add_labels=("x",), append_notes="mine", **beside)
    assert {name: shown[name] for name in beside} == beside
    assert (shown["labels"], shown["notes"]) == (["x"], "mine")
    desk.create("mt-2", assignee="carol")
    lost = Update(actor="bob", id="mt-2", claim=True, fields=IssueFields(priority=0), add_labels=("x",))
    assert desk.refusal(lost) is Code.LOST_RACE


@pytest.mark.parametrize(
    "fields",
    [
        IssueFields(status="closed"),
        IssueFields(status="open"),
        IssueFields(assignee="bob"),
        IssueFields(assignee=""),
        IssueFields(status="in_progress", assignee="bob"),
    ],
)
def test_what_contradicts_a_claim_is_refused_with_all_that_stands_beside_it(desk: Desk, fields: IssueFields) -> None:
    desk.create("mt-1")
    fields.priority = 0
    assert desk.refusal(Update(actor="alice", id="mt-1", claim=True, fields=fields)) is Code.USAGE


def test_the_earlier_of_two_claims_made_apart_keeps_the_issue() -> None:
    one, two = town_of("one", "two")
    one.create("mt-1")
    exchange(one, two)
    one.do(Update(actor="alice", id="mt-1", claim=True))
    one.clock.advance(5)
    two.do(Update(actor="bob", id="mt-1", claim=True))
    exchange(one, two)
    assert one.show("mt-1")["assignee"] == two.show("mt-1")["assignee"] == "alice"
    assert two.update("mt-1", assignee="bob")["assignee"] == "bob", "reassigning supersedes both"
