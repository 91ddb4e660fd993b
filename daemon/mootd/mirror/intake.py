"""What a file says, written into the log: the differences between two states of it, or the whole of one met first.

Invariant: no issue is written but the project's own and new ones. Whoever may write into a folder is asked nothing
about other projects of the plane.

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
    Differences,
    actor_of,
    content_hash,
    differences,
    distance,
    id_of,
    line_key,
    problem_of,
    split,
    strangeness,
)
from moot_protocol.requests.transfer import ImportEdits
from mootd.engine.commit import Committer
from mootd.engine.issues.edits import import_edits
from mootd.engine.issues.mirroring import issues_of, others_of, plane_number
from mootd.engine.issues.mutations import IssueWriter
from mootd.engine.issues.reading import Issues
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
NAMED: Final = 5
"""How many issues that were left alone are named."""
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
        self.left_alone: list[str] = []
        """Issues of other projects whose lines brought nothing, in the order of the lines."""
        self.other_projects: dict[str, int] = {}
        """Other project → how many of a new mirror's issues it has, and keeps."""

    def add(self, answered: dict[str, Any]) -> None:
        """Count what one import came to."""
        self.counts.update({name: answered.get(name, 0) for name in _COUNTS})
        self.problems += answered["problems"]

    def noted(self) -> dict[str, Any]:
        """As a mirror's row has it."""
        told = (problem for problem in self.problems if not problem.get("base") and not problem.get("kept"))
        return {
            "left_out": sum(1 for _ in told),
            "left_alone": len(self.left_alone),
            "left_alone_ids": tuple(self.left_alone[:NAMED]),
        }

    def wrote(self, first: int, until: int) -> None:
        """Note which events lines brought: others' before them stay to be looked at, and all that follow those."""
        if first == self.arrival:
            self.arrival = until

    def document(self) -> dict[str, Any]:
        """As an import's answer, with the projects that issues of the file belong to, where those are others."""
        others = {"other_projects": self.other_projects} if self.other_projects else {}
        alone = {"left_alone": len(self.left_alone), "left_alone_ids": self.left_alone[:NAMED]}
        return {**{name: self.counts[name] for name in _COUNTS}, **alone, **others, "problems": self.problems}


class _Portion(NamedTuple):
    """What came of one transaction."""

    first: int
    """Its first event."""
    until: int
    """The first event after it."""
    answers: list[dict[str, Any]]
    """Of its imports."""
    left_alone: list[str]
    """As a tally has them."""


class Sorted(NamedTuple):
    """Differences by what becomes of them."""

    older: set[str]
    """Issues of the project whose lines say that they are older than what is known, and so bring nothing."""
    pairs: list[LinePair]
    """What is to be taken in. How old a line of another project's issue says that it is doesn't count."""


def sort_out(issues: Issues, project: str, found: Differences) -> Sorted:
    """See which differences are to be taken in."""
    names = set(map(_id_of, found.older)) - {""}
    older = names - others_of(issues, project, names).keys()
    return Sorted(older, [pair for pair in found.pairs if _id_of(pair) not in older])


def take_pairs(
    commit: Committer, row: MirrorRow, pairs: Sequence[LinePair], *, since: int = 0, delete_missing: bool = False
) -> Tally:
    """Write what lines changed in the project's own issues and in new ones, each change by whom its line says.

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
        came = commit(partial(_carried_out, row, portion, delete_missing=delete_missing))
        tally.wrote(came.first, came.until)
        tally.left_alone += came.left_alone
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


def _carried_out(row: MirrorRow, pairs: Sequence[LinePair], unit: Unit, *, delete_missing: bool) -> _Portion:
    plane = plane_number(unit.replica, row.plane)
    _check_may_write(unit, plane)
    first = unit.arrival
    writer = IssueWriter(unit, plane)
    named = [(_id_of(pair), pair) for pair in pairs]
    others = others_of(writer.issues(), row.project, {name for name, _ in named} - {""})
    own = [pair for name, pair in named if name not in others]
    requests = _by_actor(row, own, delete_missing=delete_missing)
    answers = [import_edits(writer, request) for request in requests]
    alone = [name for name, pair in named if name in others and pair.number]
    return _Portion(first, unit.arrival, answers, alone)


def _id_of(pair: LinePair) -> str:
    return id_of(pair.line or pair.base) or ""


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


def problem_of_change(lines: list[bytes], known: set[bytes]) -> str | None:
    """As `problem_of`; of a file with which another program replaced this one that it is something else.

    Whoever is half done has written lines that were there, or whole new ones before the one that is cut.
    """
    problem = problem_of(lines, known)
    written = [line for line in lines if line.strip()]
    is_one_begun = len(written) == 1 and written[0].startswith(b'{"')
    if problem is None or is_one_begun or not known.isdisjoint(written):
        return problem
    strange = strangeness(written)
    return problem if strange is None else f"it was replaced: {strange}"


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


def _equal(base: Sequence[bytes], lines: Sequence[bytes]) -> set[str]:
    """The issues that have the same line in two states, which `differences` leaves out."""
    return {id_of(line) or "" for line in set(base) & set(lines)} - {""}


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
        issues = issues_of(replica, reader, row.plane)
        apart = others_of(issues, row.project, {id_of(line) or "" for line in lines} - {""})
        others = [other for other in mirrors(reader) if other.scope == row.scope]
        problem = problem_of(lines, set(before) if base else None)
        if problem is not None:
            raise RefusedError(problem, code=Code.CONFLICT, hint=NOT_ADOPTED)
        found = differences(lines if known else before, lines)
        older, pairs = sort_out(issues, row.project, found)
    tally = take_pairs(commit, row, pairs, since=since)
    tally.counts["unchanged"] += len((older | _equal(before, lines)) - apart.keys())
    tally.other_projects = dict(sorted(Counter(apart.values()).items()))
    tally.problems += [problem.document() for in_base, problem in found.problems if not in_base]
    tally.problems.sort(key=lambda problem: int(problem["line"]))

    def note(unit: Unit) -> None:
        number = add_version(unit, row.scope, lines)
        noted = replace(
            row, current=number, newest=number, arrival=tally.arrival, newest_arrival=tally.arrival,
            cuts=cuts if base or is_new else NEVER_CUT,
            changed_ms=unit.now_ms, **tally.noted(),
        )  # fmt: skip
        lead = max(others, key=lambda other: other.newest, default=None) if base else None
        put_mirror(unit, noted if lead is None else _beside(noted, lead, base, len(older)))

    commit(note)
    return tally
