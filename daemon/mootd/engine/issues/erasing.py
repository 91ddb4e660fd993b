"""Erasing what was written in an issue: every version of some fields, out of the log and for good.

Invariant: beside the fields that are named the issue stands as before. What is live of those is cleared first, so that
nothing is shown as missing; what the same events said beside them, and is live, is written again over itself.
"""

from typing import Any

from moot_protocol.action_requests import Erase
from moot_protocol.deletion import DELETED, TO_BE_SEEN, seen_by, with_seen
from moot_protocol.erasure import ERASABLE, TITLE_ERASED, WORDS
from moot_protocol.errors import Code, RefusedError
from moot_protocol.kinds import ISSUE, SET_LIKE, field_of
from moot_protocol.register import MISSING
from mootd.engine.cut import Place
from mootd.engine.erasing import Found, append_erasures, refuse_others, written
from mootd.engine.issues.editor import IssueEditor
from mootd.engine.issues.mutations import UNCHANGED, IssueWriter
from mootd.engine.issues.undoing import as_first_written
from mootd.engine.record import Group, groups_of, pairs_of


def erase(writer: IssueWriter, request: Erase) -> dict[str, Any]:
    """Erase fields of an issue, deleted ones included.

    Raises:
        RefusedError: `not_found`; `invalid` for a field whose values can't be erased; `denied` where another town wrote
            some of it and this machine is no admin of the plane.
    """
    if unknown := sorted(set(request.fields) - ERASABLE):
        raise RefusedError(
            f"{', '.join(unknown)}: no field whose values can be erased",
            code=Code.INVALID,
            hint=f"these can: {', '.join(sorted(ERASABLE))}",
        )
    fields = frozenset(request.fields) or WORDS
    name = writer.find(request.id, deleted=True)[0]
    unit, plane = writer.unit, writer.plane
    unit.seal()
    unit.flush()
    found = written(unit, plane, Place(ISSUE, name), fields)
    refuse_others(unit, plane, found)
    editor = writer.editor(name, request)
    rewritten = _write_again(editor, found, fields)
    for field in sorted({key for _, key, _ in pairs_of(editor.record)} & fields):
        _clear(editor, field, found)
    editor.save()
    answer = {
        "id": name,
        "fields": sorted({change.key for each in found for change in each.event.skeleton.changes} & fields),
        "events": append_erasures(unit, plane, found, request.actor),
        "rewritten": sorted(set(rewritten)),
        "written_over": sum(_said_beside(each, fields) for each in found) - len(rewritten),
    }
    return answer if found else answer | UNCHANGED


def _clear(editor: IssueEditor, field: str, found: list[Found]) -> None:
    if field_of(ISSUE, field).policy in SET_LIKE:
        editor.remove(field, [group for group, _ in editor.elements(field)])
    else:
        goes = _names(found)  # what was cleared before may stand in an event that goes for another field's sake
        is_gone = any(_name(group) in goes for group in groups_of(editor.record, field))
        editor.set(field, TITLE_ERASED if field == "title" else "", anew=is_gone)


def _names(found: list[Found]) -> set[tuple[int, int, bytes]]:
    return {(each.feed, each.event.n, each.event.leaf) for each in found}


def _name(group: Group) -> tuple[int, int, bytes]:
    return group.feed, group.n, group.leaf


def _write_again(editor: IssueEditor, found: list[Found], fields: frozenset[str]) -> list[str]:
    """Write again what is live of these events beside the fields to be erased; of which field each value was."""
    goes = _names(found)
    rewritten = []
    for group, key, value in list(pairs_of(editor.record)):
        if key in fields or _name(group) not in goes:
            continue
        said = editor.entities.load(group, key)[0] if value is MISSING else value
        if said is not MISSING:
            editor.add(key, _as_before(editor, group, key, said), over=[group])
            rewritten.append(key)
    return rewritten


def _said_beside(found: Found, fields: frozenset[str]) -> int:
    """How many values of an event are of other fields."""
    return sum(not change.removes and change.key not in fields for change in found.event.skeleton.changes)


def _as_before(editor: IssueEditor, group: Group, key: str, value: Any) -> Any:
    """A value that means in a later event what it meant in its own."""
    if key == DELETED:
        return with_seen(value, TO_BE_SEEN) if seen_by(value) else value
    return as_first_written(key, value, editor.entities.event(group.arrival))
