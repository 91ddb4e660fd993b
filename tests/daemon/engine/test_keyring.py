"""Names stand for the latest of several keys; what was sealed for an earlier one is opened still."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from moot_protocol.errors import MalformedError, RefusedError
from moot_protocol.sealing.hpke import HPKE
from mootd.edges.entropy import SeededEntropy
from mootd.edges.keys import MemoryKeyStore
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


# -- Trials ------------------------------------------------------------------------------------------------------
def test_what_is_made_while_something_is_tried_is_there_for_the_length_of_it_only() -> None:
    keys = ring()
    first = keys.signer("town").public
    with keys.trying(MemoryKeyStore(SeededEntropy(b"trial"))):
        keys.create("replica")
        keys.keep("topic", bytes(32))
        assert (keys.create_next("town"), keys.has("town-2"), keys.is_tried("town-2")) == (2, True, True)
        assert (keys.secret("topic"), keys.has("replica"), keys.signer("town").public) == (bytes(32), True, first)
        assert not keys.is_tried("town")
    assert [keys.has(name) for name in ("replica", "topic", "town-2", "town")] == [False, False, False, True]


def test_a_trial_opens_what_was_sealed_for_either_key_and_takes_no_name_that_is_taken() -> None:
    keys = ring()
    keys.keep("topic", bytes(32))
    sealed = sealed_for(keys, b"before")
    with keys.trying(MemoryKeyStore(SeededEntropy(b"trial"))):
        keys.create_next("town")
        assert keys.hpke_open("town", sealed, b"info") == b"before"
        keys.keep("topic", bytes(32))
        with pytest.raises(RefusedError, match="already"):
            keys.create("town")
        with pytest.raises(RefusedError, match="already"):
            keys.keep("topic", bytes([1] * 32))
        assert not keys.is_tried("topic")


def test_other_threads_see_nothing_of_a_trial() -> None:
    keys = ring()
    with keys.trying(MemoryKeyStore(SeededEntropy(b"trial"))), ThreadPoolExecutor(1) as threads:
        keys.create("replica")
        assert not threads.submit(keys.has, "replica").result()
