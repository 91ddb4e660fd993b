"""The running digest of a plane: one number that equal states share.

    digest = Σ SHA256(pack([kind, entity, key, author, n, leaf]))  modulo 2²⁵⁶, over all live (key, dot)

A sum, so that a write adds its term and takes away those it supersedes, in any order. It finds our own bugs, not
attackers: signatures are for those. A term is hashed for every live change, so its bytes are put together from parts
that are made once: per entity (`term_prefix`), per key (remembered) and per event (`term_suffix`).
"""

from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from typing import Final

from moot_protocol.codec import encode

DIGEST_BYTES: Final = 32
_MASK: Final = (1 << 8 * DIGEST_BYTES) - 1
_SIX: Final = b"\x96"
"""The MessagePack mark of an array of six."""

_packed_key: Final = lru_cache(maxsize=4096)(encode)


def term_prefix(kind: str, entity: str) -> bytes:
    """The bytes with which every term of an entity begins."""
    return _SIX + encode(kind) + encode(entity)


def term_suffix(author: bytes, n: int, leaf: bytes) -> bytes:
    """The bytes with which every term of an event ends."""
    return b"\xc4\x20" + author + encode(n) + b"\xc4\x20" + leaf


def term(prefix: bytes, key: str, suffix: bytes) -> int:
    """What one live write of a key adds to the digest: a number of 256 bits.

    Args:
        prefix: `term_prefix` of the entity.
        key: the key written.
        suffix: `term_suffix` of the event, author and leaf of 32 bytes.
    """
    return int.from_bytes(sha256(prefix + _packed_key(key) + suffix).digest(), "big")


def terms(prefix: bytes, keys: Iterable[str], suffix: bytes) -> int:
    """What the live writes of one event add to the digest: the sum of their terms, not yet reduced."""
    return sum([int.from_bytes(sha256(prefix + _packed_key(key) + suffix).digest(), "big") for key in keys])


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
