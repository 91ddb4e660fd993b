"""AES-256-GCM-SIV, held against a vector of RFC 8452, and the cipher's absence in words."""

import pytest
from cryptography.exceptions import UnsupportedAlgorithm
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import MootError
from moot_protocol.sealing import siv

KEY, NONCE = bytes(range(32)), bytes(12)


def test_it_is_the_cipher_of_rfc_8452() -> None:
    key, nonce = bytes([1, *bytes(31)]), bytes([3, *bytes(11)])
    sealed = "c2ef328e5c71c83b843122130f7364b761e0b97427e3df28"
    assert siv.encrypt(key, nonce, bytes([1, *bytes(7)]), b"").hex() == sealed


@given(st.binary(max_size=100), st.binary(max_size=20), st.data())
def test_what_was_sealed_opens_and_nothing_else_does(plaintext: bytes, bound: bytes, data: st.DataObject) -> None:
    sealed = siv.encrypt(KEY, NONCE, plaintext, bound)
    assert len(sealed) == len(plaintext) + siv.TAG_BYTES
    assert siv.decrypt(KEY, NONCE, sealed, bound) == plaintext
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    flipped = (int.from_bytes(sealed, "big") ^ (1 << bit)).to_bytes(len(sealed), "big")
    for key, nonce, ciphertext, also in (
        (KEY, NONCE, flipped, bound),
        (KEY, NONCE, sealed[: data.draw(st.integers(0, len(sealed) - 1))], bound),
        (KEY[::-1], NONCE, sealed, bound),
        (KEY, b"another one.", sealed, bound),
        (KEY, NONCE, sealed, bound + b"\0"),
    ):
        assert siv.decrypt(key, nonce, ciphertext, also) is None


def test_a_key_of_128_bits_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        siv.encrypt(bytes(16), NONCE, b"", b"")


def test_a_library_without_the_cipher_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(key: bytes) -> None:
        raise UnsupportedAlgorithm(f"no cipher for {len(key)} bytes")

    monkeypatch.setattr(siv, "AESGCMSIV", absent)
    for work in (siv.encrypt, siv.decrypt):
        with pytest.raises(MootError, match="without AES-256-GCM-SIV") as caught:
            work(KEY, NONCE, bytes(16), b"")
        assert "OpenSSL" in caught.value.hint
