"""Spans: frontiers of more authors than a message holds are compared piece by piece, and only pieces that differ sent.

    span = [its highest author32, how many entries, their summary, 0]    in the form of an entry, ascending
    part = the entries of a range of authors, from its first entry's to its last one's

Spans cover all that authors can be: each begins where the one before ends, the last one ends with 32 bytes of 0xff. A
part that no known author begins or ends has an entry there of whom nothing is known.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Final, NamedTuple

from moot_protocol.exchange.frontier import Entry, Frontier, author_of, summary
from moot_protocol.log.batch import HASH_BYTES, ZEROS

LOWEST: Final = bytes(HASH_BYTES)
HIGHEST: Final = b"\xff" * HASH_BYTES
WIDTH: Final = 64
"""Entries in a span, as far as the spans fit a message: what is sent because one of them differs."""


class Range(NamedTuple):
    """Authors from one to another, both included."""

    first: bytes
    last: bytes


def spans_of(frontier: Frontier, most: int) -> Frontier:
    """The spans of a frontier, at most so many."""
    width = max(WIDTH, -(-len(frontier) // most))
    found: list[Entry] = []
    for start in range(0, len(frontier), width):
        entries = frontier[start : start + width]
        last = entries[-1].author if start + width < len(frontier) else HIGHEST
        found.append(Entry(last, len(entries), summary(entries)))
    return tuple(found)


def parts_that_differ(frontier: Frontier, spans: Frontier, most: int) -> Iterator[Frontier]:
    """The parts of a frontier where it differs from the one that these spans are of, each at most so many entries."""
    waiting: Range | None = None
    for covered, span in _ranges(spans):
        entries = _within(frontier, covered)
        if len(entries) == span.n and (not entries or summary(entries) == span.head):
            continue
        if waiting is not None and waiting.last < covered.first and _next(waiting.last) == covered.first:
            joined = Range(waiting.first, covered.last)
            if len(_within(frontier, joined)) <= most - 2:
                waiting = joined
                continue
        if waiting is not None:
            yield from _parts(frontier, waiting, most)
        waiting = covered
    if waiting is not None:
        yield from _parts(frontier, waiting, most)


def _parts(frontier: Frontier, covered: Range, most: int) -> Iterator[Frontier]:
    entries = _within(frontier, covered)
    room = most - 2
    first = covered.first
    for start in range(0, max(len(entries), 1), room):
        some = entries[start : start + room]
        last = some[-1].author if start + room < len(entries) else covered.last
        yield _bounded(some, Range(first, last))
        first = _next(last) if last < HIGHEST else HIGHEST


def _bounded(entries: Frontier, covered: Range) -> Frontier:
    """Entries that begin and end with a range's ends."""
    before = () if entries and entries[0].author == covered.first else (Entry(covered.first, 0, ZEROS),)
    known = (*before, *entries)
    return known if known[-1].author == covered.last else (*known, Entry(covered.last, 0, ZEROS))


def _ranges(spans: Frontier) -> Iterator[tuple[Range, Entry]]:
    first = LOWEST
    for span in spans:
        yield Range(first, span.author), span
        if span.author < HIGHEST:
            first = _next(span.author)


def _within(frontier: Frontier, covered: Range) -> Frontier:
    start = bisect_left(frontier, covered.first, key=author_of)
    return frontier[start : bisect_right(frontier, covered.last, lo=start, key=author_of)]


def _next(author: bytes) -> bytes:
    return (int.from_bytes(author, "big") + 1).to_bytes(HASH_BYTES, "big")
