"""Joining again where nothing more of a feed counts: a new key enters, what was written stays, no key goes in vain."""

import pytest
from msgspec.structs import replace

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.acceptance import Reason
from moot_protocol.trust.ticket import Ticket
from moot_testkit.bytes.feeds import seed
from moot_testkit.refusals import refusal
from moot_testkit.towns.carrying import founder, joined, newcomer, plane_of
from moot_testkit.towns.federating import (
    bring,
    copy_of,
    federation,
    feed,
    machine,
    machine_ticket,
    meet,
    town_key,
    town_ticket,
    towns,
    write,
)
from moot_testkit.towns.town import Member
from mootd.engine.membership.inviting import close_invite
from mootd.engine.membership.joining import Joined, join
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.membership.rejoining import is_void
from mootd.engine.membership.removing import remove_town, retire
from mootd.engine.membership.rotating import rotate_town
from mootd.engine.recovery.recovering import recover
from mootd.engine.recovery.salvaging import salvage
from mootd.engine.stored.log import FeedRow


def rejoin(member: Member, ticket: Ticket) -> Joined:
    return member.commit(lambda unit: join(unit, ticket))


def two_machines() -> tuple[bytes, Member, Member]:
    """A plane, the machine of its founder, and a further one of the same town."""
    one = founder("one")
    return one.ledger.id, one, machine(one, one.ledger.id)


def end(one: Member, plane: bytes, other: Member) -> None:
    one.commit(lambda unit: retire(unit, plane_of(one, plane), other.id))
    meet(plane, one, other)


def test_a_machine_whose_town_has_a_new_key_joins_anew_under_a_key_of_its_own() -> None:
    plane, one, two = two_machines()
    write(two, plane, "before")
    meet(plane, one, two)
    before, written = two.id, feed(one, plane, two.id).n
    one.commit(rotate_town)
    meet(plane, one, two)
    made = rejoin(two, machine_ticket(one, plane).ticket)
    assert (made.created, made.is_again, list(made.left)) == (False, True, [])
    assert made.new_key is not None
    assert made.new_key.signer.public == two.id != before
    assert made.plane.town == town_key(one)
    two.restart()
    assert refusal(lambda: write(two, plane)).code is Code.NOT_READY
    meet(plane, one, two)
    write(two, plane, "after")
    meet(plane, one, two)
    for member in (one, two):
        row = feed(member, plane, two.id)
        assert (row.n, row.town, row.role, row.ended) == (2, town_key(one), Role.WRITER, False)
        assert (feed(member, plane, before).n, feed(member, plane, before).ended) == (written, True)


def test_what_was_cut_is_salvaged_under_the_new_key() -> None:
    plane, one, two = two_machines()
    write(two, plane, "that nobody has seen")
    one.commit(rotate_town)
    meet(plane, one, two)
    rejoin(two, machine_ticket(one, plane).ticket)
    meet(plane, one, two)
    done = two.commit(salvage)
    assert done.before == done.replica == two.id
    assert {each.plane.id: each.salvaged for each in done.planes}[plane] == 1
    meet(plane, one, two)
    assert feed(one, plane, two.id).n == 2


def test_a_ticket_that_was_used_does_nothing_and_gives_no_further_key() -> None:
    plane, one, two = two_machines()
    one.commit(rotate_town)
    meet(plane, one, two)
    ticket = machine_ticket(one, plane).ticket
    rejoin(two, ticket)
    now = two.id
    assert rejoin(two, ticket).new_key is None
    meet(plane, one, two)
    again = rejoin(two, ticket)
    assert (again.is_again, again.new_key, two.id) == (False, None, now)


def test_a_retired_machine_joins_again_with_a_new_ticket_and_not_with_its_old_one() -> None:
    one, two = founder("one"), newcomer("two")
    plane = one.ledger.id
    old = machine_ticket(one, plane).ticket
    joined(two, old)
    meet(plane, one, two)
    end(one, plane, two)
    before = two.id
    assert refusal(lambda: rejoin(two, old)).code is Code.DENIED
    assert two.id == before
    assert rejoin(two, machine_ticket(one, plane).ticket).new_key is not None
    meet(plane, one, two)
    write(two, plane)
    meet(plane, one, two)
    assert feed(one, plane, two.id).n == 2


def test_a_machine_that_came_after_its_invite_was_closed_gets_in_with_another() -> None:
    one, two = founder("one"), newcomer("two")
    plane = one.ledger.id
    late = machine_ticket(one, plane)
    joined(two, late.ticket)
    one.commit(lambda unit: close_invite(unit, plane_of(one, plane), late.key, []))
    meet(plane, one, two)
    assert refusal(lambda: write(two, plane)).code is Code.DENIED
    assert rejoin(two, machine_ticket(one, plane).ticket).new_key is not None
    meet(plane, one, two)
    write(two, plane)
    meet(plane, one, two)
    assert feed(one, plane, two.id).n == 2


def test_a_ticket_of_the_key_that_was_rotated_away_is_refused() -> None:
    plane, one, two = two_machines()
    old = machine_ticket(one, plane).ticket
    one.commit(rotate_town)
    meet(plane, one, two)
    before = two.id
    refused = refusal(lambda: rejoin(two, old))
    assert (refused.code, two.id) == (Code.DENIED, before)
    assert "new key" in refused.hint


def test_a_machine_that_has_not_heard_of_the_new_key_is_told_to_exchange_first() -> None:
    plane, one, two = two_machines()
    one.commit(rotate_town)
    ticket = machine_ticket(one, plane).ticket
    before = two.id
    refused = refusal(lambda: rejoin(two, ticket))
    assert (refused.code, two.id) == (Code.CONFLICT, before)
    assert "moot sync" in refused.hint
    meet(plane, one, two)
    assert rejoin(two, ticket).new_key is not None


def test_a_machine_that_has_its_new_key_already_from_salvage_joins_with_that() -> None:
    plane, one, two = two_machines()
    one.commit(rotate_town)
    meet(plane, one, two)
    now = two.commit(salvage).replica
    made = rejoin(two, machine_ticket(one, plane).ticket)
    assert (made.new_key, made.plane.town, two.id) == (None, town_key(one), now)
    meet(plane, one, two)
    write(two, plane)
    meet(plane, one, two)
    assert feed(one, plane, now).n == 2


def test_planes_of_other_towns_are_named_which_the_new_key_has_to_be_invited_to() -> None:
    plane, one, two = two_machines()
    three = founder("three")
    elsewhere = three.ledger.id
    joined(two, machine_ticket(three, elsewhere).ticket)
    end(one, plane, two)
    made = rejoin(two, machine_ticket(one, plane).ticket)
    assert [row.id for row in made.left] == [elsewhere]
    meet(plane, one, two)
    meet(elsewhere, three, two)
    write(two, plane)
    assert refusal(lambda: write(two, elsewhere)).code is Code.NOT_READY
    rejoin(two, machine_ticket(three, elsewhere).ticket)
    meet(elsewhere, three, two)
    write(two, elsewhere)


def test_a_town_whose_machine_ended_with_its_old_key_brings_it_in_with_a_ticket_for_the_new_one() -> None:
    plane, (one, two) = federation(Role.WRITER)
    old_town = town_key(two)
    two.commit(rotate_town)
    meet(plane, one, two)
    joined(two, town_ticket(one, plane).ticket)
    meet(plane, one, two)
    one.commit(lambda unit: remove_town(unit, plane_of(one, plane), towns(one, plane)[old_town]))
    meet(plane, one, two)
    assert refusal(lambda: write(two, plane)).code is Code.DENIED
    assert rejoin(two, town_ticket(one, plane).ticket).new_key is not None
    meet(plane, one, two)
    write(two, plane)
    meet(plane, one, two)
    assert feed(one, plane, two.id).n == 2
    assert feed(one, plane, two.id).town == town_key(two)


def test_a_removed_town_needs_a_new_key_before_it_is_let_in_again() -> None:
    plane, (one, two) = federation(Role.WRITER)
    one.commit(lambda unit: remove_town(unit, plane_of(one, plane), towns(one, plane)[town_key(two)]))
    meet(plane, one, two)
    refused = refusal(lambda: rejoin(two, town_ticket(one, plane).ticket))
    assert refused.code is Code.DENIED
    assert "rotate-key" in refused.hint
    two.commit(rotate_town)
    rejoin(two, town_ticket(one, plane).ticket)
    meet(plane, one, two)
    write(two, plane)
    meet(plane, one, two)
    assert feed(one, plane, two.id).n == 2


def test_a_dry_run_gives_no_key_away() -> None:
    plane, one, two = two_machines()
    one.commit(rotate_town)
    meet(plane, one, two)
    ticket, before = machine_ticket(one, plane).ticket, two.id
    two.commit(lambda unit: unit.try_out(lambda unit: join(unit, ticket)))
    assert two.id == before
    assert rejoin(two, ticket).new_key is not None
    meet(plane, one, two)
    assert PlaneKeys(two.replica.keys, plane).has_topic


# -- What never came to count ------------------------------------------------------------------------------------
def used_up() -> tuple[bytes, Member, Member]:
    """A plane, its founder, and a town that came with a ticket which another had used: closed without it."""
    one, two, three = founder("one"), founder("two"), founder("three")
    plane = one.ledger.id
    ticket = town_ticket(one, plane).ticket
    for other in (two, three):
        joined(other, ticket)
        bring(one, other, plane)
    meet(plane, one, two, three)
    return plane, one, three


def test_a_town_whose_invite_was_closed_without_it_needs_a_new_key_and_then_a_ticket_lets_it_in() -> None:
    plane, one, three = used_up()
    assert feed(three, plane, town_key(three)).n == 0
    ticket = town_ticket(one, plane).ticket
    before = three.id
    refused = refusal(lambda: rejoin(three, ticket))
    assert (refused.code, three.id) == (Code.DENIED, before)
    assert "`moot town rotate-key`" in refused.hint
    three.commit(rotate_town)
    assert rejoin(three, ticket).is_again
    meet(plane, one, three)
    write(three, plane)
    meet(plane, one, three)
    assert feed(one, plane, three.id).n == 2


def lost_branch() -> tuple[bytes, Member, Member]:
    """A founder that was restored from a backup and recovered, and a machine that an invite since the backup let in."""
    one = founder("one")
    plane = one.ledger.id
    machine_ticket(one, plane)  # the plane has keys by then
    backup = copy_of(one)
    two = machine(one, plane)
    write(two, plane, "under the invite that is gone")
    machine_ticket(backup, plane)
    backup.commit(lambda unit: recover(unit, backup.ledger, SeedSigner(seed("one recovery"))))
    meet(plane, backup, two)
    return plane, backup, two


def test_a_machine_whose_invite_is_in_a_history_that_does_not_count_joins_under_a_new_key() -> None:
    plane, one, two = lost_branch()
    assert feed(two, plane, two.id).reason == Reason.NO_INVITE
    assert refusal(lambda: write(two, plane)).code is Code.DENIED
    before = two.id
    made = rejoin(two, machine_ticket(one, plane).ticket)
    assert made.new_key is not None
    assert two.id != before
    meet(plane, one, two)
    assert {each.plane.id: each.salvaged for each in two.commit(salvage).planes}[plane] == 1
    meet(plane, one, two)
    assert feed(one, plane, two.id).n == 2


def test_a_removed_town_that_has_salvaged_still_needs_a_new_key_first() -> None:
    plane, (one, two) = federation(Role.WRITER)
    one.commit(lambda unit: remove_town(unit, plane_of(one, plane), towns(one, plane)[town_key(two)]))
    meet(plane, one, two)
    two.commit(salvage)
    assert "rotate-key" in refusal(lambda: rejoin(two, town_ticket(one, plane).ticket)).hint


def test_a_feed_that_came_back_before_what_let_it_in_is_not_given_up() -> None:
    plane, one, two = two_machines()
    write(two, plane)
    again = newcomer("again")
    again.keys = two.keys
    again.restart()
    ticket = machine_ticket(one, plane).ticket
    joined(again, ticket)
    again.take(one.batches(town_key(one))[0], *two.batches(two.id, plane_of(two, plane).number))
    assert feed(again, plane, two.id).reason == Reason.NO_INVITE
    assert rejoin(again, ticket).new_key is None
    meet(plane, two, again)
    write(again, plane, "goes on")
    assert feed(again, plane, two.id).n == 3


@pytest.mark.parametrize("reason", [Reason.NONE, Reason.NO_GENESIS, Reason.NO_OPENING])
def test_nobody_gives_up_a_feed_that_may_count_once_more_of_the_plane_has_come(reason: Reason) -> None:
    held = FeedRow(1, b"a" * 32, is_aside=True)
    assert not is_void(replace(held, reason=reason))
    assert is_void(replace(held, reason=Reason.INVITE_CLOSED))
    assert not is_void(replace(held, reason=Reason.INVITE_CLOSED, is_aside=False))
    assert not is_void(replace(held, reason=Reason.ENDED, n=1))
