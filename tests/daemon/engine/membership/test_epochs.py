"""Epochs of several towns: admins begin them, for everybody that counts, and none is used that somebody removed has."""

import pytest

from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code, MootError
from moot_protocol.ids import key_text
from moot_protocol.limits import EPOCH_PREDECESSORS
from moot_protocol.log.batch import ZEROS
from moot_protocol.merge.kinds import Role
from moot_protocol.sealing.epoch import build_epoch
from moot_protocol.sealing.frame import epoch_id
from moot_protocol.trust.charter import epoch_drafts, invite_draft
from moot_testkit.refusals import refusal
from moot_testkit.towns.carrying import joined, newcomer, plane_of
from moot_testkit.towns.federating import (
    begin,
    epochs,
    federation,
    invites,
    machine,
    machine_ticket,
    meet,
    town_key,
    town_ticket,
)
from moot_testkit.towns.town import Member
from mootd.engine.exchange.receive import receive
from mootd.engine.membership import epochs as membership_epochs
from mootd.engine.membership.charter_writing import end_replica
from mootd.engine.membership.epochs import crowd_of, may_begin, present_of, recipients_of, renew
from mootd.engine.membership.inviting import close_invite
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.membership.removing import retire
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.unit import Unit


def present(member: Member, plane: bytes) -> bytes | None:
    with member.replica.read() as reader:
        epoch = present_of(LogSnapshot(reader), plane_of(member, plane))
    return None if epoch is None else epoch.id


def recipients(member: Member, plane: bytes) -> set[bytes]:
    with member.replica.read() as reader:
        return set(recipients_of(LogSnapshot(reader), plane_of(member, plane)))


def test_an_epoch_is_wrapped_for_the_machines_of_every_town_and_for_open_invites() -> None:
    plane, (one, two, three) = federation(Role.ADMIN, Role.READER)
    further = machine(three, plane, one, two)
    opened = machine_ticket(two, plane)
    town = town_ticket(one, plane)
    meet(plane, one, two, three, further)
    assert {one.id, two.id, three.id, further.id, opened.key, town.key} <= recipients(one, plane)
    epoch = begin(two, plane)
    meet(plane, one, two, three, further)
    for member in (one, two, three, further):
        assert present(member, plane) == epoch
        assert PlaneKeys(member.replica.keys, plane).key_of(epoch) is not None


def test_only_an_admin_begins_one() -> None:
    plane, (one, two, three) = federation(Role.ADMIN, Role.WRITER)
    assert two.commit(lambda unit: may_begin(unit, plane_of(two, plane)))
    with pytest.raises(MootError) as raised:
        begin(three, plane)
    assert raised.value.code is Code.DENIED
    further = machine(two, plane, one, three)
    with pytest.raises(MootError) as raised:
        begin(further, plane)
    assert raised.value.code is Code.DENIED


def test_the_machine_of_a_writer_that_is_retired_has_no_part_in_what_is_sealed_then() -> None:
    plane, (one, two) = federation(Role.WRITER)
    further = machine(two, plane, one)
    begin(one, plane)
    meet(plane, one, two, further)
    assert further.id in epochs(two, plane).live[-1].value.wraps
    assert two.commit(lambda unit: retire(unit, plane_of(two, plane), further.id)).epoch == b""
    assert present(two, plane) is None
    meet(plane, two, one)  # the admin sees to it at once
    assert present(one, plane) is not None
    assert further.id not in epochs(one, plane).live[-1].value.wraps
    meet(plane, one, two)
    assert present(two, plane) == present(one, plane)
    meet(plane, one, further)
    unread = present(one, plane)
    assert unread is not None
    assert PlaneKeys(further.replica.keys, plane).key_of(unread) is None


def test_nor_has_one_that_came_with_an_invite_which_the_epoch_was_wrapped_for() -> None:
    plane, (one, two) = federation(Role.WRITER)
    ticket, further = machine_ticket(two, plane).ticket, newcomer()
    meet(plane, one, two)
    before = begin(one, plane)
    joined(further, ticket)
    meet(plane, one, two, further)
    assert PlaneKeys(further.replica.keys, plane).key_of(before) is not None
    assert further.id not in epochs(two, plane).live[-1].value.wraps
    two.commit(lambda unit: retire(unit, plane_of(two, plane), further.id))
    assert present(two, plane) is None
    meet(plane, two, one, further)
    after = present(one, plane)
    assert after not in {None, before}
    assert PlaneKeys(further.replica.keys, plane).key_of(after or b"") is None


def test_nor_has_one_whose_ticket_held_the_epoch_s_key() -> None:
    plane, (one, two) = federation(Role.WRITER)
    before = begin(one, plane)
    further = machine(one, plane, two)
    assert further.id not in epochs(one, plane).live[-1].value.wraps
    assert present(one, plane) == before
    row = plane_of(one, plane)
    (opened,) = (key for key, (_, counting) in invites(one, plane).items() if counting is None)
    one.commit(lambda unit: close_invite(unit, row, opened, None))
    one.commit(lambda unit: end_replica(unit, row.number, further.id, 1))
    assert present(one, plane) is None


def test_an_epoch_is_not_wrapped_for_a_town_that_only_a_writer_would_let_in() -> None:
    plane, (one, two) = federation(Role.WRITER)
    key, hpke = SeedSigner(bytes(32)).public, machine_ticket(two, plane)
    meet(plane, one, two)
    made = invites(two, plane)[hpke.key].invite._replace(town=ZEROS)

    def make(unit: Unit) -> None:
        row = plane_of(two, plane)
        unit.append(row.number, invite_draft(key, made, ""), feed=unit.feed_number(row.number, row.town))

    two.commit(make)
    meet(plane, one, two)
    assert hpke.key in recipients(one, plane)
    assert key not in recipients(one, plane)


def test_an_epoch_of_someone_who_didn_t_know_of_a_removal_is_not_sealed_under() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    lost = machine(one, plane, two)
    one.commit(lambda unit: end_replica(unit, plane_of(one, plane).number, lost.id, 1))
    good = begin(one, plane)
    bad = begin(two, plane)  # at the same time, still for the machine that is lost
    two.clock.advance(1000)
    meet(plane, one, two, rounds=1)
    assert present(two, plane) not in {None, bad}
    assert good is not None


def test_an_epoch_that_is_wrapped_for_a_revoked_invite_is_not_sealed_under() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    opened = machine_ticket(two, plane)
    meet(plane, one, two)
    two.commit(lambda unit: close_invite(unit, plane_of(two, plane), opened.key, []))
    good = present(two, plane)
    one.clock.advance(1000)
    bad = begin(one, plane)  # without sight of the close, and later
    two.commit(lambda unit: [receive(unit, batch) for batch in one.batches(town_key(one), plane_of(one, plane).number)])
    assert {good, bad} <= {epoch.id for epoch in epochs(two, plane).live}
    assert present(two, plane) == good is not None


def test_an_epoch_whose_predecessor_can_t_be_opened_here_is_begun_without_its_key() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    key = begin(two, plane)
    meet(plane, two, one)
    one.replica.keys = type(one.replica.keys)(one.keys)
    begin(one, plane)
    assert {epoch.id for epoch in epochs(one, plane).live}.isdisjoint({key})
    assert epoch_id(PlaneKeys(one.replica.keys, plane).sealing_key(key)) == key
    assert town_key(one) != town_key(two)


# -- More than one can be wrapped for ----------------------------------------------------------------------------
def test_who_fills_a_plane_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    plane, (one, two) = federation(Role.WRITER)
    machine(two, plane, one)
    count = len(recipients(one, plane))
    monkeypatch.setattr(membership_epochs, "EPOCH_RECIPIENTS", count)
    assert begin(one, plane)
    monkeypatch.setattr(membership_epochs, "EPOCH_RECIPIENTS", count - 1)
    row = plane_of(one, plane)
    with one.replica.read() as reader:
        crowd = crowd_of(LogSnapshot(reader), row)
    assert crowd is not None
    assert (crowd.size, crowd.town) == (count, town_key(two))
    told = refusal(lambda: begin(one, plane))
    assert told.code is Code.LIMIT
    assert f"plane ledger can't have a new key: {count} machines and open invites count there" in told.message
    assert told.hint.startswith(f"most of them ({crowd.of_town}) are of town {key_text(town_key(two))[:12]}: ")
    assert "`moot member remove` removes a town, its key given after --" in told.hint
    assert one.commit(lambda unit: renew(unit, row)) == b""


def test_where_this_town_itself_fills_it_its_machines_are_to_be_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    plane, (one, two) = federation(Role.WRITER)
    for each in range(3):
        machine(one, plane, two, name=f"machine {each}")
    monkeypatch.setattr(membership_epochs, "EPOCH_RECIPIENTS", 3)
    hint = refusal(lambda: begin(one, plane)).hint
    assert "are of this town: `moot replica retire` ends a machine that isn't yours" in hint
    assert "remove" not in hint


def test_more_epochs_at_once_than_one_holds_the_keys_of_keep_nobody_from_another() -> None:
    plane, (one,) = federation()
    row, keys = plane_of(one, plane), PlaneKeys(one.replica.keys, plane)

    def make(unit: Unit) -> None:
        for number in range(EPOCH_PREDECESSORS + 1):
            key = bytes([number]) * 32
            keys.keep(key)
            value = build_epoch(plane, key, recipients_of(unit, row))
            for draft in epoch_drafts(epoch_id(key), value, "", {}):
                unit.append(row.number, draft, feed=unit.feed_number(row.number, row.town))

    one.commit(make)
    assert len(epochs(one, plane).live) > EPOCH_PREDECESSORS
    made = begin(one, plane)
    assert [epoch.id for epoch in epochs(one, plane).live] == [made]


def test_an_epoch_that_a_retired_machine_s_ticket_held_is_present_no_more_whoever_had_begun_it() -> None:
    plane, (one, two) = federation(Role.WRITER)
    before = begin(one, plane)
    meet(plane, one, two)
    further = machine(two, plane)
    assert PlaneKeys(further.replica.keys, plane).key_of(before) is not None
    two.commit(lambda unit: retire(unit, plane_of(two, plane), further.id))
    assert present(two, plane) is None
    meet(plane, two, one)
    assert present(one, plane) != before
