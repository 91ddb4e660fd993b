"""Lines of Beads' JSONL files: into an issue's fields, and back into lines. What becomes of them: `writes.py`.

An import loses nothing: what doesn't fit the type of its field, empty values and unknown names included, is kept as
JSON text in `extra`, and an exact document gives it back. What is shown otherwise than it was meant, and what no
command gives, is told as a problem that names line and field (`odd.py`). Only what can't be stored at all is left
out, with a problem, too, and the rest of the line goes in.
"""

import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeGuard

import msgspec

from moot_protocol import limits
from moot_protocol.beads.line_problem import CONFLICT_MARKER, LineProblem
from moot_protocol.beads.odd import (
    comment_oddity,
    edge_oddity,
    id_oddity,
    label_oddity,
    oddity,
    register_oddity,
    shown_instead,
)
from moot_protocol.codec import encode
from moot_protocol.ids import entity_problem
from moot_protocol.issues.issue import CLOSED, LONG_TEXTS, SHAPES, TOMBSTONE, Shape, stand_in
from moot_protocol.issues.settings import STATUSES, TYPES
from moot_protocol.merge.deletion import DELETED_NAMES
from moot_protocol.text import json_text
from moot_protocol.times import is_time


class ImportedIssue(NamedTuple):
    """The fields of one line that can be stored, sorted by how they are kept."""

    id: str
    line: int
    registers: dict[str, Any]
    """Short fields of their expected types, `updated_at` among them; times as the line has them."""
    texts: dict[str, str]
    """description, design, acceptance_criteria, notes."""
    labels: list[str]
    edges: list[list[Any]]
    """Elements as `issue.py` tells them; names that the line left out are empty."""
    comments: list[list[Any]]
    metadata: dict[str, str]
    """Name → JSON text."""
    extra: dict[str, str]
    """Every other name of the line → JSON text."""
    deleted: dict[str, str] | None
    """What a tombstone says of its deletion, by the line's names; None for an issue that isn't one."""
    problems: list[LineProblem]
    left_out: set[str]
    """Names of the line's fields that something of was left out with a problem."""

    @property
    def has_several(self) -> bool:
        """Whether it has a comment, or several elements of some other set-like field."""
        return (
            len(self.labels) > 1
            or len(self.edges) > 1
            or len(self.metadata) > 1
            or len(self.extra) > 1
            or bool(self.comments)
        )


TEXTS: Final = frozenset(LONG_TEXTS)
"""Fields that stand alone in their event."""

_decode_json: Final = msgspec.json.Decoder().decode
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
_MARKERS: Final = (b"<<<<<<<", b"=======", b">>>>>>>", b"|||||||")
_INT_MIN: Final = -(2**63)
_INT_MAX: Final = 2**64 - 1
_NAME_BYTES: Final = dict.fromkeys(
    ("status", "issue_type", "assignee", "owner", "created_by", "deleted_by", "original_type"), limits.NAME_BYTES
)


def parse_line(line: bytes, number: int) -> ImportedIssue | LineProblem | None:
    """Read one line of a file.

    Args:
        line: its bytes, with or without the line's end.
        number: its number in the file, from 1.

    Returns:
        The issue with the problems of single fields; one problem where nothing of the line can be taken in; None for
        an empty line.
    """
    opened = open_line(line, number)
    return opened if opened is None or isinstance(opened, LineProblem) else sort_fields(opened[0], number)


def open_line(line: bytes, number: int) -> tuple[dict[str, Any], bool] | LineProblem | None:
    """Read the object that a line holds.

    Args:
        line: as for `parse_line`.
        number: its number in the file, from 1.

    Returns:
        As `parse_line`, and for an issue its fields as they stand, with whether all text in them is known to be of
        whole characters.
    """
    line = line.removeprefix(_BYTE_ORDER_MARK).strip()
    if not line:
        return None
    if line.startswith(_MARKERS):
        return LineProblem(number, "", CONFLICT_MARKER)
    try:
        data, is_whole = _decode(line)
    except ValueError as error:
        return LineProblem(number, "", str(error))
    if not isinstance(data, dict):
        return LineProblem(number, "", "no JSON object")
    if "id" not in data and data.get("_type") == "memory":
        return LineProblem(number, "", "a memory, not an issue", is_memory=True)
    problem = _id_problem(data)
    return LineProblem(number, "", problem) if problem else (data, is_whole)


def sort_fields(data: dict[str, Any], number: int) -> ImportedIssue:
    """Sort the fields of an issue's line by how they are kept.

    Args:
        data: the fields as `open_line` reads them.
        number: the line's number in the file, from 1.
    """
    return _LineReader(data, number).read()


def export_line(document: dict[str, Any]) -> bytes:
    """A document as a line of a file, without the line's end; equal documents give equal bytes.

    Raises:
        ValueError: it holds what JSON can't; no document that was read from live values does.
    """
    return json_text.to_line(document)


def _decode(line: bytes) -> tuple[Any, bool]:
    """What a line holds, and whether its text is known to be of whole characters."""
    try:
        # Takes a third of the time. What it refuses and JSON's own module doesn't (NaN, half characters) is rare.
        return _decode_json(line), True
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _decode_slowly(line), False


def _decode_slowly(line: bytes) -> Any:
    """What a line holds; says what is wrong in words."""
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 from byte {error.start + 1} on") from None
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" at")
        raise ValueError(f"no JSON, or cut short: {what} at character {error.pos + 1}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError:
        # An integer with more digits than Python reads: its field will be refused, the others are fine.
        return json.loads(text, parse_int=_int_or_nan)


def _int_or_nan(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:
        return float("nan")


def _id_problem(data: dict[str, Any]) -> str | None:
    if "id" not in data:
        return "no id"
    entity = data["id"]
    if not isinstance(entity, str):
        return "an id that is no text"
    return entity_problem(entity)


def _text_problem(text: str, most: int = limits.TEXT_BYTES) -> str | None:
    """Why a text can't be stored in so many bytes, or None."""
    if text.isascii():
        size = len(text)
    else:
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            return "text with half a character (a lone surrogate)"
    return f"{size} bytes where {most} are the limit" if size > most else None


# Whether a value is what a file should have in a field of a shape: of its type, filled and storable.
def _is_filled(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and value != ""


def _is_time(value: Any) -> bool:
    return isinstance(value, str) and is_time(value)


def _is_flag(value: Any) -> bool:
    return value is True


def _is_priority(value: Any) -> bool:
    return type(value) is int and 0 <= value <= limits.LOWEST_PRIORITY


def _is_int(value: Any) -> bool:
    return type(value) is int and _INT_MIN <= value <= _INT_MAX


def _is_minutes(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _INT_MAX


_BY_SHAPE: Final[dict[Shape, Callable[[Any], bool]]] = {
    Shape.TEXT: _is_filled,
    Shape.TIME: _is_time,
    Shape.INT: _is_int,
    Shape.PRIORITY: _is_priority,
    Shape.FLAG: _is_flag,
}
EXPECTED: Final = {name: _BY_SHAPE[shape] for name, shape in SHAPES.items()}
"""By register: whether a value is of its type, filled and storable."""
FITS: Final = {
    name: min(_NAME_BYTES.get(name, limits.TEXT_BYTES), limits.TITLE_CHARS if name == "title" else limits.TEXT_BYTES)
    for name, shape in SHAPES.items()
    if shape is Shape.TEXT
}
"""Characters of ASCII that each text field holds for certain."""
USUAL: Final[dict[str, Callable[[Any], object]]] = {
    "title": str.strip,
    "status": STATUSES.__contains__,
    "issue_type": TYPES.__contains__,
    "assignee": str.isprintable,
    "estimated_minutes": _is_minutes,
}
"""By register: something true of a value that the commands of every project give; false if in doubt.

Of a register of text only its texts are asked about.
"""


class _LineReader:
    """Sorts the fields of one line."""

    def __init__(self, data: dict[str, Any], number: int) -> None:
        self._data = data
        self._status = data.get("status")
        self._field = ""
        deleted: dict[str, str] | None = {} if self._status == TOMBSTONE else None
        self._issue = ImportedIssue(data["id"], number, {}, {}, [], [], [], {}, {}, deleted, [], set())

    def read(self) -> ImportedIssue:
        """Sort all fields."""
        registers, texts = self._issue.registers, self._issue.texts
        self._tell(id_oddity(self._issue.id))
        for name, value in self._data.items():
            # Nearly every field of nearly every line is short plain text, or a time.
            fits = FITS.get(name)
            if (
                fits
                and type(value) is str
                and 0 < len(value) <= fits
                and value.isascii()
                and (name not in USUAL or USUAL[name](value))
            ):
                (texts if name in TEXTS else registers)[name] = value
                continue
            self._field = name
            if name in EXPECTED:
                self._take_register(name, value)
            elif name in self._SPECIAL:
                self._SPECIAL[name](self, value)
            elif name in DELETED_NAMES:
                self._take_deleted(name, value)
            elif name != "id":
                self._keep(name, value)
        return self._issue

    def _report(self, what: str, problem: str) -> None:
        self._issue.problems.append(LineProblem(self._issue.line, self._issue.id, f"{what} left out: {problem}"))
        self._issue.left_out.add(self._field)

    def _tell(self, oddity: str) -> None:
        """Tell of something that is kept; nothing of what isn't odd at all."""
        if oddity:
            self._issue.problems.append(LineProblem(self._issue.line, self._issue.id, oddity, is_kept=True))

    def _keep(self, name: str, value: Any) -> bool:
        """Keep a value that is not what its field expects; whether that was possible."""
        text = self._json(name, value)
        if text is not None:
            self._issue.extra[name] = text
        return text is not None

    def _keep_odd(self, name: str, value: Any) -> None:
        """Keep a value that a known field can't have, and show of it what can be shown."""
        shown = stand_in(name, value)
        if shown is not None:
            self._issue.registers[name] = shown
        if self._keep(name, value):
            self._tell(oddity(name, value, is_deleted=self._issue.deleted is not None))
        elif shown is not None:
            last = self._issue.problems.pop()
            self._issue.problems.append(last._replace(problem=f"{last.problem}; {shown_instead(name, value)}"))

    def _json(self, name: str, value: Any) -> str | None:
        what = f"{name!a:.60}"
        problem = _text_problem(name, limits.NAME_BYTES)
        if problem:
            self._report(what, f"a name with {problem}")
            return None
        try:
            text = json_text.to_text(value)
        except ValueError as error:
            self._report(what, str(error))
            return None
        problem = _text_problem(text)
        if problem:
            self._report(what, problem)
            return None
        return text

    def _take_register(self, name: str, value: Any) -> None:
        if name == "status" and value == TOMBSTONE:
            return
        if not EXPECTED[name](value):
            self._keep_odd(name, value)
        elif name == "closed_at" and self._status != CLOSED:
            self._keep(name, value)
        elif name in FITS:
            self._take_text(name, value)
        else:
            self._issue.registers[name] = value
            if name in USUAL:
                self._tell(register_oddity(name, value))

    def _take_text(self, name: str, text: str) -> None:
        problem = _text_problem(text, _NAME_BYTES.get(name, limits.TEXT_BYTES))
        if name == "title" and (problem or len(text) > limits.TITLE_CHARS):
            self._keep_odd(name, text)
        elif problem:
            self._report(name, problem)
        else:
            (self._issue.texts if name in TEXTS else self._issue.registers)[name] = text
            self._tell(register_oddity(name, text))

    def _take_deleted(self, name: str, value: Any) -> None:
        expected = _is_time if name == "deleted_at" else _is_filled
        if self._issue.deleted is None or not expected(value):
            self._keep(name, value)
            return
        problem = _text_problem(value, _NAME_BYTES.get(name, limits.TEXT_BYTES))
        if problem:
            self._report(name, problem)
        else:
            self._issue.deleted[name] = value

    def _take_labels(self, value: Any) -> None:
        if not isinstance(value, list) or not value:
            self._keep_odd("labels", value)
            return
        met: set[str] = set()  # a line may have any number
        for position, label in enumerate(value, 1):
            problem = _label_problem(label)
            if problem:
                self._report(f"label {position}", problem)
            elif label not in met:
                met.add(label)
                self._issue.labels.append(label)
                if not label.isprintable() or label != label.strip():
                    self._tell(label_oddity(position, label))

    def _take_edges(self, value: Any) -> None:
        if not isinstance(value, list) or not value:
            self._keep_odd("dependencies", value)
            return
        met: dict[tuple[str, str], list[Any]] = {}
        for position, item in enumerate(value, 1):
            what = f"dependency {position}"
            problem = _edge_problem(item)
            if problem:
                self._report(what, problem)
                continue
            extra = dict(item)
            edge = [extra.pop("depends_on_id"), extra.pop("type"), *self._origin(extra, "created_by")]
            edge.append(self._element_extra(extra))
            if met.setdefault((edge[0], edge[1]), edge) != edge:
                self._report(what, "a second one of its type to the same issue")
        for edge in met.values():
            if self._has_room("dependencies", edge):
                self._issue.edges.append(edge)
                self._tell(edge_oddity(self._issue.id, edge[0], edge[1]))

    def _take_comments(self, value: Any) -> None:
        if not isinstance(value, list) or not value:
            self._keep_odd("comments", value)
            return
        met: set[tuple[Any, ...]] = set()
        for position, item in enumerate(value, 1):
            what = f"comment {position}"
            text = item.get("text") if isinstance(item, dict) else None
            problem = _text_problem(text) if isinstance(text, str) else "no text in it"
            if problem:
                self._report(what, problem)
                continue
            extra = dict(item)
            del extra["text"]
            at, author = self._origin(extra, "author")
            name = extra.get("id")
            named = _is_int(name) or (_is_filled(name) and not _text_problem(name, limits.NAME_BYTES))
            name = extra.pop("id") if named else ""
            comment: list[Any] = [text, author, at, name, self._element_extra(extra)]
            alike = (*comment[:-1], *sorted(comment[-1].items()))
            if alike not in met and self._has_room(what, comment):
                met.add(alike)
                self._issue.comments.append(comment)
                self._tell(comment_oddity(position, comment[0]))

    def _origin(self, extra: dict[str, Any], by_name: str) -> tuple[str, str]:
        """Time and author of an element, taken out of it; empty where it doesn't say, or not as expected."""
        if extra.get("issue_id") == self._issue.id:
            del extra["issue_id"]
        at = extra.pop("created_at") if _is_time(extra.get("created_at")) else ""
        by = extra.get(by_name)
        if not _is_filled(by) or _text_problem(by, limits.NAME_BYTES):
            return at, ""
        return at, extra.pop(by_name)

    def _element_extra(self, extra: dict[str, Any]) -> dict[str, str]:
        texts = {name: self._json(name, value) for name, value in extra.items()} if extra else {}
        return {name: text for name, text in texts.items() if text is not None}

    def _has_room(self, what: str, element: list[Any]) -> bool:
        if not element[-1]:
            return True
        size = len(encode(element))
        if size > limits.ELEMENT_BYTES:
            self._report(what, f"{size} bytes in one element where {limits.ELEMENT_BYTES} are the limit")
        return size <= limits.ELEMENT_BYTES

    def _take_metadata(self, value: Any) -> None:
        if not isinstance(value, dict) or not value:
            self._keep_odd("metadata", value)
            return
        for name, item in value.items():
            text = self._json(name, item)
            if text is not None:
                self._issue.metadata[name] = text

    _SPECIAL: Final[dict[str, Callable[["_LineReader", Any], None]]] = {
        "labels": _take_labels,
        "dependencies": _take_edges,
        "comments": _take_comments,
        "metadata": _take_metadata,
    }


def _label_problem(label: Any) -> str | None:
    if not _is_filled(label):
        return "no text, or none in it"
    if len(label) > limits.LABEL_CHARS:
        return f"{len(label)} characters where {limits.LABEL_CHARS} are the limit"
    return _text_problem(label)


def _edge_problem(item: Any) -> str | None:
    if not isinstance(item, dict):
        return "no object"
    to, kind = item.get("depends_on_id"), item.get("type")
    if not isinstance(to, str) or not _is_filled(kind):
        return "no issue that it leads to, or no type"
    if len(kind) > limits.EDGE_TYPE_CHARS:
        return f"a type of {len(kind)} characters where {limits.EDGE_TYPE_CHARS} are the limit"
    return entity_problem(to) or _text_problem(kind)
