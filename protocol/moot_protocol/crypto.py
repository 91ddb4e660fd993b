"""Ed25519 as Moot uses it: every signature covers a domain string, every certified key is canonical.

OpenSSL accepts public keys that are not canonical or of small order; other implementations don't. Replicas must agree
about what is signed, so such keys are refused where they are certified (RFC 8032, section 5.1.3).
"""

from functools import lru_cache
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from moot_protocol.errors import Code, MalformedError

KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
BATCH_DOMAIN: Final = b"moot/batch/1\0"
CERTIFICATE_DOMAIN: Final = b"moot/cert/1\0"
FRONTIER_DOMAIN: Final = b"moot/frontier/1\0"
WANT_DOMAIN: Final = b"moot/want/1\0"
PLANE_DOMAIN: Final = b"moot/plane/1\0"

_FIELD: Final = 2**255 - 19
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
        MalformedError: code `bad_key`: not 32 bytes, not the canonical encoding of a point, or of small order.
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
    for _ in range(3):
        x, y = _double(x, y)
    if (x, y) == (0, 1):
        raise MalformedError("a public key of small order", code=Code.BAD_KEY)


def _recover_x(y: int, sign: int) -> int | None:
    """The x of a point from its y and sign (RFC 8032, 5.1.3), or None."""
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _FIELD) % _FIELD
    x = pow(square, (_FIELD + 3) // 8, _FIELD)
    if (x * x - square) % _FIELD:
        x = x * pow(2, (_FIELD - 1) // 4, _FIELD) % _FIELD
    if (x * x - square) % _FIELD or (x == 0 and sign):
        return None
    return _FIELD - x if x & 1 != sign else x


def _double(x: int, y: int) -> tuple[int, int]:
    """Twice a point, in affine coordinates."""
    product = _D * x * x * y * y % _FIELD
    return (
        2 * x * y * pow(1 + product, -1, _FIELD) % _FIELD,
        (y * y + x * x) * pow(1 - product, -1, _FIELD) % _FIELD,
    )
