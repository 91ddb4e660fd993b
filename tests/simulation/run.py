"""Run many seeds of the simulator on all cores: `python tests/simulation/run.py --seeds 5000 --jobs 2`.

Progress goes to standard error; failing seeds, each with what it broke, and a summary of what happened to standard
output. Exits 1 where any seed failed.
"""

import argparse
import json
import sys
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from moot_testkit.sim import simulation

CHUNK = 5
"""Seeds that one process runs before it reports."""


class Ran(NamedTuple):
    """What came of a seed."""

    seed: int
    trace: str
    counts: Counter[str]
    failure: str


def run_seed(seed: int) -> Ran:
    """Run a seed, and tell of its failure instead of raising it."""
    try:
        report = simulation.run(seed)
    except Exception as error:  # whatever breaks is a finding
        return Ran(seed, "", Counter(), "".join(traceback.format_exception(error)))
    return Ran(seed, report.trace, report.counts, "")


def run_all(seeds: range, jobs: int) -> Iterator[Ran]:
    """Run seeds, in order of seed."""
    if jobs == 1:
        yield from map(run_seed, seeds)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(run_seed, seeds, chunksize=CHUNK)


def main() -> int:
    """Parse the arguments, run, and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--seeds", type=int, default=100, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--json", action="store_true", help="one JSON document instead of text")
    chosen = parser.parse_args()
    seeds = range(chosen.first, chosen.first + chosen.seeds)
    counts: Counter[str] = Counter()
    failed: list[int] = []
    traces: dict[int, str] = {}
    began = time.monotonic()
    for done, ran in enumerate(run_all(seeds, chosen.jobs), start=1):
        counts += ran.counts
        traces[ran.seed] = ran.trace
        if ran.failure:
            failed.append(ran.seed)
            if not chosen.json:
                print(ran.failure, flush=True)
        if not chosen.json:
            _progress(done, len(seeds), len(failed), time.monotonic() - began)
    if chosen.json:
        print(json.dumps({"failed": failed, "traces": traces, "counts": counts}))
    else:
        _summarise(len(seeds), failed, counts)
    return 1 if failed else 0


def _progress(done: int, of: int, failed: int, seconds: float) -> None:
    end = "\n" if done == of else ""
    print(
        f"\r{done} of {of} seeds, {failed} failed, {done / seconds:.1f} a second ", end=end, file=sys.stderr, flush=True
    )


def _summarise(seeds: int, failed: list[int], counts: Counter[str]) -> None:
    for kind, count in sorted(counts.items()):
        print(f"{count:10,}  {kind}")
    print(f"{seeds - len(failed)} of {seeds} seeds kept the laws", end="")
    print(f"; these did not: {' '.join(map(str, failed))}" if failed else "")


if __name__ == "__main__":
    sys.exit(main())
