"""The system's entropy and its twin that repeats from a seed."""

import builtins
import os
from hashlib import sha256
from typing import Final

_BLOCK_BYTES: Final = 32


class SystemEntropy:
    """Entropy of the operating system, fit for keys."""

    def bytes(self, count: int) -> builtins.bytes:
        """So many fresh bytes."""
        return os.urandom(count)


class SeededEntropy:
    """Bytes that follow from a seed: SHA-256(SHA-256(seed), counter) block by block. For simulations and tests alone.

    The stream doesn't depend on how it is cut: two calls for 8 bytes give what one for 16 would have given.
    """

    def __init__(self, seed: int | builtins.bytes) -> None:
        self._prefix = sha256(seed if isinstance(seed, builtins.bytes) else b"%d" % seed).digest()
        self._counter = 0
        self._rest = b""

    def bytes(self, count: int) -> builtins.bytes:
        """The next bytes of the stream.

        Raises:
            ValueError: `count` is negative.
        """
        if count < 0:
            raise ValueError("a negative number of bytes")
        blocks = [self._rest]
        for _ in range((count - len(self._rest) + _BLOCK_BYTES - 1) // _BLOCK_BYTES):
            blocks.append(sha256(self._prefix + self._counter.to_bytes(8, "big")).digest())
            self._counter += 1
        stream = b"".join(blocks)
        self._rest = stream[count:]
        return stream[:count]
