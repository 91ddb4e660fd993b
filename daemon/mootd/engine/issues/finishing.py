"""Molecules and wisps that are done: they are closed with the last of their steps, so that what waits for them goes on.

Which close themselves: issues of type `molecule`, epics with the label of one, and what is ephemeral and part of
nothing. All others stay open, to be closed by whoever looks after them. Steps are what is below at any distance.

Invariant: nothing is closed that `close` would refuse to close without force, and nothing that is pinned.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, Protocol

from moot_protocol.issues.edge_types import PARENT
from moot_protocol.issues.issue import DEFAULT_STATUS, facts, project_of
from moot_protocol.requests.base import Mutation
from mootd.engine.issues.editor import IssueEditor
from mootd.engine.issues.reading import Issues
from mootd.engine.stored.layout import BACK_EDGE, EDGE
from mootd.engine.unit import Unit
from mootd.engine.views.record import Record, live_of
from mootd.engine.views.standing import CLOSED, EPHEMERAL, Standing

REASON: Final = "all steps complete"
_MOLECULE: Final = "molecule"
_EPIC: Final = "epic"
_LABELS: Final = frozenset({_MOLECULE, "template"})
"""Labels of an epic that a formula was poured into, here and in Beads."""


class Finished(NamedTuple):
    """A molecule that was closed because all of its steps are."""

    id: str
    eid: int
    unblocked: list[int]
    """The numbers of the issues that this unblocked."""


class _Writer(Protocol):
    """What closes issues (`mutations.py`)."""

    unit: Unit

    def issues(self) -> Issues:
        """The issues as the unit has left them so far."""

    def write_closing(self, name: str, request: Mutation[Any], reason: str, session: str) -> list[int]:
        """Close an issue."""


def finish(writer: _Writer, step: int, request: Mutation[Any], session: str = "") -> list[Finished]:
    """Close what an issue that has just been closed was the last open step of; and so on above that.

    An issue that is part of nothing costs one look at its edges, any other one more at its parent: only below what
    closes itself others are looked at.

    Args:
        writer: closes issues.
        step: the closed issue's number.
        request: who closed it.
        session: the agent's session that did.

    Returns:
        What was closed, the innermost first.
    """
    finished: list[Finished] = []
    seen, pending = {step}, [step]
    while pending:
        for parent in list(_linked(writer.issues(), EDGE, pending.pop())):
            issues = writer.issues()
            standing = issues.standing(parent)
            if parent in seen:
                continue
            seen.add(parent)
            if not standing.flags & CLOSED:
                record = issues.entities.record(parent)
                if record is None or not _is_to_be_closed(issues, standing, record):
                    continue  # as long as it is open, so is whatever it is part of
                if _project(issues, record) != _project(issues, issues.entities.record(step)):
                    continue  # who may write in a step's project may have no say in another's
                unblocked = writer.write_closing(record.entity, request, REASON, session)
                finished.append(Finished(record.entity, parent, unblocked))
            pending.append(parent)
    return finished


def unfinish(unit: Unit, plane: int, step: int, actor: str) -> list[str]:
    """Open again what closed itself above an issue that is open again, since that one's closing was undone.

    Args:
        unit: the unit.
        plane: the plane's number.
        step: the issue's.
        actor: who undid it.

    Returns:
        The ids of what was opened.
    """
    opened: list[str] = []
    seen, pending = {step}, [step]
    while pending:
        unit.flush()
        issues = Issues(unit.entities(), plane)
        for parent in list(_linked(issues, EDGE, pending.pop())):
            record = issues.entities.record(parent)
            if parent in seen or record is None:
                continue
            seen.add(parent)
            pending.append(parent)
            is_closed = issues.standing(parent).flags & CLOSED
            is_ours = _project(issues, record) == _project(issues, issues.entities.record(step))
            if is_closed and is_ours and issues.read(record).values.get("close_reason") == REASON:
                editor = IssueEditor(unit, plane, record.entity, actor)
                editor.set("status", DEFAULT_STATUS)
                editor.set("close_reason", "")
                editor.save()
                opened.append(record.entity)
    return opened


def _is_to_be_closed(issues: Issues, standing: Standing, record: Record) -> bool:
    """Whether an open issue closes itself and nothing is left to be done for it."""
    if not standing.holds_up or standing.is_pinned or standing.blockers:
        return False
    return _closes_itself(issues, standing, record) and _all_steps_are_closed(issues, standing.eid)


def _closes_itself(issues: Issues, standing: Standing, record: Record) -> bool:
    if standing.issue_class & EPHEMERAL and not any(_linked(issues, EDGE, standing.eid)):
        return True
    shown = facts(live_of(record, issues.entities.author_of))
    return shown.issue_type == _MOLECULE or (shown.issue_type == _EPIC and not _LABELS.isdisjoint(shown.labels))


def _project(issues: Issues, record: Record | None) -> str:
    return "" if record is None else project_of(live_of(record, issues.entities.author_of))


def _all_steps_are_closed(issues: Issues, root: int) -> bool:
    seen, pending = {root}, [root]
    while pending:
        # The newest first: work is mostly done in the order it was planned in, so that what is open is soon found.
        for child in _linked(issues, BACK_EDGE, pending.pop(), newest_first=True):
            if child in seen:
                continue
            seen.add(child)
            if not issues.standing(child).flags & CLOSED:  # a deleted one has no parent
                return False
            pending.append(child)
    return True


def _linked(issues: Issues, prefix: bytes, eid: int, *, newest_first: bool = False) -> Iterator[int]:
    """The numbers of an issue's parents (EDGE) or children (BACK_EDGE)."""
    edges = issues.edges(prefix, eid, newest_first=newest_first)
    return (other for other, edge_type, _ in edges if edge_type == PARENT)
