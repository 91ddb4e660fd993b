"""New keys: what the old ones signed stays, the machine goes on under the new ones, and what can't be done is said."""

from moot_protocol.errors import Code
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.acceptance import Reason
from moot_testkit.refusals import refusal, refusal_code
from moot_testkit.towns.carrying import create, founder, joined, log_of, newcomer, plane_of, send
from moot_testkit.towns.federating import (
    bring,
    copy_of,
    epochs,
    federation,
    feed,
    machine,
    machine_ticket,
    meet,
    put_back,
    role,
    town_key,
    town_ticket,
    towns,
    write,
)
from moot_testkit.towns.town import Member
from mootd.engine.machine.remotes import add_remote
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.membership.removing import remove_town, retire
from mootd.engine.membership.rotating import Rotated, change_replica, new_key, rotate_town
from mootd.engine.recovery.salvaging import salvage
from mootd.engine.state import REPLICA_KEY
from mootd.engine.stored import layout
from mootd.engine.stored.log import FeedRow
from mootd.engine.unit import Unit
from mootd.store.port import Table


def rotate(member: Member) -> Rotated:
    return member.commit(rotate_town)


def states(rotated: Rotated) -> dict[str, str]:
    return {each.plane.name: each.state for each in rotated.planes}


def test_a_founder_s_new_key_is_an_admin_and_the_machine_writes_on_under_it() -> None:
    plane, (one, two) = federation(Role.WRITER)
    write(one, plane, "before")
    old_town, old_machine = town_key(one), one.id
    rotated = rotate(one)
    assert states(rotated) == {"ledger": "rotated", "operational": "kept"}
    assert (rotated.before, rotated.town, rotated.replica) == (old_town, town_key(one), one.id)
    assert old_town != town_key(one)
    assert old_machine != one.id
    write(one, plane, "after")
    one.restart()
    write(one, plane, "after a restart")
    meet(plane, one, two)
    for member in (one, two):
        assert role(member, plane, town_key(one)) == Role.ADMIN
        assert towns(member, plane)[old_town].ended
        assert feed(member, plane, old_machine).ended
        assert feed(member, plane, one.id).n == 3
    assert log_of(two, plane_of(two, plane)).position() == log_of(one).position()
    newest = epochs(two, plane).live[-1]
    assert old_machine not in newest.value.wraps
    assert PlaneKeys(two.replica.keys, plane).key_of(newest.id) is not None


def test_what_was_sealed_for_the_old_machine_is_read_by_the_new() -> None:
    plane, (one, _) = federation(Role.WRITER)
    before = epochs(one, plane).live[-1]
    rotate(one)
    assert PlaneKeys(one.replica.keys, plane).key_of(before.id) is not None
    one.commit(lambda unit: None)
    rotate(one)
    assert role(one, plane, town_key(one)) == Role.ADMIN


def test_other_machines_of_the_town_join_again() -> None:
    plane, (one, two) = federation(Role.WRITER)
    further = machine(one, plane, two)
    write(further, plane, "stays")
    meet(plane, one, two, further)
    before = feed(one, plane, further.id).n
    detail = next(each.detail for each in rotate(one).planes if each.plane.id == plane)
    assert detail.startswith("1 other")
    meet(plane, one, two, further)
    assert [feed(member, plane, further.id).n for member in (one, two, further)] == [before] * 3
    assert refusal_code(lambda: write(further, plane)) is Code.DENIED


def test_a_machine_that_was_retired_before_is_not_told_to_join_again() -> None:
    plane, (one, two) = federation(Role.WRITER)
    further = machine(one, plane, two)
    one.commit(lambda unit: retire(unit, plane_of(one, plane), further.id))
    assert {each.detail for each in rotate(one).planes if each.state == "rotated"} == {""}


def test_a_town_that_is_no_admin_keeps_its_key_there_until_it_is_invited_and_the_machine_goes_on() -> None:
    plane, (one, two) = federation(Role.WRITER)
    old_town, old_machine = town_key(two), two.id
    rotated = rotate(two)
    assert states(rotated)[plane_of(two, plane).name] == "invite"
    write(two, plane, "under the old town's key")
    meet(plane, one, two)
    assert feed(one, plane, two.id).town == old_town
    assert feed(one, plane, old_machine).ended
    assert feed(one, plane, two.id).n == 2
    joined(two, town_ticket(one, plane).ticket)
    meet(plane, one, two)
    assert plane_of(two, plane).town == town_key(two)
    assert role(one, plane, town_key(two)) == Role.WRITER
    standing = towns(one, plane)[old_town]
    one.commit(lambda unit: remove_town(unit, plane_of(one, plane), standing))
    meet(plane, one, two)


def test_a_machine_of_another_town_is_told_that_it_has_to_be_invited_again() -> None:
    one, two = founder("one"), founder("two")
    plane = one.ledger.id
    joined(two, machine_ticket(one, plane).ticket)
    meet(plane, one, two)
    rotated = rotate(two)
    assert states(rotated)[plane_of(two, plane).name] == "invite"
    assert refusal_code(lambda: write(two, plane)) is Code.NOT_READY
    joined(two, machine_ticket(one, plane).ticket)
    bring(one, two, plane)
    write(two, plane)


def test_without_the_town_s_key_nothing_is_rotated() -> None:
    assert refusal_code(lambda: rotate(newcomer())) is Code.NOT_READY
    plane, (one, _) = federation(Role.WRITER)
    further = machine(one, plane)
    assert refusal_code(lambda: rotate(further)) is Code.DENIED


def test_under_another_key_the_refs_that_were_pushed_before_are_none_of_this_machine_s() -> None:
    plane, (one, _) = federation(Role.WRITER)
    remote = one.commit(lambda unit: add_remote(unit, "origin", "git", "/hub.git", "auto", {})).number
    key = layout.own_ref_key(remote, plane_of(one, plane).number)
    one.commit(lambda unit: unit.transaction.put(Table.META, key, b"generation 2"))
    rotate(one)
    with one.replica.read() as reader:
        assert reader.get(Table.META, key) is None


def test_a_dry_run_changes_nothing() -> None:
    plane, (one, _) = federation(Role.WRITER)
    before = (one.id, town_key(one), log_of(one).position())
    tried = one.commit(lambda unit: unit.try_out(rotate_town))
    assert states(tried)["ledger"] == "rotated"
    assert (one.id, town_key(one), log_of(one).position()) == before
    write(one, plane)
    one.restart()
    assert one.id == before[0]


# -- Where the old key doesn't count -----------------------------------------------------------------------------
def removed() -> tuple[bytes, Member, Member]:
    plane, (one, two) = federation(Role.WRITER)
    one.commit(lambda unit: remove_town(unit, plane_of(one, plane), towns(one, plane)[town_key(two)]))
    meet(plane, one, two)
    return plane, one, two


def test_a_removed_town_is_told_that_its_new_key_needs_an_invite_and_not_that_the_plane_never_leaves() -> None:
    plane, _, two = removed()
    told = {each.plane.name: (each.state, each.detail) for each in rotate(two).planes}
    assert told[plane_of(two, plane).name] == (
        "invite",
        "this town was removed from it, and an admin has to invite the new key",
    )
    assert told["operational"] == ("kept", "it never leaves this machine")


def test_a_town_that_waits_to_be_let_in_can_take_a_new_key_and_join_with_its_ticket_again() -> None:
    one, two = founder("one"), founder("two")
    plane = one.ledger.id
    ticket = town_ticket(one, plane).ticket
    joined(two, ticket)
    rotated = rotate(two)
    assert states(rotated)[plane_of(two, plane).name] == "invite"
    joined(two, ticket)
    meet(plane, one, two)
    write(two, plane)
    meet(plane, one, two)
    assert feed(one, plane, two.id).n == 2


def test_a_feed_that_its_town_can_t_open_any_more_is_settled_before_anything_is_written_to_it() -> None:
    plane, _, two = removed()

    def work(unit: Unit) -> FeedRow:
        machine = new_key(unit, REPLICA_KEY)
        row = plane_of(two, plane)
        change_replica(unit, row, machine, unit.replica.signer_of(row.town), ends=False)
        return unit.feed(unit.feed_number(row.number, machine.signer.public))

    opened = two.commit(work)
    assert (opened.n, opened.reason) == (0, Reason.ENDED)
    assert refusal_code(lambda: write(two, plane)) is Code.DENIED


def test_keys_that_the_machine_had_before_a_salvage_are_no_other_machines() -> None:
    _, _, two = removed()
    two.commit(salvage)
    assert ("rotated", "") in {(each.state, each.detail) for each in rotate(two).planes}


def test_what_the_machine_itself_lost_under_an_earlier_key_is_in_no_new_key_s_way() -> None:
    one = founder("one")
    plane, before = one.ledger.id, one.id
    clone = copy_of(one)
    create(one, "of the original")
    create(clone, "of the copy")
    send(clone, one)
    one.commit(salvage)
    lost = feed(one, plane, before)
    assert (bool(lost.forked_at), lost.ended) == (True, False)
    assert ("rotated", "") in {(each.state, each.detail) for each in rotate(one).planes}
    assert feed(one, plane, before).ended


def test_a_town_s_new_key_drops_no_history_of_another_machine_unasked() -> None:
    one, two, _ = put_back()
    plane = one.ledger.id
    refused = refusal(lambda: rotate(one))
    assert refused.code is Code.CONFLICT
    assert "--drop" in refused.hint
    assert not feed(one, plane, two.id).ended
    one.commit(lambda unit: retire(unit, plane_of(one, plane), two.id, drops=True))
    assert states(rotate(one))["ledger"] == "rotated"
