"""What a file says, written into the log: the differences between two states of it, or the whole of one met first.

Large changes go in several transactions, and the version that they lead to is noted after the last. If something comes
between, the same differences are found again, and what of them is here already writes nothing. Others write between
the transactions: what they wrote is told apart from what the lines brought, since the file lacks it.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Any, Final, NamedTuple

import msgspec
from msgspec.structs import replace

from moot_protocol.beads.pairs import LinePair
from moot_protocol.clock import to_ms
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import ACTOR_BYTES, CLOCK_AHEAD_MS
from moot_protocol.merge.kinds import Role
from moot_protocol.mirrors.lines import (
    actor_of,
    content_hash,
    differences,
    distance,
    id_of,
    line_key,
    problem_of,
    split,
)
from moot_protocol.requests.transfer import ImportEdits
from mootd.engine.commit import Committer
from mootd.engine.issues.edits import import_edits
from mootd.engine.issues.mirroring import issues_of, plane_number, projects_of
from mootd.engine.issues.mutations import IssueWriter
from mootd.engine.machine.mirrors import MirrorRow, add_version, lines_of, mirrors, nearest, put_mirror, version_of
from mootd.engine.replica import Replica
from mootd.engine.stored import layout
from mootd.engine.unit import Unit, role_of
from mootd.store.port import Reader, Table

PAIRS_AT_ONCE: Final = 500
"""Lines in one transaction: others wait for it."""
NEVER_CUT: Final = -1
"""As a row's `cuts`: the whole file is to be compared with the log."""
NOT_ADOPTED: Final = "name a file of issues (`moot export -o FILE` writes one), or put this one in order first"
_COUNTS: Final = ("created", "updated", "deleted", "unchanged", "skipped")


class Tally:
    """What came of taking lines in.

    Args:
        arrival: the first event that may not be known yet.
    """

    def __init__(self, arrival: int = 0) -> None:
        self.arrival = arrival
        """The first event since then that isn't one of the lines': somebody else's, or none yet."""
        self.counts: Counter[str] = Counter()
        self.problems: list[dict[str, Any]] = []
        self.other_projects: dict[str, int] = {}
        """Other project → how many of a new mirror's issues it has, and keeps."""

    def add(self, answered: dict[str, Any]) -> None:
        """Count what one import came to."""
        self.counts.update({name: answered.get(name, 0) for name in _COUNTS})
        self.problems += answered["problems"]

    def wrote(self, first: int, until: int) -> None:
        """Note which events lines brought: others' before them stay to be looked at, and all that follow those."""
        if first == self.arrival:
            self.arrival = until

    def document(self) -> dict[str, Any]:
        """As an import's answer, with the projects that issues of the file belong to, where those are others."""
        others = {"other_projects": self.other_projects} if self.other_projects else {}
        return {**{name: self.counts[name] for name in _COUNTS}, **others, "problems": self.problems}


class _Portion(NamedTuple):
    """What came of one transaction."""

    first: int
    """Its first event."""
    until: int
    """The first event after it."""
    answers: list[dict[str, Any]]
    """Of its imports."""


def take_pairs(
    commit: Committer, row: MirrorRow, pairs: Sequence[LinePair], *, since: int = 0, delete_missing: bool = False
) -> Tally:
    """Write what lines changed, each change by whom its line says.

    Args:
        commit: carries out work in a write transaction.
        row: the mirror.
        pairs: the lines that differ.
        since: where the log ended when it was found that they differ; 0 where nobody asks what came between.
        delete_missing: whether lines that are gone delete their issues.
    """
    tally = Tally(since)
    waiting = iter(pairs)
    while portion := list(islice(waiting, PAIRS_AT_ONCE)):
        requests = list(_by_actor(row, portion, delete_missing=delete_missing))
        came = commit(partial(_carried_out, row, requests))
        tally.wrote(came.first, came.until)
        for answered in came.answers:
            tally.add(answered)
    return tally


def missing_pairs(names: Iterable[str]) -> list[LinePair]:
    """Pairs that say of issues that their lines are gone."""
    return [LinePair(1, msgspec.json.encode({"id": name}), 0, b"") for name in names]


def _by_actor(row: MirrorRow, pairs: Sequence[LinePair], *, delete_missing: bool) -> Iterator[ImportEdits]:
    by_actor: dict[str, list[LinePair]] = {}
    for pair in pairs:
        by_actor.setdefault(actor_of(pair, ACTOR_BYTES), []).append(pair)
    for actor, own in by_actor.items():
        yield ImportEdits(
            actor=actor, project=row.project, plane=row.plane.hex(), pairs=tuple(own), delete_missing=delete_missing
        )


def _carried_out(row: MirrorRow, requests: Sequence[ImportEdits], unit: Unit) -> _Portion:
    plane = plane_number(unit.replica, row.plane)
    _check_may_write(unit, plane)
    first = unit.arrival
    answers = [import_edits(IssueWriter(unit, plane), request) for request in requests]
    return _Portion(first, unit.arrival, answers)


def _check_may_write(unit: Unit, plane: int) -> None:
    """Refuse a change as a whole where this replica can't write at all: line by line, each would only be reported.

    Raises:
        RefusedError: `not_ready`, `denied`, `clock_ahead`.
    """
    feed = unit.feed(unit.replica.own_feed(plane))
    if feed.reason or feed.forked_at or unit.transaction.get(Table.META, layout.COPIED) is not None:
        raise RefusedError("this replica can't write now", code=Code.DENIED, hint="see `moot status`")
    if role_of(feed) is Role.READER:
        raise RefusedError("this replica may only read the project's plane", code=Code.DENIED)
    if to_ms(unit.clock.last) > unit.now_ms + CLOCK_AHEAD_MS:
        raise RefusedError("this machine's clock is behind the log", code=Code.CLOCK_AHEAD, hint="set it right")


def _has_issues(replica: Replica, reader: Reader, row: MirrorRow) -> bool:
    """Whether a project has issues already, which its file may lack."""
    number = replica.projects.get((plane_number(replica, row.plane), row.project), 0)
    prefix = layout.project_prefix(layout.STATUS, number)
    return any(True for _ in reader.scan(replica.views_of(reader).index, prefix, layout.after(prefix)))


def _beside(row: MirrorRow, lead: MirrorRow, base: int, older: int) -> MirrorRow:
    """A mirror that comes from a version which others of its project know: with their newest one, or behind it.

    Args:
        row: the new mirror, as if it stood alone.
        lead: the mirror with the newest version.
        base: the version that the new one comes from.
        older: how many of its lines are older than what is known.
    """
    if base == lead.newest and not older:
        return replace(row, arrival=lead.newest_arrival, newest_arrival=lead.newest_arrival, cuts=lead.cuts)
    return replace(row, newest=lead.newest, newest_arrival=lead.newest_arrival, cuts=lead.cuts, older=older)


def _equal(base: Sequence[bytes], lines: Sequence[bytes]) -> int:
    """How many issues have the same line in two states, which `differences` leaves out."""
    return len({id_of(line) for line in set(base) & set(lines)} - {None})


def adopt(commit: Committer, replica: Replica, row: MirrorRow, content: bytes) -> Tally:
    """Take in a file that is no mirror yet, and keep it as one.

    A state that other mirrors of the project know brings nothing, and one that has half its lines in common with such
    a state brings what differs: it is the same file on another branch, behind the newest one where it comes from an
    earlier. Any other is imported whole.

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
    # Before anything is read: what is written or cut from here on is looked at after the last transaction.
    since, cuts = replica.arrival, replica.cuts
    with replica.read() as reader:
        known = version_of(reader, row.scope, content_hash(content))
        base = known or nearest(reader, row.scope, keys, 0)
        before = lines_of(reader, row.scope, base) if base else []
        if 2 * distance(keys, {line_key(line) for line in before}) > len(keys) + len(before):
            base, before = 0, []
        is_new = not _has_issues(replica, reader, row)
        held = projects_of(issues_of(replica, reader, row.plane), {id_of(line) or "" for line in lines} - {""})
        others = [other for other in mirrors(reader) if other.scope == row.scope]
    problem = problem_of(lines, set(before) if base else None)
    if problem is not None:
        raise RefusedError(problem, code=Code.CONFLICT, hint=NOT_ADOPTED)
    found = differences(lines if known else before, lines)
    older = len(found.older)
    tally = take_pairs(commit, row, found.newer if older else found.pairs, since=since)
    tally.counts["unchanged"] += older + _equal(before, lines)
    tally.other_projects = {name: count for name, count in sorted(held.items()) if name != row.project}
    tally.problems += [problem.document() for in_base, problem in found.problems if not in_base]
    tally.problems.sort(key=lambda problem: int(problem["line"]))

    def note(unit: Unit) -> None:
        number = add_version(unit, row.scope, lines)
        noted = replace(
            row, current=number, newest=number, arrival=tally.arrival, newest_arrival=tally.arrival,
            cuts=cuts if base or is_new else NEVER_CUT,
            left_out=sum(1 for problem in tally.problems if not problem.get("kept")), changed_ms=unit.now_ms,
        )  # fmt: skip
        lead = max(others, key=lambda other: other.newest, default=None) if base else None
        put_mirror(unit, noted if lead is None else _beside(noted, lead, base, older))

    commit(note)
    return tally
