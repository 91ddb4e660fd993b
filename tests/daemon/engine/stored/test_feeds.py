"""What the store answers about feeds is what the same batches, all held in memory, answer."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.log.batch import ZEROS, Batch
from moot_protocol.trust.branches import Feeds
from moot_testkit.bytes.feeds import Town, note
from moot_testkit.naive.held import HeldBatches
from moot_testkit.towns.engine import Desk
from moot_testkit.towns.worlds import worlds
from mootd.engine.stored.feeds import StoredFeeds
from mootd.engine.unit import Unit

LEDGER = 1
TOWN = Town()


def desk_of(town: Town, batches: Iterable[Batch]) -> Desk:
    desk = Desk().watch(town)
    desk.receive(batches)
    return desk


def answers(feeds: Feeds, batches: Iterable[Batch]) -> dict[bytes, object]:
    """author → all that acceptance may ask of its feed."""
    found: dict[bytes, object] = {}
    for author in feeds.authors():
        own = [batch for batch in batches if batch.header.author == author]
        found[author] = (
            feeds.forked_at(author),
            feeds.tip(author),
            [feeds.get(author, batch.id) for batch in own],
            [feeds.holding(author, n) for n in range(1, 10)],
            sorted(feeds.heads(author)),
            sorted(opening.batch for opening in feeds.openings(author)),
            [
                [event.leaf for event in feeds.batch(author, ref).events]
                for batch in own
                if (ref := feeds.get(author, batch.id))
            ],
        )
    return found


def stored(unit: Unit) -> StoredFeeds:
    return StoredFeeds(unit, LEDGER)


@given(st.data())
def test_store_and_memory_answer_alike(data: st.DataObject) -> None:
    world = data.draw(worlds())
    batches = data.draw(st.permutations(world.batches))[: data.draw(st.integers(0, len(world.batches)))]
    desk = desk_of(world.town, batches)
    with desk.replica.transaction() as unit:
        found, charters = answers(stored(unit), batches), set(stored(unit).charters())
    held = HeldBatches(world.town.plane, batches)
    assert found == answers(held, batches)
    assert charters >= set(held.charters())


def test_a_batch_is_found_whole_wherever_it_lies() -> None:
    feed = TOWN.replica("one")
    batches = [*feed.batches, feed.write(note("accepted")), feed.write(note("ended", entity="mt-2"))]
    end = Town()
    desk = desk_of(end, [*end.charter.batches, *batches, end.end(feed.author, 2, batches[1].id)])
    with desk.replica.transaction() as unit:
        feeds = stored(unit)
        path = feeds.path(feed.author, batches[-1].id)
        assert [feeds.batch(feed.author, ref) for ref in path] == batches
        assert feeds.path(feed.author, ZEROS) == []


def test_what_is_not_linked_is_not_told() -> None:
    feed = TOWN.replica("one")
    feed.write(note("missing"))
    loose = feed.write(note("loose"))
    desk = desk_of(TOWN, [*TOWN.charter.batches, feed.batches[0], loose])
    with desk.replica.transaction() as unit:
        feeds = stored(unit)
        tip = feeds.tip(feed.author)
        assert tip is not None
        assert tip.id == feed.batches[0].id
        assert feeds.get(feed.author, loose.id) is None
        assert [ref.id for ref in feeds.heads(feed.author)] == [feed.batches[0].id]
