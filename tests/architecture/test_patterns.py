"""No pattern of the sources is slow, whatever text it meets: a regular expression at work lets no other thread run.

Each compiled pattern of a module is tried, the way its module uses it, on long texts made to mislead it: what it may
repeat, repeated, after what has to stand before it and with what can't follow. In linear time that takes a fraction of
a second for each; what goes through a text again from each of its places takes minutes, and runs into the time limit.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator
from itertools import permutations
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NamedTuple

import pytest

import moot
import moot_protocol
import mootd

CHARS: Final = 50_000
_SRE: Final[Any] = importlib.import_module("re._parser")
_KINDS: Final[Any] = importlib.import_module("re._constants")
_REPEATS: Final = (_KINDS.MAX_REPEAT, _KINDS.MIN_REPEAT, _KINDS.POSSESSIVE_REPEAT)
_MANY: Final = 50
"""A repetition of at most so many is none that counts."""
_LETTERS: Final = " a0,.-_/:@\"'{}[]()=!#\n\r\tZ<>$%\\|~`\x00é"
_TAILS: Final = ("", "\0", "\n", "\rx", '"')
_USES: Final = "fullmatch|match|search|findall|finditer|sub|split"
_BOUNDED: Final = {
    (
        "moot.console.commands.issues.batch",
        "_TOKEN",
    ): "whoever asks for words stops at the first quote that isn't closed",
    ("moot.console.commands.issues.batch", "_QUOTED"): "it meets only words in which every quote is closed",
}
"""Patterns that are linear only on what they meet, and why they meet nothing else."""


class Named(NamedTuple):
    """A compiled pattern, and how it is used."""

    module: str
    name: str
    pattern: re.Pattern[Any]
    uses: tuple[str, ...]


def modules() -> Iterator[ModuleType]:
    for package in (moot, moot_protocol, mootd):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def patterns() -> Iterator[Named]:
    known: set[int] = set()
    for module in modules():
        for name, value in vars(module).items():
            pattern = value if isinstance(value, re.Pattern) else getattr(value, "__self__", None)
            if isinstance(pattern, re.Pattern) and id(pattern) not in known:
                known.add(id(pattern))
                yield Named(module.__name__, name, pattern, uses(module, name, value))


def uses(module: ModuleType, name: str, value: Any) -> tuple[str, ...]:
    """The methods of a pattern that its module calls; all that matter where it calls none."""
    if not isinstance(value, re.Pattern):
        return (value.__name__,)
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    return tuple(sorted(set(re.findall(rf"\b{re.escape(name)}\.({_USES})\b", source)))) or ("search", "fullmatch")


# -- Texts that mislead ------------------------------------------------------------------------------------------
def fitting(kind: Any, value: Any) -> str:
    """Some characters that one item of a pattern takes."""
    if kind is _KINDS.LITERAL:
        return chr(value)
    one = _SRE.SubPattern(_SRE.State(), [(kind, value)])
    taken = importlib.import_module("re._compiler").compile(one).fullmatch
    wanted = (
        [chr(at if each is _KINDS.LITERAL else at[0]) for each, at in value if each in _PLAIN] if one_of(kind) else []
    )
    return "".join(each for each in [*_LETTERS, *wanted] if taken(each))


_PLAIN: Final = (_KINDS.LITERAL, _KINDS.RANGE)


def one_of(kind: Any) -> bool:
    return bool(kind is _KINDS.IN)


def below(kind: Any, value: Any) -> list[Any]:
    """The sequences inside an item of a pattern."""
    if kind in _REPEATS:
        return [value[2]]
    if kind is _KINDS.SUBPATTERN:
        return [value[3]]
    if kind is _KINDS.ATOMIC_GROUP:
        return [value]
    if kind in (_KINDS.ASSERT, _KINDS.ASSERT_NOT):
        return [value[1]]
    return list(value[1]) if kind is _KINDS.BRANCH else []


def example(items: Iterable[Any]) -> str:
    """A short text that a sequence takes, as far as looking ahead doesn't matter."""
    text = ""
    for kind, value in items:
        if kind in _REPEATS:
            text += example(value[2]) * value[0]
        elif kind in (_KINDS.SUBPATTERN, _KINDS.ATOMIC_GROUP, _KINDS.BRANCH):
            text += example(below(kind, value)[0])
        elif kind in (_KINDS.LITERAL, _KINDS.NOT_LITERAL, _KINDS.ANY, _KINDS.IN):
            text += fitting(kind, value)[:1]
    return text


def repeated(items: Iterable[Any], before: str = "") -> Iterator[tuple[str, str]]:
    """What a sequence repeats without end, with what has to stand before it."""
    for kind, value in items:
        if kind in _REPEATS and value[1] > _MANY:
            inner = list(value[2])
            yield before, example(inner)
            if len(inner) == 1 and inner[0][0] in (_KINDS.IN, _KINDS.ANY, _KINDS.NOT_LITERAL):
                yield from ((before, character) for character in fitting(*inner[0])[:4])
        for sequence in below(kind, value):
            yield from repeated(sequence, before)
        before += example([(kind, value)])


def misleading(pattern: re.Pattern[Any]) -> Iterator[str]:
    """Long texts on which a pattern that tries again what it has tried takes its time."""
    source = pattern.pattern if isinstance(pattern.pattern, str) else pattern.pattern.decode("latin-1")
    found = {(before, body) for before, body in repeated(_SRE.parse(source, pattern.flags & ~re.UNICODE)) if body}
    for before, body in sorted({*found, *((body[:1], before + body) for before, body in found)}):
        text = before + body * (CHARS // len(body))
        yield from (text + tail for tail in _TAILS)
    bodies = sorted({body for _, body in found})[:8]
    for one, other in permutations(bodies, 2):
        yield (one + other) * (CHARS // len(one + other))
        yield one * (CHARS // 2 // len(one)) + other * (CHARS // 2 // len(other)) + "\0"


def carry_out(pattern: re.Pattern[Any], use: str, text: str) -> None:
    subject: Any = text if isinstance(pattern.pattern, str) else text.encode("utf-8")
    if use == "sub":
        pattern.sub(subject[:0], subject)
    elif use == "finditer":
        assert sum(1 for _ in pattern.finditer(subject)) >= 0
    else:
        getattr(pattern, use)(subject)


PATTERNS: Final = list(patterns())


# -- The checks --------------------------------------------------------------------------------------------------
@pytest.mark.timeout(20, method="signal")
@pytest.mark.parametrize(
    "named",
    [named for named in PATTERNS if (named.module, named.name) not in _BOUNDED],
    ids=lambda named: f"{named.module}.{named.name}",
)
def test_a_pattern_takes_time_that_grows_with_its_text_alone(named: Named) -> None:
    for text in misleading(named.pattern):
        for use in named.uses:
            carry_out(named.pattern, use, text)


@pytest.mark.timeout(60, method="signal")
@pytest.mark.parametrize("slow", [r"\{\{\s*([^{}]*?)\s*\}\}", r"[A-Za-z][\w.]*(?:-[\w.]+)+", r"(?:a|a)*b"])
def test_texts_that_mislead_are_found(slow: str) -> None:
    """What they are for: among them are those that have been met."""
    wanted = {r"\{": "{{ ", r"[A": "a", r"(?": "a"}[slow[:2]]
    assert any(text.startswith(wanted) and text[50:60].strip(wanted[-1]) == "" for text in misleading(re.compile(slow)))


def test_no_exception_outlives_its_pattern() -> None:
    assert {*_BOUNDED} <= {(named.module, named.name) for named in PATTERNS}
