"""HPKE (RFC 9180, base mode) as Moot uses it: one suite wherever something is sealed for an X25519 key."""

from typing import Final

from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

HPKE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
