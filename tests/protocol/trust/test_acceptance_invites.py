"""The rules of acceptance about invites within one town, each by an example."""

import pytest

from moot_protocol.ids import key_text
from moot_protocol.log.batch import ZEROS
from moot_protocol.log.event import Draft, Write
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.acceptance import FeedKind, Reason
from moot_protocol.trust.charter import CLOSE, certificate_draft
from moot_testkit.bytes.feeds import Town, dot_of, note, signer, stripped
from moot_testkit.naive.settlement import allows, settle
from moot_testkit.naive.settling import held, of


# -- Who may come in -------------------------------------------------------------------------------------------------
def test_a_replica_that_an_invite_s_key_has_certified_counts_with_nobody_of_the_town_at_hand() -> None:
    town = Town()
    guest = town.replica("guest", Role.WRITER, note(), by=town.invite())
    guest.write(note())
    found = of(guest.author, guest, town.charter)
    assert found[:5] == (3, guest.head, FeedKind.REPLICA, town.key.public, Role.WRITER)
    assert found.reason is Reason.NONE


def test_all_users_of_an_open_invite_count() -> None:
    town = Town()
    key = town.invite()
    guests = [town.replica(name, by=key) for name in ("one", "two", "three")]
    found = settle(town.plane, held(*guests, town.charter)).accepted
    assert [found[guest.author].n for guest in guests] == [1, 1, 1]


def test_until_the_invite_is_held_its_users_wait() -> None:
    town = Town()
    guest = town.replica("guest", by=town.invite())
    assert of(guest.author, guest, town.charter.batches[:1])[:2] == (0, ZEROS)
    assert of(guest.author, guest, town.charter.batches[:1]).reason is Reason.NO_INVITE
    bare = [town.charter.batches[0], stripped(town.charter.batches[1])]
    assert of(guest.author, guest, bare).reason is Reason.NO_INVITE
    assert of(guest.author, guest, town.charter).n == 1


@pytest.mark.parametrize("name", ["another invite", "recovery", "one"])
def test_a_key_that_is_no_invite_of_the_town_s_certifies_nobody(name: str) -> None:
    town = Town()
    town.invite()
    guest = town.replica("guest", by=signer(f"town {name}"))
    assert of(guest.author, guest, town.charter).reason is Reason.NO_INVITE


def test_only_a_charter_invites() -> None:
    town = Town()
    admin = town.replica("admin", Role.ADMIN)
    guest = town.replica("guest", by=town.invite(by=admin))
    assert of(guest.author, guest, admin, town.charter).reason is Reason.NO_INVITE
    assert of(admin.author, guest, admin, town.charter).n == 2


@pytest.mark.parametrize("named", [ZEROS, signer("another town").public])
def test_an_invite_for_another_town_lets_in_none_of_the_inviting_town_s_replicas(named: bytes) -> None:
    town = Town()
    guest = town.replica("guest", by=town.invite(town=named))
    assert of(guest.author, guest, town.charter).reason is Reason.NO_INVITE


def test_an_invite_beyond_where_the_charter_counts_lets_nobody_in() -> None:
    town = Town()
    town.end_charter()
    guest = town.replica("guest", by=town.invite())
    town.end(guest.author, 1, guest.head)
    assert of(guest.author, guest, town.charter)[:2] == (0, ZEROS)


# -- With which role -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("invited", "certified", "effective"),
    [
        (Role.WRITER, Role.ADMIN, Role.WRITER),
        (Role.WRITER, Role.WRITER, Role.WRITER),
        (Role.WRITER, Role.READER, Role.READER),
        (Role.READER, Role.ADMIN, Role.READER),
        (Role.READER, Role.WRITER, Role.READER),
    ],
)
def test_the_role_is_the_least_of_the_invite_s_and_the_certificate_s(
    invited: Role, certified: Role, effective: Role
) -> None:
    town = Town()
    guest = town.replica("guest", certified, note(), by=town.invite(role=invited))
    found = of(guest.author, guest, town.charter)
    assert found.role is effective
    assert found.n == (1 if effective is Role.READER else 2)
    assert not allows(found, "role", "document")


def test_an_invite_that_would_let_in_an_admin_is_void() -> None:
    town = Town()
    guest = town.replica("guest", Role.WRITER, by=town.invite(role=Role.ADMIN))
    assert of(guest.author, guest, town.charter).reason is Reason.NO_INVITE


def test_what_an_invite_was_made_with_stays() -> None:
    town = Town()
    key = town.invite(role=Role.READER)
    first = town.charter.batches[-1].events[0]
    town.invite(role=Role.WRITER)
    over = [dot_of(first, town.key.public)]
    town.charter.write(Draft("invite", key_text(key.public), "admin", (Write("invite", removes=True, over=over),)))
    guest = town.replica("guest", Role.WRITER, note(), by=key)
    assert of(guest.author, guest, town.charter).role is Role.READER


def test_expiry_decides_nothing() -> None:
    town = Town()
    guest = town.replica("guest", by=town.invite(expires_ms=1))
    assert of(guest.author, guest, town.charter).n == 1
    for _ in range(3):
        guest.write(note())
    assert of(guest.author, guest, town.charter).n == 4


# -- Closing ---------------------------------------------------------------------------------------------------------
def test_a_close_names_who_counts_and_the_others_end_at_nothing() -> None:
    town = Town()
    key = town.invite()
    meant, thief, late = (town.replica(name, Role.WRITER, note(), by=key) for name in ("meant", "thief", "late"))
    town.close(key, meant.author)
    found = settle(town.plane, held(meant, thief, late, town.charter)).accepted
    assert [found[guest.author].n for guest in (meant, thief, late)] == [2, 0, 0]
    assert found[thief.author][1:5] == (ZEROS, FeedKind.UNKNOWN, b"", None)
    assert (found[thief.author].ended, found[thief.author].reason) == (True, Reason.INVITE_CLOSED)
    assert (found[meant.author].ended, found[meant.author].reason) == (False, Reason.NONE)


def test_closed_for_nobody_an_invite_is_revoked() -> None:
    town = Town()
    key = town.invite()
    guest = town.replica("guest", by=key)
    town.close(key)
    assert of(guest.author, guest, town.charter).reason is Reason.INVITE_CLOSED


def test_the_first_close_holds() -> None:
    town = Town()
    key = town.invite()
    one, two = town.replica("one", by=key), town.replica("two", by=key)
    first = town.close(key, one.author)
    town.close(key, two.author)
    over = [dot_of(first.events[0], town.key.public)]
    town.charter.write(Draft("invite", key_text(key.public), "admin", (Write(CLOSE, [two.author], over),)))
    town.charter.write(Draft("invite", key_text(key.public), "admin", (Write(CLOSE, removes=True, over=over),)))
    found = settle(town.plane, held(one, two, town.charter)).accepted
    assert (found[one.author].n, found[two.author].n) == (1, 0)


def test_a_close_that_was_written_before_its_invite_holds_too() -> None:
    town = Town()
    key = signer("town invite")
    town.close(key)
    guest = town.replica("guest", by=town.invite())
    assert of(guest.author, guest, town.charter).reason is Reason.INVITE_CLOSED


def test_making_an_invite_again_does_not_open_it_again() -> None:
    town = Town()
    key = town.invite()
    guest = town.replica("guest", by=key)
    town.close(key)
    town.invite()
    assert of(guest.author, guest, town.charter).reason is Reason.INVITE_CLOSED


def test_a_malformed_close_closes_nothing_and_is_not_the_first() -> None:
    town = Town()
    key = town.invite()
    guest = town.replica("guest", by=key)
    for value in (None, [b"short"], [guest.author, guest.author]):
        town.charter.write(Draft("invite", key_text(key.public), "admin", (Write(CLOSE, value),)))
    assert of(guest.author, guest, town.charter).n == 1
    town.close(key, guest.author)
    assert of(guest.author, guest, town.charter).n == 1


def test_an_event_is_void_as_a_whole() -> None:
    town = Town()
    key = signer("town invite")
    value = ["writer", town.key.public, 0, bytes(32)]
    town.charter.write(Draft("invite", key_text(key.public), "admin", (Write("invite", value), Write(CLOSE, 7))))
    guest = town.replica("guest", by=key)
    assert of(guest.author, guest, town.charter).reason is Reason.NO_INVITE


def test_only_the_inviting_town_closes() -> None:
    town = Town()
    key = town.invite()
    admin, guest = town.replica("admin", Role.ADMIN), town.replica("guest", by=key)
    town.close(key, by=admin)
    town.close(key, by=guest)
    assert of(guest.author, guest, admin, town.charter).n == 2


def test_a_close_says_nothing_of_another_invite_s_users_nor_of_the_town_s_own() -> None:
    town = Town()
    closed, other = town.invite("closed"), town.invite("other")
    guest, own = town.replica("guest", by=other), town.replica("own")
    town.close(closed)
    found = settle(town.plane, held(guest, own, town.charter)).accepted
    assert (found[guest.author].n, found[own.author].n) == (1, 1)


def test_who_a_close_has_ended_comes_back_under_a_new_key() -> None:
    town = Town()
    key = town.invite()
    lost = town.replica("lost", Role.WRITER, note(), by=key)
    town.close(key)
    again = town.replica("lost, again", Role.WRITER, note(), by=town.invite("another"))
    found = settle(town.plane, held(lost, again, town.charter)).accepted
    assert (found[lost.author].n, found[again.author].n) == (0, 2)


# -- Together with forks and ends ------------------------------------------------------------------------------------
def test_a_close_counts_only_as_far_as_its_charter_does() -> None:
    town = Town()
    key = town.invite()
    guest = town.replica("guest", by=key)
    right = town.charter.fork("right")
    town.charter.write(note("left"))
    town.close(key, by=right)
    assert of(guest.author, guest, town.charter, right).n == 1
    town.end_charter(right)
    assert of(guest.author, guest, town.charter, right).n == 0


def test_an_end_cuts_an_invited_replica_s_feed_as_any_other() -> None:
    town = Town()
    key = town.invite()
    guest = town.replica("guest", by=key)
    guest.write(note())
    town.end(guest.author, 1, guest.batches[0].id)
    found = of(guest.author, guest, town.charter)
    assert (found.n, found.reason) == (1, Reason.ENDED)
    town.close(key, guest.author)
    assert of(guest.author, guest, town.charter).n == 1


def test_an_end_that_names_a_replica_doesn_t_save_it_from_a_close_that_doesn_t() -> None:
    town = Town()
    key = town.invite()
    guest = town.replica("guest", by=key)
    town.end(guest.author, 1, guest.head)
    town.close(key)
    found = of(guest.author, guest, town.charter)
    assert (found.n, found.reason) == (0, Reason.INVITE_CLOSED)


def test_the_end_of_a_charter_ends_invited_replicas_that_it_does_not_list() -> None:
    town = Town()
    guest = town.replica("guest", by=town.invite())
    town.end_charter()
    assert of(guest.author, guest, town.charter).reason is Reason.ENDED


def test_a_pin_acts_on_a_branch_whose_invite_is_closed_for_it_is_the_town_s_all_the_same() -> None:
    town = Town()
    key = town.invite()
    left = town.replica("one")
    right = left.fork("right", 0)
    right.write(certificate_draft(town.certificate(left.author, by=key), left.author, "admin"))
    town.close(key)
    town.end(left.author, 1, left.head)
    assert of(left.author, left, right, town.charter).n == 1
    town.end(left.author, 1, right.head)
    assert of(left.author, left, right, town.charter).n == 0


def test_a_pin_of_a_branch_that_no_invite_of_the_town_s_has_opened_is_void() -> None:
    town = Town()
    left = town.replica("one")
    right = left.fork("right", 0)
    right.write(certificate_draft(town.certificate(left.author, by=signer("anyone")), left.author, "admin"))
    town.end(left.author, 1, left.head)
    town.end(left.author, 1, right.head)
    assert of(left.author, left, right, town.charter).n == 1
