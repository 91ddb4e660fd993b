from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.batch import ZEROS
from moot_protocol.charter import End, end_draft, end_from_value, is_void, opening_value
from moot_protocol.event import Draft, Event, Write
from moot_protocol.ids import key_text
from moot_testkit.feeds import FeedWriter, Town, note, seed, signer, stripped
from moot_testkit.strategies import hashes, values

AUTHOR, BATCH, TOWN_KEY = seed("author"), seed("batch"), seed("town")


def event(draft: Draft) -> Event:
    return FeedWriter(bytes(16), signer("someone")).write(draft).events[0]


def test_a_genesis_opens_a_charter() -> None:
    town = Town()
    opening = town.charter.batches[0].events[0]
    assert opening_value(opening, "genesis") == town.genesis
    assert opening_value(opening, "certificate") is None


def test_a_certificate_opens_a_replica_s_feed() -> None:
    town = Town()
    feed = town.replica("one")
    assert opening_value(feed.batches[0].events[0], "certificate") == town.certificate(feed.author)


@pytest.mark.parametrize(
    "opening",
    [
        event(Draft("genesis", "plane", "a", (Write("genesis", removes=True),))),
        event(Draft("genesis", "plane", "a", (Write("other", b""),))),
        event(Draft("genesis", "plane", "a", (Write("genesis", b""), Write("other", b"")))),
        stripped(
            FeedWriter(bytes(16), signer("a")).write(Draft("genesis", "plane", "a", (Write("genesis", b""),)))
        ).events[0],
    ],
)
def test_an_opening_that_says_more_or_less_than_its_one_value_opens_nothing(opening: Event) -> None:
    assert opening_value(opening, "genesis") is None


@given(st.integers(1, 2**64 - 1), hashes.filter(any), hashes)
def test_an_end_is_read_as_it_was_written(n: int, batch: bytes, town: bytes) -> None:
    end = End(n, batch, town)
    written = event(end_draft(AUTHOR, end, "admin"))
    assert written.skeleton.entity == key_text(AUTHOR)
    assert [end_from_value(value) for value in written.values() or ()] == [end]


@pytest.mark.parametrize(
    "value",
    [
        None,
        [1, BATCH],
        [1, BATCH, TOWN_KEY, 0],
        [-1, BATCH, TOWN_KEY],
        [True, BATCH, TOWN_KEY],
        [1.0, BATCH, TOWN_KEY],
        [1, BATCH[1:], TOWN_KEY],
        [1, BATCH, "town"],
        [0, BATCH, TOWN_KEY],
        [1, ZEROS, TOWN_KEY],
    ],
)
def test_what_is_no_end_reads_as_none_and_makes_its_event_void(value: Any) -> None:
    assert end_from_value(value) is None
    assert is_void(event(Draft("end", key_text(AUTHOR), "a", (Write("end", value),))))


@given(values)
def test_any_value_is_an_end_or_none(value: Any) -> None:
    assert end_from_value(value) is None


def test_an_end_of_what_is_no_key_is_void() -> None:
    assert is_void(event(Draft("end", "someone", "a", (Write("end", [0, ZEROS, TOWN_KEY]),))))


def test_an_end_and_its_removal_are_not_void() -> None:
    assert not is_void(event(end_draft(AUTHOR, End(0, ZEROS, TOWN_KEY), "a")))
    assert not is_void(event(Draft("end", key_text(AUTHOR), "a", (Write("end", removes=True),))))


def test_a_charter_s_event_whose_values_are_missing_is_void_whatever_its_kind() -> None:
    batch = FeedWriter(bytes(16), signer("someone")).write(note())
    assert not is_void(batch.events[0])
    assert is_void(stripped(batch).events[0])
