"""A snapshot of the log tells of feeds what was committed when it was taken, and nothing of what came later."""

from moot_testkit.towns.carrying import create
from moot_testkit.towns.town import make_town
from mootd.engine.stored.log import FeedRow
from mootd.engine.stored.log_snapshot import LogSnapshot


def test_every_author_of_a_plane_is_found_in_order_of_their_keys() -> None:
    one, two = make_town(2)
    two.take(*one.batches())
    plane = two.ledger.number
    with two.replica.read() as reader:
        found = LogSnapshot(reader)
        authors = found.authors(plane)
        assert authors == sorted({one.ledger.town, one.id, two.id})
        assert found.numbers(plane) == [found.feed_number(plane, author) for author in authors]
        assert {found.feed(number).plane for number in found.numbers(plane)} == {plane}


def test_of_one_plane_the_feeds_of_others_are_not_seen() -> None:
    (one,) = make_town(1)
    hidden = one.replica.plane_named("operational").number
    with one.replica.read() as reader:
        found = LogSnapshot(reader)
        assert not {*found.numbers(hidden)} & {*found.numbers(one.ledger.number)}
        assert found.feed_number(hidden, one.id) != found.feed_number(one.ledger.number, one.id)


def test_whoever_is_not_known_has_an_empty_feed() -> None:
    (one,) = make_town(1)
    with one.replica.read() as reader:
        found = LogSnapshot(reader)
        number = found.feed_number(one.ledger.number, bytes(32))
        assert (number, found.feed(number)) == (0, FeedRow(0, b""))


def test_what_is_committed_later_is_not_seen() -> None:
    (one,) = make_town(1)
    with one.replica.read() as reader:
        found = LogSnapshot(reader)
        number = found.feed_number(one.ledger.number, one.id)
        before = found.feed(number).n
        create(one)
        assert found.feed(number).n == before < one.replica.feeds[number].n
