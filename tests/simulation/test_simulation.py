"""Whatever goes wrong in a town, its replicas keep the laws and agree in the end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from moot_testkit.laws.replica import BrokenLawError, require
from moot_testkit.sim import simulation
from moot_testkit.sim.network import Weather
from moot_testkit.sim.plan import Crash, Plan

RUNNER = Path(__file__).parent / "run.py"
QUIET = Plan(members=2, hostiles=0, steps=40)
"""People at work on two machines, and nothing goes wrong by itself."""
IS_CI = os.environ.get("MOOT_SCALE") == "ci"


def test_a_town_keeps_the_laws(sim_seed: int) -> None:
    simulation.run(sim_seed)


def commits_of(plan: Plan) -> list[Crash]:
    """A crash before and after every commit of every replica (of some of them, when in a hurry)."""
    report = simulation.run(1, plan)
    crashes = [
        Crash(node, commit, after)
        for node, commits in enumerate(report.commits)
        for commit in range(1, commits + 1)
        for after in (False, True)
    ]
    return crashes if IS_CI else crashes[::7]  # odd, so that crashes before and after commits take turns


@pytest.mark.timeout(600)
def test_a_crash_at_any_commit_loses_nothing_that_was_answered() -> None:
    for crash in commits_of(QUIET):
        report = simulation.run(1, QUIET, crash)
        assert report.counts["crashes"] == 1, crash


def run_apart(hash_seed: str, *arguments: str) -> str:
    """What a process of its own prints, with other hashes of text and bytes."""
    command = [sys.executable, str(RUNNER), *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=100, env=environment).stdout


def test_a_seed_makes_the_same_run_bit_for_bit_in_every_process() -> None:
    # The default two have several towns, hostile replicas, bad weather and crashes, and are quickly run.
    first, count, hash_seeds = (20, 4, ("1", "2")) if IS_CI else (55, 2, ("1",))
    here = {str(seed): simulation.run(seed).trace for seed in range(first, first + count)}
    assert len(set(here.values())) == count
    assert simulation.run(first + 1).trace == here[str(first + 1)]
    for hash_seed in hash_seeds:
        told = run_apart(hash_seed, "--first", str(first), "--seeds", str(count), "--jobs", "1", "--json")
        assert json.loads(told)["traces"] == here


def missing_of(expected: set[str], plan: Plan, seeds: int) -> set[str]:
    """Which of these things happen in none of so many seeds; no more are run than it takes."""
    missing = set(expected)
    for seed in range(seeds):
        missing -= {kind for kind, count in simulation.run(seed, plan).counts.items() if count}
        if not missing:
            break
    return missing


def test_every_kind_of_trouble_happens_within_a_few_seeds() -> None:
    """A simulator that injects nothing finds nothing."""
    stormy = Weather(loss=10, repeats=10, delay_ms=20_000, garbled=3)
    plan = Plan(3, 2, 150, stormy, jumps=True, ends=True, breaks=True, town_is_stolen=False)
    expected = {
        "lost", "repeated", "garbled", "cut off", "partitions", "heard, and not hearing", "crashes", "restarts",
        "full disks", "clock jumps", "repeated requests", "refused requests", "rebuilds", "imports", "ends",
        "stolen keys", "malformed messages",
        "malformed batches", "batches parked", "batches held", "batches duplicate", "batches completed",
        "batches dropped",
        "hostile: writes", "hostile: forks", "hostile: backdated", "hostile: ahead", "hostile: stripped",
        "hostile: floods", "hostile: garbage", "hostile: bad batches", "hostile: replays", "hostile: repeats",
        "hostile: false frontiers", "hostile: odd wants", "hostile: bare proofs",
    }  # fmt: skip
    assert not missing_of(expected, plan, 20)


def test_every_kind_of_trouble_between_towns_happens_within_a_few_seeds() -> None:
    expected = {
        "keepers: admit", "keepers: remove", "keepers: end", "keepers: invite", "refused keepers", "stolen towns",
        "towns forked at the first batch", "fresh keys of a town", "replicas forked at the first batch",
        "stolen recovery keys", "strange towns",
    }  # fmt: skip
    assert not missing_of(expected, Plan(3, 5, 45, towns=3), 20)


ERASING = Plan(
    3, 2, 110, Weather(loss=10, repeats=10, delay_ms=20_000), jumps=True, ends=True, breaks=True, erases=True
)


@pytest.mark.parametrize("towns", [1, 3])
@pytest.mark.parametrize("seed", range(100 if IS_CI else 3))
def test_what_is_erased_stays_so_whatever_goes_wrong(seed: int, towns: int) -> None:
    simulation.run(seed, ERASING._replace(towns=towns))


def test_every_kind_of_erasure_happens_within_a_few_seeds() -> None:
    expected = {
        "erasures asked for", "erased events", "lost values", "hostile: erasures", "hostile: forked erasures",
        "hostile: torn erasures", "hostile: copies",
    }  # fmt: skip
    assert not missing_of(expected, ERASING, 20)


TANGLED = Plan(members=2, hostiles=1, steps=30, breaks=True, graphs=True)


@pytest.mark.parametrize("seed", range(30 if IS_CI else 2))
def test_graphs_that_somebody_hostile_makes_are_settled_alike_everywhere(seed: int) -> None:
    """Not every seed makes one: chance picks what the hostile replica does in each step."""
    simulation.run(seed, TANGLED)


def test_somebody_hostile_makes_graphs_within_a_few_seeds() -> None:
    assert not missing_of({"hostile: graphs"}, TANGLED, 10)


def test_a_failing_seed_says_how_to_see_it_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulation.Simulation, "_check", lambda self: require(False, "a law"))
    with pytest.raises(BrokenLawError) as raised:
        simulation.run(7, QUIET)
    assert "python tests/simulation/run.py --first 7 --seeds 1" in raised.value.__notes__[0]
