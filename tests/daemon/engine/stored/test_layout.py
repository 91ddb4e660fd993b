"""Keys order as what they are made of, tell apart what differs, and are never too long for the store."""

from hypothesis import given
from hypothesis import strategies as st

from moot_protocol import limits
from mootd.engine.stored import layout
from mootd.engine.stored.text_keys import TEXT_KEY_BYTES
from mootd.store.memory_store import KEY_BYTES, MemoryStore
from mootd.store.port import Table

NUMBERS_64 = st.integers(0, 2**64 - 1)
NUMBERS_32 = st.integers(0, 2**32 - 1)
PROJECTS = st.integers(0, 2**16 - 1)
HOSTILE = st.text(max_size=600) | st.sampled_from(["", "\0", "a\0", "\0a", "x" * 240, "x" * 241, "ÿ" * 300, "\ud800"])


@given(NUMBERS_64, NUMBERS_64)
def test_events_and_records_order_as_their_numbers(one: int, other: int) -> None:
    assert (layout.arrival_key(one) < layout.arrival_key(other)) == (one < other)
    assert (layout.eid_key(one) < layout.eid_key(other)) == (one < other)
    assert layout.eid_of(layout.eid_key(one)) == one


@given(st.tuples(NUMBERS_32, NUMBERS_64), st.tuples(NUMBERS_32, NUMBERS_64))
def test_batches_order_by_feed_and_then_by_number(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (layout.batch_key(*one) < layout.batch_key(*other)) == (one < other)
    assert layout.batch_key(*one).startswith(layout.feed_prefix(one[0]))
    assert layout.aside_key(*one, b"id").startswith(layout.batch_key(*one))
    assert layout.batch_place(layout.batch_key(*one)) == (*one, b"")
    assert layout.batch_place(layout.aside_key(*one, b"id")) == (*one, b"id")
    assert layout.batch_place(layout.batch_key(*one)[:-1]) == (0, 0, b"")


@given(PROJECTS, NUMBERS_32, NUMBERS_64)
def test_a_batch_with_withheld_values_can_be_read_back_from_its_key(plane: int, feed: int, first: int) -> None:
    key = layout.withheld_key(plane, feed, first)
    assert key.startswith(layout.withheld_prefix(plane))
    assert layout.withheld_parts(key) == (feed, first)


@given(st.tuples(NUMBERS_32, NUMBERS_64, st.binary(min_size=8, max_size=8)), NUMBERS_32)
def test_an_erased_event_can_be_read_back_from_its_key(name: tuple[int, int, bytes], other: int) -> None:
    key = layout.erased_key(*name)
    assert layout.erased_parts(key) == name[1:]
    assert key.startswith(layout.ERASED)
    assert (key < layout.erased_key(other, 0, b"")) == (name[0] < other)


@given(
    st.tuples(st.integers(0, 255), st.integers(0, 2**48), st.integers(0, 2**16 - 1), NUMBERS_64),
    st.tuples(st.integers(0, 255), st.integers(0, 2**48), st.integers(0, 2**16 - 1), NUMBERS_64),
)
def test_issues_order_by_priority_then_newest_first_then_by_tie(
    one: tuple[int, int, int, int], other: tuple[int, int, int, int]
) -> None:
    def rank(parts: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        return parts[0], -parts[1], parts[2], parts[3]

    assert (layout.order_suffix(*one) < layout.order_suffix(*other)) == (rank(one) < rank(other))
    assert layout.eid_of(layout.order_suffix(*one)) == one[3]
    assert layout.order_of(b"any list" + layout.order_suffix(*one)) == layout.order_suffix(*one)


@given(
    st.tuples(st.integers(0, 255), st.integers(0, 2**48), st.integers(0, 2**16 - 1), NUMBERS_64), st.integers(0, 255)
)
def test_keys_of_other_orders_are_those_made_with_them(parts: tuple[int, int, int, int], other: int) -> None:
    one, moved = layout.order_suffix(*parts), layout.order_suffix(other, *parts[1:])
    assert layout.with_priority(b"any list" + one, other) == b"any list" + moved
    ready = layout.ready_key(7, 3, *parts)
    assert ready == layout.project_prefix(layout.READY, 7) + b"\3" + one
    assert layout.blocked_key(ready) == layout.project_prefix(layout.BLOCKED, 7) + one
    _, ms, tie, eid = parts
    assert layout.with_time(layout.timed_key(layout.UPDATED, tie, 1, eid), ms) == layout.timed_key(
        layout.UPDATED, tie, ms, eid
    )


def test_a_tie_is_of_the_id_alone_and_fits_its_place() -> None:
    ties = [layout.tie_of(f"mt-{number}") for number in range(100)]
    assert ties == [layout.tie_of(f"mt-{number}") for number in range(100)]
    assert len(set(ties)) > 90
    assert layout.order_suffix(0, 0, 2**16 - 1, 1)


def test_a_priority_beyond_a_byte_stands_at_its_end() -> None:
    assert layout.order_suffix(-5, 1, 1, 1) == layout.order_suffix(0, 1, 1, 1)
    assert layout.order_suffix(10**9, 1, 1, 1) == layout.order_suffix(255, 1, 1, 1)


@given(PROJECTS, st.integers(0, 255), NUMBERS_64, NUMBERS_64)
def test_what_a_key_in_order_of_time_is_of_can_be_read_back(project: int, issue_class: int, ms: int, eid: int) -> None:
    ready = layout.ready_key(project, issue_class, 2, 1, 3, eid)
    for key in (layout.deferred_key(ms, ready[1:]), layout.lease_key(ms, ready[1:])):
        assert layout.project_and_class(key) == (project, issue_class)
        assert layout.eid_of(key) == eid


@given(st.tuples(PROJECTS, NUMBERS_64, NUMBERS_64), st.tuples(PROJECTS, NUMBERS_64, NUMBERS_64))
def test_keys_of_several_projects_order_by_time(one: tuple[int, int, int], other: tuple[int, int, int]) -> None:
    mine, theirs = (layout.by_time(layout.timed_key(layout.UPDATED, *each)) for each in (one, other))
    assert (mine < theirs) == (one[1:] < other[1:])


@given(HOSTILE, PROJECTS)
def test_a_text_is_read_back_from_its_prefix_or_not_at_all(text: str, project: int) -> None:
    assert layout.text_of(layout.text_prefix(layout.STATUS, project, text)) in {text, None}
    assert layout.text_of(layout.text_prefix(layout.STATUS, project, "open")) == "open"


@given(HOSTILE, PROJECTS, NUMBERS_64)
def test_keys_of_hostile_texts_fit_the_store(text: str, project: int, eid: int) -> None:
    keys = [
        layout.text_prefix(layout.LABEL, project, text) + layout.order_suffix(0, 0, 0, eid),
        layout.edge_key(layout.EDGE, eid, eid, text),
        layout.project_key(project, text),
    ]
    store = MemoryStore()
    with store.write() as writer:
        writer.put_many(Table.META, sorted((key, b"") for key in keys))
    assert max(map(len, keys)) <= KEY_BYTES


def test_of_long_texts_nothing_is_remembered() -> None:
    before = layout._text_prefix.cache_info().currsize
    for number in range(10):
        layout.text_prefix(layout.STATUS, 1, f"{number}" * (TEXT_KEY_BYTES + 1))
    assert layout._text_prefix.cache_info().currsize == before


def test_the_longest_entity_fits_the_store() -> None:
    key = layout.id_key(2**16 - 1, "k" * limits.KIND_BYTES, "e" * limits.ENTITY_BYTES)
    assert len(key) <= KEY_BYTES
    assert layout.id_entity(key) == "e" * limits.ENTITY_BYTES


@given(NUMBERS_64, NUMBERS_64, st.text(st.characters(exclude_characters="\0"), max_size=limits.EDGE_TYPE_CHARS))
def test_an_edge_can_be_read_back_from_its_key(at: int, other: int, edge_type: str) -> None:
    key = layout.edge_key(layout.BACK_EDGE, at, other, edge_type)
    assert layout.edge_parts(key) == (at, other, edge_type)
    assert key.startswith(layout.edges_prefix(layout.BACK_EDGE, at))


@given(st.binary(min_size=1, max_size=6), st.binary(max_size=6))
def test_what_comes_after_a_prefix_is_the_first_key_that_lacks_it(prefix: bytes, rest: bytes) -> None:
    if prefix != b"\xff" * len(prefix):
        assert prefix + rest < layout.after(prefix)
        assert not layout.after(prefix).startswith(prefix)


def test_the_generations_share_no_table() -> None:
    old, new = layout.Views(0), layout.Views(1)
    assert not {old.ids, old.records, old.index} & {new.ids, new.records, new.index}
    assert layout.counter_key(0) != layout.counter_key(1)
    assert layout.digest_key(0, 1) != layout.digest_key(1, 1)


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60), NUMBERS_64)
def test_an_alias_key_tells_what_it_was_made_of_and_begins_with_its_beginnings(alias: str, eid: int) -> None:
    key = layout.alias_key(7, alias, eid)
    assert layout.alias_parts(key) == (alias, eid)
    assert all(key.startswith(layout.aliases_prefix(7, alias[:end])) for end in range(len(alias) + 1))
    assert not key.startswith(layout.aliases_prefix(8))
