"""The system's entropy, and the twin's stream. What both guarantee: conformance/test_entropy.py."""

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from mootd.edges.entropy import SeededEntropy, SystemEntropy


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
