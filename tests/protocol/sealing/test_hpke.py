"""What is sealed for a key is opened by it, for the purpose that it was sealed for."""

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from moot_protocol.sealing.hpke import HPKE

KEY = X25519PrivateKey.from_private_bytes(bytes(range(32)))


def test_what_is_sealed_is_opened_by_the_key_and_the_purpose_that_it_was_sealed_for() -> None:
    sealed = HPKE.encrypt(b"secret", KEY.public_key(), b"purpose")
    assert len(sealed) == 32 + len(b"secret") + 16, "a key of X25519 before it and a tag of AES-GCM behind"
    assert HPKE.decrypt(sealed, KEY, b"purpose") == b"secret"
    for key, purpose in ((KEY, b"another"), (X25519PrivateKey.from_private_bytes(bytes(32)), b"purpose")):
        with pytest.raises(InvalidTag):
            HPKE.decrypt(sealed, key, purpose)
