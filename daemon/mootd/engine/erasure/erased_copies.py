"""What a machine keeps of texts beside its log: answers to commands that may be repeated, lines of mirrored files.

Invariant: a command whose answer lost its texts is still one that was carried out, and is not carried out again.
"""

from collections.abc import Collection, Container
from typing import Any, Final

import msgspec

from moot_protocol.issues.erasure import TITLE_ERASED
from moot_protocol.merge.kinds import ISSUE
from mootd.engine.exchange.cut import Place
from mootd.engine.machine.mirrors import note_erased
from mootd.engine.stored import layout
from mootd.engine.unit import Unit
from mootd.store.port import Table

_NAMES: Final = ("id", "issue_id", "key")
"""Under which of its fields an answer names what it tells of."""
_KEPT: Final = frozenset(
    {
        *_NAMES, "status", "priority", "issue_type", "assignee", "created_at", "updated_at", "started_at", "closed_at",
        "due_at", "defer_until", "ephemeral", "pinned", "field", "n", "at", "actor", "events", "dot", "_unchanged",
        "_blocked", "_short", "_claim",
    }
)  # fmt: skip
"""Fields of answers that say how something stands, and nothing that people wrote."""


def drop_copies(unit: Unit, plane: int, places: Collection[Place]) -> None:
    """Let nothing that was kept beside the log go on telling what some entities of a plane said before."""
    names = {place.entity if place.kind == ISSUE else place.entity.partition("/")[2] for place in places}
    _empty_answers(unit, names - {""})
    note_erased(unit, unit.plane(plane).id, {place.entity for place in places if place.kind == ISSUE})


def _empty_answers(unit: Unit, names: Container[str]) -> None:
    emptied: list[tuple[bytes, bytes]] = []
    for key, packed in unit.transaction.scan(Table.META, layout.ANSWERS, layout.after(layout.ANSWERS)):
        asked, answer = msgspec.msgpack.decode(packed)
        left = _without_texts(answer, names)  # each is walked once, however many were erased together
        if left != answer:
            emptied.append((key, msgspec.msgpack.encode([asked, left])))
    for key, packed in emptied:
        unit.transaction.put(Table.META, key, packed)


def _without_texts(value: Any, names: Container[str]) -> Any:
    """An answer without the texts of whatever has one of these names."""
    if isinstance(value, list):
        return [_without_texts(each, names) for each in value]
    if not isinstance(value, dict):
        return value
    if not any(isinstance(value.get(name), str) and value[name] in names for name in _NAMES):
        return {name: _without_texts(each, names) for name, each in value.items()}
    told = {name: each for name, each in value.items() if name in _KEPT}
    return told | ({"title": TITLE_ERASED} if "title" in value else {})
