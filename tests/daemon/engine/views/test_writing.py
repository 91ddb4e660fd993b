"""Views: after any writes, in any order and on any replica, they are what the accepted events make."""

import tracemalloc
from contextlib import suppress
from typing import Any, NamedTuple
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import RefusedError
from moot_protocol.ids import key_text
from moot_protocol.log.event import Draft, NewEntity, PlainDraft, Write, plain_shape
from moot_protocol.merge.kinds import ISSUE, Role
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.issues import (
    AddComment,
    AddEdge,
    Close,
    Conflicts,
    Create,
    Delete,
    Edge,
    History,
    IssueFields,
    RemoveEdge,
    Reopen,
    Undelete,
    Update,
)
from moot_protocol.requests.transfer import Export, Import
from moot_testkit.bytes.feeds import Town, dot_of, live_digest, note
from moot_testkit.laws.naive_index import check, placed
from moot_testkit.towns.engine import Desk, exchange, town_of
from mootd.engine.exchange.receive import Outcome, receive
from mootd.engine.issues.editor import IssueEditor
from mootd.engine.issues.first_lines import FirstLines
from mootd.engine.issues.importing import Importer, parse
from mootd.engine.rebuild import Rebuild
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.engine.views.record import Merge, Record
from mootd.engine.views.writing import _change_keys
from mootd.service.writing.writes import carry_out
from mootd.store.port import Table

NAMES = ("mt-a", "mt-b", "mt-c", "mt-d")
names = st.sampled_from(NAMES)
edge_types = st.sampled_from(["blocks", "blocks", "conditional-blocks", "parent-child", "waits-for", "related"])
gates = st.sampled_from(["", '{"gate":"any-children"}'])
fields = st.fixed_dictionaries(
    {},
    optional={
        "title": st.sampled_from(["one", "two"]),
        "status": st.sampled_from(["open", "in_progress", "closed", "pinned", "deferred"]),
        "priority": st.integers(0, 4),
        "issue_type": st.sampled_from(["task", "gate"]),
        "assignee": st.sampled_from(["", "alice", "bob"]),
        "pinned": st.booleans(),
        "ephemeral": st.booleans(),
        "description": st.sampled_from(["", "a\nb\nc\n", "a\nb\n\nd\n"]),
        "defer_until": st.sampled_from(["", "2023-11-14T22:13:25Z", "2030-01-01T00:00:00Z"]),
    },
)
lines = st.sampled_from(
    [
        b'{"id":"mt-a","title":"A","status":"open","odd":1,"updated_at":"2031-01-01T00:00:00Z"}',
        b'{"id":"mt-b","title":"B","status":"tombstone","original_type":"bug"}',
        b'{"id":"mt-c","title":"C","priority":9,"dependencies":[{"depends_on_id":"mt-z","type":"blocks"}],"odd":2}',
        b'{"id":"mt-d","title":"D","created_at":"2020-01-01T00:00:00Z","labels":["x"],"metadata":{"k":1}}',
    ]
)


few = st.lists(st.sampled_from("xyz"), max_size=2).map(tuple)
updates = st.builds(
    Update,
    actor=st.just("alice"),
    id=names,
    fields=fields.map(lambda shown: msgspec.convert(shown, IssueFields)),
    add_labels=few,
    remove_labels=few,
    set_metadata=st.dictionaries(st.sampled_from("kl"), st.integers(0, 2), max_size=1),
    parent=st.none() | st.none() | names | st.just(""),
)
edges = st.builds(Edge, names, edge_types, gates)
links = st.builds(AddEdge, actor=st.just("alice"), id=names, edge=edges, check_cycles=st.just(False))
others = st.one_of(
    st.builds(RemoveEdge, actor=st.just("bob"), id=names, to=names),
    st.builds(Close, actor=st.just("bob"), id=names, force=st.just(True)),
    st.builds(Reopen, actor=st.just("bob"), id=names, reason=st.sampled_from(["", "not done"])),
    st.builds(Delete, actor=st.just("bob"), id=names),
    st.builds(Undelete, actor=st.just("bob"), id=names),
    st.builds(AddComment, actor=st.just("bob"), id=names, text=st.just("hm")),
    st.builds(Import, actor=st.just("carol"), project=st.just("mt"), lines=lines.map(lambda line: (line,))),
)
requests: st.SearchStrategy[Mutation[Any]] = st.one_of(updates, links, others)
"""One mutation of one of four issues."""


def carry(desk: Desk, *wanted: Mutation[Any]) -> None:
    """Carry out mutations in one transaction; those that are refused write nothing."""
    with desk.replica.transaction() as unit:
        for request in wanted:
            write(unit, request)


class Turn(NamedTuple):
    """What happens next: one desk writes, or it learns what the other has; and the clock moves on."""

    desk: int
    learns: bool
    wanted: list[Mutation[Any]]
    ms: int


turns = st.builds(
    Turn,
    st.integers(0, 1),
    st.integers(0, 4).map(lambda number: number == 0),
    st.lists(requests, min_size=1, max_size=4),
    st.sampled_from([0, 1, 1, 5000]),
)


@given(st.lists(turns, max_size=8))
def test_two_replicas_that_write_apart_and_learn_of_each_other_keep_views_of_what_they_hold(taken: list[Turn]) -> None:
    desks = town_of("one", "two")
    for name in NAMES:
        desks[0].create(name)
    exchange(*desks)
    for turn in taken:
        desk = desks[turn.desk]
        if turn.learns:
            desk.receive(desks[1 - turn.desk].batches())
        else:
            carry(desk, *turn.wanted)
        desk.clock.advance(turn.ms)
        carry(desk)
        check(desk)
    exchange(*desks)
    for desk in desks:
        carry(desk)
        check(desk)
    assert desks[0].digest() == desks[1].digest()
    shown = [{name: desk.show(name) for name in NAMES} for desk in desks]
    assert shown[0] == shown[1]


creates = st.builds(
    Create,
    actor=st.just("carol"),
    project=st.just("mt"),
    id=names,
    fields=fields.map(lambda shown: msgspec.convert({"title": "new", **shown}, IssueFields)),
    labels=few,
)


@given(st.lists(st.one_of(creates, requests), min_size=2, max_size=6))
def test_writes_of_one_transaction_are_answered_and_leave_what_they_do_one_by_one(wanted: list[Mutation[Any]]) -> None:
    together, apart = Desk("same").found(), Desk("same").found()
    for desk in (together, apart):
        for name in NAMES[:2]:
            desk.create(name)
    with together.replica.transaction() as unit:
        answers = [answered(unit, request) for request in wanted]
    for request, answer in zip(wanted, answers, strict=True):
        with apart.replica.transaction() as unit:
            assert answered(unit, request) == answer
    check(together)
    assert together.digest() == apart.digest()
    assert [shown_of(together, name) for name in NAMES] == [shown_of(apart, name) for name in NAMES]


def answered(unit: Unit, request: Mutation[Any]) -> Any:
    """The answer to a mutation, or the code with which it is refused."""
    if isinstance(request, Import):
        return write(unit, request)
    try:
        return carry_out(unit, request)
    except RefusedError as error:
        return error.code


def shown_of(desk: Desk, name: str) -> Any:
    return desk.show(name) if name in desk.records() else None


class _TakenBackError(Exception):
    pass


@given(st.lists(st.tuples(st.booleans(), st.lists(requests, min_size=1, max_size=3)), max_size=6))
def test_what_a_savepoint_takes_back_leaves_no_trace_in_the_views(
    groups: list[tuple[bool, list[Mutation[Any]]]],
) -> None:
    one, other = Desk("same").found(), Desk("same").found()
    for desk in (one, other):
        for name in NAMES[:3]:
            desk.create(name)
    with one.replica.transaction() as unit:
        for kept, wanted in groups:
            try:
                with unit.savepoint():
                    for request in wanted:
                        write(unit, request)
                    end(kept=kept)
            except _TakenBackError:
                continue
    check(one)
    for kept, wanted in groups:
        if kept:
            carry(other, *wanted)
    assert [document_of(one, name) for name in NAMES] == [document_of(other, name) for name in NAMES]


def write(unit: Unit, request: Mutation[Any]) -> None:
    if isinstance(request, Import):
        Importer(unit, unit.replica.ledger.number, request.project, request.actor).take(
            parse(request.lines, 1, FirstLines())
        )
        return
    with suppress(RefusedError):
        carry_out(unit, request)


def end(*, kept: bool) -> None:
    if not kept:
        raise _TakenBackError


def document_of(desk: Desk, name: str) -> Any:
    """An issue without what follows from the number of its events, or None."""
    if name not in desk.records():
        return None
    document = desk.show(name)
    for comment in document.get("comments", ()):
        comment.pop("id")
        comment.pop("created_at", None)
    for dependency in document.get("dependencies", ()):
        dependency.pop("created_at", None)
    return {key: value for key, value in document.items() if key not in ("updated_at", "created_at")}


def test_an_issue_s_edges_stand_in_the_index_unless_it_is_deleted_whatever_else_changes() -> None:
    desk = Desk("one").found()
    for name in NAMES[:2]:
        desk.create(name)
    steps: list[tuple[Mutation[Any], int]] = [
        (AddEdge(actor="alice", id="mt-a", edge=Edge(to="mt-b")), 1),
        (Update(actor="alice", id="mt-a", fields=IssueFields(priority=0)), 1),
        (Delete(actor="alice", id="mt-a"), 0),
        (Undelete(actor="alice", id="mt-a"), 1),
        (RemoveEdge(actor="alice", id="mt-a", to="mt-b"), 0),
    ]
    for request, edges in steps:
        carry(desk, request)
        assert [len(desk.index(prefix)) for prefix in (layout.EDGE, layout.BACK_EDGE)] == [edges, edges]


# -- Events that no desk would write -------------------------------------------------------------------------------
def foreign(desk: Desk, entity: str, **writes: Any) -> None:
    """An event as another version, or somebody hostile, may write it."""
    with desk.replica.transaction() as unit:
        unit.append(desk.replica.ledger.number, Draft(ISSUE, entity, "eve", [Write(k, v) for k, v in writes.items()]))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("labels", {"a": 1}),
        ("labels", ["a"]),
        ("metadata", [["a"], "1"]),
        ("metadata", {}),
        ("edges", ["x" * 600, "blocks", None, None, {}]),
        ("edges", ["mt-1", "blocks", None, None, {"metadata": 5}]),
        ("edges", ["mt-1", "waits-for", None, None, {"metadata": 5}]),
        ("edges", [["mt-1"], ["blocks"], 1, 2, 3]),
        ("edges", 5),
        ("edges", ["mt-1", "t" * 600, None, None, {}]),
        ("comments", 5),
        ("status", "s" * 5000),
        ("status", ["open"]),
        ("assignee", "a\0b" * 200),
        ("priority", -(2**63)),
        ("created_at", 2**64 - 1),
        ("defer_until", -5),
        ("deleted", [1, 2, 3]),
        ("project", "p" * 5000),
        ("unheard_of", {"deep": [1, 2]}),
    ],
)
def test_any_value_in_any_field_is_taken_in_and_the_issue_can_still_be_worked_with(key: str, value: Any) -> None:
    desk = Desk().found()
    desk.create("mt-1")
    desk.create("mt-2")
    desk.create("mt-3")
    desk.create("mt-4")
    foreign(desk, "mt-2", **{key: value})
    desk.do(Undelete(actor="alice", id="mt-2"))
    desk.update("mt-2", title="New", add_labels=("b",), set_metadata={"k": 1}, parent="mt-4")
    desk.update("mt-2", set_labels=("c",), unset_metadata=("k",))
    desk.link("mt-2", "mt-3")
    desk.do(RemoveEdge(actor="alice", id="mt-2", to="mt-3"))
    desk.do(AddComment(actor="alice", id="mt-2", text="still here"))
    desk.do(Close(actor="alice", id="mt-2", force=True))  # an edge of the foreign event may block it
    shown = desk.show("mt-2")
    assert (shown["title"], shown["labels"]) == ("New", ["c"])
    assert desk.ask(Export())["lines"]
    assert len(desk.ask(Conflicts())) == (key == "priority"), "it did not see what it wrote beside"
    assert desk.ask(History(id="mt-2"))
    check(desk)


def test_a_priority_that_is_none_is_listed_as_it_is_shown_though_nothing_else_changed() -> None:
    desk = Desk().found()
    for number, value in enumerate((5, -1, 255, True, 0)):
        foreign(desk, f"mt-{number}", status="open")
        foreign(desk, f"mt-{number}", priority=value)
        check(desk)


def test_what_a_flush_unblocked_is_told_until_the_next_one() -> None:
    desk = Desk().found()
    desk.create("mt-a")
    desk.create("mt-b", edges=(Edge("mt-a"),))
    with desk.replica.transaction() as unit:
        editor = IssueEditor(unit, 1, "mt-a", "bob")
        editor.set("status", "closed")
        editor.save()
        unit.flush()
        assert unit.views.graph.unblocked == [unit.views.find(1, ISSUE, "mt-b")]
        unit.flush()
        assert unit.views.graph.unblocked == []


# -- The digest ----------------------------------------------------------------------------------------------------
def test_of_records_that_were_written_out_or_taken_back_the_merge_keeps_nothing() -> None:
    desk = Desk().found()
    with patch.object(Merge, "forget", autospec=True) as forget, desk.replica.transaction() as unit:
        unit.append(desk.replica.ledger.number, note())
        unit.flush()
        assert forget.call_count == 1
        with suppress(RefusedError), unit.savepoint():
            raise RefusedError("no")
        assert forget.call_count == 2


def test_a_feed_number_that_was_taken_back_is_not_mistaken_for_another_author() -> None:
    """Feeds get numbers as they come; one taken back with its number is forgotten whole."""
    town = Town()
    first, second = town.replica("first", Role.WRITER, note("1")), town.replica("second", Role.WRITER, note("2"))
    desk = Desk().watch(town)
    desk.receive(town.charter.batches)

    def work(unit: Unit) -> Outcome:
        outcome = receive(unit, first.batches[0])
        unit.flush()  # which asks whose it is
        return outcome

    with desk.replica.transaction() as unit:
        assert unit.try_out(work) is Outcome.ACCEPTED
        receive(unit, second.batches[0])
    check(desk)


def test_a_new_entity_holds_nothing_of_who_may_not_speak_of_it() -> None:
    """An event that is the first of its entity is applied at once only where all that its author says counts."""
    town = Town()
    writer = town.replica("one", Role.WRITER)
    rule = Draft("role", "guard", "eve", (Write("document", "mine"),))
    end = Draft("end", key_text(writer.author), "eve", (Write("end", [0, bytes(32), town.key.public]),))
    counting = placed([*town.charter.batches, *writer.batches])
    writer.write(rule, end, note(entity="mt-1"))
    town.charter.write(note(entity="mt-2"), rule._replace(entity="other"))
    desk = Desk().watch(town)
    assert set(desk.receive([*town.charter.batches, *writer.batches])) == {Outcome.ACCEPTED}
    groups = {
        (kind, entity): len(record.groups)
        for kind in (ISSUE, "role", "end")
        for entity, record in desk.records(kind).items()
    }
    assert groups == {
        ("role", "guard"): 0,
        ("role", "other"): 0,
        ("end", key_text(writer.author)): 0,
        (ISSUE, "mt-1"): 1,
        (ISSUE, "mt-2"): 0,
    }
    counting += [each for each in placed(writer.batches[1:]) if each.event.skeleton.kind == ISSUE]
    assert desk.digest() == live_digest(counting).digest()


def test_an_issue_whose_number_another_had_that_was_taken_back_shows_nothing_of_it() -> None:
    """The row of a new issue is made from what was kept at hand of its number, where it is as simple as that."""
    desk = Desk().found()
    shape = plain_shape(("labels",))
    entity = NewEntity(ISSUE, "mt-b", "alice", [(shape, ["x"]), (shape, ["y"])])
    with desk.replica.transaction() as unit:
        unit.try_out(lambda unit: unit.append(1, PlainDraft(ISSUE, "mt-a", "alice", {"assignee": "bob"})))
        unit.append_new(unit.replica.own_feed(1), entity)
    check(desk)


def test_what_is_made_anew_and_then_changed_in_one_transaction_is_listed_as_what_is_left_says() -> None:
    """A change of a title only moves a row; but what a cut took back right before may alter all of it."""
    town = Town()
    one, two = town.replica("one"), town.replica("two")
    desk = Desk().watch(town)
    one.write(note("open", key="status"))
    kept = two.head, two.n
    two.write(note("closed", key="status", over=[dot_of(one.batches[-1].events[0], one.author)]))
    desk.receive([*town.charter.batches, *one.batches, *two.batches])
    desk.receive([town.end(two.author, kept[1], kept[0]), one.write(note("new"))])
    assert desk.show("mt-1")["status"] == "open"
    check(desk)


def test_of_long_texts_nothing_is_kept_in_memory_until_a_flush() -> None:
    """A rebuild applies thousands of events before it writes out what they make."""
    desk = Desk().found()
    text = "x" * 50_000
    for number in range(200):
        with desk.replica.transaction() as unit:
            unit.append(1, PlainDraft(ISSUE, f"mt-{number % 10}", "alice", {"description": text}))
    rebuild = Rebuild()
    with desk.replica.transaction() as unit:
        tracemalloc.start()
        rebuild.step(unit)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 20 * len(text)


def test_views_begin_empty_and_stay_so_for_units_that_do_nothing() -> None:
    desk = Desk().found()
    before = desk.tables()
    with desk.replica.transaction():
        pass
    assert desk.tables() == before
    assert desk.rows(Table.INDEX_0) == {}


class CountedKey(bytes):
    """A key that counts how often one was compared with another."""

    compared = 0

    def __eq__(self, other: object) -> bool:
        CountedKey.compared += 1
        return super().__eq__(other)

    __hash__ = bytes.__hash__


def test_an_issue_of_many_labels_is_compared_key_by_key_and_not_each_with_each() -> None:
    keys: list[bytes] = [CountedKey(number.to_bytes(4)) for number in range(1000)]
    record = Record(1, ISSUE, "mt-1", index_keys=keys[1:])
    puts: list[tuple[bytes, bytes]] = []
    deletes: list[bytes] = []
    _change_keys(record, keys[:-2], puts, deletes)
    assert (puts, deletes, record.index_keys) == ([(keys[0], b"")], keys[-2:], keys[:-2])
    assert CountedKey.compared < 10_000
