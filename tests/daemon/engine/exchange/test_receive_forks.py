"""Forks that come by batches and by proofs: the lowest one cuts its feed, and is proven."""

from itertools import permutations

import pytest

from moot_protocol.errors import Code, MootError
from moot_protocol.exchange.messages import ForkProof, fork_proof
from moot_protocol.limits import ASIDE_BATCHES_PER_AUTHOR
from moot_testkit.bytes.feeds import FeedWriter, Town, dot_of, note
from moot_testkit.laws.receiving import accepted_of, begun, check
from moot_testkit.towns.engine import Desk
from mootd.engine.exchange.receive import Outcome, keep_proof
from mootd.engine.stored.aside import AsideReader
from mootd.store.port import Table


def forked(town: Town) -> tuple[FeedWriter, FeedWriter]:
    """A feed and a fork of it from its second batch on."""
    one = town.replica("one")
    one.write(note("common"))
    twin = one.fork("twin")
    one.write(note("left"))
    twin.write(note("right"))
    return one, twin


def test_a_batch_with_the_next_number_that_follows_another_branch_does_not_count() -> None:
    town = Town()
    one = town.replica("one")
    twin = one.fork("twin")
    one.write(note("left"), note("left again"))
    for text in ("right", "right again", "and on"):
        twin.write(note(text))
    desk = begun(one, town=town)
    desk.receive(one.batches)
    stray = twin.batches[-1]
    assert stray.header.first == one.n + 1
    assert desk.receive([stray]) == [Outcome.HELD]
    check(desk, town, [*town.charter.batches, *one.batches, stray])


def test_a_damaged_header_proves_no_fork() -> None:
    town = Town()
    one = town.replica("one")
    batch = one.write(note("a"))
    desk = begun(one, town=town)
    desk.receive([batch])
    (key, value), *_ = [(k, v) for k, v in desk.rows(Table.BATCHES).items() if batch.header_bytes in v]
    at = value.index(batch.header.root)
    desk.put(Table.BATCHES, key, value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :])
    with pytest.raises(MootError, match="not what was signed") as raised:
        desk.receive([batch])
    assert raised.value.code is Code.STORE_DAMAGED
    assert [row.forked_at for row in desk.replica.feeds.values()] == [0, 0]


def test_a_proof_by_itself_cuts_a_feed_before_the_fork() -> None:
    town = Town()
    one, twin = forked(town)
    desk = begun(one, town=town)
    desk.receive(one.batches)
    left, right = one.batches[-1], twin.batches[-1]
    proof = fork_proof((left.header_bytes, left.signature), (right.header_bytes, right.signature))
    assert keep(desk, proof)
    assert not keep(desk, proof), "it tells nothing new"
    assert accepted_of(desk)[one.author][0] == left.header.first - 1
    assert desk.show("mt-1")["title"] == "common"


@pytest.mark.parametrize("by", ["proofs", "batches"])
@pytest.mark.parametrize("order", [*permutations(range(3))])
def test_of_several_forks_of_a_feed_the_lowest_counts_and_is_proven_in_whatever_order_they_are_heard_of(
    by: str, order: tuple[int, ...]
) -> None:
    town = Town()
    one = town.replica("one")
    for text in ("a", "b", "c"):
        one.write(note(text))
    twins = [one.fork(f"twin {keep}", keep) for keep in (1, 2, 3)]
    others = [twin.write(note("another")) for twin in twins]
    proofs = [
        fork_proof(*[(batch.header_bytes, batch.signature) for batch in (own, other)])
        for own, other in zip(one.batches[1:], others, strict=True)
    ]
    desk = begun(one, town=town)
    desk.receive(one.batches)
    told = []
    for number in order:
        if by == "proofs":
            told.append(keep(desk, proofs[number]))
        else:
            desk.receive([others[number]])
    lowest = [min(order[: place + 1]) for place in range(3)]
    assert told in ([], [number == low for number, low in zip(order, lowest, strict=True)])
    row = next(row for row in desk.replica.feeds.values() if row.author == one.author)
    assert (row.forked_at, row.n) == (2, 1)
    assert proof_of(desk, one) == proofs[0]


def proof_of(desk: Desk, feed: FeedWriter) -> ForkProof | None:
    """The proof of a feed's fork that is kept."""
    with desk.replica.read() as reader:
        return AsideReader(reader).proof(desk.replica.feed_numbers[1, feed.author])


def keep(desk: Desk, proof: ForkProof) -> bool:
    with desk.replica.transaction() as unit:
        return keep_proof(unit, proof)


def test_an_event_that_comes_back_by_a_pin_is_still_superseded_by_what_superseded_it() -> None:
    """A cut takes an event back; what was written over it in the meantime is not forgotten."""
    town = Town()
    one, twin = forked(town)
    other = town.replica("other")
    left = one.batches[-1]
    other.write(note("over it", over=[dot_of(left.events[0], one.author)]))
    desk = begun(one, other, town=town)
    desk.receive([*one.batches, *other.batches, *twin.batches])
    assert accepted_of(desk)[one.author][0] == left.header.first - 1
    town.end(one.author, left.header.last, left.id)
    desk.receive(town.charter.batches)
    everything = [*town.charter.batches, *one.batches, *other.batches, *twin.batches]
    check(desk, town, everything)
    assert accepted_of(desk)[one.author][0] == left.header.last


def test_a_batch_that_there_is_no_room_for_still_cuts_the_feed_that_it_forks() -> None:
    town = Town()
    one = town.replica("one")
    twin = one.fork("twin")
    for number in range(2):
        one.write(note(f"{number}"))
    for number in range(ASIDE_BATCHES_PER_AUTHOR + 2):
        twin.write(note(f"{number}"))
    desk = begun(one, town=town)
    desk.receive(one.batches)
    fork = twin.batches[2]
    assert fork.header.first == one.n
    assert desk.receive(twin.batches[:2:-1]).count(Outcome.HELD) == ASIDE_BATCHES_PER_AUTHOR
    assert desk.receive([fork]) == [Outcome.DROPPED]
    assert accepted_of(desk)[one.author][0] == one.n - 1, "it proves a fork although it isn't kept"
