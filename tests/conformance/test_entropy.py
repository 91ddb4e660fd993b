"""What every source of entropy guarantees, and what its twin does besides."""

from collections.abc import Callable
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mootd.edges.entropy import SeededEntropy, SystemEntropy
from mootd.ports import Entropy


@pytest.fixture(params=[SystemEntropy, lambda: SeededEntropy(7)], ids=["system", "seeded"])
def entropy(request: pytest.FixtureRequest) -> Entropy:
    make: Callable[[], Entropy] = request.param
    return make()


@pytest.mark.parametrize("count", [0, 1, 16, 31, 32, 33, 1000])
def test_as_many_bytes_come_as_were_asked_for(entropy: Entropy, count: int) -> None:
    assert len(entropy.bytes(count)) == count


def test_no_run_of_16_bytes_comes_twice(entropy: Entropy) -> None:
    assert len({entropy.bytes(16) for _ in range(1000)}) == 1000


def test_every_value_of_a_byte_comes(entropy: Entropy) -> None:
    assert set(entropy.bytes(100_000)) == set(range(256))


def test_less_than_nothing_is_refused(entropy: Entropy) -> None:
    with pytest.raises(ValueError, match="negative"):
        entropy.bytes(-1)


def test_two_sources_of_the_system_differ() -> None:
    assert SystemEntropy().bytes(16) != SystemEntropy().bytes(16)


def test_the_twin_follows_from_its_seed() -> None:
    first = sha256(sha256(b"7").digest() + bytes(8)).digest()
    assert SeededEntropy(7).bytes(32) == SeededEntropy(b"7").bytes(32) == first
    assert SeededEntropy(8).bytes(32) != first


@given(st.lists(st.integers(0, 100), max_size=20))
def test_the_twins_stream_does_not_depend_on_how_it_is_cut(counts: list[int]) -> None:
    cut, whole = SeededEntropy(1), SeededEntropy(1)
    assert b"".join(cut.bytes(count) for count in counts) == whole.bytes(sum(counts))
