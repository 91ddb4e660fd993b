"""Random worlds of one town: acceptance is a function of the set held, and equals its definition spelled out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import Code, MalformedError
from moot_protocol.merge.kinds import Role
from moot_testkit.bytes.feeds import FeedWriter, Town, note, signer, stripped
from moot_testkit.laws import replica as laws
from moot_testkit.naive.acceptance import NaiveAcceptance
from moot_testkit.naive.held import HeldBatches
from moot_testkit.naive.settlement import Settlement, settle
from moot_testkit.towns.worlds import Held, held_of, worlds


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
    laws.check_towns(found.accepted, NaiveAcceptance(world.town.plane, held.batches))


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
