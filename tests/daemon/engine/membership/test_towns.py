"""Towns as a machine sees them: which is its own, who came with an invite, what each is called, and who is meant."""

from functools import partial

import pytest

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code, MootError
from moot_protocol.ids import KEY_BEGINNING_CHARS, key_text
from moot_protocol.merge.kinds import Role
from moot_testkit.bytes.feeds import seed
from moot_testkit.towns.carrying import founder, joined, newcomer, plane_of
from moot_testkit.towns.federating import federation, machine, meet, town_key, town_ticket
from moot_testkit.towns.town import Member
from mootd.engine.membership import towns
from mootd.engine.membership.charter_writing import OPERATIONAL_ONLY, found_town
from mootd.engine.stored.log_snapshot import LogSnapshot


def meant(member: Member, plane: bytes, typed: str) -> bytes:
    with member.replica.read() as reader:
        return towns.town_meant(LogSnapshot(reader), plane_of(member, plane), typed).key


def refusal(member: Member, plane: bytes, typed: str) -> Code:
    with pytest.raises(MootError) as raised:
        meant(member, plane, typed)
    return raised.value.code


def test_a_town_is_meant_by_its_name_its_key_or_the_beginning_of_that() -> None:
    plane, (one, two) = federation(Role.WRITER)
    key = key_text(town_key(two))
    two.commit(lambda unit: towns.keep_name(unit, town_key(two), "rivertown"))
    assert meant(one, plane, key) == meant(one, plane, key[:6]) == meant(two, plane, "rivertown") == town_key(two)
    assert refusal(one, plane, "rivertown") is Code.NOT_FOUND
    assert refusal(one, plane, key[:3]) is Code.NOT_FOUND
    assert refusal(one, plane, "") is Code.NOT_FOUND


def test_a_machine_that_was_told_no_name_reads_it_in_its_town_s_charter() -> None:
    one = founder()
    plane = one.ledger.id
    two = machine(one, plane)
    one.commit(lambda unit: towns.name_town(unit, plane_of(one, plane), "hill"))
    meet(plane, one, two)
    with two.replica.read() as reader:
        assert towns.own_name(reader, town_key(one)) == ""
        known = towns.known_name(LogSnapshot(reader), two.replica.planes.values(), town_key(one))
        assert (known, towns.known_name(LogSnapshot(reader), [], town_key(one))) == ("hill", "")


def test_of_two_towns_with_one_name_neither_is_meant() -> None:
    plane, (one, two, three) = federation(Role.WRITER, Role.WRITER)
    for each in (two, three):
        one.commit(partial(towns.keep_name, town=town_key(each), name="rivertown"))
    assert refusal(one, plane, "rivertown") is Code.AMBIGUOUS
    for each, other in ((two, three), (three, two)):
        assert meant(one, plane, towns.told_apart("rivertown", town_key(each), {town_key(other)})) == town_key(each)
    assert refusal(one, plane, f"rivertown {key_text(town_key(one))}") is Code.NOT_FOUND
    assert refusal(one, plane, f" {key_text(town_key(two))}") is Code.NOT_FOUND


def test_a_name_is_told_apart_by_as_little_of_the_key_as_does_it() -> None:
    key, like, other = b"a" * 32, b"a" * 20 + b"b" * 12, b"b" * 32
    assert towns.told_apart("hill", key, set()) == "hill"
    assert towns.told_apart("hill", key, {other}) == f"hill {key_text(key)[:KEY_BEGINNING_CHARS]}"
    name, _, part = towns.told_apart("hill", key, {other, like}).partition(" ")
    assert (name, key_text(key).startswith(part)) == ("hill", True)
    assert key_text(like).startswith(part[:-1])
    assert not key_text(like).startswith(part)


def test_a_town_takes_its_name_along_and_a_founder_s_stands_in_its_charter() -> None:
    one, two = founder("one"), founder("two")
    plane = one.ledger.id
    one.commit(lambda unit: towns.name_town(unit, one.ledger, "hill"))
    two.commit(lambda unit: towns.keep_name(unit, town_key(two), "river"))
    joined(two, town_ticket(one, plane).ticket)
    meet(plane, one, two)
    for member in (one, two):
        with member.replica.read() as reader:
            source, row = LogSnapshot(reader), plane_of(member, plane)
            assert towns.name_of(source, row, town_key(one)) == "hill"
            assert towns.name_of(source, row, town_key(two)) == "river"


def test_who_came_with_an_invite_stands_in_its_charter() -> None:
    one, two = founder("one"), founder("two")
    plane, made = one.ledger.id, town_ticket(one, one.ledger.id)
    joined(two, made.ticket)
    meet(plane, one, two)
    with one.replica.read() as reader:
        assert towns.guests_of(LogSnapshot(reader), one.ledger, made.key) == [town_key(two)]
        assert towns.guests_of(LogSnapshot(reader), one.ledger, bytes(32)) == []


def test_admins_act_in_the_order_of_their_depth_and_others_not_at_all() -> None:
    plane, (one, two, three) = federation(Role.ADMIN, Role.WRITER)
    with three.replica.read() as reader:
        source, row = LogSnapshot(reader), plane_of(three, plane)
        assert towns.acting_admins(source, row) == [town_key(one), town_key(two)]
        assert not towns.is_admin(source, row)


def test_the_home_of_a_machine_is_the_town_of_its_first_ledger() -> None:
    one = founder("one")
    member = newcomer()
    assert towns.home_of(member.replica.planes.values()) == b""
    member.commit(lambda unit: found_town(unit, SeedSigner(seed("recovery")).public, OPERATIONAL_ONLY))
    assert towns.home_of(member.replica.planes.values()) == town_key(member)
    second = machine(one, one.ledger.id)
    assert towns.home_of(second.replica.planes.values()) == town_key(one)
    assert not towns.has_key_of(second.replica, second.ledger)
    assert towns.has_key_of(one.replica, one.ledger)
