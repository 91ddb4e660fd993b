"""Whatever is erased, by whom, in which order it comes and how often: all machines end up without the same values.

What must be gone is computed from the batches by another reading of the rules (`moot_testkit.laws.erasing`).
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.log.batch import Batch
from moot_testkit.bytes.feeds import stripped
from moot_testkit.laws.erasing import Expected, check, expected, places_of
from moot_testkit.laws.erasing_worlds import ErasingWorld, erasing_worlds
from moot_testkit.towns.carrying import log_of
from moot_testkit.towns.engine import Desk


def deliver(data: st.DataObject, desk: Desk, world: ErasingWorld) -> None:
    """All that was signed, in any order and portions, some of it twice or first without some of its values."""
    indexes = range(len(world.batches))
    again = data.draw(st.lists(st.sampled_from(indexes), max_size=4))
    bare = data.draw(st.sets(st.sampled_from(indexes), max_size=4))
    order = data.draw(st.permutations([*((index, index in bare) for index in indexes), *((i, False) for i in again)]))
    while order:
        count = data.draw(st.integers(1, len(order)))
        desk.receive([stripped(world.batches[i]) if is_bare else world.batches[i] for i, is_bare in order[:count]])
        if data.draw(st.integers(0, 4)) == 0:
            desk.reopen()
        order = order[count:]
    desk.receive([world.batches[index] for index in sorted(bare)])


def refill(desk: Desk, batches: tuple[Batch, ...]) -> None:
    """Answer what it asks for, until it asks for nothing more."""
    by_id = {batch.id: batch for batch in batches}
    for _ in range(2):
        desk.receive([by_id[single.id] for single in log_of(desk).missing(99)])
    assert log_of(desk).missing(99) == []


def texts_of(world: ErasingWorld, wanted: Expected) -> dict[str, bool]:
    """Each text that was said in an event that counts or is erased → whether it must be gone."""
    found = {}
    for batch in world.batches:
        for event in batch.events:
            name = (batch.header.author, event.n, event.leaf[:8])
            is_gone = name in wanted.erased
            if event.skeleton.kind == "issue" and (is_gone or name in wanted.accepted):
                found[str((event.values() or [""])[0])] = is_gone
    return found


@pytest.mark.timeout(900)  # many examples on a slow machine
@given(data=st.data())
def test_all_lose_what_is_erased_and_nothing_else(data: st.DataObject) -> None:
    world = data.draw(erasing_worlds())
    texts = texts_of(world, expected(world.town.plane, world.batches))
    digests = set()
    for number in range(3):
        desk = Desk(f"desk {number}").watch(world.town)
        deliver(data, desk, world)
        refill(desk, world.batches)
        check(desk, world.town.plane, world.batches)
        for text, is_gone in texts.items():
            assert (places_of(desk, text.encode()) == []) == is_gone, text
        digests.add(desk.digest())
    assert len(digests) == 1
