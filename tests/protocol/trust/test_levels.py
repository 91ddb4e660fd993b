"""The rules between towns: random worlds against the definition. Examples: `test_acceptance_{towns,removals}.py`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.trust.levels import Readings
from moot_testkit.naive.acceptance import NaiveAcceptance
from moot_testkit.naive.held import HeldBatches
from moot_testkit.naive.settlement import Settlement, settle
from moot_testkit.towns.town_worlds import town_worlds
from moot_testkit.towns.worlds import Held, World, held_of


def gather(world: World, held: Held) -> HeldBatches:
    found = HeldBatches(world.town.plane)
    for batch, parked in held.batches:
        found.add(batch, parked=parked)
    return found


def check(world: World, held: Held, found: Settlement) -> None:
    naive = NaiveAcceptance(world.town.plane, held.batches)
    for author, it in found.accepted.items():
        assert (it.n, it.batch, (it.role or "") if it.n else "") == naive.of(author)
    standing = {key: (town.depth, str(town.role)) for key, town in found.towns.items() if town.role}
    assert standing == {key: (charter.depth, charter.role) for key, charter in naive.charters.items()}


@pytest.mark.timeout(900)  # many examples on a slow machine
@given(st.data())
def test_acceptance_between_towns_is_what_its_definition_says(data: st.DataObject) -> None:
    world = data.draw(town_worlds())
    whole = Held(tuple((batch, False) for batch in world.batches))
    check(world, whole, settle(world.town.plane, gather(world, whole)))
    held = data.draw(held_of(world))
    check(world, held, settle(world.town.plane, gather(world, held)))


@pytest.mark.timeout(900)  # many examples on a slow machine
@given(st.data())
def test_order_repetition_portions_and_what_is_remembered_do_not_show(data: st.DataObject) -> None:
    world = data.draw(town_worlds())
    held = data.draw(held_of(world))
    once = settle(world.town.plane, gather(world, held))
    found, readings = HeldBatches(world.town.plane), Readings()
    again = data.draw(st.lists(st.sampled_from(held.batches), max_size=4)) if held.batches else []
    for step, (batch, parked) in enumerate(data.draw(st.permutations([*held.batches, *again]))):
        found.add(batch, parked=parked)
        if step % 3 == 0:
            settle(world.town.plane, found, readings)
    assert settle(world.town.plane, found, readings) == once
