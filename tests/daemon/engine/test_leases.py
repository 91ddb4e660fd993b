"""Leases over the real engine: taken, prolonged, given back, taken over, and told to who lost them."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.kinds import LEASE
from moot_protocol.lease import Standing, Token, passes
from moot_protocol.limits import LEASE_EPOCH_MOST, LEASE_LEAST_MS, LEASE_MARGIN_MS, LEASE_MOST_MS, LEASE_MS
from moot_testkit.engine import START_MS, Desk, exchange, town_of
from mootd.edges.clock import ManualClock
from mootd.engine import leases
from mootd.engine.editor import Editor
from mootd.engine.leases import Held, LeaseView, acquire, fenced, release, renew, view_in
from mootd.engine.log import FeedRow
from mootd.engine.unit import Unit

R = TypeVar("R")
NAME = "scrub"


def do(desk: Desk, work: Callable[[Unit], R]) -> R:
    with desk.replica.transaction() as unit:
        return work(unit)


def take(desk: Desk, *, force: bool = False, ttl_ms: int = LEASE_MS) -> Token:
    held = do(desk, lambda unit: acquire(unit, NAME, "ada", ttl_ms, force=force))
    assert held.standing is not None
    return held.standing.token


def standing(desk: Desk) -> Standing | None:
    return do(desk, lambda unit: view_in(unit).standing(NAME))


def lost(desk: Desk) -> dict[str, int]:
    with desk.replica.read() as reader:
        view = LeaseView(desk.entities(reader), desk.replica.ledger, lambda feed: desk.replica.feeds[feed])
        return fenced(reader, view, desk.replica.id)


def code(work: Callable[[], object]) -> Code:
    with pytest.raises(RefusedError) as caught:
        work()
    return caught.value.code


def test_a_lease_is_taken_once_and_prolonged_under_its_epoch() -> None:
    ada, bob = town_of("ada", "bob")
    token = take(ada)
    assert token == Token(1, ada.replica.id)
    exchange(ada, bob)
    assert code(lambda: take(bob)) is Code.CONFLICT
    ada.clock.advance(60_000)
    assert take(ada) == token
    renewed = do(ada, lambda unit: renew(unit, NAME, 1, "ada", LEASE_MS)).standing
    assert renewed is not None
    assert renewed.until_ms == ada.clock.now_ms() + LEASE_MS


def test_a_lease_that_ran_out_is_taken_over_after_the_margin_and_its_holder_is_told() -> None:
    ada, bob = town_of("ada", "bob")
    take(ada)
    exchange(ada, bob)
    bob.clock.advance(LEASE_MS + LEASE_MARGIN_MS - 1000)
    assert code(lambda: take(bob)) is Code.CONFLICT
    bob.clock.advance(1000)
    assert take(bob) == Token(2, bob.replica.id)
    assert lost(ada) == {}
    exchange(ada, bob)
    assert lost(ada) == {NAME: 1}
    assert lost(bob) == {}
    assert code(lambda: do(ada, lambda unit: renew(unit, NAME, 1, "ada", LEASE_MS))) is Code.LOST_RACE
    do(ada, lambda unit: release(unit, NAME, 1, "ada"))
    assert lost(ada) == {}
    assert standing(ada) == standing(bob)
    assert len(ada.records(LEASE)[f"{key_text(ada.replica.ledger.town)}/{NAME}"].groups) == 1  # none pile up


def test_a_lease_given_back_is_free_at_once() -> None:
    ada, bob = town_of("ada", "bob")
    take(ada)
    do(ada, lambda unit: release(unit, NAME, 1, "ada"))
    exchange(ada, bob)
    assert take(bob) == Token(2, bob.replica.id)


def test_giving_back_under_an_earlier_epoch_leaves_what_is_held_by_now() -> None:
    ada, bob = town_of("ada", "bob")
    take(ada)
    ada.clock.advance(LEASE_MS)
    after = take(ada)
    do(ada, lambda unit: release(unit, NAME, 1, "ada"))  # whoever began under the first epoch comes to an end
    exchange(ada, bob)
    assert code(lambda: take(bob)) is Code.CONFLICT
    assert passes(after, standing(ada))
    take(bob, force=True)
    exchange(ada, bob)
    assert lost(ada) == {NAME: 2}


def test_a_lease_ends_by_what_was_heard_of_others_where_the_wall_clock_is_late() -> None:
    ada = Desk().found()
    late = Desk("late", ManualClock(START_MS)).join(ada)
    take(late, ttl_ms=LEASE_LEAST_MS)
    ada.clock.advance(LEASE_LEAST_MS)
    ada.create("mt-one")
    late.receive(ada.batches())
    assert code(lambda: do(late, lambda unit: renew(unit, NAME, 1, "ada", LEASE_MS))) is Code.LOST_RACE


def test_after_the_last_epoch_a_lease_is_taken_no_more() -> None:
    ada = Desk().found()

    def claim(unit: Unit) -> None:
        editor = Editor(unit, ada.replica.ledger.number, LEASE, view_in(unit).entity(NAME), "ada")
        editor.add("claims", [LEASE_EPOCH_MOST, ada.replica.id])
        editor.save()

    do(ada, claim)
    assert code(lambda: take(ada)) is Code.LIMIT


def test_a_lease_is_taken_by_force_and_the_returning_holder_is_fenced() -> None:
    ada, bob = town_of("ada", "bob")
    before = take(ada)
    exchange(ada, bob)
    after = take(bob, force=True)
    assert after.epoch == 2
    do(ada, lambda unit: renew(unit, NAME, 1, "ada", LEASE_MS))  # it doesn't know yet
    exchange(ada, bob)
    for desk in (ada, bob):
        assert passes(after, standing(desk))
        assert not passes(before, standing(desk))
    assert code(lambda: do(ada, lambda unit: renew(unit, NAME, 1, "ada", LEASE_MS))) is Code.LOST_RACE


def test_of_two_who_take_it_at_once_the_first_keeps_it_and_the_other_is_told() -> None:
    ada, bob = town_of("ada", "bob")
    first = take(ada)
    bob.clock.advance(5)
    second = take(bob)
    assert first.epoch == second.epoch
    ada.clock.advance(60_000)
    do(ada, lambda unit: renew(unit, NAME, 1, "ada", LEASE_MS))  # a later write must not cost it its rank
    exchange(ada, bob)
    assert passes(first, standing(ada))
    assert standing(ada) == standing(bob)
    assert lost(bob) == {NAME: 1}
    assert lost(ada) == {}


def test_whoever_let_it_run_out_takes_it_under_another_epoch() -> None:
    ada = Desk().found()
    take(ada)
    ada.clock.advance(LEASE_MS)
    assert code(lambda: do(ada, lambda unit: renew(unit, NAME, 1, "ada", LEASE_MS))) is Code.LOST_RACE
    assert take(ada) == Token(2, ada.replica.id)


def test_a_claim_in_anothers_name_moves_nothing() -> None:
    ada, bob = town_of("ada", "bob")
    take(ada)
    exchange(ada, bob)

    def forge(unit: Unit) -> None:
        editor = Editor(unit, bob.replica.ledger.number, LEASE, view_in(unit).entity(NAME), "mallory")
        editor.add("claims", [99, ada.replica.id])
        editor.add("terms", [f"1:{key_text(ada.replica.id)}", 0])
        editor.save()

    do(bob, forge)
    exchange(ada, bob)
    found = standing(ada)
    assert found is not None
    assert found.token == Token(1, ada.replica.id)
    assert found.until_ms > ada.clock.now_ms()


def test_only_machines_of_ones_own_town_hold_its_leases() -> None:
    ada = Desk().found()
    take(ada)
    with ada.replica.read() as reader:
        foreign = ada.replica.ledger
        rows = {number: FeedRow(row.plane, row.author, town=b"t" * 32) for number, row in ada.replica.feeds.items()}
        view = LeaseView(ada.entities(reader), foreign, rows.__getitem__)
        assert view.standing(NAME) is None


def test_what_a_machine_holds_is_remembered_over_a_restart() -> None:
    ada, bob = town_of("ada", "bob")
    take(ada)
    exchange(ada, bob)
    take(bob, force=True)
    exchange(ada, bob)
    ada.reopen()
    assert lost(ada) == {NAME: 1}


@pytest.mark.parametrize(
    ("name", "ttl_ms", "expected"),
    [("Scrub", LEASE_MS, Code.INVALID), ("", LEASE_MS, Code.INVALID), ("a" * 41, LEASE_MS, Code.INVALID),
     (NAME, LEASE_LEAST_MS - 1, Code.LIMIT), (NAME, LEASE_MOST_MS + 1, Code.LIMIT)],
)  # fmt: skip
def test_names_and_times_have_limits(name: str, ttl_ms: int, expected: Code) -> None:
    ada = Desk().found()
    assert code(lambda: do(ada, lambda unit: acquire(unit, name, "ada", ttl_ms))) is expected


def test_a_lease_is_told_with_its_state() -> None:
    ada = Desk().found()
    take(ada)
    held = Held(NAME, standing(ada))
    end = ada.clock.now_ms() + LEASE_MS
    states = [
        leases.document(held, ada.replica.id, now)["state"] for now in (0, end - LEASE_MARGIN_MS, end + LEASE_MARGIN_MS)
    ]
    assert states == ["held", "ending", "free"]
    do(ada, lambda unit: release(unit, NAME, 1, "ada"))
    assert leases.document(Held(NAME, standing(ada)), b"", end)["state"] == "released"
    assert leases.document(Held(NAME, None), b"", 0)["state"] == "free"
