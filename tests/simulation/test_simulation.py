"""Towns of real replicas, from seeds: whatever network, clocks, disks and hostile replicas do, the laws hold.

After each run the replicas have the same frontiers and digests, equal to a replay and to an independent naive model;
every acknowledged write is there, superseded by one that saw it, or cut and reported; no limit is passed.
"""

import os

import pytest

from moot_testkit import simulation

SEEDS = int(os.environ.get("MOOT_SEEDS") or (2000 if os.environ.get("MOOT_SCALE") == "ci" else 100))
BLOCK = 5


@pytest.mark.parametrize("first", range(0, SEEDS, BLOCK))
def test_the_laws_hold_whatever_goes_wrong(first: int) -> None:
    for seed in range(first, min(first + BLOCK, SEEDS)):
        try:
            simulation.run(seed)
        except Exception as error:
            error.add_note(f"again: python tests/simulation/run.py --first {seed} --seeds 1")
            raise


def test_a_seed_always_makes_the_same_run() -> None:
    assert simulation.run(7).trace == simulation.run(7).trace
