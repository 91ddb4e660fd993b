"""Taking in what changed between two states of a Beads file: changed lines by their differences, new lines as imports.

A line that is gone is no deletion, since Beads deletes by a tombstone: it is reported, and deletes only if asked to.
"""

from collections import Counter
from typing import Any, Final

from moot_protocol.beads.edits import edits
from moot_protocol.beads.line_problem import LineProblem
from moot_protocol.beads.lines import ImportedIssue, parse_line
from moot_protocol.beads.pairs import LinePair
from moot_protocol.beads.writes import Events
from moot_protocol.errors import MootError
from moot_protocol.issues.issue import facts, project_of
from moot_protocol.log.event import Draft, Write
from moot_protocol.merge.deletion import DELETED, TO_BE_SEEN, with_seen
from moot_protocol.merge.kinds import ISSUE
from moot_protocol.requests.transfer import EDIT_COUNTS, ImportEdits
from mootd.engine.issues.editor import append
from mootd.engine.issues.importing import MAY_BE_ERASED, Importer, Parsed, failing_as_a_whole, refused
from mootd.engine.issues.mutations import IssueWriter
from mootd.engine.issues.reading import Issues
from mootd.engine.views.entities import Entities
from mootd.engine.views.record import Record

_MISSING: Final = "not in the file any more; left alone here"
_DELETED_HERE: Final = "deleted here; what changed in its line stays in its record"
_GONE: Final = with_seen(["", "gone from the file", None], TO_BE_SEEN)
"""The deletion of an issue whose line is gone: who and when the event says, so that two such never disagree."""


def import_edits(writer: IssueWriter, request: ImportEdits) -> dict[str, Any]:
    """Write what changed between two states of a file; answers counts and problems."""
    return _Edits(writer, request).take()


class _Edits:
    def __init__(self, writer: IssueWriter, request: ImportEdits) -> None:
        self._unit = writer.unit
        self._plane = writer.plane
        self._request = request
        self._counts: Counter[str] = Counter()
        self._problems: list[dict[str, Any]] = []
        self._new: list[ImportedIssue] = []
        self._importer = Importer(writer.unit, writer.plane, request.project, request.actor)

    def take(self) -> dict[str, Any]:
        """Write all pairs."""
        with failing_as_a_whole(self._unit):
            return self._take()

    def _take(self) -> dict[str, Any]:
        self._unit.flush()
        entities = self._unit.entities()
        # All are read before the first is written: every id stands in one pair.
        known = [(base, line, self._known(base, line)) for base, line in map(self._parsed, self._request.pairs)]
        for base, line, record in known:
            if base is None or record is None:
                if line is not None:
                    self._new.append(line)
            elif line is None:
                self._lacking(base, record, entities)
            else:
                self._change(base, line, record, entities)
        imported = self._importer.take(Parsed(self._new, []))
        self._problems += imported.pop("problems")
        self._counts.update(imported)
        self._problems.sort(key=lambda problem: ("base" not in problem, problem["line"]))
        return {**{name: self._counts[name] for name in EDIT_COUNTS}, "problems": self._problems}

    def _parsed(self, pair: LinePair) -> tuple[ImportedIssue | None, ImportedIssue | None]:
        base = parse_line(pair.base, pair.base_number)
        line = parse_line(pair.line, pair.number)
        if isinstance(base, LineProblem):
            self._report(base, in_base=True)
            base = None
        if isinstance(line, LineProblem):
            # Its issue isn't missing, it can't be read.
            self._report(line)
            return None, None
        for problem in line.problems if line is not None else ():
            self._report(problem)
        return base, line

    def _known(self, base: ImportedIssue | None, line: ImportedIssue | None) -> Record | None:
        either = line or base
        eid = None if either is None else self._unit.views.find(self._plane, ISSUE, either.id)
        record = None if eid is None else self._unit.views.record(eid)
        return record if record is not None and record.groups else None

    def _change(self, base: ImportedIssue, line: ImportedIssue, record: Record, entities: Entities) -> None:
        if self._importer.may_hold_erased(line, record):
            self._report(LineProblem(line.line, line.id, MAY_BE_ERASED))
            self._counts["skipped"] += 1
            return
        live = Issues(entities, self._plane).live(record, texts=True)
        for oddity in self._importer.odd_here(line, project_of(live)):
            self._report(LineProblem(line.line, line.id, oddity, is_kept=True))
        events = edits(base, line, live, entities.dot_of(record))
        if events and base.deleted is None and line.deleted is None and facts(live).is_deleted:
            self._report(LineProblem(line.line, line.id, _DELETED_HERE))
        is_deletion = line.deleted is not None and base.deleted is None
        self._write(line, events, "deleted" if is_deletion else "updated")

    def _lacking(self, base: ImportedIssue, record: Record, entities: Entities) -> None:
        """What becomes of an issue whose line is gone."""
        if facts(Issues(entities, self._plane).live(record, texts=False)).is_deleted or base.deleted is not None:
            self._counts["unchanged"] += 1
        elif self._request.delete_missing:
            self._write(base, [[Write(DELETED, _GONE, entities.dots(record, DELETED))]], "deleted")
        else:
            self._report(LineProblem(base.line, base.id, _MISSING), in_base=True)
            self._counts["missing"] += 1

    def _write(self, line: ImportedIssue, events: Events, outcome: str) -> None:
        try:
            for writes in events:
                append(self._unit, self._plane, Draft(ISSUE, line.id, self._request.actor, writes))
        except MootError as error:
            self._report(refused(line, error))
            outcome = "skipped"
        self._counts[outcome if events else "unchanged"] += 1

    def _report(self, problem: LineProblem, *, in_base: bool = False) -> None:
        self._problems.append(problem.document() | ({"base": True} if in_base else {}))
