"""What an hour of many towns costs, and how it grows: `python tests/simulation/towns.py --towns 10 30 100`.

Each town has some replicas; all edit for a simulated hour behind partitions, and then agree. Exits 1 where they don't.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

from moot_testkit.laws.replica import BrokenLawError
from moot_testkit.sim import many_towns
from moot_testkit.sim.many_towns import Figures, Hour

HEADS = ("towns", "replicas", "edits", "rounds", "messages", "sent", "most", "of it batches", "sent/edit", "CPU")
KIB = 1024


def row_of(figures: Figures) -> tuple[str, ...]:
    """A line of the table."""
    return (
        f"{figures.towns}",
        f"{figures.replicas}",
        f"{figures.edits:,}",
        f"{figures.rounds}",
        f"{figures.messages:,.0f}",
        f"{figures.sent / KIB:,.0f} KiB",
        f"{figures.sent_most / KIB:,.0f} KiB",
        f"{figures.batches / KIB:,.0f} KiB",
        f"{figures.sent_an_edit:,.0f} B",
        f"{figures.seconds:.2f} s",
    )


def growth(found: Sequence[Figures]) -> Iterator[str]:
    """How what a replica sends grows from each line to the next, beside towns and edits."""
    for one, other in pairwise(found):
        towns, edits, sent = (
            after / before
            for after, before in ((other.towns, one.towns), (other.edits, one.edits), (other.sent, one.sent))
        )
        told = f"{towns:.1f} times the towns, {edits:.1f} the edits, {sent:.1f} the bytes that a replica sends"
        yield f"{one.towns} to {other.towns} towns: {told}"


def main() -> int:
    """Parse the arguments, run, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--towns", type=int, nargs="+", default=[10, 30], help="how many; several are compared")
    parser.add_argument("--replicas", type=int, default=3, help="of each town")
    parser.add_argument("--edits", type=int, default=3, help="that each replica makes in the hour, about")
    parser.add_argument("--every", type=int, default=5, help="minutes after which a replica begins a round, about")
    parser.add_argument("--seed", type=int, default=0, help="what everything follows from")
    chosen = parser.parse_args()
    found: list[Figures] = []
    print("Of each replica, over an hour of edits and the rounds until all agreed, before messages are sealed:")
    print("".join(f"{head:>14}" for head in HEADS), flush=True)
    for towns in chosen.towns:
        try:
            found.append(many_towns.run(Hour(towns, chosen.replicas, chosen.edits, chosen.every), chosen.seed))
        except BrokenLawError as error:
            print(f"{towns} towns: {error}")
            return 1
        print("".join(f"{cell:>14}" for cell in row_of(found[-1])), flush=True)
    print("\n".join(growth(found)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
