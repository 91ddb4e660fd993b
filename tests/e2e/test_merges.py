"""Real merges of a real file: two replicas that take in a side each hold both, whatever its lines would merge to.

Where MOOT_BUNDLE names a bundle of merges, `make test SCALE=ci` runs all of its merges too, in each way: about an hour.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar, cast

import pytest

from moot_protocol.requests.base import Request
from moot_protocol.requests.transfer import ImportEdits
from moot_testkit.laws.merges import Case, Outcome, Pair, Session, edit, exported, read_case, run_merge
from moot_testkit.laws.merging import over_git, over_mqtt

R = TypeVar("R")

ROOT = Path(__file__).parents[2]
BUNDLE = os.environ.get("MOOT_BUNDLE", "") if os.environ.get("MOOT_SCALE") == "ci" else ""
FOLDER = Path(__file__).parents[1] / "data" / "merges"
CASES = sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


def merged(case: Case, *, delete_missing: bool = False) -> Outcome:
    """What comes of a merge between two replicas in this process."""
    session = Session()
    return run_merge(case, session.one, session.other, session.exchange, delete_missing=delete_missing)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("delete_missing", [False, True], ids=["missing lines stay", "missing lines delete"])
def test_both_sides_of_a_real_merge_are_there_although_its_lines_conflict(name: str, delete_missing: bool) -> None:
    outcome = merged(read_case(FOLDER / name), delete_missing=delete_missing)
    assert outcome.failures == []
    assert (outcome.blocking, outcome.lost) == (0, 0)
    assert outcome.line_conflicts
    assert outcome.issues


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("over", [over_git, over_mqtt], ids=["git", "mqtt"])
def test_real_merges_go_through_real_remotes(name: str, over: Callable[[], AbstractContextManager[Pair]]) -> None:
    case = read_case(FOLDER / name)
    with over() as pair:
        outcome = run_merge(case, pair.one, pair.other, pair.exchange)
    assert outcome.failures == []
    assert (outcome.blocking, outcome.lost, outcome.conflicts) == (0, 0, merged(case).conflicts)


if BUNDLE:

    @pytest.mark.timeout(8 * 3600)
    @pytest.mark.parametrize("over", ["session", "git", "mqtt", "driver"])
    def test_no_merge_of_the_bundle_blocks_or_loses_anything(over: str) -> None:
        command = [sys.executable, str(ROOT / "demo" / "merges.py"), "--over", over, str(Path(BUNDLE).resolve())]
        ran = subprocess.run(command, check=False, capture_output=True, text=True)
        assert ran.returncode == 0, f"{ran.stdout}{ran.stderr}"
        totals = json.loads(ran.stdout.splitlines()[-1])
        assert (totals["blocking"], totals["lost"]) == (0, 0)
        assert totals["merges"]
        if over == "driver":
            assert totals["merges_with_conflicts"] < totals["line_conflicts"]


@pytest.mark.parametrize(("name", "conflicts"), [("048", 0), ("014", 0), ("178", 1), ("180", 13)])
def test_only_what_people_disagree_on_is_in_conflict(name: str, conflicts: int) -> None:
    assert merged(read_case(FOLDER / name)).conflicts == conflicts


def test_an_issue_whose_line_was_removed_on_one_side_and_edited_on_the_other_is_in_conflict() -> None:
    case = read_case(FOLDER / "178")
    assert merged(case, delete_missing=True).conflicts > merged(case).conflicts


def test_edits_of_equal_files_write_nothing() -> None:
    replica = Session().one
    case = read_case(FOLDER / "180")
    edit(replica, "alice", b"", case.ours)
    before = exported(replica)
    assert edit(replica, "alice", case.ours, case.ours) == {"problems": []}
    assert exported(replica) == before


def test_lines_of_an_unfinished_merge_are_told_by_their_numbers() -> None:
    case = read_case(FOLDER / "096")
    answer = edit(Session().one, "alice", b"", case.theirs)
    markers = [number for number, line in enumerate(case.theirs.splitlines(), 1) if line[:1] in b"<=>"]
    assert markers
    assert {problem["line"] for problem in answer["problems"]} >= set(markers)


# -- That the check can fail -------------------------------------------------------------------------------------
def test_a_side_that_is_never_taken_in_is_counted_as_lost() -> None:
    case = read_case(FOLDER / "048")
    session = Session()
    lossy = case._replace(theirs=case.base.replace(b'"status":"open"', b'"status":"blocked"'))
    outcome = run_merge(lossy, session.one, _Deaf(session), session.exchange)
    assert outcome.lost > 0
    assert outcome.blocking == 0


def test_replicas_that_did_not_exchange_are_counted_as_blocking() -> None:
    session = Session()
    case = read_case(FOLDER / "048")
    calls: list[None] = []

    def once() -> None:
        calls.append(None)
        if len(calls) == 1:
            session.exchange()

    assert run_merge(case, session.one, session.other, once).blocking == 2


class _Deaf:
    """A replica that answers that it took differences in, and doesn't."""

    def __init__(self, session: Session) -> None:
        self._replica = session.other

    def call(self, request: Request[R], key: str = "") -> R:
        if isinstance(request, ImportEdits):
            return cast("R", {"problems": []})
        return self._replica.call(request, key)
