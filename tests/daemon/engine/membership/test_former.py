"""The keys that a town had before, and those that a machine had: read alike by all who hold the charters."""

import pytest

from moot_protocol.crypto import SeedSigner
from moot_protocol.ids import key_text
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.charter import Admission, End, admission_draft
from moot_protocol.trust.towns import TownReason
from moot_testkit.bytes.feeds import seed
from moot_testkit.towns.carrying import joined, plane_of
from moot_testkit.towns.federating import (
    copy_of,
    federation,
    feed,
    machine,
    machine_ticket,
    meet,
    put_back,
    town_key,
    town_ticket,
    towns,
    write,
)
from moot_testkit.towns.town import Member
from mootd.engine.membership.charter_writing import append_end, begin_charter, write_end
from mootd.engine.membership.former import OwnFeeds, OwnTown, former_replicas, is_over, line_of
from mootd.engine.membership.removing import remove_town, retire
from mootd.engine.membership.rotating import rotate_town
from mootd.engine.membership.towns import keep_name, name_town
from mootd.engine.recovery import recovering
from mootd.engine.recovery.recovering import recover
from mootd.engine.recovery.salvaging import salvage
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.unit import Unit


def own(member: Member, plane: bytes, *keys: bytes) -> list[bool]:
    with member.replica.read() as reader:
        town = OwnTown(reader, plane_of(member, plane))
        return [key in town for key in keys]


def line(member: Member, plane: bytes) -> list[bytes]:
    with member.replica.read() as reader:
        return list(line_of(reader, plane_of(member, plane)))


def former(member: Member, plane: bytes) -> frozenset[bytes]:
    return member.commit(lambda unit: former_replicas(unit, member.replica, plane_of(member, plane)))


def recovers(member: Member, plane: bytes) -> None:
    paper = SeedSigner(seed("town 0 recovery"))
    member.commit(lambda unit: recover(unit, plane_of(member, plane), paper))


def call(member: Member, plane: bytes, *, is_told: bool) -> None:
    """Name a member's town: in its charter, or on this machine alone."""
    row = plane_of(member, plane)
    if is_told:
        member.commit(lambda unit: name_town(unit, row, "hill"))
    else:
        member.commit(lambda unit: keep_name(unit, row.town, "hill"))


def claims(member: Member, plane: bytes, key: bytes) -> None:
    """A member's town says, as one does that takes another key, that it took this one; and ends itself."""
    row = plane_of(member, plane)

    def claim(unit: Unit) -> None:
        charter = unit.feed_number(row.number, row.town)
        draft = admission_draft(key, Admission(key_text(key), Role.ADMIN), "")
        unit.append(row.number, draft, feed=charter)
        unit.seal()
        append_end(unit, row, row.town, End(unit.feed(charter).n, unit.feed(charter).head, row.town))

    member.commit(claim)


@pytest.mark.parametrize("is_told", [None, True, False])
def test_the_keys_that_a_town_gave_up_itself_are_its_own_on_every_machine_of_it_and_on_no_other(
    is_told: bool | None,
) -> None:
    plane, (one, two) = federation(Role.ADMIN)
    if is_told is not None:
        call(one, plane, is_told=is_told)
    further = machine(one, plane, two)
    keys = [town_key(one)]
    for _ in range(2):
        one.commit(rotate_town)
        keys.append(town_key(one))
    meet(plane, one, two, further)
    joined(further, machine_ticket(one, plane).ticket)
    meet(plane, one, two, further)
    assert own(one, plane, *keys) == own(further, plane, *keys) == [True, True, True]
    assert own(two, plane, *keys, town_key(two), b"") == [False, False, False, True, False]
    assert own(one, plane, town_key(two)) == [False]
    assert line(one, plane) == line(further, plane) == keys[::-1]
    assert line(two, plane) == [town_key(two)]


def test_a_machine_that_waits_for_its_town_s_new_key_knows_which_that_is() -> None:
    plane, (one,) = federation()
    further = machine(one, plane)
    before = town_key(one)
    one.commit(rotate_town)
    meet(plane, one, further)
    assert line(further, plane) == [town_key(one), before]
    assert own(further, plane, before, town_key(one)) == [True, False]  # what is written under that it can't judge yet


def test_a_key_in_whose_place_another_was_put_is_no_longer_the_town_s_own_but_stands_in_its_line() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    first = town_key(one)
    one.commit(rotate_town)
    second = town_key(one)
    recovers(one, plane)
    meet(plane, one, two)
    third = town_key(one)
    assert own(one, plane, first, second, third) == [False, False, True]
    assert (line(one, plane)[0], set(line(one, plane))) == (third, {first, second, third})
    recovers(one, plane)
    assert (line(one, plane)[0], set(line(one, plane))) == (town_key(one), {first, second, third, town_key(one)})


def test_another_town_that_takes_the_founder_s_place_has_a_line_of_its_own() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    recovers(two, plane)
    meet(plane, one, two)
    assert line(two, plane) == [town_key(two)]
    assert own(two, plane, town_key(one)) == [False]


def test_nor_does_it_take_over_the_founder_s_line_where_it_had_another_key_itself() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    founder, guest = town_key(one), [town_key(two)]
    two.commit(rotate_town)
    guest.append(town_key(two))
    meet(plane, one, two)
    recovers(two, plane)
    meet(plane, one, two)
    assert (line(one, plane), line(two, plane)) == ([founder], guest[::-1])


def test_of_two_towns_that_recover_in_turn_each_goes_on_with_its_own_line() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    ours, theirs = [town_key(one)], [town_key(two)]
    two.commit(rotate_town)
    theirs.append(town_key(two))
    for turn, keys in ((one, ours), (two, theirs), (one, ours), (two, theirs)):
        meet(plane, one, two)
        recovers(turn, plane)
        keys.append(town_key(turn))
    meet(plane, one, two)
    assert theirs[1] == theirs[2]  # it took the founder's place under the key that it had
    for member in (one, two):
        assert set(line(member, plane)) == set(ours if member is one else theirs)
        assert line(member, plane)[0] == town_key(member)


@pytest.mark.parametrize("guest", [1, 2])
def test_a_further_machine_of_another_town_that_recovers_goes_on_with_that_town_s_line(guest: int) -> None:
    plane, members = federation(Role.ADMIN, Role.ADMIN)
    further = machine(members[guest], plane, *members)
    founder, before = town_key(members[0]), town_key(members[guest])
    assert (before < founder) == (guest == 2)  # in whichever order the keys of the two towns stand
    recovers(further, plane)
    meet(plane, *members, further)
    assert line(further, plane) == [town_key(further), before]
    assert line(members[0], plane) == [founder]
    removed = towns(members[0], plane)[before]
    assert (removed.reason, feed(members[0], plane, before).ended) == (TownReason.REMOVED, True)


@pytest.mark.parametrize("guest", [1, 2])
def test_of_a_recovery_by_a_release_that_did_not_say_in_whose_place_it_was_no_key_is_left_out(
    guest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane, members = federation(Role.ADMIN, Role.ADMIN)
    further = machine(members[guest], plane, *members)
    founder, before = town_key(members[0]), town_key(members[guest])
    monkeypatch.setattr(recovering, "_in_order", lambda unit, plane, removed: sorted(removed))
    recovers(further, plane)
    meet(plane, *members, further)
    assert set(line(further, plane)) == {town_key(further), before, founder}
    assert own(further, plane, before, founder) == [False, False]


def test_a_town_that_the_recovery_key_let_in_and_ended_at_once_came_in_nobody_s_place() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    row, paper = plane_of(one, plane), SeedSigner(seed("town 0 recovery"))

    def lets_in_and_ends(unit: Unit) -> None:
        unit.lend(paper)
        begin_charter(unit, row.number, paper.public, "recovery")
        draft = admission_draft(town_key(two), Admission("two", Role.ADMIN), "")
        unit.append(row.number, draft, feed=unit.feed_number(row.number, paper.public))
        write_end(unit, row, town_key(two), 0, town_key(two), paper.public)

    one.commit(lets_in_and_ends)
    meet(plane, one, two)
    assert towns(one, plane)[town_key(two)].ended
    assert (line(one, plane), line(two, plane)) == ([town_key(one)], [town_key(two)])


@pytest.mark.parametrize("role", [Role.ADMIN, Role.WRITER])
@pytest.mark.parametrize("way", ["founder", "rotated", "recovered"])
def test_another_town_does_not_make_its_own_words_a_town_s_by_calling_its_key_what_came_after_it(
    way: str, role: Role
) -> None:
    plane, (one, two) = federation(role)
    keys = [town_key(one)]
    if way == "rotated":
        one.commit(rotate_town)
    elif way == "recovered":
        recovers(one, plane)
    meet(plane, one, two)
    claims(two, plane, town_key(one))
    meet(plane, one, two)
    assert own(one, plane, town_key(one), town_key(two)) == [True, False]
    assert town_key(two) not in line(one, plane)
    assert way != "recovered" or keys[0] in line(one, plane)
    if way == "rotated":  # whoever took the key let it in before it spoke
        assert own(one, plane, keys[0]) == [True]
        assert line(one, plane) == [town_key(one), keys[0]]


def test_feeds_of_the_town_s_former_keys_are_its_own_also_where_it_was_invited_again_under_another() -> None:
    plane, (one, two) = federation(Role.WRITER)
    write(two, plane)
    before = two.id
    two.commit(rotate_town)
    joined(two, town_ticket(one, plane).ticket)
    meet(plane, one, two)
    assert feed(two, plane, before).town not in line(two, plane)  # others can't tell
    with two.replica.read() as reader:
        source = LogSnapshot(reader)
        is_own = OwnFeeds(reader, two.replica, source.feed)
        number = plane_of(two, plane).number
        feeds = {author: source.feed_number(number, author) for author in (before, two.id, one.id, bytes(32))}
        assert [is_own(feeds[author]) for author in feeds] == [True, True, False, False]
    with one.replica.read() as reader:
        source = LogSnapshot(reader)
        is_own = OwnFeeds(reader, one.replica, source.feed)
        assert [is_own(source.feed_number(plane_of(one, plane).number, each)) for each in (before, one.id)] == [
            False,
            True,
        ]


def test_a_town_that_was_removed_and_whoever_removed_it_have_nothing_in_common() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    one.commit(lambda unit: remove_town(unit, plane_of(one, plane), towns(one, plane)[town_key(two)]))
    meet(plane, one, two)
    assert (line(one, plane), line(two, plane)) == ([town_key(one)], [town_key(two)])


def test_a_machine_s_former_keys_are_those_that_count_no_more() -> None:
    plane, (one,) = federation()
    before = one.id
    assert former(one, plane) == frozenset()
    copy = copy_of(one)
    copy.commit(lambda unit: salvage(unit, is_copy=True))
    assert former(copy, plane) == frozenset()  # its original goes on under it
    one.commit(rotate_town)
    assert former(one, plane) == {before}
    meet(plane, one, copy)
    assert former(copy, plane) == {before}


def test_a_key_that_was_retired_or_has_two_histories_is_over() -> None:
    one, further, _ = put_back()
    plane = one.ledger.id
    write(further, plane)
    meet(plane, one, further)
    before = further.id
    assert is_over(feed(further, plane, before))
    further.commit(salvage)
    assert former(further, plane) == {before}
    plane, (one,) = federation()
    further = machine(one, plane)
    assert not is_over(feed(one, plane, further.id))
    one.commit(lambda unit: retire(unit, plane_of(one, plane), further.id))
    assert is_over(feed(one, plane, further.id))
