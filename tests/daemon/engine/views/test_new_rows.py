"""Rows of new issues: the quick way gives what is made of their records, and is taken where nothing is in doubt."""

from collections.abc import Sequence
from itertools import permutations
from random import Random
from sys import getrefcount
from typing import Any, NamedTuple
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.clock import from_ms
from moot_protocol.log.batch import Batch, BatchBuilder
from moot_protocol.log.event import Dot, Draft, PlainDraft, Write, build_event
from moot_protocol.merge.kinds import ISSUE, KINDS, Role
from moot_testkit.bytes.feeds import Town, dot_of, seed, stripped
from moot_testkit.bytes.strategies import values
from moot_testkit.towns.engine import Desk
from mootd.engine import unit as unit_module
from mootd.engine.exchange.receive import receive
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.engine.views.new_rows import NewRows, _plan_of
from mootd.engine.views.record import Said, record_of_new
from mootd.engine.views.rows import Row, RowMaker, status_flags
from mootd.engine.views.standing import EXISTS, REFERENCED, Standing

NOW_MS = 1_700_000_000_000
AUTHOR = b"a" * 32
PLAIN: dict[str, Any] = {
    "project": "mt", "title": "A title", "status": "open", "priority": 2, "issue_type": "bug", "assignee": "ada",
    "created_at": "2025-11-01T21:58:07.295058-08:00", "updated_at": "2025-12-01T21:58:07Z",
}  # fmt: skip
PROJECTS: dict[str, int] = {}
TARGETS: dict[str, int] = {}
SAID_AT: dict[int, tuple[dict[str, Any], str]] = {}
"""By arrival, what the events made last said."""
MAKER = RowMaker(
    lambda _: AUTHOR,
    lambda _, project: PROJECTS.setdefault(project, len(PROJECTS) + 1),
    lambda *entity: TARGETS.setdefault(entity[2], len(TARGETS) + 2),
    SAID_AT.__getitem__,
)


def said_in(*events: dict[str, Any], hlcs: Sequence[int] = ()) -> list[Said]:
    """What these events say, at these milliseconds after `NOW_MS` (by default one after another)."""
    said: list[Said] = []
    for n, event in enumerate(events, 1):
        hlc = from_ms(NOW_MS + (hlcs[n - 1] if hlcs else n))
        made = build_event(n, PlainDraft(ISSUE, "mt-1", "ada", event), hlc, b"s" * 16, {AUTHOR: 0})
        keys = tuple(sorted(event))
        SAID_AT[n] = event, "ada"
        said.append((made, keys, [event[key] for key in keys], 1, n))
    return said


def quickly(said: list[Said]) -> Row:
    return NewRows(MAKER).make(1, record_of_new(1, said), said)


def slowly(said: list[Said]) -> Row:
    return MAKER.make(1, record_of_new(1, said))


SOME = st.sampled_from(["", "open", "closed", "tombstone", "gate", "2026-01-31T09:00:00Z", "mt", -1, 0, 4, 2**62, True])
VALUES = SOME | values
OTHERS = st.fixed_dictionaries({}, optional=dict.fromkeys(KINDS[ISSUE], VALUES))
ODD = st.sampled_from(sorted(PLAIN)).flatmap(lambda key: VALUES.map(lambda value: {**PLAIN, key: value}))


@given(st.lists(ODD | OTHERS, min_size=1, max_size=6).map(lambda found: [event for event in found if event]))
def test_a_new_row_is_the_one_made_of_the_record_whatever_the_events_say(events: list[dict[str, Any]]) -> None:
    if events:
        said = said_in(*events)
        assert quickly(said) == slowly(said)


@pytest.mark.parametrize("without", [{"title", "updated_at"}, {"title", "updated_at", "created_at"}])
@pytest.mark.parametrize("hlcs", [*permutations(range(3))])
def test_a_new_row_is_the_one_made_of_the_record_in_whatever_order_events_came(
    hlcs: tuple[int, ...], without: set[str]
) -> None:
    rest = {key: PLAIN[key] for key in PLAIN.keys() - without}
    said = said_in(rest, {"title": "T"}, {"updated_at": PLAIN["updated_at"]}, hlcs=hlcs)
    record = record_of_new(1, said)
    assert (record.created, record.updated) == (from_ms(NOW_MS), from_ms(NOW_MS + 2))
    assert quickly(said) == slowly(said)


@pytest.mark.parametrize(
    "events",
    [
        [PLAIN],
        [{key: PLAIN[key] for key in ("project", "status", "priority", "issue_type")}],
        [PLAIN, {"description": "long"}],
        [{**PLAIN, "status": "closed", "closed_at": PLAIN["updated_at"]}],
        [{**PLAIN, "issue_type": "gate", "assignee": ""}],
    ],
)
def test_what_nearly_all_new_issues_say_needs_no_policy_and_no_second_look(events: list[dict[str, Any]]) -> None:
    said = said_in(*events)
    expected = slowly(said)
    with mock.patch.object(MAKER, "make", side_effect=AssertionError):
        assert quickly(said) == expected


@pytest.mark.parametrize(
    "other",
    [
        {"labels": "x"}, {"edges": ["mt-2", "blocks", None, None, {}]}, {"defer_until": NOW_MS}, {"pinned": True},
        {"ephemeral": True}, {"deleted": True}, {"alias": "mt-old"}, {"status": "tombstone"}, {"status": ""},
        {"priority": 9}, {"priority": 5}, {"priority": -1}, {"priority": True}, {"project": 1}, {"assignee": None},
        {"created_at": -1}, {"created_at": 2**63}, {"updated_at": -1}, {"updated_at": 2**63}, {"leases": 1},
    ],
)  # fmt: skip
def test_what_more_follows_from_is_left_to_who_makes_rows_of_records(other: dict[str, Any]) -> None:
    said = said_in({**PLAIN, **other})
    with mock.patch.object(MAKER, "make", wraps=MAKER.make) as made:
        row = quickly(said)
    made.assert_called_once()
    assert row == slowly(said)


def test_issues_of_many_events_and_of_keys_written_twice_are_left_to_it_too() -> None:
    for labels in (["x", "y"], [*"abcdefghi"]):
        events = [PLAIN, *[{"labels": label} for label in labels]]
        said = said_in(*events)
        assert quickly(said) == slowly(said)
        assert len(quickly(said).keys) == len(quickly(said_in(PLAIN)).keys) + len(events) - 1


def test_of_issues_that_say_more_than_any_issue_has_no_plan_is_remembered() -> None:
    """Sets of keys are the writer's choice: hundreds of them, each of many long names, would take megabytes."""
    long = {f"{number:064}": number for number in range(100)}
    for events in ([{**PLAIN, **long}], [PLAIN, long]):
        said = said_in(*events)
        before = _plan_of.cache_info().currsize
        assert quickly(said) == slowly(said)
        assert _plan_of.cache_info().currsize == before


def test_a_status_of_its_writer_s_own_is_not_remembered() -> None:
    status = "s" * 60_000
    held = getrefcount(status)
    assert status_flags(status) == status_flags("in_progress") == (EXISTS, b"\0")
    assert getrefcount(status) == held


# -- Flushes -------------------------------------------------------------------------------------------------------
PLACES = [(ISSUE, "mt-a"), (ISSUE, "mt-b"), (ISSUE, "mt-c"), ("memory", "m"), ("role", "guard")]
STAMPS = st.sampled_from(["2020-01-01T00:00:00Z", "2031-01-01T00:00:00Z", "soon", 5])
EDGE_TYPES = st.sampled_from(["blocks", "blocks", "parent-child", "waits-for", "related"])
SAID: dict[str, st.SearchStrategy[Any]] = {
    "project": st.sampled_from(["mt", "zz", 1]),
    "title": st.sampled_from(["one", "two"]),
    "status": st.sampled_from(["open", "open", "closed", "tombstone", "", 5]),
    "priority": st.integers(0, 5),
    "issue_type": st.sampled_from(["task", "gate"]),
    "assignee": st.sampled_from(["", "alice", "bob"]),
    "description": st.sampled_from(["long", "x" * 5000]),
    "created_at": STAMPS,
    "updated_at": STAMPS,
    "defer_until": st.sampled_from(["", "2030-01-01T00:00:00Z"]),
    "deleted": st.sampled_from([True, False]),
    "alias": st.just("mt-old"),
    "labels": st.sampled_from("xy"),
    "metadata": st.sampled_from([["k", "1"], ["k", "2"], ["l", "1"]]),
    "edges": st.tuples(st.sampled_from(["mt-a", "mt-b", "mt-c"]), EDGE_TYPES).map(lambda edge: [*edge, None, None, {}]),
    "document": st.just("a rule"),
    "unheard_of": st.just([1]),
}


class Saying(NamedTuple):
    """An event about to be made."""

    place: tuple[str, str]
    values: dict[str, Any]
    over: list[int]
    """The keys among the values that are written over some earlier write of theirs, by place; what is beyond is not."""
    removes: bool
    """Whether those are removed instead."""


sayings = st.builds(
    Saying,
    st.sampled_from([*PLACES[:3], *PLACES]),
    st.one_of(
        st.just(PLAIN),
        SAID["edges"].map(lambda edge: {**PLAIN, "edges": edge}),
        st.sampled_from(sorted(SAID)).flatmap(lambda key: SAID[key].map(lambda value: {key: value})),
        st.fixed_dictionaries({}, optional=SAID).filter(bool),
    ),
    st.sampled_from([[], [], [], [0], [0, 1]]),
    st.sampled_from([False, False, True]),
)


class Taking(NamedTuple):
    """A batch of one of four feeds, and what is done once it has come."""

    feed: int
    events: list[Saying]
    withheld: bool
    then: str
    ended: int
    """Its charter may end it right after this: at this one of the events there are by then."""


takings = st.builds(
    Taking,
    st.integers(0, 3),
    st.lists(sayings, min_size=1, max_size=5),
    st.sampled_from([False, False, False, True]),
    st.sampled_from(["", "", "", "look", "try", "flush", "fill", "end"]),
    st.integers(0, 20),
)


class _Written:
    """Feeds of a town as they are written, and which event said what."""

    def __init__(self) -> None:
        self.town = Town()
        roles = (Role.WRITER, Role.WRITER, Role.ADMIN, Role.READER)
        self.feeds = [self.town.replica(f"feed {number}", role) for number, role in enumerate(roles)]
        self._dots: dict[tuple[str, str, str], list[Dot]] = {}

    def openings(self) -> list[Batch]:
        """What everything else follows."""
        return [*self.town.charter.batches, *(feed.batches[0] for feed in self.feeds)]

    def batch(self, taking: Taking) -> Batch:
        """The next batch of a feed."""
        feed = self.feeds[taking.feed]
        builder = BatchBuilder(feed.plane, feed.author, feed.n + 1, feed.head)
        for saying in taking.events:
            feed.hlc += from_ms(1)
            event = builder.add(self._draft(saying), feed.hlc, seed(f"{taking.feed} {builder.next_n}")[:16])
            assert event is not None
            for change in event.skeleton.changes:
                place = event.skeleton.kind, event.skeleton.entity, change.key
                self._dots.setdefault(place, []).append(dot_of(event, feed.author))
        feed.batches.append(builder.seal(feed.key.sign))
        return feed.batches[-1]

    def end(self, taking: Taking) -> Batch:
        """The charter's end of a feed, at one of its events."""
        feed = self.feeds[taking.feed]
        n = taking.ended % feed.n + 1
        head = next(batch for batch in feed.batches if batch.header.last >= n)
        return self.town.end(feed.author, n, head.id)

    def _draft(self, saying: Saying) -> Draft:
        writes = []
        for place, key in enumerate(sorted(saying.values)):
            over = self._dots.get((*saying.place, key), [])[-2:] if place in saying.over else []
            removes = bool(over) and saying.removes
            writes.append(Write(key, None if removes else saying.values[key], over, removes))
        return Draft(*saying.place, "eve", writes)


def put_in(unit: Unit, batch: Batch, then: str, whole: list[Batch]) -> None:
    """Take in a batch, and do what must leave no trace beside it, or what comes of others."""
    receive(unit, batch)
    if then == "look":
        for kind, entity in PLACES:
            unit.record(1, kind, entity)
    elif then == "try":
        unit.try_out(lambda unit: [receive(unit, each) for each in whole])
    elif then == "flush":
        unit.flush()
    elif then == "fill":
        for each in whole:
            receive(unit, each)


def begin(desk: Desk) -> None:
    """Give numbers in one order: flushes alone would give them in others to what edges and projects name."""
    with desk.replica.transaction() as unit:
        for project in ("mt", "zz", ""):
            unit.project_number(1, project)


def name_all(unit: Unit) -> None:
    for place in PLACES:
        unit.views.reference(1, *place)


def kept(desk: Desk) -> dict[str, dict[bytes, bytes]]:
    """All tables, without what tells of states that were passed through: which entities edges once led to, and until
    when what is due was deferred."""
    found = desk.tables()
    for name in ("INDEX_0", "INDEX_1"):
        rows = found[name]
        for key in [key for key in rows if key.startswith(layout.STANDING)]:
            standing = Standing(0, rows.pop(key))
            standing.flags &= ~REFERENCED
            if standing.flags:
                rows[key] = standing.pack()
    return found


@given(st.lists(takings, min_size=1, max_size=8), st.none() | st.randoms(use_true_random=False))
def test_views_are_the_same_to_the_byte_however_often_they_are_flushed(taken: list[Taking], mix: Random | None) -> None:
    written = _Written()
    steps: list[tuple[Batch, str, list[Batch]]] = []
    for taking in taken:
        batch = written.batch(taking)
        steps.append((stripped(batch) if taking.withheld else batch, taking.then, [batch]))
        if taking.then == "end" and not mix:
            steps.append((written.end(taking), "", []))
    if mix:
        mix.shuffle(steps)
    seldom, often = Desk().watch(written.town), Desk().watch(written.town)
    for desk in (seldom, often):
        desk.receive(written.openings())
        begin(desk)
    with mock.patch.object(unit_module, "FLUSH_AFTER", 10**6), seldom.replica.transaction() as unit:
        name_all(unit)
        for step in steps:
            put_in(unit, *step)
    with often.replica.transaction() as unit:
        name_all(unit)
    with mock.patch.object(unit_module, "FLUSH_AFTER", 1):
        for batch, then, whole in steps:
            with often.replica.transaction() as unit:
                put_in(unit, batch, then if then == "fill" else "flush", whole)
    assert kept(seldom) == kept(often)
