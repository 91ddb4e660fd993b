"""What the log keeps comes back as it was; what can't be read is called damage, in words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from moot_protocol.errors import Code, MootError
from moot_protocol.log.batch import encode_batch
from moot_protocol.merge.kinds import Role
from moot_testkit.bytes.feeds import Town, note, stripped
from moot_testkit.towns.engine import Desk
from mootd.engine.stored import layout
from mootd.engine.stored.log import (
    FeedRow,
    LogReader,
    decode_feed,
    encode_row,
    event_feed,
    pack_batch,
    pack_event,
    unpack_batch,
    unpack_event,
    with_previous,
)
from mootd.store.port import Table

TOWN = Town()
FEED = TOWN.replica("one", Role.WRITER, note("first"), note("second"))
BATCH = FEED.batches[0]
EVENT = BATCH.events[1]
ARRIVALS = st.integers(0, 2**64 - 1)


def reading() -> Desk:
    """A desk that holds the charter (event 1) and a feed of three events and one more batch of two."""
    feed = TOWN.replica("one", Role.WRITER, note("first"), note("second"))
    later = feed.write(note("third"), note("fourth", entity="mt-2"))
    desk = Desk().watch(TOWN)
    desk.receive([*TOWN.charter.batches, feed.batches[0], later])
    return desk


def damage(desk: Desk, arrival: int) -> MootError:
    with desk.replica.read() as reader, pytest.raises(MootError) as raised:
        LogReader(reader).event(arrival)
    return raised.value


@given(ARRIVALS, st.integers(0, 2**32 - 1))
def test_an_event_comes_back_as_it_was_packed(previous: int, feed: int) -> None:
    packed = pack_event(previous, feed, EVENT)
    stored = unpack_event(7, packed)
    assert (stored.arrival, stored.previous, stored.feed, stored.event) == (7, previous, feed, EVENT)
    assert event_feed(packed) == (feed, EVENT.n)


def test_an_event_without_values_keeps_their_hash() -> None:
    bare = stripped(BATCH).events[1]
    event = unpack_event(7, pack_event(0, 1, bare)).event
    assert event.values_bytes is None
    assert (event.values_hash, event.leaf) == (EVENT.values_hash, EVENT.leaf)


@given(ARRIVALS)
def test_another_back_pointer_changes_nothing_else(previous: int) -> None:
    assert with_previous(pack_event(3, 1, EVENT), previous) == pack_event(previous, 1, EVENT)


@given(ARRIVALS, st.integers(0, 256))
def test_a_batch_comes_back_as_it_was_packed(arrival: int, accepted: int) -> None:
    stored = unpack_batch(pack_batch(BATCH.header_bytes, BATCH.signature, arrival, accepted))
    assert (stored.arrival, stored.accepted, stored.signature) == (arrival, accepted, BATCH.signature)
    assert (stored.header, stored.id) == (BATCH.header, BATCH.id)


@given(st.binary(max_size=80))
def test_bytes_that_are_no_event_are_damage(data: bytes) -> None:
    with pytest.raises(MootError) as raised:
        unpack_event(7, data)
    assert raised.value.code is Code.STORE_DAMAGED
    assert "event 7" in raised.value.message


def test_every_shortened_event_up_to_its_values_is_damage() -> None:
    packed = pack_event(0, 1, EVENT)
    for length in range(len(packed) - len(EVENT.values_bytes or b"")):
        with pytest.raises(MootError) as raised:
            unpack_event(7, packed[:length])
        assert raised.value.code is Code.STORE_DAMAGED, length


def test_a_feed_is_plain_only_while_nothing_is_odd_about_it() -> None:
    row = FeedRow(1, FEED.author, n=3, kind="replica", role="writer")
    assert row.is_plain
    odd = ({"kind": "charter"}, {"role": "reader"}, {"n": 0}, {"reason": "ended"}, {"forked_at": 2}, {"is_aside": True})
    assert not any(replace(row, **change).is_plain for change in odd)
    assert decode_feed(encode_row(row)) == row


def test_batches_are_found_by_any_of_their_numbers() -> None:
    desk = reading()
    with desk.replica.read() as reader:
        log = LogReader(reader)
        number = desk.replica.feed_number(1, FEED.author) or 0
        firsts = [held.header.first if (held := log.batch_holding(number, n)) else None for n in range(1, 7)]
        assert firsts == [1, 1, 1, 4, 4, None]
        assert [first for first, _ in log.batches(number, 2)] == [4]
        assert log.batch_bytes(log.batches(number, 1)[0][1]) == encode_batch(
            BATCH.header_bytes, BATCH.signature, BATCH.events
        )
        assert log.event_named(number, 2, EVENT.leaf[:8]) == EVENT
        assert log.event_named(number, 2, BATCH.events[2].leaf[:8]) is None
        assert log.event_named(number, 6, EVENT.leaf[:8]) is None
        assert not any(log.batch_holding(number, n) for n in (0, -1, 2**64 - 1, 2**64))


def test_an_entitys_history_is_told_newest_first() -> None:
    desk = reading()
    record = desk.records()["mt-1"]
    with desk.replica.read() as reader:
        events = LogReader(reader).history(record.head)
    assert [(each.arrival, each.event.n) for each in events] == [(5, 4), (4, 3), (3, 2)]


def test_a_missing_event_is_damage() -> None:
    desk = reading()
    with desk.store.write() as writer:
        writer.delete(Table.EVENTS, layout.arrival_key(3))
    assert damage(desk, 3).code is Code.STORE_DAMAGED
    with desk.replica.read() as reader, pytest.raises(MootError, match="missing") as raised:
        LogReader(reader).batch_bytes(LogReader(reader).batches(desk.replica.feed_number(1, FEED.author) or 0, 1)[0][1])
    assert raised.value.code is Code.STORE_DAMAGED


def test_a_history_that_runs_in_a_circle_is_damage_and_no_endless_loop() -> None:
    desk = reading()
    desk.put(Table.EVENTS, layout.arrival_key(3), pack_event(5, 1, EVENT))
    with desk.replica.read() as reader, pytest.raises(MootError, match="names a later one"):
        LogReader(reader).history(5)
