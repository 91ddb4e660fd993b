"""The rules of acceptance within one town, each by an example; `test_acceptance_worlds.py` tries random worlds."""

from typing import Any

import msgspec
import pytest

from moot_protocol.clock import from_ms
from moot_protocol.log.batch import ZEROS
from moot_protocol.merge.kinds import CHARTER_KINDS, Role
from moot_protocol.trust.acceptance import Accepted, FeedKind, Reason
from moot_protocol.trust.charter import certificate_draft, genesis_draft
from moot_protocol.trust.genesis import plane_id
from moot_testkit.bytes.feeds import START_MS, FeedWriter, Town, note, signer, stripped
from moot_testkit.naive.settlement import allows, settle
from moot_testkit.naive.settling import TOWN, branches, held, of


def opened_with(certificate: Any, town: Town = TOWN, name: str = "odd", **changes: Any) -> FeedWriter:
    feed = FeedWriter(town.plane, signer(name))
    draft = certificate_draft(certificate, feed.author, "admin")
    feed.write(draft._replace(**changes), note())
    return feed


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
        (Town("other").certificate(ODD, plane=TOWN.plane, town=TOWN.key.public), Reason.NO_INVITE),
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
    assert [allows(found[role], "issue", "title") for role in Role] == [True, True, False]
    assert [allows(found[role], "role", "document") for role in Role] == [True, False, False]
    assert all(allows(found[role], "certificate", "certificate") for role in Role)
    assert not any(allows(found[role], kind, kind) for role in Role for kind in CHARTER_KINDS)


def test_charters_speak_of_membership_only() -> None:
    own = of(TOWN.key.public, TOWN.charter)
    assert all(allows(own, kind, kind) for kind in CHARTER_KINDS)
    assert not allows(own, "issue", "title")


def test_nothing_is_allowed_to_those_that_are_unknown() -> None:
    one = TOWN.replica("one")
    assert not allows(of(one.author, one), "certificate", "certificate")


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
