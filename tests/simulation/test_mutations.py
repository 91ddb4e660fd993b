"""The simulator can fail: each rule, broken on purpose, is caught within a stated number of seeds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest

from moot_protocol.digest import Digest
from moot_testkit import simulation
from mootd.engine import receive as receiving
from mootd.engine.graph import Graph
from mootd.engine.log import FeedRow
from mootd.engine.receive import _Receiver
from mootd.engine.record import Merge
from mootd.engine.views import ViewWriter


class Mutation(NamedTuple):
    """A rule broken on purpose."""

    name: str
    target: Any
    attribute: str
    broken: Any
    seeds: int
    """Within how many seeds it is caught."""


def _forget_removals(self: Digest, terms: int) -> None:
    del self, terms


def _never_ahead(hlc: int, now_ms: int) -> bool:
    del hlc, now_ms
    return False


def _keep_all(self: Merge, record: Any, key: str, feed: int, n: int, leaf8: bytes) -> None:
    del self, record, key, feed, n, leaf8


def _nothing(self: Any, *arguments: Any, **options: Any) -> None:
    del self, arguments, options


def _replay_nothing(self: ViewWriter, plane: int, kind: str, entity: str, events: Any) -> None:
    del self, plane, kind, entity, events


MUTATIONS = (
    Mutation("superseded writes stay live", Merge, "_supersede", _keep_all, 5),
    Mutation("what is superseded stays in the digest", Digest, "remove", _forget_removals, 5),
    Mutation("batches far ahead count at once", receiving, "is_ahead", _never_ahead, 40),
    Mutation("forks are not noticed", _Receiver, "_note_fork", _nothing, 40),
    Mutation("a cut doesn't make entities anew", ViewWriter, "replace", _replay_nothing, 40),
    Mutation("blockedness is not propagated", Graph, "settle", _nothing, 10),
    Mutation("every feed is plain", FeedRow, "is_plain", property(lambda self: self.kind == "replica"), 40),
)


@contextmanager
def broken(mutation: Mutation) -> Iterator[None]:
    with patch.object(mutation.target, mutation.attribute, mutation.broken):
        yield


def caught_at(mutation: Mutation, run: Callable[[int], object]) -> int | None:
    """The first seed that notices a mutation, or None."""
    with broken(mutation):
        for seed in range(mutation.seeds):
            try:
                run(seed)
            except Exception:
                return seed
    return None


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_broken_rule_is_caught(mutation: Mutation) -> None:
    seed = caught_at(mutation, simulation.run)
    assert seed is not None, f"{mutation.name}: not caught within {mutation.seeds} seeds"
    print(f"{mutation.name}: caught in seed {seed}")
