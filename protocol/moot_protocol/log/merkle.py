"""Merkle trees as in RFC 9162, section 2.1: leaves in order, left subtree the largest power of two below the count.

The root of a batch is signed; an inclusion proof shows that one event stands at one position under it. A node is
SHA256(0x01 ‖ left ‖ right); what a leaf is stands in `event.py`. A path has exactly as many hashes as its position asks
for: where a level's last node has no sibling it moves up alone, and the path holds nothing for it.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

LEAF: Final = b"\x00"
NODE: Final = b"\x01"


def leaf_hash(skeleton_hash: bytes, values_hash: bytes) -> bytes:
    """The 32-byte leaf of an event, from the SHA-256 of its skeleton and of its values."""
    return sha256(LEAF + skeleton_hash + values_hash).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The 32-byte root over at least one leaf."""
    level = list(leaves)
    while len(level) > 1:
        # Pairing neighbours level by level, an odd last node moving up alone, is the RFC's recursive split.
        nodes = iter(level)
        paired = [sha256(NODE + left + right).digest() for left, right in zip(nodes, nodes, strict=False)]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]


def prove(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The inclusion proof of the leaf at `index`: sibling hashes from the leaf upwards."""
    path: list[bytes] = []
    level = list(leaves)
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        paired = [sha256(NODE + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            paired.append(level[-1])
        level, index = paired, index // 2
    return path


def root_from_proof(leaf: bytes, index: int, count: int, path: Sequence[bytes]) -> bytes | None:
    """The root that a proof leads to, or None where the path's length doesn't fit the position."""
    node, width, used = leaf, count, 0
    if not 0 <= index < count:
        return None
    while width > 1:
        if index ^ 1 < width:
            if used == len(path):
                return None
            sibling = path[used]
            used += 1
            node = sha256(NODE + (sibling + node if index & 1 else node + sibling)).digest()
        index, width = index // 2, (width + 1) // 2
    return node if used == len(path) else None
