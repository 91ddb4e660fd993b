"""What a charter says here: only its accepted events count, and a member is who has opened a feed."""

from moot_protocol.charter_reading import Epochs
from moot_protocol.kinds import Role
from moot_testkit.carrying import founder, invited, joined, newcomer, plane_of, send
from moot_testkit.engine import Desk
from moot_testkit.feeds import FeedWriter, Town, note
from moot_testkit.town import Member
from mootd.engine.charters import charter_events, epochs_of, invites_of, members_of
from mootd.engine.exchange import Snapshot
from mootd.engine.inviting import close_invite, open_plane
from mootd.engine.log import PlaneRow
from mootd.engine.unit import Unit


def members(member: Member | Desk, plane: PlaneRow | None = None) -> dict[bytes, tuple[str, bytes]]:
    """Replica → its role and who signed its certificate."""
    with member.replica.read() as reader:
        found = list(members_of(Snapshot(reader), plane or member.replica.ledger))
    return {each.row.author: (each.row.role, each.certificate.signer) for each in found}


def test_before_a_plane_s_charter_has_come_it_says_nothing() -> None:
    member = newcomer()
    ticket = invited(founder()).ticket
    plane = joined(member, ticket)
    with member.replica.read() as reader:
        source = Snapshot(reader)
        assert charter_events(source, plane) == []
        assert epochs_of(source, plane) == Epochs((), ())
        assert invites_of(source, plane) == {}
        assert list(members_of(source, plane)) == []


def test_all_events_of_the_charter_are_read_in_order() -> None:
    member = founder()
    invited(member)
    with member.replica.read() as reader:
        events = [placed.event for placed in charter_events(Snapshot(reader), member.ledger)]
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
        assert list(invites_of(Snapshot(reader), desk.replica.ledger)) == [kept.public]


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
