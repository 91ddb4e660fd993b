"""Erasing what was written in an issue: every version of some fields, out of the log and for good.

Invariant: beside the fields that are named the issue stands as before, as far as this machine knows it. What is live of
those is cleared first, so that nothing is shown as missing; what the same events said beside them, and is live, is
written again over itself. What another town wrote, and this machine may not erase, stays as it is and is counted.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.erasure import ERASABLE, TITLE_ERASED, WORDS
from moot_protocol.merge.deletion import DELETED, TO_BE_SEEN, is_deletion, seen_by, with_seen
from moot_protocol.merge.kinds import ISSUE, SET_LIKE, field_of
from moot_protocol.merge.register import MISSING
from moot_protocol.requests.actions import Erase
from mootd.engine.erasure.erasing import CLEARED, Found, append_erasures, mine_of, written
from mootd.engine.exchange.cut import Place
from mootd.engine.issues.copies import MARK
from mootd.engine.issues.editor import IssueEditor
from mootd.engine.issues.mutations import UNCHANGED, IssueWriter
from mootd.engine.issues.undoing import as_first_written
from mootd.engine.views.record import Group, pairs_of

_REASON: Final = "delete_reason"
"""The field that is a part of a deletion: of that nothing else is erased."""


class _Meant:
    """What is to be erased: all that stands under some fields and says something.

    Args:
        fields: fields of `ERASABLE`.
    """

    def __init__(self, fields: Iterable[str]) -> None:
        self._fields = frozenset(fields)
        self.keys = frozenset(DELETED if field == _REASON else field for field in self._fields)

    def says(self, key: str, value: Any) -> bool:
        """Whether a value is to be erased; one that can't be read is, too."""
        if key not in self.keys:
            return False
        if key == DELETED:
            return is_deletion(value) and value[1] not in (None, "")
        is_mark = key == "metadata" and isinstance(value, list) and value[:1] == [MARK]  # ours: what it is a copy of
        return value not in CLEARED and not is_mark

    def fields_of(self, found: Sequence[Found]) -> list[str]:
        """The fields that events said something of."""
        keys = {key for each in found for key, value in _values(each) if self.says(key, value)}
        return sorted(_REASON if key == DELETED else key for key in keys)


_UPDATED_AT: Final = "updated_at"
"""When a file says that its issue was changed: the erasure is a later change, and a file from before it is older."""


class _Live(NamedTuple):
    """A live value of an event that goes."""

    group: Group
    key: str
    value: Any


def erase(writer: IssueWriter, request: Erase) -> dict[str, Any]:
    """Erase fields of an issue, deleted ones included.

    Raises:
        RefusedError: `not_found`; `invalid` for a field whose values can't be erased; `denied` where this machine may
            erase nothing of what is meant.
    """
    if unknown := sorted(set(request.fields) - ERASABLE):
        raise RefusedError(
            f"{', '.join(unknown)}: no field whose values can be erased",
            code=Code.INVALID,
            hint=f"these can: {', '.join(sorted(ERASABLE))}",
        )
    meant = _Meant(request.fields or WORDS)
    name = writer.find(request.id, deleted=True)[0]
    unit, plane = writer.unit, writer.plane
    unit.seal()
    unit.flush()
    found = written(unit, plane, Place(ISSUE, name), meant.says)
    mine = mine_of(unit, plane, found)
    editor = writer.editor(name, request)
    live = list(_live(editor, mine))
    left = [each for each in live if each.value is not MISSING and not meant.says(each.key, each.value)]
    rewritten = [each for each in left if each.key != _UPDATED_AT]
    for each in rewritten:
        editor.add(each.key, _as_before(editor, each), over=[each.group])
    _clear(editor, [each for each in live if meant.says(each.key, each.value)])
    editor.remove(_UPDATED_AT, [each.group for each in live if each.key == _UPDATED_AT])
    editor.save()
    beside = sum(key != _UPDATED_AT and not meant.says(key, value) for each in mine for key, value in _values(each))
    answer = {
        "id": name,
        "fields": meant.fields_of(mine),
        "events": append_erasures(unit, plane, mine, request.actor),
        "rewritten": sorted({each.key for each in rewritten}),
        "written_over": beside - len(rewritten),
        "not_mine": len(found) - len(mine),
    }
    return answer if mine else answer | UNCHANGED


def _values(found: Found) -> Iterator[tuple[str, Any]]:
    """What an event wrote, MISSING where it can't be read."""
    keys = [change.key for change in found.event.skeleton.changes if not change.removes]
    return zip(keys, found.event.values() or [MISSING] * len(keys), strict=True)


def _live(editor: IssueEditor, found: Sequence[Found]) -> Iterator[_Live]:
    """What is live of these events, read from them where it doesn't stand in the record."""
    goes = {(each.feed, each.event.n, each.event.leaf) for each in found}
    for group, key, value in pairs_of(editor.record):
        if (group.feed, group.n, group.leaf) in goes:
            yield _Live(group, key, editor.entities.load(group, key)[0] if value is MISSING else value)


def _clear(editor: IssueEditor, live: Sequence[_Live]) -> None:
    """Let nothing go on being shown of what is erased; what others wrote beside it stays."""
    for key in sorted({each.key for each in live}):
        groups = [each.group for each in live if each.key == key]
        if key == DELETED:
            for each in live:
                if each.key == key:
                    editor.add(key, _without_reason(each.value), over=[each.group])
        elif field_of(ISSUE, key).policy in SET_LIKE or _is_beside(editor, key, groups):
            editor.remove(key, groups)
        else:
            editor.set(key, TITLE_ERASED if key == "title" else "")


def _is_beside(editor: IssueEditor, key: str, groups: Sequence[Group]) -> bool:
    """Whether a register has live values beside those of these events that say anything here."""
    others = (group for group, live, _ in pairs_of(editor.record) if live == key and group not in groups)
    return any(editor.entities.load(group, key)[0] is not MISSING for group in others)


def _without_reason(value: list[Any]) -> list[Any]:
    told = [value[0], "", *value[2:4]]
    return with_seen(told, TO_BE_SEEN) if seen_by(value) else told


def _as_before(editor: IssueEditor, live: _Live) -> Any:
    """A value that means in a later event what it meant in its own."""
    if live.key == DELETED:
        return with_seen(live.value, TO_BE_SEEN) if seen_by(live.value) else live.value
    return as_first_written(live.key, live.value, editor.entities.event(live.group.arrival))
