"""Taking in lines of a Beads file: new issues whole, known ones by what differs, everything odd reported by line.

Invariant: a line is reported as refused only if another might go in. What keeps this replica from writing at all is one
error for all lines; then nothing of them is written.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

from moot_protocol.beads.line_problem import LineProblem
from moot_protocol.beads.lines import ImportedIssue
from moot_protocol.beads.odd import NO_TITLE, Present, ahead_oddity, unknown_oddity
from moot_protocol.beads.plain import PlainLine, events_for_new, read_line
from moot_protocol.beads.writes import Events, differences, is_older
from moot_protocol.clock import to_ms
from moot_protocol.errors import STORE_CODES, Code, MootError, RefusedError
from moot_protocol.issues.issue import project_of
from moot_protocol.issues.settings import STATUSES, TYPES
from moot_protocol.log.event import Draft, NewEntity, PlainDraft
from moot_protocol.merge.kinds import ISSUE
from moot_protocol.requests.matching import STATUS_KEY
from moot_protocol.times import instant_ms
from mootd.engine.issues.editor import append
from mootd.engine.issues.first_lines import FirstLines
from mootd.engine.issues.reading import Issues
from mootd.engine.issues.vocabulary import TYPE_KEY, Vocabularies, Vocabulary
from mootd.engine.stored.erased import has_erased
from mootd.engine.unit import FLUSH_AFTER, Unit
from mootd.engine.views.entities import Entities
from mootd.engine.views.record import Record

_DELETED_HERE: Final = "deleted here; `moot undelete` it first to take this line in"
MAY_BE_ERASED: Final = "some of it was erased here, and the line doesn't say when it was changed (`updated_at`)"
"""Told also of a line that names a time to come, which can't be when it was changed."""
_NAMED: Final = (("status", STATUSES, STATUS_KEY), ("issue_type", TYPES, TYPE_KEY))
"""Field, the values that every project has, and the setting that adds a project's own."""
_OF_A_LINE: Final = frozenset({Code.INVALID, Code.LIMIT})
"""What events are refused for that say what they can't; all else keeps this replica from writing any."""


class Parsed(NamedTuple):
    """Lines of a file, read outside the write transaction."""

    issues: Sequence[ImportedIssue | PlainLine]
    problems: list[LineProblem]


def parse(lines: Iterable[bytes], first_line: int, seen: FirstLines) -> Parsed:
    """Read lines.

    Args:
        lines: the lines.
        first_line: the first one's number in its file.
        seen: the ids met before in the same import; those met now are added. Of an id that stands twice, the first
            counts. The same lines may come again, since the request they came in may have failed.
    """
    issues: list[ImportedIssue | PlainLine] = []
    problems: list[LineProblem] = []
    for number, line in enumerate(lines, start=first_line):
        parsed = read_line(line, number)
        if parsed is None:
            continue
        if isinstance(parsed, LineProblem):
            problems.append(parsed)
        elif seen.first(parsed.id, number) != number:
            problems.append(LineProblem(number, parsed.id, "this id stood in an earlier line, which was taken instead"))
        else:
            issues.append(parsed)
            if isinstance(parsed, ImportedIssue):
                problems.extend(parsed.problems)
    return Parsed(issues, problems)


class Importer:
    """Writes parsed lines into a plane, inside a unit.

    Args:
        unit: the unit.
        plane: the plane's number.
        project: the project that new issues belong to.
        actor: who imports.
    """

    def __init__(self, unit: Unit, plane: int, project: str, actor: str) -> None:
        self._unit = unit
        self._plane = plane
        self._project = project
        self._actor = actor
        self._feed = 0
        """This replica's feed on the plane, once it was asked for."""
        self._counts: Counter[str] = Counter()
        self._elsewhere = 0
        """Lines whose issues stand in other projects, and stay there."""
        self._present = Present.at(unit.now_ms)
        self._problems: list[LineProblem] = []
        self._vocabularies: dict[str, Vocabulary] = {}
        """By project, once asked for."""

    def take(self, parsed: Parsed) -> dict[str, Any]:
        """Write what is new; answers the counts and problems of an `import` request.

        Raises:
            MootError: this replica can't write here at all: it may only read, was retired, lacks its key, has a clock
                far behind the log…
        """
        self._problems = list(parsed.problems)
        with failing_as_a_whole(self._unit):
            for start in range(0, len(parsed.issues), FLUSH_AFTER):
                self._unit.flush()
                self._take_piece(parsed.issues[start : start + FLUSH_AFTER])
        counts = {name: self._counts[name] for name in ("created", "updated", "unchanged", "skipped")}
        problems = [problem.document() for problem in sorted(self._problems, key=lambda problem: problem.line)]
        return {**counts, "elsewhere": self._elsewhere, "problems": problems}

    def _take_piece(self, lines: Sequence[ImportedIssue | PlainLine]) -> None:
        known = [(imported, self._known(imported.id)) for imported in lines]
        entities = self._unit.entities()
        for imported, record in known:
            try:
                if record is None or not record.groups:
                    outcome = self._create(imported, record)
                else:
                    issue = imported.imported() if isinstance(imported, PlainLine) else imported
                    outcome, events = self._plan(issue, record, entities)
                    for writes in events:
                        append(self._unit, self._plane, Draft(ISSUE, imported.id, self._actor, writes))
            except MootError as error:
                self._problems.append(refused(imported, error))
                outcome = "skipped"
            self._counts[outcome] += 1

    def _known(self, name: str) -> Record | None:
        eid = self._unit.views.find(self._plane, ISSUE, name)
        return None if eid is None else self._unit.views.record(eid)

    def _create(self, line: ImportedIssue | PlainLine, record: Record | None) -> str:
        events = events_for_new(line, self._project)
        if _lacks_title(line):
            self._tell(line, NO_TITLE)
        if isinstance(line, ImportedIssue):
            self._tell_odd(line, self._project)
        elif ahead := ahead_oddity(line.data, self._present):
            self._tell(line, ahead)
        if record is None:
            if not self._feed:
                self._feed = self._unit.replica.own_feed(self._plane)
            self._unit.append_new(self._feed, NewEntity(ISSUE, line.id, self._actor, events))
            return "created"
        for shape, values in events:
            draft = PlainDraft(ISSUE, line.id, self._actor, dict(zip(shape.keys, values, strict=True)))
            self._unit.append(self._plane, draft)
        return "created"

    def _plan(self, imported: ImportedIssue, record: Record, entities: Entities) -> tuple[str, Events]:
        issues = Issues(entities, self._plane)
        live = issues.live(record, texts=True)
        reading = issues.read(record, live=live)
        project = project_of(live)
        self._elsewhere += project != self._project
        if reading.deleted is not None and imported.deleted is None:
            self._problems.append(LineProblem(imported.line, imported.id, _DELETED_HERE))
            return "skipped", []
        if is_older(imported, reading.updated_at):
            problem = f"older than what is here (changed {reading.updated_at})"
            self._problems.append(LineProblem(imported.line, imported.id, problem))
            return "skipped", []
        if self.may_hold_erased(imported, record):
            self._problems.append(LineProblem(imported.line, imported.id, MAY_BE_ERASED))
            return "skipped", []
        self._tell_odd(imported, project)
        events = differences(imported, live, reading, entities.dot_of(record))
        return ("updated" if events else "unchanged"), events

    def may_hold_erased(self, line: ImportedIssue, record: Record) -> bool:
        """Whether something of an issue was erased, and its line, which may hold just that, doesn't say how old it is.

        A time that is still to come says nothing: it would be later than every erasure. What the log has got from a
        machine whose clock is ahead counts as come.
        """
        changed_ms = instant_ms(line.registers.get("updated_at"))
        is_dated = changed_ms is not None and changed_ms <= max(self._unit.now_ms, to_ms(self._unit.clock.last))
        return not is_dated and has_erased(self._unit.transaction, record.head)

    def odd_here(self, line: ImportedIssue, project: str) -> Iterator[str]:
        """What is odd about a line here and now: times to come, what is none of its project's.

        Reading the line told all else. Of these a plain line has times only.

        Args:
            line: the line.
            project: the issue's, whose own statuses and types aren't odd.
        """
        if ahead := ahead_oddity(line.registers, self._present):
            yield ahead
        if line.deleted is not None:
            return
        for name, known, setting in _NAMED:
            value = line.registers.get(name)
            if value is not None and value not in known and not self._is_own(name, value, project):
                yield unknown_oddity(name, value, setting)

    def _is_own(self, name: str, value: str, project: str) -> bool:
        own = self._own(project)
        return value in (own.statuses if name == "status" else own.types)

    def _tell_odd(self, line: ImportedIssue, project: str) -> None:
        for oddity in self.odd_here(line, project):
            self._tell(line, oddity)

    def _own(self, project: str) -> Vocabulary:
        """The statuses and types that a project has of its own."""
        if project not in self._vocabularies:
            found = Vocabularies(self._unit.entities(), self._unit.replica.settings_plane)
            self._vocabularies[project] = found.of(self._plane, project)
        return self._vocabularies[project]

    def _tell(self, line: ImportedIssue | PlainLine, oddity: str) -> None:
        self._problems.append(LineProblem(line.line, line.id, oddity, is_kept=True))


@contextmanager
def failing_as_a_whole(unit: Unit) -> Iterator[None]:
    """What refuses all lines is no refusal once some are written: they are taken back, which nobody expects of one.

    Raises:
        MootError: as it came, or in place of the refusal.
    """
    try:
        yield
    except RefusedError as error:
        if error.code in STORE_CODES or unit.arrival == unit.replica.arrival:
            raise
        raise MootError(error.message, code=error.code, hint=error.hint, retryable=error.retryable) from error


def refused(line: ImportedIssue | PlainLine, error: MootError) -> LineProblem:
    """The problem of a line that was refused.

    Raises:
        RefusedError: the error, if it isn't the line's: no other line would go in either.
    """
    if isinstance(error, RefusedError) and error.code not in _OF_A_LINE:
        raise error
    return LineProblem(line.line, line.id, error.message, is_refused=True)


def _lacks_title(line: ImportedIssue | PlainLine) -> bool:
    """Whether a new issue would have no title since its line names none: a known one may well leave it out."""
    if isinstance(line, PlainLine):
        return "title" not in line.data
    return line.deleted is None and "title" not in line.registers and "title" not in line.extra
