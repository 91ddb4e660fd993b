"""Settling what is held: sets of batches from feeds, and what acceptance makes of one author in them."""

from collections.abc import Iterable, Mapping

from moot_protocol.exchange.frontier import Entry, Frontier
from moot_protocol.log.batch import Batch
from moot_protocol.trust.acceptance import Accepted
from moot_testkit.bytes.feeds import FeedWriter, Town, note
from moot_testkit.naive.held import HeldBatches
from moot_testkit.naive.settlement import settle

TOWN = Town()
"""A town for tests that write nothing into its charter."""


def held(*feeds: FeedWriter | Iterable[Batch], town: Town = TOWN, parked: Iterable[Batch] = ()) -> HeldBatches:
    """All batches of these feeds or lists, as a set."""
    found = HeldBatches(town.plane)
    for feed in feeds:
        for batch in feed.batches if isinstance(feed, FeedWriter) else feed:
            found.add(batch)
    for batch in parked:
        found.add(batch, parked=True)
    return found


def of(
    author: bytes, *feeds: FeedWriter | Iterable[Batch], town: Town = TOWN, parked: Iterable[Batch] = ()
) -> Accepted:
    """What is accepted of an author when all these batches are held."""
    return settle(town.plane, held(*feeds, town=town, parked=parked)).accepted[author]


def branches(town: Town, name: str = "one", keep: int = 1) -> tuple[FeedWriter, FeedWriter]:
    """Two branches of a replica that share `keep` batches and have three of their own, of two events each."""
    left = town.replica(name)
    for _ in range(keep - 1):
        left.write(note("shared"), note("shared"))
    right = left.fork("right", keep)
    for step in range(3):
        left.write(note(f"left {step}"), note("left"))
        right.write(note(f"right {step}"), note("right"))
    return left, right


def frontier_of(accepted: Mapping[bytes, Accepted]) -> Frontier:
    """The frontier of a settled plane by its definition; a replica that keeps heads reads it from those."""
    return tuple(
        Entry(author, found.n, found.batch, found.forked_at)
        for author, found in sorted(accepted.items())
        if found.n or found.forked_at
    )
