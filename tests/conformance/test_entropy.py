"""What every source of entropy guarantees."""

from collections.abc import Callable

import pytest

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
