"""Runs seeds of the simulator on all cores: `make sim SEEDS=5000`, or `run.py --first 77 --seeds 1` for one seed.

A seed that breaks a law is printed with the command that runs exactly it again.
"""

import argparse
import sys
import traceback
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from moot_testkit import simulation

BLOCK = 10
"""Seeds that a process takes at once."""


def run_block(first: int, count: int) -> tuple[Counter[str], list[tuple[int, str]]]:
    """Run some seeds: what happened in them, and the seeds that broke a law, with where."""
    counts: Counter[str] = Counter()
    broken: list[tuple[int, str]] = []
    for seed in range(first, first + count):
        try:
            counts += simulation.run(seed).counts
        except Exception:
            broken.append((seed, traceback.format_exc()))
    return counts, broken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args()
    last = options.first + options.seeds
    starts = range(options.first, last, BLOCK)
    sizes = [min(BLOCK, last - start) for start in starts]
    counts: Counter[str] = Counter()
    broken: list[tuple[int, str]] = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for done, (found, failures) in enumerate(pool.map(run_block, starts, sizes), start=1):
            counts += found
            broken += failures
            for seed, where in failures:
                print(f"\nseed {seed} broke a law:\n{where}")
                print(f"again: python tests/simulation/run.py --first {seed} --seeds 1")
            seeds = min(done * BLOCK, options.seeds)
            print(f"\r{seeds:,} of {options.seeds:,} seeds, {len(broken)} broken", end="", file=sys.stderr)
    print(file=sys.stderr)
    for what, count in sorted(counts.items()):
        print(f"  {what:<24}{count:>10,}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
