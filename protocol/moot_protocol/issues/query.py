"""The query language: `status=open AND (priority<=1 OR label=urgent) AND NOT updated>7d`.

    query       or-part
    or-part     and-part {OR and-part}
    and-part    not-part {AND not-part}
    not-part    NOT not-part | ( or-part ) | field operator value
    operator    =  ==  !=  <  <=  >  >=  ~  !~

Words are read whatever their case. A value is a word, or text in quotes, in which a backslash keeps what follows.
Reading is total: any text gives a tree whose every part can be evaluated, or an error that names the column (from 1)
where it stopped making sense. What a part means is `engine/listing/queries.py`'s.
"""

import re
from enum import Enum
from typing import Final, NamedTuple, NoReturn, TypeAlias

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import QUERY_CHARS, QUERY_NESTING, QUERY_PARTS
from moot_protocol.time_units import DAY_MS, HOUR_MS, MINUTE_MS
from moot_protocol.times import instant_ms

NONE: Final = "none"
"""The value that stands for nothing: nobody, no label, no text."""


class Sort(Enum):
    """What values a field has, and so which operators."""

    WORD = "word"
    """Compared as a whole; `*` stands for anything, `~` looks inside."""
    TEXT = "text"
    """Looked into, case ignored: `=` and `~` are the same."""
    NUMBER = "number"
    TIME = "time"
    FLAG = "flag"


FIELDS: Final[dict[str, Sort]] = {
    "id": Sort.WORD,
    "title": Sort.TEXT,
    "description": Sort.TEXT,
    "design": Sort.TEXT,
    "acceptance": Sort.TEXT,
    "notes": Sort.TEXT,
    "comment": Sort.TEXT,
    "status": Sort.WORD,
    "priority": Sort.NUMBER,
    "type": Sort.WORD,
    "assignee": Sort.WORD,
    "owner": Sort.WORD,
    "creator": Sort.WORD,
    "label": Sort.WORD,
    "project": Sort.WORD,
    "parent": Sort.WORD,
    "spec": Sort.WORD,
    "ref": Sort.WORD,
    "reason": Sort.TEXT,
    "created": Sort.TIME,
    "updated": Sort.TIME,
    "started": Sort.TIME,
    "closed": Sort.TIME,
    "due": Sort.TIME,
    "defer": Sort.TIME,
    "estimate": Sort.NUMBER,
    "pinned": Sort.FLAG,
    "ephemeral": Sort.FLAG,
    "template": Sort.FLAG,
    "blocked": Sort.FLAG,
    "mol_type": Sort.WORD,
}
"""Every field by its name. `metadata.KEY` is one more for each key, compared as a word."""

_ALIASES: Final = {
    "desc": "description", "body": "description", "acceptance_criteria": "acceptance", "note": "notes",
    "comments": "comment", "issue_type": "type", "labels": "label", "created_by": "creator", "author": "creator",
    "spec_id": "spec", "external_ref": "ref", "close_reason": "reason", "created_at": "created",
    "updated_at": "updated", "started_at": "started", "closed_at": "closed", "due_at": "due", "defer_until": "defer",
    "deferred": "defer", "estimated_minutes": "estimate", "is_template": "template",
}  # fmt: skip
METADATA: Final = "metadata."
_OPERATORS: Final = {
    Sort.WORD: ("=", "!=", "~", "!~"),
    Sort.TEXT: ("=", "!=", "~", "!~"),
    Sort.NUMBER: ("=", "!=", "<", "<=", ">", ">="),
    Sort.TIME: ("=", "!=", "<", "<=", ">", ">="),
    Sort.FLAG: ("=", "!="),
}
_EQUALITY: Final = frozenset({"=", "!="})
_FLAGS: Final = {"true": 1, "yes": 1, "1": 1, "false": 0, "no": 0, "0": 0}
_UNITS: Final = {"min": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": 7 * DAY_MS, "m": 30 * DAY_MS, "y": 365 * DAY_MS}
_DAYS: Final = {"yesterday": -1, "today": 0, "tomorrow": 1}
_AMOUNT: Final = re.compile(r"([+-]?)(\d{1,6})(min|[hdwmy])", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TOKEN: Final = re.compile(
    r"""\s*(?:(?P<parenthesis>[()])|(?P<operator>!=|<=|>=|==|!~|[=<>~])|(?P<quoted>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<word>[^\s()=<>~!"']+))""",
    re.DOTALL,
)
_BOOLEAN: Final = frozenset({"AND", "OR", "NOT"})


class Moment(NamedTuple):
    """A time in a query: an instant, or one that lies so far from now or from the beginning of today (UTC)."""

    ms: int
    since: str = ""
    """Empty: since 1970; `now`; `today`."""

    def at(self, now_ms: int) -> int:
        """The instant, in milliseconds since 1970."""
        start = {"": 0, "now": now_ms, "today": now_ms - now_ms % DAY_MS}[self.since]
        return start + self.ms


Value: TypeAlias = str | int | Moment


class Compare(NamedTuple):
    """One comparison of a field with a value that fits it."""

    field: str
    operator: str
    value: Value
    text: str
    """The value as it was written."""
    column: int


class Not(NamedTuple):
    """What a part doesn't say."""

    part: "Node"


class And(NamedTuple):
    """All of the parts."""

    parts: "tuple[Node, ...]"


class Or(NamedTuple):
    """Any of the parts."""

    parts: "tuple[Node, ...]"


Node: TypeAlias = Compare | Not | And | Or


class _Token(NamedTuple):
    kind: str
    """parenthesis, operator, quoted, word, or end."""
    text: str
    column: int


def parse(text: str) -> Node:
    """Read a query.

    Raises:
        RefusedError: `usage`, telling the column; `limit`.
    """
    if len(text) > QUERY_CHARS:
        raise RefusedError(f"a query of {len(text)} characters; at most {QUERY_CHARS}", code=Code.LIMIT)
    reader = _Reader(_tokens(text))
    tree = reader.either(0)
    reader.end()
    return tree


def show(node: Node) -> str:
    """A tree as a query that reads as the same tree, with every parenthesis written."""
    if isinstance(node, Compare):
        return f"{node.field}{node.operator}{_quoted(node.text)}"
    if isinstance(node, Not):
        return f"NOT {show(node.part)}"
    word = " AND " if isinstance(node, And) else " OR "
    return f"({word.join(show(part) for part in node.parts)})"


def mentions(node: Node, *fields: str) -> bool:
    """Whether a query asks for one of these fields anywhere."""
    if isinstance(node, Compare):
        return node.field in fields
    parts = (node.part,) if isinstance(node, Not) else node.parts
    return any(mentions(part, *fields) for part in parts)


def _quoted(text: str) -> str:
    match = _TOKEN.fullmatch(text)
    if match is not None and match["word"] == text and text.upper() not in _BOOLEAN:
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _wrong(problem: str, column: int) -> RefusedError:
    return RefusedError(
        f"column {column}: {problem}",
        code=Code.USAGE,
        hint="such as `status=open AND priority<=1`; see `moot help query`",
    )


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None or match.lastgroup is None:
            column = at + len(text[at:]) - len(text[at:].lstrip()) + 1
            what = (
                "a quote that doesn't end" if text[column - 1] in "\"'" else f"{text[column - 1]!r} makes no sense here"
            )
            raise _wrong(what, column)
        kind = match.lastgroup
        found.append(_Token(kind, match[kind], match.start(kind) + 1))
        at = match.end()
    return [*found, _Token("end", "", end + 1)]


class _Reader:
    """Reads tokens from left to right."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._parts = 0

    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next()
        self._at += token.kind != "end"
        return token

    def _is(self, word: str) -> bool:
        token = self._next()
        return token.kind == "word" and token.text.upper() == word

    def _fail(self, expected: str) -> NoReturn:
        token = self._next()
        found = f"not {token.text!r}" if token.text else "but the query ends"
        raise _wrong(f"expected {expected}, {found}", token.column)

    def end(self) -> None:
        """Make sure that nothing is left."""
        if self._next().kind != "end":
            self._fail("AND, OR or the end")

    def either(self, depth: int) -> Node:
        """Parts with OR between them."""
        parts = [self._both(depth)]
        while self._is("OR"):
            self._take()
            parts.append(self._both(depth))
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _both(self, depth: int) -> Node:
        parts = [self._part(depth)]
        while self._is("AND"):
            self._take()
            parts.append(self._part(depth))
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _part(self, depth: int) -> Node:
        token = self._next()
        if depth > QUERY_NESTING:
            raise _wrong(f"more than {QUERY_NESTING} levels of parentheses and NOT", token.column)
        if self._is("NOT"):
            self._take()
            return Not(self._part(depth + 1))
        if token.text == "(" and token.kind == "parenthesis":
            self._take()
            inner = self.either(depth + 1)
            if self._next().text != ")":
                self._fail("AND, OR or `)`")
            self._take()
            return inner
        if token.kind != "word" or token.text.upper() in _BOOLEAN:
            self._fail("a field")
        return self._comparison()

    def _comparison(self) -> Compare:
        name = self._take()
        field, sort = _field(name)
        if self._next().kind != "operator":
            self._fail(f"an operator ({' '.join(_OPERATORS[sort])})")
        operator = self._take()
        sign = "=" if operator.text == "==" else operator.text
        if sign not in _OPERATORS[sort]:
            raise _wrong(f"{field} is compared with {' '.join(_OPERATORS[sort])}, not {sign}", operator.column)
        value = self._next()
        if value.kind not in {"word", "quoted"}:
            self._fail("a value")
        self._take()
        text = re.sub(r"\\(.)", r"\1", value.text[1:-1], flags=re.DOTALL) if value.kind == "quoted" else value.text
        if sort is Sort.TIME and text.lower() == NONE and sign not in _EQUALITY:
            raise _wrong(f"{NONE} is compared with = and != only", operator.column)
        self._parts += 1
        if self._parts > QUERY_PARTS:
            raise _wrong(f"more than {QUERY_PARTS} comparisons", name.column)
        return Compare(field, sign, _value(field, sort, text, value.column), text, name.column)


def _field(token: _Token) -> tuple[str, Sort]:
    name = token.text.lower()
    if name.startswith(METADATA) and len(name) > len(METADATA):
        return METADATA + token.text[len(METADATA) :], Sort.WORD
    field = _ALIASES.get(name, name)
    if field not in FIELDS:
        raise _wrong(f"{token.text!r} is no field; there are {', '.join(FIELDS)} and {METADATA}KEY", token.column)
    return field, FIELDS[field]


def _value(field: str, sort: Sort, text: str, column: int) -> Value:
    if sort is Sort.NUMBER:
        digits = text.upper().removeprefix("P") if field == "priority" else text
        if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
            raise _wrong(f"{text!r} is no number", column)
        return int(digits)
    if sort is Sort.FLAG:
        if text.lower() not in _FLAGS:
            raise _wrong(f"{text!r} is neither true nor false", column)
        return _FLAGS[text.lower()]
    if sort is Sort.TIME and text.lower() != NONE:
        moment = _moment(text)
        if moment is None:
            raise _wrong(f"{text!r} is no time: write 7d (ago), +7d (ahead), today, 2026-01-31 or RFC 3339", column)
        return moment
    return text


def _moment(text: str) -> Moment | None:
    word = text.lower()
    if word == "now":
        return Moment(0, "now")
    if word in _DAYS:
        return Moment(_DAYS[word] * DAY_MS, "today")
    amount = _AMOUNT.fullmatch(word)
    if amount is not None:
        sign, digits, unit = amount.groups()
        return Moment((1 if sign == "+" else -1) * int(digits) * _UNITS[unit], "now")
    ms = instant_ms(f"{text}T00:00:00Z" if _DATE.fullmatch(text) else text)
    return None if ms is None else Moment(ms)
