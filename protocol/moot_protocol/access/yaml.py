"""Reading the little YAML that access files of other tools are written in, and nothing more of it.

    users:                        or a mapping by name:    users:
      - name: alice                                           alice: {…} in lines, as on the left
        role: admin
        permissions: ["*", 'rig:read']
        restrictions:
          - no:*polecat*

Invariant: what is read means the same to every YAML parser, and what might not is refused with its line. Rules decide
who may do what: a key that stands twice, an anchor, a tag, a tab, a value over several lines are errors, never guesses.
"""

import re
from typing import Any, Final, NamedTuple

from moot_protocol.limits import ACCESS_NESTING
from moot_protocol.text.toml_text import DocumentError

_KEY: Final = re.compile(r"""("[^"\\]*"|'[^']*'|[A-Za-z0-9_][\w./@-]*):(?: ++(.*+))?""", re.ASCII)
_PLAIN: Final = re.compile(r"[A-Za-z_/][^#\[\]{},\"']*")
_QUOTED: Final = re.compile(r"""("[^"\\]*+"|'[^']*+'|[^,\[\]{}"'#]++)\s*+(?:,\s*+|$)""")
_COMMENT: Final = re.compile(r"(?:^|\s)#")
_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_OTHER_TYPES: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
"""Words that some parser or other takes for no text."""


class _Line(NamedTuple):
    number: int
    indent: int
    text: str


def read_yaml(text: str) -> Any:
    """The value of a document: texts, numbers, lists and dicts; an empty dict where it says nothing.

    Raises:
        DocumentError: it isn't written in the part of YAML that is read; says the line.
    """
    lines = [line for number, raw in enumerate(text.split("\n"), start=1) if (line := _line(number, raw))]
    if not lines:
        return {}
    value, end = _block(lines, 0, 0)
    if end < len(lines):
        raise _error(lines[end], "it is indented otherwise than what it belongs to")
    return value


def _line(number: int, raw: str) -> _Line | None:
    raw = raw.rstrip("\r ")
    text = raw.lstrip(" ")
    if not text or text.startswith("#") or (text == "---" and number == 1):
        return None
    line = _Line(number, len(raw) - len(text), text)
    if not raw.isprintable():
        raise _error(line, "it holds a tab or another character that doesn't show")
    return line


def _error(line: _Line, problem: str) -> DocumentError:
    return DocumentError(problem, line=line.number)


def _block(lines: list[_Line], at: int, depth: int) -> tuple[Any, int]:
    """The list or mapping that begins at a line, and where it ends."""
    if depth == ACCESS_NESTING:
        raise _error(lines[at], "it is nested too deeply")
    if _is_item(lines[at].text):
        return _items(lines, at, depth)
    return _mapping(lines, at, depth)


def _is_item(text: str) -> bool:
    return text == "-" or text.startswith("- ")


def _items(lines: list[_Line], at: int, depth: int) -> tuple[list[Any], int]:
    indent, found = lines[at].indent, []
    while at < len(lines) and lines[at].indent == indent and _is_item(lines[at].text):
        line = lines[at]
        rest = line.text[1:].lstrip(" ")
        if _KEY.fullmatch(rest):  # a mapping begins on the item's own line
            lines[at] = _Line(line.number, indent + len(line.text) - len(rest), rest)
            value, at = _mapping(lines, at, depth + 1)
        else:
            value, at = _scalar(line, rest), at + 1
        found.append(value)
    return found, at


def _mapping(lines: list[_Line], at: int, depth: int) -> tuple[dict[str, Any], int]:
    indent = lines[at].indent
    found: dict[str, Any] = {}
    while at < len(lines) and lines[at].indent == indent and not _is_item(lines[at].text):
        line = lines[at]
        parts = _KEY.fullmatch(line.text)
        if parts is None:
            raise _error(line, "it is no `key: value`")
        key, rest = _unquoted(parts[1]), _without_comment(parts[2] or "")
        if key in found:
            raise _error(line, f"{key} stands here twice")
        at += 1
        if rest:
            found[key] = _scalar(line, rest)
        elif at < len(lines) and _belongs(lines[at], indent):
            found[key], at = _block(lines, at, depth + 1)
        else:
            raise _error(line, f"{key} has no value")
    return found, at


def _belongs(line: _Line, indent: int) -> bool:
    """Whether a line is the value of a key above it; items may stand right below their key."""
    return line.indent > indent or (line.indent == indent and _is_item(line.text))


def _without_comment(text: str) -> str:
    if text[:1] in {'"', "'", "["}:
        return text
    comment = _COMMENT.search(text)
    return text[: comment.start()].rstrip() if comment else text


def _scalar(line: _Line, text: str) -> Any:
    if text.startswith("["):
        return _flow(line, text)
    if text[:1] in {'"', "'"}:
        quoted = re.fullmatch(r"""("[^"\\]*"|'[^']*')(?:\s+#.*)?""", text)
        if quoted is None:
            raise _error(line, "its quotes can't be read; escapes are not")
        return _unquoted(quoted[1])
    return _plain(line, _without_comment(text))


def _plain(line: _Line, text: str) -> str | int:
    if _NUMBER.fullmatch(text):
        if len(text) > 1 and text.startswith("0"):
            raise _error(line, f"{text} is another number to some: put it in quotes, or leave the 0 out")
        return int(text)
    if not _PLAIN.fullmatch(text) or ": " in text or text.endswith(":") or text.lower() in _OTHER_TYPES:
        raise _error(line, f"{text or 'nothing'} can't be read as a text: put it in quotes")
    return text


def _flow(line: _Line, text: str) -> list[Any]:
    inner = re.fullmatch(r"\[(.*)\](?:\s+#.*)?", text)
    if inner is None:
        raise _error(line, "a list in brackets ends on its own line")
    found: list[Any] = []
    rest, at = inner[1].strip(), 0
    while at < len(rest):
        part = _QUOTED.match(rest, at)
        if part is None:
            raise _error(line, "its list can't be read")
        word = part[1].rstrip()
        found.append(_unquoted(word) if word[0] in "\"'" else _plain(line, word))
        at = part.end()
    return found


def _unquoted(text: str) -> str:
    return text[1:-1] if text[:1] in {'"', "'"} else text
