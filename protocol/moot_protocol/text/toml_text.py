"""TOML: reading what somebody wrote, where every error names the line or the field, and quoting texts to be read again.

Where a value stands is found without guessing: the parser tells the line of what is no TOML; of what is TOML and yet
wrong the path of the field is told, and the line of its `[[table]]` where that is certain.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from typing import Any, Final

from moot_protocol.errors import RefusedError
from moot_protocol.limits import TOML_DIGITS, TOML_KEY_PARTS, TOML_NESTING

_PLACE: Final = re.compile(r" \(at line (\d+), column (\d+)\)$")
_PART: Final = r"""(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"?|'[^'\n]*+'?)"""
"""A bare word or a string of one line. Nothing here asks for an end: so nothing is gone through twice."""
_DOTTED: Final = rf"[ \t]*+\.[ \t]*+{_PART}"
_PIECE: Final = re.compile(
    r""""{3}(?:[^"\\]|\\[\s\S]|"(?!""))*+(?:"{3,5})?"""
    r"""|'{3}(?:[^']|'(?!''))*+(?:'{3,5})?"""
    rf"|#[^\n]*+|{_PART}(?:{_DOTTED}){{0,{TOML_KEY_PARTS - 1}}}+(?P<more>{_DOTTED})?+"
    r"|(?P<opens>[\[{])|(?P<closes>[\]}])"
)
"""What TOML is made of, as far as it matters how long a key or a number and how deep a value is."""
_NUMBER: Final = re.compile(r"-?[0-9][0-9_]*+(?![ \t]*=)")
"""A decimal whole number, which may yet be a key: its digits without the underscores between them count."""
_NAMES: Final[dict[type, str]] = {str: "text", int: "a whole number", bool: "true or false", dict: "a table"}


class DocumentError(RefusedError):
    """A text that is not what its kind asks for.

    Args:
        problem: what is wrong, in words.
        field: the path of the field, or empty.
        line: the line, from 1, or 0 where it isn't known.
    """

    def __init__(self, problem: str, *, field: str = "", line: int = 0) -> None:
        place = ", ".join(filter(None, (f"line {line}" if line else "", field)))
        super().__init__(f"{place}: {problem}" if place else problem)
        self.problem = problem
        self.field = field
        self.line = line


def quoted(text: str) -> str:
    """A text as a basic string: JSON's, with characters beyond the first plane as they are, and DEL escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def read_toml(text: str, lines_before: int = 0) -> dict[str, Any]:
    """The top table of a TOML text.

    Args:
        text: the TOML.
        lines_before: how many lines stand before it in the document.

    Raises:
        DocumentError: it is no TOML, or TOML that would take for ever to be read; says the line.
    """
    _refuse_endless(text, lines_before)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise DocumentError("it is nested too deeply to be read") from None
    except ValueError as error:  # also digits beyond what Python reads, before something that makes them no number
        is_told = isinstance(error, tomllib.TOMLDecodeError)
        told = str(error) if is_told else f"a number of more than {TOML_DIGITS} digits"
        place = _PLACE.search(told)
        line = int(place[1]) + lines_before if place else 0
        problem = _PLACE.sub("", told)
        raise DocumentError(f"it is no TOML: {problem[:1].lower()}{problem[1:]}", line=line) from None


def _refuse_endless(text: str, lines_before: int) -> None:
    """Refuse what would take for ever to be read, in time that grows with the text alone.

    That is a key of too many parts, a value that is nested too deeply, a whole number of too many digits.
    """
    depth = 0
    for piece in _PIECE.finditer(text):
        depth += (piece["opens"] is not None) - (piece["closes"] is not None)
        problem = _endless(text, piece, depth)
        if problem:
            raise DocumentError(problem, line=text.count("\n", 0, piece.start()) + 1 + lines_before)


def _endless(text: str, piece: re.Match[str], depth: int) -> str:
    """What of a piece would take for ever, if anything."""
    if piece["more"] is not None:
        return f"a key of more than {TOML_KEY_PARTS} parts"
    if depth > TOML_NESTING:
        return "it is nested too deeply to be read"
    if piece.end() - piece.start() > TOML_DIGITS:
        number = _NUMBER.match(text, piece.start())
        if number and number.end() == piece.end() and sum(map(str.isdigit, number[0])) > TOML_DIGITS:
            return f"a number of more than {TOML_DIGITS} digits"
    return ""


class Table:
    """A table of a TOML document, whose fields are taken one by one with the type they must have.

    Args:
        content: the table.
        path: what leads to it, for errors.
        line: the line it begins at, or 0.
    """

    def __init__(self, content: Mapping[str, Any], path: str = "", line: int = 0) -> None:
        self._content = content
        self._path = path
        self.line = line
        self._taken: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._content

    def error(self, name: str, problem: str) -> DocumentError:
        """The error for one of its fields; for the table itself where no name is given."""
        return DocumentError(problem, field=".".join(filter(None, (self._path, name))), line=self.line)

    def _take(self, name: str, shape: type) -> Any:
        """A field of this type; None where it is absent."""
        self._taken.add(name)
        value = self._content.get(name)
        # In Python true is a number; in TOML it isn't.
        if value is not None and not (isinstance(value, shape) and (shape is bool or not isinstance(value, bool))):
            raise self.error(name, f"it must be {_NAMES[shape]}")
        return value

    def text(self, name: str) -> str:
        """A text; empty where it is absent."""
        return self._take(name, str) or ""

    def number(self, name: str) -> int | None:
        """A whole number, or None."""
        value: int | None = self._take(name, int)
        return value

    def flag(self, name: str) -> bool:
        """Whether a field is true."""
        return bool(self._take(name, bool))

    def any(self, name: str) -> Any:
        """A field of any type, or None."""
        self._taken.add(name)
        return self._content.get(name)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; empty where it is absent."""
        value = self.any(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self.error(name, "it must be a list of texts")
        return tuple(value)

    def table(self, name: str) -> "Table":
        """A table inside this one; an empty one where it is absent."""
        return Table(self._take(name, dict) or {}, self._below(name), self.line)

    def tables(self, name: str, lines: list[int] | None = None) -> list["Table"]:
        """An array of tables; empty where it is absent.

        Args:
            name: the field.
            lines: the line of each, where that is known.
        """
        value = self.any(name)
        if value is None:
            return []
        if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
            raise self.error(name, f"it must be tables, each begun with [[{self._below(name)}]]")
        known = lines if lines is not None and len(lines) == len(value) else [self.line] * len(value)
        return [
            Table(each, f"{self._below(name)}[{place}]", line)
            for place, (each, line) in enumerate(zip(value, known, strict=True))
        ]

    def _below(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def named_texts(self, name: str) -> dict[str, str]:
        """A table whose every value is a text."""
        table = self.table(name)
        return {each: table.text(each) for each in table.names()}

    def names(self) -> list[str]:
        """The names of its fields, in order."""
        return list(self._content)

    def others(self) -> dict[str, Any]:
        """The fields that nobody has taken."""
        return {name: value for name, value in self._content.items() if name not in self._taken}


def lines_of_tables(text: str, name: str) -> list[int]:
    """The lines that read `[[name]]`.

    As many as the array has tables means that each is the line of one: there can't be fewer, and where text inside a
    string reads the same there are more.
    """
    header = re.compile(rf"\s*\[\[\s*{re.escape(name)}\s*\]\]")
    return [number for number, line in enumerate(text.split("\n"), start=1) if header.match(line)]
