from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.codec import encode
from moot_protocol.errors import Code, MalformedError
from moot_protocol.trust.genesis import PlaneKind, build_genesis, decode_genesis, plane_id
from moot_testkit.bytes.feeds import signer
from moot_testkit.bytes.strategies import damaged

TOWN, RECOVERY, NONCE = signer("town").public, signer("recovery").public, bytes(range(16))
DOCUMENT = build_genesis(PlaneKind.LEDGER, TOWN, RECOVERY, "work", NONCE)


def test_a_genesis_says_what_it_was_built_from() -> None:
    genesis = decode_genesis(DOCUMENT)
    assert genesis.kind is PlaneKind.LEDGER
    assert (genesis.town, genesis.recovery, genesis.name, genesis.nonce) == (TOWN, RECOVERY, "work", NONCE)


def test_its_bytes_are_an_array_in_the_documented_order() -> None:
    assert encode([1, "ledger", TOWN, RECOVERY, "work", NONCE]) == DOCUMENT


def test_a_plane_is_named_by_the_hash_of_its_genesis() -> None:
    assert plane_id(DOCUMENT) == sha256(b"moot/plane/1\0" + DOCUMENT).digest()[:16]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ([2, "ledger", TOWN, RECOVERY, "work", NONCE], Code.BAD_VERSION),
        ([1, "other", TOWN, RECOVERY, "work", NONCE], Code.BAD_STRUCTURE),
        ([1, "ledger", TOWN, RECOVERY, "work"], Code.BAD_STRUCTURE),
        ([1, "ledger", TOWN, RECOVERY, "work", NONCE, 0], Code.NOT_CANONICAL),
        ([1, "ledger", TOWN, RECOVERY, "", NONCE], Code.BAD_STRUCTURE),
        ([1, "ledger", TOWN, RECOVERY, "wo\nrk", NONCE], Code.BAD_STRUCTURE),
        ([1, "ledger", TOWN, RECOVERY, "w" * 193, NONCE], Code.BAD_STRUCTURE),
        ([1, "ledger", TOWN, RECOVERY, "work", NONCE[1:]], Code.BAD_STRUCTURE),
        ([1, "ledger", TOWN, TOWN, "work", NONCE], Code.BAD_KEY),
        ([1, "ledger", TOWN[1:], RECOVERY, "work", NONCE], Code.BAD_KEY),
        ([1, "ledger", bytes(32), RECOVERY, "work", NONCE], Code.BAD_KEY),
        ([1, "ledger", TOWN, b"\x01" + bytes(31), "work", NONCE], Code.BAD_KEY),
    ],
)
def test_what_is_no_genesis_is_refused_with_a_code(fields: list[object], code: Code) -> None:
    with pytest.raises(MalformedError) as caught:
        decode_genesis(encode(fields))
    assert caught.value.code is code


def test_a_genesis_that_would_not_decode_is_not_built() -> None:
    with pytest.raises(MalformedError, match="recovery"):
        build_genesis(PlaneKind.LEDGER, TOWN, TOWN, "work", NONCE)


@given(st.data())
def test_any_bytes_give_a_genesis_or_a_typed_error(data: st.DataObject) -> None:
    sample = data.draw(st.binary(max_size=200) | damaged(DOCUMENT, DOCUMENT))
    try:
        genesis = decode_genesis(sample)
    except MalformedError:
        return
    assert encode(genesis) == sample
