"""Who erased an event: the first erasure accepted here that counts, looked up once for each author."""

import pytest

from moot_protocol.ids import key_text
from moot_protocol.log.event import Draft, Write
from moot_protocol.merge.kinds import Role
from moot_testkit.bytes.feeds import FeedWriter, Town, note
from moot_testkit.laws.erasing import SECRET, erasing, of, told, two_feeds
from moot_testkit.towns.engine import Desk
from mootd.engine.stored.log import LogReader, StoredEvent
from mootd.engine.views.entities import Entities
from mootd.engine.views.erasers import Erasers


def by_of(desk: Desk, author: FeedWriter, n: int) -> tuple[str, str] | None:
    """(author's key, actor) of whoever erased an event, as it is told."""
    with desk.replica.read() as reader:
        entities = desk.entities(reader)
        said = Erasers(entities).told(event_at(desk, entities, author, n))
    return (said["erased_by"]["author"], said["erased_by"]["actor"]) if said else None


def event_at(desk: Desk, entities: Entities, author: FeedWriter, n: int) -> StoredEvent:
    """An author's event on the town's ledger."""
    stored = entities.stored(desk.replica.ledger.number, (author.author, n))
    assert stored is not None
    return stored


def test_it_is_told_with_its_actor_its_machine_and_its_time() -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 2))
    desk = told(town, *of(town, one, two))
    with desk.replica.read() as reader:
        entities = desk.entities(reader)
        said = Erasers(entities).told(event_at(desk, entities, one, 2))
    (erasure,) = two.batches[-1].events
    assert said == {"erased_by": {"actor": "eve", "author": key_text(two.author), "at": erasure.skeleton.hlc >> 16}}


def test_what_no_erasure_names_nobody_erased() -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch, 2))
    assert by_of(told(town, *of(town, one, two)), one, 3) is None
    assert by_of(told(town, *of(town, one)), one, 2) is None


def test_of_several_it_is_the_one_that_was_accepted_first() -> None:
    town, one, two, batch = two_feeds()
    first, second = two.write(erasing(batch, 2)), one.write(erasing(batch, 2))
    rest = [each for each in of(town, one, two) if each not in (first, second)]
    for order, author in (((first, second), two), ((second, first), one)):
        desk = told(town, *rest)
        for each in order:
            desk.receive([each])
        assert by_of(desk, one, 2) == (key_text(author.author), "eve")


def test_an_erasure_that_does_not_count_is_passed_over() -> None:
    town = Town()
    guest = town.guest("guest")
    town.admit(guest, Role.WRITER)
    one, two, stranger = town.replica("one"), town.replica("two"), guest.replica("stranger")
    batch = one.write(note(SECRET))
    stranger.write(erasing(batch))
    town.charter.write(erasing(batch))
    early = of(town, guest.charter, one, two, stranger)
    late = two.write(erasing(batch))
    desk = told(town, *early)
    assert by_of(desk, one, batch.header.last) is None
    desk.receive([late])
    assert by_of(desk, one, batch.header.last) == (key_text(two.author), "eve")


@pytest.mark.parametrize("role", [Role.WRITER, Role.ADMIN])
def test_what_only_admins_may_write_an_admin_erased(role: Role) -> None:
    town = Town()
    one, two = town.replica("one", Role.ADMIN), town.replica("two", role)
    batch = one.write(Draft("role", "reviewer", "ann", [Write("document", SECRET)]))
    two.write(erasing(batch))
    desk = told(town, *of(town, one, two))
    expected = (key_text(two.author), "eve") if role is Role.ADMIN else None
    assert by_of(desk, one, batch.header.last) == expected


def test_an_author_s_erasures_are_read_once_and_only_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    town, one, two, batch = two_feeds()
    two.write(erasing(batch))
    desk = told(town, *of(town, one, two))
    read: list[int] = []
    real = LogReader.history

    def history(log: LogReader, head: int) -> list[StoredEvent]:
        read.append(head)
        return real(log, head)

    with desk.replica.read() as reader:
        entities = desk.entities(reader)
        events = [event_at(desk, entities, one, n) for n in (2, 3)]
        monkeypatch.setattr(LogReader, "history", history)
        erasers = Erasers(entities)
        assert read == []
        assert all(erasers.told(each) for each in events)
    assert len(read) == 1
