"""A plane's digest is that of its records, or it is named, whatever is written while it is summed."""

from collections.abc import Callable
from unittest.mock import patch

import pytest

from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.bytes.feeds import note
from moot_testkit.tables import put, rows
from moot_testkit.towns.engine import Desk, exchange
from moot_testkit.towns.town import Member, make_town
from mootd.engine.checking import digest_check
from mootd.engine.checking.digest_check import wrong_digests
from mootd.engine.checking.fsck import Checker
from mootd.engine.exchange.cut import cut
from mootd.engine.membership.charter_writing import adopt_plane
from mootd.engine.rebuild import Rebuild
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.engine.views.entities import Entities
from mootd.engine.views.record import decode_record, encode_record
from mootd.store.port import Table

LEDGER = 1


@pytest.fixture
def member() -> Member:
    founder, other = make_town(2)

    def write(unit: Unit) -> None:
        unit.append(LEDGER, note("a title"))
        unit.append(LEDGER, note("a story", key="description"))

    founder.commit(write)
    other.take(*founder.batches())
    other.commit(lambda unit: unit.append(LEDGER, note("a better title")))
    founder.take(*other.batches())
    return founder


def wrong(member: Member) -> list[str]:
    replica = member.replica
    with replica.read() as reader:
        feeds = dict(replica.feeds)
        entities = Entities(reader, replica.views_of(reader), lambda feed: feeds[feed].author, replica.feed_number)
        return [plane.name for plane in wrong_digests(entities, list(replica.planes.values()))]


def test_of_a_sound_store_none_is_wrong(member: Member) -> None:
    assert wrong(member) == []


def test_a_plane_of_which_nothing_has_come_has_none(member: Member) -> None:
    member.commit(lambda unit: adopt_plane(unit, b"f" * 16, PlaneKind.LEDGER, "far", bytes(32)))
    assert wrong(member) == []


def test_a_digest_that_somebody_changed_is_wrong_on_its_plane_alone(member: Member) -> None:
    operational = member.replica.plane_named("operational").number
    put(member.store, Table.META, layout.digest_key(0, operational), bytes(31) + b"\1")
    assert wrong(member) == ["operational"]


def test_a_digest_that_is_not_kept_is_that_of_an_empty_plane(member: Member) -> None:
    with member.store.write() as writer:
        writer.delete(Table.META, layout.digest_key(0, LEDGER))
    assert wrong(member) == ["ledger"]


def test_a_record_that_lost_a_write_can_not_be_read_or_names_no_feed_makes_it_wrong(member: Member) -> None:
    key = rows(member.replica, Table.IDS_0)[layout.id_key(LEDGER, "issue", "mt-1")]
    packed = rows(member.replica, Table.RECORDS_0)[key]
    lost, elsewhere = decode_record(packed), decode_record(packed)
    lost.groups = lost.groups[1:]
    elsewhere.groups[0].feed = 99
    for damaged in encode_record(lost), encode_record(elsewhere), packed[:5]:
        put(member.store, Table.RECORDS_0, key, damaged)
        assert wrong(member) == ["ledger"]


# -- In stretches ------------------------------------------------------------------------------------------------
@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(digest_check, "STRETCH", 1)
    desk = Desk().found()
    for number in range(8):
        desk.create(f"mt-{number}", labels=("a", "b"))
    return desk


def summed(desk: Desk, meanwhile: Callable[[int], object] = lambda _: None) -> tuple[int, list[str]]:
    """(records summed, planes found wrong), where something happens between the stretches, which are told by number."""
    checked, cursor = 0, b""
    for number in range(100):
        with desk.replica.read() as reader:
            stretch = Checker(desk.entities(reader), dict(desk.replica.feeds)).check_digests(cursor)
        checked, cursor = checked + stretch.checked, stretch.after
        if not cursor:
            return checked, [problem.where for problem in stretch.problems]
        meanwhile(number)
    raise AssertionError("it never ends")


def changed_and_added_to(desk: Desk) -> Callable[[int], None]:
    """Writes to records that were summed and to others, by this machine and by another that has all of it."""
    other = Desk("other").join(desk)
    exchange(desk, other)

    def write(number: int) -> None:
        desk.update(f"mt-{number % 8}", title=f"edit {number}", remove_labels=("a",))
        desk.update(f"mt-{7 - number % 8}", set_labels=(f"label {number}",), description="long")
        other.update("mt-3", title=f"theirs {number}")
        if number < 8:
            desk.create(f"new-{number}")
        exchange(desk, other)

    return write


def test_a_sum_in_stretches_is_that_of_the_moment_at_which_it_was_begun(desk: Desk) -> None:
    write = changed_and_added_to(desk)
    with patch.object(digest_check, "wrong_digests", side_effect=AssertionError("it was sound all the time")):
        checked, wrong = summed(desk, write)
    assert wrong == []
    assert checked > len(desk.rows(Table.RECORDS_0)) // 2
    assert summed(desk) == (len(desk.rows(Table.RECORDS_0)), [])


def test_a_record_that_has_to_be_made_anew_counts_for_many(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest_check, "STRETCH", 2)
    monkeypatch.setattr(digest_check, "REPLAY", 2)
    quiet: list[int] = []
    busy: list[int] = []
    summed(desk, quiet.append)

    def write(number: int) -> None:
        busy.append(number)
        desk.update(f"mt-{min(number + 3, 7)}", title=f"{number}")

    summed(desk, write)
    assert len(busy) > len(quiet)


def test_a_digest_that_is_changed_before_its_sum_is_begun_is_found_whatever_is_written(desk: Desk) -> None:
    write = changed_and_added_to(desk)
    key = layout.digest_key(0, LEDGER)
    desk.put(Table.META, key, bytes(31) + b"\1")
    assert summed(desk, write)[1] == ["plane ledger"]


def test_what_seems_wrong_is_told_only_if_it_is_in_one_snapshot(desk: Desk) -> None:
    key = layout.digest_key(0, LEDGER)
    kept = desk.rows(Table.META)[key]
    desk.put(Table.META, key, bytes(32))
    assert summed(desk, lambda _: desk.put(Table.META, key, kept))[1] == []


def test_where_events_are_taken_back_or_views_made_anew_the_sum_is_begun_anew(desk: Desk) -> None:
    records = len(desk.rows(Table.RECORDS_0))

    def take_back(number: int) -> None:
        if number == 4:
            with desk.replica.transaction() as unit:
                feed = desk.replica.own_feed(LEDGER)
                cut(unit, feed, unit.feed(feed).n - 1)

    def rebuild(number: int) -> None:
        if number == 4:
            rebuilding = Rebuild()
            done = False
            while not done:
                with desk.replica.transaction() as unit:
                    done = rebuilding.step(unit)["done"]

    for meanwhile in take_back, rebuild:
        checked, wrong = summed(desk, meanwhile)
        assert wrong == []
        assert checked > records + 3


def test_a_sum_that_would_be_begun_over_and_over_is_made_in_one_go(desk: Desk) -> None:
    def take_back(_: int) -> None:
        with desk.replica.transaction() as unit:
            unit.cuts += 1

    desk.put(Table.META, layout.digest_key(0, LEDGER), bytes(31) + b"\1")
    assert summed(desk, take_back) == (3, ["plane ledger"])
