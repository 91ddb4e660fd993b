"""What lapses is told until it counts again or is written anew, with why, and what it touched."""

from functools import partial
from typing import Any

import pytest

from moot_protocol.clock import from_ms
from moot_protocol.errors import Code
from moot_protocol.log.event import Draft, Write
from moot_protocol.merge.kinds import Role
from moot_protocol.requests.machine import Status
from moot_testkit.bytes.feeds import FeedWriter, Guest, Town, dot_of, note
from moot_testkit.refusals import refusal_code
from moot_testkit.towns.carrying import founder, joined, newcomer, plane_of
from moot_testkit.towns.engine import Desk
from moot_testkit.towns.federating import (
    bring,
    copy_of,
    federation,
    machine,
    machine_ticket,
    meet,
    town_ticket,
    write,
    write_ahead,
)
from moot_testkit.towns.town import Api, Member, make_town
from mootd.engine.membership.charter_writing import end_replica
from mootd.engine.membership.inviting import close_invite
from mootd.engine.membership.removing import retire
from mootd.engine.recovery.salvaging import salvage
from mootd.engine.unit import Unit
from mootd.engine.versions import tell_version
from mootd.service.machine.lapses import NAMED, lapse_alarms


def alarms(desk: Desk | Member) -> list[dict[str, Any]]:
    with desk.replica.read() as reader:
        return list(lapse_alarms(desk.replica, reader))


def messages(desk: Desk) -> list[str]:
    return [alarm["message"] for alarm in alarms(desk)]


def below() -> tuple[Town, Guest, Guest, FeedWriter, Desk]:
    """A founder, an admin that it let in, a town that this one let in, its replica, and a desk that holds all."""
    town = Town()
    middle, leaf = town.guest("middle"), town.guest("leaf")
    town.admit(middle)
    middle.admit(leaf)
    one = leaf.replica("one", Role.WRITER, note(entity="mt-1"), note(entity="mt-2"))
    desk = Desk().watch(town)
    for feed in (town.charter, middle.charter, leaf.charter, one):
        desk.receive(feed.batches)
    return town, middle, leaf, one, desk


def pinned_at_its_opening(town: Town, middle: Guest, desk: Desk) -> None:
    desk.receive([town.end(middle.key.public, 1, middle.charter.batches[0].id, of=middle.key.public)])


def test_where_nothing_lapsed_nothing_is_told() -> None:
    *_, desk = below()
    assert alarms(desk) == []


def test_what_lapses_when_an_admission_falls_is_told() -> None:
    town, middle, _, _, desk = below()
    pinned_at_its_opening(town, middle, desk)
    ended, lapsed = sorted(alarms(desk), key=lambda alarm: alarm["message"])
    assert ended["message"].startswith(
        "1 event of 1 feed on plane ledger counted here once and does not now: they were "
    )
    assert lapsed["message"].startswith(
        "4 events of 2 feeds on plane ledger counted here once and do not now: their town"
    )
    assert "mt-1, mt-2" in lapsed["message"]
    assert (lapsed["code"], lapsed["severity"]) == ("lapsed", "warning")
    assert "`moot town list`" in lapsed["hint"]


def test_once_a_shallower_town_lets_it_in_again_it_is_told_no_more() -> None:
    town, middle, leaf, _, desk = below()
    pinned_at_its_opening(town, middle, desk)
    desk.receive([town.admit(leaf)])
    assert [message[:7] for message in messages(desk)] == ["1 event"], "the admin's own is gone for good"


def test_after_a_restart_it_is_still_told() -> None:
    town, middle, _, _, desk = below()
    pinned_at_its_opening(town, middle, desk)
    before = alarms(desk)
    desk.reopen()
    assert alarms(desk) == before


def test_cuts_of_one_feed_are_told_together_and_only_some_of_what_they_touched_by_name() -> None:
    town = Town()
    one = town.replica("one")
    for number in range(NAMED + 2):
        one.write(note(entity=f"mt-{number}"))
    desk = Desk().watch(town)
    desk.receive([*town.charter.batches, *one.batches])
    for batch in (one.batches[-2], one.batches[0]):
        desk.receive([town.end(one.author, batch.header.last, batch.id)])
    (told,) = messages(desk)
    assert told.startswith(f"{NAMED + 2} events of 1 feed")
    assert told.endswith("and 2 more")


def test_a_fork_that_takes_events_back_is_told_with_what_they_touched() -> None:
    town = Town()
    one = town.replica("one")
    fork = one.fork("twin")
    one.write(note(entity="mt-1"))
    desk = Desk().watch(town)
    desk.receive([*town.charter.batches, *one.batches, fork.write(note(entity="mt-2"))])
    (alarm,) = alarms(desk)
    assert "signed two histories; touched: mt-1" in alarm["message"]
    assert "the history that is chosen (`moot fork settle`)" in alarm["hint"]


def test_where_another_history_counts_up_to_the_same_number_it_is_told_all_the_same() -> None:
    town = Town()
    one = town.replica("one")
    other = one.fork("twin")
    one.write(note(entity="mt-1"))
    chosen = other.write(note(entity="mt-2"))
    desk = Desk().watch(town)
    desk.receive([*town.charter.batches, *one.batches, chosen, town.end(one.author, chosen.header.last, chosen.id)])
    (alarm,) = alarms(desk)
    assert alarm["message"].startswith("1 event of 1 feed")
    assert "touched: mt-1" in alarm["message"]
    again = town.replica("again")
    again.hlc += from_ms(1000)
    again.write(note(entity="mt-1"))
    desk.receive([town.charter.batches[-1], *again.batches])
    assert alarms(desk) == []


def test_what_a_role_no_longer_allows_is_told() -> None:
    town = Town()
    guest = town.guest("guest")
    town.admit(guest, Role.WRITER)
    raised = town.admit(guest)
    one = guest.replica("one", Role.ADMIN, Draft("role", "a role", "ada", (Write("text", "be kind"),)), note())
    desk = Desk().watch(town)
    desk.receive([*town.charter.batches, *guest.charter.batches, *one.batches])
    assert alarms(desk) == []
    left = town.charter.fork("shorter", 2)
    town.end_charter(left)
    desk.receive(left.batches[-1:])
    assert raised.header.first == 3
    (told,) = [message for message in messages(desk) if "role" in message]
    assert told.startswith("1 item of 1 feed on plane ledger counted here once and does not now: only admins may")
    assert told.endswith("touched: role a role")


def test_status_tells_it() -> None:
    founder, member = make_town(2)
    for name in ("demo-1", "demo-2"):
        member.commit(partial(Unit.append, plane=1, draft=note(entity=name)))
    founder.take(*member.batches())
    assert Api(founder).call(Status())["alarms"] == []
    founder.commit(lambda unit: end_replica(unit, 1, member.id, 2))
    (alarm,) = Api(founder).call(Status())["alarms"]
    assert (alarm["code"], alarm["message"][-15:]) == ("lapsed", "touched: demo-2")
    assert "`moot salvage` on the machines that wrote it" in alarm["hint"]
    assert "nothing is lost" not in alarm["hint"]  # nobody here knows whether they have it still


@pytest.mark.parametrize("over", [True, False])
def test_a_value_that_comes_back_by_it_is_touched(over: bool) -> None:
    town = Town()
    one, two = town.replica("one"), town.replica("two")
    first = one.write(note("first", entity="mt-7"))
    two.write(note("second", entity="mt-7", over=[dot_of(first.events[0], one.author)] if over else ()))
    desk = Desk().watch(town)
    desk.receive([*town.charter.batches, *one.batches, *two.batches, town.end(two.author, 1, two.batches[0].id)])
    assert messages(desk)[0].endswith("touched: mt-7")


# -- What is written anew ----------------------------------------------------------------------------------------
def told_of(member: Member) -> list[str]:
    with member.replica.read() as reader:
        return [alarm["message"] for alarm in lapse_alarms(member.replica, reader)]


def test_it_ends_with_a_salvage_and_stays_away_once_the_old_key_is_retired_on_every_machine() -> None:
    plane, (one, two) = federation(Role.WRITER)
    clone = copy_of(one)
    for title in ("mine", "mine too"):
        write(one, plane, title)
    meet(plane, one, two)
    before = one.id
    write(clone, plane, "the clone's")
    bring(clone, one, plane)
    bring(one, two, plane)
    for member in (one, two):
        assert "signed two histories" in told_of(member)[0]
    one.commit(salvage)
    assert told_of(one) == []
    assert told_of(two) != []
    bring(one, two, plane)
    assert told_of(two) == []
    one.commit(lambda unit: retire(unit, plane_of(one, plane), before, drops=True))
    bring(one, two, plane)
    for member in (one, two):
        assert told_of(member) == []
        member.restart()
        assert told_of(member) == []


def test_what_was_written_ahead_of_the_clock_is_told_until_it_is_written_anew_though_that_is_dated_earlier() -> None:
    one = founder("one")
    plane = one.ledger.id
    two = machine(one, plane)
    before = two.id
    write_ahead(two, plane)
    meet(plane, one, two)
    two.commit(lambda unit: salvage(unit, resets_clock=True))
    joined(two, machine_ticket(one, plane).ticket)
    bring(one, two, plane)
    one.commit(lambda unit: retire(unit, one.ledger, before, drops=True))
    bring(one, two, plane)
    write(two, plane, "ahead")  # another issue of that title is no substitute
    (message,) = told_of(two)
    assert "they were ended" in message
    two.commit(salvage)
    assert told_of(two) == []
    assert refusal_code(lambda: two.commit(salvage)) is Code.CONFLICT
    assert refusal_code(lambda: two.commit(lambda unit: salvage(unit, takes_both=True))) is Code.CONFLICT


def test_it_stands_while_some_of_what_lapsed_is_written_anew_and_some_is_not() -> None:
    founder, member = make_town(2)
    for name in ("demo-1", "demo-2"):
        member.commit(partial(Unit.append, plane=1, draft=note(entity=name)))
    founder.take(*member.batches())
    founder.commit(lambda unit: end_replica(unit, 1, member.id, 1))
    founder.clock.advance(1)
    founder.commit(lambda unit: unit.append(1, note(entity="demo-2")))
    assert told_of(founder)[0].endswith("touched: demo-1, demo-2")
    founder.commit(lambda unit: unit.append(1, note(entity="demo-1")))
    assert told_of(founder) == []


def test_what_lapsed_with_an_invite_is_written_again_after_a_new_ticket() -> None:
    one, two = founder("one"), newcomer("two")
    plane = one.ledger.id
    late = machine_ticket(one, plane)
    joined(two, late.ticket)
    meet(plane, one, two)
    write(two, plane, "once")
    meet(plane, one, two)
    one.commit(lambda unit: close_invite(unit, plane_of(one, plane), late.key, []))
    meet(plane, one, two)
    (alarm,) = alarms(one)
    assert "the invite they came with was closed without them" in alarm["message"]
    assert "once they have joined with a new ticket" in alarm["hint"]
    joined(two, machine_ticket(one, plane).ticket)
    meet(plane, one, two)
    two.commit(salvage)
    meet(plane, one, two)
    assert alarms(one) == []


@pytest.mark.parametrize("has_written", [False, True])
def test_a_machine_whose_invite_was_closed_is_a_loss_only_if_it_wrote_more_than_of_itself(*, has_written: bool) -> None:
    one, two = founder("one"), newcomer("two")
    plane = one.ledger.id
    late = machine_ticket(one, plane)
    joined(two, late.ticket)
    meet(plane, one, two)
    tell_version(two.replica, plane_of(two, plane).number, two.commit, "0.1.0")
    if has_written:
        write(two, plane, "once")
    meet(plane, one, two)
    one.commit(lambda unit: close_invite(unit, plane_of(one, plane), late.key, []))
    meet(plane, one, two)
    for member in (one, two):
        assert len(alarms(member)) == has_written
        assert not any("replica" in each["message"] for each in alarms(member))


@pytest.mark.parametrize("has_written", [False, True])
def test_of_a_town_s_own_charter_more_than_its_opening_is_a_loss(*, has_written: bool) -> None:
    one, two, three = founder("one"), founder("two"), founder("three")
    plane = one.ledger.id
    ticket = town_ticket(one, plane).ticket
    for member in (two, three):
        joined(member, ticket)
        bring(one, member, plane)
    if has_written:
        machine_ticket(three, plane)
    meet(plane, one, two)  # the invite is used, and closed without the third
    bring(one, three, plane)
    assert ["invite" in message for message in told_of(three)] == [True] * has_written
