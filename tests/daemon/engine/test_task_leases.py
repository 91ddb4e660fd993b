"""Leases over the real engine: taken, prolonged, given back, taken over, and told to who lost them."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code, RefusedError
from moot_protocol.exchange.task_lease import Standing, Token, passes
from moot_protocol.ids import key_text
from moot_protocol.limits import LEASE_LEAST_MS, LEASE_MARGIN_MS, LEASE_MOST_MS, LEASE_MS
from moot_protocol.merge.kinds import LEASE, Role
from moot_testkit.bytes.feeds import seed
from moot_testkit.towns.carrying import joined, plane_of
from moot_testkit.towns.engine import START_MS, Desk, exchange, town_of
from moot_testkit.towns.federating import copy_of, federation, machine, machine_ticket, meet, town_key, write
from moot_testkit.towns.town import Member
from mootd.edges.clock import ManualClock
from mootd.edges.entropy import SeededEntropy
from mootd.engine import task_leases
from mootd.engine.editor import Editor
from mootd.engine.membership.removing import retire
from mootd.engine.membership.rotating import rotate_town
from mootd.engine.recovery import recovering
from mootd.engine.recovery.recovering import recover
from mootd.engine.recovery.salvaging import salvage
from mootd.engine.stored import layout
from mootd.engine.stored.log import FeedRow
from mootd.engine.task_leases import Held, LeaseView, acquire, fenced, release, renew, view_in
from mootd.engine.unit import Unit
from mootd.store.port import Table

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
        return fenced(reader, view, {desk.replica.id})


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
        task_leases.document(held, {ada.replica.id}, now)["state"]
        for now in (0, end - LEASE_MARGIN_MS, end + LEASE_MARGIN_MS)
    ]
    assert states == ["held", "ending", "free"]
    do(ada, lambda unit: release(unit, NAME, 1, "ada"))
    assert task_leases.document(Held(NAME, standing(ada)), (), end)["state"] == "released"
    assert task_leases.document(Held(NAME, None), (), 0)["state"] == "free"


# -- Where the town has another key ------------------------------------------------------------------------------
def took(member: Member, *, force: bool = False) -> Token:
    held = member.commit(lambda unit: acquire(unit, NAME, "ada", LEASE_MS, force=force))
    assert held.standing is not None
    return held.standing.token


def gave_back(member: Member, epoch: int) -> None:
    member.commit(lambda unit: release(unit, NAME, epoch, "ada"))


def seen(member: Member) -> Standing:
    (held,) = member.commit(lambda unit: list(view_in(unit).all()))
    assert held.name == NAME
    assert held.standing is not None
    return held.standing


def is_here(member: Member) -> bool:
    def told(unit: Unit) -> bool:
        held = Held(NAME, view_in(unit).standing(NAME))
        return bool(task_leases.document(held, task_leases.OwnKeys(unit, unit.replica), unit.now_ms)["is_here"])

    return member.commit(told)


def losses(member: Member) -> dict[str, int]:
    return member.commit(lambda unit: fenced(unit.transaction, view_in(unit), task_leases.OwnKeys(unit, unit.replica)))


def recovers(member: Member, plane: bytes) -> None:
    paper = SeedSigner(seed("town 0 recovery"))
    member.commit(lambda unit: recover(unit, plane_of(member, plane), paper))


def test_epochs_go_on_when_the_town_takes_another_key() -> None:
    _, (ada,) = federation()
    for epoch in (1, 2, 3):
        assert took(ada).epoch == epoch
        gave_back(ada, epoch)
    ada.commit(rotate_town)
    assert (seen(ada).token.epoch, seen(ada).until_ms) == (3, 0)
    assert took(ada) == Token(4, ada.id)
    ada.commit(rotate_town)
    gave_back(ada, 4)
    assert took(ada) == Token(6, ada.id)  # under the fifth it gave back what it held before


def test_a_lease_that_another_machine_holds_under_the_town_s_former_key_stays_held_until_it_ends() -> None:
    plane, (ada,) = federation()
    bob = machine(ada, plane)
    before = took(bob)
    meet(plane, ada, bob)
    ada.commit(rotate_town)
    meet(plane, ada, bob)
    assert code(lambda: took(ada)) is Code.CONFLICT
    assert seen(ada).token == seen(bob).token == before
    for each in (ada, bob):
        each.clock.advance(LEASE_MS + LEASE_MARGIN_MS)
    assert took(ada) == Token(2, ada.id)
    meet(plane, ada, bob)
    assert losses(bob) == {NAME: 1}  # though it still waits to be let in under the new key
    joined(bob, machine_ticket(ada, plane).ticket)
    meet(plane, ada, bob)
    assert took(bob, force=True) == Token(3, bob.id)


def test_what_this_machine_held_under_its_own_former_key_it_takes_anew_at_once_or_gives_back() -> None:
    _, (ada,) = federation()
    took(ada)
    ada.commit(rotate_town)
    assert is_here(ada)
    assert losses(ada) == {}
    assert code(lambda: ada.commit(lambda unit: renew(unit, NAME, 1, "ada", LEASE_MS))) is Code.LOST_RACE
    assert took(ada) == Token(2, ada.id)
    ada.commit(rotate_town)
    gave_back(ada, 2)
    assert (seen(ada).token, seen(ada).until_ms) == (Token(3, ada.id), 0)


def test_a_recovered_town_s_epochs_go_on_and_what_a_thief_holds_it_holds_until_that_ends_at_most() -> None:
    plane, (ada,) = federation()
    bob = machine(
        ada, plane
    )  # the town's key isn't here: it takes the founder's place under a key that nobody admitted
    for epoch in (1, 2):
        took(ada)
        gave_back(ada, epoch)
    assert took(ada).epoch == 3
    meet(plane, ada, bob)
    recovers(bob, plane)
    assert seen(bob).token.epoch == 3
    assert code(lambda: took(bob)) is Code.CONFLICT
    for each in (ada, bob):
        each.clock.advance(LEASE_MS + LEASE_MARGIN_MS)
    assert took(bob) == Token(4, bob.id)
    meet(plane, ada, bob)
    assert seen(ada).token == seen(bob).token


def test_the_epochs_of_another_town_go_on_that_a_release_recovered_which_did_not_say_in_whose_place_that_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plane, (ada, bea) = federation(Role.ADMIN)
    further = machine(bea, plane, ada)
    assert town_key(ada) < town_key(bea)  # so that the founder's key stands first
    took(ada)
    gave_back(ada, 1)  # fewer under that one
    meet(plane, ada, bea, further)
    for epoch in (1, 2):
        took(further)
        gave_back(further, epoch)
    monkeypatch.setattr(recovering, "_in_order", lambda unit, plane, removed: sorted(removed))
    recovers(further, plane)
    assert took(further) == Token(3, further.id)


def test_what_a_thief_claims_once_it_is_shut_out_counts_nowhere() -> None:
    plane, (ada,) = federation()
    thief = copy_of(ada)
    recovers(ada, plane)
    assert took(thief) == Token(1, thief.id)
    meet(plane, ada, thief)
    assert took(ada) == Token(1, ada.id)


def test_a_machine_and_its_copy_do_not_both_hold_what_their_key_held() -> None:
    plane, (ada,) = federation()
    took(ada)
    copy = copy_of(ada)
    copy.commit(lambda unit: salvage(unit, is_copy=True))
    meet(plane, ada, copy)
    assert (is_here(ada), is_here(copy)) == (True, False)
    assert code(lambda: took(copy)) is Code.CONFLICT


def clone_of(member: Member) -> Member:
    """A copy of a machine, which makes keys of its own from now on."""
    made = copy_of(member)
    made.keys._entropy = SeededEntropy(b"of the copy")
    return made


def test_once_the_original_has_another_key_what_it_held_is_its_own_alone_and_not_its_copy_s() -> None:
    plane, (ada,) = federation()
    took(ada)
    copy = clone_of(ada)
    copy.commit(lambda unit: salvage(unit, is_copy=True))
    meet(plane, ada, copy)
    ada.commit(rotate_town)
    meet(plane, ada, copy)
    assert (is_here(ada), is_here(copy)) == (True, False)
    assert code(lambda: took(copy)) is Code.CONFLICT
    earlier = clone_of(copy)  # by a release that noted of a copy only that the town's key isn't its own
    earlier.commit(lambda unit: unit.transaction.delete(Table.META, layout.SHARED_KEYS))
    assert not is_here(earlier)
    assert took(ada) == Token(2, ada.id)


def test_nor_is_it_a_copy_s_that_nobody_noticed_before_the_original_had_another_key() -> None:
    plane, (ada,) = federation()
    took(ada)
    clone = clone_of(ada)
    ada.commit(rotate_town)
    meet(plane, ada, clone)
    clone.commit(salvage)
    assert (is_here(ada), is_here(clone)) == (True, False)


def test_a_further_machine_s_copy_does_not_hold_what_that_takes_anew_once_it_has_joined_again() -> None:
    plane, (ada,) = federation()
    bob = machine(ada, plane)
    took(bob)
    copy = clone_of(bob)
    copy.commit(lambda unit: salvage(unit, is_copy=True))
    joined(copy, machine_ticket(ada, plane).ticket)
    meet(plane, ada, bob, copy)
    ada.commit(rotate_town)
    meet(plane, ada, bob, copy)
    for each in (bob, copy):
        joined(each, machine_ticket(ada, plane).ticket)
    meet(plane, ada, bob, copy)
    assert (is_here(bob), is_here(copy)) == (True, False)
    assert code(lambda: took(copy)) is Code.CONFLICT
    assert took(bob) == Token(2, bob.id)


def test_what_a_copy_took_after_it_was_made_a_machine_of_its_own_goes_on_under_its_next_key() -> None:
    plane, (ada,) = federation()
    bob = machine(ada, plane)
    copy = clone_of(bob)
    copy.commit(lambda unit: salvage(unit, is_copy=True))
    joined(copy, machine_ticket(ada, plane).ticket)
    meet(plane, ada, bob, copy)
    assert took(copy) == Token(1, copy.id)
    meet(plane, ada, bob, copy)
    ada.commit(lambda unit: retire(unit, plane_of(ada, plane), copy.id))
    meet(plane, ada, bob, copy)
    joined(copy, machine_ticket(ada, plane).ticket)
    meet(plane, ada, bob, copy)
    assert is_here(copy)


def test_towns_that_share_a_ledger_go_on_with_leases_of_their_own() -> None:
    plane, (ada, bea) = federation(Role.ADMIN)
    took(ada)
    gave_back(ada, 1)
    ada.commit(rotate_town)
    meet(plane, ada, bea)

    def there(unit: Unit) -> Standing | None:
        row = plane_of(bea, plane)
        assert row.town == town_key(bea)
        return LeaseView(unit.entities(), row, unit.feed).standing(NAME)

    assert bea.commit(there) is None


def test_what_a_key_with_two_histories_held_neither_of_its_two_machines_holds() -> None:
    plane, (ada,) = federation()
    further = machine(ada, plane)
    took(further)
    meet(plane, ada, further)
    clone = copy_of(further)
    for each in (further, clone):
        write(each, plane, each.name)
    meet(plane, ada, further, clone)
    for each in (further, clone):
        each.commit(salvage)
    meet(plane, ada, further, clone)
    assert (is_here(further), is_here(clone)) == (False, False)
    assert code(lambda: took(further)) is Code.CONFLICT
    for each in (further, clone):  # salvaged by a release that noted nothing of it
        each.commit(lambda unit: unit.transaction.delete(Table.META, layout.SHARED_KEYS))
    assert (is_here(further), is_here(clone)) == (False, False)
