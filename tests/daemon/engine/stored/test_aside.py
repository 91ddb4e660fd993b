"""What lies aside is kept whole, counted against its author, and released when it is due."""

import pytest
from msgspec.structs import replace

from moot_protocol import limits
from moot_protocol.clock import from_ms
from moot_protocol.exchange.messages import fork_proof
from moot_protocol.log.batch import Batch
from moot_testkit.bytes.feeds import START_MS, Town, note
from mootd.engine.stored.aside import Aside, AsideReader
from mootd.store.memory_store import MemoryStore

TOWN = Town()
FEED = TOWN.replica("one")
FIRST, SECOND = FEED.write(note("first")), FEED.write(note("second"))
ONE, OTHER = 1, 2


def held(aside: AsideReader, feed: int) -> list[Batch]:
    return [aside.batch(row) for _, _, row in aside.rows(feed)]


def test_batches_come_back_whole_in_order_and_by_feed() -> None:
    with MemoryStore().write() as transaction:
        aside = Aside(transaction)
        for feed, batch in ((ONE, SECOND), (OTHER, SECOND), (ONE, FIRST)):
            aside.put(feed, batch)
        assert held(aside, ONE) == [FIRST, SECOND]
        assert [aside.batch(row) for row in aside.at(ONE, SECOND.header.first)] == [SECOND]
        assert aside.get(ONE, FIRST.header.first, SECOND.id) is None
        aside.remove(ONE, FIRST.header.first, FIRST.id)
        assert (held(aside, ONE), held(aside, OTHER)) == ([SECOND], [SECOND])


def test_two_branches_lie_side_by_side() -> None:
    twin = FEED.fork("twin", 1)
    theirs = twin.write(note("theirs"))
    with MemoryStore().write() as transaction:
        aside = Aside(transaction)
        aside.put(ONE, FIRST)
        aside.put(ONE, theirs)
        assert {aside.batch(row).id for row in aside.at(ONE, FIRST.header.first)} == {FIRST.id, theirs.id}


def test_there_is_room_for_so_many_batches_of_an_author() -> None:
    feed = TOWN.replica("many")
    with MemoryStore().write() as transaction:
        aside = Aside(transaction)
        for step in range(limits.ASIDE_BATCHES_PER_AUTHOR):
            assert aside.has_room(ONE, 1), step
            aside.put(ONE, feed.write(note(str(step))))
        assert not aside.has_room(ONE, 1)
        assert aside.has_room(OTHER, 1)


def test_there_is_room_for_so_many_bytes_of_an_author() -> None:
    with MemoryStore().write() as transaction:
        aside = Aside(transaction)
        assert aside.has_room(ONE, limits.ASIDE_BYTES_PER_AUTHOR)
        assert not aside.has_room(ONE, limits.ASIDE_BYTES_PER_AUTHOR + 1)
        aside.put(ONE, FIRST)
        assert not aside.has_room(ONE, limits.ASIDE_BYTES_PER_AUTHOR)


def test_what_was_accepted_before_takes_no_room() -> None:
    with MemoryStore().write() as transaction:
        aside = Aside(transaction)
        aside.put(ONE, FIRST, was_accepted=True)
        assert aside.has_room(ONE, limits.ASIDE_BYTES_PER_AUTHOR)


def test_parked_batches_are_due_in_order_of_time_and_once() -> None:
    feed = TOWN.replica("late")
    early, late = (feed.write(note(str(ms)), hlc=from_ms(START_MS + ms)) for ms in (1000, 2000))
    with MemoryStore().write() as transaction:
        aside = Aside(transaction)
        for batch in (late, early):
            aside.put(ONE, batch, parked=True)
        assert aside.due(from_ms(START_MS + 1000)) == []
        assert aside.due(from_ms(START_MS + 1500)) == [(ONE, early.header.first, early.id)]
        assert [row.parked for _, _, row in aside.rows(ONE)] == [False, True]
        assert [batch_id for _, _, batch_id in aside.due(from_ms(START_MS + 3000))] == [late.id]
        assert aside.due(from_ms(START_MS + 3000)) == []


def test_a_batch_that_is_due_is_parked_no_more_and_as_it_was_otherwise() -> None:
    with MemoryStore().write() as transaction:
        aside = Aside(transaction)
        aside.put(ONE, FIRST, parked=True, was_accepted=True)
        (before,) = aside.at(ONE, FIRST.header.first)
        aside.due(from_ms(START_MS + 10**6))
        assert [*aside.at(ONE, FIRST.header.first)] == [replace(before, parked=False)]


def test_a_parked_batch_that_is_gone_is_not_due() -> None:
    with MemoryStore().write() as transaction:
        aside = Aside(transaction)
        aside.put(ONE, FIRST, parked=True)
        aside.remove(ONE, FIRST.header.first, FIRST.id)
        assert aside.due(from_ms(START_MS + 10**6)) == []


@pytest.mark.parametrize("order", [(FIRST, SECOND), (SECOND, FIRST)])
def test_of_what_there_was_no_room_for_the_furthest_is_remembered(order: tuple[Batch, Batch]) -> None:
    with MemoryStore().write() as transaction:
        aside = Aside(transaction)
        assert aside.far_head(ONE) is None
        for batch in order:
            aside.put_far_head(ONE, batch)
        head = aside.far_head(ONE)
    assert head is not None
    assert (head.id, head.last, head.hlc) == (SECOND.id, SECOND.header.last, SECOND.header.hlc_last)


def test_the_proof_of_a_fork_is_kept_beside() -> None:
    theirs = FEED.fork("twin", 1).write(note("theirs"))
    proof = fork_proof((FIRST.header_bytes, FIRST.signature), (theirs.header_bytes, theirs.signature))
    with MemoryStore().write() as transaction:
        aside = Aside(transaction)
        assert aside.proof(ONE) is None
        aside.put_proof(ONE, proof)
        assert (aside.proof(ONE), aside.proof(OTHER)) == (proof, None)
