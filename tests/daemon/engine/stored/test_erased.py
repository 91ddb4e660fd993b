"""What is erased of a feed, as the store keeps it, and what comes in without it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.issues.erasure import Erased
from moot_protocol.log.batch import Batch, decode_batch
from moot_protocol.log.event import Event
from moot_protocol.merge.kinds import Role
from moot_testkit.bytes.feeds import Town, note, stripped, wire
from moot_testkit.towns.engine import Desk
from mootd.engine.stored import layout
from mootd.engine.stored.aside import Aside
from mootd.engine.stored.erased import BY_ADMIN, as_kept, erased_in, is_named, lacks, without
from mootd.store.port import Table

TOWN = Town()
FEED = TOWN.replica("one")
BATCH = FEED.write(note("two"), note("three"), note("four"))
LEAF, OTHER = b"leaf8...", b"another."
MOST = 2**64 - 1

names = st.builds(
    Erased, st.sampled_from([1, 2, 255, 256, MOST - 1, MOST]), st.sampled_from([LEAF, b"\0" * 8, b"\xff" * 8])
)


def name_of(event: Event) -> Erased:
    return Erased(event.n, event.leaf[:8])


def desk_where(*erased: tuple[int, Erased]) -> Desk:
    """A desk whose store calls these erased: (feed, event)."""
    desk = Desk()
    for feed, name in erased:
        desk.put(Table.META, layout.erased_key(feed, *name), b"")
    return desk


def absent(batch: Batch) -> list[int]:
    return [event.n for event in batch.events if event.values_bytes is None]


# -- Which ---------------------------------------------------------------------------------------------------------
@given(st.sets(names), st.sampled_from([1, 2, 256, MOST]), st.sampled_from([1, 255, 256, MOST]))
def test_what_is_erased_of_a_feed_is_found_by_its_numbers(kept: set[Erased], first: int, last: int) -> None:
    desk = desk_where(*((7, name) for name in kept))
    with desk.replica.read() as reader:
        assert erased_in(reader, 7) == kept
        assert erased_in(reader, 7, first, last) == {name for name in kept if first <= name.n <= last}


def test_another_feed_s_are_another_s() -> None:
    desk = desk_where(
        (7, Erased(2, LEAF)), (8, Erased(3, LEAF)), (6, Erased(MOST, b"\xff" * 8)), (2**32 - 1, Erased(9, LEAF))
    )
    with desk.replica.read() as reader:
        assert [erased_in(reader, feed) for feed in (7, 8, 9, 2**32 - 1)] == [
            {Erased(2, LEAF)}, {Erased(3, LEAF)}, set(), {Erased(9, LEAF)},
        ]  # fmt: skip


def test_an_event_of_the_same_number_with_another_leaf_is_not_among_them() -> None:
    event = BATCH.events[0]
    assert is_named(event, {name_of(event)})
    assert not is_named(event, {Erased(event.n, OTHER)})
    assert not is_named(event, {Erased(event.n + 1, event.leaf[:8])})


# -- Without values ------------------------------------------------------------------------------------------------
@given(st.sets(st.sampled_from(BATCH.events)))
def test_only_the_values_of_what_is_erased_go_and_what_is_signed_stays(gone: set[Event]) -> None:
    left = without(BATCH, dict.fromkeys(map(name_of, gone), False))
    assert absent(left) == sorted(event.n for event in gone)
    assert (left.header, left.header_bytes, left.signature, left.id) == (
        BATCH.header, BATCH.header_bytes, BATCH.signature, BATCH.id,
    )  # fmt: skip
    assert decode_batch(wire(left)) == left, "it is a batch as any other"
    assert [event for event in left.events if event.values_bytes] == [each for each in BATCH.events if each not in gone]


def test_a_batch_that_holds_nothing_of_it_is_left_as_it_is() -> None:
    bare = stripped(BATCH, [2])
    assert without(BATCH, {}) is BATCH
    assert without(BATCH, {Erased(2, OTHER): True, Erased(9, LEAF): True}) is BATCH
    assert without(bare, {name_of(BATCH.events[0]): True}) is bare


def test_a_batch_that_opens_a_feed_stays_whole_since_its_certificate_counts_only_so() -> None:
    (first,) = TOWN.replica("two", Role.WRITER, note("beside it")).batches
    assert without(first, dict.fromkeys(map(name_of, first.events), True)) is first


def test_a_batch_is_kept_without_what_the_store_calls_erased() -> None:
    two, three, four = BATCH.events
    desk = desk_where((1, name_of(two)), (1, Erased(3, OTHER)), (2, name_of(three)), (1, name_of(four)))
    with desk.replica.read() as reader:
        assert absent(as_kept(reader, 1, BATCH)) == [2, 4]
        assert absent(as_kept(reader, 2, BATCH)) == [3]
        assert as_kept(reader, 3, BATCH) is BATCH


def test_a_charter_s_batch_keeps_its_values_whatever_is_called_erased_since_they_all_have_to_be_here() -> None:
    guest = TOWN.guest("guest")
    later = guest.admit(TOWN)
    desk = Desk()
    desk.put(Table.META, layout.erased_key(1, *name_of(later.events[0])), BY_ADMIN)
    with desk.store.write() as writer:
        assert absent(as_kept(writer, 1, later)) == [2], "of a key that has opened no charter"
        Aside(writer).put(1, guest.charter.batches[0])
        assert as_kept(writer, 1, later) is later


# -- What is withheld ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("gone", "erased", "withheld"),
    [
        ([], [], False),
        ([], [2, 3, 4], False),
        ([3], [], True),
        ([3], [3], False),
        ([3], [2, 4], True),
        ([2, 4], [2, 4], False),
        ([2, 4], [2], True),
        ([2, 4], [4], True),
        ([2, 3, 4], [2, 3, 4], False),
        ([2, 3, 4], [2, 4], True),
    ],
)
def test_values_are_withheld_that_are_missing_and_not_erased(
    gone: list[int], erased: list[int], withheld: bool
) -> None:
    desk = desk_where(*((1, name_of(event)) for event in BATCH.events if event.n in erased))
    with desk.replica.read() as reader:
        assert lacks(reader, 1, stripped(BATCH, gone).events) is withheld
        assert lacks(reader, 2, stripped(BATCH, gone).events) is bool(gone), "another feed's"


def test_another_branch_s_event_that_is_erased_explains_nothing() -> None:
    desk = desk_where((1, Erased(3, OTHER)))
    with desk.replica.read() as reader:
        assert lacks(reader, 1, stripped(BATCH, [3]).events)
