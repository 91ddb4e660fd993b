"""Conflicts: fields on which live values disagree, and settling them."""

from collections.abc import Iterator
from typing import Any

import msgspec

from moot_protocol.clock import to_ms
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import key_text
from moot_protocol.kinds import ISSUE, Policy, field_of
from moot_protocol.listing import IssueDoc
from moot_protocol.register import MISSING, Sibling
from moot_protocol.requests import IssueFields, Resolve
from mootd.engine import layout
from mootd.engine.issues import checks
from mootd.engine.issues.mutations import IssueWriter
from mootd.engine.issues.reading import Issues
from mootd.engine.record import Record


def conflicting_issues(issues: Issues) -> Iterator[Record]:
    """The records that some field may be in conflict in."""
    views = issues.entities.views
    for key, _ in issues.entities.reader.scan(views.index, layout.CONFLICT, layout.after(layout.CONFLICT)):
        record = issues.entities.record(layout.eid_of(key))
        if record is not None and record.plane in issues.planes:
            yield record


def conflicts_of(issues: Issues, record: Record) -> list[dict[str, Any]]:
    """An issue's conflicts, each with its values in the order of their writes."""
    reading = issues.read(record)
    live = issues.live(record, texts=True)
    found = []
    for field in reading.conflicts:
        siblings = _siblings(live, field)
        found.append(
            {
                "id": record.entity,
                "field": field,
                "shown": _shown(reading.values, reading.metadata, field),
                "values": [_described(sibling) for sibling in siblings],
            }
        )
    return found


def _shown(values: dict[str, Any], metadata: dict[str, str], field: str) -> Any:
    return metadata.get(field.removeprefix("metadata.")) if field.startswith("metadata.") else values.get(field)


def _siblings(live: Any, field: str) -> list[Sibling]:
    key, _, name = field.partition(".")
    siblings = sorted(live.get(key, ()), key=lambda sibling: sibling.rank)
    if name:
        siblings = [sibling for sibling in siblings if _is_entry(sibling.value, name)]
    return siblings


def _is_entry(value: Any, name: str) -> bool:
    return isinstance(value, list) and len(value) == 2 and value[0] == name


def _described(sibling: Sibling) -> dict[str, Any]:
    return {
        "value": None if sibling.value is MISSING else sibling.value,
        "actor": sibling.actor,
        "at": to_ms(sibling.hlc),
        "author": key_text(sibling.author),
        "n": sibling.n,
    }


def resolve(writer: IssueWriter, request: Resolve) -> IssueDoc:
    """Write one value over all siblings of a field."""
    name, _, record, _ = writer.find(request.id, deleted=True)
    issues = writer.issues()
    if request.field not in issues.read(record).conflicts:
        raise RefusedError(
            f"{request.field} of {name} is not in conflict", code=Code.NOT_FOUND, hint="see `moot conflicts`"
        )
    key, _, entry = request.field.partition(".")
    if request.pick is None:
        value = _given(key, entry, request.value)
    else:
        value = _picked(name, request, _siblings(issues.live(record, texts=True), request.field))
    editor = writer.editor(name, request)
    if field_of(ISSUE, key).policy is Policy.KEYED:
        editor.set_entry(key, entry, value)
    else:
        editor.set(key, value)
    editor.save()
    return writer.answer(name)


def _picked(name: str, request: Resolve, siblings: list[Sibling]) -> Any:
    """The value that was chosen by its number; of an entry its content."""
    pick = request.pick or 0
    if not 1 <= pick <= len(siblings):
        raise RefusedError(f"there is no value {pick}; {request.field} of {name} has {len(siblings)}")
    value = siblings[pick - 1].value
    if value is MISSING:
        raise RefusedError(f"value {pick} of {request.field} isn't here to be chosen", code=Code.NOT_FOUND)
    return value[1] if "." in request.field else value


def _given(key: str, entry: str, value: Any) -> Any:
    """A new value, checked as an update would check it; of an entry its content."""
    if entry:
        return checks.json_content(entry, value)
    if key not in IssueFields.__struct_fields__:
        raise RefusedError(f"{key} can't be given a new value", hint="choose one of those that are there")
    try:
        msgspec.convert({key: value}, IssueFields)
    except msgspec.ValidationError as error:
        raise RefusedError(f"{key}: {error}") from error
    checks.check_fields({key: value})
    return value
