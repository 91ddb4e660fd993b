"""Conflicts: fields on which live values disagree, and settling them."""

from collections.abc import Iterator
from typing import Any

import msgspec

from moot_protocol.clock import to_ms
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.issues.issue import IssueReading
from moot_protocol.issues.picks import picked, value_name
from moot_protocol.merge.deletion import (
    DELETED,
    TO_BE_SEEN,
    beside_deletions,
    is_blind,
    is_deletion,
    read_deletion,
    said,
    with_seen,
)
from moot_protocol.merge.kinds import ISSUE, Policy, field_of
from moot_protocol.merge.policies import is_empty, rank
from moot_protocol.merge.register import MISSING, Live, Sibling
from moot_protocol.requests.issues import IssueFields, Resolve
from moot_protocol.requests.listing import IssueDoc
from mootd.engine.issues import checks
from mootd.engine.issues.mutations import IssueWriter
from mootd.engine.issues.reading import Issues
from mootd.engine.stored import layout
from mootd.engine.views.record import Record


def conflicting_issues(issues: Issues) -> Iterator[Record]:
    """The records that some field may be in conflict in, deleted issues too, in order of id."""
    return iter(sorted(_candidates(issues), key=lambda record: record.entity))


def _candidates(issues: Issues) -> Iterator[Record]:
    views = issues.entities.views
    for key, _ in issues.entities.reader.scan(views.index, layout.CONFLICT, layout.after(layout.CONFLICT)):
        record = issues.entities.record(layout.eid_of(key))
        if record is not None and record.plane in issues.planes:
            yield record


def conflicts_of(issues: Issues, record: Record) -> list[dict[str, Any]]:
    """An issue's conflicts, each with its values as `_siblings` orders them."""
    reading = issues.read(record)
    live = issues.live(record, texts=True)
    found = []
    for field in reading.conflicts:
        siblings = _siblings(live, field)
        found.append(
            {
                "id": record.entity,
                "field": field,
                "shown": _shown(reading, live, field),
                "values": [_attributed(issues, record, field, each) for each in siblings],
            }
            | ({"deleted": True} if reading.deleted is not None else {})
        )
    return found


def _shown(reading: IssueReading, live: Live, field: str) -> Any:
    if field == DELETED:
        return read_deletion(live).value
    name = field.removeprefix("metadata.")
    return reading.values.get(field) if name == field else reading.metadata.get(name)


def _siblings(live: Live, field: str) -> list[Sibling]:
    """The values that a field is in conflict over, in the order of their writes; of deletions see `deletions`."""
    if field == DELETED:
        return deletions(live)
    key, _, name = field.partition(".")
    siblings = sorted(live.get(key, ()), key=rank)
    if name:
        siblings = [sibling for sibling in siblings if _is_entry(sibling.value, name)]
    return siblings


def deletions(live: Live) -> list[Sibling]:
    """What was said of an issue's being deleted: an edit that no deletion saw says that it is not.

    Which edits were not seen can't be told: the latest stands for them. That it is not deleted comes first, since any
    later edit, the settlement of another field too, would change its place among the deletions.
    """
    siblings = [sibling._replace(value=said(sibling.value)) for sibling in live.get(DELETED, ())]
    if is_blind(live) and not any(is_empty(sibling.value) for sibling in siblings):
        latest = max((sibling for _, sibling in beside_deletions(live)), key=rank, default=None)
        siblings += [] if latest is None else [latest._replace(value=None)]
    return sorted(siblings, key=lambda sibling: (not is_empty(sibling.value), rank(sibling)))


def _is_entry(value: Any, name: str) -> bool:
    return isinstance(value, list) and len(value) == 2 and value[0] == name


def _attributed(issues: Issues, record: Record, field: str, sibling: Sibling) -> dict[str, Any]:
    """A value with who wrote it first, and by `put_back_by` who put it back since by an undo."""
    first = _first_write(issues, record, field, sibling)
    told = _described(first) | issues.origin_of(record.plane, first.author)
    return told if first is sibling else told | {"put_back_by": sibling.actor}


def _first_write(issues: Issues, record: Record, key: str, sibling: Sibling) -> Sibling:
    """The write that a live value of a register was put back from; itself where none is told.

    What nobody changed isn't written: only an undo writes a value over that same value. A deletion, which tells its
    moment, can also be put back over what settled it.
    """
    lineage = issues.entities.lineage(record, key)
    name = first = (sibling.author, sibling.n)
    value, hlc = lineage.value(name), sibling.hlc
    while value is not MISSING and len(over := lineage.over(name)) == 1 and lineage.hlc(over[0]) < hlc:
        name = over[0]
        hlc = lineage.hlc(name)
        if lineage.value(name) == value:
            first = name
        elif not (key == DELETED and is_deletion(value)):
            break
    stored = None if first == (sibling.author, sibling.n) else issues.entities.stored(record.plane, first)
    if stored is None:
        return sibling
    skeleton = stored.event.skeleton
    return sibling._replace(hlc=skeleton.hlc, author=first[0], n=first[1], actor=skeleton.actor)


def _told(sibling: Sibling) -> Any:
    return None if sibling.value is MISSING else sibling.value


def _described(sibling: Sibling) -> dict[str, Any]:
    value = _told(sibling)
    return {
        "value": value,
        "name": value_name(value),
        "actor": sibling.actor,
        "at": to_ms(sibling.hlc),
        "author": key_text(sibling.author),
        "n": sibling.n,
    }


def resolve(writer: IssueWriter, request: Resolve) -> IssueDoc:
    """Write one value over all siblings of a field; the answer tells by `_resolved` which one that was."""
    name, _, record, shown = writer.find(request.id, deleted=True)
    issues = writer.issues()
    if request.field not in issues.read(record).conflicts:
        raise RefusedError(
            f"{request.field} of {name} is not in conflict", code=Code.NOT_FOUND, hint="see `moot conflicts`"
        )
    key, _, entry = request.field.partition(".")
    if request.pick is None:
        value = _given(key, entry, request.value)
        if not entry:
            checks.check_fields({key: value}, lambda: writer.own(shown.project))
    else:
        value = _picked(name, request, _siblings(issues.live(record, texts=True), request.field))
    editor = writer.editor(name, request)
    if field_of(ISSUE, key).policy is Policy.KEYED:
        editor.set_entry(key, entry, value)
    else:
        editor.set(key, with_seen(value, TO_BE_SEEN) if key == DELETED and is_deletion(value) else value)
    editor.save()
    taken = said(value) if key == DELETED else value
    return writer.answer(name) | {"_resolved": {"field": request.field, "value": taken}}


def _picked(name: str, request: Resolve, siblings: list[Sibling]) -> Any:
    """The value that was chosen by its number or name; of an entry its content."""
    pick = request.pick or 0
    value = siblings[picked(pick, list(map(_told, siblings)), f"{request.field} of {name}")].value
    if value is MISSING:
        raise RefusedError(f"value {pick} of {request.field} isn't here to be chosen", code=Code.NOT_FOUND)
    return value[1] if "." in request.field else value


def _given(key: str, entry: str, value: Any) -> Any:
    """A new value, of its field's type; of an entry its content."""
    if entry:
        return checks.json_content(entry, value)
    if key not in IssueFields.__struct_fields__:
        raise RefusedError(f"{key} can't be given a new value", hint="choose one of those that are there")
    try:
        msgspec.convert({key: value}, IssueFields)
    except msgspec.ValidationError as error:
        raise RefusedError(f"{key}: {error}") from error
    return value
