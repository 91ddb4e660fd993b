"""A unit writes log and views together, signs what it appended, and takes back whole what failed."""

from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from moot_protocol import limits
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.log.batch import Batch
from moot_protocol.log.event import NewEntity, PlainDraft, plain_shape
from moot_protocol.merge.fold import Placed
from moot_protocol.merge.kinds import ISSUE, Role
from moot_testkit.bytes.feeds import dot_of, live_digest, note, stripped
from moot_testkit.laws.erasing import all_but, erasing, of, told, two_feeds, withheld_at
from moot_testkit.tables import tables
from moot_testkit.towns.town import Member, join, make_town
from mootd.engine.exchange.receive import receive, resettle
from mootd.engine.stored import layout
from mootd.engine.stored.layout import Views
from mootd.engine.stored.log import LogReader
from mootd.engine.unit import FLUSH_AFTER, Unit
from mootd.engine.views.restored import salt_of
from mootd.store.port import Table

LEDGER = 1
NOON = 1_767_225_600_000


def write(member: Member, *texts: str, entity: str = "mt-1") -> None:
    """Write these titles in one transaction."""

    def work(unit: Unit) -> None:
        for text in texts:
            unit.append(LEDGER, note(text, entity=entity))

    member.commit(work)


def cached(member: Member) -> tuple[object, ...]:
    """All that a replica knows between transactions."""
    it = member.replica
    return (
        it.feeds, it.feed_numbers, it.planes, it.projects, it.generation, it.arrival, it.cuts, it.clock.last,
    )  # fmt: skip


# -- Batches -------------------------------------------------------------------------------------------------------
def test_events_of_one_unit_are_signed_as_one_batch() -> None:
    (member,) = make_town(1)
    write(member, "one", "two", "three")
    written = member.batches()[-1]
    assert [event.own_values() for event in written.events] == [["one"], ["two"], ["three"]]


def new_entity(*events: dict[str, Any], entity: str = "mt-1", kind: str = ISSUE) -> NewEntity:
    """An entity by what its events say."""
    shapes = [plain_shape(tuple(values)) for values in events]
    said = [(shape, [values[key] for key in shape.keys]) for shape, values in zip(shapes, events, strict=True)]
    return NewEntity(kind, entity, "alice", said)


def append_new(unit: Unit, entity: NewEntity) -> None:
    unit.append_new(unit.replica.own_feed(LEDGER), entity)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (ISSUE, [{"title": "T", "status": "open", "labels": "x"}, {"description": "long", "updated_at": NOON}]),
        (ISSUE, [{"edges": ["mt-2", "blocks", "", "", {}]}, {"edges": ["mt-0", "blocks", "", "", {}], "labels": "x"}]),
        (ISSUE, [{"comments": [str(number), "", "", "", {}]} for number in range(limits.BATCH_EVENTS + 2)]),
        ("memory", [{"text": "kept", "name": "n"}]),
    ],
    ids=["fields", "edges", "more than a batch", "another kind"],
)
def test_events_of_a_new_entity_written_together_are_those_written_one_by_one(
    kind: str, values: list[dict[str, Any]]
) -> None:
    together, apart = (make_town(1)[0] for _ in range(2))
    for member in (together, apart):
        # Some edge leads to it: known by name, though nothing is known of it.
        member.commit(
            lambda unit: unit.append(LEDGER, note(["mt-1", "blocks", "", "", {}], entity="mt-0", key="edges"))
        )
    together.commit(lambda unit: append_new(unit, new_entity(*values, kind=kind)))
    apart.commit(lambda unit: [unit.append(LEDGER, PlainDraft(kind, "mt-1", "alice", each)) for each in values])
    assert tables(together.replica) == tables(apart.replica)
    assert cached(together) == cached(apart)


def test_of_a_new_entity_all_events_are_written_or_none() -> None:
    (member,) = make_town(1)
    before = len(member.batches())

    def work(unit: Unit) -> None:
        with pytest.raises(RefusedError) as refused:
            append_new(unit, new_entity({"title": "T"}, {"description": "x" * limits.EVENT_BYTES}))
        assert refused.value.code is Code.LIMIT
        with pytest.raises(RefusedError):
            append_new(unit, new_entity({"title": "T"}, entity="mt\n1"))
        assert unit.record(LEDGER, ISSUE, "mt-1") is None
        append_new(unit, new_entity({"title": "T"}))

    member.commit(work)
    assert [batch.header.count for batch in member.batches()[before:]] == [1]


def test_what_is_known_already_or_only_admins_may_write_is_no_new_entity() -> None:
    (member,) = make_town(1)
    write(member, "old")
    for entity in (new_entity({"title": "T"}), new_entity({"text": "T"}, kind="role", entity="r")):
        with pytest.raises(ValueError, match=r"known|not every writer"):
            member.commit(partial(append_new, entity=entity))


def test_what_was_begun_in_the_same_unit_is_no_new_entity() -> None:
    (member,) = make_town(1)

    def work(unit: Unit) -> None:
        append_new(unit, new_entity({"title": "T"}))
        unit.append(LEDGER, PlainDraft(ISSUE, "mt-2", "alice", {"title": "T"}))
        for name in ("mt-1", "mt-2"):
            with pytest.raises(ValueError, match="known"):
                unit.views.add_new(LEDGER, new_entity({"title": "U"}, entity=name), [], 1, unit.arrival)

    member.commit(work)


def test_what_was_just_written_can_be_read_before_it_is_flushed() -> None:
    (member,) = make_town(1)
    write(member, "old")

    def said(text: str) -> dict[str, Any]:
        return {"title": "new", "description": text}

    def read(unit: Unit, entity: str) -> dict[str, Any]:
        record = unit.record(LEDGER, ISSUE, entity)
        live = {} if record is None else unit.entities().live(record)
        return {key: [(sibling.value, sibling.actor) for sibling in siblings] for key, siblings in live.items()}

    def work(unit: Unit) -> None:
        assert read(unit, "mt-2") == {}
        for text, append in (
            ("long", lambda: unit.append(LEDGER, PlainDraft(ISSUE, "mt-2", "alice", said("long")))),
            ("another", lambda: append_new(unit, new_entity(said("another"), entity="mt-2"))),
        ):
            with suppress(_TakenBackError), unit.savepoint():
                append()
                assert read(unit, "mt-2") == {"title": [("new", "alice")], "description": [(text, "alice")]}
                assert read(unit, "mt-1") == {"title": [("old", "alice")]}
                raise _TakenBackError
            assert read(unit, "mt-2") == {}

    member.commit(work)


class _TakenBackError(Exception):
    pass


def test_nothing_written_is_no_batch() -> None:
    (member,) = make_town(1)
    before = len(member.batches())
    write(member)
    assert len(member.batches()) == before


def test_a_batch_ends_after_256_events() -> None:
    (member,) = make_town(1)
    before = len(member.batches())
    write(member, *map(str, range(limits.BATCH_EVENTS + 1)))
    assert [batch.header.count for batch in member.batches()[before:]] == [limits.BATCH_EVENTS, 1]


def test_a_batch_ends_before_96_kib() -> None:
    (member,) = make_town(1)
    before = len(member.batches())
    write(member, *["x" * 50 * limits.KIB] * 3)
    counts = [batch.header.count for batch in member.batches()[before:]]
    assert counts == [1, 1, 1], "two of them would not fit one batch"
    write(member, *["x" * 30 * limits.KIB] * 4)
    assert [batch.header.count for batch in member.batches()[before + 3 :]] == [3, 1]


def test_events_of_one_batch_arrive_in_a_row_though_another_feed_writes_between() -> None:
    first, second = make_town(2)
    write(second, "a")
    write(second, "b", "c")
    theirs = second.batches()

    def work(unit: Unit) -> None:
        unit.append(LEDGER, note("mine"))
        unit.append(LEDGER + 1, note("local"))
        unit.append(LEDGER, note("mine again"))

    first.commit(work)
    first.take(*theirs)
    with first.replica.read() as reader:
        log = LogReader(reader)
        seen = set()
        for feed in first.replica.feeds:
            for begins, stored in log.batches(feed, 1):
                events = log.events_of(stored)
                assert [each.event.n for each in events] == list(range(begins, begins + stored.accepted))
                assert {each.feed for each in events} == {feed}
                seen |= {each.arrival for each in events}
    assert seen == set(range(1, first.replica.arrival))


def test_what_was_appended_reads_back_whole_on_another_machine() -> None:
    first, second = make_town(2)
    write(first, *map(str, range(300)))
    assert set(second.take(*first.batches())) == {"accepted"}
    assert second.batches(first.id) == first.batches()
    assert digest(second) != digest(first), "until the other way round"
    first.take(*second.batches())
    assert digest(second) == digest(first)


def test_a_write_waits_for_none_that_came_before_it_in_the_same_batch() -> None:
    """What it is over may be superseded already, and stands in the record no more."""
    first, second = make_town(2)

    def work(unit: Unit) -> None:
        event = unit.append(LEDGER, note("one"))
        for text in ("two", "three"):
            unit.append(LEDGER, note(text, over=[dot_of(event, first.id)]))

    first.commit(work)
    second.take(*first.batches())
    for member in (first, second):
        record = member.commit(lambda unit: unit.record(LEDGER, ISSUE, "mt-1"))
        assert record is not None
        assert (len(record.groups), record.pending) == (2, set())


def test_of_batches_that_are_taken_in_together_little_waits_to_be_written_out() -> None:
    """What is derived of 250 entities stays in a processor's cache; that of a whole log wouldn't."""
    first, second = make_town(2)

    def begin_256(unit: Unit, start: int) -> None:
        for number in range(start, start + 256):
            unit.append(LEDGER, note(entity=f"mt-{number}"))

    for start in range(0, 1024, 256):
        first.commit(partial(begin_256, start=start))
    records = Views(second.replica.generation).records

    def work(unit: Unit) -> None:
        known = 0
        for batch in first.batches():
            receive(unit, batch)
            known += batch.header.count
            written = sum(1 for _ in unit.transaction.scan(records, b"\0"))
            assert 0 < unit.views.collected <= FLUSH_AFTER
            assert known - FLUSH_AFTER < written + unit.views.collected

    second.commit(work)


def digest(member: Member) -> bytes | None:
    with member.replica.read() as reader:
        return reader.get(Table.META, layout.digest_key(member.replica.generation, LEDGER))


# -- Who may write -------------------------------------------------------------------------------------------------
def test_a_reader_is_told_that_it_may_not_write() -> None:
    founder, reader = make_town(2, roles=[Role.READER])
    before = tables(reader.replica)
    with pytest.raises(RefusedError) as raised:
        write(reader, "mine")
    assert raised.value.code is Code.DENIED
    assert tables(reader.replica) == before
    assert set(founder.take(*reader.batches())) == {"accepted"}


def test_a_unit_writes_nothing_under_a_key_that_somebody_else_uses() -> None:
    first, second = make_town(2)
    twin = Member("member 1", 0)
    join(twin, first)
    write(second, "mine")
    write(twin, "theirs", entity="mt-2")
    second.take(*twin.batches()[-1:])
    with pytest.raises(RefusedError) as raised:
        write(second, "more")
    assert raised.value.code is Code.DENIED


def test_a_unit_writes_nothing_beside_a_batch_under_its_key_that_waits_for_its_time() -> None:
    first, second = make_town(2)
    twin = Member("member 1", 0)
    join(twin, first)
    twin.clock.advance(limits.CLOCK_AHEAD_MS + 2)
    write(twin, "from the future")
    assert second.take(*twin.batches()[-1:]) == ["parked"]
    before = tables(second.replica)
    with pytest.raises(RefusedError) as raised:
        write(second, "another with its number")
    assert raised.value.code is Code.DENIED
    assert tables(second.replica) == before


# -- Taking back ---------------------------------------------------------------------------------------------------
class FailedError(Exception):
    """What goes wrong in these tests."""


def test_a_savepoint_that_fails_leaves_no_trace_and_the_unit_goes_on() -> None:
    (first,), (twin,) = make_town(1), make_town(1)
    first.restart()
    remotes = first.replica.changes.remotes

    def failing(unit: Unit) -> None:
        unit.append(LEDGER, note("taken back", entity="mt-2"))
        resettle(unit, LEDGER, unit.replica.id)
        unit.disown()
        unit.changes_remotes = True
        unit.project_number(LEDGER, "mt")
        unit.feed_number(LEDGER, b"s" * 32)
        unit.cuts += 1
        raise FailedError

    def work(unit: Unit) -> None:
        unit.append(LEDGER, note("before"))
        with pytest.raises(FailedError), unit.savepoint():
            failing(unit)
        unit.append(LEDGER, note("after"))

    first.commit(work)
    write(twin, "before", "after")
    assert [event.own_values() for batch in first.batches()[1:] for event in batch.events] == [["before"], ["after"]]
    assert [event.own_values() for event in twin.batches()[-1].events] == [["before"], ["after"]]
    assert first.replica.arrival == twin.replica.arrival
    assert (first.replica.projects, first.replica.cuts) == (twin.replica.projects, 0)
    assert (first.replica.settled, first.replica.is_disowned, first.replica.changes.remotes) == ({}, False, remotes)
    assert first.replica.feed_number(LEDGER, b"s" * 32) is None
    assert digest(first) == live_of(first)


def live_of(member: Member) -> bytes:
    """The digest of a member's ledger, from its definition."""
    authors = [row.author for row in member.replica.feeds.values() if row.plane == LEDGER]
    batches: list[Batch] = [batch for author in authors for batch in member.batches(author)]
    return live_digest(
        Placed(batch.header.author, event, (batch.header.author, *batch.header.authors))
        for batch in batches
        for event in batch.events
    ).digest()


def test_trying_out_answers_and_changes_nothing() -> None:
    (member,) = make_town(1)
    write(member, "kept")
    before = tables(member.replica)

    def work(unit: Unit) -> int:
        return unit.append(LEDGER, note("tried", entity="mt-2")).n

    answer = member.commit(lambda unit: unit.try_out(work))
    after = tables(member.replica)
    assert answer == 3
    assert before[Table.META].pop(layout.CLOCK) < after[Table.META].pop(layout.CLOCK), "no timestamp is given twice"
    assert after == before
    assert cached(member)[:-1] == before_reopening(member)[:-1]


def before_reopening(member: Member) -> tuple[object, ...]:
    """What a replica knows after it was opened again."""
    member.restart()
    return cached(member)


def test_what_trying_out_raises_is_raised() -> None:
    (member,) = make_town(1)

    def work(unit: Unit) -> None:
        unit.append(LEDGER, note("tried"))
        raise FailedError

    before = tables(member.replica)
    with pytest.raises(FailedError):
        member.commit(lambda unit: unit.try_out(work))
    assert tables(member.replica) == before


# -- Marks -------------------------------------------------------------------------------------------------------
def test_a_mark_stands_until_something_is_written_and_kept() -> None:
    (member,) = make_town(1)

    def work(unit: Unit) -> None:
        unit.append(LEDGER, note("by the one before"))
        mark = unit.mark()
        unit.record(LEDGER, ISSUE, "mt-1")
        unit.seal()
        unit.flush()
        unit.try_out(lambda unit: unit.append(LEDGER, note("tried")))
        with suppress(_TakenBackError), unit.savepoint():
            unit.append(LEDGER, note("taken back"))
            unit.flush()
            raise _TakenBackError
        assert unit.mark() == mark, "what only brings up or takes back is no writing"
        unit.append(LEDGER, note("by this one"))
        assert unit.mark() != mark
        mark = unit.mark()
        unit.set_feed(1, unit.feed(1))
        assert unit.mark() != mark, "so is what is no event"

    member.commit(work)


def test_a_unit_that_fails_changes_neither_store_nor_what_is_known() -> None:
    first, second = make_town(2)
    write(second, "theirs")
    before, known = tables(first.replica), str(cached(first))

    def work(unit: Unit) -> None:
        unit.append(LEDGER, note("mine"))
        unit.project_number(LEDGER, "mt")
        raise FailedError

    with pytest.raises(FailedError):
        first.commit(work)
    assert tables(first.replica) == before
    assert str(cached(first)) == known


# -- What is known between transactions ----------------------------------------------------------------------------
def test_what_is_known_after_commits_is_what_is_read_at_opening() -> None:
    first, second = make_town(2)
    write(second, "a", "b")
    first.take(*second.batches())
    write(first, "c", entity="other-1")
    first.commit(lambda unit: unit.project_number(LEDGER, "mt"))
    known = cached(first)
    assert known == before_reopening(first)


def test_projects_of_one_name_on_two_planes_have_numbers_of_their_own() -> None:
    (member,) = make_town(1)
    numbers = member.commit(
        lambda unit: [unit.project_number(*place) for place in ((LEDGER, "mt"), (LEDGER + 1, "mt"), (LEDGER, "mt"))]
    )
    assert numbers == [1, 2, 1]
    member.restart()
    assert member.replica.projects == {(LEDGER, "mt"): 1, (LEDGER + 1, "mt"): 2}


# -- Salt and clock ------------------------------------------------------------------------------------------------
def test_an_event_gets_a_salt_of_its_own_or_that_of_the_one_it_is_written_for() -> None:
    (member,) = make_town(1)
    write(member, "one", "one")
    first, second = (salt_of(event) for event in member.batches()[-1].events)
    assert first != second
    member.commit(lambda unit: unit.append(LEDGER, note("one"), salt=first))
    assert salt_of(member.batches()[-1].events[0]) == first


def test_a_clock_that_began_anew_goes_on_where_the_feed_s_times_go_on_ascending() -> None:
    (member,) = make_town(1)
    write(member, "one")
    last = member.batches()[-1].header.hlc_last
    member.clock.set_wall(member.clock.now_ms() - 1000)

    def begins_anew(unit: Unit) -> None:
        unit.clock.last = 0
        unit.append(LEDGER, note("two"))

    member.commit(begins_anew)
    assert member.batches()[-1].events[0].skeleton.hlc > last


@pytest.mark.parametrize(("absent", "is_withheld"), [([], False), ([2], False), ([3], True), ([2, 3], True)])
def test_a_batch_is_asked_for_again_only_for_values_that_are_not_erased(
    absent: list[int], *, is_withheld: bool
) -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 2))
    desk = told(town, *all_but(batch, town, one, two))
    desk.receive([stripped(batch, absent)])
    assert withheld_at(desk) == ({(one.author, 2)} if is_withheld else set())


def test_erasures_that_are_appended_or_accepted_are_noted_once_for_each_author() -> None:
    town, one, two, batch = two_feeds()
    desk = told(town, *of(town, one, two))
    noted = [(LEDGER, key_text(one.author))]
    with desk.replica.transaction() as unit:
        receive(unit, two.write(erasing(batch, 2), erasing(batch, 3)))
        receive(unit, two.write(note("no erasure")))
        assert list(unit.erasures) == noted
    with make_town(1)[0].replica.transaction() as unit:
        unit.append(LEDGER, note("no erasure"))
        unit.append(LEDGER, erasing(batch))
        assert list(unit.erasures) == noted
