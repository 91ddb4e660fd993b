"""A merge of three states of a Beads file by issue and field, with no log beside them: what git calls for such a file.

Invariant: the result is whole lines of JSON, whatever the three hold. An issue that one side changed has that side's
line, byte for byte. One that both changed has every field that either changed; where both changed a field to different
values its policy decides (`kinds.py`), and where that leaves it open the newer side is shown and the field listed. A
line that one side took away is gone, unless the other changed it: then it stays and that is listed.
"""

import json
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from moot_protocol.beads.line_problem import LineProblem
from moot_protocol.beads.lines import parse_line
from moot_protocol.issues.issue import CLOSED, TOMBSTONE
from moot_protocol.merge.kinds import ISSUE, Policy, field_of
from moot_protocol.mirrors.lines import joined, split
from moot_protocol.mirrors.writing import placed
from moot_protocol.text import json_text
from moot_protocol.text.merge import merge3
from moot_protocol.times import instant_ns

Line = dict[str, Any]
GONE: Final = "deleted"
"""As the name of a disagreement: one side deleted the issue, the other changed it."""
_CLOSING: Final = ("closed_at", "close_reason", "closed_by_session")
_DELETION: Final = ("deleted_at", "deleted_by", "delete_reason", "original_type")


_DERIVED: Final = ("updated_at", "content_hash")
"""Fields that follow from the others, or from when they were written."""
_UNDISPUTED: Final = frozenset({*_DELETION, "content_hash"})
"""Fields whose newer value is as good as both."""


class Disagreement(NamedTuple):
    """A field that both sides changed to different values."""

    id: str
    field: str
    """Its name in the line; `metadata.NAME` for an entry, `deleted` for an issue deleted on one side only."""
    ours: Any
    theirs: Any


class Unread(NamedTuple):
    """A line of one side that can't be read, and so isn't in the result."""

    is_ours: bool
    line: int
    problem: str


class Merged(NamedTuple):
    """What came of a merge."""

    content: bytes
    disagreements: list[Disagreement]
    unread: list[Unread]
    """Those that the base doesn't have."""
    known: list[Unread]
    """Those that all three have; on our side."""

    @property
    def is_clean(self) -> bool:
        """Whether nobody has to look at it."""
        return not self.disagreements and not self.unread


class _File(NamedTuple):
    lines: dict[str, bytes]
    """Name -> line: the first of its issue, or of its memory, or the line itself if it is some other JSON object."""
    bad: dict[bytes, tuple[int, str]]
    """Line -> its number, and what is wrong with it."""


def merge(base: bytes, ours: bytes, theirs: bytes) -> Merged:
    """Merge three states of a file.

    Args:
        base: what both sides began with; empty where there was no such file.
        ours: one side; its order of lines is kept.
        theirs: the other side.
    """
    files = [_read(content) for content in (base, ours, theirs)]
    merging = _Merging(*files)
    merged = {name: line for name in _names(files) if (line := merging.line(name)) is not None}
    own = [(name, merged.pop(name)) for name in files[1].lines if name in merged]
    end = b"" if ours and not ours.endswith(b"\n") else b"\n"
    lines = placed([*own, (None, b"")], sorted(merged.items()))
    content = joined(lines) if len(lines) > 1 else b""
    shown = content if end or not content else content[:-1]
    return Merged(shown, merging.disagreements, list(_unread(*files)), list(_known(*files)))


def _names(files: list[_File]) -> Iterator[str]:
    seen: dict[str, None] = {}
    for file in files:
        seen |= dict.fromkeys(file.lines)
    yield from seen


def _unread(base: _File, ours: _File, theirs: _File) -> Iterator[Unread]:
    for is_ours, file in ((True, ours), (False, theirs)):
        for line, (number, problem) in file.bad.items():
            if line not in base.bad:
                yield Unread(is_ours, number, problem)


def _known(base: _File, ours: _File, theirs: _File) -> Iterator[Unread]:
    for line, (number, problem) in ours.bad.items():
        if line in base.bad and line in theirs.bad:
            yield Unread(True, number, problem)


def _read(content: bytes) -> _File:
    file = _File({}, {})
    for number, raw in enumerate(split(content), start=1):
        line = raw.removesuffix(b"\r")
        if not line.strip():
            continue
        name = _name(line, number)
        if isinstance(name, LineProblem):
            file.bad.setdefault(line, (number, name.problem))
        elif name in file.lines and file.lines[name] != line:
            file.bad.setdefault(line, (number, f"a second line of {name}"))
        else:
            file.lines[name] = line
    return file


def _name(line: bytes, number: int) -> str | LineProblem:
    parsed = parse_line(line, number)
    if parsed is None or not isinstance(parsed, LineProblem):
        return "" if parsed is None else parsed.id
    try:
        data = json.loads(line)
    except ValueError:
        return parsed
    if not isinstance(data, dict):
        return parsed
    key = data.get("key")
    return f"\0memory {key}" if data.get("_type") == "memory" and isinstance(key, str) else f"\0{line!r}"


class _Merging:
    def __init__(self, base: _File, ours: _File, theirs: _File) -> None:
        self._base = base
        self._sides = (ours, theirs)
        self.disagreements: list[Disagreement] = []

    def line(self, name: str) -> bytes | None:
        """The merged line of an issue; None where it is gone."""
        base = self._base.lines.get(name)
        ours, theirs = (self._side(name, base, file) for file in self._sides)
        if ours in (theirs, base):
            return theirs
        if theirs == base:
            return ours
        try:
            states = [json.loads(line or b"{}") for line in (base, ours, theirs)]
        except ValueError:
            self._disagree(name, "", *((line or b"").decode(errors="replace") for line in (ours, theirs)))
            return ours or theirs
        if ours is None or theirs is None:
            return self._without(name, states, ours, theirs)
        return self._merged(name, *states, fallback=ours)

    def _without(self, name: str, states: list[Line], ours: bytes | None, theirs: bytes | None) -> bytes | None:
        """The line of an issue that one side took away, and the other changed."""
        left = states[1] or states[2]
        if not _is_edited(states[0], left):
            return None
        if left.get("status") != TOMBSTONE:
            self._disagree(name, GONE, ours is None, theirs is None)
        return ours or theirs

    def _side(self, name: str, base: bytes | None, file: _File) -> bytes | None:
        """A side's line. What a side with lines that can't be read lacks may only seem to be missing."""
        line = file.lines.get(name)
        return base if line is None and file.bad.keys() - self._base.bad.keys() else line

    def _disagree(self, name: str, field: str, ours: Any, theirs: Any) -> None:
        self.disagreements.append(Disagreement(name, field, ours, theirs))

    def _merged(self, name: str, base: Line, ours: Line, theirs: Line, *, fallback: bytes) -> bytes:
        issue = _Issue(base, ours, theirs)
        document = issue.merged()
        for field, values in issue.disagreements.items():
            self._disagree(name, field, *values)
        try:
            return json_text.to_line(document)
        except ValueError:
            self._disagree(name, "", "a value that is no JSON", "")
            return fallback


class _Issue:
    """One issue that both sides changed."""

    def __init__(self, base: Line, ours: Line, theirs: Line) -> None:
        self._base, self._ours, self._theirs = base, ours, theirs
        times = [instant_ns(line.get("updated_at")) or 0 for line in (ours, theirs)]
        self._newer_is_ours = times[0] >= times[1]
        self.disagreements: dict[str, tuple[Any, Any]] = {}

    def merged(self) -> Line:
        """The merged document, its names in the newer side's order."""
        first, second = (self._ours, self._theirs) if self._newer_is_ours else (self._theirs, self._ours)
        document: Line = {}
        for field in dict.fromkeys([*first, *second]):
            value = self._value(field)
            if value is not None or (field in first and first[field] is None):
                document[field] = value
        self._settle_status(document)
        return document

    def _value(self, field: str) -> Any:
        base, ours, theirs = (line.get(field) for line in (self._base, self._ours, self._theirs))
        if field in _SETS and all(value is None or isinstance(value, list) for value in (base, ours, theirs)):
            return _merged_set(field, base or [], ours or [], theirs or [])
        if field == "metadata" and all(value is None or isinstance(value, dict) for value in (base, ours, theirs)):
            return self._metadata(base or {}, ours or {}, theirs or {})
        return self._chosen(field, base, ours, theirs)

    def _chosen(self, field: str, base: Any, ours: Any, theirs: Any, *, is_entry: bool = False) -> Any:
        """One value of three."""
        if field == "priority" and base is not None:
            # Some versions of Beads leave zeros out, and all read what is left out as zero.
            ours, theirs = (0 if value is None else value for value in (ours, theirs))
        if _same(ours, theirs) or _same(theirs, base):
            return ours
        if _same(ours, base):
            return theirs
        if field in _UNDISPUTED:
            return ours if self._newer_is_ours else theirs
        decided = None if is_entry else self._by_policy(field, base, ours, theirs)
        if decided is not None:
            return decided
        if is_entry and None in (ours, theirs):
            return theirs if ours is None else ours  # a change wins over a removal, as in every set
        self.disagreements[field] = ours, theirs
        newer, older = (ours, theirs) if self._newer_is_ours else (theirs, ours)
        return older if newer is None else newer

    def _by_policy(self, field: str, base: Any, ours: Any, theirs: Any) -> Any:
        """What a field's policy makes of two changes; None where people have to say."""
        policy = field_of(ISSUE, field).policy
        if policy is Policy.MAXIMUM:
            return max(ours, theirs, key=_size)
        if policy is Policy.EARLIEST and ours and theirs:
            return theirs if self._newer_is_ours else ours
        if policy is Policy.TEXT and isinstance(ours, str) and isinstance(theirs, str):
            return merge3(base if isinstance(base, str) else "", ours, theirs)
        return None

    def _metadata(self, base: Line, ours: Line, theirs: Line) -> Line | None:
        found: Line = {}
        for name in dict.fromkeys([*ours, *theirs]):
            before, our, their = (entries.get(name) for entries in (base, ours, theirs))
            value = self._chosen(f"metadata.{name}", before, our, their, is_entry=True)
            if value is not None:
                found[name] = value
        return found or None

    def _settle_status(self, document: Line) -> None:
        """What goes with a status goes with the one that is shown; one deletion against edits is a disagreement."""
        status = document.get("status")
        if status != CLOSED:
            for field in _CLOSING:
                if not self._both(field):
                    document.pop(field, None)
        deleted = [line.get("status") == TOMBSTONE for line in (self._ours, self._theirs)]
        if status != TOMBSTONE and any(deleted):
            for field in _DELETION:
                document.pop(field, None)
        if self._base and deleted[0] != deleted[1] and self._base.get("status") != TOMBSTONE:
            self.disagreements.pop("status", None)
            edited = self._theirs if deleted[0] else self._ours
            if _is_edited(self._base, edited):
                self.disagreements[GONE] = deleted[0], deleted[1]

    def _both(self, field: str) -> bool:
        """Whether a side that isn't closed has it all the same."""
        return any(line.get("status") != CLOSED and field in line for line in (self._ours, self._theirs))


def _is_edited(base: Line, line: Line) -> bool:
    """Whether a side changed more than what follows from other fields."""
    unseen = dict.fromkeys(_DERIVED)
    return _text({**line, **unseen}) != _text({**base, **unseen})


def _size(value: Any) -> tuple[int, float]:
    at = instant_ns(value) if isinstance(value, str) else None
    if at is not None:
        return 1, at
    return (1, value) if isinstance(value, int | float) else (0, 0)


def _edge_name(edge: Any) -> Hashable:
    return edge["depends_on_id"], edge["type"]


def _comment_name(comment: Any) -> Hashable:
    return (str(comment["id"]), comment.get("text")) if comment.get("id") else _text(comment)


_SETS: Final[dict[str, Callable[[Any], Hashable]]] = {
    "labels": str,
    "dependencies": _edge_name,
    "comments": _comment_name,
}
"""Fields that are sets, and what makes an element of each the same."""


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _same(one: Any, other: Any) -> bool:
    """Whether two values are one; what is cleared and what was never there are."""
    empty = (None, "")
    if one in empty and other in empty:
        return True
    return type(one) is type(other) and _text(one) == _text(other)


def _merged_set(field: str, base: list[Any], ours: list[Any], theirs: list[Any]) -> list[Any] | None:
    """Elements of a set: adds win, a removal takes away what the other side left as it was."""
    before, our, their = (_by_name(field, elements) for elements in (base, ours, theirs))
    found = []
    for name in dict.fromkeys([*our, *their]):
        was, own, other = (side.get(name) for side in (before, our, their))
        if own is None or other is None:
            kept = other if own is None else own
            if kept != was:
                found.append(kept)
        else:
            found.append(other if own == was else own)
    return found or None


def _by_name(field: str, elements: list[Any]) -> Mapping[Hashable, Any]:
    found: dict[Hashable, Any] = {}
    for element in elements:
        try:
            name = _SETS[field](element)
            hash(name)
        except (KeyError, TypeError, AttributeError):
            name = _text(element)
        found.setdefault(name, element)
    return found
