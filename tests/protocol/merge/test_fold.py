from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.log.event import Draft, Write
from moot_protocol.merge.fold import Placed, fold, placed_in
from moot_protocol.merge.register import MISSING
from moot_testkit.bytes.feeds import FeedWriter, dot_of, live_digest, note, signer, stripped

PLANE = bytes(16)


def writer(name: str = "alice") -> FeedWriter:
    return FeedWriter(PLANE, signer(name))


def placed(*feeds: FeedWriter) -> list[Placed]:
    return [each for feed in feeds for batch in feed.batches for each in placed_in(batch)]


def values(events: Sequence[Placed], key: str = "title", entity: str = "mt-1") -> list[object]:
    live = fold(events).get(("issue", entity), {}).get(key, [])
    return [write.sibling.value for write in live]


def test_the_events_of_a_batch_stand_under_its_author_and_point_into_its_table() -> None:
    alice, bob = writer("alice"), writer("bob")
    first = alice.write(note("a"))
    over = [dot_of(first.events[0], alice.author)]
    batch = bob.write(note("b"), Draft("issue", "mt-1", "bob", (Write("title", "c", over),)))
    authors = (bob.author, alice.author)
    assert list(placed_in(batch)) == [Placed(bob.author, event, authors) for event in batch.events]
    assert all(isinstance(each, Placed) for each in placed_in(batch))


def test_concurrent_writes_are_siblings() -> None:
    alice, bob = writer("alice"), writer("bob")
    alice.write(note("a"))
    bob.write(note("b"))
    assert sorted(map(str, values(placed(alice, bob)))) == ["a", "b"]


def test_a_write_takes_the_place_of_what_it_is_over() -> None:
    alice, bob = writer("alice"), writer("bob")
    first = alice.write(note("a"))
    bob.write(note("b", over=[dot_of(first.events[0], alice.author)]))
    assert values(placed(alice, bob)) == ["b"]


def test_a_removal_leaves_nothing_and_nothing_else_changes() -> None:
    alice = writer()
    first = alice.write(note("a"), note("red", key="labels"))
    dot = dot_of(first.events[0], alice.author)
    alice.write(Draft("issue", "mt-1", "alice", (Write("title", over=[dot], removes=True),)))
    assert values(placed(alice)) == []
    assert values(placed(alice), "labels") == ["red"]


def test_over_acts_within_its_kind_entity_and_key_only() -> None:
    alice = writer()
    first = alice.write(note("a"))
    dots = [dot_of(first.events[0], alice.author)]
    alice.write(note("b", key="status", over=dots), note("c", entity="mt-2", over=dots))
    assert values(placed(alice)) == ["a"]


def test_over_counts_only_against_the_leaf_it_names() -> None:
    alice = writer()
    dot = dot_of(alice.write(note("a")).events[0], alice.author)
    alice.write(note("b", over=[dot._replace(leaf8=bytes(8))]))
    assert values(placed(alice)) == ["a", "b"]


def test_a_write_without_values_is_live_and_missing() -> None:
    alice = writer()
    alice.batches[:] = [stripped(alice.write(note("a")))]
    assert values(placed(alice)) == [MISSING]


@given(st.data())
def test_order_and_repetition_do_not_show(data: st.DataObject) -> None:
    feeds = [writer("alice"), writer("bob")]
    for step in range(data.draw(st.integers(1, 8))):
        known = placed(*feeds)
        seen = data.draw(st.lists(st.sampled_from(known), max_size=2, unique_by=id)) if known else []
        over = [dot_of(one.event, one.author) for one in seen]
        data.draw(st.sampled_from(feeds)).write(
            note(step, key=data.draw(st.sampled_from(["title", "status"])), over=over)
        )
    events = placed(*feeds)
    shuffled = data.draw(st.permutations(events + events[: data.draw(st.integers(0, len(events)))]))
    assert fold(shuffled) == fold(events)
    assert live_digest(shuffled).value == live_digest(events).value
