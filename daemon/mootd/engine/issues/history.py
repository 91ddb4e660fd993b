"""An issue through time: its events, and how it was."""

from collections.abc import Callable
from typing import Any

from moot_protocol.clock import to_ms
from moot_protocol.ids import key_text
from moot_protocol.log.event import Change
from moot_protocol.merge.kinds import Role
from moot_protocol.merge.register import MISSING
from moot_protocol.requests.listing import IssueDoc
from mootd.engine.issues.reading import Issues
from mootd.engine.stored.erased import was_erased
from mootd.engine.stored.log import StoredEvent
from mootd.engine.views.entities import Entities, value_in
from mootd.engine.views.erasers import Erasers
from mootd.engine.views.record import Merge, Record


def describe(entities: Entities, plane: int, stored: StoredEvent, erasers: Erasers) -> dict[str, Any]:
    """An event of a plane as people and programs read it.

    Args:
        entities: a transaction.
        plane: the plane's number.
        stored: the event.
        erasers: who erased what, of the same transaction.
    """
    skeleton = stored.event.skeleton
    return {
        "author": key_text(entities.author_of(stored.feed)),
        "n": stored.event.n,
        "at": to_ms(skeleton.hlc),
        "actor": skeleton.actor,
        "kind": skeleton.kind,
        "entity": skeleton.entity,
        "changes": _changes(entities, plane, stored, erasers),
    }


def _changes(entities: Entities, plane: int, stored: StoredEvent, erasers: Erasers) -> list[dict[str, Any]]:
    values = stored.event.values()
    absent: dict[str, Any] = {"missing": True}
    if values is None and was_erased(entities.reader, stored):
        absent |= {"erased": True, **erasers.told(stored)}
    remaining = iter(values or ())
    shown: list[dict[str, Any]] = []
    for change in stored.event.skeleton.changes:
        if change.removes:
            shown.append({"field": change.key, "removed": _removed(entities, plane, stored, change)})
        elif values is None:
            shown.append({"field": change.key, **absent})
        else:
            shown.append({"field": change.key, "value": _plain(next(remaining))})
    return shown


def _removed(entities: Entities, plane: int, stored: StoredEvent, change: Change) -> Any:
    """The value that a change took out, as its first write made it; True where that isn't known."""
    for index, n, leaf8 in change.over:
        taken = entities.stored(plane, (entities.authors_of(stored)[index], n))
        if taken is not None and taken.event.leaf.startswith(leaf8):
            value = value_in(taken, change.key)
            if value is not MISSING:
                return _plain(value)
    return True


def _plain(value: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return {key: _plain(each) for key, each in value.items()} if isinstance(value, dict) else value


def history(issues: Issues, typed: str, limit: int) -> list[dict[str, Any]]:
    """An issue's events, newest first."""
    _, _, record = issues.find(typed)
    found: list[dict[str, Any]] = []
    erasers = Erasers(issues.entities)
    head = record.head
    while head and (not limit or len(found) < limit):
        stored = issues.entities.event(head)
        author = issues.entities.author_of(stored.feed)
        found.append(describe(issues.entities, record.plane, stored, erasers) | issues.origin_of(record.plane, author))
        head = stored.previous
    found.sort(key=lambda event: event["at"], reverse=True)
    return found


def as_of(issues: Issues, record: Record, until_ms: int) -> IssueDoc | None:
    """An issue as its events up to a time leave it, with what of that isn't here any more; None where it had none."""
    past = past_of(issues.entities, record, lambda stored: to_ms(stored.event.skeleton.hlc) <= until_ms)
    if not past.groups:
        return None
    live = issues.live(past, texts=True)
    return issues.document(past) | issues.absent(past, issues.read(past, live=live), live)


def past_of(entities: Entities, record: Record, counts: Callable[[StoredEvent], bool]) -> Record:
    """An entity's record as those of its events that count leave it."""
    past = Record(record.plane, record.kind, record.entity)
    merge = Merge(lambda *_: False, lambda *_: None, lambda *_: None)
    for stored in reversed(entities.log.history(record.head)):
        if counts(stored):
            feeds = entities.feeds_of(record.plane, stored)
            merge.apply(past, stored.event, stored.event.values(), feeds, stored.arrival, Role.ADMIN)
    return past
