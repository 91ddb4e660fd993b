"""The audit stream: records that stay on the machine, and a chain in which every change shows."""

from collections.abc import Callable, Iterator

import pytest
from msgspec import structs

from moot_protocol.codec import encode
from moot_protocol.limits import AUDIT_DETAIL_CHARS
from moot_protocol.merge.kinds import AUDIT
from moot_protocol.trust.genesis import PlaneKind
from moot_testkit.towns.engine import START_MS, Desk
from mootd.engine import audit
from mootd.engine.audit import Chain, Entry, Place, Stretch, note
from mootd.engine.editor import Editor
from mootd.engine.membership.rotating import new_key, rotate_town
from mootd.engine.state import REPLICA_KEY
from mootd.engine.stored import layout
from mootd.engine.stored.log import decode_feed, pack_batch, pack_event, unpack_batch
from mootd.store.port import Table

RECORDS = 6


def write(desk: Desk, actor: str = "alice", event_type: str = "deleted", **parts: str) -> None:
    desk.clock.advance(1000)
    entry = Entry(event_type, actor, parts.get("action", "delete"), "demo-1", "done", {"reason": parts.get("why", "x")})
    with desk.replica.transaction() as unit:
        assert note(unit, entry)


def stretches(desk: Desk) -> Iterator[Stretch]:
    place = Place()
    while True:
        with desk.replica.read() as reader:
            stretch = Chain(reader, desk.replica).follow(place)
        yield stretch
        if stretch.done:
            return
        place = stretch.place


def problems(desk: Desk) -> list[str]:
    return [problem for stretch in stretches(desk) for _, problem in stretch.problems]


def head(desk: Desk) -> bytes:
    with desk.replica.read() as reader:
        return Chain(reader, desk.replica).head()[0]


def operational(desk: Desk) -> int:
    return desk.replica.plane_named("operational").number


def feed(desk: Desk) -> int:
    return desk.replica.own_feed(operational(desk))


@pytest.fixture
def desk() -> Desk:
    desk = Desk().found()
    for number in range(RECORDS):
        write(desk, why=str(number))
    return desk


# -- Records -----------------------------------------------------------------------------------------------------
def test_a_record_tells_when_who_what_on_what_and_with_which_result(desk: Desk) -> None:
    with desk.replica.read() as reader:
        first = next(audit.newest(desk.entities(reader), desk.replica.planes))
    assert first.pop("id").startswith(f"{START_MS + RECORDS * 1000:012x}-")
    assert first.pop("n") > RECORDS
    assert first == {
        "timestamp": START_MS + RECORDS * 1000,
        "event_type": "deleted",
        "actor": "alice",
        "action": "delete",
        "resource": "demo-1",
        "result": "done",
        "details": {"reason": str(RECORDS - 1)},
    }


def test_records_come_newest_first_and_from_a_moment_on(desk: Desk) -> None:
    with desk.replica.read() as reader:
        found = list(audit.newest(desk.entities(reader), desk.replica.planes, START_MS + 3000))
    assert [each["details"]["reason"] for each in found] == ["5", "4", "3", "2"]


def test_records_never_stand_on_a_plane_that_leaves_the_machine(desk: Desk) -> None:
    records = desk.records(AUDIT)
    assert len(records) == RECORDS
    planes = {desk.replica.planes[record.plane].kind for record in records.values()}
    assert planes == {PlaneKind.OPERATIONAL}


def test_without_a_town_there_is_nothing_to_write_to() -> None:
    with Desk().replica.transaction() as unit:
        assert not note(unit, Entry("deleted", "alice", "delete", "demo-1", "done"))


def test_nor_is_there_where_the_machine_s_key_has_no_part_in_the_plane(desk: Desk) -> None:
    with desk.replica.transaction() as unit:
        new_key(unit, REPLICA_KEY)
    with desk.replica.transaction() as unit:
        assert not note(unit, Entry("deleted", "alice", "delete", "demo-1", "done"))


def test_whatever_somebody_calls_themselves_can_be_recorded(desk: Desk) -> None:
    for actor in ("", "a" * 5000, "bell\a", "\ud800"):
        write(desk, actor=actor, why="y" * 5000)
    with desk.replica.read() as reader:
        found = next(audit.newest(desk.entities(reader), desk.replica.planes))
    assert len(found["details"]["reason"]) == AUDIT_DETAIL_CHARS + 1
    assert not problems(desk)


def test_those_who_work_for_somebody_are_found_with_them() -> None:
    record = {"actor": "alice/claude", "event_type": "deleted"}
    assert audit.is_of(record, "alice", "")
    assert not audit.is_of(record, "ali", "")
    assert not audit.is_of(record, "alice", "recovered")


# -- The chain ---------------------------------------------------------------------------------------------------
def test_a_chain_that_nobody_touched_has_no_problems_and_holds_every_record(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "STRETCH", 2)
    found = list(stretches(desk))
    assert len(found) > 2
    assert not problems(desk)
    assert [each["details"]["reason"] for one in found for each in one.records] == list(map(str, range(RECORDS)))
    assert found[-1].place.records == RECORDS
    assert head(desk) == found[-1].heads[-1]


def _flip(desk: Desk, table: Table, choose: Callable[[bytes], bool], at: int) -> None:
    key, value = next((key, value) for key, value in desk.rows(table).items() if choose(key))
    place = at % len(value)
    desk.put(table, key, value[:place] + bytes([value[place] ^ 1]) + value[place + 1 :])


@pytest.mark.parametrize("at", [-1, -20, -40, 60])
def test_a_flipped_bit_in_a_record_is_noticed(desk: Desk, at: int) -> None:
    with desk.replica.read() as reader:
        log = desk.entities(reader).log
        batch = log.batches(feed(desk), 3)[0][1]
    _flip(desk, Table.EVENTS, lambda key: key == layout.arrival_key(batch.arrival), at)
    assert problems(desk)


@pytest.mark.parametrize("at", [12, 40, 100, -1])
def test_a_flipped_bit_in_a_signed_batch_is_noticed(desk: Desk, at: int) -> None:
    _flip(desk, Table.BATCHES, lambda key: key == layout.batch_key(feed(desk), 3), at)
    assert problems(desk)


def test_a_batch_whose_end_was_cut_off_is_noticed(desk: Desk) -> None:
    with desk.replica.transaction() as unit:
        for name in ("one", "two"):
            assert note(unit, Entry("deleted", "alice", "delete", name, "done"))
    assert not problems(desk)
    last = max(key for key in desk.rows(Table.BATCHES) if key.startswith(layout.feed_prefix(feed(desk))))
    batch = unpack_batch(desk.rows(Table.BATCHES)[last])
    assert batch.accepted == 2
    desk.put(Table.BATCHES, last, pack_batch(batch.header_bytes, batch.signature, batch.arrival, 1))
    assert "its events are not as many as were signed" in problems(desk)


def test_a_batch_that_was_taken_out_is_noticed_wherever_it_stood(desk: Desk) -> None:
    mine = [key for key in desk.rows(Table.BATCHES) if key.startswith(layout.feed_prefix(feed(desk)))]
    for key in mine:
        kept = desk.rows(Table.BATCHES)[key]
        with desk.store.write() as writer:
            writer.delete(Table.BATCHES, key)
        assert problems(desk), key
        desk.put(Table.BATCHES, key, kept)
    assert not problems(desk)


def test_batches_that_changed_places_are_noticed(desk: Desk) -> None:
    rows = desk.rows(Table.BATCHES)
    one, other = layout.batch_key(feed(desk), 3), layout.batch_key(feed(desk), 4)
    desk.put(Table.BATCHES, one, rows[other])
    desk.put(Table.BATCHES, other, rows[one])
    assert problems(desk)


def test_a_record_that_was_signed_anew_is_noticed_by_the_one_behind_it(desk: Desk) -> None:
    other = Desk().found()  # the same key
    for number in range(RECORDS):
        write(other, why="another story" if number == 2 else str(number))
    stories = {table: other.rows(table) for table in (Table.BATCHES, Table.EVENTS)}
    changed = next(key for key, value in desk.rows(Table.BATCHES).items() if stories[Table.BATCHES][key] != value)
    desk.put(Table.BATCHES, changed, stories[Table.BATCHES][changed])
    arrival = layout.arrival_key(unpack_batch(stories[Table.BATCHES][changed]).arrival)
    desk.put(Table.EVENTS, arrival, stories[Table.EVENTS][arrival])
    assert problems(desk) == ["it doesn't follow the batch before it"]


def test_an_event_that_is_told_as_another_feeds_is_noticed(desk: Desk) -> None:
    with desk.replica.read() as reader:
        batch = desk.entities(reader).log.batches(feed(desk), 3)[0][1]
        (stored,) = desk.entities(reader).log.events_of(batch)
    key = layout.arrival_key(stored.arrival)
    for number, n in ((stored.feed + 1, stored.event.n), (stored.feed, stored.event.n + 1)):
        desk.put(Table.EVENTS, key, pack_event(stored.previous, number, structs.replace(stored.event, n=n)))
        assert problems(desk) == ["its events are another's, or out of order"]


def test_batches_of_another_plane_in_the_place_of_the_records_are_noticed(desk: Desk) -> None:
    issues = desk.replica.own_feed(desk.replica.ledger.number)
    for key, plane in ((issues, operational(desk)), (feed(desk), desk.replica.ledger.number)):
        row = decode_feed(desk.rows(Table.META)[layout.feed_key(key)])
        desk.put(Table.META, layout.feed_key(key), encode(structs.replace(row, plane=plane)))
    assert set(problems(desk)) == {"it is of another plane"}


def test_a_machine_that_took_another_key_goes_on_with_a_feed_whose_head_is_the_chain_s(desk: Desk) -> None:
    before = head(desk)
    with desk.replica.transaction() as unit:
        rotate_town(unit)
    write(desk, why="after")
    assert head(desk) != before
    found = list(stretches(desk))
    assert not problems(desk)
    assert head(desk) == [each for stretch in found for each in stretch.heads][-1]
    assert [each["details"]["reason"] for stretch in found for each in stretch.records][-2:] == ["5", "after"]


def test_a_record_that_was_written_over_is_noticed(desk: Desk) -> None:
    name = next(iter(desk.records(AUDIT)))
    with desk.replica.transaction() as unit:
        editor = Editor(unit, operational(desk), AUDIT, name, "mallory")
        editor.set("actor", "bob")
        editor.save()
    assert any("written over" in problem for problem in problems(desk))
    with desk.replica.read() as reader:
        oldest = list(audit.newest(desk.entities(reader), desk.replica.planes))[-1]
    assert oldest["actor"] == "alice"


def test_another_history_under_the_same_key_is_whole_but_lacks_the_head_that_was_kept(desk: Desk) -> None:
    kept = head(desk)
    other = Desk().found()  # the same key: all that a desk is follows from its name
    for number in range(RECORDS):
        write(other, why="another story" if number == 2 else str(number))
    assert other.replica.id == desk.replica.id
    assert not problems(other)
    assert kept not in [each for stretch in stretches(other) for each in stretch.heads]
    assert kept in [each for stretch in stretches(desk) for each in stretch.heads]
