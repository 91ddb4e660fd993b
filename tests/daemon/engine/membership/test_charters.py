"""What a charter says here: only its accepted events count, and a member is who has opened a feed."""

import pytest

from moot_protocol.merge.kinds import Role
from moot_protocol.sealing.epoch import build_epoch
from moot_protocol.sealing.frame import epoch_id
from moot_protocol.trust.charter import Admission, End, admission_draft, epoch_drafts
from moot_protocol.trust.charter_reading import Epochs
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.bytes.feeds import FeedWriter, Guest, Town, note, seed
from moot_testkit.towns.carrying import founder, invited, joined, newcomer, plane_of, send
from moot_testkit.towns.engine import Desk
from moot_testkit.towns.federating import federation, meet, town_key
from moot_testkit.towns.town import Member
from mootd.engine.membership.charter_writing import adopt_plane, append_end
from mootd.engine.membership.charters import (
    charter_events,
    charters_of,
    epochs_of,
    heirs_of,
    invites_of,
    members_of,
    towns_of,
)
from mootd.engine.membership.inviting import close_invite, open_plane
from mootd.engine.membership.rotating import rotate_town
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.unit import Unit


def members(member: Member | Desk, plane: PlaneRow | None = None) -> dict[bytes, tuple[str, bytes]]:
    """Replica → its role and who signed its certificate."""
    with member.replica.read() as reader:
        found = list(members_of(LogSnapshot(reader), plane or member.replica.ledger))
    return {each.row.author: (each.row.role, each.certificate.signer) for each in found}


def test_before_a_plane_s_charter_has_come_it_says_nothing() -> None:
    member = newcomer()
    ticket = invited(founder()).ticket
    plane = joined(member, ticket)
    with member.replica.read() as reader:
        source = LogSnapshot(reader)
        assert charter_events(source, plane) == []
        assert epochs_of(source, plane) == Epochs((), ())
        assert invites_of(source, plane) == {}
        assert list(members_of(source, plane)) == []


def test_all_events_of_the_charter_are_read_in_order() -> None:
    member = founder()
    invited(member)
    with member.replica.read() as reader:
        events = [placed.event for placed in charter_events(LogSnapshot(reader), member.ledger)]
    assert [event.skeleton.kind for event in events] == ["genesis", "epoch", "invite"]
    assert [event.n for event in events] == [1, 2, 3]


def test_what_a_unit_has_written_is_read_inside_it() -> None:
    member = founder()

    def work(unit: Unit) -> tuple[int, int]:
        open_plane(unit, member.ledger)
        return len(epochs_of(unit, member.ledger).live), len(list(members_of(unit, member.ledger)))

    assert member.commit(work) == (1, 1)


def test_what_an_end_cuts_off_the_charter_does_not_count() -> None:
    town = Town()
    kept = town.invite("kept")
    branch = town.charter.fork("branch")
    town.invite("lost")
    town.end_charter(branch)
    desk = Desk().watch(town)
    desk.receive([*town.charter.batches, *branch.batches[-1:]])
    with desk.replica.read() as reader:
        assert list(invites_of(LogSnapshot(reader), desk.replica.ledger)) == [kept.public]


def test_a_member_is_a_replica_whose_certificate_counts() -> None:
    town = Town()
    invite = town.invite()
    one, two = town.replica("one"), town.replica("two", Role.READER, by=invite)
    stranger = FeedWriter(town.plane, Town("other").key)
    stranger.write(note("nobody let me in"))
    desk = Desk().watch(town)
    desk.receive([*town.charter.batches, *one.batches, *two.batches, *stranger.batches])
    assert members(desk) == {
        one.author: (Role.WRITER, town.key.public),
        two.author: (Role.READER, invite.public),
    }


def test_who_used_a_closed_invite_and_was_not_kept_is_no_member() -> None:
    one, two = founder(), newcomer()
    made = invited(one)
    plane = joined(two, made.ticket)
    send(one, two)
    send(two, one, plane.id)
    assert members(one) == {one.id: (Role.ADMIN, one.ledger.town), two.id: (Role.WRITER, made.key)}
    one.commit(lambda unit: close_invite(unit, unit.replica.ledger, made.key, []))
    assert set(members(one)) == {one.id}
    send(one, two)
    assert set(members(two, plane_of(two, plane.id))) == {one.id}


# -- Several towns ---------------------------------------------------------------------------------------------------
def plane_with(role: Role) -> tuple[Town, Guest, Desk]:
    """A founder and a town that it admits, each with an epoch of its own, and the other town's desk."""
    founder = Town()
    guest = founder.guest("guest")
    founder.admit(guest, role)
    for town, key in ((founder, b"\1" * 32), (guest, b"\2" * 32)):
        value = build_epoch(founder.plane, key, {town.key.public: seed("point")})
        town.charter.write(*epoch_drafts(epoch_id(key), value, "admin", {}))
    desk = Desk()
    with desk.replica.transaction() as unit:
        adopt_plane(unit, founder.plane, PlaneKind.LEDGER, "ledger", guest.key.public)
    desk.receive([*founder.charter.batches, *guest.charter.batches])
    return founder, guest, desk


def test_the_founder_is_whom_the_genesis_names_whatever_town_this_replica_is_of() -> None:
    founder, guest, desk = plane_with(Role.WRITER)
    with desk.replica.read() as reader:
        source = LogSnapshot(reader)
        assert desk.replica.ledger.town == guest.key.public
        standings = {key: (each.depth, each.role) for key, each in towns_of(source, desk.replica.ledger).items()}
    assert standings == {
        founder.recovery.public: (0, Role.ADMIN),
        founder.key.public: (1, Role.ADMIN),
        guest.key.public: (2, Role.WRITER),
    }


@pytest.mark.parametrize(("role", "count"), [(Role.ADMIN, 2), (Role.WRITER, 1), (Role.READER, 1)])
def test_only_admins_epochs_count(role: Role, count: int) -> None:
    _, _, desk = plane_with(role)
    with desk.replica.read() as reader:
        assert len(epochs_of(LogSnapshot(reader), desk.replica.ledger).live) == count


def test_a_charter_is_read_by_its_town_and_left_out_it_is_the_own_town_s() -> None:
    founder, guest, desk = plane_with(Role.ADMIN)
    desk.receive([guest.charter.batches[0]])
    with desk.replica.read() as reader:
        source, plane = LogSnapshot(reader), desk.replica.ledger
        kinds = [
            [placed.event.skeleton.kind for placed in charter_events(source, plane, town)]
            for town in (None, guest.key.public, founder.key.public)
        ]
        assert [row.author for row in charters_of(source, plane)] == sorted([founder.key.public, guest.key.public])
    assert kinds == [["charter", "epoch"], ["charter", "epoch"], ["genesis", "admission", "epoch"]]


def test_members_are_those_of_all_towns() -> None:
    founder, guest, desk = plane_with(Role.WRITER)
    one, two = founder.replica("one"), guest.replica("two", Role.ADMIN)
    desk.receive([*one.batches, *two.batches])
    assert members(desk, desk.replica.ledger) == {
        one.author: (Role.WRITER, founder.key.public),
        two.author: (Role.WRITER, guest.key.public),
    }


def test_the_recovery_key_s_epochs_do_not_count() -> None:
    founder, _, desk = plane_with(Role.ADMIN)
    paper, key = Guest(founder, "paper", key=founder.recovery), b"\3" * 32
    paper.charter.write(
        *epoch_drafts(epoch_id(key), build_epoch(founder.plane, key, {founder.key.public: seed("point")}), "admin", {})
    )
    paper.admit(founder.guest("heir"))
    desk.receive(paper.charter.batches)
    with desk.replica.read() as reader:
        source, plane = LogSnapshot(reader), desk.replica.ledger
        assert paper.key.public in {row.author for row in charters_of(source, plane)}
        assert epoch_id(key) not in {epoch.id for epoch in epochs_of(source, plane).written}


# -- A town's keys -----------------------------------------------------------------------------------------------
def heirs(member: Member, plane: bytes) -> dict[bytes, bytes]:
    with member.replica.read() as reader:
        return heirs_of(LogSnapshot(reader), plane_of(member, plane))


def admits(member: Member, plane: bytes, town: bytes, name: str) -> None:
    """A member's town lets another key in."""
    row = plane_of(member, plane)
    draft = admission_draft(town, Admission(name, Role.ADMIN), "")
    member.commit(lambda unit: unit.append(row.number, draft, feed=unit.feed_number(row.number, row.town)))


def leaves(member: Member, plane: bytes) -> None:
    """A member's town ends its own charter."""
    row = plane_of(member, plane)

    def end(unit: Unit) -> None:
        own = unit.feed(unit.feed_number(row.number, row.town))
        append_end(unit, row, row.town, End(own.n, own.head, row.town))

    member.commit(end)


def test_the_key_that_a_town_let_in_under_its_own_name_before_it_ended_is_its_heir() -> None:
    plane, (one, two) = federation(Role.ADMIN)
    old = town_key(two)
    two.commit(rotate_town)
    meet(plane, one, two)
    assert heirs(one, plane) == heirs(two, plane) == {old: town_key(two)}


def test_a_town_s_new_key_that_an_admin_has_to_invite_is_nobody_s_heir() -> None:
    plane, (one, two) = federation(Role.WRITER)
    two.commit(rotate_town)
    meet(plane, one, two)
    assert heirs(one, plane) == {}


def test_who_lets_another_town_in_and_leaves_has_no_heir() -> None:
    plane, (one, two, three) = federation(Role.ADMIN, Role.WRITER)
    admits(two, plane, town_key(three), "hill")
    meet(plane, one, two, three)
    assert heirs(one, plane) == {}
    leaves(two, plane)
    meet(plane, one, two, three)
    assert heirs(one, plane) == {}
