"""What changed between two times: each issue as its events up to the one and up to the other leave it."""

from collections.abc import Iterator
from typing import Any, Final

from moot_protocol.clock import to_ms
from moot_protocol.errors import RefusedError
from moot_protocol.issues.issue import TOMBSTONE
from moot_protocol.merge.kinds import ISSUE
from moot_protocol.requests.actions import Diff
from moot_protocol.requests.listing import IssueDoc
from mootd.engine.issues.history import as_of
from mootd.engine.issues.reading import Issues
from mootd.engine.views.record import Record, decode_record

_NOT_COMPARED: Final = frozenset({"updated_at", "_missing", "_erased"})
"""Fields of documents whose changes are no news: each follows from others."""


def diff(issues: Issues, request: Diff) -> list[dict[str, Any]]:
    """What changed between two times, in order of id."""
    if request.before > request.after:
        raise RefusedError("the first time lies after the second")
    records = (
        [issues.find(typed)[2] for typed in request.ids] if request.ids else list(_touched(issues, request.before))
    )
    found = (_difference(issues, record, request) for record in records)
    return sorted((each for each in found if each), key=lambda each: str(each["issue_id"]))


def _touched(issues: Issues, since_ms: int) -> Iterator[Record]:
    """The issues that have an event after a time."""
    for _, packed in issues.entities.reader.scan(issues.entities.views.records, b"\0"):
        record = decode_record(packed)
        if record.kind == ISSUE and record.plane in issues.planes and to_ms(record.updated) > since_ms:
            yield record


def _difference(issues: Issues, record: Record, request: Diff) -> dict[str, Any] | None:
    old, new = (_there(as_of(issues, record, time)) for time in (request.before, request.after))
    changes = _changes(old, new) if old and new else []
    if (old is None) == (new is None) and not changes:
        return None
    if request.projects and _project(issues, record) not in request.projects:
        return None
    return {
        "issue_id": record.entity,
        "diff_type": "added" if old is None else "removed" if new is None else "modified",
        "old_value": old,
        "new_value": new,
        "changes": changes,
    }


def _there(document: IssueDoc | None) -> IssueDoc | None:
    return None if document is None or document.get("status") == TOMBSTONE else document


def _project(issues: Issues, record: Record) -> str:
    live = issues.live(record, texts=False).get("project", ())
    return str(live[-1].value) if live else ""


def _changes(old: IssueDoc, new: IssueDoc) -> list[dict[str, Any]]:
    return [
        _change(old, new, name)
        for name in dict.fromkeys((*new, *old))
        if name not in _NOT_COMPARED and old.get(name) != new.get(name)
    ]


def _change(old: IssueDoc, new: IssueDoc, name: str) -> dict[str, Any]:
    """A field before and after; what was erased is no value, though a document may show a default in its place."""
    sides = {"from": old, "to": new}
    erased = [side for side, document in sides.items() if name in document.get("_erased", ())]
    values = {side: None if side in erased else document.get(name) for side, document in sides.items()}
    return {"field": name, **values} | ({"erased": erased} if erased else {})
