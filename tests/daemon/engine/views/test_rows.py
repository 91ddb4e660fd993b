"""Rows: what INDEX holds of an issue follows from its record alone, by the quick way and by the policies alike."""

from collections.abc import Sequence
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.clock import from_ms
from moot_protocol.issues.issue import SHAPES
from moot_protocol.merge.kinds import ISSUE, KINDS
from moot_testkit.bytes.strategies import values
from mootd.engine.stored import layout
from mootd.engine.views import rows, standing
from mootd.engine.views.graph import ALL_CHILDREN, ANY_CHILD
from mootd.engine.views.record import Group, Record
from mootd.engine.views.rows import REMADE, Row, RowMaker, shifted

NOW_MS = 1_700_000_000_000
PROJECTS = {"": 1, "mt": 2, "bd": 3}
AUTHORS = {1: b"a" * 32, 2: b"b" * 32}
TARGETS = {"mt-1": 1, "mt-2": 2, "mt-3": 3}
SAID: dict[int, tuple[dict[str, Any], str]] = {}
"""By arrival, what the events of the last record said."""


def record_of(*events: dict[str, Any], feeds: tuple[int, ...] = (1,), backwards: bool = False) -> Record:
    """A record in which these events are live.

    Args:
        events: each with its keys and values.
        feeds: whose they are, in turn.
        backwards: whether the later ones arrived first.
    """
    record = Record(1, ISSUE, "mt-1", head=len(events), created=from_ms(NOW_MS))
    for position, event in enumerate(events):
        hlc = from_ms(NOW_MS) + position
        pairs: list[Sequence[Any]] = [[key, event[key]] if KINDS[ISSUE][key].inline else [key] for key in sorted(event)]
        feed = feeds[position % len(feeds)]
        SAID[position + 1] = event, "ada"
        record.groups.append(Group(feed, position + 1, hlc, position + 1, bytes([position]) * 32, pairs))
        record.updated = hlc
    if backwards:
        record.groups.reverse()
    return record


def number_of(plane: int, kind: str, entity: str) -> int:
    assert (plane, kind) == (1, ISSUE)
    return TARGETS.setdefault(entity, len(TARGETS) + 1)


MAKER = RowMaker(
    lambda feed: AUTHORS[feed], lambda _, project: PROJECTS.setdefault(project, 9), number_of, SAID.__getitem__
)


def row_of(*events: dict[str, Any], **parts: Any) -> Row:
    return MAKER.make(1, record_of(*events, **parts))


def slowly(record: Record) -> Row:
    with mock.patch.object(rows, "plain_values", return_value=None):
        return MAKER.make(1, record)


def prefixes(row: Row) -> set[bytes]:
    return {key[:1] for key in row.keys}


# -- The quick way -------------------------------------------------------------------------------------------------
texts = st.sampled_from(["", "open", "closed", "tombstone", "alice", "gate", "2026-01-31T09:00:00Z", "mt", "é" * 300])
odd = values | st.sampled_from([["a"], [["a"], "1"], [[["a"], "1"]], {"a": 1}, [], [{}], 2**63, -1, True])
entries = st.tuples(st.sampled_from(["a", "b", ""]), texts).map(list)
edges = st.tuples(
    st.sampled_from(["mt-1", "mt-2", "external:x", "", "no such", "x" * 600, "a\0b"]),
    st.sampled_from(["blocks", "waits-for", "parent-child", "", "t" * 300]),
    st.none() | texts,
    st.none(),
    st.sampled_from([{}, {"metadata": '{"gate":"any-children"}'}, {"metadata": 5}, {"metadata": None}, 7]),
).map(list)


def likely(key: str) -> st.SearchStrategy[Any]:
    if key in ("metadata", "extra"):
        return entries | odd
    if key == "edges":
        return edges | odd
    if key in SHAPES or key in ("labels", "project"):
        return texts | st.integers(-1, 2**62) | st.booleans() | odd
    if key == "deleted":
        return st.tuples(texts, texts, texts, st.none() | texts, st.sampled_from(["", "0" * 16, 5])).map(list) | odd
    return st.lists(texts, min_size=3, max_size=4) | odd


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    keys = draw(st.lists(st.sampled_from(sorted(KINDS[ISSUE])), min_size=1, max_size=8, unique=True))
    return {key: draw(likely(key)) for key in keys}


@given(st.lists(events(), max_size=3), st.sampled_from([(1,), (1, 2)]), st.booleans())
def test_any_record_has_a_row_and_the_quick_way_is_what_the_policies_say(
    made: list[dict[str, Any]], feeds: tuple[int, ...], backwards: bool
) -> None:
    record = record_of(*made, feeds=feeds, backwards=backwards)
    quick = MAKER.make(1, record)
    assert quick == slowly(record)
    assert all(len(key) <= 511 for key in quick.keys)


ordinary = st.fixed_dictionaries(
    {"title": texts},
    optional={
        "status": st.sampled_from(["open", "in_progress", "closed", "tombstone"]),
        "priority": st.integers(0, 4),
        "assignee": texts,
        "labels": texts,
        "description": texts,
        "deleted": likely("deleted"),
        "alias": texts,
        "leases": odd,
        "updated_at": texts,
    },
)
said_later = st.dictionaries(
    st.sampled_from(["title", "priority", "description", "comments", "notes", "due_at", "owner"]),
    st.integers(-1, 5) | texts,
    min_size=1,
)


def say_later(record: Record, said: dict[str, Any]) -> None:
    """Let an event come after all others."""
    record.groups += record_of(*[{}] * 9, said).groups[-1:]
    record.groups[-1].hlc = record.updated = record.updated + from_ms(1000)


@given(st.lists(ordinary | events(), min_size=1, max_size=2), said_later, st.booleans())
def test_a_row_that_is_shifted_is_the_one_that_is_made_anew(
    before: list[dict[str, Any]], said: dict[str, Any], is_aware: bool
) -> None:
    """Whether the later write supersedes what was there, or was made without sight of it."""
    record = record_of(*before)
    old = MAKER.make(1, record)
    record.index_keys = old.keys
    if is_aware:
        for group in record.groups:
            group.pairs = [pair for pair in group.pairs if pair[0] not in said]
        record.groups = [group for group in record.groups if group.pairs]
    say_later(record, said)
    moved = shifted(record, set(said))
    if moved is not None:
        new = MAKER.make(1, record)
        keys, priority = moved
        assert keys == new.keys
        expected = old.standing if priority is None else old.standing._replace(priority=priority)
        assert (new.standing, new.edges) == (expected, old.edges)


def test_what_changes_nothing_but_time_and_order_is_shifted() -> None:
    record = record_of({"status": "open", "priority": 2, "assignee": "alice", "labels": "x"})
    record.index_keys = MAKER.make(1, record).keys
    say_later(record, {"title": "later"})
    assert shifted(record, {"title"}) == (MAKER.make(1, record).keys, None)
    record.groups[0].pairs.remove(["priority", 2])
    say_later(record, {"priority": 4})
    assert shifted(record, {"title", "priority"}) == (MAKER.make(1, record).keys, 4)


def test_no_key_that_lists_or_readiness_follow_from_is_taken_for_one_that_changes_nothing() -> None:
    for key in set(KINDS[ISSUE]) - REMADE - {"priority"}:
        plain = row_of({"status": "open"}, {key: None})
        for value in ("closed", "alice", "2026-01-31T09:00:00Z", 3, True, ["a", "1"], ["a", "b", "c", None, ""]):
            row = row_of({"status": "open"}, {key: value})
            assert row == plain, key


def test_values_that_no_field_has_take_no_row_down() -> None:
    """Another replica may write anything: one event that can't be indexed would stop everything that comes with it."""
    row = row_of({"labels": {"a": 1}}, {"metadata": [["a"], "1"]}, {"edges": ["x" * 600, "blocks", None, None, {}]})
    assert prefixes(row) == {layout.STATUS, layout.UPDATED}


def test_an_edge_to_what_can_be_no_id_leads_nowhere() -> None:
    row = row_of({"edges": ["x" * 600, "blocks", None, None, {}]}, {"edges": ["a\0b", "blocks", None, None, {}]})
    assert row.edges == {}


# -- Keys ----------------------------------------------------------------------------------------------------------
def test_an_issue_stands_in_its_status_and_in_the_order_of_changes() -> None:
    row = row_of({"title": "T", "status": "open", "priority": 2, "project": "mt"})
    order = layout.order_suffix(2, NOW_MS, layout.tie_of("mt-1"), 1)
    assert set(row.keys) == {
        layout.text_prefix(layout.STATUS, 2, "open") + order,
        layout.timed_key(layout.UPDATED, 2, NOW_MS, 1),
    }


def test_assignee_and_each_label_have_keys_that_tell_closed_issues_apart() -> None:
    shown = {"assignee": "alice", "labels": "red", "priority": 0, "project": "mt"}
    order = layout.order_suffix(0, NOW_MS, layout.tie_of("mt-1"), 1)
    for status, settled in (("open", b"\0"), ("closed", b"\1")):
        row = row_of(shown | {"status": status}, {"labels": "blue"})
        assert layout.text_prefix(layout.ASSIGNEE, 2, "alice") + settled + order in row.keys
        for label in ("red", "blue"):
            assert layout.text_prefix(layout.LABEL, 2, label) + settled + order in row.keys


def test_a_deleted_issue_stands_among_the_deleted_alone_and_leads_nowhere() -> None:
    row = row_of({"deleted": ["alice", "", 5], "labels": "red", "edges": ["mt-2", "blocks", None, None, {}]})
    assert set(row.keys) == {layout.timed_key(layout.DELETED, 1, 0, 1)}
    assert not row.standing.flags
    assert row.edges == {}


def test_a_deleted_issue_in_conflict_stands_among_conflicts_too() -> None:
    blind: dict[str, Any] = {"deleted": ["alice", "", 5, None, "0" * 16]}
    seeing: dict[str, Any] = {"deleted": ["alice", "", 5]}
    for made in ([{"title": "T"}, blind], [{"title": "A"}, {"title": "B"}, seeing]):
        keys = {layout.timed_key(index, 1, 0, 1) for index in (layout.DELETED, layout.CONFLICT)}
        assert set(row_of(*made).keys) == keys


def test_a_record_in_which_nothing_is_live_has_no_row() -> None:
    assert row_of() == Row([], rows._NO_STANDING, {})


def test_what_a_file_said_of_its_last_change_counts_until_something_is_written_after_it() -> None:
    said = {"updated_at": "2020-01-01T00:00:00Z"}
    assert layout.timed_key(layout.UPDATED, 1, 1_577_836_800_000, 1) in row_of({"title": "T"}, said).keys
    assert layout.timed_key(layout.UPDATED, 1, NOW_MS, 1) in row_of(said, {"title": "T"}).keys


def test_it_does_not_show_which_of_two_events_arrived_first() -> None:
    made = ({"title": "T"}, {"updated_at": "2020-01-01T00:00:00Z"})
    assert row_of(*made) == row_of(*made, backwards=True)


def test_times_out_of_range_are_brought_into_it() -> None:
    far = row_of({"created_at": 2**64 - 1, "defer_until": -5, "updated_at": "0001-01-01T00:00:00Z"})
    assert far.standing.created_ms == 2**62
    assert far.standing.defer_ms == 0
    assert layout.timed_key(layout.UPDATED, 1, 0, 1) in far.keys


# -- Conflicts -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("key", "one", "other", "counts"),
    [
        ("title", "a", "b", True),
        ("title", "a", "a", False),
        ("assignee", "alice", "bob", False),
        ("closed_at", 1, 2, False),
        ("labels", "a", "b", False),
        ("description", "a", "b", True),
        ("metadata", ["k", "1"], ["k", "2"], True),
        ("metadata", ["k", "1"], ["k", "1"], False),
        ("metadata", ["k", "1"], ["l", "2"], False),
    ],
)
def test_an_issue_stands_among_conflicts_if_its_live_values_may_disagree(
    key: str, one: Any, other: Any, *, counts: bool
) -> None:
    row = row_of({"status": "open"}, {key: one}, {key: other}, feeds=(1, 2))
    assert (layout.timed_key(layout.CONFLICT, 1, 0, 1) in row.keys) is counts


@pytest.mark.parametrize("feeds", [(1,), (1, 2)])
@pytest.mark.parametrize(("name", "content", "counts"), [("k", "2", True), ("k", "1", False), ("l", "2", False)])
def test_further_fields_disagree_by_what_their_events_say_of_whichever_writers(
    feeds: tuple[int, ...], name: str, content: str, *, counts: bool
) -> None:
    # One writer's share a name too, where the first was missing when the second was written.
    row = row_of({"extra": ["k", "1"]}, {"extra": [name, content]}, feeds=feeds)
    assert (layout.CONFLICT in prefixes(row)) is counts


def test_an_entry_that_is_missing_disagrees_with_nothing() -> None:
    record = record_of({"extra": ["k", "1"]}, {"extra": ["k", "2"]})
    SAID[2] = {}, "ada"
    assert layout.CONFLICT not in prefixes(MAKER.make(1, record))


def test_an_issue_of_which_nothing_is_left_moves_to_no_list() -> None:
    record = record_of({"comments": ["x", "", "", ""]})
    record.index_keys = MAKER.make(1, record).keys
    record.groups.clear()
    assert shifted(record, {"comments"}) is None


# -- Standing and edges --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("shown", "flags"),
    [
        ({"status": "open"}, standing.EXISTS | standing.OPEN),
        ({}, standing.EXISTS | standing.OPEN),
        ({"status": "in_progress"}, standing.EXISTS),
        ({"status": "closed"}, standing.EXISTS | standing.CLOSED | standing.SETTLED),
        ({"status": "pinned"}, standing.EXISTS | standing.SETTLED),
        ({"status": "open", "pinned": True}, standing.EXISTS | standing.OPEN | standing.PINNED),
        ({"status": "deferred", "defer_until": 1}, standing.EXISTS | standing.OPEN),
        ({"status": "deferred", "defer_until": ""}, standing.EXISTS),
        ({"status": "deferred"}, standing.EXISTS),
        ({"status": "in_progress", "defer_until": 1}, standing.EXISTS),
    ],
)
def test_the_standing_says_what_others_need_to_know(shown: dict[str, Any], flags: int) -> None:
    assert row_of({"title": "T"} | shown).standing.flags == flags


def test_types_that_ready_leaves_out_and_ephemeral_issues_have_a_class_of_their_own() -> None:
    for issue_type in standing.EXCLUDED_TYPES:
        assert row_of({"issue_type": issue_type}).standing.issue_class == standing.EXCLUDED_TYPE
    assert row_of({"issue_type": "epic"}).standing.issue_class == 0
    both = row_of({"issue_type": "gate", "ephemeral": True}).standing.issue_class
    assert both == standing.EXCLUDED_TYPE | standing.EPHEMERAL


def test_edges_have_the_rank_of_their_earliest_write_and_their_gate() -> None:
    gate = {"metadata": '{"gate":"any-children"}'}
    row = row_of(
        {"edges": ["mt-2", "waits-for", None, None, gate]},
        {"edges": ["mt-2", "waits-for", None, None, {}]},
        {"edges": ["mt-3", "blocks", None, None, gate]},
        feeds=(2, 1),
    )
    waits, blocks = row.edges[2, "waits-for"], row.edges[3, "blocks"]
    assert waits.rank == from_ms(NOW_MS).to_bytes(8, "big") + AUTHORS[2] + (1).to_bytes(8, "big")
    assert (waits.gate, blocks.gate) == (ANY_CHILD, ALL_CHILDREN)


def test_edges_to_things_outside_are_not_looked_for_and_those_to_itself_are_its_own() -> None:
    row = row_of({"edges": ["external:x:y", "blocks", None, None, {}]}, {"edges": ["mt-1", "blocks", "", "", {}]})
    assert list(row.edges) == [(1, "blocks")]
