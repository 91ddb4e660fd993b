"""What makes a batch sound: each thing that is wrong with one is told, and by itself."""

from msgspec.structs import replace

from moot_testkit.bytes.feeds import note
from moot_testkit.towns.town import Member, make_town
from mootd.engine.stored.batch_check import Stand, batch_problems
from mootd.engine.stored.log import LogReader, StoredBatch, StoredEvent

LEDGER = 1


def written() -> tuple[Stand, StoredBatch, list[StoredEvent]]:
    """A batch of two events, and where it stands."""
    (member,) = make_town(1)
    member.commit(lambda unit: [unit.append(LEDGER, note(title, entity=title)) for title in ("one", "two")])
    return stored(member)


def stored(member: Member) -> tuple[Stand, StoredBatch, list[StoredEvent]]:
    feed = member.replica.own_feed(LEDGER)
    row = member.replica.feeds[feed]
    with member.replica.read() as reader:
        log = LogReader(reader)
        batch = log.batch_holding(feed, row.n)
        assert batch is not None
        return Stand(feed, batch.header.first, row.author, member.replica.ledger.id), batch, log.events_of(batch)


STAND, BATCH, EVENTS = written()


def problems(
    stand: Stand = STAND, batch: StoredBatch = BATCH, events: list[StoredEvent] = EVENTS, **header: object
) -> list[str]:
    return list(batch_problems(stand, batch, replace(BATCH.header, **header), events))


def test_a_batch_that_stands_where_it_was_put_is_sound() -> None:
    assert problems() == []


def test_a_batch_of_another_feed_or_number_is_told() -> None:
    assert problems(STAND._replace(author=bytes(32))) == ["its header is another batch's"]
    assert problems(first=STAND.first + 1) == ["its header is another batch's"]


def test_a_batch_of_another_plane_or_of_none_is_told() -> None:
    for plane in (bytes(32), b""):
        assert problems(STAND._replace(plane=plane)) == ["it is of another plane"]


def test_a_batch_that_was_not_signed_so_is_told() -> None:
    flipped = bytes([BATCH.signature[0] ^ 1]) + BATCH.signature[1:]
    assert problems(batch=BATCH._replace(signature=flipped)) == ["its signature doesn't fit"]


def test_events_that_were_not_signed_are_told_unless_only_some_of_them_are_accepted() -> None:
    assert problems(root=bytes(32)) == ["its events are not those that were signed"]
    assert problems(batch=BATCH._replace(accepted=1), events=EVENTS[:1]) == []


def test_events_of_another_feed_or_number_are_told() -> None:
    for first in (EVENTS[0]._replace(feed=STAND.feed + 1), EVENTS[0]._replace(event=replace(EVENTS[0].event, n=99))):
        assert problems(events=[first, EVENTS[1]]) == ["its events are another's, or out of order"]
