"""What a file says, written into the log: the differences between two states of it, or the whole of one met first.

Large changes go in several transactions, and the version that they lead to is noted after the last. If something comes
between, the same differences are found again, and what of them is here already writes nothing.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final

from moot_protocol.beads_pairs import LinePair
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import ACTOR_BYTES
from moot_protocol.mirror_lines import actor_of, content_hash, differences, distance, line_key, problem_of, split
from moot_protocol.requests import ImportEdits
from mootd.engine.exchange import Commit
from mootd.engine.issues.edits import import_edits
from mootd.engine.issues.mirroring import plane_number
from mootd.engine.issues.mutations import IssueWriter
from mootd.engine.mirrors import MirrorRow, add_version, change_mirror, lines_of, mirrors, nearest, version_of
from mootd.engine.replica import Replica
from mootd.engine.unit import Unit

PAIRS_AT_ONCE: Final = 500
"""Lines in one transaction: others wait for it."""
NEVER_CUT: Final = -1
"""As a row's `cuts`: the whole file is to be compared with the log."""
_COUNTS: Final = ("created", "updated", "deleted", "unchanged", "skipped")


class Tally:
    """What came of taking lines in."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.problems: list[dict[str, Any]] = []

    def add(self, answered: dict[str, Any]) -> None:
        """Count what one import came to."""
        self.counts.update({name: answered.get(name, 0) for name in _COUNTS})
        self.problems += answered["problems"]

    def document(self) -> dict[str, Any]:
        """As an import's answer."""
        return {**{name: self.counts[name] for name in _COUNTS}, "problems": self.problems}


def take_pairs(commit: Commit, row: MirrorRow, pairs: Sequence[LinePair], *, delete_missing: bool = False) -> Tally:
    """Write what lines changed, each change by whom its line says.

    Args:
        commit: carries out work in a write transaction.
        row: the mirror.
        pairs: the lines that differ.
        delete_missing: whether lines that are gone delete their issues.
    """
    tally = Tally()
    waiting = iter(pairs)
    while portion := list(islice(waiting, PAIRS_AT_ONCE)):
        requests = list(_by_actor(row, portion, delete_missing=delete_missing))
        for answered in commit(partial(_carried_out, row, requests)):
            tally.add(answered)
    return tally


def _by_actor(row: MirrorRow, pairs: Sequence[LinePair], *, delete_missing: bool) -> Iterator[ImportEdits]:
    by_actor: dict[str, list[LinePair]] = {}
    for pair in pairs:
        by_actor.setdefault(actor_of(pair, ACTOR_BYTES), []).append(pair)
    for actor, own in by_actor.items():
        yield ImportEdits(
            actor=actor, project=row.project, plane=row.plane.hex(), pairs=tuple(own), delete_missing=delete_missing
        )


def _carried_out(row: MirrorRow, requests: Sequence[ImportEdits], unit: Unit) -> list[dict[str, Any]]:
    plane = plane_number(unit.replica, row.plane)
    return [import_edits(IssueWriter(unit, plane), request) for request in requests]


def adopt(commit: Commit, replica: Replica, row: MirrorRow, content: bytes) -> Tally:
    """Take in a file that is no mirror yet, and keep it as one.

    A state that other mirrors of the project know brings nothing, and one that has half its lines in common with such
    a state brings what differs: it is the same file on another branch. Any other is imported whole.

    Args:
        commit: carries out work in a write transaction.
        replica: the replica.
        row: what is known of the mirror; its versions are filled in here.
        content: the file's.

    Raises:
        RefusedError: `conflict`: it can't be taken in as it is.
    """
    lines = split(content)
    keys = {line_key(line) for line in lines}
    with replica.read() as reader:
        known = version_of(reader, row.scope, content_hash(content))
        base = known or nearest(reader, row.scope, keys, 0)
        before = lines_of(reader, row.scope, base) if base else []
        if 2 * distance(keys, {line_key(line) for line in before}) > len(keys) + len(before):
            base, before = 0, []
        arrivals = [other.arrival for other in mirrors(reader) if known and other.current == known]
    problem = problem_of(lines, set(before) if base else None)
    if problem is not None:
        raise RefusedError(problem, code=Code.CONFLICT, hint="put the file in order first")
    tally = take_pairs(commit, row, [] if known else differences(before, lines).pairs)

    def note(unit: Unit) -> None:
        number = add_version(unit, row.scope, lines)
        arrival = min(arrivals, default=unit.arrival)
        cuts = unit.cuts if base else NEVER_CUT
        change_mirror(
            unit, row, current=number, newest=number, arrival=arrival, newest_arrival=arrival, cuts=cuts,
            changed_ms=unit.now_ms,
        )  # fmt: skip

    commit(note)
    return tally
