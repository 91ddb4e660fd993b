"""Invites and epochs: only the town's machine makes and closes them, and of who used one those count that it names."""

from collections.abc import Sequence

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from moot_protocol.clock import MAX_HLC
from moot_protocol.errors import Code
from moot_protocol.merge.kinds import Role
from moot_protocol.sealing.frame import epoch_id
from moot_protocol.trust.certificate import CertificateBody, build_certificate
from moot_protocol.trust.charter import certificate_draft
from moot_protocol.trust.charter_reading import Epochs, Invitation
from moot_protocol.trust.ticket import (
    Remote,
    RemoteKind,
    Ticket,
    decode_ticket,
    encode_ticket,
    invite_hpke_private,
    invite_signer,
)
from moot_testkit.bytes.feeds import FeedWriter, seed, signer
from moot_testkit.refusals import refusal_code
from moot_testkit.towns.carrying import create, founder, invited, joined, newcomer, plane_of, send
from moot_testkit.towns.town import START_MS, Member, make_town
from mootd.engine.membership.charter_writing import end_replica
from mootd.engine.membership.charters import epochs_of, invites_of
from mootd.engine.membership.epochs import begin_epoch
from mootd.engine.membership.inviting import close_invite, invite, open_plane, users_of
from mootd.engine.membership.joining import present_epoch
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.membership.towns import is_own
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.log_snapshot import LogSnapshot


def epochs(member: Member, plane: PlaneRow | None = None) -> Epochs:
    with member.replica.read() as reader:
        return epochs_of(LogSnapshot(reader), plane or member.ledger)


def invites(member: Member) -> dict[bytes, Invitation]:
    with member.replica.read() as reader:
        return invites_of(LogSnapshot(reader), member.ledger)


def close(member: Member, key: bytes, keep: Sequence[bytes] | None = None) -> list[bytes]:
    return member.commit(lambda unit: close_invite(unit, unit.replica.ledger, key, keep))


def users(member: Member, key: bytes) -> set[bytes]:
    return set(member.commit(lambda unit: users_of(unit, unit.replica.ledger, key)))


def enter(ticket: Ticket, town: Member, name: str) -> tuple[Member, PlaneRow]:
    """A machine that has joined with a ticket and been seen by the town."""
    member = newcomer(name)
    plane = joined(member, ticket)
    send(town, member)
    send(member, town, plane.id)
    return member, plane


def counted(member: Member, author: bytes) -> int:
    """How many events of an author count on a member's ledger."""
    number = member.replica.feed_numbers[member.ledger.number, author]
    return member.replica.feeds[number].n


# -- Opening a plane ---------------------------------------------------------------------------------------------
def test_a_plane_is_opened_with_a_topic_key_and_a_first_epoch() -> None:
    member = founder()
    keys = member.commit(lambda unit: open_plane(unit, unit.replica.ledger))
    (epoch,) = epochs(member).written
    assert keys.has_topic
    assert keys.key_of(epoch.id) is not None
    assert epoch.value.sealed == b""
    assert set(epoch.value.wraps) == {member.id}
    assert present_epoch(member.replica, member.ledger) == epoch.id


def test_a_plane_is_opened_once() -> None:
    member = founder()
    topics = [member.commit(lambda unit: open_plane(unit, unit.replica.ledger)).topic_key for _ in range(2)]
    assert topics[0] == topics[1]
    assert len(epochs(member).written) == 1


def test_what_was_taken_back_opens_nothing_and_can_be_done_again() -> None:
    member = founder()
    member.commit(lambda unit: unit.try_out(lambda unit: open_plane(unit, unit.replica.ledger)))
    assert epochs(member).written == ()
    keys = member.commit(lambda unit: open_plane(unit, unit.replica.ledger))
    assert keys.key_of(epochs(member).written[0].id) is not None


def test_an_operational_plane_can_not_be_opened_or_invited_to() -> None:
    member = founder()
    row = member.replica.plane_named("operational")
    assert refusal_code(lambda: member.commit(lambda unit: open_plane(unit, row))) is Code.DENIED
    assert refusal_code(lambda: member.commit(lambda unit: invite(unit, row, Role.WRITER, 0, ()))) is Code.DENIED
    assert epochs(member, row).written == ()
    assert not PlaneKeys(member.keys, row.id).has_topic


def test_only_where_the_town_s_key_is_can_any_of_this_be_done() -> None:
    one, two = make_town(2)
    key = invited(one).key
    assert one.commit(lambda unit: is_own(unit, one.ledger))
    assert not two.commit(lambda unit: is_own(unit, two.ledger))
    for act in (
        lambda: two.commit(lambda unit: open_plane(unit, two.ledger)),
        lambda: two.commit(lambda unit: begin_epoch(unit, two.ledger, PlaneKeys(two.keys, two.ledger.id))),
        lambda: invited(two),
        lambda: close(two, key),
    ):
        assert refusal_code(act) is Code.DENIED


def test_a_town_of_one_s_own_is_not_the_town_of_every_plane() -> None:
    one, two = founder(), founder("other")
    plane = joined(two, invited(one).ticket)
    send(one, two)
    assert two.commit(lambda unit: is_own(unit, two.ledger))
    assert not two.commit(lambda unit: is_own(unit, plane))
    assert refusal_code(lambda: two.commit(lambda unit: invite(unit, plane, Role.WRITER, 0, ()))) is Code.DENIED


# -- Epochs ------------------------------------------------------------------------------------------------------
def test_a_new_epoch_holds_the_one_before_it_and_is_for_members_and_open_invites() -> None:
    one = founder()
    used, unused, closed = invited(one), invited(one), invited(one)
    two, _ = enter(used.ticket, one, "two")
    close(one, used.key)
    first = present_epoch(one.replica, one.ledger)
    close(one, closed.key)
    old = present_epoch(one.replica, one.ledger)
    assert old != first  # whoever has that ticket has the first key
    keys = PlaneKeys(one.keys, one.ledger.id)
    new = one.commit(lambda unit: begin_epoch(unit, unit.replica.ledger, keys))
    known = epochs(one)
    assert [epoch.id for epoch in known.written] == [first, old, new]
    assert [epoch.id for epoch in known.live] == [new]
    assert set(known.live[0].value.wraps) == {one.id, two.id, unused.key}
    assert present_epoch(one.replica, one.ledger) == new != old
    send(one, two)
    theirs = PlaneKeys(two.keys, one.ledger.id)
    assert theirs.key_of(new) == keys.key_of(new) is not None
    assert present_epoch(two.replica, plane_of(two, one.ledger.id)) == new


def test_who_was_put_out_gets_no_key_that_comes_after() -> None:
    one = founder()
    made = invited(one)
    two, _ = enter(made.ticket, one, "two")
    close(one, made.key, [])
    keys = PlaneKeys(one.keys, one.ledger.id)
    new = one.commit(lambda unit: begin_epoch(unit, unit.replica.ledger, keys))
    send(one, two)
    assert set(epochs(one).live[0].value.wraps) == {one.id}
    assert PlaneKeys(two.keys, one.ledger.id).key_of(new) is None


def test_a_replica_whose_feed_has_ended_gets_no_new_key_though_what_it_wrote_counts() -> None:
    one = founder()
    two, _ = enter(invited(one).ticket, one, "two")
    one.commit(lambda unit: end_replica(unit, one.ledger.number, two.id, 1))
    assert counted(one, two.id) == 1
    one.commit(lambda unit: begin_epoch(unit, unit.replica.ledger, PlaneKeys(one.keys, one.ledger.id)))
    assert two.id not in epochs(one).live[0].value.wraps


def test_a_newcomer_learns_every_epoch_there_ever_was() -> None:
    one = founder()
    keys = one.commit(lambda unit: open_plane(unit, unit.replica.ledger))
    ledger = one.ledger

    one.commit(lambda unit: [begin_epoch(unit, ledger, keys) for _ in range(2)])
    two, _ = enter(invited(one).ticket, one, "two")
    theirs = PlaneKeys(two.keys, ledger.id)
    assert len(epochs(one).written) == 3
    assert all(theirs.key_of(epoch.id) == keys.key_of(epoch.id) is not None for epoch in epochs(one).written)


# -- Tickets -----------------------------------------------------------------------------------------------------
def test_a_ticket_holds_what_a_newcomer_needs_and_the_charter_the_rest() -> None:
    one = founder()
    remotes = [Remote(RemoteKind.GIT, "file:///srv/town.git")]
    made = one.commit(lambda unit: invite(unit, unit.replica.ledger, Role.READER, START_MS + 5, remotes))
    ticket = decode_ticket(encode_ticket(made.ticket))
    keys = PlaneKeys(one.keys, one.ledger.id)
    assert (ticket.plane, ticket.plane_name, ticket.town) == (one.ledger.id, "ledger", one.ledger.town)
    assert ticket.remotes == tuple(remotes)
    assert ticket.topic_key == keys.topic_key
    assert epoch_id(ticket.plane_key) == present_epoch(one.replica, one.ledger)
    assert invite_signer(ticket.invite_seed).public == made.key
    found = invites(one)[made.key]
    hpke = X25519PrivateKey.from_private_bytes(invite_hpke_private(ticket.invite_seed)).public_key()
    assert found.counting is None
    assert found.invite == (Role.READER, one.ledger.town, START_MS + 5, hpke.public_bytes_raw())


def test_every_invite_is_another_one() -> None:
    one = founder()
    assert len({invited(one).key for _ in range(3)}) == len(invites(one)) == 3
    assert len(epochs(one).written) == 1


def test_nobody_is_invited_as_an_administrator() -> None:
    one = founder()
    assert refusal_code(lambda: invited(one, Role.ADMIN)) is Code.INVALID
    assert invites(one) == {}


@pytest.mark.parametrize("expires_ms", [-1, MAX_HLC])
def test_an_expiry_that_is_no_time_is_refused(expires_ms: int) -> None:
    one = founder()
    assert refusal_code(lambda: invited(one, expires_ms=expires_ms)) is Code.INVALID
    assert invites(one) == {}


def test_who_is_invited_as_a_reader_only_reads() -> None:
    one = founder()
    two, plane = enter(invited(one, Role.READER).ticket, one, "two")
    assert counted(one, two.id) == 1
    assert refusal_code(lambda: create(two, plane=plane.name)) is Code.DENIED


# -- Using and closing -------------------------------------------------------------------------------------------
def test_an_open_invite_lets_in_everyone_who_uses_it() -> None:
    one = founder()
    made = invited(one)
    others = [enter(made.ticket, one, name) for name in ("two", "three")]
    assert users(one, made.key) == {member.id for member, _ in others}
    for member, plane in others:
        create(member, plane=plane.name)
        send(member, one, plane.id)
        assert counted(one, member.id) > 1


def test_an_invite_that_has_expired_counts_until_it_is_closed() -> None:
    one = founder()
    made = invited(one, expires_ms=START_MS - 1)
    two, plane = enter(made.ticket, one, "two")
    create(two, plane=plane.name)
    send(two, one, plane.id)
    assert counted(one, two.id) > 1
    assert close(one, made.key) == [two.id]
    assert counted(one, two.id) > 1


def test_a_close_keeps_who_used_the_invite_and_nobody_who_comes_later() -> None:
    one = founder()
    made = invited(one)
    two, plane = enter(made.ticket, one, "two")
    three = newcomer("three")
    joined(three, made.ticket)
    send(one, three)
    create(three, plane=plane.name)
    assert close(one, made.key) == [two.id]
    send(three, one, plane.id)
    assert (counted(one, two.id), counted(one, three.id)) == (1, 0)
    assert invites(one)[made.key].counting == frozenset({two.id})
    # Whoever comes too late is told at its next write.
    send(one, three)
    assert refusal_code(lambda: create(three, plane=plane.name)) is Code.DENIED


def test_a_close_may_keep_some_and_takes_back_what_the_others_wrote() -> None:
    one = founder()
    made = invited(one)
    two, plane = enter(made.ticket, one, "two")
    three, _ = enter(made.ticket, one, "three")
    for member in (two, three):
        create(member, plane=plane.name)
        send(member, one, plane.id)
    assert close(one, made.key, [three.id]) == [three.id]
    assert counted(one, two.id) == 0
    assert counted(one, three.id) > 1
    assert users(one, made.key) == {three.id}


def test_an_invite_is_revoked_by_keeping_nobody() -> None:
    one = founder()
    made = invited(one)
    two, plane = enter(made.ticket, one, "two")
    assert close(one, made.key, []) == []
    assert counted(one, two.id) == 0
    send(one, two)
    assert refusal_code(lambda: create(two, plane=plane.name)) is Code.DENIED


def test_the_first_close_holds() -> None:
    one = founder()
    made = invited(one)
    assert close(one, made.key) == []
    assert refusal_code(lambda: close(one, made.key)) is Code.CONFLICT
    assert refusal_code(lambda: close(one, made.key, [one.id])) is Code.CONFLICT
    assert invites(one)[made.key].counting == frozenset()


def test_an_invite_that_is_none_can_not_be_closed() -> None:
    one = founder()
    invited(one)
    assert refusal_code(lambda: close(one, seed("nobody"))) is Code.NOT_FOUND


def test_a_certificate_under_an_invite_that_is_none_counts_for_nothing() -> None:
    one = founder()
    invited(one)
    subject = signer("subject")
    body = CertificateBody(1, one.ledger.id, one.ledger.town, subject.public, seed("hpke"), Role.WRITER)
    writer = FeedWriter(one.ledger.id, subject)
    certificate = build_certificate(body, signer("an invite of one's own"))
    one.take(writer.write(certificate_draft(certificate, subject.public, "")))
    assert counted(one, subject.public) == 0
