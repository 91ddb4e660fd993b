"""Ed25519 as Moot uses it: every signature covers a domain string, every certified key is canonical.

    a signature R ‖ S by the key A over M holds:  S < L, and the encoding of [S]B − [k]A is R, byte for byte
    k = SHA512(R ‖ A ‖ M), L = the order of the base point B; numbers little-endian, as in RFC 8032, section 5.1

That is without the cofactor: whoever verifies as RFC 8032 says first (5.1.7, [8][S]B = [8]R + [8][k]A) takes for a
signature what isn't one here, even by an ordinary key, whose owner has added a point of small order to R.

OpenSSL accepts public keys that are not canonical, of small or of mixed order; others don't. Replicas must agree about
what is signed, so only keys of the prime-order subgroup in their canonical encoding are certified: y below 2²⁵⁵ − 19, a
point of the curve, no sign where x is 0 (section 5.1.3), not the neutral element, and [L]A is the neutral element.
"""

from functools import lru_cache
from typing import Final, Protocol, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from moot_protocol.errors import Code, MalformedError

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
BATCH_DOMAIN: Final = b"moot/batch/1\0"
CERTIFICATE_DOMAIN: Final = b"moot/cert/1\0"
CHARTER_DOMAIN: Final = b"moot/charter/1\0"
FRONTIER_DOMAIN: Final = b"moot/frontier/1\0"
WANT_DOMAIN: Final = b"moot/want/1\0"
PLANE_DOMAIN: Final = b"moot/plane/1\0"

_FIELD: Final = 2**255 - 19
_ORDER: Final = 2**252 + 27742317777372353535851937790883648493
"""How many points the prime-order subgroup has."""
_D: Final = -121665 * pow(121666, -1, _FIELD) % _FIELD


class Signer(Protocol):
    """A private key that signs. Guarantees: `public` is its 32-byte public key; signatures are 64 bytes."""

    @property
    def public(self) -> bytes:
        """The 32-byte public key."""

    def sign(self, message: bytes) -> bytes:
        """Sign a message; callers put a domain string first."""


class SeedSigner:
    """A signer from a 32-byte seed in memory."""

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public: bytes = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """Sign a message (64 bytes)."""
        return self._key.sign(message)


@lru_cache(maxsize=1024)
def _load(public: bytes) -> Ed25519PublicKey | None:
    try:
        return Ed25519PublicKey.from_public_bytes(public)
    except ValueError:
        return None


def is_signed(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether `signature` is this key's over `message`."""
    key = _load(public)
    if key is None:
        return False
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


@lru_cache(maxsize=1024)
def check_public_key(public: bytes) -> None:
    """Check that a key may be certified.

    Raises:
        MalformedError: code `bad_key`: not 32 bytes, not the canonical encoding of a point, or of small or mixed order.
    """
    if len(public) != KEY_BYTES:
        raise MalformedError("a public key that is not 32 bytes long", code=Code.BAD_KEY)
    number = int.from_bytes(public, "little")
    y, sign = number & (2**255 - 1), number >> 255
    if y >= _FIELD:
        raise MalformedError("a public key that is not in its canonical encoding", code=Code.BAD_KEY)
    x = _recover_x(y, sign)
    if x is None:
        raise MalformedError("a public key that is no point of the curve", code=Code.BAD_KEY)
    if (x, y) == (0, 1) or not _has_prime_order((x, y, 1, x * y % _FIELD)):
        raise MalformedError("a public key of small or mixed order", code=Code.BAD_KEY)


def is_certifiable(public: bytes) -> bool:
    """Whether a key may be certified."""
    try:
        check_public_key(public)
    except MalformedError:
        return False
    return True


def _recover_x(y: int, sign: int) -> int | None:
    """The x of a point from its y and sign (RFC 8032, 5.1.3), or None."""
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _FIELD) % _FIELD
    x = pow(square, (_FIELD + 3) // 8, _FIELD)
    if (x * x - square) % _FIELD:
        x = x * pow(2, (_FIELD - 1) // 4, _FIELD) % _FIELD
    if (x * x - square) % _FIELD or (x == 0 and sign):
        return None
    return _FIELD - x if x & 1 != sign else x


_Point: TypeAlias = tuple[int, int, int, int]
"""Extended coordinates (X, Y, Z, T): x = X/Z, y = Y/Z, xy = T/Z."""


def _has_prime_order(point: _Point) -> bool:
    """Whether the group's order times a point is the neutral element."""
    total: _Point = (0, 1, 1, 0)
    for bit in bin(_ORDER)[2:]:
        total = _add(total, total)
        if bit == "1":
            total = _add(total, point)
    x, y, z, _ = total
    return x == 0 and y == z


def _add(one: _Point, other: _Point) -> _Point:
    """The sum of two points (RFC 8032, 5.1.4): one formula for all of them."""
    x1, y1, z1, t1 = one
    x2, y2, z2, t2 = other
    a, b = (y1 - x1) * (y2 - x2) % _FIELD, (y1 + x1) * (y2 + x2) % _FIELD
    c, d = 2 * t1 * t2 * _D % _FIELD, 2 * z1 * z2 % _FIELD
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _FIELD, g * h % _FIELD, f * g % _FIELD, e * h % _FIELD
