r"""Regular expressions of people, matched in time that grows with the text alone (Thompson 1968, as RE2 does it).

Invariant: an expression can't hold up whoever asks for it: all ways to match are followed at once, a character at a
time, and an expression that would need too many steps for one is refused. There are alternatives, groups, classes, the
repetitions `*`, `+`, `?` and `{m,n}`, `^`, `$`, `.`, and `\d`, `\w`, `\s`; nothing refers back, nothing looks ahead.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple, NoReturn

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import PATTERN_NESTING, PATTERN_STEPS

_SHORTHANDS: Final = {letter: re.compile(f"\\{letter}", re.DOTALL).fullmatch for letter in "dwsDWS"}
_ESCAPES: Final = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v"}
_COUNT: Final = re.compile(r"\{(\d{1,4})(,(\d{0,4}))?\}", re.ASCII)

Fits = Callable[[str], object]
"""Whether a character does."""


class _Step(NamedTuple):
    """An instruction: a character that has to fit, a place that has to be at an end, or two ways to go on."""

    fits: Fits | None = None
    end: str = ""
    """`^` or `$`."""
    ways: tuple[int, ...] = ()
    """How far the instructions are with which it goes on; empty: with the next one."""


class _Parser:
    """Reads an expression into instructions; each of its methods reads one thing from where the last has ended.

    Args:
        pattern: the expression.
    """

    def __init__(self, pattern: str) -> None:
        self._text = pattern
        self._at = 0
        self._depth = 0

    def read(self) -> list[_Step]:
        code = self._alternatives()
        if self._at < len(self._text):
            self._fail("a ) too many")
        return code

    def _fail(self, what: str) -> NoReturn:
        raise RefusedError(f"{self._text!r} is no regular expression: {what}", code=Code.INVALID)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        found = self._peek()
        self._at += 1
        return found

    def _alternatives(self) -> list[_Step]:
        code = self._sequence()
        while self._peek() == "|":
            self._at += 1
            other = self._sequence()
            code = [_Step(ways=(1, len(code) + 2)), *code, _Step(ways=(len(other) + 1,)), *other]
            _check_size(len(code))
        return code

    def _sequence(self) -> list[_Step]:
        code: list[_Step] = []
        while self._peek() not in {"", "|", ")"}:
            code += self._repeated(self._atom())
            _check_size(len(code))
        return code

    def _repeated(self, code: list[_Step]) -> list[_Step]:
        while (sign := self._peek()) in {"*", "+", "?", "{"}:
            least, most = {"*": (0, None), "+": (1, None), "?": (0, 1)}.get(sign, (0, 0))
            if sign == "{":
                least, most = self._counts()
            else:
                self._at += 1
            if self._peek() == "?":  # as few as possible: whether anything matches is the same
                self._at += 1
            _check_size(len(code) * max(least, most or 1))
            maybe = [_Step(ways=(1, len(code) + 1)), *code]
            again = [_Step(ways=(1, len(code) + 2)), *code, _Step(ways=(-len(code) - 1,))]
            code = code * least + (again if most is None else maybe * (most - least))
        return code

    def _counts(self) -> tuple[int, int | None]:
        found = _COUNT.match(self._text, self._at)
        if found is None:
            self._fail("{ stands for itself as \\{")
        self._at = found.end()
        least = int(found[1])
        most = least if found[2] is None else int(found[3]) if found[3] else None
        if most is not None and most < least:
            self._fail("the least of {m,n} comes first")
        return least, most

    def _atom(self) -> list[_Step]:
        sign = self._take()
        if sign == "(":
            return self._group()
        if sign == "[":
            return [_Step(self._class())]
        if sign == ".":
            return [_Step(lambda character: character != "\n")]
        if sign in {"^", "$"}:
            return [_Step(end=sign)]
        if sign == "\\":
            return [_Step(self._escaped())]
        if sign in {"*", "+", "?", "{"}:
            self._fail(f"nothing stands before {sign}")
        return [_Step(sign.__eq__)]

    def _group(self) -> list[_Step]:
        if self._text.startswith("?:", self._at):
            self._at += 2
        elif self._peek() == "?":
            self._fail("groups are plain, or begin with ?:")
        self._depth += 1
        if self._depth > PATTERN_NESTING:
            self._fail("too many groups within groups")
        code = self._alternatives()
        if self._take() != ")":
            self._fail("a ) is missing")
        self._depth -= 1
        return code

    def _escaped(self) -> Fits:
        letter = self._take()
        if letter in _SHORTHANDS:
            return _SHORTHANDS[letter]
        if not letter or (letter.isalnum() and letter not in _ESCAPES):
            self._fail(f"\\{letter} means nothing here")
        return _ESCAPES.get(letter, letter).__eq__

    def _class(self) -> Fits:
        is_without = self._peek() == "^"
        self._at += is_without
        parts: list[Fits] = []
        while self._peek() != "]" or not parts:
            sign = self._take()
            if not sign:
                self._fail("a ] is missing")
            if sign == "\\" and self._peek() in _SHORTHANDS:
                parts.append(self._escaped())
                continue
            first = self._literal(sign)
            last = first
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] not in {"", "]"}:
                self._at += 1
                last = self._literal(self._take())
            parts.append(_between(first, last))
        self._at += 1
        return lambda character: any(fits(character) for fits in parts) is not is_without

    def _literal(self, sign: str) -> str:
        if sign != "\\":
            return sign
        letter = self._take()
        return _ESCAPES.get(letter, letter)


def _check_size(steps: int) -> None:
    if steps > PATTERN_STEPS:
        raise RefusedError("the regular expression is too large", code=Code.LIMIT)


def _between(first: str, last: str) -> Fits:
    return lambda character: first <= character <= last


def searching(pattern: str) -> Callable[[str], bool]:
    """Whether a regular expression matches anywhere in a text.

    Raises:
        RefusedError: `invalid`: it is none; `limit`: it is too large.
    """
    code = _Parser(pattern).read()

    def found(text: str) -> bool:
        places: set[int] = set()
        for at in range(len(text) + 1):
            places = _followed(code, places | {0}, is_start=at == 0, is_end=at == len(text))
            if len(code) in places:
                return True
            character = text[at : at + 1]
            places = {place + 1 for place in places if (fits := code[place].fits) and character and fits(character)}
        return False

    return found


def _followed(code: list[_Step], places: set[int], *, is_start: bool, is_end: bool) -> set[int]:
    """Every instruction that can be reached from some without a character being taken."""
    reached: set[int] = set()
    pending = list(places)
    while pending:
        place = pending.pop()
        if place in reached:
            continue
        reached.add(place)
        if place == len(code):
            continue
        step = code[place]
        if step.ways:
            pending += [place + way for way in step.ways]
        elif step.fits is None and (is_start if step.end == "^" else is_end):
            pending.append(place + 1)
    return reached
