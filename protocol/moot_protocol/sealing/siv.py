"""AES-256-GCM-SIV (RFC 8452): a nonce used twice tells only that the same bytes were sealed twice.

Every use of a key names its purpose in the associated data, so that what was sealed for one opens for no other.
"""

from typing import Final

from cryptography.exceptions import InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.ciphers.aead import AESGCMSIV

from moot_protocol.errors import MootError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
ZERO_NONCE: Final = bytes(NONCE_BYTES)
"""For keys that seal one thing, or each of a few things once."""
TAG_BYTES: Final = 16


def encrypt(key: bytes, nonce: bytes, plaintext: bytes, bound: bytes) -> bytes:
    """The ciphertext with its tag, 16 bytes longer than the plaintext.

    Args:
        key: 32 bytes.
        nonce: 12 bytes.
        plaintext: what is sealed.
        bound: associated data: what the tag covers without hiding it.

    Raises:
        MootError: the cryptography library here was built without this cipher.
    """
    return _cipher(key).encrypt(nonce, plaintext, bound)


def decrypt(key: bytes, nonce: bytes, ciphertext: bytes, bound: bytes) -> bytes | None:
    """The plaintext, or None where these bytes are not what was sealed with this key, nonce and associated data.

    Raises:
        MootError: the cryptography library here was built without this cipher.
    """
    try:
        return _cipher(key).decrypt(nonce, ciphertext, bound)
    except InvalidTag:
        return None


def _cipher(key: bytes) -> AESGCMSIV:
    if len(key) != KEY_BYTES:
        raise ValueError(f"a key of {len(key)} bytes")
    try:
        return AESGCMSIV(key)
    except UnsupportedAlgorithm as error:
        raise MootError(
            "the cryptography library on this machine was built without AES-256-GCM-SIV",
            hint="it needs OpenSSL 3.2 or newer, which the library's own wheels bring along",
        ) from error
