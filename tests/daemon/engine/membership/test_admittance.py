"""What this machine lacks on a plane, in each state that it can be in: and that just that lets it write again."""

from unittest.mock import patch

from moot_protocol.errors import Code
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.refusals import refusal
from moot_testkit.towns.carrying import founder, joined, plane_of
from moot_testkit.towns.federating import (
    bring,
    copy_of,
    federation,
    feed,
    machine,
    machine_ticket,
    meet,
    shut_out,
    town_key,
    town_ticket,
    towns,
    write,
)
from moot_testkit.towns.town import Member
from mootd.engine.membership.admittance import Lack, lack_on
from mootd.engine.membership.charter_writing import adopt_plane
from mootd.engine.membership.removing import remove_town, retire
from mootd.engine.membership.rotating import new_key, rotate_town
from mootd.engine.recovery.salvaging import INVITE, ROTATE, SALVAGED, salvage
from mootd.engine.state import REPLICA_KEY
from mootd.engine.stored import layout
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.store.port import Table


def lack(member: Member, plane: bytes) -> Lack:
    with member.replica.read() as reader:
        return lack_on(LogSnapshot(reader), member.replica, plane_of(member, plane))


def salvaged(member: Member, plane: bytes) -> tuple[str, int]:
    done = member.commit(salvage)
    return next((each.state, each.salvaged) for each in done.planes if each.plane.id == plane)


def removed() -> tuple[bytes, Member, Member]:
    """A town that was removed and knows it, with one write that nobody else has."""
    plane, (one, two) = federation(Role.WRITER)
    write(two, plane, "unsynced")
    one.commit(lambda unit: remove_town(unit, plane_of(one, plane), towns(one, plane)[town_key(two)]))
    meet(plane, one, two)
    return plane, one, two


def agree(plane: bytes, *members: Member) -> bool:
    """Whether they show the same: by their digests of the plane."""
    digests = set()
    for member in members:
        with member.replica.read() as reader:
            views, number = member.replica.views_of(reader), plane_of(member, plane).number
            digests.add(reader.get(Table.META, layout.digest_key(views.generation, number)))
    return len(digests) == 1


def test_who_writes_lacks_nothing() -> None:
    plane, (one, two) = federation(Role.WRITER)
    further = machine(one, plane, two)
    assert {lack(member, plane) for member in (one, two, further)} == {Lack.NOTHING}


def test_a_fork_is_for_people_to_settle() -> None:
    plane, (one, _) = federation(Role.WRITER)
    clone = copy_of(one)
    write(one, plane, "one")
    write(clone, plane, "two")
    meet(plane, one, clone)
    assert feed(one, plane, one.id).forked_at
    assert lack(one, plane) is Lack.NOTHING


def test_what_lets_a_newcomer_in_comes_by_itself() -> None:
    one, two = founder("one"), founder("two")
    plane = one.ledger.id
    joined(two, machine_ticket(one, plane).ticket)
    assert lack(two, plane) is Lack.CHARTER
    meet(plane, one, two)
    assert lack(two, plane) is Lack.NOTHING


def test_a_plane_of_which_nothing_has_come_waits_for_that() -> None:
    two = founder("two")
    two.commit(lambda unit: adopt_plane(unit, bytes(16), PlaneKind.LEDGER, "far", bytes(32)))
    assert lack(two, bytes(16)) is Lack.CHARTER


def test_a_town_that_comes_after_its_invite_was_closed_needs_another_ticket_and_no_other_key() -> None:
    one, two, three = founder("one"), founder("two"), founder("three")
    plane = one.ledger.id
    ticket = town_ticket(one, plane).ticket
    joined(two, ticket)
    meet(plane, one, two)
    joined(three, ticket)
    meet(plane, one, three)
    assert lack(three, plane) is Lack.TOWN_TICKET
    refused = refusal(lambda: write(three, plane))
    assert (refused.code, refused.hint) == (Code.NOT_READY, "`moot status` says what it lacks there")
    assert refusal(lambda: joined(three, ticket)).code is Code.DENIED
    joined(three, town_ticket(one, plane).ticket)
    meet(plane, one, three)
    write(three, plane)
    assert lack(three, plane) is Lack.NOTHING


def test_a_machine_whose_invite_was_closed_without_it_needs_another_ticket() -> None:
    one, two = shut_out()
    plane = one.ledger.id
    assert lack(two, plane) is Lack.TICKET
    joined(two, machine_ticket(one, plane).ticket)
    meet(plane, one, two)
    assert lack(two, plane) is Lack.NOTHING


def test_a_removed_town_that_salvages_at_once_writes_nothing_that_only_it_would_see() -> None:
    plane, _, two = removed()
    assert lack(two, plane) is Lack.TOWN_KEY
    assert salvaged(two, plane) == (ROTATE, 0)
    assert refusal(lambda: write(two, plane, "silently lost")).code is Code.NOT_READY
    assert lack(two, plane) is Lack.TOWN_KEY


def test_a_removed_town_comes_back_with_all_that_it_wrote_by_a_new_key_a_ticket_and_a_salvage() -> None:
    for salvages_before in (False, True):
        plane, one, two = removed()
        if salvages_before:
            two.commit(salvage)
        two.commit(rotate_town)
        assert lack(two, plane) is Lack.TOWN_TICKET
        joined(two, town_ticket(one, plane).ticket)
        meet(plane, one, two)
        assert salvaged(two, plane) == (SALVAGED, 1)
        write(two, plane, "goes on")
        meet(plane, one, two)
        assert lack(two, plane) is Lack.NOTHING
        assert feed(one, plane, two.id).n == 3
        assert agree(plane, one, two)


def test_a_machine_of_a_removed_town_needs_a_ticket_of_what_that_town_becomes() -> None:
    plane, (one, two) = federation(Role.WRITER)
    further = machine(two, plane, one)
    one.commit(lambda unit: remove_town(unit, plane_of(one, plane), towns(one, plane)[town_key(two)]))
    meet(plane, one, two, further)
    assert lack(further, plane) is Lack.TOWN
    assert salvaged(further, plane) == (INVITE, 0)
    assert lack(further, plane) is Lack.TOWN
    two.commit(rotate_town)
    joined(two, town_ticket(one, plane).ticket)
    meet(plane, one, two, further)
    joined(further, machine_ticket(two, plane).ticket)
    meet(plane, one, two, further)
    assert lack(further, plane) is Lack.NOTHING


def test_a_retired_machine_needs_a_ticket_before_its_salvage_and_after() -> None:
    plane, (one, two) = federation(Role.WRITER)
    further = machine(one, plane, two)
    write(further, plane, "unseen")
    one.commit(lambda unit: retire(unit, plane_of(one, plane), further.id))
    bring(one, further, plane)
    assert lack(further, plane) is Lack.TICKET
    assert salvaged(further, plane) == (INVITE, 0)
    assert lack(further, plane) is Lack.TICKET
    joined(further, machine_ticket(one, plane).ticket)
    meet(plane, one, further)
    assert salvaged(further, plane) == (SALVAGED, 1)


def test_a_copy_without_the_town_s_key_needs_a_ticket_not_a_charter() -> None:
    one, two = founder("one"), founder("two")
    plane = one.ledger.id
    joined(two, machine_ticket(one, plane).ticket)
    meet(plane, one, two)
    two.commit(lambda unit: salvage(unit, is_copy=True))
    assert lack(two, plane) is Lack.TICKET
    assert refusal(lambda: write(two, plane)).hint == "`moot status` says what it lacks there"


def test_where_the_machine_can_certify_its_own_key_a_salvage_is_enough() -> None:
    one = founder("one")
    plane = one.ledger.id
    one.commit(lambda unit: new_key(unit, REPLICA_KEY))
    operational = one.replica.plane_named("operational").id
    assert {lack(one, each) for each in (plane, operational)} == {Lack.KEY}
    before = one.id
    assert salvaged(one, plane) == (SALVAGED, 0)
    assert one.id == before
    assert {lack(one, each) for each in (plane, operational)} == {Lack.NOTHING}
    write(one, plane)


def test_nothing_is_told_without_the_machine_s_own_key() -> None:
    one = founder("one")
    plane = one.ledger.id
    one.commit(lambda unit: new_key(unit, REPLICA_KEY))
    with patch.object(one.replica.keys, "has", return_value=False):
        assert lack(one, plane) is Lack.NOTHING
