"""Every real merge of a bundle: two replicas take in a side each, exchange, and hold both. Ends with one line of JSON.

With `--over driver` there are no replicas: git's merge driver `moot merge-file` merges the files, beside a merge by
lines, and its conflicts are the issues that it asks about.

A bundle has a branch `merge/NNN` for each merge, whose tree holds `base.jsonl`, `ours.jsonl` and `theirs.jsonl`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))

from moot_testkit.laws.merge_files import driver_merge
from moot_testkit.laws.merges import Case, Outcome, Pair, Session, run_merge
from moot_testkit.laws.merging import over_git, over_mqtt

OVER: Final[dict[str, Callable[[], AbstractContextManager[Pair]]]] = {
    "session": lambda: nullcontext(Session()),
    "git": over_git,
    "mqtt": over_mqtt,
}
"""Two new replicas of a town and what they exchange through, by name."""
DRIVER: Final = "driver"
HEADER: Final = f"{'merge':>8} {'issues':>7} {'line merge':>11} {'conflicts':>10} {'lost':>5} {'blocking':>9} {'s':>6}"


def git(folder: Path, *words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=folder, check=True, stdout=subprocess.PIPE).stdout


def cases(bundle: Path, folder: Path) -> Iterator[Case]:
    """The merges of a bundle, unpacked into a folder of its own."""
    git(folder, "clone", "--quiet", "--mirror", str(bundle.resolve()), "merges.git")
    repository = folder / "merges.git"
    branches = git(repository, "for-each-ref", "--format=%(refname)", "refs/heads/merge").decode().split()
    for branch in branches:
        files = (git(repository, "cat-file", "blob", f"{branch}:{side}.jsonl") for side in ("base", "ours", "theirs"))
        yield Case(branch.rpartition("/")[2], *files)


def merged(case: Case, over: str, *, delete_missing: bool) -> Outcome:
    if over == DRIVER:
        return driver_merge(case)
    with OVER[over]() as pair:
        return run_merge(case, pair.one, pair.other, pair.exchange, delete_missing=delete_missing)


def run(case: Case, over: str, *, delete_missing: bool) -> Outcome:
    """One merge, told as a row of the table."""
    began = time.monotonic()
    outcome = merged(case, over, delete_missing=delete_missing)
    lines = "conflicts" if outcome.line_conflicts else "clean"
    print(
        f"{outcome.name:>8} {outcome.issues:>7,} {lines:>11} {outcome.conflicts:>10,} {outcome.lost:>5,} "
        f"{outcome.blocking:>9,} {time.monotonic() - began:>6.1f}",
        flush=True,
    )
    for failure in outcome.failures[:10]:
        print(f"         {failure}")
    return outcome


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path, help="a git bundle of merges")
    parser.add_argument("--over", choices=[*OVER, DRIVER], default="session", help="what the replicas exchange through")
    parser.add_argument("--delete-missing", action="store_true", help="take lines that are gone for deletions")
    given = parser.parse_args()
    print(HEADER)
    with tempfile.TemporaryDirectory(prefix="moot-merges-") as folder:
        outcomes = [
            run(case, given.over, delete_missing=given.delete_missing) for case in cases(given.bundle, Path(folder))
        ]
    totals = {
        "merges": len(outcomes),
        "line_conflicts": sum(outcome.line_conflicts for outcome in outcomes),
        "blocking": sum(outcome.blocking for outcome in outcomes),
        "lost": sum(outcome.lost for outcome in outcomes),
        "conflicts": sum(outcome.conflicts for outcome in outcomes),
    }
    if given.over == DRIVER:  # beside how many of them conflict as text
        totals["merges_with_conflicts"] = sum(outcome.conflicts > 0 for outcome in outcomes)
    print(json.dumps(totals))
    if not outcomes or totals["blocking"] or totals["lost"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
