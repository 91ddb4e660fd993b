"""Leases of which a stolen machine writes claims: no epoch goes back, and there is always a next one."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import pytest

from moot_protocol.clock import from_ms
from moot_protocol.errors import Code, RefusedError
from moot_protocol.exchange.task_lease import CLAIMS, TERMS, Standing, Token
from moot_protocol.ids import key_text
from moot_protocol.limits import CLOCK_AHEAD_MS, LEASE_MS
from moot_protocol.merge.kinds import LEASE
from moot_testkit.towns.engine import START_MS, Desk, exchange, town_of
from mootd.engine.editor import Editor
from mootd.engine.task_leases import acquire, release, view_in
from mootd.engine.unit import Unit

R = TypeVar("R")
NAME = "scrub"


def do(desk: Desk, work: Callable[[Unit], R]) -> R:
    with desk.replica.transaction() as unit:
        return work(unit)


def take(desk: Desk, *, force: bool = False) -> Token:
    held = do(desk, lambda unit: acquire(unit, NAME, "ada", LEASE_MS, force=force))
    assert held.standing is not None
    return held.standing.token


def refused(desk: Desk) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        take(desk)
    return caught.value


def standing(desk: Desk) -> Standing | None:
    return do(desk, lambda unit: view_in(unit).standing(NAME))


def wrote(desk: Desk, epoch: int, *, over: bool = True, removes: bool = False) -> None:
    """Claim an epoch whatever it is, over the claims and terms that are live, or take those away."""

    def write(unit: Unit) -> None:
        editor = Editor(unit, desk.replica.ledger.number, LEASE, view_in(unit).entity(NAME), "thief")
        claims, terms = ([group for group, _ in editor.elements(key)] for key in (CLAIMS, TERMS))
        if removes:
            editor.remove(CLAIMS, claims)
        else:
            editor.add(CLAIMS, [epoch, desk.replica.id], over=claims if over else [])
        editor.remove(TERMS, terms)
        editor.save()

    do(desk, write)


def third_epoch() -> tuple[Desk, Desk]:
    """A machine that has had a lease three times, and one that a thief has."""
    ada, thief = town_of("ada", "thief")
    for epoch in (1, 2, 3):
        assert take(ada).epoch == epoch
        do(ada, partial(release, name=NAME, epoch=epoch, actor="ada"))
    exchange(ada, thief)
    return ada, thief


@pytest.mark.parametrize("over", [True, False])
@pytest.mark.parametrize("epoch", [2**53, 2**63 - 1, START_MS * 2])
def test_a_claim_that_nobody_can_have_reached_uses_up_no_epoch_and_takes_none_back(epoch: int, over: bool) -> None:
    ada, thief = third_epoch()
    wrote(thief, epoch, over=over)
    exchange(ada, thief)
    assert standing(ada) == standing(thief)
    assert take(ada) == Token(4, ada.replica.id)
    exchange(ada, thief)
    assert take(thief, force=True).epoch == 5


def test_nor_does_one_below_those_that_it_superseded() -> None:
    ada, thief = third_epoch()
    wrote(thief, 1)
    exchange(ada, thief)
    assert standing(ada) == standing(thief)
    assert take(ada) == Token(4, ada.replica.id)


def test_nor_one_below_those_that_were_superseded_by_one_that_counts_for_nothing() -> None:
    ada, thief = third_epoch()
    for epoch in (2**53, 2**54, 1):
        wrote(thief, epoch)
    exchange(ada, thief)
    assert take(ada) == Token(4, ada.replica.id)


def test_nor_do_two_of_which_the_second_is_above_the_first() -> None:
    ada, thief = third_epoch()
    for epoch in (1, 2):
        wrote(thief, epoch)
    exchange(ada, thief)
    assert take(ada) == Token(4, ada.replica.id)


def test_nor_does_it_help_to_take_claims_away() -> None:
    ada, thief = third_epoch()
    wrote(thief, 0, removes=True)
    exchange(ada, thief)
    assert take(ada) == Token(4, ada.replica.id)


def test_above_the_highest_epoch_that_can_be_claimed_there_is_one_as_soon_as_time_has_passed() -> None:
    ada, thief = third_epoch()
    ahead = thief.clock.now_ms() + CLOCK_AHEAD_MS
    with thief.replica.transaction() as unit:
        unit.clock.observe(from_ms(ahead), unit.now_ms)
    wrote(thief, ahead)
    exchange(ada, thief)
    error = refused(ada)
    assert (error.code, error.retryable) == (Code.LIMIT, True)
    assert error.hint.startswith("try again in 601 seconds; ")
    assert f"; if {key_text(thief.replica.id)}, which claimed epoch {ahead} out of turn, " in error.hint
    assert error.hint.endswith(": `moot replica retire`")
    ada.clock.advance(CLOCK_AHEAD_MS)
    assert refused(ada).code is Code.LIMIT
    ada.clock.advance(1)
    assert take(ada) == Token(ahead + 1, ada.replica.id)


def test_the_refusal_names_who_claimed_out_of_turn_and_not_who_went_on_from_there() -> None:
    ada, thief = third_epoch()
    wrote(thief, thief.clock.now_ms())
    exchange(ada, thief)
    ada.clock.advance(1)
    last = take(ada)
    assert last.epoch == ada.clock.now_ms()
    do(ada, lambda unit: release(unit, NAME, last.epoch, "ada"))
    error = refused(ada)
    assert key_text(thief.replica.id) in error.hint
    assert key_text(ada.replica.id) not in error.hint
