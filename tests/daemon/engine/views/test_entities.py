"""Reading entities: values and texts, what may be superseded, and what a value was written over."""

from unittest.mock import Mock

import pytest

from moot_protocol.log.event import Dot, Draft, Write
from moot_protocol.merge.register import MISSING
from moot_testkit.bytes.feeds import FeedWriter, Town, dot_of, note, stripped
from moot_testkit.towns.engine import Desk
from mootd.engine.stored.log import StoredEvent
from mootd.engine.views import entities as entities_module
from mootd.engine.views.entities import Entities, value_in
from mootd.engine.views.record import Record
from mootd.store.port import ReadTransaction

LEDGER = 1


class World:
    """Two replicas' writes on one issue, the second over the first."""

    def __init__(self) -> None:
        self.town = Town()
        self.one, self.two = self.town.replica("one"), self.town.replica("two")
        first = self.one.write(
            Draft("issue", "mt-1", "alice", (Write("title", "t1"), Write("description", "long text")))
        )
        self.first = dot_of(first.events[0], self.one.author)
        second = self.two.write(note("t2", over=[self.first]), note("another", key="notes"))
        self.second = dot_of(second.events[0], self.two.author)

    def desk(self) -> Desk:
        desk = Desk().watch(self.town)
        desk.receive([*self.town.charter.batches, *self.one.batches, *self.two.batches])
        return desk


def opened(desk: Desk, reader: ReadTransaction) -> tuple[Entities, Record]:
    return desk.entities(reader), desk.records()["mt-1"]


def name_of(dot: Dot) -> tuple[bytes, int]:
    return dot.author, dot.n


def test_live_values_are_shown_with_texts_from_their_events() -> None:
    desk = World().desk()
    with desk.replica.read() as reader:
        entities, record = opened(desk, reader)
        live = {key: [each.value for each in values] for key, values in entities.live(record).items()}
    assert live == {"title": ["t2"], "description": ["long text"], "notes": ["another"]}


def test_what_many_events_said_is_read_once_but_not_kept_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entities_module, "_SAID_KEPT", 2)
    desk = Desk().found()
    for number in range(5):
        desk.create(f"mt-{number}")
    groups = [record.groups[0] for record in desk.records().values()]
    with desk.replica.read() as reader:
        entities = desk.entities(reader)
        reads = Mock(side_effect=entities.log.said)
        entities.log = Mock(said=reads)
        assert [entities.said(group)[0]["title"] for group in groups] == [f"Title of mt-{n}" for n in range(5)]
        entities.said(groups[-1])
        assert reads.call_count == 5
        entities.said(groups[0])
        assert reads.call_count == 6


def test_dots_name_what_a_new_write_supersedes() -> None:
    world = World()
    desk = world.desk()
    with desk.replica.read() as reader:
        entities, record = opened(desk, reader)
        assert entities.dots(record, "title") == [world.second]
        assert entities.dots(record, "description") == [world.first]
        assert entities.dots(record, "status") == []


def test_a_lineage_tells_what_was_written_over_and_when() -> None:
    world = World()
    desk = world.desk()
    first, second = name_of(world.first), name_of(world.second)
    with desk.replica.read() as reader:
        entities, record = opened(desk, reader)
        lineage = entities.lineage(record, "title")
        assert (list(lineage.over(second)), list(lineage.over(first))) == ([first], [])
        assert (lineage.value(first), lineage.value(second)) == ("t1", "t2")
        assert lineage.hlc(first) == world.one.batches[-1].header.hlc_last
        assert lineage.hlc(second) == world.two.batches[-1].events[0].skeleton.hlc


def test_what_writes_another_key_or_is_not_here_names_nothing() -> None:
    world = World()
    desk = world.desk()
    with desk.replica.read() as reader:
        entities, record = opened(desk, reader)
        lineage = entities.lineage(record, "description")
        for name in (name_of(world.second), (world.two.author, 99), (b"n" * 32, 1)):
            assert lineage.value(name) is MISSING
            assert (list(lineage.over(name)), lineage.hlc(name)) == ([], 0)


def test_a_write_over_another_branchs_event_has_no_ancestor() -> None:
    world = World()
    wrong = Dot(world.one.author, world.first.n, b"\0" * 8)
    batch = world.two.write(note("t3", over=[wrong]))
    desk = world.desk()
    with desk.replica.read() as reader:
        entities, record = opened(desk, reader)
        lineage = entities.lineage(record, "title")
        assert list(lineage.over((world.two.author, batch.header.first))) == []


def stored(feed: FeedWriter, *, whole: bool) -> StoredEvent:
    batch = feed.batches[-1] if whole else stripped(feed.batches[-1])
    return StoredEvent(1, 0, 1, batch.events[0])


def test_the_value_of_a_key_is_found_behind_removals() -> None:
    world = World()
    changes = (Write("notes", removes=True, over=[world.first]), Write("title", "t4"), Write("status", "open"))
    world.one.write(Draft("issue", "mt-1", "alice", changes))
    event = stored(world.one, whole=True)
    assert (value_in(event, "title"), value_in(event, "status")) == ("t4", "open")
    assert value_in(event, "notes") is MISSING
    assert value_in(event, "design") is MISSING
    assert value_in(stored(world.one, whole=False), "title") is MISSING
