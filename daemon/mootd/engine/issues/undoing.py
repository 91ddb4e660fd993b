"""Undoing a write of one's own: another write, which puts back what was there before.

Invariant: only what still stands as it was written is put back. Where somebody has written since, by whatever machine,
nothing is undone and the error says who it was. Where a write settled a conflict, the values that it chose from are
live again side by side, in the order that they had; each now stands as written by who undid. A deletion says again
what its writer had seen, so that an edit made unseen disagrees with it as before, and is then the older of both.

A *write* is what one command did: events of one actor with successive numbers and one time. An erasure is never undone:
what it took is gone, and to undo only what it wrote again would bring nothing back.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple, NoReturn

from moot_protocol.clock import to_ms
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.issues.erasure import author_in, names_in
from moot_protocol.issues.issue import CLOSED, DEFAULT_STATUS, SHAPES, STOOD_FOR, Shape, stand_in
from moot_protocol.limits import UNDO_EVENTS
from moot_protocol.log.event import LEAF_PREFIX_BYTES, Change, Dot, Write
from moot_protocol.merge.deletion import DELETED, TO_BE_SEEN, deletion, is_deletion, read_deletion, with_seen
from moot_protocol.merge.kinds import ERASE, ISSUE, SET_LIKE, Policy, field_of
from moot_protocol.merge.policies import Reading, is_empty, read
from moot_protocol.merge.register import MISSING, Sibling
from moot_protocol.requests.actions import Undo
from moot_protocol.text import json_text
from mootd.engine.issues.conflicts import deletions
from mootd.engine.issues.editor import IssueEditor
from mootd.engine.issues.finishing import unfinish
from mootd.engine.issues.history import past_of
from mootd.engine.issues.holding import follow_claim
from mootd.engine.issues.mutations import UNCHANGED
from mootd.engine.issues.names import Names
from mootd.engine.issues.reading import Issues
from mootd.engine.planes import issue_plane_meant, issue_planes, labels_of
from mootd.engine.stored.erased import was_erased
from mootd.engine.stored.log import PlaneRow, StoredEvent, event_feed
from mootd.engine.unit import Unit
from mootd.engine.views.entities import Entities, value_in
from mootd.engine.views.record import Group, groups_of
from mootd.store.port import Table

LOOKED_BACK: Final = 100_000
"""Events looked through for the last one of an actor: a fraction of a second."""
_HOLDING: Final = frozenset({"assignee", "status"})
"""Fields that say whether somebody holds an issue."""


def undo(unit: Unit, request: Undo) -> dict[str, Any]:
    """Put back what a write of the actor changed.

    Raises:
        RefusedError: `not_found`: no such write; `denied`: somebody else's; `conflict`: somebody has written since;
            `invalid`: it is an erasure, or superseded what was erased or isn't here.
    """
    unit.seal()
    unit.flush()
    entities = unit.entities()
    named = _named(unit, entities, request)
    write = _whole(unit, entities, named, request)
    plane = unit.feed(named.feed).plane
    by_issue: dict[str, list[StoredEvent]] = {}
    for stored in write:
        by_issue.setdefault(stored.event.skeleton.entity, []).append(stored)
    undoings = [_Undoing(unit, plane, issue, events, request.actor) for issue, events in by_issue.items()]
    changes = [change for undoing in undoings for change in undoing.plan()]
    written = [event for undoing in undoings for event in undoing.editor.save()]
    changes += _unfinished(unit, plane, changes, request.actor)
    unit.flush()
    issues = Issues(unit.entities(), plane)
    for issue in sorted({change["id"] for change in changes if change["field"] in _HOLDING}):
        follow_claim(unit, issues.entities, plane, issue, request.actor)
    skeleton = named.event.skeleton
    answer = {
        "undone": {"n": [write[0].event.n, write[-1].event.n], "at": to_ms(skeleton.hlc), "actor": skeleton.actor},
        "changes": changes,
        "issues": [
            issues.document(issues.find(issue)[2])
            for issue in dict.fromkeys([*by_issue, *(change["id"] for change in changes)])
        ],
    }
    return answer if written else answer | UNCHANGED


def _unfinished(unit: Unit, plane: int, changes: Sequence[dict[str, Any]], actor: str) -> list[dict[str, Any]]:
    """Open again the molecules that had closed themselves above what isn't closed any more, and tell these changes."""
    steps = [each["id"] for each in changes if each["field"] == "status" and each["from"] == CLOSED != each["to"]]
    unit.flush()
    found = Issues(unit.entities(), plane)
    opened = [name for step in steps for name in unfinish(unit, plane, found.find(step)[1], actor)]
    return [{"id": name, "field": "status", "from": CLOSED, "to": DEFAULT_STATUS} for name in opened]


# -- Which write -------------------------------------------------------------------------------------------------
def _named(unit: Unit, entities: Entities, request: Undo) -> StoredEvent:
    """The event that is named, else the last one of the write that is meant."""
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
        if _is_mine(unit, stored, request.actor) and (_is_of_issue(stored) or _erases_issue(unit, entities, stored)):
            return stored
        if count == LOOKED_BACK:
            break
    raise RefusedError(f"{request.actor} has written nothing lately on this machine", code=Code.NOT_FOUND)


def _numbered(unit: Unit, entities: Entities, request: Undo) -> StoredEvent:
    """The event of this number: every plane counts its own, so that one number can name several."""
    if not key_text(unit.replica.id).startswith(request.author):
        raise RefusedError(
            f"event {request.n}@{request.author} is another machine's",
            code=Code.DENIED,
            hint="only the machine that wrote it can undo it",
        )
    every = issue_planes(unit.replica.planes)
    planes = [issue_plane_meant(unit.replica.planes, request.plane)] if request.plane else every
    found = [(row, stored) for row in planes if (stored := _own_event(unit, entities, row, request.n or 0))]
    if not found:
        where = f" on plane {labels_of(every)[planes[0].number]}" if request.plane and len(every) > 1 else ""
        what = f"this machine has written no event {request.n} about an issue"
        hint = "`moot history ID` shows the number of each event as n=N; arrival numbers are others"
        raise RefusedError(what + where, code=Code.NOT_FOUND, hint=hint, discreet=what)
    if len(found) > 1:
        labels = labels_of(every)
        what = f"this machine has written an event {request.n} on several planes"
        several = ", ".join(labels[row.number] for row, _ in found)
        hint = "go to the folder of its project, or name the plane with --plane"
        raise RefusedError(f"{what}: {several}", code=Code.AMBIGUOUS, hint=hint, discreet=what)
    stored = found[0][1]
    actor = stored.event.skeleton.actor
    if actor != request.actor:
        raise RefusedError(f"event {request.n} is {actor}'s, not {request.actor}'s", code=Code.DENIED)
    return stored


def _own_event(unit: Unit, entities: Entities, row: PlaneRow, n: int) -> StoredEvent | None:
    """The event of this number that this machine has written about an issue of a plane, or to erase something."""
    stored = entities.stored(row.number, (unit.replica.id, n))
    return stored if stored is not None and (_is_of_issue(stored) or _is_erasure(stored)) else None


def _is_of_issue(stored: StoredEvent) -> bool:
    return stored.event.skeleton.kind == ISSUE


def _is_erasure(stored: StoredEvent | None) -> bool:
    return stored is not None and stored.event.skeleton.kind == ERASE


def _erases_issue(unit: Unit, entities: Entities, stored: StoredEvent) -> bool:
    """Whether an event erases something of an issue; what was said of a memory is no write that is meant here."""
    author = author_in(stored.event.skeleton.entity) if _is_erasure(stored) else None
    if author is None:
        return False
    plane = unit.feed(stored.feed).plane
    erased = (entities.stored(plane, (author, name.n)) for name in names_in(stored.event.skeleton))
    return any(each is not None and _is_of_issue(each) for each in erased)


def _is_mine(unit: Unit, stored: StoredEvent, actor: str) -> bool:
    return stored.event.skeleton.actor == actor and unit.author_of(stored.feed) == unit.replica.id


def _whole(unit: Unit, entities: Entities, named: StoredEvent, request: Undo) -> list[StoredEvent]:
    """All events of the write that an event is of, in order; of one issue only, where an issue was named.

    Raises:
        RefusedError: `invalid`: it is an erasure; `limit`: it has too many events.
    """
    before = list(_neighbours(unit, entities, named, -1))[::-1]
    after = list(_neighbours(unit, entities, named, 1)) if request.n is not None else []
    write = [*before, named, *after]
    if _is_erasure(named) or _is_erasure(_neighbour(unit, entities, write[-1], 1)):
        hint = "other writes can, as far as it hasn't written them again: `moot history ID` shows the n= of each"
        raise RefusedError("an erasure can't be undone: what it took is gone for good", hint=hint)
    if len(write) > UNDO_EVENTS:
        raise RefusedError(f"a write of more than {UNDO_EVENTS} events", code=Code.LIMIT, hint="undo issue by issue")
    entity = named.event.skeleton.entity
    return [each for each in write if not request.id or each.event.skeleton.entity == entity]


def _neighbours(unit: Unit, entities: Entities, named: StoredEvent, step: int) -> Iterator[StoredEvent]:
    """The events about issues before or after an event in its write."""
    current = _neighbour(unit, entities, named, step)
    while current is not None and _is_of_issue(current):
        yield current
        current = _neighbour(unit, entities, current, step)


def _neighbour(unit: Unit, entities: Entities, event: StoredEvent, step: int) -> StoredEvent | None:
    """The event right before or after another in its write, whatever it is about; None where it is the last."""
    arrival = event.arrival + step
    data = unit.transaction.get(Table.EVENTS, arrival.to_bytes(8, "big")) if arrival > 0 else None
    if data is None or event_feed(data) != (event.feed, event.event.n + step):
        return None
    found = entities.event(arrival)
    one, other = found.event.skeleton, event.event.skeleton
    return found if (one.actor, to_ms(one.hlc)) == (other.actor, to_ms(other.hlc)) else None


# -- Putting back ------------------------------------------------------------------------------------------------
class _Written(NamedTuple):
    """A change of the write that is undone."""

    stored: StoredEvent
    change: Change


class _Back(NamedTuple):
    """What putting back does to a field or an element of one."""

    now: Any
    then: Any
    """What is shown again; None for nothing."""
    conflict: list[Any] | None = None
    """The values that disagree again, none where they no longer do; None where neither begins nor ends a conflict."""


class _Editor(IssueEditor):
    """One issue in which an undo changes something: a register can also be given values side by side."""

    def _afterwards(self) -> list[list[Write]]:
        if any(write.key == DELETED for write in self._apart):
            return []  # what was said of the deletion is there again as it was
        return super()._afterwards()

    def part(self, key: str, settled: Sequence[Dot], values: Iterable[tuple[Any, Dot]]) -> None:
        """Give a register several values: each over a write of its own, so that none of them has seen another.

        What settled them is removed by itself. A value over it would have seen all of them, and a text would be merged
        as if it had been written after the others.
        """
        self._apart.append(Write(key, None, settled, removes=True))
        self._apart += [Write(key, value, [dot]) for value, dot in values]


class _Undoing:
    """What a write did to one issue, and what puts it back. All checks come before anything is written."""

    def __init__(self, unit: Unit, plane: int, issue: str, events: Sequence[StoredEvent], actor: str) -> None:
        self._unit = unit
        self._plane = plane
        self._issue = issue
        self._events = events
        self._actor = actor
        self._names = {(stored.feed, stored.event.n) for stored in events}
        self.editor = _Editor(unit, plane, issue, actor)

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
                | ({} if conflict is None else {"conflict": conflict})
                for now, then, conflict in put_back(key, each)
                if now != then or conflict is not None
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

    def _before(self, *written: _Written) -> list[tuple[Any, StoredEvent]]:
        """The values that changes of a key superseded, the one written last at the end."""
        found = self._superseded(written)
        # What is over another is what stood before; a conflict that came back names what it had settled, too.
        older = self._superseded(_Written(stored, change) for stored, change in found.values())
        values = []
        for name, (stored, change) in found.items():
            if name in older or name in self._names:
                continue
            value = value_in(stored, change.key)
            if value is MISSING:
                why = "was erased" if was_erased(self._unit.transaction, stored) else "isn't here any more"
                raise RefusedError(f"{change.key} of {self._issue} can't be put back: what it said {why}")
            values.append((value, stored))
        return sorted(values, key=lambda each: self._rank(each[1]))

    def _superseded(self, written: Iterable[_Written]) -> dict[tuple[int, int], _Written]:
        """The changes that others name as superseded, by feed and number."""
        entities = self.editor.entities
        found: dict[tuple[int, int], _Written] = {}
        for stored, change in written:
            authors = entities.authors_of(stored) if change.over else ()
            for index, n, leaf8 in change.over:
                earlier = entities.stored(self._plane, (authors[index], n))
                if earlier is not None and earlier.event.leaf.startswith(leaf8):
                    made = (each for each in earlier.event.skeleton.changes if each.key == change.key)
                    found.update(((earlier.feed, n), _Written(earlier, each)) for each in made)
        return found

    def _register(self, key: str, written: Sequence[_Written]) -> Iterator[_Back]:
        """Put back what a register had before the changes: one value, or those that disagreed."""
        live = list(groups_of(self.editor.record, key))
        others = [group for group in live if (group.feed, group.n) not in self._names]
        if others or not live:
            self._refuse(key, self._stored(others[-1]) if others else None)
        before = self._before(*written)
        if key == DELETED:
            yield from self._deletion(live, before)
            return
        now = self._read(key, [(self.editor.entities.load(group, key)[0], self._stored(group)) for group in live])
        then = self._read(key, before)
        if _disagree([value for value, _ in before]) and field_of(ISSUE, key).policy is not Policy.MAXIMUM:
            self._part(key, live, before)
            values = [value for value, _ in before]
            yield _Back(now.value, then.value, values if then.conflict else None)
            return
        shown = self._settle(key, before)
        yield _Back(now.value, None if is_empty(shown) else shown, [] if now.conflict else None)

    def _read(self, key: str, values: Sequence[tuple[Any, StoredEvent]]) -> Reading:
        """What is shown of a register of these values."""
        siblings = []
        for value, stored in values:
            skeleton, author = stored.event.skeleton, self._unit.author_of(stored.feed)
            leaf8 = stored.event.leaf[:LEAF_PREFIX_BYTES]
            siblings.append(Sibling(value, skeleton.hlc, author, stored.event.n, skeleton.actor, leaf8))
        return read(field_of(ISSUE, key).policy, siblings, self.editor.entities.lineage(self.editor.record, key))

    def _part(self, key: str, live: Sequence[Group], before: Sequence[tuple[Any, StoredEvent]]) -> None:
        """Write again the values that a register had side by side: each over its own write only, as it was.

        They are written in the order of the first writes, by which it is told what is shown of them.
        """
        over = [self.editor.entities.dot(group) for group in live]
        self.editor.part(key, over, [(value, self._dot(stored)) for value, stored in before])

    def _dot(self, stored: StoredEvent) -> Dot:
        return Dot(self._unit.author_of(stored.feed), stored.event.n, stored.event.leaf[:LEAF_PREFIX_BYTES])

    def _settle(self, key: str, before: Sequence[tuple[Any, StoredEvent]]) -> Any:
        """Write the one value that a register had; returns what is shown of it."""
        then = before[-1][0] if before else _absent(key)
        entries = self._extra(key) if key in STOOD_FOR else []
        odd = before and self._is_stood_for(key, *before[-1], entries)
        self.editor.set(key, then, anew=bool(entries))  # also what is shown: it may be meant, or stand for what is odd
        if odd:
            for group, entry in entries:
                self.editor.add("extra", entry, over=[group])  # by itself it would be older than what stands for it
            then = json_text.from_text(entries[-1][1][1])
        return then

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

    def _rank(self, stored: StoredEvent) -> tuple[int, bytes, int]:
        return stored.event.skeleton.hlc, self._unit.author_of(stored.feed), stored.event.n

    def _deletion(self, live: Sequence[Group], before: Sequence[tuple[Any, StoredEvent]]) -> Iterator[_Back]:
        """Delete again, take a deletion back, or let it be in conflict again; one that was only written anew stays."""
        entities, first = self.editor.entities, self._events[0].arrival
        past = entities.live(past_of(entities, self.editor.record, lambda stored: stored.arrival < first), texts=False)
        now, then = read_deletion(entities.live(self.editor.record, texts=False)), read_deletion(past)
        was, is_again = is_deletion(now.value), is_deletion(then.value)
        if then.conflict:
            # Each says what its writer had seen, as it did: from that follows whether an edit was made unseen.
            if len(before) > 1:
                self._part(DELETED, live, before)
            else:
                self.editor.set(DELETED, before[-1][0], anew=True)
            yield _Back(was, is_again, [sibling.value for sibling in deletions(past)])
        elif now.conflict or was != is_again:
            self.editor.set(DELETED, with_seen(before[-1][0], TO_BE_SEEN) if is_again else "", anew=True)
            yield _Back(was, is_again, [] if now.conflict else None)

    def _elements(self, key: str, written: Iterable[_Written]) -> Iterator[_Back]:
        """Take out the elements that changes added, and bring back those that they removed."""
        live = {(group.feed, group.n): (group, value) for group, value in self.editor.elements(key)}
        entries: dict[str, list[_Written]] = {}
        for each in written:
            if each.change.removes:
                yield from self._bring_back(key, each, [value for _, value in live.values()])
                continue
            name = (each.stored.feed, each.stored.event.n)
            if name not in live:
                self._refuse(key, None)
            group, value = live[name]
            if field_of(ISSUE, key).policy is Policy.KEYED:
                entries.setdefault(repr(_entry_name(value)), []).append(each)
            else:
                self.editor.remove(key, [group])
                yield _Back(value, None)
        for same in entries.values():
            yield from self._entry(key, same, [live[each.stored.feed, each.stored.event.n] for each in same])

    def _entry(self, key: str, written: Sequence[_Written], live: Sequence[tuple[Group, Any]]) -> Iterator[_Back]:
        """Put back what an entry was before the changes: nothing, one content, or several that disagreed."""
        before = [value for value, _ in self._before(*written)]
        groups, now = [group for group, _ in live], [value for _, value in live]
        if not before:
            self.editor.remove(key, groups)
            yield _Back(now[-1], None)
            return
        if len(now) == 1 and all(value == now[0] for value in before):
            return  # written anew by an undo, for the register that stands for it: it has another now
        parts = _disagree(before)
        for place, value in enumerate(before if parts else before[-1:]):
            self.editor.add(key, value, over=[] if place else groups)
        conflict = before if parts else [] if _disagree(now) else None
        yield _Back(now[-1], before[-1], conflict)

    def _bring_back(self, key: str, written: _Written, live: Sequence[Any]) -> Iterator[_Back]:
        for value, earlier in self._before(written):
            if value not in live:
                self.editor.add(key, as_first_written(key, value, earlier))
                yield _Back(None, value)


def _disagree(values: Sequence[Any]) -> bool:
    """Whether values are not all equal; cleared ones are."""
    return any(value != values[0] and not (is_empty(value) and is_empty(values[0])) for value in values)


def _entry_name(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def as_first_written(key: str, value: Any, earlier: StoredEvent) -> Any:
    """An edge that comes back keeps the time and the author that its first write told by itself."""
    if key != "edges" or not isinstance(value, list) or len(value) < 4:
        return value
    to, kind, at, by, *rest = value
    skeleton = earlier.event.skeleton
    return [to, kind, to_ms(skeleton.hlc) if at is None else at, skeleton.actor if by is None else by, *rest]


def _absent(key: str) -> Any:
    """What a register is given that had none: a priority that is empty text would be shown as one, nothing isn't."""
    return None if SHAPES.get(key) is Shape.PRIORITY else ""
