"""Requests about leases: answered with the lease, moved all at once, and recorded where somebody takes over."""

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.exchange.task_lease import CLAIMS
from moot_protocol.ids import key_text
from moot_protocol.limits import LEASE_MS
from moot_protocol.merge.kinds import LEASE
from moot_protocol.requests.audit import ListAudit
from moot_protocol.requests.leases import AcquireLease, Leases, PromoteTown, ReleaseLease, RenewLease
from moot_protocol.requests.membership import RotateTownKey
from moot_testkit.towns.engine import Desk, exchange, town_of
from moot_testkit.towns.town import make_api
from mootd.engine.editor import Editor
from mootd.engine.task_leases import view_in


def test_a_lease_is_answered_by_each_request_about_it() -> None:
    api = make_api()
    taken = api.call(AcquireLease(actor="ada", name="nightly"))
    assert (taken["epoch"], taken["is_here"], taken["state"]) == (1, True, "held")
    assert taken["holder"] == key_text(api.member.id)
    assert taken["until_ms"] == api.clock.now_ms() + LEASE_MS
    assert api.call(Leases()) == [taken]
    assert api.call(RenewLease(actor="ada", name="nightly", epoch=1))["state"] == "held"
    assert api.call(ReleaseLease(actor="ada", name="nightly", epoch=1))["state"] == "released"
    with pytest.raises(RefusedError) as caught:
        api.call(RenewLease(actor="ada", name="other", epoch=1))
    assert caught.value.code is Code.LOST_RACE


def towns() -> tuple[Desk, Desk]:
    ada, bob = town_of("ada", "bob")
    ada.do(AcquireLease(actor="ada", name="nightly"))
    bob.do(AcquireLease(actor="bob", name="weekly"))
    ada.do(AcquireLease(actor="ada", name="done"))
    ada.do(ReleaseLease(actor="ada", name="done", epoch=1))
    exchange(ada, bob)
    return ada, bob


def names(leases: list[dict[str, object]]) -> list[object]:
    return [each["name"] for each in leases]


def test_without_force_only_what_is_free_is_taken() -> None:
    _, bob = towns()
    answer = bob.do(PromoteTown(actor="bob"))
    assert (names(answer["moved"]), names(answer["kept"]), names(answer["held"])) == (["done"], ["weekly"], ["nightly"])


def test_by_force_everything_is_taken_under_the_next_epoch_and_the_other_machine_is_told() -> None:
    ada, bob = towns()
    answer = bob.do(PromoteTown(actor="bob", force=True))
    assert names(answer["moved"]) == ["done", "nightly"]
    assert [each["epoch"] for each in answer["moved"]] == [2, 2]
    assert answer["moved"][1]["was"] == key_text(ada.replica.id)
    exchange(ada, bob)
    assert [(each["name"], each["fenced"]) for each in ada.ask(Leases()) if each["fenced"]] == [("nightly", 1)]
    assert all(each["is_here"] for each in bob.ask(Leases()))


def test_one_that_has_no_next_epoch_yet_keeps_none_of_the_others_from_being_taken() -> None:
    ada, bob = towns()
    with ada.replica.transaction() as unit:
        editor = Editor(unit, ada.replica.ledger.number, LEASE, view_in(unit).entity("weekly"), "ada")
        claims = [group for group, _ in editor.elements(CLAIMS)]
        editor.add(CLAIMS, [ada.clock.now_ms(), ada.replica.id], over=claims)
        editor.save()
    exchange(ada, bob)
    answer = bob.do(PromoteTown(actor="bob", force=True))
    assert (names(answer["moved"]), names(answer["held"])) == (["done", "nightly"], ["weekly"])


def test_what_this_machine_held_under_a_former_key_is_taken_under_its_present_one() -> None:
    api = make_api()
    api.call(AcquireLease(actor="ada", name="nightly"))
    api.call(RotateTownKey(actor="ada"))
    (before,) = api.call(Leases())
    assert (before["is_here"], before["state"], before["fenced"]) == (True, "held", 0)
    (moved,) = api.call(PromoteTown(actor="ada"))["moved"]
    assert (moved["epoch"], moved["holder"]) == (2, key_text(api.member.id))
    assert names(api.call(PromoteTown(actor="ada"))["kept"]) == ["nightly"]


def test_taking_over_leaves_a_record_and_trying_it_leaves_none() -> None:
    api = make_api()
    api.call(AcquireLease(actor="ada", name="nightly"))
    api.call(PromoteTown(actor="ada", force=True, dry_run=True))
    assert api.call(ListAudit())["records"] == []
    api.call(PromoteTown(actor="ada", force=True))
    assert [each["event_type"] for each in api.call(ListAudit())["records"]] == ["leases_moved"]
