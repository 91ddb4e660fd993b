"""The rules of acceptance about removals, each by an example."""

import pytest

from moot_protocol.clock import from_ms
from moot_protocol.log.batch import ZEROS
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.acceptance import FeedKind, Reason
from moot_protocol.trust.charter import End, end_draft
from moot_protocol.trust.towns import TownReason
from moot_testkit.bytes.feeds import START_MS, Guest, dot_of, note, seed, stripped
from moot_testkit.towns.town_planes import Plane, below, recovering


# -- What a removal does ---------------------------------------------------------------------------------------------
def test_a_removal_pins_each_author_of_the_town_and_what_it_wrote_before_stays() -> None:
    plane = Plane("guest")
    (guest,), (_, one) = plane.guests, plane.ones
    plane.founder.remove(guest, one)
    one.write(note("later"))
    guest.charter.write(note())
    found = plane.of(one)
    assert (found.n, found.role, found.ended, found.reason) == (2, Role.ADMIN, True, Reason.ENDED)
    assert plane.of(guest)[:2] == (1, guest.charter.batches[0].id)
    assert plane.standing(guest)[2:] == (Role.ADMIN, 2, plane.founder.key.public, True, TownReason.REMOVED)


def test_an_author_that_a_removal_doesn_t_list_ends_at_nothing_whenever_it_appears() -> None:
    plane = Plane("guest")
    (guest,), (_, one) = plane.guests, plane.ones
    plane.founder.remove(guest)
    fresh = guest.replica("fresh", Role.WRITER, note())
    plane.more = [fresh]
    assert (plane.of(one).n, plane.of(fresh).n) == (0, 0)
    assert plane.of(fresh).reason is Reason.ENDED


def test_a_removed_town_s_key_lists_nobody_in_its_own_charter_to_save_them() -> None:
    plane = Plane("guest")
    (guest,) = plane.guests
    fresh = guest.replica("fresh", Role.WRITER, note())
    guest.end(fresh.author, fresh.n, fresh.head)
    plane.founder.remove(guest, plane.ones[1])
    plane.more = [fresh]
    assert plane.of(fresh).n == 0


def test_what_two_removers_list_counts_where_both_do() -> None:
    plane, (founder, second, third) = below("second", "third")
    one, two = plane.ones[-1], third.replica("two")
    plane.more = [two]
    second.remove(third, one, two)
    one.write(note())
    assert [plane.of(feed).n for feed in (one, two)] == [2, 1]
    founder.admit(third)
    founder.remove(third, one)
    assert [plane.of(feed).n for feed in (one, two)] == [3, 0], "what admits it in the remover's place restores it"


def test_a_removed_administrator_who_backdates_gains_nothing() -> None:
    plane = Plane("guest", "other")
    guest, other = plane.guests
    plane.founder.remove(guest, plane.ones[1])
    branch = plane.ones[1].fork("backdated", 1)
    branch.hlc = from_ms(START_MS) + 1
    branch.write(note("as if long ago"))
    plane.more = [branch, guest.charter.fork("old", 1)]
    plane.more[1].write(end_draft(other.key.public, End(0, ZEROS, other.key.public), "admin"))
    guest.charter.write(end_draft(other.key.public, End(0, ZEROS, other.key.public), "admin"))
    assert plane.of(plane.ones[1])[:2] == (2, plane.ones[1].head)
    assert plane.of(other).n == 1


def test_an_end_of_a_charter_alone_is_a_removal() -> None:
    plane = Plane("guest")
    (guest,) = plane.guests
    guest.charter.write(note())
    plane.founder.end(guest.key.public, 0, ZEROS, of=guest.key.public)
    assert plane.of(plane.ones[1]).reason is Reason.ENDED
    assert plane.standing(guest).ended


def test_the_first_event_of_a_charter_counts_whatever_pins_it_as_its_listed_replicas_rest_on_it() -> None:
    plane = Plane("guest")
    (guest,), (_, one) = plane.guests, plane.ones
    guest.charter.write(note())
    plane.founder.end(guest.key.public, 0, ZEROS, of=guest.key.public)
    plane.founder.end(one.author, 2, one.head, of=guest.key.public)
    assert (plane.of(one).n, plane.of(one).town) == (2, guest.key.public)
    opening = plane.of(guest)
    assert (opening[:3], opening.reason) == ((1, guest.charter.batches[0].id, FeedKind.CHARTER), Reason.ENDED)


def test_the_genesis_counts_though_the_recovery_key_pins_the_founder_at_nothing() -> None:
    plane, paper = recovering()
    founder = plane.founder
    paper.end(founder.key.public, 0, ZEROS, of=founder.key.public)
    assert plane.of(founder)[:2] == (1, founder.charter.batches[0].id)
    assert plane.of(plane.ones[0]).n == 0
    assert plane.of(paper).n == 2


def test_where_a_charter_forks_at_its_first_batch_a_pin_at_nothing_leaves_nothing() -> None:
    plane = Plane("guest")
    (guest,) = plane.guests
    plane.more = [guest.open_charter(salt="other")]
    plane.founder.end(guest.key.public, 0, ZEROS, of=guest.key.public)
    assert (plane.of(guest).n, plane.of(guest).forked_at) == (0, 1)


@pytest.mark.parametrize("n", [0, 7])
def test_an_end_of_a_charter_that_is_void_removes_nobody(n: int) -> None:
    plane = Plane("guest")
    (guest,) = plane.guests
    if n:
        plane.founder.end(guest.key.public, n, guest.charter.head, of=guest.key.public)
    else:
        plane.founder.end(guest.key.public, 0, ZEROS, of=plane.founder.key.public)
    assert not plane.standing(guest).ended
    assert plane.of(plane.ones[1]).n == 2


def test_an_end_acts_only_on_an_author_of_the_town_it_names() -> None:
    plane = Plane("guest", "other")
    guest, other = plane.guests
    one = plane.ones[1]
    plane.founder.end(one.author, 0, ZEROS, of=other.key.public)
    plane.founder.end(one.author, 1, one.head, of=one.author)
    assert plane.of(one).n == 2
    plane.founder.end(one.author, 0, ZEROS, of=guest.key.public)
    assert plane.of(one).n == 0


# -- Who may remove whom ---------------------------------------------------------------------------------------------
def test_peers_can_t_remove_one_another() -> None:
    plane = Plane("one", "other")
    one, other = plane.guests
    one.remove(other, plane.ones[2])
    other.remove(one, plane.ones[1])
    one.end(plane.ones[2].author, 0, ZEROS, of=other.key.public)
    assert [plane.of(feed).n for feed in plane.ones] == [2, 2, 2]
    assert not plane.standing(one).ended


def test_a_deeper_town_can_t_end_a_shallower_one_nor_itself_be_safe() -> None:
    plane, (founder, second, third) = below("second", "third")
    third.remove(second)
    third.remove(founder)
    assert [plane.of(feed).n for feed in plane.ones] == [2, 2, 2]
    second.remove(third)
    assert [plane.of(feed).n for feed in plane.ones] == [2, 2, 0]


@pytest.mark.parametrize("role", [Role.WRITER, Role.READER])
def test_only_admins_end_other_towns(role: Role) -> None:
    plane, (founder, _, third) = below("second", "third")
    clerk = founder.guest("clerk")
    founder.admit(clerk, role)
    plane.towns.append(clerk)
    clerk.remove(third)
    clerk.end(plane.ones[2].author, 0, ZEROS, of=third.key.public)
    assert (plane.standing(clerk).depth, plane.standing(third).ended) == (2, False)
    assert plane.of(plane.ones[2]).n == 2


@pytest.mark.parametrize("role", Role)
def test_a_charter_ends_its_own_replicas_whatever_its_town_s_role(role: Role) -> None:
    plane = Plane()
    guest = plane.founder.guest("guest")
    plane.founder.admit(guest, role)
    one = guest.replica("one", Role.WRITER, note())
    plane.towns.append(guest)
    plane.more = [one]
    guest.end(one.author, 0, ZEROS)
    assert plane.of(one).n == 0


def test_an_admin_ends_a_single_replica_of_a_deeper_town() -> None:
    plane, (_, second, third) = below("second", "third")
    second.end(plane.ones[2].author, 1, plane.ones[2].head, of=third.key.public)
    assert [plane.of(feed).n for feed in plane.ones] == [2, 2, 1]
    assert not plane.standing(third).ended


def test_what_a_town_did_before_it_was_removed_stays_done() -> None:
    plane, (founder, second, third) = below("second", "third")
    fourth = plane.guest("fourth", second)
    second.remove(fourth, plane.ones[3])
    founder.remove(second, plane.ones[1])
    plane.ones[3].write(note("later"))
    assert plane.of(plane.ones[3]).n == 2
    assert plane.standing(third).role is Role.ADMIN


def test_a_removal_that_a_shallower_town_s_end_cuts_off_is_undone() -> None:
    plane, (founder, second, third) = below("second", "third")
    before = second.charter.head
    second.remove(third)
    assert plane.of(plane.ones[2]).n == 0
    founder.end(second.key.public, 2, before, of=second.key.public)
    assert plane.of(plane.ones[2]).n == 2


# -- Removal and admission -------------------------------------------------------------------------------------------
def test_a_removal_by_a_shallower_town_voids_an_admission_by_a_deeper_one() -> None:
    plane, (founder, second, third) = below("second", "third")
    fourth = plane.guest("fourth", third)
    founder.remove(third, plane.ones[2])
    assert plane.of(plane.ones[2]).reason is Reason.OTHER_TOWN
    assert plane.standing(third)[2:] == (None, -1, b"", False, TownReason.REMOVED)
    assert plane.standing(fourth).reason is TownReason.NOT_ADMITTED
    second.admit(third)
    assert plane.of(plane.ones[2]).n == 0


def test_who_removes_and_admits_keeps_what_was_written_up_to_the_pins() -> None:
    plane, (founder, _, third) = below("second", "third")
    founder.remove(third, plane.ones[2])
    founder.admit(third, Role.ADMIN)
    plane.ones[2].write(note("later"))
    assert plane.of(plane.ones[2]).n == 2
    assert plane.standing(third).depth == 2


def test_an_admission_at_the_depth_of_the_remover_neither_falls_nor_lifts_the_pins() -> None:
    plane, (_, second, third) = below("second", "third")
    other = plane.guest("other", plane.founder)
    other.remove(third, plane.ones[2])
    second.admit(third)
    other.admit(third)
    plane.ones[2].write(note("later"))
    found = plane.of(plane.ones[2])
    assert (found.n, found.reason) == (2, Reason.ENDED)


def test_a_shallower_town_s_admission_lifts_a_deeper_one_s_removal() -> None:
    plane, (founder, second, third) = below("second", "third")
    second.remove(third)
    assert plane.of(plane.ones[2]).n == 0
    founder.admit(third, Role.WRITER)
    found = plane.of(plane.ones[2])
    assert (found.n, found.role, found.reason) == (2, Role.WRITER, Reason.NONE)


def test_a_remover_takes_its_own_ends_back_and_no_other_town_does() -> None:
    plane = Plane("guest", "other")
    guest, other = plane.guests
    removal = plane.founder.remove(guest)
    dots = [dot_of(removal.events[0], plane.founder.key.public)]
    beyond = End(guest.charter.n, guest.charter.head, guest.key.public)
    other.charter.write(end_draft(guest.key.public, beyond, "admin", dots))
    assert plane.of(plane.ones[1]).n == 0
    void = End(99, guest.charter.head, guest.key.public)
    plane.founder.charter.write(end_draft(guest.key.public, void, "admin", dots))
    assert plane.of(plane.ones[1]).n == 2


def test_to_lower_a_role_a_town_is_removed_and_let_in_under_a_new_key() -> None:
    plane = Plane("guest")
    (guest,) = plane.guests
    plane.founder.remove(guest, plane.ones[1])
    renewed = Guest(plane.founder, "guest, renewed")
    plane.towns.append(renewed)
    plane.founder.admit(renewed, Role.READER)
    fresh = renewed.replica("fresh", Role.ADMIN, note())
    plane.more = [fresh]
    assert [(plane.of(feed).n, plane.of(feed).role) for feed in (plane.ones[1], fresh)] == [
        (2, Role.ADMIN),
        (1, Role.READER),
    ]


def test_removed_at_the_same_time_as_it_admits_others_a_town_is_bound_by_the_pin() -> None:
    plane = Plane("guest")
    (guest,) = plane.guests
    plane.founder.remove(guest, plane.ones[1])
    late = plane.guest("late", guest)
    assert plane.standing(late).reason is TownReason.NOT_ADMITTED
    assert plane.of(plane.ones[2]).n == 0


# -- Charters that fork or end themselves ----------------------------------------------------------------------------
def test_a_stolen_town_key_that_forks_at_the_first_batch_stops_its_charter_and_not_its_replicas() -> None:
    plane = Plane("guest")
    (guest,) = plane.guests
    third = plane.guest("third", guest)
    plane.more = [guest.open_charter(salt="stolen")]
    plane.more[0].write(end_draft(plane.ones[1].author, End(0, ZEROS, guest.key.public), "admin"))
    assert (plane.of(guest).n, plane.of(guest).reason, plane.of(guest).kind) == (0, Reason.FORKED, FeedKind.CHARTER)
    assert plane.standing(guest).reason is TownReason.FORKED
    assert plane.of(plane.ones[1]).n == 2
    assert plane.standing(third).role is None


def test_a_pin_by_a_shallower_town_settles_a_charter_that_forks_at_the_first_batch() -> None:
    plane = Plane("guest")
    (guest,) = plane.guests
    plane.guest("third", guest)
    plane.more = [guest.open_charter(salt="stolen")]
    guest_at = guest.charter.n, guest.charter.head
    guest.end_charter(plane.more[0])
    assert plane.of(guest).n == 2, "the thief ends the town, on its branch"
    plane.founder.remove(guest, plane.ones[1])
    assert plane.of(guest)[:2] == guest_at
    assert [plane.of(feed).n for feed in plane.ones] == [2, 2, 2]


def test_a_town_that_ends_itself_keeps_what_it_listed_and_whom_it_let_in() -> None:
    plane = Plane("guest")
    (guest,) = plane.guests
    third = plane.guest("third", guest)
    two = guest.replica("two")
    plane.more = [two]
    guest.end(plane.ones[1].author, 1, plane.ones[1].head)
    guest.end_charter()
    assert [plane.of(feed).n for feed in (plane.ones[1], two, plane.ones[2])] == [1, 0, 2]
    assert plane.standing(guest)[2:] == (Role.ADMIN, 2, plane.founder.key.public, True, TownReason.ENDED)
    assert plane.standing(third).role is Role.ADMIN


def test_an_own_end_counts_where_a_shallower_pin_leaves_it_standing() -> None:
    plane = Plane("guest")
    (guest,) = plane.guests
    one = plane.ones[1]
    before = guest.charter.n, guest.charter.head
    guest.end_charter()
    plane.founder.end(one.author, one.n, one.head, of=guest.key.public)
    assert plane.of(one).n == 0
    plane.founder.end(guest.key.public, *before, of=guest.key.public)
    assert plane.of(guest).n == 1
    assert plane.of(one).n == 2


def test_a_removal_does_not_take_back_where_a_charter_had_ended_itself_before() -> None:
    plane = Plane("guest")
    (guest,) = plane.guests
    guest.end_charter()
    ended_at = guest.charter.n
    guest.invite()
    plane.founder.remove(guest, plane.ones[1])
    assert guest.charter.n > ended_at
    assert plane.of(guest).n == ended_at


def test_an_own_end_beyond_a_pin_whose_batch_is_not_held_doesn_t_count() -> None:
    plane = Plane("guest")
    (guest,) = plane.guests
    one = plane.ones[1]
    guest.end_charter()
    plane.founder.end(one.author, one.n, one.head, of=guest.key.public)
    plane.founder.end(guest.key.public, 1, seed("unheld"), of=guest.key.public)
    assert (plane.of(guest).n, plane.of(one).n) == (1, 2)


def test_until_it_has_all_its_values_a_removal_is_not_held() -> None:
    plane = Plane("guest")
    plane.founder.remove(plane.guests[0])
    plane.founder.charter.batches[-1] = stripped(plane.founder.charter.batches[-1], [plane.founder.charter.n])
    assert plane.of(plane.ones[1]).n == 2


def test_a_pin_whose_batch_is_not_held_counts_on_the_charter_s_trunk() -> None:
    plane = Plane("guest")
    (guest,) = plane.guests
    guest.charter.write(note())
    plane.founder.end(guest.key.public, 1, seed("unheld"), of=guest.key.public)
    assert (plane.of(guest).n, plane.of(plane.ones[1]).n) == (1, 0)


# -- The recovery key ------------------------------------------------------------------------------------------------
def test_the_recovery_key_replaces_a_stolen_founder() -> None:
    plane, paper = recovering()
    before = plane.founder.charter.n
    heir = plane.guest("heir", paper)
    paper.remove(plane.founder, plane.ones[0])
    plane.founder.remove(heir)
    plane.founder.remove(plane.guests[0])
    assert plane.of(plane.founder).n == before
    assert [plane.of(feed).n for feed in plane.ones] == [2, 2, 2]
    heir.remove(plane.guests[0], plane.ones[1])
    assert plane.standing(plane.guests[0]).ended


def test_a_forked_recovery_key_stands_before_the_fork_and_nothing_settles_it() -> None:
    plane, paper = recovering()
    heir = plane.guest("heir", paper)
    twin = paper.charter.fork("twin")
    plane.more = [twin]
    paper.charter.write(note())
    twin.write(note())
    paper.end_charter()
    plane.founder.end(paper.key.public, 2, paper.charter.batches[1].id, of=paper.key.public)
    paper.remove(plane.founder)
    assert plane.of(paper)[:2] == (2, paper.charter.batches[1].id)
    assert (plane.standing(heir).depth, plane.standing(plane.founder).ended) == (1, False)
