"""What an imported line writes: everything for a new issue, and only what differs for one that exists.

Writes come as one list per event. The first event carries what is short, free text stands alone but for the time,
and the last carries `updated_at`: it is shown only as long as nothing is written after it. A deletion comes after all
other changes, which its writer has seen. What a line doesn't name
is left alone, elements are added and never removed, and a line whose fields are all shown writes nothing, so that
importing a file twice is importing it once.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, Final, TypeAlias

from moot_protocol.beads.lines import TEXTS, ImportedIssue
from moot_protocol.codec import encode
from moot_protocol.issues.issue import SHAPES, STOOD_FOR, IssueReading
from moot_protocol.issues.issue_document import defaults
from moot_protocol.limits import KIB, SHARED_ELEMENT_BYTES
from moot_protocol.log.event import Dot, Write
from moot_protocol.merge.deletion import DELETED_NAMES, TO_BE_SEEN, renewed, with_seen
from moot_protocol.merge.register import MISSING, Live, Sibling
from moot_protocol.times import instant_ns

Events: TypeAlias = list[list[Write]]
"""The writes of each event to be made, in order."""

DotOf: TypeAlias = Callable[[str, Sibling], Dot]
"""Names the write behind a live sibling of a key."""

_SHARED_BYTES: Final = 40 * KIB
"""Bytes of short fields in one event: leaves room for four elements and the event's own names."""

SHORTS_CHARS: Final = _SHARED_BYTES // 8
"""Characters of the short fields that stand in one event by any reckoning, numbers and flags beside them."""

_LITTLE_BYTES: Final = SHARED_ELEMENT_BYTES
"""Elements and short fields that take no more together fit one event by any reckoning, and each element is small."""

_EMPTY_TEXT: Final = '""'
"""JSON of a title that is none, as an export has it."""

_PLAIN_BYTES: Final = 16
"""Bytes that a number, a flag, nothing, or the head of a text takes at most."""


def writes_for_new(imported: ImportedIssue, project: str) -> Events:
    """All of a line, for an issue that doesn't exist yet.

    Args:
        imported: the line.
        project: the project's prefix.
    """
    shorts = [Write("project", project)]
    shorts += [Write(name, value) for name, value in imported.registers.items() if name != "updated_at"]
    if imported.deleted is not None:
        shorts.append(Write("deleted", _deletion(imported.deleted)))
    alone = [Write(name, text) for name, text in imported.texts.items()]
    alone += [Write("comments", comment) for comment in imported.comments]
    elements = [
        [Write("labels", label) for label in imported.labels],
        [Write("edges", edge) for edge in imported.edges],
        [Write("metadata", [name, text]) for name, text in imported.metadata.items()],
        [Write("extra", [name, text]) for name, text in imported.extra.items()],
    ]
    updated_at = imported.registers.get("updated_at")
    return grouped(shorts, alone, elements, None if updated_at is None else Write("updated_at", updated_at))


def values_for_new(imported: ImportedIssue, project: str) -> list[dict[str, Any]]:
    """What `writes_for_new` writes, as key → value by event.

    Args:
        imported: the line.
        project: the project's prefix.
    """
    # What nearly all lines have: short fields, a text or two, a label, an edge. The rest takes the long way.
    elements = None if imported.has_several or imported.deleted is not None else _elements(imported)
    if elements is None or len(encode((elements, imported.registers))) > _LITTLE_BYTES:
        return [{write.key: write.value for write in writes} for writes in writes_for_new(imported, project)]
    first = {**elements, "project": project, **imported.registers}
    updated_at = imported.registers.get("updated_at")
    events = [first, *[{name: text} for name, text in imported.texts.items()]]
    if updated_at is not None and len(events) > 1:
        del first["updated_at"]
        events[-1]["updated_at"] = updated_at
    return events


def _elements(imported: ImportedIssue) -> dict[str, Any]:
    """The elements of a line that has no more than one of each set-like key, and no comment."""
    elements: dict[str, Any] = {}
    if imported.labels:
        elements["labels"] = imported.labels[0]
    if imported.edges:
        elements["edges"] = imported.edges[0]
    for key, entries in (("metadata", imported.metadata), ("extra", imported.extra)):
        for entry in entries.items():
            elements[key] = list(entry)
    return elements


def differences(imported: ImportedIssue, live: Live, reading: IssueReading, dot_of: DotOf) -> Events:
    """What of a line differs from what is shown of an issue; nothing if all is there.

    Args:
        imported: the line.
        live: all that is live in the issue, long texts included.
        reading: what `read_issue` made of it.
        dot_of: names the write behind a sibling.

    Returns:
        Writes over the live siblings of each register, and additions to set-like fields. Whether a line that is older
        than the issue should be taken in at all is the caller's decision (`is_older`). Values that were erased or are
        withheld are written again only by a line that is newer.
    """
    return _Differences(imported, live, reading, dot_of).events()


def is_older(imported: ImportedIssue, shown_updated_at: str) -> bool:
    """Whether a line was last changed before what is shown was; False where either has no time."""
    theirs = instant_ns(imported.registers.get("updated_at"))
    ours = instant_ns(shown_updated_at)
    return theirs is not None and ours is not None and theirs < ours


class _Differences:
    def __init__(self, imported: ImportedIssue, live: Live, reading: IssueReading, dot_of: DotOf) -> None:
        self._line = imported
        self._live = live
        self._reading = reading
        self._dot_of = dot_of
        assumed = {name: value for name, value in defaults(reading) if name not in reading.extra}
        self._shown = assumed | reading.values
        theirs, ours = instant_ns(imported.registers.get("updated_at")), instant_ns(reading.updated_at)
        self._is_newer = theirs is not None and ours is not None and theirs > ours

    def events(self) -> Events:
        """The writes by event."""
        changed = [*self._registers(), *self._cleared()]
        shorts = [write for write in changed if write.key not in TEXTS]
        alone = [write for write in changed if write.key in TEXTS] + self._comments()
        elements = [
            self._labels(),
            self._edges(),
            list(self._entries("metadata", self._line.metadata, self._reading.metadata)),
            list(self._entries("extra", self._wanted_extra(), self._held_extra())),
        ]
        updated_at = self._line.registers.get("updated_at")
        deletion = self._deletion(is_edited=bool(changed or alone or any(elements)))
        if not shorts and not alone and not any(elements) and deletion is None and not self._is_newer:
            return []
        last = None if updated_at is None else Write("updated_at", updated_at, self._over("updated_at"))
        return grouped(shorts, alone, elements, last, deletion)

    def _over(self, key: str) -> Sequence[Dot]:
        return [self._dot_of(key, sibling) for sibling in self._live.get(key, ())]

    def _is_hidden(self, key: str) -> bool:
        """Whether values of a key are erased or withheld, so that the line may hold nothing but these."""
        return not self._is_newer and any(sibling.value is MISSING for sibling in self._live.get(key, ()))

    def _registers(self) -> Iterator[Write]:
        for fields in (self._line.registers, self._line.texts):
            for name, value in fields.items():
                is_shown = self._shown.get(name) == value and not self._is_stand_in(name)
                if name != "updated_at" and not is_shown and not self._is_hidden(name):
                    yield Write(name, value, self._over(name))

    def _is_stand_in(self, name: str) -> bool:
        """Whether what is shown stands for another value that the line hasn't got any more."""
        return name in STOOD_FOR and name in self._reading.extra and name not in self._line.extra

    def _deletion(self, *, is_edited: bool) -> Write | None:
        given, shown = self._line.deleted, self._reading.deleted
        if given is None:
            has_status = "status" in self._line.registers or "status" in self._line.extra
            is_back = shown is not None and has_status and self._live.get("deleted")
            return Write("deleted", None, self._over("deleted")) if is_back else None
        kept = {name: value for name, value in (shown or {}).items() if name not in self._line.extra}
        value = renewed(self._live)
        if shown is None or kept | given != shown:
            told = _deletion(kept | given)
            return Write("deleted", told if value is None else with_seen(told, TO_BE_SEEN), self._over("deleted"))
        return Write("deleted", value, self._over("deleted")) if is_edited and value is not None else None

    def _cleared(self) -> Iterator[Write]:
        """Registers that show something where the line has an empty or odd value."""
        for name in self._line.extra:
            if name in SHAPES and name in self._reading.values and name not in self._line.registers:
                yield Write(name, None, self._over(name))

    def _wanted_extra(self) -> dict[str, str]:
        has = {
            "labels": self._reading.labels,
            "dependencies": self._reading.edges,
            "comments": self._reading.comments,
            "metadata": self._reading.metadata,
        }
        return {
            name: text
            for name, text in self._line.extra.items()
            if not has.get(name) and not (text == _EMPTY_TEXT and self._shown.get(name) == "")
        }

    def _held_extra(self) -> dict[str, str]:
        # What gets a stand-in now is written again: of what is written before that, it would be no stand-in.
        bare = [name for name in STOOD_FOR if name in self._line.registers and name not in self._reading.values]
        return {name: text for name, text in self._reading.extra.items() if name not in bare}

    def _labels(self) -> list[Write]:
        if self._is_hidden("labels"):
            return []
        present = set(self._reading.labels)
        return [Write("labels", label) for label in self._line.labels if label not in present]

    def _edges(self) -> list[Write]:
        if self._is_hidden("edges"):
            return []
        present = {(edge.to, edge.type) for edge in self._reading.edges}
        return [Write("edges", edge) for edge in self._line.edges if (edge[0], edge[1]) not in present]

    def _comments(self) -> list[Write]:
        if self._is_hidden("comments"):
            return []
        present = {known_by(*comment) for comment in self._reading.comments}
        present |= {known_by(*comment._replace(id="")) for comment in self._reading.comments}
        return [Write("comments", comment) for comment in self._line.comments if known_by(*comment) not in present]

    def _entries(self, key: str, wanted: dict[str, str], shown: dict[str, str]) -> Iterator[Write]:
        if self._is_hidden(key):
            return
        changed = {name: text for name, text in wanted.items() if shown.get(name) != text}
        over: dict[str, list[Dot]] = {name: [] for name in changed}
        for sibling in self._live.get(key, ()) if changed else ():
            name = _name_of(sibling)
            if name in over:
                over[name].append(self._dot_of(key, sibling))
        for name, text in changed.items():
            yield Write(key, [name, text], over[name])


def known_by(text: str, author: str, created_at: str, name: str | int, extra: dict[str, Any]) -> bytes:
    """What makes a comment the same: its id (once a number, now text) and text, and without an id all it says."""
    return encode([str(name), text] if name != "" else [text, author, created_at, extra])


def _name_of(sibling: Sibling) -> str | None:
    """The name that an entry of a keyed field is of; None for what is no entry."""
    value = sibling.value
    is_entry = isinstance(value, list | tuple) and len(value) == 2 and isinstance(value[0], str)
    return value[0] if is_entry else None


def _deletion(deleted: dict[str, str]) -> list[str]:
    return [deleted.get(name, "") for name in DELETED_NAMES]


def grouped(
    shorts: list[Write],
    alone: list[Write],
    elements: list[list[Write]],
    last: Write | None,
    deletion: Write | None = None,
) -> Events:
    """Group writes by event: a key stands once in each, and what is long stands alone.

    Args:
        shorts: short fields.
        alone: free text.
        elements: of each set-like key.
        last: the time of the change, which ends the last event.
        deletion: what the last event begins with, one of its own: it is to tell of all events before it.
    """
    if deletion is not None:
        return [*grouped(shorts, alone, elements, None), [deletion] if last is None else [deletion, last]]
    rows: Events = []
    if any(elements):
        small = [[write for write in writes if _is_small(write.value)] for writes in elements]
        alone = alone + [write for writes in elements for write in writes if not _is_small(write.value)]
        rows = [[write for write in row if write is not None] for row in zip_longest(*small)]
    events = _chunks(rows.pop(0) if rows else [], shorts)
    events += [[write] for write in alone]
    events += rows
    if last is not None:
        if not events:
            events.append([])
        events[-1].append(last)
    return events


def _chunks(first: list[Write], shorts: list[Write]) -> Events:
    """A row of elements and the short fields, as many to an event as fit."""
    sizes = [_PLAIN_BYTES + _bytes_at_most(write.value) for write in shorts]
    if sum(sizes) <= _SHARED_BYTES:
        return [first + shorts] if first or shorts else []
    chunks = [first] if first else []
    room = _SHARED_BYTES if first else 0
    for write, size in zip(shorts, sizes, strict=True):
        if size > room:
            chunks.append([])
            room = _SHARED_BYTES
        chunks[-1].append(write)
        room -= size
    return chunks


def _bytes_at_most(value: Any) -> int:
    return 4 * len(value) if type(value) is str else len(encode(value)) if type(value) is list else 0


def _is_small(element: Any) -> bool:
    return isinstance(element, str) or len(encode(element)) <= SHARED_ELEMENT_BYTES
