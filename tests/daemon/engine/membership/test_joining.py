"""Joining with a ticket: nothing is written before the charter has come, and a newcomer counts as the charter says."""

import pytest
from msgspec.structs import replace

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code
from moot_protocol.exchange.messages import Batches, decode_message
from moot_protocol.log.batch import batch_link
from moot_protocol.merge.kinds import Role
from moot_protocol.sealing.frame import epoch_id
from moot_testkit.bytes.feeds import seed
from moot_testkit.refusals import refusal
from moot_testkit.towns.carrying import (
    ROOM,
    create,
    founder,
    invited,
    joined,
    log_of,
    newcomer,
    plane_of,
    send,
    take_message,
)
from moot_testkit.towns.federating import copy_of, federation, machine_ticket, meet, town_key, town_ticket
from moot_testkit.towns.town import Member
from mootd.engine.exchange.filling import portions
from mootd.engine.membership.charter_writing import OPERATIONAL_ONLY, found_town
from mootd.engine.membership.epochs import begin_epoch
from mootd.engine.membership.inviting import close_invite
from mootd.engine.membership.joining import advance, is_refused, is_waiting, join, joining_key, present_epoch
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.membership.rotating import rotate_town
from mootd.engine.stored.log_snapshot import LogSnapshot


def waits(member: Member, plane: int) -> bool:
    with member.replica.read() as reader:
        return is_waiting(reader, plane)


def feed(member: Member, plane: int, author: bytes) -> tuple[int, str, str]:
    """How many events of an author count, its role, and why no more does."""
    with member.replica.read() as reader:
        source = LogSnapshot(reader)
        row = source.feed(source.feed_number(plane, author))
    return row.n, row.role, row.reason


def move_on(member: Member, plane: bytes) -> None:
    advance(member.replica, plane_of(member, plane).number, PlaneKeys(member.keys, plane), member.commit)


# -- Joining -----------------------------------------------------------------------------------------------------
def test_a_machine_without_a_town_joins_with_a_ticket() -> None:
    ticket = invited(founder()).ticket
    member = newcomer()
    made = member.commit(lambda unit: join(unit, ticket))
    assert made.created
    assert (made.plane.id, made.plane.kind, made.plane.name) == (ticket.plane, "ledger", "ledger")
    assert made.plane.town == ticket.town
    member.restart()
    assert member.replica.planes[made.plane.number] == made.plane
    assert waits(member, made.plane.number)
    keys = PlaneKeys(member.keys, ticket.plane)
    assert keys.topic_key == ticket.topic_key
    assert keys.key_of(epoch_id(ticket.plane_key)) == ticket.plane_key


def test_planes_that_were_there_stay_and_the_new_one_gets_a_name_that_is_free() -> None:
    member = founder("other town")
    create(member, "of the other town")
    before = dict(member.replica.planes)
    digest = log_of(member).position()
    ticket = invited(founder()).ticket
    plane = joined(member, ticket)
    assert plane.name == f"ledger-{ticket.plane.hex()[:4]}"
    assert {number: row for number, row in member.replica.planes.items() if number != plane.number} == before
    assert log_of(member).position() == digest
    create(member, "still possible")


def test_a_plane_of_another_name_keeps_it() -> None:
    member = newcomer()
    member.commit(lambda unit: found_town(unit, SeedSigner(seed("recovery")).public, OPERATIONAL_ONLY))
    assert joined(member, replace(invited(founder()).ticket, plane_name="works")).name == "works"


def test_joining_twice_is_harmless() -> None:
    one, two = founder(), newcomer()
    ticket = invited(one).ticket
    plane = joined(two, ticket)
    again = two.commit(lambda unit: join(unit, ticket))
    assert (again.plane, again.created) == (plane, False)
    send(one, two)
    create(two)
    before = log_of(two, plane).position()
    again = two.commit(lambda unit: join(unit, ticket))
    assert (again.plane, again.created) == (plane, False)
    assert not waits(two, plane.number)
    send(one, two)
    assert log_of(two, plane).position() == before


def test_joining_the_plane_of_one_s_own_town_changes_nothing() -> None:
    member = founder()
    ticket = invited(member).ticket
    again = member.commit(lambda unit: join(unit, ticket))
    assert (again.plane, again.created) == (member.ledger, False)
    create(member)


def test_while_it_waits_a_newer_ticket_takes_the_place_of_the_older() -> None:
    one, two = founder(), newcomer()
    old, new = invited(one), invited(one)
    plane = joined(two, old.ticket)
    one.commit(lambda unit: close_invite(unit, unit.replica.ledger, old.key, []))
    assert not two.commit(lambda unit: join(unit, new.ticket)).created
    send(one, two)
    send(two, one, plane.id)
    assert feed(one, one.ledger.number, two.id) == (1, Role.WRITER, "")


def test_a_ticket_with_another_topic_key_is_refused_for_a_plane_that_is_known() -> None:
    two = newcomer()
    ticket = invited(founder()).ticket
    joined(two, ticket)
    forged = replace(ticket, topic_key=seed("another topic"))
    assert refusal(lambda: joined(two, forged)).code is Code.EXISTS
    assert PlaneKeys(two.keys, ticket.plane).topic_key == ticket.topic_key


def test_a_join_that_is_taken_back_leaves_no_plane() -> None:
    member = newcomer()
    ticket = invited(founder()).ticket
    member.commit(lambda unit: unit.try_out(lambda unit: join(unit, ticket)))
    assert not member.replica.is_founded
    assert joined(member, ticket).number == 1


# -- Waiting -----------------------------------------------------------------------------------------------------
def test_before_the_charter_has_come_writes_are_refused_in_words() -> None:
    member = newcomer()
    plane = joined(member, invited(founder()).ticket)
    for _ in range(2):
        refused = refusal(lambda: create(member, plane=plane.name))
        assert refused.code is Code.NOT_READY
        assert refused.retryable
        member.restart()
    assert log_of(member, plane).position().frontier == ()
    move_on(member, plane.id)
    assert waits(member, plane.number)


def test_once_the_charter_has_come_the_newcomer_enters_and_what_it_writes_counts_with_the_inviter() -> None:
    one, two = founder(), newcomer()
    create(one, "from the first")
    made = invited(one)
    plane = joined(two, made.ticket)
    two.restart()
    send(one, two)
    assert not waits(two, plane.number)
    assert feed(two, plane.number, two.id) == (1, Role.WRITER, "")
    create(two, "from the second")
    send(two, one, plane.id)
    assert feed(one, one.ledger.number, two.id) == feed(two, plane.number, two.id)
    assert feed(one, one.ledger.number, two.id)[0] > 1
    send(one, two)
    assert log_of(one).position() == log_of(two, plane).position()


def test_a_charter_that_does_not_name_the_invite_yet_lets_nobody_in() -> None:
    one, two = founder(), newcomer()
    first = log_of(one)
    made = invited(one)
    plane = joined(two, made.ticket)
    whole = [decode_message(each.message) for each in portions(first, {}, ROOM)]
    batches = [batch for each in whole if isinstance(each, Batches) for batch in each.batches]
    message = next(each for each in whole if isinstance(each, Batches))
    charter = next(batch for batch in batches if batch_link(batch).author == made.ticket.town)
    take_message(two, replace(message, batches=(charter,)), plane)
    move_on(two, plane.id)
    assert waits(two, plane.number)
    refused = refusal(lambda: create(two, plane=plane.name))
    assert (refused.code, refused.retryable) == (Code.NOT_READY, True)
    send(one, two)
    assert not waits(two, plane.number)
    create(two, plane=plane.name)


def test_a_newcomer_s_role_is_what_the_charter_says_from_the_beginning() -> None:
    one, two = founder(), newcomer()
    plane = joined(two, invited(one, Role.READER).ticket)
    send(one, two)
    assert feed(two, plane.number, two.id)[:2] == (1, Role.READER)
    assert refusal(lambda: create(two, plane=plane.name)).code is Code.DENIED


def test_whoever_comes_after_the_close_is_told_at_once() -> None:
    one, two = founder(), newcomer()
    made = invited(one)
    plane = joined(two, made.ticket)
    one.commit(lambda unit: close_invite(unit, unit.replica.ledger, made.key, None))
    send(one, two)
    assert feed(two, plane.number, two.id)[0] == 0
    assert refusal(lambda: create(two, plane=plane.name)).code is Code.DENIED
    send(two, one, plane.id)
    assert (one.ledger.number, two.id) not in one.replica.feed_numbers


def test_a_replica_whose_feed_came_back_from_a_remote_goes_on_with_it() -> None:
    one, two = founder(), newcomer()
    made = invited(one)
    plane = joined(two, made.ticket)
    send(one, two)
    create(two)
    send(two, one, plane.id)
    lost = Member("newcomer", 2)
    again = joined(lost, made.ticket)
    send(one, lost)
    assert feed(lost, again.number, lost.id) == feed(two, plane.number, two.id)
    assert not waits(lost, again.number)


def refused(member: Member, plane: bytes) -> bool:
    with member.replica.read() as reader:
        return is_refused(LogSnapshot(reader), plane_of(member, plane))


@pytest.mark.parametrize("is_counted", [True, False])
def test_a_machine_is_refused_while_it_waits_only_where_its_invite_was_closed_without_it(*, is_counted: bool) -> None:
    one, two = founder(), newcomer()
    made = invited(one)
    plane = joined(two, made.ticket).id
    before = copy_of(two)
    send(one, two)
    send(two, one, plane)
    one.commit(lambda unit: close_invite(unit, unit.replica.ledger, made.key, [two.id] if is_counted else []))
    assert not refused(before, plane)
    before.take(*one.batches(made.ticket.town))
    assert waits(before, plane_of(before, plane).number)
    assert refused(before, plane) is not is_counted
    move_on(before, plane)
    assert not waits(before, plane_of(before, plane).number)


def test_a_town_enters_with_an_invite_that_was_closed_with_it() -> None:
    one, two = founder("one"), founder("two")
    plane = one.ledger.id
    joined(two, town_ticket(one, plane).ticket)
    before = copy_of(two)  # a copy of its data from before it entered, put back
    meet(plane, one, two)
    before.take(*one.batches(one.ledger.town))
    assert waits(before, plane_of(before, plane).number)
    assert not refused(before, plane)
    move_on(before, plane)
    assert not waits(before, plane_of(before, plane).number)
    assert feed(before, plane_of(before, plane).number, town_key(two))[0]


# -- Keys --------------------------------------------------------------------------------------------------------
def test_what_a_newcomer_asks_is_sealed_under_its_ticket_s_key_until_it_has_entered() -> None:
    one, two = founder(), newcomer()
    ticket = invited(one).ticket
    plane = joined(two, ticket)
    keys = PlaneKeys(two.keys, plane.id)
    assert joining_key(two.replica, plane.number, keys) == ticket.plane_key
    assert present_epoch(two.replica, plane) is None
    send(one, two)
    assert joining_key(two.replica, plane.number, keys) is None
    assert present_epoch(two.replica, plane) == epoch_id(ticket.plane_key)


def test_nothing_is_sealed_under_an_epoch_that_no_accepted_event_confirms() -> None:
    one, two = founder(), newcomer()
    plane = joined(two, invited(one).ticket)
    send(one, two)
    send(two, one, plane.id)
    old = present_epoch(one.replica, one.ledger)
    new = one.commit(lambda unit: begin_epoch(unit, unit.replica.ledger, PlaneKeys(one.keys, plane.id)))
    key = PlaneKeys(one.keys, plane.id).key_of(new)
    assert key is not None
    PlaneKeys(two.keys, plane.id).keep(key)
    assert present_epoch(two.replica, plane) == old
    send(one, two)
    assert present_epoch(two.replica, plane) == new


def test_whoever_joins_late_can_open_what_was_sealed_before() -> None:
    one, two = founder(), newcomer()
    keys = PlaneKeys(one.keys, one.ledger.id)
    first = epoch_id(invited(one).ticket.plane_key)
    for _ in range(2):
        one.commit(lambda unit: begin_epoch(unit, unit.replica.ledger, keys))
    joined(two, invited(one).ticket)
    send(one, two)
    assert PlaneKeys(two.keys, one.ledger.id).key_of(first) == keys.key_of(first) is not None


def test_a_town_whose_invite_came_before_its_ticket_enters_at_once() -> None:
    plane, (host, guest) = federation(Role.WRITER)
    guest.commit(rotate_town)
    ticket = town_ticket(host, plane).ticket
    meet(plane, host, guest)
    made = guest.commit(lambda unit: join(unit, ticket))
    assert (made.created, made.is_again) == (False, True)
    assert not waits(guest, made.plane.number)
    assert feed(guest, made.plane.number, made.plane.town)[0]


def test_a_town_that_is_not_in_yet_invites_nobody() -> None:
    plane, (host, guest) = federation(Role.WRITER)
    guest.commit(rotate_town)
    ticket = town_ticket(host, plane).ticket
    guest.commit(lambda unit: join(unit, ticket))
    refused = refusal(lambda: machine_ticket(guest, plane))
    assert (refused.code, refused.retryable) == (Code.NOT_READY, True)
