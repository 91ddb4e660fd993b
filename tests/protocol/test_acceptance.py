"""The rules of acceptance within one town, each by an example; `test_held.py` tries random worlds."""

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest

from moot_protocol.acceptance import Accepted, FeedKind, Reason, settle
from moot_protocol.batch import ZEROS, Batch
from moot_protocol.charter import End, certificate_draft, end_draft, genesis_draft
from moot_protocol.clock import from_ms
from moot_protocol.event import Draft, Write
from moot_protocol.genesis import plane_id
from moot_protocol.held import HeldBatches
from moot_protocol.ids import key_text
from moot_protocol.kinds import CHARTER_KINDS, Role
from moot_testkit.feeds import START_MS, FeedWriter, Town, dot_of, note, seed, signer, stripped

TOWN = Town()


def held(*feeds: FeedWriter | Iterable[Batch], town: Town = TOWN, parked: Iterable[Batch] = ()) -> HeldBatches:
    found = HeldBatches(town.plane)
    for feed in feeds:
        for batch in feed.batches if isinstance(feed, FeedWriter) else feed:
            found.add(batch)
    for batch in parked:
        found.add(batch, parked=True)
    return found


def of(
    author: bytes, *feeds: FeedWriter | Iterable[Batch], town: Town = TOWN, parked: Iterable[Batch] = ()
) -> Accepted:
    return settle(town.plane, held(*feeds, town=town, parked=parked)).accepted[author]


def opened_with(certificate: Any, town: Town = TOWN, name: str = "odd", **changes: Any) -> FeedWriter:
    feed = FeedWriter(town.plane, signer(name))
    draft = certificate_draft(certificate, feed.author, "admin")
    feed.write(draft._replace(**changes), note())
    return feed


def branches(town: Town, name: str = "one", keep: int = 1) -> tuple[FeedWriter, FeedWriter]:
    """Two branches of a replica that share `keep` batches and have three of their own, of two events each."""
    left = town.replica(name)
    for _ in range(keep - 1):
        left.write(note("shared"), note("shared"))
    right = left.fork("right", keep)
    for step in range(3):
        left.write(note(f"left {step}"), note("left"))
        right.write(note(f"right {step}"), note("right"))
    return left, right


# -- Beginnings --------------------------------------------------------------------------------------------------
def test_a_replica_s_feed_counts_whole_once_genesis_charter_and_certificate_are_held() -> None:
    one = TOWN.replica("one", Role.WRITER, note())
    one.write(note())
    found = settle(TOWN.plane, held(one, TOWN.charter))
    assert found.genesis is not None
    assert found.genesis.town == TOWN.key.public
    assert found.accepted[one.author] == Accepted(
        3, one.head, FeedKind.REPLICA, TOWN.key.public, Role.WRITER, 0, ended=False, reason=Reason.NONE
    )
    own = found.accepted[TOWN.key.public]
    assert (own.n, own.batch, own.kind, own.role) == (1, TOWN.charter.head, FeedKind.CHARTER, Role.ADMIN)


def test_nothing_is_accepted_before_the_genesis_is_held() -> None:
    one = TOWN.replica("one")
    assert of(one.author, one)[:2] == (0, ZEROS)
    assert of(one.author, one).reason is Reason.NO_GENESIS


def test_a_genesis_without_its_values_is_not_held() -> None:
    one = TOWN.replica("one")
    assert of(one.author, one, [stripped(TOWN.charter.batches[0])]).reason is Reason.NO_GENESIS


def test_a_parked_genesis_is_not_held() -> None:
    one = TOWN.replica("one")
    assert of(one.author, one, parked=TOWN.charter.batches).reason is Reason.NO_GENESIS


def test_the_genesis_of_another_plane_is_none_of_this_one_s() -> None:
    other = Town("other")
    feed = FeedWriter(TOWN.plane, other.key)
    feed.write(genesis_draft(other.genesis, "admin"))
    assert settle(TOWN.plane, held(feed)).genesis is None


def test_a_genesis_counts_in_its_town_s_feed_only() -> None:
    feed = FeedWriter(TOWN.plane, signer("thief"))
    feed.write(genesis_draft(TOWN.genesis, "admin"))
    assert settle(TOWN.plane, held(feed)).genesis is None
    assert of(feed.author, feed, TOWN.charter).reason is Reason.NO_CERTIFICATE


def test_a_document_that_is_no_genesis_founds_nothing_though_the_plane_has_its_hash() -> None:
    town = Town()
    town.genesis = b"no genesis"
    town.plane = plane_id(town.genesis)
    feed = FeedWriter(town.plane, town.key)
    feed.write(genesis_draft(town.genesis, "admin"))
    assert settle(town.plane, held(feed, town=town)).genesis is None


def test_a_feed_without_its_first_batch_is_not_accepted() -> None:
    one = TOWN.replica("one")
    one.write(note())
    assert of(one.author, one.batches[1:], TOWN.charter).reason is Reason.NO_OPENING


def test_a_gap_ends_what_is_accepted_until_it_is_filled() -> None:
    one = TOWN.replica("one")
    for _ in range(3):
        one.write(note())
    assert of(one.author, one.batches[:2], one.batches[3:], TOWN.charter).n == 2
    assert of(one.author, one, TOWN.charter).n == 4


# -- Certificates ------------------------------------------------------------------------------------------------
ODD = signer("odd").public


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (None, Reason.NO_CERTIFICATE),
        ("no certificate", Reason.VOID_CERTIFICATE),
        (TOWN.certificate(signer("someone").public), Reason.VOID_CERTIFICATE),
        (TOWN.certificate(ODD, plane=bytes(16)), Reason.VOID_CERTIFICATE),
        (TOWN.certificate(ODD, town=signer("foreign").public), Reason.OTHER_TOWN),
        ([*TOWN.certificate(ODD)[:2], signer("other").public], Reason.VOID_CERTIFICATE),
        (Town("other").certificate(ODD, plane=TOWN.plane), Reason.OTHER_TOWN),
        (Town("other").certificate(ODD, plane=TOWN.plane, town=TOWN.key.public), Reason.VOID_CERTIFICATE),
    ],
)
def test_a_certificate_that_is_not_this_town_s_word_for_this_key_lets_nothing_in(
    certificate: Any, reason: Reason
) -> None:
    odd = opened_with(certificate)
    assert of(ODD, odd, TOWN.charter)[:2] == (0, ZEROS)
    assert of(ODD, odd, TOWN.charter).reason is reason


def test_the_same_certificate_lets_its_own_key_in() -> None:
    assert of(ODD, opened_with(TOWN.certificate(ODD)), TOWN.charter).n == 2


def test_a_certificate_under_another_entity_s_name_is_void() -> None:
    assert of(ODD, opened_with(TOWN.certificate(ODD), entity="mt-1"), TOWN.charter).reason is Reason.VOID_CERTIFICATE


def test_a_first_event_that_is_no_certificate_lets_nothing_in() -> None:
    feed = FeedWriter(TOWN.plane, signer("odd"))
    feed.write(note(), certificate_draft(TOWN.certificate(ODD), ODD, "admin"))
    assert of(ODD, feed, TOWN.charter).reason is Reason.NO_CERTIFICATE


def test_a_certificate_without_all_values_of_its_batch_is_not_held() -> None:
    one = TOWN.replica("one", Role.WRITER, note())
    assert of(one.author, [stripped(one.batches[0], [2])], TOWN.charter).reason is Reason.NO_OPENING


def test_a_town_key_is_never_a_replica() -> None:
    for key in (TOWN.key, TOWN.recovery):
        feed = FeedWriter(TOWN.plane, key)
        feed.write(certificate_draft(TOWN.certificate(signer("x").public), key.public, "admin"), note())
        found = settle(TOWN.plane, held(feed, TOWN.charter)).accepted[key.public]
        assert found.kind is not FeedKind.REPLICA
        assert found.n == 0


def test_a_certificate_for_the_recovery_key_is_void() -> None:
    feed = FeedWriter(TOWN.plane, TOWN.recovery)
    feed.write(certificate_draft(TOWN.certificate(feed.author), feed.author, "admin"))
    assert of(feed.author, feed, TOWN.charter).reason is Reason.VOID_CERTIFICATE


def test_of_a_reader_s_feed_only_the_certificate_counts() -> None:
    reader = TOWN.replica("reader", Role.READER, note())
    reader.write(note())
    found = of(reader.author, reader, TOWN.charter)
    assert (found.n, found.batch, found.role) == (1, reader.batches[0].id, Role.READER)
    assert found.reason is Reason.READER


def test_a_reader_who_writes_nothing_is_accepted_whole() -> None:
    reader = TOWN.replica("reader", Role.READER)
    assert of(reader.author, reader, TOWN.charter).reason is Reason.NONE


def test_withheld_values_change_nothing_about_acceptance() -> None:
    one = TOWN.replica("one")
    one.write(note())
    assert of(one.author, [one.batches[0], stripped(one.batches[1])], TOWN.charter).n == 2


# -- What an author's role allows --------------------------------------------------------------------------------
def test_a_role_allows_what_its_fields_ask_for() -> None:
    feeds = {role: TOWN.replica(role, role) for role in Role}
    found = {role: of(feed.author, feed, TOWN.charter) for role, feed in feeds.items()}
    assert [found[role].allows("issue", "title") for role in Role] == [True, True, False]
    assert [found[role].allows("role", "document") for role in Role] == [True, False, False]
    assert all(found[role].allows("certificate", "certificate") for role in Role)
    assert not any(found[role].allows(kind, kind) for role in Role for kind in CHARTER_KINDS)


def test_charters_speak_of_membership_only() -> None:
    own = of(TOWN.key.public, TOWN.charter)
    assert all(own.allows(kind, kind) for kind in CHARTER_KINDS)
    assert not own.allows("issue", "title")


def test_nothing_is_allowed_to_those_that_are_unknown() -> None:
    one = TOWN.replica("one")
    assert not of(one.author, one).allows("certificate", "certificate")


# -- Links -------------------------------------------------------------------------------------------------------
def test_a_batch_that_goes_back_in_time_never_joins() -> None:
    one = TOWN.replica("one")
    one.write(note())
    one.write(note(), hlc=from_ms(START_MS))
    one.write(note())
    assert of(one.author, one, TOWN.charter).n == 2


def test_a_batch_at_the_very_time_of_its_predecessor_never_joins() -> None:
    one = TOWN.replica("one")
    one.write(note(), hlc=one.batches[-1].header.hlc_last)
    assert of(one.author, one, TOWN.charter).n == 1


def test_a_batch_that_counts_on_from_elsewhere_never_joins() -> None:
    one = TOWN.replica("one")
    header = msgspec.structs.replace(one.write(note()).header, first=5)
    one.batches[1] = msgspec.structs.replace(one.batches[1], header=header)
    assert of(one.author, one, TOWN.charter).n == 1


# -- Forks -------------------------------------------------------------------------------------------------------
def test_a_forked_feed_stands_just_before_its_first_fork() -> None:
    left, right = branches(TOWN, keep=2)
    found = of(left.author, left, right, TOWN.charter)
    assert (found.n, found.batch, found.forked_at) == (3, left.batches[1].id, 4)
    assert found.reason is Reason.FORKED


def test_a_feed_that_forks_at_its_first_event_stands_at_nothing() -> None:
    one = TOWN.replica("one")
    other = one.fork("other", 0)
    other.write(certificate_draft(TOWN.certificate(one.author), one.author, "admin"))
    found = of(one.author, one, other, TOWN.charter)
    assert (found.n, found.forked_at, found.reason) == (0, 1, Reason.FORKED)


def test_a_parked_batch_is_not_accepted_but_shows_a_fork() -> None:
    left, right = branches(TOWN)
    assert of(left.author, left.batches[:1], TOWN.charter, parked=left.batches[1:2]).n == 1
    found = of(left.author, left, TOWN.charter, parked=right.batches[1:2])
    assert (found.n, found.forked_at) == (1, 2)


def test_a_batch_that_can_t_be_linked_shows_a_fork() -> None:
    left, right = branches(TOWN)
    assert of(left.author, left, right.batches[2:3], TOWN.charter).forked_at == 4


def test_a_signed_header_alone_shows_a_fork() -> None:
    left, right = branches(TOWN)
    found = held(left, TOWN.charter)
    found.add_evidence(right.batches[1].header, right.batches[1].id)
    assert settle(TOWN.plane, found).accepted[left.author].forked_at == 2


# -- Ends --------------------------------------------------------------------------------------------------------
def test_an_end_cuts_a_feed_where_it_says() -> None:
    town = Town()
    one = town.replica("one")
    for _ in range(3):
        one.write(note(), note())
    town.end(one.author, 3, one.batches[1].id)
    found = of(one.author, one, town.charter)
    assert (found.n, found.batch, found.ended, found.reason) == (3, one.batches[1].id, True, Reason.ENDED)
    assert found.role is Role.WRITER


def test_an_end_may_fall_inside_a_batch() -> None:
    town = Town()
    one = town.replica("one")
    one.write(note(), note(), note())
    town.end(one.author, 3, one.head)
    assert of(one.author, one, town.charter)[:2] == (3, one.head)


def test_an_end_at_nothing_leaves_nothing_whenever_the_feed_appears() -> None:
    town = Town()
    one = town.replica("one")
    town.end(one.author, 0, ZEROS)
    assert of(one.author, one, town.charter)[:2] == (0, ZEROS)
    assert of(one.author, one, town.charter).reason is Reason.ENDED


def test_of_several_ends_the_lowest_holds() -> None:
    town = Town()
    one = town.replica("one")
    one.write(note())
    one.write(note())
    town.end(one.author, 2, one.batches[1].id)
    town.end(one.author, 3, one.batches[2].id)
    assert of(one.author, one, town.charter).n == 2


def test_an_end_that_another_one_supersedes_no_longer_counts() -> None:
    town = Town()
    one = town.replica("one")
    one.write(note())
    first = town.end(one.author, 1, one.batches[0].id)
    dots = [dot_of(first.events[0], town.key.public)]
    town.end(one.author, 2, one.batches[1].id, over=dots)
    assert of(one.author, one, town.charter).n == 2
    removal = Draft("end", key_text(one.author), "admin", (Write("end", over=dots, removes=True),))
    town.charter.batches.pop()
    town.charter.write(removal)
    assert not of(one.author, one, town.charter).ended


def test_an_end_settles_a_fork_for_the_branch_it_names() -> None:
    for chosen in (0, 1):
        town = Town()
        pair = branches(town)
        town.end(pair[0].author, 4, pair[chosen].batches[2].id)
        found = of(pair[0].author, *pair, town.charter)
        assert (found.n, found.batch, found.forked_at) == (4, pair[chosen].batches[2].id, 2)


def test_an_end_settles_a_fork_at_the_first_event() -> None:
    town = Town()
    one = town.replica("one")
    other = one.fork("other", 0)
    other.write(certificate_draft(town.certificate(one.author, Role.READER), one.author, "admin"))
    town.end(one.author, 1, other.head)
    found = of(one.author, one, other, town.charter)
    assert (found.n, found.batch, found.role) == (1, other.head, Role.READER)


def test_ends_on_both_branches_leave_what_the_branches_share() -> None:
    town = Town()
    left, right = branches(town, keep=2)
    town.end(left.author, 5, left.batches[2].id)
    town.end(left.author, 7, right.batches[3].id)
    assert of(left.author, left, right, town.charter)[:2] == (3, left.batches[1].id)


def test_branches_share_whole_batches_only() -> None:
    town = Town()
    left = town.replica("one")
    right = left.fork("", 1)
    left.write(note("same"), note("left"))
    right.write(note("same"), note("right"))
    assert left.batches[1].events[0].leaf == right.batches[1].events[0].leaf
    town.end(left.author, 3, left.head)
    town.end(left.author, 3, right.head)
    assert of(left.author, left, right, town.charter).n == 1


def test_an_end_at_a_batch_that_is_not_held_counts_on_the_trunk() -> None:
    town = Town()
    left, right = branches(town, keep=2)
    town.end(left.author, 5, right.batches[2].id)
    assert of(left.author, left, town.charter)[:2] == (5, left.batches[2].id)
    assert of(left.author, left, right.batches[3:], town.charter)[:2] == (5, left.batches[2].id)
    assert of(left.author, left, right, town.charter)[:2] == (5, right.batches[2].id)


def test_an_end_at_a_batch_that_is_not_held_stops_before_a_fork() -> None:
    town = Town()
    left, right = branches(town, keep=2)
    town.end(left.author, 7, seed("unknown"))
    assert of(left.author, left, right, town.charter).n == 3


def test_an_end_at_a_batch_that_can_t_hold_its_number_is_void() -> None:
    town = Town()
    one = town.replica("one")
    one.write(note(), note())
    for n in (1, 4):
        town.end(one.author, n, one.head)
    found = of(one.author, one, town.charter)
    assert (found.n, found.ended) == (3, False)


def test_a_malformed_end_is_void_and_takes_nothing_s_place() -> None:
    town = Town()
    one = town.replica("one")
    one.write(note())
    first = town.end(one.author, 1, one.batches[0].id)
    over = [dot_of(first.events[0], town.key.public)]
    town.charter.write(Draft("end", key_text(one.author), "admin", (Write("end", ["nonsense"], over),)))
    town.charter.write(note())
    assert of(one.author, one, town.charter).n == 1
    assert of(town.key.public, town.charter).n == 4


def test_an_end_acts_only_on_the_town_that_it_names() -> None:
    town = Town()
    one = town.replica("one")
    value = [0, ZEROS, one.author]
    town.charter.write(Draft("end", key_text(one.author), "admin", (Write("end", value),)))
    value = [0, ZEROS, Town("other").key.public]
    town.charter.write(Draft("end", key_text(one.author), "admin", (Write("end", value),)))
    assert of(one.author, one, town.charter).n == 1


def test_an_end_acts_only_on_a_branch_that_opens_as_a_replica_s() -> None:
    town = Town()
    one = town.replica("one")
    odd = one.fork("odd", 0)
    odd.write(note())
    town.end(one.author, 1, odd.head)
    assert of(one.author, one, odd, town.charter).reason is Reason.FORKED
    town.end(one.author, 1, one.head)
    assert of(one.author, one, odd, town.charter).n == 1


def test_only_a_charter_ends_feeds() -> None:
    town = Town()
    one = town.replica("one", Role.ADMIN)
    town.end(one.author, 0, ZEROS, by=one)
    assert of(one.author, one, town.charter).n == 2


# -- Charters ----------------------------------------------------------------------------------------------------
def forked_charter(town: Town) -> tuple[FeedWriter, FeedWriter]:
    left = town.charter
    left.write(note("shared"))
    right = left.fork("right")
    left.write(note("left"))
    right.write(note("right"))
    return left, right


def test_a_charter_s_batch_counts_as_held_only_with_all_its_values() -> None:
    town = Town()
    one = town.replica("one")
    town.end(one.author, 0, ZEROS)
    stripped_charter = [town.charter.batches[0], stripped(town.charter.batches[1])]
    assert of(town.key.public, stripped_charter, town=town).n == 1
    assert of(one.author, one, stripped_charter).n == 1
    assert of(one.author, one, town.charter).n == 0


def test_a_forked_charter_stands_before_its_fork_and_what_it_said_there_holds() -> None:
    town = Town()
    one, two = town.replica("one"), town.replica("two")
    town.end(one.author, 0, ZEROS)
    left, right = forked_charter(town)
    town.end(two.author, 0, ZEROS)
    found = settle(town.plane, held(left, right, one, two)).accepted
    assert (found[town.key.public].n, found[town.key.public].reason) == (3, Reason.FORKED)
    assert (found[one.author].n, found[two.author].n) == (0, 1)


def test_the_genesis_holds_though_the_charter_forks_at_its_first_event() -> None:
    town = Town()
    one = town.replica("one")
    other = town.charter.fork("other", 0)
    other.write(genesis_draft(town.genesis, "admin"))
    found = settle(town.plane, held(town.charter, other, one)).accepted
    assert (found[town.key.public].n, found[one.author].n) == (0, 1)


def test_a_charter_ends_itself_with_its_last_event() -> None:
    town = Town()
    town.charter.write(note())
    end = town.end_charter()
    town.charter.write(note())
    found = of(town.key.public, town.charter)
    assert (found.n, found.batch, found.ended, found.reason) == (3, end.id, True, Reason.ENDED)


def test_a_charter_s_end_of_itself_must_name_the_event_before_it() -> None:
    town = Town()
    town.charter.write(note(), note())
    previous = town.charter.batches[0]
    town.end(town.key.public, 1, previous.id)
    town.end(town.key.public, 0, ZEROS)
    town.end(town.key.public, town.charter.n, seed("unknown"))
    town.charter.write(note(), end_draft(town.key.public, End(7, town.charter.head, town.key.public), "admin"))
    found = of(town.key.public, town.charter)
    assert (found.n, found.ended) == (8, False)


def test_nothing_after_a_charter_s_end_of_itself_counts_not_even_in_its_batch() -> None:
    town = Town()
    one = town.replica("one")
    key = town.key.public
    town.charter.write(
        end_draft(one.author, End(1, one.head, key), "admin"),
    )
    town.charter.write(
        end_draft(key, End(town.charter.n, town.charter.head, key), "admin"),
        end_draft(one.author, End(0, ZEROS, key), "admin"),
    )
    assert of(key, town.charter).n == 3
    assert of(one.author, one, town.charter).n == 1


def test_a_charter_s_end_of_itself_counts_for_its_own_branch() -> None:
    town = Town()
    left, right = forked_charter(town)
    assert of(town.key.public, left, right).reason is Reason.FORKED
    end = town.end_charter(left)
    found = of(town.key.public, left, right)
    assert (found.n, found.batch, found.ended) == (4, end.id, True)


def test_two_branches_of_a_charter_that_end_themselves_leave_what_they_share() -> None:
    town = Town()
    left, right = forked_charter(town)
    town.end_charter(left)
    town.end_charter(right)
    found = of(town.key.public, left, right)
    assert (found.n, found.batch, found.ended) == (2, left.batches[1].id, True)


def test_a_branch_that_does_not_open_with_the_genesis_ends_nothing() -> None:
    town = Town()
    odd = town.charter.fork("odd", 0)
    odd.write(note())
    town.end_charter(odd)
    assert not of(town.key.public, town.charter, odd).ended


def test_the_end_of_a_charter_ends_at_nothing_every_replica_that_it_does_not_list() -> None:
    town = Town()
    listed, missing, late = town.replica("listed"), town.replica("missing"), town.replica("late")
    town.end(listed.author, 1, listed.head)
    town.end_charter()
    town.end(late.author, 1, late.head)
    found = settle(town.plane, held(town.charter, listed, missing, late)).accepted
    assert [found[feed.author].n for feed in (listed, missing, late)] == [1, 0, 0]
    assert found[missing.author].reason is Reason.ENDED
