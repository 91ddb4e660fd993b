"""Random worlds of one town: acceptance is a function of the set held, and equals its definition spelled out."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.acceptance import Settlement, settle
from moot_protocol.batch import ZEROS, Batch
from moot_protocol.charter import End
from moot_protocol.codec import decode_value
from moot_protocol.errors import Code, MalformedError
from moot_protocol.held import HeldBatches
from moot_protocol.ids import key_from_text, key_text
from moot_protocol.kinds import Role
from moot_testkit.feeds import FeedWriter, Town, note, signer, stripped
from moot_testkit.worlds import Held, World, held_of, worlds


def gather(town: Town, held: Held) -> HeldBatches:
    found = HeldBatches(town.plane)
    for batch, parked in held.batches:
        found.add(batch, parked=parked)
    return found


@pytest.mark.timeout(900)  # many examples on a slow machine
@given(st.data())
def test_order_repetition_and_portions_do_not_show(data: st.DataObject) -> None:
    world = data.draw(worlds())
    held = data.draw(held_of(world))
    once = settle(world.town.plane, gather(world.town, held))
    again = data.draw(st.lists(st.sampled_from(held.batches), max_size=4)) if held.batches else []
    found = HeldBatches(world.town.plane)
    for step, (batch, parked) in enumerate(data.draw(st.permutations([*held.batches, *again]))):
        found.add(batch, parked=parked)
        if step % 3 == 0:
            settle(world.town.plane, found)
    assert settle(world.town.plane, found) == once


@pytest.mark.timeout(900)  # many examples on a slow machine
@given(st.data())
def test_acceptance_is_what_its_definition_says(data: st.DataObject) -> None:
    world = data.draw(worlds())
    held = data.draw(held_of(world))
    found = settle(world.town.plane, gather(world.town, held))
    assert {author: accepted.n for author, accepted in found.accepted.items()} == expected(world, held)


@pytest.mark.timeout(900)  # many examples on a slow machine
@given(st.data())
def test_what_is_accepted_is_one_branch_in_order(data: st.DataObject) -> None:
    world = data.draw(worlds())
    held = gather(world.town, data.draw(held_of(world)))
    settlement = settle(world.town.plane, held)
    events: dict[bytes, list[tuple[int, int]]] = {}
    for author, event, _ in held.accepted(settlement):
        events.setdefault(author, []).append((event.n, event.skeleton.hlc))
    for author, accepted in settlement.accepted.items():
        numbers = [n for n, _ in events.get(author, [])]
        times = [hlc for _, hlc in events.get(author, [])]
        assert numbers == list(range(1, accepted.n + 1))
        assert times == sorted(set(times))


# -- The definition, spelled out on lists of batches -----------------------------------------------------------------
def expected(world: World, held: Held) -> dict[bytes, int]:
    """author → accepted n, by trying every path. Nothing is shared with `acceptance.py` but decoding."""
    town = world.town.key.public
    present = {batch.id: batch for batch, parked in held.batches if not parked}
    authors = {batch.header.author for batch, _ in held.batches}
    ways = {author: paths([batch for batch in present.values() if batch.header.author == author]) for author in authors}
    forks = {
        author: first_fork([batch for batch, _ in held.batches if batch.header.author == author]) for author in authors
    }
    founded = [way for way in ways.get(town, []) if way and way[0].events[0].skeleton.kind == "genesis"]
    if not founded:
        return dict.fromkeys(authors, 0)
    own: list[tuple[list[Batch], int]] = []
    for way in founded:
        if any(one is not way and one[: len(way)] == way for one in founded):
            continue
        for length in range(1, len(way)):
            event = way[length].events[0]
            value = [event.n - 1, way[length - 1].id, town]
            if (event.skeleton.kind, event.values()) == ("end", [value]) and event.skeleton.entity == key_text(town):
                own.append((way[: length + 1], event.n))
                break
    charter, n = cut(own, trunk(ways[town], forks[town]))
    listed, invited = ends_in(charter, n, town), invites_in(charter, n)
    found = {town: n}
    for author in authors - {town}:
        certified = {way[-1].id: certified_as(way[0], town, invited) for way in ways[author]}
        found[author] = replica(listed.get(author, []), ways[author], forks[author], certified, removed=bool(own))
    return found


def certified_as(batch: Batch, town: bytes, invited: dict[bytes, dict[str, Any]]) -> set[str] | None:
    """The roles that a branch's first batch gives its author, of which the least counts: none where the invite is
    closed for others, and None where the batch makes it no replica of the town's."""
    opening = batch.events[0]
    if opening.skeleton.kind != "certificate":
        return None
    body, _, signer = (opening.values() or [None])[0]
    roles = {decode_value(body)[5]}
    if signer == town:
        return roles
    role, named = invited.get(signer, {}).get("invite", ["admin", ZEROS])[:2]
    if role == "admin" or named != town:
        return None
    return roles | {role} if batch.header.author in invited[signer].get("close", [batch.header.author]) else set()


def invites_in(way: list[Batch], upto: int) -> dict[bytes, dict[str, Any]]:
    """invite key → the first `invite` that may be one and the first `close` in a charter's path."""
    found: dict[bytes, dict[str, Any]] = {}
    for event in (event for batch in way for event in batch.events if event.n <= upto):
        key = key_from_text(event.skeleton.entity)
        if event.skeleton.kind == "invite" and key is not None:
            name, value = event.skeleton.changes[0].key, (event.values() or [None])[0]
            if value[:1] != ["admin"]:
                found.setdefault(key, {}).setdefault(name, value)
    return found


def replica(
    ends: list[End],
    ways: list[list[Batch]],
    forked_at: int,
    certified: dict[bytes, set[str] | None],
    *,
    removed: bool,
) -> int:
    """How much of an author's feed counts. `certified`: the roles of each path by the id of its last batch."""
    pins: list[tuple[list[Batch], int]] = []
    for end in ends:
        way = next((way for way in ways if way[-1].id == end.batch), None)
        if end.n == 0:
            pins.append(([], 0))
        elif way is None:
            pins.append((trunk(ways, forked_at), end.n))
        elif holds(way[-1], end.n) and certified[way[-1].id] is not None:
            pins.append((way, end.n))
    if removed and not pins:
        return 0
    way, n = cut(pins, trunk(ways, forked_at))
    roles = certified[way[-1].id] if way else None
    if not roles:
        return 0
    return min(n, 1) if "reader" in roles else n


def paths(batches: list[Batch]) -> list[list[Batch]]:
    """Every linked path from number 1 to a batch."""
    found: list[list[Batch]] = []
    for batch in sorted(batches, key=lambda batch: batch.header.first):
        before: list[list[Batch]] = (
            [[]]
            if batch.header.first == 1
            else [
                way
                for way in found
                if way[-1].id == batch.header.prev and way[-1].header.hlc_last < batch.events[0].skeleton.hlc
            ]
        )
        for way in before:
            kind = (way or [batch])[0].events[0].skeleton.kind
            if batch.is_complete or not (kind == "genesis" or (not way and kind == "certificate")):
                found.append([*way, batch])
    return found


def first_fork(batches: list[Batch]) -> int:
    firsts = [first for first, _ in {(batch.header.first, batch.id) for batch in batches}]
    return min((first for first in firsts if firsts.count(first) > 1), default=2**64)


def trunk(ways: list[list[Batch]], forked_at: int) -> list[Batch]:
    return max((way for way in ways if way[-1].header.first < forked_at), key=len, default=[])


def holds(batch: Batch, n: int) -> bool:
    return any(event.n == n for event in batch.events)


def cut(pins: list[tuple[list[Batch], int]], otherwise: list[Batch]) -> tuple[list[Batch], int]:
    """The path to go along and the number to go up to."""
    if not pins:
        return otherwise, otherwise[-1].header.last if otherwise else 0
    way = next(way for way in reversed(prefixes(pins[0][0])) if all(other[: len(way)] == way for other, _ in pins))
    n = min(n for _, n in pins)
    return way, min(n, way[-1].header.last) if way else 0


def prefixes(way: list[Batch]) -> list[list[Batch]]:
    return [way[:length] for length in range(len(way) + 1)]


def ends_in(way: list[Batch], upto: int, town: bytes) -> dict[bytes, list[End]]:
    """The ends in a charter's path; these worlds never supersede one."""
    found: dict[bytes, list[End]] = {}
    for batch in way:
        for event in batch.events:
            author = key_from_text(event.skeleton.entity)
            if event.n <= upto and event.skeleton.kind == "end" and author is not None:
                n, pinned, named = (event.values() or [None])[0]
                if named == town and (n == 0) == (pinned == bytes(32)):
                    found.setdefault(author, []).append(End(n, pinned, named))
    return found


# -- The set itself --------------------------------------------------------------------------------------------------
def test_a_batch_of_another_plane_is_refused() -> None:
    town = Town()
    with pytest.raises(MalformedError) as caught:
        HeldBatches(bytes(16), town.charter.batches)
    assert caught.value.code is Code.WRONG_PLANE
    with pytest.raises(MalformedError):
        HeldBatches(bytes(16)).add_evidence(town.charter.batches[0].header, town.charter.head)


def test_copies_complete_one_another_s_values() -> None:
    feed = FeedWriter(bytes(16), signer("a"))
    batch = feed.write(note("one"), note("two"))
    found = HeldBatches(bytes(16), [stripped(batch, [1]), stripped(batch, [2])])
    assert list(found.batches(feed.author)) == [batch]


def test_a_parked_batch_joins_once_it_is_due_and_stays() -> None:
    town = Town()
    one = town.replica("one", Role.WRITER)
    found = HeldBatches(town.plane, [*town.charter.batches, *one.batches])
    later = one.write(note())

    def accepted(settlement: Settlement) -> int:
        return settlement.accepted[one.author].n

    found.add(later, parked=True)
    assert found.is_parked(one.author, later.id)
    assert accepted(settle(town.plane, found)) == 1
    found.add(later)
    found.add(later, parked=True)
    assert not found.is_parked(one.author, later.id)
    assert accepted(settle(town.plane, found)) == 2
