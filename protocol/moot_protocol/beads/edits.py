"""What the differences between two states of one line of a Beads file write.

Only what differs between the states is written, over all live siblings that its writer sees; what is equal in both is
left alone whatever is here now. So two machines that edit copies of one file agree as if each had made its changes by
commands. A line that didn't change writes nothing. What a line holds but can't be stored changes nothing, and a set
that something was left out of loses no element.

A line that became a tombstone deletes by an event that comes after all its other changes and tells what was seen
(`deletion.py`), so that an edit made without sight of it is in conflict with it, and neither is lost silently.
"""

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from moot_protocol.beads.lines import TEXTS, ImportedIssue
from moot_protocol.beads.writes import DotOf, Events, grouped, known_by
from moot_protocol.issues.issue import SHAPES, Comment, read_comments
from moot_protocol.limits import OVER_PER_KEY
from moot_protocol.log.event import Dot, Write
from moot_protocol.merge.deletion import DELETED_NAMES, TO_BE_SEEN, renewed, said, with_seen
from moot_protocol.merge.policies import is_empty
from moot_protocol.merge.register import Live, Sibling
from moot_protocol.times import instant_ns

_REGISTERS: Final = tuple(name for name in SHAPES if name != "updated_at")


def edits(base: ImportedIssue, line: ImportedIssue, live: Live, dot_of: DotOf) -> Events:
    """What has to be written for an issue's line to have changed from one state to another.

    Args:
        base: the line as it was when file and log were last known to agree.
        line: the line as it is now, of the same issue.
        live: all that is live in the issue here, long texts included.
        dot_of: names the write behind a sibling.

    Returns:
        The writes of each event, in order; none where nothing differs, or all that differs is here already. A deletion
        stands in the last, with `TO_BE_SEEN` for what is live once those before it are made.
    """
    return _Edits(base, line, live, dot_of).events()


class _Edits:
    def __init__(self, base: ImportedIssue, line: ImportedIssue, live: Live, dot_of: DotOf) -> None:
        self._base = base
        self._line = line
        self._live = live
        self._dot_of = dot_of

    def events(self) -> Events:
        """The writes by event."""
        changed = list(self._registers())
        shorts = [write for write in changed if write.key not in TEXTS]
        alone = [write for write in changed if write.key in TEXTS]
        alone += self._elements("comments")
        elements = [list(self._elements(key)) for key in ("labels", "edges", "metadata", "extra")]
        deletion = self._deletion(is_edited=bool(changed or alone or any(elements)))
        return grouped(shorts, alone, elements, self._updated_at(), deletion)

    def _over(self, key: str, chosen: Callable[[Any], bool] = lambda _: True) -> list[Dot]:
        return [self._dot_of(key, sibling) for sibling in self._live.get(key, ()) if chosen(sibling.value)]

    def _shows_only(self, key: str, value: Any) -> bool:
        """Whether a register holds this value alone, so that writing it would change nothing."""
        values = [said(sibling.value) if key == "deleted" else sibling.value for sibling in self._live.get(key, ())]
        return values == [value] or (value is None and all(map(is_empty, values)))

    # -- Registers -----------------------------------------------------------------------------------------------
    def _registers(self) -> Iterator[Write]:
        for name in _REGISTERS:
            before, value = _register(self._base, name), _register(self._line, name)
            if name == "priority" and value is None and before is not None and name not in self._line.extra:
                value = 0  # some versions of Beads leave zeros out, and all read what is left out as zero
            if value == before or name in self._line.left_out:
                continue
            if name == "status" and self._line.deleted is not None:
                continue  # a tombstone doesn't say what the status was
            if not self._shows_only(name, value):
                yield Write(name, value, self._over(name))

    def _deletion(self, *, is_edited: bool) -> Write | None:
        given, over = self._line.deleted, self._over("deleted")
        value = renewed(self._live)
        if given == self._base.deleted:
            return Write("deleted", value, over) if is_edited and given is not None and value is not None else None
        told = None if given is None else [given.get(name, "") for name in DELETED_NAMES]
        if self._shows_only("deleted", told):
            return Write("deleted", value, over) if is_edited and value is not None else None
        return Write("deleted", told if told is None else with_seen(told, TO_BE_SEEN), over)

    def _updated_at(self) -> Write | None:
        """The time of the change. A time later than both states is of a change they don't know, and stays."""
        before, value = _register(self._base, "updated_at"), _register(self._line, "updated_at")
        if value == before or self._shows_only("updated_at", value):
            return None
        known = [ns for ns in map(instant_ns, (before, value)) if ns is not None]
        return Write("updated_at", value, self._over("updated_at", lambda other: not _is_later(other, max(known))))

    # -- Sets ----------------------------------------------------------------------------------------------------
    def _elements(self, key: str) -> Iterator[Write]:
        """Removals, additions and replacements in a set."""
        field, elements_of, names_of = _SETS[key]
        before, after = elements_of(self._base), elements_of(self._line)
        if key == "extra":
            after |= {name: element for name, element in before.items() if name in self._line.left_out}
        changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        if not changed:
            return
        held: dict[Hashable, list[Sibling]] = {}
        for sibling in self._live.get(key, ()):
            for name in names_of(sibling):
                held.setdefault(name, []).append(sibling)
        if field not in self._line.left_out:
            gone = [name for name in before if name not in after]
            dots = list(dict.fromkeys(self._dot_of(key, sibling) for name in gone for sibling in held.get(name, ())))
            for start in range(0, len(dots), OVER_PER_KEY):
                yield Write(key, None, dots[start : start + OVER_PER_KEY], removes=True)
        for name, element in after.items():
            siblings = held.get(name, ())
            is_here = key in _NAMED and name not in before and siblings
            is_same = [sibling.value for sibling in siblings] == [element] and not self._gets_stand_in(key, name)
            if name in changed and not is_here and not is_same:
                yield Write(key, element, [self._dot_of(key, sibling) for sibling in siblings])

    def _gets_stand_in(self, key: str, name: Hashable) -> bool:
        """Whether a value kept in `extra` gets a stand-in now: of what was written before that, it would be none."""
        value = self._line.registers.get(str(name)) if key == "extra" else None
        return value is not None and not self._shows_only(str(name), value)


def _register(imported: ImportedIssue, name: str) -> Any:
    return imported.texts.get(name) if name in TEXTS else imported.registers.get(name)


def _is_later(value: Any, than_ns: int) -> bool:
    ns = instant_ns(value)
    return ns is not None and ns > than_ns


# -- Elements by name --------------------------------------------------------------------------------------------
def _labels(imported: ImportedIssue) -> dict[Hashable, str]:
    return {label: label for label in imported.labels}


def _label_names(sibling: Sibling) -> Collection[Hashable]:
    return (sibling.value,) if isinstance(sibling.value, str) else ()


def _edges(imported: ImportedIssue) -> dict[Hashable, list[Any]]:
    return {(edge[0], edge[1]): edge for edge in imported.edges}


def _edge_names(sibling: Sibling) -> Collection[Hashable]:
    value = sibling.value
    return ((value[0], value[1]),) if _is_row(value) and isinstance(value[1], str) else ()


def _comments(imported: ImportedIssue) -> dict[Hashable, list[Any]]:
    return {known_by(*comment): comment for comment in imported.comments}


def _comment_names(sibling: Sibling) -> Collection[Hashable]:
    """With its id, as it is exported; and without it, as a file may tell it that has no ids."""
    shown: list[Comment] = read_comments([sibling])
    return {known_by(*comment) for one in shown for comment in (one, one._replace(id=""))}


def _entries(entries: Mapping[str, str]) -> dict[Hashable, list[str]]:
    return {name: [name, text] for name, text in entries.items()}


def _entry_names(sibling: Sibling) -> Collection[Hashable]:
    return (sibling.value[0],) if _is_row(sibling.value) else ()


def _is_row(value: Any) -> bool:
    return isinstance(value, list | tuple) and len(value) >= 2 and isinstance(value[0], str)


class _Set(NamedTuple):
    """How a file tells the elements of a set apart."""

    field: str
    """The line's name of it; empty where it is no one field."""
    elements_of: Callable[[ImportedIssue], dict[Hashable, Any]]
    """Name → element."""
    names_of: Callable[[Sibling], Collection[Hashable]]
    """By what a live element may be called in a file."""


_SETS: Final = {
    "labels": _Set("labels", _labels, _label_names),
    "edges": _Set("dependencies", _edges, _edge_names),
    "comments": _Set("comments", _comments, _comment_names),
    "metadata": _Set("metadata", lambda imported: _entries(imported.metadata), _entry_names),
    "extra": _Set("", lambda imported: _entries(imported.extra), _entry_names),
}
_NAMED: Final = frozenset({"labels", "edges", "comments"})
"""Sets whose elements are what they are called by: one that is here already needs no second write."""
