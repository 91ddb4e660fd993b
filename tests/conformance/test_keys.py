"""What every key store guarantees, on disk and in memory."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from moot_protocol.crypto import SeedSigner, check_public_key, is_signed
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.sealing.hpke import HPKE
from mootd.edges.entropy import SeededEntropy, SystemEntropy
from mootd.edges.keys import FileKeyStore, MemoryKeyStore
from mootd.ports import Entropy, KeyStore

Make = Callable[[Entropy], KeyStore]


@pytest.fixture(params=["file", "memory"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    if request.param == "file":
        return lambda entropy: FileKeyStore(tmp_path / "data" / "keys", entropy)
    return MemoryKeyStore


@pytest.fixture
def keys(make: Make) -> KeyStore:
    return make(SystemEntropy())


def test_a_created_key_is_there_and_signs(keys: KeyStore) -> None:
    assert not keys.has("town")
    keys.create("town")
    assert keys.has("town")
    signer = keys.signer("town")
    check_public_key(signer.public)
    assert is_signed(signer.public, signer.sign(b"moot/test/1\0hello"), b"moot/test/1\0hello")


def test_plane_keys_can_be_wrapped_for_it(keys: KeyStore) -> None:
    keys.create("replica")
    public = keys.hpke_public("replica")
    assert X25519PublicKey.from_public_bytes(public).public_bytes_raw() == public
    assert public != keys.signer("replica").public


def test_a_name_keeps_its_key(keys: KeyStore) -> None:
    keys.create("town")
    before = keys.signer("town").public, keys.hpke_public("town")
    keys.create("replica")
    with pytest.raises(RefusedError) as caught:
        keys.create("town")
    assert caught.value.code is Code.EXISTS
    assert (keys.signer("town").public, keys.hpke_public("town")) == before


def test_every_name_has_a_key_of_its_own(keys: KeyStore) -> None:
    for name in ("town", "replica"):
        keys.create(name)
    publics = {keys.signer(name).public for name in ("town", "replica")}
    assert len(publics | {keys.hpke_public(name) for name in ("town", "replica")}) == 4


def test_keys_come_from_the_entropy_given(make: Make) -> None:
    keys, same = make(SeededEntropy(3)), SeededEntropy(3)
    keys.create("town")
    signing, exchange = SeedSigner(same.bytes(32)), X25519PrivateKey.from_private_bytes(same.bytes(32))
    assert keys.signer("town").public == signing.public
    assert keys.hpke_public("town") == exchange.public_key().public_bytes_raw()


@pytest.mark.parametrize("ask", [lambda keys: keys.signer("town"), lambda keys: keys.hpke_public("town")])
def test_a_key_that_is_not_there_is_not_found(keys: KeyStore, ask: Callable[[KeyStore], object]) -> None:
    with pytest.raises(RefusedError) as caught:
        ask(keys)
    assert (caught.value.code, "from a backup" in caught.value.hint) == (Code.NOT_FOUND, True)
    keys.create("replica")
    with pytest.raises(RefusedError) as caught:
        ask(keys)
    assert caught.value.code is Code.NOT_FOUND


@pytest.mark.parametrize("method", ["has", "create", "signer", "hpke_public"])
def test_what_is_no_name_is_refused_everywhere(keys: KeyStore, method: str) -> None:
    names = ("", "Town", "../town", "a/b", ".town", "1", "-a", "a" * 64, "town\n", "tówn", "a\0")
    assert {name: answer(partial(getattr(keys, method), name)) for name in names} == dict.fromkeys(names, Code.INVALID)


def answer(ask: Callable[[], object]) -> object:
    """The code of a refusal, or what was answered."""
    try:
        return ask()
    except RefusedError as error:
        return error.code


def test_the_longest_name_will_do(keys: KeyStore) -> None:
    keys.create("a" * 63)
    assert keys.has("a" * 63)


# -- Secrets and what is sealed for a key ------------------------------------------------------------------------
def test_a_secret_comes_back_as_it_was_kept(keys: KeyStore) -> None:
    keys.keep("topic-1", b"s" * 32)
    assert keys.has("topic-1")
    assert keys.secret("topic-1") == b"s" * 32


def test_keeping_the_same_secret_again_is_harmless_and_another_is_refused(keys: KeyStore) -> None:
    keys.keep("topic-1", b"s" * 32)
    keys.keep("topic-1", b"s" * 32)
    with pytest.raises(RefusedError) as caught:
        keys.keep("topic-1", b"t" * 32)
    assert caught.value.code is Code.EXISTS
    assert keys.secret("topic-1") == b"s" * 32


def test_a_secret_is_no_pair_and_a_pair_no_secret(keys: KeyStore) -> None:
    keys.keep("topic-1", b"s" * 32)
    keys.create("town")
    with pytest.raises(RefusedError):
        keys.signer("topic-1")
    with pytest.raises(RefusedError):
        keys.secret("town")


def test_what_was_sealed_for_a_key_opens_for_it_alone_and_for_its_purpose(keys: KeyStore) -> None:
    keys.create("replica")
    keys.create("town")
    public = X25519PublicKey.from_public_bytes(keys.hpke_public("replica"))
    sealed = HPKE.encrypt(b"k" * 32, public, b"moot/wrap/1")
    assert keys.hpke_open("replica", sealed, b"moot/wrap/1") == b"k" * 32
    for name, data, info in (
        ("town", sealed, b"moot/wrap/1"), ("replica", sealed, b"moot/other"), ("replica", sealed[:-1], b"moot/wrap/1"),
        ("replica", b"", b"moot/wrap/1"),
    ):  # fmt: skip
        with pytest.raises(MalformedError) as caught:
            keys.hpke_open(name, data, info)
        assert caught.value.code is Code.BAD_KEY
