"""A plane's digest is that of its records, or it is named."""

import pytest

from moot_protocol.genesis import PlaneKind
from moot_testkit.feeds import note
from moot_testkit.tables import put, rows
from moot_testkit.town import Member, make_town
from mootd.engine import layout
from mootd.engine.digest_check import wrong_digests
from mootd.engine.entities import Entities
from mootd.engine.membership import adopt_plane
from mootd.engine.record import decode_record, encode_record
from mootd.engine.unit import Unit
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
