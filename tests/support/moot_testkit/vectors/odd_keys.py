"""Keys that nobody may certify, with signatures that OpenSSL takes for theirs, and odd signatures of ordinary keys.

The curve stands in RFC 8032, section 5.1. Nothing here is fast, or safe for keys that are secret.
"""

from collections.abc import Iterator
from hashlib import sha256, sha512
from typing import Final, NamedTuple, TypeAlias

FIELD: Final = 2**255 - 19
ORDER: Final = 2**252 + 27742317777372353535851937790883648493
D: Final = -121665 * pow(121666, -1, FIELD) % FIELD

Point: TypeAlias = tuple[int, int]
"""x and y."""
NEUTRAL: Final = 0, 1
BASE: Final = (
    15112221349535400772501151409588531511454012693041857206046113283949847762202,
    46316835694926478169428394003475163141307993866256225615783033603165251855960,
)
TORSION: Final = (
    14399317868200118260347934320527232580618823971194345261214217575416788799818,
    55188659117513257062467267217118295137698188065244968500265048394206261417927,
)
"""A point of order 8."""


def add(one: Point, other: Point) -> Point:
    """The sum of two points."""
    (x1, y1), (x2, y2) = one, other
    product = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, FIELD) % FIELD
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, FIELD) % FIELD
    return x, y


def times(factor: int, point: Point) -> Point:
    """A multiple of a point."""
    total = NEUTRAL
    for bit in bin(factor)[2:]:
        total = add(total, total)
        if bit == "1":
            total = add(total, point)
    return total


def encoded(point: Point) -> bytes:
    """The 32 bytes of a point."""
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def number(data: bytes) -> int:
    """The number that bytes stand for."""
    return int.from_bytes(data, "little")


def challenge(nonce_point: bytes, public: bytes, message: bytes) -> int:
    """What a signature answers: the k of RFC 8032."""
    return number(sha512(nonce_point + public + message).digest()) % ORDER


class OddSigner(NamedTuple):
    """Signs as far as its key lets it sign."""

    public: bytes
    secret: int | None
    """What its point is a multiple by, of order 8 aside; None for a point of small order."""

    def sign(self, message: bytes) -> bytes:
        """A signature that holds without the cofactor."""
        if self.secret is None:  # [0]B - [k]A is the neutral element for any k
            return encoded(NEUTRAL) + bytes(32)
        for nonce in self._nonces(message):
            nonce_point = encoded(times(nonce, BASE))
            answered = challenge(nonce_point, self.public, message)
            if answered % 8 == 0:  # so that the part of order 8 falls out
                return nonce_point + ((nonce + answered * self.secret) % ORDER).to_bytes(32, "little")
        raise ValueError

    def _nonces(self, message: bytes) -> Iterator[int]:
        for attempt in range(256):
            yield number(sha256(bytes([attempt]) + message).digest()) % ORDER


SECRET: Final = number(sha256(b"mixed").digest()) % ORDER
SMALL: Final = OddSigner(encoded(NEUTRAL), None)
SMALL_NOT_CANONICAL: Final = OddSigner((FIELD + 1).to_bytes(32, "little"), None)
"""The neutral element, its y written as the field's size plus one."""
SMALL_WITH_SIGN: Final = OddSigner((1 | 1 << 255).to_bytes(32, "little"), None)
"""The neutral element, with the sign of an x that is 0."""
MIXED: Final = OddSigner(encoded(add(times(SECRET, BASE), TORSION)), SECRET)


def with_larger_s(signature: bytes) -> bytes:
    """The same signature with the order added to its S: the equation holds, the range doesn't."""
    return signature[:32] + (number(signature[32:]) + ORDER).to_bytes(32, "little")


def secret_of(seed: bytes) -> int:
    """The secret number of an ordinary key."""
    low = number(sha512(seed).digest()[:32])
    return (low & ~7 & (1 << 254) - 1) | 1 << 254


def nonce_of(message: bytes) -> int:
    """The number that `with_cofactor_only` begins its R with."""
    return number(sha256(b"nonce" + message).digest()) % ORDER


def with_cofactor_only(seed: bytes, public: bytes, message: bytes) -> bytes:
    """A signature by an ordinary key, with a point of order 8 added to R before it was signed for.

    It fulfils the equation of RFC 8032 that multiplies by the cofactor, and not the one that doesn't.
    """
    nonce = nonce_of(message)
    nonce_point = encoded(add(times(nonce, BASE), TORSION))
    answer = (nonce + challenge(nonce_point, public, message) * secret_of(seed)) % ORDER
    return nonce_point + answer.to_bytes(32, "little")


def with_torsion_in_r(seed: bytes, message: bytes, signature: bytes) -> bytes:
    """An ordinary signature with a point of order 8 added to its R afterwards: no equation holds."""
    digest = sha512(seed).digest()
    nonce = number(sha512(digest[32:] + message).digest()) % ORDER
    return encoded(add(times(nonce, BASE), TORSION)) + signature[32:]
