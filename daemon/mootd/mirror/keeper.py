"""One mirror at work: what the file says goes into the log, what the log says goes into the file.

Invariants: a state of the file is taken in once, whole, and only by what differs from the version it comes from; what
this keeper wrote is such a version, so its own writes bring no events. The file is touched only while it is, byte for
byte, the version it was last known to be. While a question is open neither side follows the other.
What comes from an earlier version is an earlier version, whoever changed it, until it holds all that is newer: the
newest one stays known, with what it lacks, for when the file comes back to it. So is a state that nobody knows, where a
line of it says that it is older than what is known of its issue; such a line brings nothing. Into an earlier version
nothing is written but what changes from then on, unless that is asked for.

Nothing is written into a file of which no line is an issue's or a memory's, unless it is empty.

The file first: nothing is written before its latest state has been taken in. Nothing here waits: `step` does what is
due and says when it wants to be called again, or earlier if something happens.
"""

import threading
from typing import Any, Final, NamedTuple

import structlog

from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.mirrors.lines import (
    content_hash,
    differences,
    doubt_of,
    id_of,
    joined,
    line_key,
    split,
    strangeness,
)
from moot_protocol.mirrors.writing import rewritten
from mootd.engine.commit import Committer
from mootd.engine.issues.mirroring import issues_of, mirrored_lines, of_project, plane_number
from mootd.engine.issues.mutations import IssueWriter
from mootd.engine.machine.mirrors import (
    MirrorRow,
    add_version,
    change_mirror,
    changed_row,
    due_since,
    lines_of,
    nearest,
    read_mirror,
    seen_keys,
    version_of,
)
from mootd.engine.replica import Replica
from mootd.engine.unit import Unit
from mootd.files import MirrorFile, Stamp
from mootd.mirror.intake import missing_pairs, problem_of_change, sort_out, take_pairs
from mootd.mirror.moving import GONE
from mootd.ports import Clock

FILE_QUIET_MS: Final = 200
"""How long a file must stay as it is before it is read: whoever writes may not be done."""
WRITE_QUIET_MS: Final = 5_000
"""How long nothing may change here before it is written back."""
WRITE_LATEST_MS: Final = 60_000
"""How long a change waits at most, however much goes on."""
RETRY_MS: Final = 30_000
"""How long after a write that failed the next is tried."""
PASSED_OVER: Final = 10_000
"""Events that concern other files alone after which it is noted that they need not be looked at again."""
LOOK_MS: Final = 5_000
"""How often the file is looked at although nobody told of a change."""
NOT_ACCEPTED: Final = "put the file in order, or `moot mirror resume --discard` writes what is here"
NOT_OURS: Final = "put the file of issues back, or `moot mirror off`"
NOTHING_ASKED: Final = "nothing is asked about this mirror"
_log: Final = structlog.get_logger()


class Timing(NamedTuple):
    """How patient a keeper is, in milliseconds."""

    file_quiet: int = FILE_QUIET_MS
    write_quiet: int = WRITE_QUIET_MS
    write_latest: int = WRITE_LATEST_MS


class _Stand(NamedTuple):
    """How a version that the file came to stands to the log."""

    arrival: int
    """The first event that may not be in it yet."""
    is_behind: bool = False
    """Whether it lacks more than that: it comes from an earlier version."""

    def noted(self, number: int) -> dict[str, int]:
        """As a row has it, for the version's number."""
        newest = {} if self.is_behind else {"newest": number, "newest_arrival": self.arrival}
        return {"current": number, "arrival": self.arrival, **newest}


class Keeper:
    """Keeps one mirror.

    Args:
        row: its row, as it stands.
        file: the file.
        replica: the replica.
        commit: carries out work in a write transaction; blocks.
        clock: for quiet times.
        timing: how patient it is.
    """

    def __init__(
        self,
        row: MirrorRow,
        file: MirrorFile,
        replica: Replica,
        commit: Committer,
        clock: Clock,
        timing: Timing | None = None,
    ) -> None:
        self._name = (row.folder, row.file)
        self._file = file
        self._replica = replica
        self._commit = commit
        self._clock = clock
        self._timing = timing or Timing()
        self._lock = threading.Lock()  # of everything below
        self._settled: Stamp | None = None
        """What the file looked like when it was last dealt with."""
        self._moving: Stamp | None = None
        self._quiet_at = 0
        self._due: set[str] = set()
        """Issues that may have to be written."""
        self._looked = row.arrival
        """The first event not looked at."""
        self._due_first = self._due_last = 0
        self._retry_at = 0
        self._full = False

    @property
    def waiting(self) -> int:
        """How many issues may have to be written."""
        return len(self._due)

    # -- What is asked -------------------------------------------------------------------------------------------
    def step(self) -> int:
        """Do what is due; returns after how many milliseconds more may be."""
        with self._lock:
            row = self._row()
            if row is None:
                return LOOK_MS
            now = self._clock.monotonic_ms()
            wait = self._look(row, now)
            row = self._row() or row
            return min(wait, LOOK_MS) if row.doubt else min(wait, self._see_to_writing(row, now), LOOK_MS)

    @property
    def look_ms(self) -> int:
        """After how long a file is looked at although nobody told of a change."""
        return LOOK_MS

    def sync(self, *, full: bool, delete_missing: bool) -> None:
        """Take in and write back now."""
        with self._lock:
            row = self._needed()
            stamp = self._file.stamp()
            if stamp is None:
                raise RefusedError(f"there is no {row.folder}/{row.file}", code=Code.NOT_FOUND)
            self._take(row, self._file.read(), accepted=False)
            self._settled = stamp
            row = self._needed()
            if row.problem or row.doubt:
                return
            if delete_missing and row.missing:
                self._delete(row)
                row = self._needed()
            self._note_due(row, self._clock.monotonic_ms())
            if full or self._full or self._due:
                self._write(row, full=full or self._full)

    def resume(self, *, accept: bool) -> None:
        """Answer the question that is open.

        Raises:
            RefusedError: `conflict`: none is, or what the file holds can't be taken in.
        """
        with self._lock:
            row = self._needed()
            if row.doubt is None:
                raise RefusedError(NOTHING_ASKED, code=Code.CONFLICT)
            stamp, content = self._file.stamp(), self._file.read()
            if accept:
                self._take(row, content, accepted=True)
                problem = self._needed().problem
                if problem:
                    raise RefusedError(problem, code=Code.CONFLICT, hint=NOT_ACCEPTED)
            else:
                self._discard(row, content)
                stamp = self._file.stamp()
            self._settled = stamp

    def _row(self) -> MirrorRow | None:
        with self._replica.read() as reader:
            return read_mirror(reader, *self._name)

    def _needed(self) -> MirrorRow:
        row = self._row()
        if row is None:
            raise RefusedError(f"{'/'.join(self._name)} is no mirror", code=Code.NOT_FOUND)
        return row

    def _change(self, row: MirrorRow, **changes: Any) -> MirrorRow:
        """Change the row where that changes something."""
        if changed_row(row, **changes) == row:
            return row
        return self._commit(lambda unit: change_mirror(unit, row, **changes))

    # -- The file changed ----------------------------------------------------------------------------------------
    def _look(self, row: MirrorRow, now: int) -> int:
        """See whether the file changed, and take it in once it is quiet; returns when to look again."""
        try:
            stamp = self._file.stamp()
            if stamp is None:
                self._settled = None
                self._change(row, problem=GONE)
                return LOOK_MS
            if stamp == self._settled:
                return LOOK_MS
            if stamp != self._moving:
                self._moving, self._quiet_at = stamp, now + self._timing.file_quiet
            if now < self._quiet_at:
                return self._quiet_at - now
            content = self._file.read()
            if self._file.stamp() != stamp:
                return 0
            self._take(row, content, accepted=False)
        except RefusedError as error:
            self._change(row, problem=error.message)
            return LOOK_MS
        self._settled = stamp
        return LOOK_MS

    def _take(self, row: MirrorRow, content: bytes, *, accepted: bool) -> None:
        """Take in a state of the file."""
        with self._replica.read() as reader:
            known = version_of(reader, row.scope, content_hash(content))
        if known:
            self._arrive(row, known)
            return
        lines = split(content)
        keys = [line_key(line) for line in lines]
        since = self._replica.arrival
        with self._replica.read() as reader:
            base = row.current if accepted else nearest(reader, row.scope, set(keys), row.current)
            before = lines_of(reader, row.scope, base)
            problem = problem_of_change(lines, set(before))
            if problem is not None:
                self._change(row, problem=problem)
                return
            found = differences(before, lines)
            changed = [line_key(pair.line) for pair in found.pairs if pair.number]
            doubt = None if accepted else doubt_of(found, seen_keys(reader, row.scope, changed))
            back, pairs = sort_out(issues_of(self._replica, reader, row.plane), row.project, found)
        if doubt is not None:
            self._change(row, doubt=doubt, problem="")
            return
        older = 0 if accepted else len(back)
        taken = found.pairs if accepted else pairs
        tally = take_pairs(self._commit, row, taken, since=since, delete_missing=accepted)
        noted = tally.noted()
        if tally.left_alone:
            count, some = noted["left_alone"], list(noted["left_alone_ids"])
            _log.warning("mirror.left_alone", file="/".join(self._name), lines=count, issues=some)
        gone = set() if accepted or older else {id_of(pair.base) or "" for pair in found.gone}
        stand = self._after_taking(row, base, lines, tally.arrival, has_older=older > 0)
        older = older if stand.is_behind else 0
        came = self._commit(lambda unit: _came_to(unit, row, lines, stand, gone, older=older, **noted))
        if base != row.current or stand.is_behind != row.is_behind:
            self._forget_due()
        if base != row.current or came.arrival != row.arrival:
            self._looked = came.arrival

    def _after_taking(self, row: MirrorRow, base: int, lines: list[bytes], arrival: int, *, has_older: bool) -> _Stand:
        """How a new version that comes from another one stands, after what it brought was taken in.

        Args:
            row: the mirror as it stood.
            base: the version that the new one comes from.
            lines: the new one's.
            arrival: the first event since it was read that its lines didn't bring.
            has_older: whether some of them are older than what is known of their issues.
        """
        if (base == row.newest and not has_older) or self._holds_newest(row, lines):
            return _Stand(row.newest_arrival)
        # One that comes from another earlier version than the last owes nothing of what is here.
        is_same = base == row.current and row.is_behind
        return _Stand(row.arrival if is_same else arrival, is_behind=True)

    def _forget_due(self) -> None:
        """The file is another branch's: what waits to be written into it is to be found anew."""
        self._due.clear()
        self._full = False

    def _lines_of(self, row: MirrorRow, number: int) -> list[bytes]:
        with self._replica.read() as reader:
            return lines_of(reader, row.scope, number)

    def _holds_newest(self, row: MirrorRow, lines: list[bytes]) -> bool:
        """Whether lines that come from an earlier version say what the log does wherever they aren't the newest's."""
        with self._replica.read() as reader:
            differing = set(lines) ^ set(lines_of(reader, row.scope, row.newest))
            names = {name for name in map(id_of, differing) if name is not None}
            wanted = mirrored_lines(issues_of(self._replica, reader, row.plane), row.project, names)
        return rewritten(lines, wanted) == lines

    def _arrive(self, row: MirrorRow, known: int) -> None:
        """The file is a version that is known: nothing of it is new."""
        if known == row.current:
            self._change(row, problem="", doubt=None)
            return
        changes: dict[str, Any] = {
            "current": known,
            "problem": "",
            "doubt": None,
            "left_out": 0,
            "left_alone": 0,
            "left_alone_ids": (),
            "older": 0,
            "changed_ms": self._replica.wall.now_ms(),
        }
        if known == row.writing:
            # Written by us, before something kept us from noting it.
            newest = {} if row.writing_behind else {"newest": known, "newest_arrival": row.writing_arrival}
            changes |= {"arrival": row.writing_arrival, "writing": 0, **newest}
        elif known == row.newest or self._holds_newest(row, self._lines_of(row, known)):
            changes |= {"arrival": row.newest_arrival, "newest": known}
        else:
            changes["arrival"] = self._replica.arrival
        self._forget_due()
        self._looked = changes["arrival"]
        self._change(row, **changes)

    def _delete(self, row: MirrorRow) -> None:
        take_pairs(self._commit, row, missing_pairs(row.missing), delete_missing=True)
        self._change(row, missing=())

    # -- The log changed -----------------------------------------------------------------------------------------
    def _note_due(self, row: MirrorRow, now: int) -> None:
        """See which issues have events that the file may lack."""
        # Into an earlier version only what changes is written: what a cut took back waits for the newest one.
        if row.cuts != self._replica.cuts and not self._full and not row.is_behind:
            self._full = True
            self._due_first = self._due_last = now
        if self._looked >= self._replica.arrival:
            return
        with self._replica.read() as reader:
            issues = issues_of(self._replica, reader, row.plane)
            due = due_since(reader, self._looked, *issues.planes)
            changed = of_project(issues, row.project, due.issues)
        self._looked = due.until
        if changed:
            self._due_first = self._due_first if self._due or self._full else now
            self._due_last = now
            self._due |= changed

    def _see_to_writing(self, row: MirrorRow, now: int) -> int:
        """Write what is due and has been quiet; returns when it will be."""
        try:
            self._note_due(row, now)
        except MootError as error:
            return self._put_off(row, now, error)
        if not self._due and not self._full:
            self._pass_over(row)
            return LOOK_MS
        due_at = min(self._due_last + self._timing.write_quiet, self._due_first + self._timing.write_latest)
        due_at = max(due_at, self._retry_at)
        if now < due_at:
            return due_at - now
        if row.is_unwritten:
            row = changed_row(row, problem="")
        if self._settled is None or row.problem:
            return LOOK_MS
        try:
            self._write(row, full=self._full)
        except MootError as error:
            return self._put_off(row, now, error)
        return LOOK_MS

    def _put_off(self, row: MirrorRow, now: int, error: MootError) -> int:
        """Say why the file can't be written; returns when to look again."""
        self._retry_at = now + RETRY_MS
        self._change(row, problem=f"it can't be written: {error.message}", is_unwritten=True)
        return LOOK_MS

    def _pass_over(self, row: MirrorRow) -> None:
        """Note now and then that events of others were looked at, so that no restart goes through all of them."""
        if self._looked - row.arrival >= PASSED_OVER:
            newest = {} if row.is_behind else {"newest_arrival": self._looked}
            self._change(row, arrival=self._looked, **newest)

    def _write(self, row: MirrorRow, *, full: bool) -> None:
        """Bring the file to what the log says of the issues that are due, or of all."""
        lines = self._lines_of(row, row.current)
        self._bring(row, joined(lines), lines, full=full)

    def _bring(self, row: MirrorRow, expected: bytes, lines: list[bytes], *, full: bool) -> bool:
        """Put lines into the file, with what the log says of the issues that are due or of all; False as `_put`."""
        until, cuts = self._looked, self._replica.cuts  # before the snapshot: a later cut is looked at once more
        with self._replica.read() as reader:
            issues = issues_of(self._replica, reader, row.plane)
            wanted = mirrored_lines(issues, row.project, None if full else self._due)
        written = rewritten(lines, wanted)
        stand = _Stand(until)
        if row.is_behind and not full:
            stand = _Stand(row.newest_arrival) if self._holds_newest(row, written) else _Stand(until, is_behind=True)
        if not self._put(row, expected, written, stand):
            return False
        cuts = cuts if full else row.cuts
        self._looked = self._commit(lambda unit: _in_step(unit, row, written, stand, cuts, full=full)).arrival
        self._due.clear()
        self._full = False
        return True

    def _put(self, row: MirrorRow, expected: bytes, lines: list[bytes], stand: _Stand) -> bool:
        """Put lines into the file, if it is what is expected; it is noted beforehand that they are ours.

        Raises:
            RefusedError: `denied`: the file is none of issues, whatever was adopted once.
        """
        content = joined(lines)
        if content != expected:
            strange = strangeness(split(expected), most=False)
            if strange is not None:
                raise RefusedError(strange, code=Code.DENIED, hint=NOT_OURS)
            self._commit(
                lambda unit: change_mirror(
                    unit,
                    row,
                    writing=add_version(unit, row.scope, lines),
                    writing_arrival=stand.arrival,
                    writing_behind=stand.is_behind,
                )
            )
            if not self._file.replace(expected, content):
                self._settled = self._moving = None
                return False
            self._settled = self._file.stamp()
        return True

    def _discard(self, row: MirrorRow, content: bytes) -> None:
        """Keep a state of the file for known, and put the last one taken in, with all that is here, in its place."""
        self._note_due(row, self._clock.monotonic_ms())
        lines = self._lines_of(row, row.current)
        self._commit(lambda unit: add_version(unit, row.scope, split(content)))
        if not self._bring(row, content, lines, full=True):
            raise RefusedError("the file has changed just now", code=Code.CONFLICT, retryable=True)


def _in_step(unit: Unit, row: MirrorRow, lines: list[bytes], stand: _Stand, cuts: int, *, full: bool) -> MirrorRow:
    """Note that the file holds what was written into it."""
    return change_mirror(
        unit,
        row,
        **stand.noted(add_version(unit, row.scope, lines)),
        writing=0,
        cuts=cuts,
        missing=() if full else row.missing,
        older=0 if full else row.older,
        problem="",
        doubt=None,
        changed_ms=unit.now_ms,
    )


def _came_to(unit: Unit, row: MirrorRow, lines: list[bytes], stand: _Stand, gone: set[str], **taken: Any) -> MirrorRow:
    """Note that the file is a new version, and what of it was not taken in."""
    missing = {*row.missing, *gone} - set(map(id_of, lines)) if row.missing or gone else set()
    if missing:  # other projects' issues don't lack a line
        missing = of_project(IssueWriter(unit, plane_number(unit.replica, row.plane)).issues(), row.project, missing)
    return change_mirror(
        unit,
        row,
        **stand.noted(add_version(unit, row.scope, lines)),
        missing=tuple(sorted(missing)),
        **taken,
        problem="",
        doubt=None,
        changed_ms=unit.now_ms,
    )
