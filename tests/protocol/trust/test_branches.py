"""Walking what is held of a feed: openings, predecessors, the batch that holds a number, and how far pins go."""

import pytest

from moot_protocol.errors import Code, MootError
from moot_protocol.log.batch import ZEROS
from moot_protocol.trust.branches import (
    BatchRef,
    Feeds,
    Pin,
    bound,
    follows,
    holding_of,
    needs_values,
    opening_of,
    path_from,
    previous_of,
)
from moot_testkit.bytes.feeds import FeedWriter, Town, note
from moot_testkit.naive.held import HeldBatches
from moot_testkit.naive.settling import TOWN, branches, held


def refs(feeds: Feeds, writer: FeedWriter) -> list[BatchRef]:
    """What is linked of a writer's branch, from the beginning."""
    found = [feeds.get(writer.author, batch.id) for batch in writer.batches]
    return [ref for ref in found if ref is not None]


@pytest.fixture
def forked() -> tuple[HeldBatches, FeedWriter, FeedWriter]:
    """Two branches that share two batches (events 1 to 3) and have three of two events each."""
    left, right = branches(TOWN, keep=2)
    return held(left, right), left, right


def test_a_path_leads_back_to_the_beginning_or_to_what_is_known(
    forked: tuple[HeldBatches, FeedWriter, FeedWriter],
) -> None:
    feeds, left, right = forked
    for writer in (left, right):
        path = refs(feeds, writer)
        assert list(path_from(feeds, writer.author, path[-1])) == path[::-1]
        assert list(path_from(feeds, writer.author, path[-1], {path[1].id})) == path[:1:-1]
        assert list(path_from(feeds, writer.author, path[-1], {path[-1].id})) == []


def test_a_number_is_looked_up_on_its_own_branch(forked: tuple[HeldBatches, FeedWriter, FeedWriter]) -> None:
    feeds, left, right = forked
    for writer in (left, right):
        path = refs(feeds, writer)
        found = [holding_of(feeds, writer.author, path[-1], n) for n in range(1, 10)]
        assert found == [path[0], path[1], path[1], path[2], path[2], path[3], path[3], path[4], path[4]]
        assert holding_of(feeds, writer.author, path[-1], 0) is None
    assert holding_of(feeds, left.author, None, 3) is None


def test_pins_of_two_branches_leave_what_they_share_up_to_the_lowest_number(
    forked: tuple[HeldBatches, FeedWriter, FeedWriter],
) -> None:
    feeds, left, right = forked
    one, other = refs(feeds, left), refs(feeds, right)
    assert bound(feeds, left.author, [Pin(one[3], 7)]) == (one[3], 7)
    assert bound(feeds, left.author, [Pin(one[3], 7), Pin(one[2], 4)]) == (one[2], 4)
    assert bound(feeds, left.author, [Pin(one[4], 9), Pin(other[4], 8)]) == (one[1], 3)
    assert bound(feeds, left.author, [Pin(one[4], 9), Pin(other[1], 2)]) == (one[1], 2)
    assert bound(feeds, left.author, [Pin(one[4], 9), Pin(None, 0)]) == (None, 0)


def test_without_pins_a_feed_goes_up_to_its_first_fork(forked: tuple[HeldBatches, FeedWriter, FeedWriter]) -> None:
    feeds, left, _ = forked
    assert bound(feeds, left.author, []) == (refs(feeds, left)[1], 3)
    assert bound(HeldBatches(TOWN.plane), left.author, []) == (None, 0)


def test_each_branch_has_the_opening_that_it_leads_back_to() -> None:
    one = TOWN.replica("one")
    other = one.fork("other", 0)
    other.write(note("odd"))
    for writer in (one, other):
        writer.write(note())
    feeds = held(one, other)
    for writer in (one, other):
        assert opening_of(feeds, writer.author, refs(feeds, writer)[-1]) == writer.batches[0].events[0]


def test_a_feed_that_lost_a_batch_is_told_of() -> None:
    one = TOWN.replica("one")
    one.write(note())
    lost = BatchRef(one.head, ZEROS, 2, 2, 0)
    with pytest.raises(MootError) as raised:
        previous_of(HeldBatches(TOWN.plane), one.author, lost)
    assert raised.value.code is Code.STORE_DAMAGED
    with pytest.raises(MootError):
        opening_of(HeldBatches(TOWN.plane), one.author, lost._replace(first=1))


def test_what_follows_and_what_needs_its_values() -> None:
    town = Town()
    one = town.replica("one")
    later = one.write(note())
    first = refs(held(one, town=town), one)[0]
    assert follows(later, first)
    assert follows(one.batches[0], None)
    assert not follows(later, None)
    assert not follows(later, first._replace(id=ZEROS))
    assert not follows(later, first._replace(hlc_last=later.header.hlc_last))
    certificate, genesis = one.batches[0].events[0], town.charter.batches[0].events[0]
    assert [needs_values(certificate, n) for n in (1, 2)] == [True, False]
    assert [needs_values(genesis, n) for n in (1, 2)] == [True, True]
    assert not needs_values(later.events[0], 1)
