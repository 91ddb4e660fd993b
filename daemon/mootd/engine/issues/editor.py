"""Changing one issue: as any entity, and a deletion comes last and tells what its writer saw.

Who changes a deleted issue writes its deletion anew.
"""

from moot_protocol.log.event import Draft, Event, PlainDraft, Write
from moot_protocol.merge.deletion import DELETED, is_planned, renewed, sighted
from moot_protocol.merge.kinds import ISSUE
from mootd.engine.editor import Editor
from mootd.engine.unit import Unit
from mootd.engine.views.record import live_of


def append(unit: Unit, plane: int, draft: Draft) -> Event:
    """Append an event of an issue; a deletion tells what is live now."""
    eid = unit.views.find(plane, ISSUE, draft.entity) if is_planned(draft.writes) else None
    record = None if eid is None else unit.views.record(eid)
    if record is not None:
        draft = draft._replace(writes=sighted(draft.writes, live_of(record, unit.author_of)))
    return unit.append(plane, draft)


class IssueEditor(Editor):
    """One issue being changed inside a unit.

    Args:
        unit: the unit.
        plane: the plane's number.
        issue: the issue's id.
        actor: who changes it.
    """

    def __init__(self, unit: Unit, plane: int, issue: str, actor: str) -> None:
        super().__init__(unit, plane, ISSUE, issue, actor)

    def _afterwards(self) -> list[list[Write]]:
        """The event that deletes the issue, made now or before."""
        if DELETED in self._together:
            return [[self._together.pop(DELETED)]] if is_planned([self._together[DELETED]]) else []
        dots = self.entities.dots(self.record, DELETED)
        if not dots or not (self._together or self._apart):
            return []
        value = renewed(self.entities.live(self.record, texts=False))
        return [] if value is None else [[Write(DELETED, value, dots)]]

    def _append(self, draft: Draft | PlainDraft) -> Event:
        if isinstance(draft, Draft):
            return append(self._unit, self._plane, draft)
        if DELETED in draft.values:
            writes = [Write(key, value) for key, value in draft.values.items()]
            return append(self._unit, self._plane, Draft(ISSUE, draft.entity, draft.actor, writes))
        return self._unit.append(self._plane, draft)
