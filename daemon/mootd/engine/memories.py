"""What a project remembers: memories and settings, as entities of its plane.

An entity's id is its project, a slash and its key; a setting of the whole town has an empty project. Taking something
away clears it, so that the log keeps what was there unless that is erased. Invariant: what is called foreign has a live
text that was written in another town than the one this machine works in on that plane, whichever key that had then;
writing over it makes it one's own.
"""

from collections.abc import Callable, Container, Iterator
from typing import Any, NamedTuple

from msgspec.structs import replace

from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import entity_problem
from moot_protocol.issues.settings import check_key, problem_of
from moot_protocol.limits import MEMORY_KEY_BYTES, TEXT_BYTES
from moot_protocol.merge import policies
from moot_protocol.merge.kinds import MEMORY, SETTING, field_of
from moot_protocol.merge.register import MISSING, Sibling
from moot_protocol.requests.memories import EraseMemory, Forget, Remember, SetSetting
from mootd.engine.editor import Editor
from mootd.engine.exchange.cut import Place
from mootd.engine.issues.addressing import plane_of_project
from mootd.engine.issues.mutations import UNCHANGED
from mootd.engine.membership.former import OwnTown
from mootd.engine.stored import layout
from mootd.engine.stored.erased import has_erased
from mootd.engine.stored.log import FeedRow, PlaneRow
from mootd.engine.unit import Unit
from mootd.engine.views.entities import Entities
from mootd.engine.views.record import Record, groups_of

_FIELDS = {MEMORY: "text", SETTING: "value"}
"""kind → the field that holds what is kept."""


class Kept(NamedTuple):
    """A memory or a setting."""

    key: str
    text: str
    """Empty where it was taken away, or isn't here."""
    updated: int
    """Timestamp of its newest live write."""
    foreign: bool
    conflict: bool
    authors: tuple[bytes, ...] = ()
    """The replicas that wrote its live texts, ascending."""
    values: tuple[Sibling, ...] = ()
    """Of a conflict, all that is live, in the order of their writes; an empty text is a taking away."""


def is_foreign(record: Record, field: str, feed_of: Callable[[int], FeedRow], own: Container[bytes]) -> bool:
    """Whether any live value of a field was written in another town than that of these keys."""
    return any(feed_of(group.feed).town not in own for group in groups_of(record, field))


# -- Reading -----------------------------------------------------------------------------------------------------
class Shelf:
    """The memories or settings of a project on a plane, inside a transaction.

    Args:
        entities: the transaction.
        plane: the plane.
        kind: MEMORY or SETTING.
        project: the project; empty for what the whole town shares.
        feed_of: a feed by its number.
    """

    def __init__(
        self, entities: Entities, plane: PlaneRow, kind: str, project: str, feed_of: Callable[[int], FeedRow]
    ) -> None:
        self._entities = entities
        self._plane = plane
        self._kind = kind
        self._start = f"{project}/"
        self._feed_of = feed_of
        self._own = OwnTown(entities.reader, plane)

    def all(self, prefix: str = "") -> Iterator[Kept]:
        """All that is kept, by key."""
        return (kept for kept in self._entries(prefix) if kept.text)

    def disputed(self, prefix: str = "") -> Iterator[Kept]:
        """What is in conflict, by key; also where a taking away is what is shown."""
        return (kept for kept in self._entries(prefix) if kept.conflict)

    def _entries(self, prefix: str) -> Iterator[Kept]:
        start = layout.id_key(self._plane.number, self._kind, self._start + prefix)
        for key, eid in self._entities.reader.scan(self._entities.views.ids, start, layout.after(start)):
            record = self._entities.record(int.from_bytes(eid, "big"))
            kept = None if record is None else self._read(layout.id_entity(key), record)
            if kept is not None:
                yield kept

    def _read(self, entity: str, record: Record) -> Kept | None:
        """What a record keeps; None where it was taken away or isn't here, and nothing else stands beside that."""
        field = _FIELDS[self._kind]
        live = self._entities.live(record).get(field, [])
        reading = policies.read(field_of(self._kind, field).policy, live, self._entities.lineage(record, field))
        text = reading.value if isinstance(reading.value, str) else ""
        if not text and not reading.conflict:
            return None
        updated = max(group.hlc for group in groups_of(record, field))
        foreign = is_foreign(record, field, self._feed_of, self._own)
        authors = tuple(sorted({self._feed_of(group.feed).author for group in groups_of(record, field)}))
        values = tuple(sorted(live, key=policies.rank)) if reading.conflict else ()
        return Kept(entity.removeprefix(self._start), text, updated, foreign, reading.conflict, authors, values)


# -- Writing -----------------------------------------------------------------------------------------------------
def remember(unit: Unit, request: Remember) -> dict[str, Any]:
    """Keep a text under a key."""
    key, text = request.key, request.text.strip()
    problem = entity_problem(f"{request.project}/{key}")
    if not key.strip() or problem:
        raise RefusedError(f"{key!r} can't be a memory's key: {problem or 'it is empty'}")
    _check_length(key)
    if not text:
        raise RefusedError("there is nothing to remember", hint="give a text")
    if len(text.encode()) > TEXT_BYTES:
        raise RefusedError(f"a memory of {len(text.encode())} bytes; at most {TEXT_BYTES}", code=Code.LIMIT)
    editor = _editor(unit, MEMORY, request)
    if request.beside:
        key, editor = _beside(unit, request, text)
        _check_length(key)
        if len(_texts(editor)) > 1:  # it stands there already, beside another: who settles that names the key
            return {"key": key, "text": text, "created": False} | UNCHANGED
    was = _shown(editor, MEMORY)
    if request.unless_erased and was != text and has_erased(unit.transaction, editor.record.head):
        return {"key": key, "text": was or "", "created": False, "_erased": True} | UNCHANGED
    editor.set("text", text, anew=_is_foreign(unit, editor.record))  # another town's text becomes this one's word
    written = editor.save()
    return {"key": key, "text": text, "created": was is None} | ({} if written else UNCHANGED)


def _check_length(key: str) -> None:
    if len(key.encode()) > MEMORY_KEY_BYTES:
        raise RefusedError(f"a key of {len(key.encode())} bytes; at most {MEMORY_KEY_BYTES}", code=Code.LIMIT)


def _beside(unit: Unit, request: Remember, text: str) -> tuple[str, Editor]:
    """The first of KEY, KEY-2, KEY-3, … under which this text stands, or nothing."""
    key, number = request.key, 1
    while True:
        editor = _editor(unit, MEMORY, replace(request, key=key))
        texts = _texts(editor)
        if not texts or text in texts:
            return key, editor
        number += 1
        key = f"{request.key}-{number}"


def _texts(editor: Editor) -> set[str]:
    """The different texts of a memory that are live."""
    live = editor.entities.live(editor.record).get("text", [])
    return {sibling.value for sibling in live if isinstance(sibling.value, str)} - {""}


def _is_foreign(unit: Unit, record: Record) -> bool:
    return is_foreign(record, "text", unit.feed, OwnTown(unit.transaction, unit.plane(record.plane)))


def forget(unit: Unit, request: Forget) -> dict[str, Any]:
    """Take a memory away."""
    editor = _editor(unit, MEMORY, request)
    was = _shown(editor, MEMORY)
    if was is None and not _texts(editor):
        raise _no_memory(request.key)
    editor.set("text", "")
    editor.save()
    return {"key": request.key, "text": was or ""}


def erase_memory(unit: Unit, request: EraseMemory) -> dict[str, Any]:
    """Take a memory away, and every text that it ever had out of the log."""
    from mootd.engine.erasure.erasing import append_erasures, refuse_others, said_under, written  # noqa: PLC0415 - hardly ever needed

    unit.seal()
    unit.flush()
    editor = _editor(unit, MEMORY, request)
    plane = editor.record.plane
    found = written(unit, plane, Place(MEMORY, editor.record.entity), said_under("text"))
    if not found:
        raise _no_memory(request.key)
    refuse_others(unit, plane, found)
    editor.set("text", "")
    editor.save()
    return {"key": request.key, "events": append_erasures(unit, plane, found, request.actor)}


def _no_memory(key: str) -> RefusedError:
    return RefusedError(f"no memory {key}", code=Code.NOT_FOUND, hint="`moot memories` lists what is remembered")


def set_setting(unit: Unit, request: SetSetting) -> dict[str, Any]:
    """Set a setting, or take it away."""
    check_key(request.key, secrets=request.secrets or request.value is None)
    problem = problem_of(request.key, request.value or "") if request.value else ""
    if problem:
        raise RefusedError(f"{request.key} can't be {request.value!r}: {problem}")
    editor = _editor(unit, SETTING, request)
    was = _shown(editor, SETTING)
    editor.set("value", request.value or "")
    written = editor.save()
    return {"key": request.key, "value": request.value or None, "was": was} | ({} if written else UNCHANGED)


def _editor(unit: Unit, kind: str, request: Remember | Forget | EraseMemory | SetSetting) -> Editor:
    project = request.project
    plane = plane_of_project(unit, project, request.plane) if project else unit.replica.ledger.number
    return Editor(unit, plane, kind, f"{project}/{request.key}", request.actor)


def _shown(editor: Editor, kind: str) -> str | None:
    """What an entity shows before it is changed; None where it shows nothing."""
    field = _FIELDS[kind]
    lineage = editor.entities.lineage(editor.record, field)
    siblings = editor.entities.live(editor.record).get(field, [])
    value = policies.read(field_of(kind, field).policy, siblings, lineage).value
    return None if value is MISSING or not isinstance(value, str) or not value else value
