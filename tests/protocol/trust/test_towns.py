"""Whose replica a feed is, and what pins it as that. What follows for acceptance: `test_acceptance_removals.py`."""

import pytest

from moot_protocol.errors import MalformedError
from moot_protocol.log.batch import ZEROS
from moot_protocol.log.event import Event
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.branches import Pin
from moot_protocol.trust.charter import End
from moot_protocol.trust.levels import read_towns
from moot_protocol.trust.towns import Towns, certified, is_above, pin_on, pins_of, speaks_for, town_of
from moot_testkit.bytes.feeds import FeedWriter, Guest, Town, note, seed
from moot_testkit.naive.held import HeldBatches
from moot_testkit.naive.settling import held


def read(founder: Town, *feeds: FeedWriter | Town) -> tuple[Towns, HeldBatches]:
    """The towns of a plane on which these feeds are held, a town's charter for a town."""
    charters = [feed.charter if isinstance(feed, Town) else feed for feed in (founder, *feeds)]
    found = held(*charters, town=founder)
    towns = read_towns(founder.plane, found)
    assert towns is not None
    return towns, found


def guests() -> tuple[Town, Guest, Guest]:
    """A founder, an admin below it and a writer below that."""
    founder = Town()
    second, third = founder.guest("second"), founder.guest("third")
    founder.admit(second)
    second.admit(third, Role.WRITER)
    return founder, second, third


def test_a_first_event_makes_its_author_a_replica_of_the_town_that_certified_it() -> None:
    founder, second, third = guests()
    towns, _ = read(founder, second, third)
    own, invited = third.replica("one"), third.replica("two", by=third.invite())
    strange = Guest(founder, "strange").replica("one")
    openings = [feed.batches[0].events[0] for feed in (own, invited, strange, founder.charter)]
    authors = [own.author, invited.author, strange.author, founder.key.public]
    assert [town_of(towns, *each) for each in zip(authors, openings, strict=True)] == [third.key.public, b"", b"", b""]
    towns, _ = read(founder, second, third)
    assert town_of(towns, invited.author, openings[1]) == third.key.public, "the invite has come"
    certificate = certified(towns, own.author, openings[0])
    assert certificate is not None
    assert speaks_for(towns.charters[third.key.public], certificate)
    assert not speaks_for(towns.charters[second.key.public], certificate)
    with pytest.raises(MalformedError):
        certified(towns, invited.author, openings[0])
    assert certified(towns, own.author, note_event(founder)) is None


def note_event(town: Town) -> Event:
    feed = town.replica("noted")
    return feed.write(note()).events[0]


def test_only_admins_stand_above_and_only_above_what_is_deeper() -> None:
    founder, second, third = guests()
    towns, _ = read(founder, second, third)
    above = [
        [is_above(towns.charters[town.key.public], depth) for depth in (1, 2, 3, 4)]
        for town in (founder, second, third)
    ]
    assert above == [[False, True, True, True], [False, False, True, True], [False] * 4]


def test_pins_are_the_town_s_own_and_those_of_admins_above_it() -> None:
    founder, second, third = guests()
    one = third.replica("one", Role.WRITER, note())
    third.end(one.author, 2, one.head)
    second.end(one.author, 1, one.head, of=third.key.public)
    founder.end(one.author, 1, one.head, of=second.key.public)
    towns, feeds = read(founder, second, third, one)
    (ref,) = feeds.heads(one.author)
    assert sorted(pins_of(towns, feeds, one.author, third.key.public), key=lambda pin: pin.n) == [
        Pin(ref, 1),
        Pin(ref, 2),
    ]
    assert pins_of(towns, feeds, one.author, third.key.public, of_peers=False) == (Pin(ref, 1),)


def test_a_remover_that_lists_nobody_pins_at_nothing() -> None:
    founder, second, third = guests()
    one = third.replica("one")
    second.remove(third)
    towns, feeds = read(founder, second, third, one)
    assert pins_of(towns, feeds, one.author, third.key.public) == (Pin(None, 0),)


def test_an_end_is_void_where_its_batch_can_t_hold_its_number_or_stands_on_another_town_s_branch() -> None:
    founder = Town()
    one = founder.replica("one", Role.WRITER, note())
    _, feeds = read(founder, one)
    (ref,) = feeds.heads(one.author)
    end = founder.end(one.author, 2, one.head)
    assert end.header.first == 2

    def pin(n: int, batch: bytes, *, own: bool = True) -> Pin | None:
        return pin_on(feeds, one.author, End(n, batch, founder.key.public), lambda _: own)

    assert [pin(2, one.head), pin(3, one.head), pin(2, one.head, own=False)] == [Pin(ref, 2), None, None]
    assert [pin(7, seed("unheld")), pin(7, seed("unheld"), own=False)] == [Pin(ref, 7), None]
    assert pin(0, ZEROS, own=False) == Pin(None, 0)
