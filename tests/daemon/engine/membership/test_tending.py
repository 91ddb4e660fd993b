"""What an admin's machine sees to by itself: who came is admitted, and epochs are begun by one, not against others."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from moot_protocol.merge.kinds import Role
from moot_protocol.trust.charter_reading import Epoch
from moot_testkit.towns.carrying import founder, joined, plane_of
from moot_testkit.towns.federating import (
    begin,
    bring,
    epochs,
    federation,
    invites,
    machine,
    machine_ticket,
    meet,
    role,
    town_key,
    town_ticket,
    towns,
    write,
)
from moot_testkit.towns.town import Member
from mootd.engine.membership import epochs as membership_epochs
from mootd.engine.membership.inviting import close_invite
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.membership.removing import retire
from mootd.engine.membership.tending import PAUSE_MS, guests, needs_epoch, tend
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.unit import Unit

R = TypeVar("R")


def look(member: Member, plane: bytes) -> None:
    row = plane_of(member, plane)
    tend(member.replica, row.number, PlaneKeys(member.replica.keys, plane), member.commit)


def live(member: Member, plane: bytes) -> list[Epoch]:
    return list(epochs(member, plane).live)


def due(member: Member, plane: bytes) -> bool:
    with member.replica.read() as reader:
        return needs_epoch(LogSnapshot(reader), plane_of(member, plane), member.clock.now_ms())


# -- Towns that came ---------------------------------------------------------------------------------------------
def test_a_town_that_came_is_admitted_as_what_the_invite_was_made_for_and_the_invite_closed() -> None:
    for wanted in (Role.ADMIN, Role.WRITER, Role.READER):
        one, two = founder("one"), founder("two")
        plane, made = one.ledger.id, town_ticket(one, one.ledger.id, wanted)
        assert invites(one, plane)[made.key].invite.role == min(wanted, Role.WRITER, key=lambda each: each.rank)
        joined(two, made.ticket)
        bring(one, two, plane)
        assert role(two, plane, town_key(two)) != Role.ADMIN  # until the inviting machine has seen it
        bring(two, one, plane)
        assert invites(one, plane)[made.key].counting == frozenset({town_key(two)})
        bring(one, two, plane)
        for member in (one, two):
            standing = towns(member, plane)[town_key(two)]
            assert (standing.role, standing.depth, standing.admitter) == (wanted, 2, town_key(one))


def test_what_the_invite_was_made_for_survives_a_restart() -> None:
    one, two = founder("one"), founder("two")
    plane, made = one.ledger.id, town_ticket(one, one.ledger.id, Role.ADMIN)
    joined(two, made.ticket)
    one.restart()
    meet(plane, one, two)
    assert role(one, plane, town_key(two)) == Role.ADMIN


def test_of_several_towns_that_came_with_one_ticket_people_decide() -> None:
    one, two, three = founder("one"), founder("two"), founder("three")
    plane, made = one.ledger.id, town_ticket(one, one.ledger.id, Role.ADMIN)
    for each in (two, three):
        joined(each, made.ticket)
        bring(one, each, plane)
    bring(three, two, plane)
    bring(two, one, plane)  # brings both at once
    assert invites(one, plane)[made.key].counting is None
    assert {role(one, plane, town_key(each)) for each in (two, three)} == {Role.WRITER}
    one.commit(lambda unit: close_invite(unit, one.ledger, made.key, [town_key(three)]))
    assert role(one, plane, town_key(two)) == ""
    assert role(one, plane, town_key(three)) == Role.WRITER
    look(one, plane)
    with one.replica.read() as reader:
        assert guests(LogSnapshot(reader), one.ledger) == []


def test_a_ticket_that_was_revoked_lets_nobody_in() -> None:
    one, two = founder("one"), founder("two")
    plane, made = one.ledger.id, town_ticket(one, one.ledger.id, Role.ADMIN)
    joined(two, made.ticket)
    one.commit(lambda unit: close_invite(unit, one.ledger, made.key, []))
    meet(plane, one, two)
    assert role(one, plane, town_key(two)) == ""
    assert two.replica.is_waiting(plane_of(two, plane).number)


# -- Epochs ------------------------------------------------------------------------------------------------------
def test_of_two_epochs_begun_at_once_the_shallowest_admin_makes_one_that_holds_both() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    keys = {begin(one, plane), begin(two, plane)}
    bring(one, two, plane)
    assert {epoch.id for epoch in live(two, plane)} == keys  # the deeper one leaves it to the other
    bring(two, one, plane)
    assert len(live(one, plane)) == 1
    assert live(one, plane)[0].id not in keys
    meet(plane, one, two)
    assert live(one, plane) == live(two, plane)
    for member in (one, two):
        assert all(PlaneKeys(member.replica.keys, plane).key_of(key) for key in keys)
    newcomer = machine(one, plane)
    assert all(PlaneKeys(newcomer.replica.keys, plane).key_of(key) for key in keys), "the new one holds both"


def test_where_the_shallowest_admin_is_away_the_next_one_does_it_after_a_pause() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    begin(one, plane)
    begin(two, plane)
    bring(one, two, plane)
    two.clock.advance(PAUSE_MS)
    look(two, plane)
    assert len(live(two, plane)) == 1


def test_newcomers_of_a_minute_get_one_epoch_together() -> None:
    plane, (one, two) = federation(Role.WRITER)
    began = len(epochs(one, plane).written)
    machines = [machine(two, plane, one, name=f"machine {number}") for number in range(2)]
    assert len(epochs(one, plane).written) == began
    one.clock.advance(PAUSE_MS)
    look(one, plane)
    assert len(epochs(one, plane).written) == began + 1
    assert {each.id for each in machines} <= live(one, plane)[-1].value.wraps.keys()
    look(one, plane)
    one.clock.advance(PAUSE_MS)
    look(one, plane)
    assert len(epochs(one, plane).written) == began + 1


def test_a_ticket_from_before_an_epoch_still_leads_in_and_opens_it() -> None:
    plane, (one, two) = federation(Role.WRITER)
    made = machine_ticket(two, plane)
    meet(plane, one, two)
    begin(one, plane)
    late = Member("late", 9)
    joined(late, made.ticket)
    bring(one, late, plane)
    bring(two, late, plane)
    newest = live(one, plane)[-1]
    assert late.id not in newest.value.wraps
    assert PlaneKeys(late.replica.keys, plane).key_of(newest.id) is not None
    write(late, plane)


def test_a_writer_s_machine_leaves_all_of_it_to_admins() -> None:
    plane, (_, two) = federation(Role.WRITER)
    two.clock.advance(100 * PAUSE_MS)
    machine(two, plane)
    assert not due(two, plane)


def test_nothing_is_committed_where_nothing_is_to_be_done() -> None:
    plane, (one, _) = federation(Role.WRITER)

    def refuse(work: Callable[[Unit], R], /) -> R:
        raise AssertionError(work)

    one.clock.advance(100 * PAUSE_MS)
    look(one, plane)
    one.clock.advance(100 * PAUSE_MS)
    row = plane_of(one, plane)
    tend(one.replica, row.number, PlaneKeys(one.replica.keys, plane), refuse)


def test_a_clock_that_stood_far_ahead_holds_nothing_up() -> None:
    plane, (one, two) = federation(Role.WRITER)
    one.clock.advance(10 * PAUSE_MS)
    begin(one, plane)
    machine(two, plane, one)
    one.clock.set_wall(one.clock.now_ms() - 9 * PAUSE_MS)
    assert due(one, plane)


def test_a_machine_that_the_epoch_s_own_town_invited_after_it_needs_no_other() -> None:
    plane, (one, two) = federation(Role.WRITER)
    machine(one, plane, two)
    one.clock.advance(PAUSE_MS)
    assert not due(one, plane)
    begin(one, plane)
    machine(one, plane, two, name="another")
    one.clock.advance(PAUSE_MS)
    assert not due(one, plane)


def test_a_machine_that_was_kept_before_it_was_known_gets_the_epoch_that_was_begun_meanwhile() -> None:
    plane, (one, _) = federation(Role.WRITER)
    made = machine_ticket(one, plane)
    late = Member("late", 9)
    joined(late, made.ticket)
    bring(one, late, plane)
    one.commit(lambda unit: close_invite(unit, plane_of(one, plane), made.key, [late.id]))
    begin(one, plane)
    bring(late, one, plane)
    one.clock.advance(PAUSE_MS)
    look(one, plane)
    assert late.id in live(one, plane)[-1].value.wraps


def test_where_too_many_count_for_an_epoch_it_is_left_and_begun_once_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    plane, (one, two) = federation(Role.WRITER)
    laptop = machine(one, plane, two)
    monkeypatch.setattr(membership_epochs, "EPOCH_RECIPIENTS", 1)
    row = plane_of(one, plane)
    assert one.commit(lambda unit: retire(unit, row, laptop.id)).epoch == b""
    one.clock.advance(PAUSE_MS)
    assert not due(one, plane)
    look(one, plane)  # refuses nothing: charters go on being exchanged
    monkeypatch.undo()
    one.clock.advance(PAUSE_MS)
    assert due(one, plane)
    look(one, plane)
    assert laptop.id not in live(one, plane)[-1].value.wraps
    assert not due(one, plane)
