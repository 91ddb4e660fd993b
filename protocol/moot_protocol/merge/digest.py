"""The running digest of a plane: one number that equal states share.

    digest = Σ place(kind, entity, dot) · factor(key)  modulo 2²⁵⁶, over all live (key, dot)
    place  = SHA256(pack([kind, entity, author, n, leaf]))
    factor = SHA256(key) with its lowest bit set

A sum, so that a write adds its term and takes away those it supersedes, in any order. It finds our own bugs, not
attackers: signatures are for those. One hash serves all keys of an event: a hash for each of the eight that a new
issue has would take as long as all the rest of the merge, and factors of keys are odd, so that each term still
determines its place. `place_prefix` and `place_suffix` are the parts of the hashed bytes that are made once per
entity and per event.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Final

from moot_protocol.codec import encode

DIGEST_BYTES: Final = 32
_MASK: Final = (1 << 8 * DIGEST_BYTES) - 1
_FIVE: Final = b"\x95"
"""The MessagePack mark of an array of five."""
_HASH: Final = b"\xc4\x20"
"""The MessagePack mark of 32 bytes."""


def place_prefix(kind: str, entity: str) -> bytes:
    """The bytes with which every place of an entity begins."""
    return _FIVE + encode(kind) + encode(entity)


def place_suffix(author: bytes, n: int, leaf: bytes) -> bytes:
    """The bytes with which every place of an event ends."""
    return _HASH + author + encode(n) + _HASH + leaf


@lru_cache(maxsize=4096)
def key_factor(key: str) -> int:
    """A key's factor: an odd number of 256 bits."""
    return int.from_bytes(sha256(key.encode()).digest(), "big") | 1


@lru_cache(maxsize=4096)
def _factors(keys: tuple[str, ...]) -> int:
    return sum(map(key_factor, keys)) & _MASK


def terms(prefix: bytes, keys: Sequence[str], suffix: bytes) -> int:
    """What the live writes of one event add to the digest: a number of 256 bits.

    Args:
        prefix: `place_prefix` of the entity.
        keys: the keys that are live by this event.
        suffix: `place_suffix` of the event, author and leaf of 32 bytes.
    """
    return int.from_bytes(sha256(prefix + suffix).digest(), "big") * _factors(tuple(keys)) & _MASK


def term(prefix: bytes, key: str, suffix: bytes) -> int:
    """What one live write of a key adds to the digest; as `terms`."""
    return int.from_bytes(sha256(prefix + suffix).digest(), "big") * key_factor(key) & _MASK


class Digest:
    """A sum of terms modulo 2²⁵⁶. Sums of several terms may be added at once.

    Args:
        value: the sum so far, 0 for an empty plane.
    """

    __slots__ = ("value",)

    def __init__(self, value: int = 0) -> None:
        self.value = value

    def add(self, terms: int) -> None:
        """Add a term, or a sum of terms."""
        self.value = self.value + terms & _MASK

    def remove(self, terms: int) -> None:
        """Take away a term, or a sum of terms."""
        self.value = self.value - terms & _MASK

    def digest(self) -> bytes:
        """The 32 bytes, big-endian."""
        return self.value.to_bytes(DIGEST_BYTES, "big")

    def hex(self) -> str:
        """The 32 bytes as 64 hexadecimal digits."""
        return self.digest().hex()
