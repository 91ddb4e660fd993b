"""The rules of acceptance about towns: who is let in, how deep, with which role. Each by an example."""

import pytest

from moot_protocol.crypto import SeedSigner
from moot_protocol.ids import key_text
from moot_protocol.log.batch import ZEROS
from moot_protocol.log.event import Draft, Write
from moot_protocol.merge.kinds import CHARTER_KINDS, Role
from moot_protocol.trust.acceptance import Accepted, FeedKind, Reason
from moot_protocol.trust.charter import Admission, admission_draft, charter_draft
from moot_protocol.trust.towns import TownReason, TownStanding
from moot_testkit.bytes.feeds import FeedWriter, Guest, Town, dot_of, note, signer, stripped
from moot_testkit.naive.settlement import Settlement, allows, settle
from moot_testkit.naive.settling import held


def settled(founder: Town, *feeds: FeedWriter | Town) -> Settlement:
    """What is accepted when these feeds are held, a town's charter for a town; the founder's is."""
    charters = [feed.charter if isinstance(feed, Town) else feed for feed in (founder, *feeds)]
    return settle(founder.plane, held(*charters, town=founder))


def standing(founder: Town, town: Town, *feeds: FeedWriter | Town) -> TownStanding:
    """Where a town stands when its charter and these feeds are held."""
    return settled(founder, town, *feeds).towns[town.key.public]


def of(founder: Town, feed: FeedWriter, *feeds: FeedWriter | Town) -> Accepted:
    """What is accepted of a feed when these others are held too."""
    return settled(founder, feed, *feeds).accepted[feed.author]


def admitted(role: Role = Role.ADMIN, name: str = "guest") -> tuple[Town, Guest]:
    """A founder, and a town that it has admitted."""
    founder = Town()
    guest = founder.guest(name)
    founder.admit(guest, role)
    return founder, guest


# -- The first towns -------------------------------------------------------------------------------------------------
def test_the_recovery_key_has_depth_0_and_the_founder_1() -> None:
    founder = Town()
    towns = settled(founder).towns
    own, paper = founder.key.public, founder.recovery.public
    assert towns[own] == TownStanding(own, "", Role.ADMIN, 1, b"", ended=False, reason=TownReason.NONE)
    assert towns[paper] == TownStanding(paper, "recovery", Role.ADMIN, 0, b"", ended=False, reason=TownReason.NONE)


def test_before_the_genesis_is_held_there_are_no_towns() -> None:
    founder, guest = admitted()
    assert settle(founder.plane, held(guest.charter, town=founder)).towns == {}


def test_the_founder_is_called_what_its_own_charter_admits_it_as() -> None:
    founder = Town()
    founder.admit(founder, Role.READER)
    assert settled(founder).towns[founder.key.public][:3] == (founder.key.public, "town", Role.ADMIN)


@pytest.mark.parametrize("known", ["", "town"])
def test_the_founder_s_key_is_no_name_whoever_admits_it_as_that(known: str) -> None:
    founder = Town()
    own, paper = founder.key.public, Guest(founder, "paper", key=founder.recovery)
    paper.charter.write(admission_draft(own, Admission(key_text(own), Role.ADMIN), "admin"))
    founder.charter.write(admission_draft(own, Admission(known or key_text(own), Role.ADMIN), "admin"))
    assert standing(founder, founder, paper).name == known


# -- Admissions ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("role", Role)
def test_an_admin_lets_in_a_town_with_a_role_and_its_replicas_count(role: Role) -> None:
    founder, guest = admitted(role)
    one = guest.replica("one", Role.ADMIN, note())
    assert standing(founder, guest) == TownStanding(
        guest.key.public, "guest", role, 2, founder.key.public, ended=False, reason=TownReason.NONE
    )
    found = of(founder, one, guest)
    assert (found.n, found.kind, found.town, found.role) == (
        1 if role is Role.READER else 2, FeedKind.REPLICA, guest.key.public, role,
    )  # fmt: skip
    charter = of(founder, guest.charter)
    assert charter[:5] == (1, guest.charter.head, FeedKind.CHARTER, guest.key.public, role)


def test_a_town_that_nobody_let_in_has_no_part() -> None:
    founder = Town()
    guest = founder.guest("guest")
    one = guest.replica("one")
    assert standing(founder, guest)[2:] == (None, -1, b"", False, TownReason.NOT_ADMITTED)
    assert of(founder, one, guest)[:2] == (0, ZEROS)
    assert of(founder, one, guest).reason is Reason.OTHER_TOWN
    assert of(founder, guest.charter)[:2] == (0, ZEROS)
    assert of(founder, guest.charter).reason is Reason.OTHER_TOWN


def test_until_its_charter_is_held_a_town_has_no_part() -> None:
    founder, guest = admitted()
    one = guest.replica("one")
    found = settled(founder, one)
    assert found.towns[guest.key.public].reason is TownReason.NO_CHARTER
    assert found.accepted[one.author].reason is Reason.OTHER_TOWN
    bare = FeedWriter(founder.plane, guest.key)
    bare.batches = [stripped(guest.charter.batches[0])]
    assert settled(founder, one, bare).accepted[one.author].n == 0
    assert settled(founder, one, guest).accepted[one.author].n == 1


@pytest.mark.parametrize(
    "draft",
    [
        charter_draft(signer("another town").public, "guest", "admin"),
        Draft("charter", key_text(signer("guest town").public), "admin", (Write("charter", [""]),)),
        Draft("charter", key_text(signer("guest town").public), "admin", (Write("charter", ["guest", bytes(32)]),)),
        Draft("charter", key_text(signer("guest town").public), "admin", (Write("charter", "guest"),)),
        note(),
    ],
)
def test_what_opens_no_charter_of_this_town_makes_it_none(draft: Draft) -> None:
    founder, guest = admitted()
    odd = FeedWriter(founder.plane, guest.key)
    odd.write(draft)
    one = guest.replica("one")
    assert of(founder, one, odd).reason is Reason.OTHER_TOWN
    assert of(founder, odd, one)[:2] == (0, ZEROS)


def test_an_admission_of_a_replica_s_key_is_void() -> None:
    founder = Town()
    one = founder.replica("one", Role.WRITER, note())
    founder.admit(one.author)
    found = settled(founder, one)
    assert found.towns[one.author].reason is TownReason.REPLICA
    assert (found.accepted[one.author].n, found.accepted[one.author].kind) == (2, FeedKind.REPLICA)


def test_a_key_of_small_order_is_no_town_s() -> None:
    class Weak(SeedSigner):
        """Signs with another key than it shows."""

        __slots__ = ()

    founder, weak = Town(), Weak(bytes(32))
    weak.public = bytes(32)
    guest = Guest(founder, "weak", key=weak)
    founder.admit(guest)
    assert standing(founder, guest).role is None


@pytest.mark.parametrize("value", [None, ["guest"], ["", "admin"], ["guest", "king"], ["a\n", "admin"], [7, "admin"]])
def test_a_malformed_admission_lets_nobody_in(value: object) -> None:
    founder = Town()
    guest = founder.guest("guest")
    founder.charter.write(Draft("admission", key_text(guest.key.public), "admin", (Write("admission", value),)))
    assert standing(founder, guest).role is None


@pytest.mark.parametrize("role", [Role.WRITER, Role.READER])
def test_only_admins_admit(role: Role) -> None:
    founder, guest = admitted(role)
    third = founder.guest("third")
    guest.admit(third)
    admin = founder.replica("admin", Role.ADMIN)
    founder.admit(third, by=admin)
    assert standing(founder, third, guest, admin).role is None


# -- Depth and roles -------------------------------------------------------------------------------------------------
def chain(founder: Town, *names: str) -> list[Guest]:
    """Towns that let in one another, in this order, the founder the first."""
    found: list[Guest] = []
    for name in names:
        guest = founder.guest(name)
        (found[-1] if found else founder).admit(guest)
        found.append(guest)
    return found


def test_a_town_stands_one_deeper_than_its_shallowest_admitter() -> None:
    founder = Town()
    second, third, fourth = chain(founder, "second", "third", "fourth")
    everyone = (second, third, fourth)
    assert [standing(founder, town, *everyone).depth for town in everyone] == [2, 3, 4]
    second.admit(fourth, Role.READER)
    found = standing(founder, fourth, *everyone)
    assert (found.depth, found.admitter) == (3, second.key.public)


def test_of_two_that_let_a_town_in_equally_deep_the_lower_key_is_its_admitter() -> None:
    founder = Town()
    low, high = sorted(map(founder.guest, ("second", "third")), key=lambda guest: guest.key.public)
    newcomer = founder.guest("newcomer")
    for admitter in (high, low):
        founder.admit(admitter)
        admitter.admit(newcomer)
    assert standing(founder, newcomer, low, high).admitter == low.key.public


def test_a_role_is_the_highest_that_the_shallowest_admitters_give() -> None:
    founder = Town()
    second, other = founder.guest("second"), founder.guest("other")
    founder.admit(second)
    founder.admit(other)
    third = founder.guest("third")
    second.admit(third, Role.READER)
    assert standing(founder, third, second, other).role is Role.READER
    other.admit(third, Role.WRITER)
    assert standing(founder, third, second, other).role is Role.WRITER


def test_a_deeper_town_can_t_raise_a_role() -> None:
    founder = Town()
    second, third = chain(founder, "second", "third")
    guest = founder.guest("guest")
    founder.admit(guest, Role.READER)
    third.admit(guest, Role.ADMIN)
    second.admit(guest, Role.ADMIN)
    found = standing(founder, guest, second, third)
    assert (found.role, found.depth) == (Role.READER, 2)


def test_what_a_charter_gave_it_can_t_lower_nor_take_back() -> None:
    founder, guest = admitted(Role.WRITER)
    founder.admit(guest, Role.READER)
    dots = [dot_of(founder.charter.batches[1].events[0], founder.key.public)]
    over = Draft("admission", key_text(guest.key.public), "admin", (Write("admission", over=dots, removes=True),))
    founder.charter.write(over)
    assert standing(founder, guest).role is Role.WRITER


def test_a_later_admission_raises_the_role_and_changes_the_name() -> None:
    founder, guest = admitted(Role.READER)
    one = guest.replica("one", Role.ADMIN, note())
    assert of(founder, one, guest).reason is Reason.READER
    founder.charter.write(admission_draft(guest.key.public, Admission("Guest, Inc.", Role.ADMIN), "admin"))
    assert standing(founder, guest)[1:3] == ("Guest, Inc.", Role.ADMIN)
    assert of(founder, one, guest)[:2] == (2, one.head)


def test_towns_that_admit_one_another_let_nobody_in() -> None:
    founder = Town()
    one, other = founder.guest("one"), founder.guest("other")
    one.admit(other)
    other.admit(one)
    one.admit(one)
    assert {standing(founder, town, one, other).role for town in (one, other)} == {None}


def test_a_founder_s_or_a_recovery_key_s_admission_changes_nothing() -> None:
    founder, guest = admitted()
    guest.admit(founder, Role.READER)
    guest.admit(founder.recovery.public, Role.READER)
    towns = settled(founder, guest).towns
    assert [towns[key][2:4] for key in (founder.key.public, founder.recovery.public)] == [
        (Role.ADMIN, 1),
        (Role.ADMIN, 0),
    ]


@pytest.mark.parametrize("of_town", Role)
@pytest.mark.parametrize("certified", Role)
def test_a_replica_s_role_is_the_least_of_its_town_s_and_its_certificate_s(of_town: Role, certified: Role) -> None:
    founder, guest = admitted(of_town)
    one = guest.replica("one", certified)
    assert of(founder, one, guest).role is min(of_town, certified, key=lambda role: role.rank)


def test_of_a_reader_town_s_replicas_only_certificates_count() -> None:
    founder, guest = admitted(Role.READER)
    one = guest.replica("one", Role.WRITER, note())
    one.write(note())
    found = of(founder, one, guest)
    assert (found.n, found.batch, found.reason) == (1, one.batches[0].id, Reason.READER)


def test_a_charter_of_a_town_that_is_no_admin_speaks_of_its_own_replicas_only() -> None:
    for role in Role:
        founder, guest = admitted(role)
        charter = of(founder, guest.charter)
        own = {"genesis", "charter", "invite", "end"}
        assert {kind for kind in CHARTER_KINDS if allows(charter, kind, kind)} == (
            CHARTER_KINDS if role is Role.ADMIN else own
        )


# -- Towns by invite -------------------------------------------------------------------------------------------------
def invited(named: bytes = ZEROS, role: Role = Role.WRITER) -> tuple[Town, SeedSigner]:
    founder = Town()
    return founder, founder.invite(role=role, town=named)


def test_a_town_comes_with_an_invite_that_its_charter_proves() -> None:
    founder, key = invited()
    guest = founder.guest("guest", key)
    one = guest.replica("one", Role.ADMIN, note())
    found = standing(founder, guest)
    assert found == TownStanding(
        guest.key.public, "guest", Role.WRITER, 2, founder.key.public, ended=False, reason=TownReason.NONE
    )
    assert of(founder, one, guest)[:2] == (2, one.head)


def test_an_invite_for_a_town_lets_in_that_town_only() -> None:
    founder, key = invited(signer("guest town").public, Role.READER)
    guest, other = founder.guest("guest", key), founder.guest("other", key)
    assert standing(founder, guest).role is Role.READER
    assert standing(founder, other).role is None


def test_an_invite_for_own_replicas_lets_in_no_town() -> None:
    founder = Town()
    guest = founder.guest("guest", founder.invite())
    assert standing(founder, guest).role is None


def test_all_towns_that_use_an_open_invite_count_and_after_the_close_those_it_names() -> None:
    founder, key = invited()
    meant, thief = founder.guest("meant", key), founder.guest("thief", key)
    assert [standing(founder, town).role for town in (meant, thief)] == [Role.WRITER, Role.WRITER]
    founder.close(key, meant.key.public)
    founder.close(key, thief.key.public)
    assert standing(founder, meant).role is Role.WRITER
    assert standing(founder, thief).role is None
    assert standing(founder, thief).reason is TownReason.INVITE_CLOSED
    assert of(founder, thief.replica("one"), thief).reason is Reason.OTHER_TOWN


def test_only_the_inviting_town_closes_an_invite_for_towns() -> None:
    founder, key = invited()
    guest, admin = founder.guest("guest", key), founder.guest("admin")
    founder.admit(admin)
    admin.close(key)
    assert standing(founder, guest, admin).role is Role.WRITER


def test_nobody_brings_in_a_town_whose_name_they_only_know() -> None:
    founder, key = invited()
    other = founder.guest("other", key)
    stolen = Guest(founder, "guest")
    stolen.charter = FeedWriter(founder.plane, stolen.key)
    stolen.charter.write(charter_draft(stolen.key.public, "guest", "admin", other.proof(key)))
    assert standing(founder, stolen).role is None


def test_a_proof_by_a_key_that_is_no_invite_lets_nobody_in() -> None:
    founder, _ = invited()
    assert standing(founder, founder.guest("guest", signer("anyone"))).role is None


@pytest.mark.parametrize("role", [Role.WRITER, Role.READER])
def test_only_admins_invite_towns_but_every_town_its_own_replicas(role: Role) -> None:
    founder, host = admitted(role, "host")
    guest = founder.guest("guest", host.invite("for towns", town=ZEROS))
    own = host.replica("own", Role.WRITER, by=host.invite("for machines"))
    assert standing(founder, guest, host).role is None
    assert of(founder, own, host).n == 1


def test_an_invite_of_another_town_certifies_none_of_this_one_s_replicas() -> None:
    founder, guest = admitted()
    own = founder.replica("own", by=guest.invite())
    assert of(founder, own, guest).reason is Reason.NO_INVITE
    other = founder.replica("other", by=guest.invite("other", town=founder.key.public))
    assert of(founder, other, guest).reason is Reason.NO_INVITE


def test_an_admission_makes_an_invited_town_an_admin() -> None:
    founder, key = invited()
    guest = founder.guest("guest", key)
    founder.admit(guest, Role.ADMIN)
    founder.close(key)
    assert standing(founder, guest).role is Role.ADMIN


def test_an_invite_s_proof_holds_in_whatever_branch_it_stands() -> None:
    founder, key = invited()
    guest = founder.guest("guest", key)
    other = guest.open_charter(salt="stolen")
    one = guest.replica("one")
    assert standing(founder, guest, other).role is Role.WRITER
    assert of(founder, guest.charter, other).reason is Reason.FORKED
    assert of(founder, one, guest, other).n == 1


# -- What admissions rest on -----------------------------------------------------------------------------------------
def test_if_an_admission_falls_what_it_admitted_lapses_and_a_shallower_one_restores_it_whole() -> None:
    founder = Town()
    second, third, fourth = chain(founder, "second", "third", "fourth")
    ones = [town.replica("one", Role.WRITER, note()) for town in (third, fourth)]
    everything: tuple[FeedWriter | Town, ...] = (second, third, fourth, *ones)
    assert [of(founder, one, *everything).n for one in ones] == [2, 2]
    founder.end(second.key.public, 1, second.charter.batches[0].id, of=second.key.public)
    assert [of(founder, one, *everything).n for one in ones] == [0, 0]
    assert standing(founder, third, *everything).reason is TownReason.NOT_ADMITTED
    founder.admit(third)
    assert [of(founder, one, *everything).n for one in ones] == [2, 2]
    assert standing(founder, fourth, *everything).depth == 3


def test_the_recovery_key_admits_in_the_founder_s_place_and_needs_nobody_s_leave() -> None:
    founder = Town()
    paper, heir = Guest(founder, "paper", key=founder.recovery), founder.guest("heir")
    paper.admit(heir)
    found = standing(founder, heir, paper)
    assert (found.role, found.depth, found.admitter) == (Role.ADMIN, 1, founder.recovery.public)


def test_a_founder_that_has_opened_a_charter_as_well_stays_the_admin_that_nobody_let_in() -> None:
    founder = Town()
    paper = Guest(founder, "paper", key=founder.recovery)
    twin = FeedWriter(founder.plane, founder.key, "twin")
    twin.write(charter_draft(founder.key.public, "twin", ""))
    paper.admit(founder, Role.READER)
    found = standing(founder, founder, paper, twin)
    assert (found.role, found.depth, found.admitter) == (Role.ADMIN, 1, b"")


def test_the_recovery_key_invites_nobody_and_has_no_replicas() -> None:
    founder = Town()
    paper = Guest(founder, "paper", key=founder.recovery)
    guest = founder.guest("guest", paper.invite(town=ZEROS))
    assert standing(founder, guest, paper).role is None
    for own in (paper.replica("one", Role.ADMIN), paper.replica("two", by=paper.invite("for machines"))):
        assert of(founder, own, paper).n == 0
