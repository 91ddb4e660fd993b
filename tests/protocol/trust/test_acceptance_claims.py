"""The rules of acceptance about keys that two towns claim, each by an example."""

from moot_protocol.log.batch import ZEROS
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.acceptance import FeedKind, Reason
from moot_protocol.trust.towns import TownReason
from moot_testkit.bytes.feeds import FeedWriter, Guest, Town, note
from moot_testkit.towns.town_planes import Plane, below, recovering


def claimed(by: Town, feed: FeedWriter, role: Role = Role.WRITER) -> FeedWriter:
    """A branch of a feed that opens as another town's replica."""
    branch = FeedWriter(feed.plane, feed.key, f"claimed by {by.name}")
    branch.write(by.opening(feed.author, role), note("claimed"))
    return branch


def pinned(by: Town, feed: FeedWriter, of: Town | None = None) -> None:
    """Pin a feed where it stands."""
    by.end(feed.author, feed.n, feed.head, of=(of or by).key.public)


def test_a_feed_that_two_towns_claim_stands_at_nothing_until_one_pins_its_branch() -> None:
    plane = Plane("guest", "thief")
    guest, thief = plane.guests
    one = plane.ones[1]
    branch = claimed(thief, one)
    plane.more = [branch]
    assert (plane.of(one).n, plane.of(one).reason) == (0, Reason.FORKED)
    pinned(guest, one)
    assert (plane.of(one).n, plane.of(one).town) == (2, guest.key.public)


def test_where_two_towns_pin_their_branches_the_shallowest_holds() -> None:
    plane, (_, second, third) = below("second", "third")
    one = plane.ones[1]
    branch = claimed(third, one)
    plane.more = [branch]
    pinned(third, branch)
    assert plane.of(one).town == third.key.public
    pinned(second, one)
    assert (plane.of(one).n, plane.of(one).town) == (2, second.key.public)


def test_of_two_equally_shallow_towns_none_holds() -> None:
    plane = Plane("guest", "thief")
    guest, thief = plane.guests
    one = plane.ones[1]
    branch = claimed(thief, one)
    plane.more = [branch]
    pinned(guest, one)
    pinned(thief, branch)
    assert (plane.of(one).n, plane.of(one).reason) == (0, Reason.ENDED)


def test_a_shallower_town_settles_it_by_ending_the_other_s_claim() -> None:
    plane = Plane("guest", "thief")
    guest, thief = plane.guests
    one = plane.ones[1]
    branch = claimed(thief, one)
    plane.more = [branch]
    pinned(guest, one)
    pinned(thief, branch)
    plane.founder.end(one.author, 0, ZEROS, of=thief.key.public)
    assert (plane.of(one).n, plane.of(one).town) == (2, guest.key.public)


def test_a_town_s_pins_act_on_its_own_branch_only() -> None:
    plane = Plane("guest", "thief")
    guest, thief = plane.guests
    one = plane.ones[1]
    branch = claimed(thief, one)
    plane.more = [branch]
    pinned(thief, one)
    guest.end(one.author, branch.n, branch.head)
    assert plane.of(one).reason is Reason.FORKED


def test_a_replica_s_key_that_somebody_opens_a_charter_with_stays_its_town_s_once_pinned() -> None:
    plane = Plane("guest", "thief")
    guest, thief = plane.guests
    one = plane.ones[1]
    stolen = Guest(plane.founder, "stolen", key=one.key)
    plane.towns.append(stolen)
    thief.admit(stolen)
    assert (plane.of(one).n, plane.standing(stolen).depth) == (0, 3)
    pinned(guest, one)
    assert (plane.of(one).n, plane.of(one).kind) == (2, FeedKind.REPLICA)
    assert plane.standing(stolen)[2:] == (None, -1, b"", False, TownReason.REPLICA)


def test_a_peer_that_certifies_a_stolen_town_key_takes_nothing_from_the_town() -> None:
    plane = Plane("guest", "thief")
    guest, thief = plane.guests
    branch = claimed(thief, guest.charter)
    plane.more = [branch]
    pinned(thief, branch)
    assert plane.standing(guest).role is Role.ADMIN
    assert plane.of(plane.ones[1]).n == 2
    plane.founder.remove(guest, plane.ones[1])
    assert (plane.of(guest).n, plane.of(guest).kind) == (1, FeedKind.CHARTER)


def test_an_end_of_a_charter_at_a_branch_that_is_a_replica_s_removes_nobody() -> None:
    plane = Plane("guest", "thief")
    guest, thief = plane.guests
    branch = claimed(thief, guest.charter)
    plane.more = [branch]
    plane.founder.end(guest.key.public, branch.n, branch.head, of=guest.key.public)
    assert (plane.standing(guest).reason, plane.standing(guest).ended) == (TownReason.FORKED, False)


def test_a_shallower_town_s_pinned_replica_is_no_town() -> None:
    plane, (founder, _, third) = below("second", "third")
    branch = claimed(founder, third.charter)
    plane.more = [branch]
    assert plane.standing(third).reason is TownReason.FORKED
    pinned(founder, branch)
    assert plane.standing(third).reason is TownReason.REPLICA
    assert (plane.of(third).kind, plane.of(third).n) == (FeedKind.REPLICA, 2)
    assert plane.of(plane.ones[2]).reason is Reason.OTHER_TOWN


def test_a_key_that_a_shallower_town_pins_as_a_charter_and_as_a_peer_s_replica_is_neither() -> None:
    plane = Plane("guest", "thief")
    guest, thief = plane.guests
    branch = claimed(thief, guest.charter)
    plane.more = [branch]
    plane.founder.remove(guest, plane.ones[1])
    pinned(plane.founder, branch, of=thief)
    assert plane.of(guest)[:2] == (0, ZEROS)
    assert plane.of(plane.ones[1]).n == 2


def test_a_peer_that_has_ended_itself_pins_nothing_against_a_charter_of_its_depth() -> None:
    plane = Plane("guest", "thief")
    guest, thief = plane.guests
    branch = claimed(thief, guest.charter)
    plane.more = [branch]
    plane.founder.remove(guest, plane.ones[1])
    pinned(plane.founder, branch, of=thief)
    thief.end_charter()
    assert plane.of(guest)[:2] == (0, ZEROS), "whom a peer lists is its own affair"


def test_the_founder_s_and_the_recovery_key_are_nobody_s_replicas() -> None:
    plane, paper = recovering()
    (guest,) = plane.guests
    branches = [claimed(guest, feed) for feed in (plane.founder.charter, paper.charter)]
    plane.more = branches
    for branch in branches:
        pinned(guest, branch)
    assert [plane.of(town).kind for town in (plane.founder, paper)] == [FeedKind.CHARTER, FeedKind.UNKNOWN]
    assert [plane.of(town).n for town in (plane.founder, paper)] == [0, 0]
    assert plane.of(plane.ones[0]).n == 2, "the genesis holds whatever becomes of its feed"
