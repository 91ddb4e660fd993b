"""Issues that have many words in common: pairs by the Jaccard index of their words, without comparing all with all.

Two sets of words whose Jaccard index is at least t share a word among the first |set| - ceil(t·|set|) + 1 of each, in
whichever order all words are put (prefix filtering; Chaudhuri, Ganti, Kaushik 2006). The rarest words come first, and
the pairs that share the rarest are compared first. How many pairs are looked at is limited, so that the cost is bounded
however many issues there are: then those with only common words in common are left out, and the answer says so.
"""

import re
from array import array
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from heapq import nsmallest
from itertools import combinations
from math import ceil
from typing import Any, Final, NamedTuple, TypeAlias

from moot_protocol.errors import RefusedError
from moot_protocol.requests.queries import Similar
from mootd.engine.listing.filters import tests_of
from mootd.engine.listing.lists import Lists
from mootd.engine.listing.texts import text_of

TEXT_CHARS: Final = 4096
"""Characters of a description whose words count: what an issue is about stands at its beginning."""
COMPARISONS: Final = 500_000
"""Pairs looked at in one request: a second or two."""
_ROUNDING: Final = 1e-9
"""What a product of floats may lie above the whole number that it should be."""
_words: Final = re.compile(r"[^\W_]{2,}(?:-[^\W_]+)*").findall


Words: TypeAlias = "array[int]"
"""The numbers of an issue's words in ascending order, each once."""


class Pair(NamedTuple):
    """Two issues that are alike, by their places."""

    similarity: float
    first: int
    second: int


class Found(NamedTuple):
    """The pairs that are alike, and how they were found."""

    pairs: list[Pair]
    compared: int
    complete: bool


class Vocabulary:
    """Words by numbers, so that a hundred thousand issues' words fit into memory, and how many issues have each."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self.often: Counter[int] = Counter()

    def take(self, title: str, description: str) -> Words:
        """The words of an issue, in small letters, each once."""
        words = set(_words(f"{title}\n{description[:TEXT_CHARS]}".lower()))
        numbers = array("I", sorted(self._numbers.setdefault(word, len(self._numbers)) for word in words))
        self.often.update(numbers)
        return numbers


def similar_pairs(issues: Sequence[Words], often: Mapping[int, int], threshold: float) -> Found:
    """The pairs of issues the Jaccard index of whose words is at least a threshold.

    Args:
        issues: the words of each, each once.
        often: how many issues have a word.
        threshold: above 0, at most 1.
    """
    have: dict[int, list[int]] = defaultdict(list)
    for place, numbers in enumerate(issues):
        for word in _rarest(numbers, often, threshold):
            have[word].append(place)
    seen: set[tuple[int, int]] = set()
    pairs: list[Pair] = []
    last, words = -1, frozenset[int]()
    for looked_at, (first, second) in enumerate(_meeting(have, often)):
        if looked_at == COMPARISONS:
            return Found(pairs, len(seen), complete=False)
        sizes = len(issues[first]), len(issues[second])
        if min(sizes) < threshold * max(sizes) - _ROUNDING or (first, second) in seen:
            continue
        seen.add((first, second))
        if first != last:  # pairs of one issue come in a row
            last, words = first, frozenset(issues[first])
        shared = len(words.intersection(issues[second]))
        similarity = shared / (sum(sizes) - shared)
        if similarity >= threshold:
            pairs.append(Pair(similarity, first, second))
    return Found(pairs, len(seen), complete=True)


def _meeting(have: Mapping[int, list[int]], often: Mapping[int, int]) -> Iterator[tuple[int, int]]:
    """The pairs of issues that a word brings together, those of the rarest words first."""
    shared = (word for word, places in have.items() if len(places) > 1)
    for word in sorted(shared, key=lambda word: (often[word], word)):
        yield from combinations(have[word], 2)


def _rarest(numbers: Words, often: Mapping[int, int], threshold: float) -> list[int]:
    """The rarest words of an issue: as many as it must share one of with any that is alike."""
    if not numbers:
        return []
    must_share = ceil(threshold * len(numbers) - _ROUNDING)
    return nsmallest(len(numbers) - must_share + 1, numbers, key=lambda word: (often[word], word))


class SimilarLists(Lists):
    """Finds issues that are alike in one snapshot."""

    def similar(self, request: Similar) -> dict[str, Any]:
        """Pairs of issues with many words in common, the most alike first."""
        if not 0 < request.threshold <= 1:
            raise RefusedError(
                f"a threshold of {request.threshold:g} can't be used", hint="use a number above 0, up to 1, such as 0.5"
            )
        vocabulary = Vocabulary()
        eids: list[int] = []
        issues: list[Words] = []
        for eid, words in self._worded(request, vocabulary):
            eids.append(eid)
            issues.append(words)
        found = similar_pairs(issues, vocabulary.often, request.threshold)
        pairs = sorted(found.pairs, key=lambda pair: (-pair.similarity, pair.first, pair.second))
        shown = pairs[: request.limit] if request.limit > 0 else pairs
        return {
            "pairs": [self._pair(eids[pair.first], eids[pair.second], pair.similarity) for pair in shown],
            "found": len(pairs),
            "compared": found.compared,
            "complete": found.complete,
        }

    def _worded(self, request: Similar, vocabulary: Vocabulary) -> Iterator[tuple[int, Words]]:
        tests = tests_of(request.filter, self._issues, self._now_ms)
        eids = self._in_priority_order(request.filter, closed=False)
        for candidate in self._matching(eids, tests):
            description = text_of(self._issues, candidate.record, "description")
            yield candidate.eid, vocabulary.take(candidate.facts.title, description)

    def _pair(self, first: int, second: int, similarity: float) -> dict[str, Any]:
        one, other = self._issues.summary(first) or {}, self._issues.summary(second) or {}
        return {
            "issue_a_id": one["id"],
            "issue_b_id": other["id"],
            "issue_a_title": one["title"],
            "issue_b_title": other["title"],
            "similarity": round(similarity, 4),
            "method": "mechanical",
        }
