"""`make bench`: a table of what was measured, beside a floor taken warm in the same run, and the aim.

python bench/run.py [--issues N] [--scale N] [ROW …]

Rows: cli, socket, import, ingest, reads, changes, charters, live, mirror, exchange
"""

import argparse
import sys
from collections.abc import Callable

import charters
import engine
import exchanged
import lively
import mirrors
import served
from measure import HEADING, Row
from world import TimedStore, issue_lines, replica, scratch


def changes(scale: int) -> list[Row]:
    with scratch() as path:
        store = TimedStore.open(path / "log")
        home = replica(store)
        engine.import_lines(home, issue_lines(scale))
        rows = engine.bench_changes(home, store, scale)
        home.store.close()
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", help="only these")
    parser.add_argument("--issues", type=int, default=100_000, help="for import and ingest")
    parser.add_argument("--scale", type=int, default=1_000_000, help="the large store")
    options = parser.parse_args()
    cases: dict[str, Callable[[], list[Row]]] = {
        "cli": served.bench_cli,
        "socket": served.bench_socket,
        "import": lambda: engine.bench_import(options.issues),
        "ingest": lambda: engine.bench_ingest(options.issues),
        "reads": lambda: served.bench_reads(options.scale),
        "changes": lambda: changes(options.scale),
        "charters": charters.bench_charters,
        "live": lively.bench_live,
        "mirror": mirrors.bench_mirror,
        "exchange": lambda: exchanged.bench_exchange(options.issues),
    }
    unknown = set(options.rows) - set(cases)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}; there are {', '.join(cases)}")
    print(HEADING)
    for name, case in cases.items():
        if not options.rows or name in options.rows:
            print(f"measuring {name}…", end="\r", file=sys.stderr, flush=True)
            for row in case():
                print(row.line(), flush=True)


if __name__ == "__main__":
    main()
