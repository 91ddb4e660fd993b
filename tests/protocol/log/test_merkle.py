"""Roots and proofs are those of RFC 9162, section 2.1, and a proof fits one leaf at one position only."""

from collections.abc import Sequence
from hashlib import sha256
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.log.merkle import leaf_hash, prove, root, root_from_proof
from moot_testkit.bytes.strategies import hashes

SIZES = range(1, 71)


def leaves_of(size: int) -> list[bytes]:
    return [sha256(bytes([i])).digest() for i in range(size)]


def split(size: int) -> int:
    """The largest power of two below the size."""
    k = 1
    while k * 2 < size:
        k *= 2
    return k


def naive_root(leaves: Sequence[bytes]) -> bytes:
    """MTH of the RFC, over hashed leaves, word for word."""
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of the RFC, word for word."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def test_the_root_is_that_of_the_recursive_definition() -> None:
    assert not [size for size in SIZES if root(leaves_of(size)) != naive_root(leaves_of(size))]


def test_every_proof_is_that_of_the_recursive_definition_and_leads_to_the_root() -> None:
    for size in SIZES:
        leaves = leaves_of(size)
        whole = root(leaves)
        for index, leaf in enumerate(leaves):
            path = prove(leaves, index)
            assert path == naive_path(index, leaves), (size, index)
            assert root_from_proof(leaf, index, size, path) == whole, (size, index)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
        (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
        (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
        (5, "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
        (7, "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
        (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
    ],
)
def test_roots_known_from_certificate_transparency(size: int, expected: str) -> None:
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    leaves = [sha256(b"\x00" + bytes.fromhex(text)).digest() for text in inputs]
    assert root(leaves[:size]).hex() == expected


@given(st.lists(hashes, min_size=1, max_size=40, unique=True), st.data())
def test_a_proof_leads_elsewhere_from_another_leaf_or_position(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = prove(leaves, index)
    assert root_from_proof(sha256(leaves[index]).digest(), index, len(leaves), path) != root(leaves)
    for other in range(len(leaves)):
        if other != index:
            assert root_from_proof(leaves[index], other, len(leaves), path) != root(leaves)


@given(st.lists(hashes, min_size=2, max_size=40), st.data())
def test_a_proof_with_one_bit_changed_leads_elsewhere(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = prove(leaves, index)
    step, bit = data.draw(st.integers(0, len(path) - 1)), data.draw(st.integers(0, 255))
    path[step] = (int.from_bytes(path[step], "big") ^ 1 << bit).to_bytes(32, "big")
    assert root_from_proof(leaves[index], index, len(leaves), path) != root(leaves)


def test_a_path_too_short_or_too_long_leads_nowhere() -> None:
    for size in SIZES:
        leaves = leaves_of(size)
        for index in range(size):
            path = prove(leaves, index)
            assert root_from_proof(leaves[index], index, size, [*path, bytes(32)]) is None, (size, index)
            if path:
                assert root_from_proof(leaves[index], index, size, path[:-1]) is None, (size, index)


@pytest.mark.parametrize(("index", "count"), [(-1, 4), (4, 4), (0, 0), (0, -1)])
def test_a_position_outside_the_tree_leads_nowhere(index: int, count: int) -> None:
    assert root_from_proof(bytes(32), index, count, [bytes(32)] * 2) is None


def test_a_leaf_is_never_a_node() -> None:
    left, right = leaves_of(2)
    assert leaf_hash(left, right) != root([left, right])
    assert leaf_hash(left, right) == sha256(b"\x00" + left + right).digest()


@given(st.lists(hashes, min_size=2, max_size=40, unique=True), st.randoms())
def test_the_order_of_leaves_matters(leaves: list[bytes], random: Random) -> None:
    shuffled = list(leaves)
    random.shuffle(shuffled)
    assert (root(shuffled) == root(leaves)) == (shuffled == leaves)
