"""Names stand for the latest of several keys; what was sealed for an earlier one is opened still."""

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from moot_protocol.errors import MalformedError
from mootd.edges.entropy import SeededEntropy
from mootd.edges.keys import HPKE, MemoryKeyStore
from mootd.engine.keyring import Keyring, stored_name


def ring() -> Keyring:
    keys = Keyring(MemoryKeyStore(SeededEntropy(b"keys")))
    keys.create("town")
    return keys


def sealed_for(keys: Keyring, secret: bytes) -> bytes:
    return HPKE.encrypt(secret, X25519PublicKey.from_public_bytes(keys.hpke_public("town")), b"info")


def test_a_name_stands_for_the_key_that_it_was_told() -> None:
    keys = ring()
    first = keys.signer("town").public
    number = keys.create_next("town")
    assert (number, keys.signer("town").public) == (2, first)
    keys.update({"town": number})
    second = keys.signer("town").public
    assert second != first
    assert keys.signer(stored_name("town", 1)).public == first
    assert keys.hpke_public("town") == keys.hpke_public("town-2")


def test_a_key_that_a_failed_try_left_is_used_by_the_next() -> None:
    keys = ring()
    assert keys.create_next("town") == keys.create_next("town") == 2
    assert list(keys.stored("town")) == ["town-2", "town-1"]


def test_what_was_sealed_for_any_of_its_keys_is_opened() -> None:
    keys = ring()
    old = sealed_for(keys, b"old")
    keys.update({"town": keys.create_next("town")})
    assert keys.hpke_open("town", old, b"info") == b"old"
    assert keys.hpke_open("town", sealed_for(keys, b"new"), b"info") == b"new"
    between = sealed_for(keys, b"between")
    keys.update({"town": keys.create_next("town")})
    assert keys.hpke_open("town", between, b"info") == b"between"
    with pytest.raises(MalformedError):
        keys.hpke_open("town", old, b"other")


def test_secrets_go_by_their_own_names() -> None:
    keys = ring()
    keys.keep("topic", bytes(32))
    assert keys.secret("topic") == bytes(32)
    assert keys.has("topic")
    assert not keys.has("replica")
