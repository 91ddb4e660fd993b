"""Undoing a write of one's own: another write, which puts back what was there before.

Invariant: only what still stands as it was written is put back. Where somebody has written since, by whatever machine,
nothing is undone and the error says who it was.

A *write* is what one command did: events of one actor with successive numbers and one time.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, NoReturn

from moot_protocol import json_text
from moot_protocol.action_requests import Undo
from moot_protocol.clock import to_ms
from moot_protocol.deletion import DELETED, deletion, is_deletion
from moot_protocol.errors import Code, RefusedError
from moot_protocol.event import Change
from moot_protocol.issue import SHAPES, STOOD_FOR, Shape, stand_in
from moot_protocol.kinds import ISSUE, SET_LIKE, Policy, field_of
from moot_protocol.policies import is_empty
from moot_protocol.register import MISSING
from mootd.engine.entities import Entities, value_in
from mootd.engine.issues.editor import IssueEditor
from mootd.engine.issues.reading import Issues
from mootd.engine.log import StoredEvent, event_feed
from mootd.engine.names import Names
from mootd.engine.planes import issue_plane_meant, issue_planes
from mootd.engine.record import Group, groups_of
from mootd.engine.unit import Unit
from mootd.store.port import Table

LOOKED_BACK: Final = 100_000
"""Events looked through for the last one of an actor: a fraction of a second."""
MOST_EVENTS: Final = 1_000
"""Events of one write that can be undone."""


def undo(unit: Unit, request: Undo) -> dict[str, Any]:
    """Put back what a write of the actor changed.

    Raises:
        RefusedError: `not_found`: no such write; `denied`: somebody else's; `conflict`: somebody has written since.
    """
    unit.seal()
    unit.flush()
    entities = unit.entities()
    last = _last(unit, entities, request)
    write = _whole(unit, entities, last, request)
    plane = unit.feed(last.feed).plane
    by_issue: dict[str, list[StoredEvent]] = {}
    for stored in write:
        by_issue.setdefault(stored.event.skeleton.entity, []).append(stored)
    undoings = [_Undoing(unit, plane, issue, events, request.actor) for issue, events in by_issue.items()]
    changes = [change for undoing in undoings for change in undoing.plan()]
    for undoing in undoings:
        undoing.editor.save()
    unit.flush()
    issues = Issues(unit.entities(), plane)
    skeleton = last.event.skeleton
    return {
        "undone": {"n": [write[0].event.n, last.event.n], "at": to_ms(skeleton.hlc), "actor": skeleton.actor},
        "changes": changes,
        "issues": [issues.document(issues.find(issue)[2]) for issue in by_issue],
    }


# -- Which write -------------------------------------------------------------------------------------------------
def _last(unit: Unit, entities: Entities, request: Undo) -> StoredEvent:
    """The last event of the write that is meant."""
    if request.n is not None:
        return _numbered(unit, entities, request)
    if request.id:
        planes = [row.number for row in issue_planes(unit.replica.planes)]
        _, eid, _ = Names(unit.transaction, unit.views.views, *planes).locate(request.id)
        record = entities.record(eid)
        found = entities.log.history(record.head) if record else []
        mine = [stored for stored in found if _is_mine(unit, stored, request.actor)]
        if not mine:
            raise RefusedError(f"{request.actor} has written nothing to {request.id} here", code=Code.NOT_FOUND)
        return mine[0]
    for count, (key, _) in enumerate(unit.transaction.scan(Table.EVENTS, b"\0", reverse=True)):
        stored = entities.event(int.from_bytes(key, "big"))
        if stored.event.skeleton.kind == ISSUE and _is_mine(unit, stored, request.actor):
            return stored
        if count == LOOKED_BACK:
            break
    raise RefusedError(f"{request.actor} has written nothing lately on this machine", code=Code.NOT_FOUND)


def _numbered(unit: Unit, entities: Entities, request: Undo) -> StoredEvent:
    planes = unit.replica.planes
    plane = issue_plane_meant(planes, request.plane) if request.plane else issue_planes(planes)[0]
    found = entities.stored(plane.number, (unit.replica.id, request.n or 0))
    if found is None or found.event.skeleton.kind != ISSUE:
        what = f"this machine has written no event {request.n} about an issue"
        hint = "`moot history ID` shows the number of each event as n=N; arrival numbers are others"
        raise RefusedError(what, code=Code.NOT_FOUND, hint=hint)
    if found.event.skeleton.actor != request.actor:
        raise RefusedError(
            f"event {request.n} is {found.event.skeleton.actor}'s, not {request.actor}'s", code=Code.DENIED
        )
    return found


def _is_mine(unit: Unit, stored: StoredEvent, actor: str) -> bool:
    return stored.event.skeleton.actor == actor and unit.author_of(stored.feed) == unit.replica.id


def _whole(unit: Unit, entities: Entities, named: StoredEvent, request: Undo) -> list[StoredEvent]:
    """All events of the write that an event is of, in order; of one issue only, where an issue was named."""
    before = list(_neighbours(unit, entities, named, -1))[::-1]
    after = list(_neighbours(unit, entities, named, 1)) if request.n is not None else []
    write = [*before, named, *after]
    if len(write) > MOST_EVENTS:
        raise RefusedError(f"a write of more than {MOST_EVENTS} events", code=Code.LIMIT, hint="undo issue by issue")
    entity = named.event.skeleton.entity
    return [each for each in write if not request.id or each.event.skeleton.entity == entity]


def _neighbours(unit: Unit, entities: Entities, named: StoredEvent, step: int) -> Iterator[StoredEvent]:
    current = named
    while True:
        arrival = current.arrival + step
        data = unit.transaction.get(Table.EVENTS, arrival.to_bytes(8, "big")) if arrival > 0 else None
        if data is None or event_feed(data) != (named.feed, current.event.n + step):
            return
        current = entities.event(arrival)
        one, other = current.event.skeleton, named.event.skeleton
        if (one.kind, one.actor, to_ms(one.hlc)) != (ISSUE, other.actor, to_ms(other.hlc)):
            return
        yield current


# -- Putting back ------------------------------------------------------------------------------------------------
class _Written(NamedTuple):
    """A change of the write that is undone."""

    stored: StoredEvent
    change: Change


class _Undoing:
    """What a write did to one issue, and what puts it back. All checks come before anything is written."""

    def __init__(self, unit: Unit, plane: int, issue: str, events: Sequence[StoredEvent], actor: str) -> None:
        self._unit = unit
        self._plane = plane
        self._issue = issue
        self._events = events
        self._actor = actor
        self._names = {(stored.feed, stored.event.n) for stored in events}
        self.editor = IssueEditor(unit, plane, issue, actor)

    def plan(self) -> list[dict[str, Any]]:
        """Put into the editor what puts everything back, and tell each change as `{"id", "field", "from", "to"}`.

        Raises:
            RefusedError: `conflict`: somebody has written since.
        """
        if any(not stored.previous for stored in self._events):
            return self._uncreate()
        written: dict[str, list[_Written]] = {}
        for stored in self._events:
            for change in stored.event.skeleton.changes:
                written.setdefault(change.key, []).append(_Written(stored, change))
        changes = []
        for key, each in written.items():
            put_back = self._elements if field_of(ISSUE, key).policy in SET_LIKE else self._register
            changes += [
                {"id": self._issue, "field": key, "from": now, "to": then}
                for now, then in put_back(key, each)
                if now != then
            ]
        return changes

    def _uncreate(self) -> list[dict[str, Any]]:
        history = self.editor.entities.log.history(self.editor.record.head)
        later = [stored for stored in history if (stored.feed, stored.event.n) not in self._names]
        if later:
            self._refuse("", later[0])
        self.editor.set(DELETED, deletion(self._actor, "undone", self._unit.now_ms))
        return [{"id": self._issue, "field": DELETED, "from": None, "to": True}]

    def _refuse(self, field: str, later: StoredEvent | None) -> NoReturn:
        what = f"{field} of {self._issue}" if field else self._issue
        by = f" by {later.event.skeleton.actor}" if later else ""
        raise RefusedError(
            f"{what} was changed since{by}",
            code=Code.CONFLICT,
            hint=f"`moot history {self._issue}` shows what was written",
        )

    def _stored(self, group: Group) -> StoredEvent:
        return self.editor.entities.event(group.arrival)

    def _before(self, written: _Written) -> list[tuple[Any, StoredEvent]]:
        """The values that a change superseded, the one written last at the end."""
        entities = self.editor.entities
        authors = entities.authors_of(written.stored)
        found = []
        for index, n, leaf8 in written.change.over:
            earlier = entities.stored(self._plane, (authors[index], n))
            if earlier is not None and earlier.event.leaf.startswith(leaf8):
                value = value_in(earlier, written.change.key)
                if value is MISSING:
                    raise RefusedError(f"what {written.change.key} of {self._issue} was isn't here any more")
                found.append((value, earlier))
        return sorted(found, key=lambda each: each[1].event.skeleton.hlc)

    def _register(self, key: str, written: Sequence[_Written]) -> Iterator[tuple[Any, Any]]:
        """Put the value back that a register had before the first of the changes."""
        live = list(groups_of(self.editor.record, key))
        last = written[-1].stored
        others = [group for group in live if (group.feed, group.n) != (last.feed, last.event.n)]
        if others or not live:
            self._refuse(key, self._stored(others[-1]) if others else None)
        now = self.editor.entities.load(live[0], key)[0]
        before = self._before(written[0])
        then = before[-1][0] if before else _absent(key)
        if key == DELETED:
            yield from self._deletion(now, then)
            return
        entries = self._extra(key) if key in STOOD_FOR else []
        odd = before and self._is_stood_for(key, *before[-1], entries)
        self.editor.set(key, then, anew=bool(entries))  # also what is shown: it may be meant, or stand for what is odd
        if odd:
            for group, entry in entries:
                self.editor.add("extra", entry, over=[group])  # by itself it would be older than what stands for it
            then = json_text.from_text(entries[-1][1][1])
        yield now, None if is_empty(then) else then

    def _extra(self, name: str) -> list[tuple[Group, Any]]:
        """The live entries of `extra` under a name, the one written last at the end."""
        found = [
            (group, value)
            for group, value in self.editor.elements("extra")
            if isinstance(value, list) and len(value) == 2 and value[0] == name and isinstance(value[1], str)
        ]
        return sorted(found, key=lambda each: self._hlc(each[0]))

    def _is_stood_for(self, key: str, then: Any, write: StoredEvent, entries: Sequence[tuple[Group, Any]]) -> bool:
        """Whether what a register had stood for an odd value of a file (`issue.py`), that the undone write left."""
        if not entries or any((group.feed, group.n) in self._names for group, _ in entries):
            return False
        group, (_, text) = entries[-1]
        try:
            is_meant = stand_in(key, json_text.from_text(text)) == then
        except ValueError:
            return False
        return is_meant and self._hlc(group) >= write.event.skeleton.hlc

    def _hlc(self, group: Group) -> int:
        return self._stored(group).event.skeleton.hlc

    def _deletion(self, now: Any, then: Any) -> Iterator[tuple[Any, Any]]:
        """Delete again, or take a deletion back; one that was only written anew stays."""
        if is_deletion(now) != is_deletion(then):
            value = deletion(self._actor, "", self._unit.now_ms) if is_deletion(then) else ""
            self.editor.set(DELETED, value)
            yield is_deletion(now), is_deletion(then)

    def _elements(self, key: str, written: Iterable[_Written]) -> Iterator[tuple[Any, Any]]:
        """Take out the elements that changes added, and bring back those that they removed."""
        live = {(group.feed, group.n): (group, value) for group, value in self.editor.elements(key)}
        for each in written:
            if each.change.removes:
                yield from self._bring_back(key, each, [value for _, value in live.values()])
                continue
            name = (each.stored.feed, each.stored.event.n)
            if name not in live:
                self._refuse(key, None)
            group, value = live[name]
            before = self._before(each)
            if before and field_of(ISSUE, key).policy is Policy.KEYED:
                if before[-1][0] == value:
                    continue  # written anew by an undo, for the register that stands for it: it has another now
                self.editor.add(key, before[-1][0], over=[group])
                yield value, before[-1][0]
            else:
                self.editor.remove(key, [group])
                yield value, None

    def _bring_back(self, key: str, written: _Written, live: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        for value, earlier in self._before(written):
            if value not in live:
                self.editor.add(key, _as_first_written(key, value, earlier))
                yield None, value


def _as_first_written(key: str, value: Any, earlier: StoredEvent) -> Any:
    """An edge that comes back keeps the time and the author that its first write told by itself."""
    if key != "edges" or not isinstance(value, list) or len(value) < 4:
        return value
    to, kind, at, by, *rest = value
    skeleton = earlier.event.skeleton
    return [to, kind, to_ms(skeleton.hlc) if at is None else at, skeleton.actor if by is None else by, *rest]


def _absent(key: str) -> Any:
    """What a register is given that had none: a priority that is empty text would be shown as one, nothing isn't."""
    return None if SHAPES.get(key) is Shape.PRIORITY else ""
