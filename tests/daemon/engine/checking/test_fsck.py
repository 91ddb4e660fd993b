"""Checking finds every flipped bit of the log and of the records, says where, and changes nothing."""

from collections.abc import Iterator

import pytest
from msgspec.msgpack import encode
from msgspec.structs import replace

from moot_protocol.ids import key_text
from moot_protocol.log.event import Dot, Draft, Write
from moot_testkit.bytes.feeds import dot_of, note, stripped, wire
from moot_testkit.laws.erasing import (
    SECRET,
    all_but,
    erasing,
    forget,
    of,
    places_of,
    problems_at,
    rebuild,
    told,
    two_feeds,
    withheld_at,
)
from moot_testkit.laws.replica import fsck_problems
from moot_testkit.tables import put, rows, tables
from moot_testkit.towns.engine import Desk
from moot_testkit.towns.federating import copy_of
from moot_testkit.towns.town import Member, make_town
from mootd.engine.checking.fsck import STRETCH, Problem
from mootd.engine.membership.charter_writing import end_replica
from mootd.engine.rebuild import Rebuild
from mootd.engine.stored import layout
from mootd.engine.stored.aside import AsideRow
from mootd.engine.stored.batch_check import NOT_SIGNED
from mootd.engine.stored.log import pack_batch, pack_event, unpack_batch, unpack_event
from mootd.engine.unit import Unit
from mootd.engine.views.record import decode_record, encode_record
from mootd.store.port import Table

LEDGER = 1


def used_town() -> Member:
    """A founder that wrote some events, and took in those of another."""
    founder, member = make_town(2)
    first = founder.commit(lambda unit: unit.append(LEDGER, note("a title")))
    member.take(*founder.batches())
    over = [dot_of(first, founder.id)]
    member.commit(lambda unit: unit.append(LEDGER, note("a better title", over=over)))
    member.commit(lambda unit: unit.append(LEDGER, Draft("issue", "mt-1", "bob", (Write("description", "long"),))))
    founder.take(*member.batches())
    return founder


def issue_key(member: Member) -> bytes:
    """The key of the issue's record."""
    return rows(member.replica, Table.IDS_0)[layout.id_key(LEDGER, "issue", "mt-1")]


def flips(member: Member, table: Table, key: bytes, step: int = 1) -> Iterator[tuple[int, list[Problem]]]:
    """(place, what a check finds) for a flipped bit in every `step`th byte of a row, left as it was."""
    kept = rows(member.replica, table)[key]
    for place, byte in list(enumerate(kept))[::step]:
        put(member.store, table, key, kept[:place] + bytes([byte ^ 1 << place % 8]) + kept[place + 1 :])
        yield place, fsck_problems(member)
    put(member.store, table, key, kept)


def test_a_sound_store_has_no_problems_and_is_left_as_it_is() -> None:
    member = used_town()
    before = tables(member.replica)
    assert fsck_problems(member) == []
    assert tables(member.replica) == before


@pytest.mark.parametrize("table", [Table.EVENTS, Table.BATCHES, Table.RECORDS_0])
def test_a_flipped_bit_in_any_byte_is_found_and_a_way_out_is_named(table: Table) -> None:
    member = used_town()
    key = list(rows(member.replica, table))[-1] if table is not Table.RECORDS_0 else issue_key(member)
    for place, problems in flips(member, table, key):
        assert problems, place
        assert all(each.where and each.problem and each.hint for each in problems)
    assert fsck_problems(member) == []


def rebuilt(member: Member) -> list[str]:
    """What a check finds once the views are made anew from a log that somebody changed."""
    rebuild = Rebuild()
    while not member.commit(rebuild.step)["done"]:
        pass
    return [each.problem for each in fsck_problems(member)]


def test_a_value_that_somebody_changed_is_found_also_after_a_rebuild() -> None:
    member = used_town()
    key, value = list(rows(member.replica, Table.EVENTS).items())[-1]
    put(member.store, Table.EVENTS, key, value.replace(b"long", b"l0ng"))
    assert rebuilt(member) == ["its events are not those that were signed"]


def test_a_batch_that_was_signed_anew_is_found_by_the_one_behind_it() -> None:
    (member,) = make_town(1)
    twin = copy_of(member)
    member.commit(lambda unit: unit.append(LEDGER, note("one story")))
    twin.commit(lambda unit: unit.append(LEDGER, note("another")))
    member.commit(lambda unit: unit.append(LEDGER, note("later", entity="mt-2")))
    for table in (Table.BATCHES, Table.EVENTS):
        for key, value in rows(twin.replica, table).items():
            put(member.store, table, key, value)
    assert rebuilt(member) == ["it doesn't follow the batch before it"]


def test_an_event_that_is_told_as_another_s_is_found() -> None:
    for more in (0, 1), (1, 0):
        member = used_town()
        key, value = list(rows(member.replica, Table.EVENTS).items())[-1]
        stored = unpack_event(int.from_bytes(key, "big"), value)
        feed, n = stored.feed + more[0], stored.event.n + more[1]
        put(member.store, Table.EVENTS, key, pack_event(stored.previous, feed, replace(stored.event, n=n)))
        assert "its events are another's, or out of order" in {each.problem for each in fsck_problems(member)}


def test_a_missing_event_and_a_missing_batch_are_found() -> None:
    for table in (Table.EVENTS, Table.BATCHES):
        for place in range(len(rows(used_town().replica, table))):
            member = used_town()
            with member.store.write() as writer:
                writer.delete(table, list(rows(member.replica, table))[place])
            assert fsck_problems(member), (table, place)


def test_a_record_that_its_events_do_not_make_can_be_rebuilt() -> None:
    member = used_town()
    key = issue_key(member)
    record = decode_record(rows(member.replica, Table.RECORDS_0)[key])
    record.groups = record.groups[1:]
    put(member.store, Table.RECORDS_0, key, encode_record(record))
    found, digest = fsck_problems(member)
    assert (found.where, digest.where) == ("issue mt-1", "plane ledger")
    assert found.is_of_views
    assert digest.is_of_views
    assert "rebuild" in found.hint
    assert rebuilt(member) == []


def test_a_record_that_another_name_leads_to_is_found() -> None:
    member = used_town()
    put(member.store, Table.IDS_0, layout.id_key(LEDGER, "issue", "mt-1"), bytes(len(issue_key(member))))
    assert "its record stands in another's place" in {each.problem for each in fsck_problems(member)}


def test_a_record_that_forgot_what_it_is_to_supersede_is_found() -> None:
    member = used_town()
    over = [Dot(member.id, 99, b"not here")]
    member.commit(lambda unit: unit.append(LEDGER, note("a third title", over=over)))
    assert fsck_problems(member) == []
    key = issue_key(member)
    record = decode_record(rows(member.replica, Table.RECORDS_0)[key])
    assert record.pending
    record.pending = set()
    put(member.store, Table.RECORDS_0, key, encode_record(record))
    assert [each.problem for each in fsck_problems(member)] == ["its record is not what its events make"]


def test_a_feed_whose_row_names_another_head_is_found() -> None:
    member = used_town()
    feed = member.replica.own_feed(LEDGER)
    row = member.replica.feeds[feed]
    member.commit(lambda unit: unit.set_feed(feed, replace(row, head=b"h" * 32)))
    assert [each.problem for each in fsck_problems(member)] == ["its last batch is not the one it names"]


def test_a_feed_whose_row_names_another_plane_is_found() -> None:
    member = used_town()
    feed = member.replica.own_feed(LEDGER)
    row = member.replica.feeds[feed]
    other = next(number for number in member.replica.planes if number != LEDGER)
    member.commit(lambda unit: unit.set_feed(feed, replace(row, plane=other)))
    found = [each for each in fsck_problems(member) if each.problem == "it is of another plane"]
    assert len(found) == len(
        [key for key in rows(member.replica, Table.BATCHES) if key[:4] == layout.feed_prefix(feed)]
    )


def cut_inside_a_batch() -> Member:
    """A founder that ended another's feed inside a batch of two events."""
    founder, member = make_town(2)

    def two(unit: Unit) -> None:
        unit.append(LEDGER, note("kept"))
        unit.append(LEDGER, note("gone", entity="mt-2"))

    member.commit(two)
    founder.take(*member.batches())
    founder.commit(lambda unit: end_replica(unit, LEDGER, member.id, 2))
    assert fsck_problems(founder) == []
    return founder


def test_a_feed_that_a_pin_cuts_inside_a_batch_is_sound_as_long_as_the_whole_of_it_lies_aside() -> None:
    founder = cut_inside_a_batch()
    ((key, value),) = rows(founder.replica, Table.ASIDE).items()
    with founder.store.write() as writer:
        writer.delete(Table.ASIDE, key)
    assert [each.problem for each in fsck_problems(founder)] == ["a pin cuts it, and the whole of it is missing"]
    put(founder.store, Table.ASIDE, key, value)
    ((batch_key, packed),) = [
        (key, packed)
        for key, packed in rows(founder.replica, Table.BATCHES).items()
        if unpack_batch(packed).accepted != unpack_batch(packed).header.count
    ]
    batch = unpack_batch(packed)
    none = pack_batch(batch.header_bytes, batch.signature, batch.arrival, batch.accepted - 1)
    put(founder.store, Table.BATCHES, batch_key, none)
    assert "it is not accepted as far as its feed is" in [each.problem for each in fsck_problems(founder)]


def test_what_lies_aside_of_a_batch_that_a_pin_cuts_holds_the_events_that_count_of_it() -> None:
    founder = cut_inside_a_batch()
    ((key, _),) = rows(founder.replica, Table.ASIDE).items()
    put(founder.store, Table.ASIDE, key, encode(AsideRow(wire(founder.batches()[0]), was_accepted=True)))
    assert [each.problem for each in fsck_problems(founder)] == [NOT_SIGNED, "it stands in another's place"]


def test_a_long_log_is_checked_in_stretches() -> None:
    (member,) = make_town(1)

    def work(unit: Unit) -> None:
        for step in range(STRETCH + 1):
            unit.append(LEDGER, note("x", entity=f"mt-{step}"))
            unit.seal()

    member.commit(work)
    key = list(rows(member.replica, Table.EVENTS))[-1]
    assert fsck_problems(member) == []
    put(member.store, Table.EVENTS, key, rows(member.replica, Table.EVENTS)[layout.arrival_key(1)])
    assert fsck_problems(member)


def test_a_batch_held_aside_that_is_damaged_or_stands_in_another_s_place_is_found() -> None:
    founder, member = make_town(2)
    member.clock.advance(10**9)
    member.commit(lambda unit: unit.append(LEDGER, note("far ahead")))
    founder.take(*member.batches())
    (key,) = rows(founder.replica, Table.ASIDE)
    value = rows(founder.replica, Table.ASIDE)[key]
    harmless = [place for place, problems in flips(founder, Table.ASIDE, key, step=5) if not problems]
    assert all(place >= len(value) - 2 for place in harmless)  # whether it is parked, or was accepted once
    put(founder.store, Table.ASIDE, key[:4] + layout.arrival_key(7) + key[12:], value)
    (found,) = fsck_problems(founder)
    assert found.where.startswith("batch from event 7 on")
    assert found.problem == "it stands in another's place"
    put(founder.store, Table.ASIDE, key[:12] + bytes(len(key) - 12), value)
    assert [each.problem for each in fsck_problems(founder)] == ["it stands in another's place"] * 2


def test_a_key_of_the_index_that_stands_for_nothing_can_be_rebuilt() -> None:
    member = used_town()
    put(member.store, Table.INDEX_0, layout.standing_key(10**6), b"")
    (found,) = fsck_problems(member)
    assert found.where.startswith("key 77")
    assert "rebuild" in found.hint
    put(member.store, Table.INDEX_0, layout.STANDING + b"x" + issue_key(member), b"")  # though it ends in one's number
    assert [each.problem for each in fsck_problems(member)] == ["it is of no issue that was ever named"] * 2


# -- What is erased ------------------------------------------------------------------------------------------------
def broken(desk: Desk, author: bytes) -> list[str]:
    """What a check finds of an author's second batch; a rebuild must mend all that it finds."""
    found = problems_at(desk)
    assert all("rebuild" in each.hint for each in found)
    rebuild(desk)
    assert problems_at(desk) == []
    return [each.problem for each in found if each.where == f"batch from event 2 on of {key_text(author)}"]


def test_values_that_were_erased_and_are_still_here_are_found() -> None:
    town, one, two, batch = two_feeds()
    desk = told(town, *of(town, one, two))
    kept = {key: value for key, value in desk.rows(Table.EVENTS).items() if SECRET.encode() in value}
    desk.receive([two.write(erasing(batch, 2))])
    assert problems_at(desk) == []
    for key, value in kept.items():
        desk.put(Table.EVENTS, key, value)
    assert broken(desk, one.author) == ["values that were erased are still here"]
    assert places_of(desk, SECRET.encode()) == []


@pytest.mark.parametrize("erased", [[], [3]])
def test_values_that_are_missing_and_nobody_is_asked_for_are_found(erased: list[int]) -> None:
    town, one, two, batch = two_feeds()
    if erased:
        two.write(erasing(batch, *erased))
    desk = told(town, *all_but(batch, town, one, two), stripped(batch))
    assert problems_at(desk) == []
    forget(desk, layout.WITHHELD)
    assert broken(desk, one.author) == ["values are missing from it, and are not asked for"]
    assert withheld_at(desk) == {(one.author, 2)}


def test_what_is_erased_is_not_missed_until_it_is_forgotten_that_it_is() -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 2))
    desk = told(town, *of(town, one, two))
    forget(desk, layout.ERASED)
    assert broken(desk, one.author) == ["values are missing from it, and are not asked for"]
    assert withheld_at(desk) == set()
