"""Erasures by hand, which events they erase by the definition, and whether a desk stands where they leave it.

What is erased is computed from the batches, all whole, by `NaiveAcceptance` and `naive/erasure.py`: nothing is shared
with the engine.
"""

from collections.abc import Iterable, Mapping
from random import Random
from typing import Any, NamedTuple, cast

from moot_protocol.ids import key_text
from moot_protocol.log.batch import Batch
from moot_protocol.log.event import Draft, Event, Write
from moot_protocol.merge.kinds import Role
from moot_testkit.bytes.feeds import FeedWriter, Town, note
from moot_testkit.laws.replica import dump_of, fsck_problems
from moot_testkit.naive.acceptance import NaiveAcceptance, Way
from moot_testkit.naive.erasure import Name, Speaker, erased_by, name_of
from moot_testkit.towns.carrying import log_of
from moot_testkit.towns.engine import Desk
from mootd.engine.checking.fsck import Problem
from mootd.engine.rebuild import Rebuild
from mootd.engine.stored import layout
from mootd.engine.stored.erased import erased_in
from mootd.store.port import Table


def erasing(batch: Batch, *numbers: int) -> Draft:
    """An event that erases these events of a batch, or all of it."""
    wanted = [event for event in batch.events if not numbers or event.n in numbers]
    keys = sorted(f"{event.n}.{event.leaf[:8].hex()}" for event in wanted)
    return Draft("erase", key_text(batch.header.author), "eve", tuple(Write(key) for key in keys))


# -- By the definition ---------------------------------------------------------------------------------------------
class Expected(NamedTuple):
    """What a set of batches makes of a plane, as far as erasing goes."""

    erased: set[Name]
    accepted: dict[Name, Event]
    """The accepted events, with their values."""


def expected(plane: bytes, batches: Iterable[Batch]) -> Expected:
    """What these batches, all whole, erase."""
    held = {batch.id: batch for batch in batches}
    naive = NaiveAcceptance(plane, [(batch, False) for batch in held.values()])
    found: dict[Name, Event] = {}
    speakers: dict[bytes, Speaker] = {}
    for author in naive.authors:
        standing = naive.of(author)
        way = _way(naive, author, standing.batch)
        accepted = [event for batch in way for event in batch.events if event.n <= standing.n]
        found |= {name_of(author, event): event for event in accepted}
        charter = naive.charters.get(author)
        if way and (charter is None or not (charter.n or charter.tied)):
            town = naive._belongs(way, author, naive.charters)
            speakers[author] = Speaker(standing.role, town, way[0].header.last, accepted)
    return Expected(erased_by(speakers), found)


def _way(naive: NaiveAcceptance, author: bytes, head: bytes) -> Way:
    return next((way for way in naive.ways[author] if way[-1].id == head), [])


# -- How a desk stands ---------------------------------------------------------------------------------------------
def erased_at(desk: Desk) -> set[Name]:
    """What a desk calls erased."""
    with desk.replica.read() as reader:
        return {(row.author, *name) for number, row in desk.replica.feeds.items() for name in erased_in(reader, number)}


def withheld_at(desk: Desk) -> set[tuple[bytes, int]]:
    """(author, first) of the batches that a desk asks for."""
    keys = [layout.withheld_parts(key) for key in desk.rows(Table.META) if key.startswith(layout.WITHHELD)]
    return {(desk.replica.feeds[number].author, first) for number, first in keys}


def accepted_at(desk: Desk) -> dict[Name, Event]:
    """The accepted events, as a desk keeps them."""
    ledger = desk.replica.ledger.number
    found: dict[Name, Event] = {}
    with desk.replica.read() as reader:
        log = desk.entities(reader).log
        for number, row in desk.replica.feeds.items():
            for _, batch in log.batches(number, 1) if row.plane == ledger else ():
                events = (each.event for each in log.events_of(batch))
                found |= {(row.author, event.n, event.leaf[:8]): event for event in events}
    return found


def absent_at(desk: Desk) -> set[Name]:
    """The accepted events whose values a desk lacks."""
    return {name for name, event in accepted_at(desk).items() if event.values_bytes is None}


def places_of(desk: Desk, wanted: bytes) -> list[str]:
    """The tables in which some bytes stand, in keys or values."""
    return [table for table, rows in desk.tables().items() if any(wanted in k or wanted in v for k, v in rows.items())]


def problems_at(desk: Desk) -> list[Problem]:
    """Everything that a check finds."""
    return fsck_problems(cast("Any", desk))


def rebuild(desk: Desk) -> None:
    """Make the views anew."""
    rebuilding, done = Rebuild(), False
    while not done:
        with desk.replica.transaction() as unit:
            done = rebuilding.step(unit)["done"]


def forget(desk: Desk, *prefixes: bytes) -> None:
    """Delete the META keys that begin so behind the engine's back, and all that was known of them."""
    with desk.store.write() as writer:
        for key in [key for key in desk.rows(Table.META) if key.startswith(prefixes)]:
            writer.delete(Table.META, key)
    desk.reopen()


def marks(desk: Desk) -> tuple[set[Name], set[tuple[bytes, int]]]:
    """What is erased and what is asked for."""
    return erased_at(desk), withheld_at(desk)


def _first_of(desk: Desk, author: bytes, n: int) -> int:
    """The number with which an accepted event's batch begins."""
    with desk.replica.read() as reader:
        batch = desk.entities(reader).log.batch_holding(desk.replica.feed_numbers[1, author], n)
    assert batch is not None
    return batch.header.first


def _views(desk: Desk) -> tuple[Any, ...]:
    """What follows from the log, by names."""
    return desk.digest(), dump_of(cast("Any", desk)), marks(desk)


def check_kept(desk: Desk) -> None:
    """What a desk keeps fits what it calls erased, and follows from its log alone.

    Nothing that is erased has values, what is missing beside it is asked for and nothing else is, a check finds
    nothing, and views, digest and marks made anew are the same.
    """
    erased, withheld = marks(desk)
    firsts = {(author, _first_of(desk, author, n)) for author, n, _ in absent_at(desk) - erased}
    assert withheld == firsts, "what is missing and not erased is asked for, and nothing else"
    assert problems_at(desk) == []
    before = _views(desk)
    rebuild(desk)
    assert _views(desk) == before
    forget(desk, layout.ERASED, layout.WITHHELD)
    rebuild(desk)
    assert _views(desk) == before
    assert problems_at(desk) == []


def check(desk: Desk, plane: bytes, batches: Iterable[Batch], secrets: Mapping[str, bool] | None = None) -> None:
    """A desk that holds these batches has erased what they erase, and lacks nothing else.

    Args:
        desk: the desk.
        plane: the plane's id.
        batches: all it has been given, whole.
        secrets: text → whether it must be gone from every table.
    """
    batches = list(batches)
    wanted = expected(plane, batches)
    assert accepted_at(desk).keys() == wanted.accepted.keys()
    assert erased_at(desk) == wanted.erased
    check_kept(desk)
    assert absent_at(desk) == wanted.erased & wanted.accepted.keys()
    for author, n, leaf8 in wanted.erased:
        for batch in batches:
            for event in batch.events if batch.header.author == author and batch.header.first > 1 else ():
                if (event.n, event.leaf[:8]) == (n, leaf8) and event.values_bytes is not None:
                    assert places_of(desk, event.values_bytes) == [], (n, leaf8)
    for text, is_gone in (secrets or {}).items():
        assert (places_of(desk, text.encode()) == []) == is_gone, text


# -- Scenes --------------------------------------------------------------------------------------------------------
SECRET, KEPT = "what nobody may read", "what everybody may read"


def two_feeds(role: Role = Role.WRITER) -> tuple[Town, FeedWriter, FeedWriter, Batch]:
    """A town, a feed that holds a secret beside something else, another's of this role, and the batch of both texts."""
    town = Town()
    one, two = town.replica("one"), town.replica("two", role)
    return town, one, two, one.write(note(SECRET), note(KEPT, entity="mt-2"))


def of(town: Town, *feeds: FeedWriter) -> list[Batch]:
    """Everything of the founder's charter and of these feeds, each batch once, oldest first."""
    found = {batch.id: batch for feed in (town.charter, *feeds) for batch in feed.batches}
    return sorted(found.values(), key=lambda batch: batch.header.hlc_last)


def all_but(last: Batch, town: Town, *feeds: FeedWriter) -> list[Batch]:
    """As `of`, but for one."""
    return [batch for batch in of(town, *feeds) if batch is not last]


def told(town: Town, *batches: Batch) -> Desk:
    """A desk that has received these, one after the other."""
    desk = Desk().watch(town)
    for batch in batches:
        desk.receive([batch])
    return desk


def refill(desk: Desk, batches: Iterable[Batch]) -> None:
    """Answer what a desk asks for."""
    by_id = {batch.id: batch for batch in batches}
    desk.receive([by_id[single.id] for single in log_of(desk).missing(99)])


def _orders(batches: list[Batch]) -> list[list[Batch]]:
    """As they were signed, backwards, and in some others with repetitions."""
    random = Random(7)
    mixed = (random.sample([*batches, *random.choices(batches, k=3)], len(batches) + 3) for _ in range(4))
    return [batches, batches[::-1], *mixed]


def check_everywhere(town: Town, batches: list[Batch], gone: Iterable[str] = (), kept: Iterable[str] = ()) -> None:
    """Whatever the order, one by one or at once: these texts are gone from every table, and these are not."""
    secrets = dict.fromkeys(gone, True) | dict.fromkeys(kept, False)
    digests = set()
    for order in _orders(batches):
        for desk in (told(town, *order), Desk().watch(town)):
            desk.receive(order)
            refill(desk, batches)
            check(desk, town.plane, batches, secrets)
            digests.add(desk.digest())
    assert len(digests) == 1
