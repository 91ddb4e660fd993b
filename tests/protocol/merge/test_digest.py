from hashlib import sha256

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.merge.digest import Digest, place_prefix, place_suffix, term, terms
from moot_testkit.bytes.strategies import hashes, texts

numbers = st.integers(0, 2**64 - 1)
values = st.integers(0, 2**256 - 1)


@given(texts, texts, texts, hashes, numbers, hashes)
def test_a_term_is_the_hash_of_the_place_times_the_factor_of_the_key(
    kind: str, entity: str, key: str, author: bytes, n: int, leaf: bytes
) -> None:
    packed = msgspec.msgpack.encode([kind, entity, author, n, leaf])
    place = int.from_bytes(sha256(packed).digest(), "big")
    factor = int.from_bytes(sha256(key.encode()).digest(), "big") | 1
    found = term(place_prefix(kind, entity), key, place_suffix(author, n, leaf))
    assert found == place * factor % 2**256


@given(texts, texts, st.lists(texts, unique=True), hashes, numbers, hashes)
def test_the_terms_of_an_event_are_the_sum_of_its_keys(
    kind: str, entity: str, keys: list[str], author: bytes, n: int, leaf: bytes
) -> None:
    prefix, suffix = place_prefix(kind, entity), place_suffix(author, n, leaf)
    assert terms(prefix, keys, suffix) == sum(term(prefix, key, suffix) for key in keys) % 2**256


@given(st.lists(values))
def test_terms_add_up_in_any_order(added: list[int]) -> None:
    forwards, backwards = Digest(), Digest(sum(added[:2]) % 2**256)
    for one in added:
        forwards.add(one)
    for one in reversed(added[2:]):
        backwards.add(one)
    assert forwards.digest() == backwards.digest() == (sum(added) % 2**256).to_bytes(32, "big")


@given(st.lists(values), values)
def test_what_is_taken_away_was_never_there(added: list[int], other: int) -> None:
    digest = Digest()
    digest.remove(other)
    digest.add(sum(added))
    digest.add(other)
    assert digest.value == sum(added) % 2**256


def test_a_digest_shows_as_64_hexadecimal_digits() -> None:
    digest = Digest()
    digest.add(255)
    assert digest.hex() == "ff".rjust(64, "0")
