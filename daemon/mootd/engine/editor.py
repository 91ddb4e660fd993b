"""Collecting a change to one entity of any kind, and writing it as few events as the rules allow.

Rules: a key stands once in an event, and free text stands alone in its own (the event is the unit of erasure). A write
supersedes every sibling its writer saw. A register that already shows the value alone is not written again.
"""

from typing import Any, Final

from moot_protocol import limits
from moot_protocol.log.event import Draft, Event, PlainDraft, Write
from moot_protocol.merge.kinds import Policy, field_of
from moot_protocol.merge.register import MISSING
from mootd.engine.unit import Unit
from mootd.engine.views.entities import Entities
from mootd.engine.views.record import Group, Record, pairs_of

_ABSENT: Final = object()


class Editor:
    """One entity being changed inside a unit.

    Args:
        unit: the unit.
        plane: the plane's number.
        kind: the entity's kind.
        entity: its id.
        actor: who changes it.
    """

    def __init__(self, unit: Unit, plane: int, kind: str, entity: str, actor: str) -> None:
        self._unit = unit
        self._plane = plane
        self._kind = kind
        self._entity = entity
        self._actor = actor
        eid = unit.views.find(plane, kind, entity)
        record = None if eid is None else unit.views.record(eid)
        self.record = record or Record(plane, kind, entity)
        self._entities: Entities | None = None
        self._together: dict[str, Write] = {}
        self._apart: list[Write] = []
        self._named: dict[str, dict[str, list[tuple[Group, Any]]]] = {}
        """By keyed field that was asked for, its live elements by name: an entity may have any number."""

    @property
    def entities(self) -> Entities:
        """Reads entities as the unit had left them when they were first asked for."""
        if self._entities is None:
            self._entities = self._unit.entities()
        return self._entities

    # -- Registers -----------------------------------------------------------------------------------------------
    def set(self, key: str, value: Any, *, anew: bool = False) -> None:
        """Write a register, unless it alone shows this value already (or is empty and would stay so).

        Args:
            key: the register.
            value: its value.
            anew: write it also where it shows this value already.
        """
        if not self.record.groups and value not in (None, ""):  # a new entity: there is nothing to be written over
            self._collect(Write(key, value))
            return
        siblings = self._values(key)
        if (siblings == [value] and not anew) or (not siblings and value in (None, "")):
            return
        self._collect(Write(key, value, self.entities.dots(self.record, key)))

    def _collect(self, write: Write) -> None:
        if field_of(self._kind, write.key).policy is Policy.TEXT:
            self._apart.append(write)
        else:
            self._together[write.key] = write

    def _values(self, key: str) -> list[Any]:
        values = []
        for group, live_key, value in pairs_of(self.record):
            if live_key == key:
                values.append(self.entities.load(group, key)[0] if value is MISSING else value)
        return values

    # -- Sets ----------------------------------------------------------------------------------------------------
    def elements(self, key: str) -> list[tuple[Group, Any]]:
        """The live elements of a set-like key."""
        return self.entities.elements(self.record, key)

    def add(self, key: str, element: Any, *, over: list[Group] | None = None) -> None:
        """Add an element, over writes it takes the place of."""
        self._put(Write(key, element, [self.entities.dot(group) for group in over or ()]))

    def remove(self, key: str, groups: list[Group]) -> None:
        """Remove the elements that these writes added."""
        if groups:
            self._put(Write(key, None, [self.entities.dot(group) for group in groups], removes=True))

    def set_entry(self, key: str, name: str, content: Any) -> None:
        """Write a named entry of a keyed field, over what is live under its name."""
        same = self._entries(key).get(name, [])
        if [value for _, value in same] != [[name, content]]:
            self.add(key, [name, content], over=[group for group, _ in same])

    def remove_entry(self, key: str, name: str) -> None:
        """Remove a named entry of a keyed field."""
        self.remove(key, [group for group, _ in self._entries(key).get(name, [])])

    def _entries(self, key: str) -> dict[str, list[tuple[Group, Any]]]:
        found = self._named.get(key)
        if found is None:
            found = self._named[key] = {}
            for group, value in self.elements(key):
                if isinstance(name := _name(value), str):
                    found.setdefault(name, []).append((group, value))
        return found

    def _put(self, write: Write) -> None:
        if field_of(self._kind, write.key).inline and write.key not in self._together:
            self._together[write.key] = write
        else:
            self._apart.append(write)

    # -- Writing -------------------------------------------------------------------------------------------------
    def save(self) -> list[Event]:
        """Append the events, and return them."""
        afterwards = self._afterwards()
        rest = [part for write in self._together.values() for part in _portions(write)[1:]]
        together = [[_portions(write)[0] for write in self._together.values()]] if self._together else []
        apart = [*rest, *(part for write in self._apart for part in _portions(write))]
        writes = [*together, *([write] for write in apart), *afterwards]
        self._together, self._apart = {}, []
        return [self._append(self._draft(each)) for each in writes]

    def _draft(self, writes: list[Write]) -> Draft | PlainDraft:
        """One event; those of a new entity, and what is only added, supersede and remove nothing."""
        values = {}
        for key, value, over, removes in writes:
            if over or removes:
                return Draft(self._kind, self._entity, self._actor, writes)
            values[key] = value
        return PlainDraft(self._kind, self._entity, self._actor, values)

    def _afterwards(self) -> list[list[Write]]:
        """What stands in events of its own after all else; may take writes out of `_together`."""
        return []

    def _append(self, draft: Draft | PlainDraft) -> Event:
        return self._unit.append(self._plane, draft)


def _portions(write: Write) -> list[Write]:
    """A write as so many that none supersedes more than one may; only the first has the value."""
    most, over = limits.OVER_PER_KEY, write.over
    if len(over) <= most:
        return [write]
    rest = [over[start : start + most] for start in range(most, len(over), most)]
    return [write._replace(over=over[:most]), *(Write(write.key, None, each, removes=True) for each in rest)]


def _name(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else _ABSENT
