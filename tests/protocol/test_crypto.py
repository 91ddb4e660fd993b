"""Signatures are those of RFC 8032, and keys that implementations disagree about are never certified."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol import crypto
from moot_protocol.crypto import SeedSigner, check_public_key, is_signed
from moot_protocol.errors import Code, MalformedError
from moot_testkit.bytes.strategies import signers

P = 2**255 - 19
D = -121665 * pow(121666, P - 2, P) % P
SIGN = 1 << 255

RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
]

EIGHTH = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
"""The y of a point of order 8; p minus it is that of the others."""
SMALL_ORDER = {
    "the neutral element": 1,
    "order 2": P - 1,
    "order 4": 0,
    "order 4, other sign": SIGN,
    "order 8, first": EIGHTH,
    "order 8, second": EIGHTH | SIGN,
    "order 8, third": P - EIGHTH,
    "order 8, fourth": P - EIGHTH | SIGN,
}
NOT_CANONICAL = {
    "zero as p": P,
    "zero as p, other sign": P | SIGN,
    "one as p + 1": P + 1,
    "one as p + 1, other sign": P + 1 | SIGN,
    "one with a sign": 1 | SIGN,
    "minus one with a sign": P - 1 | SIGN,
    "the largest number": 2**256 - 1,
}


def encoded(number: int) -> bytes:
    return number.to_bytes(32, "little")


def refusal(public: bytes) -> str:
    with pytest.raises(MalformedError) as caught:
        check_public_key(public)
    assert caught.value.code is Code.BAD_KEY
    return caught.value.message


@pytest.mark.parametrize(("seed", "public", "message", "signature"), RFC_8032)
def test_the_vectors_of_rfc_8032_hold(seed: str, public: str, message: str, signature: str) -> None:
    signer = SeedSigner(bytes.fromhex(seed))
    assert signer.public.hex() == public
    assert signer.sign(bytes.fromhex(message)).hex() == signature
    assert is_signed(signer.public, bytes.fromhex(signature), bytes.fromhex(message))
    check_public_key(signer.public)


@given(signers, st.binary(max_size=50), st.integers(0, 511))
def test_a_signature_with_one_bit_changed_is_none(signer: SeedSigner, message: bytes, bit: int) -> None:
    signature = signer.sign(message)
    assert is_signed(signer.public, signature, message)
    changed = (int.from_bytes(signature, "big") ^ 1 << bit).to_bytes(64, "big")
    assert not is_signed(signer.public, changed, message)
    assert not is_signed(signer.public, signature, message + b"x")


@given(signers, signers)
def test_a_signature_is_one_keys(one: SeedSigner, other: SeedSigner) -> None:
    assert is_signed(other.public, one.sign(b"m"), b"m") == (one.public == other.public)


def test_a_signature_whose_number_is_not_reduced_is_none() -> None:
    signer = SeedSigner(bytes(32))
    signature = signer.sign(b"m")
    order = 2**252 + 27742317777372353535851937790883648493
    larger = (int.from_bytes(signature[32:], "little") + order).to_bytes(32, "little")
    assert not is_signed(signer.public, signature[:32] + larger, b"m")


@given(st.binary(max_size=70), st.binary(max_size=70), st.binary(max_size=10))
def test_any_bytes_as_key_and_signature_are_an_answer(public: bytes, signature: bytes, message: bytes) -> None:
    assert not is_signed(public, signature, message)


@pytest.mark.parametrize("number", SMALL_ORDER.values(), ids=SMALL_ORDER.keys())
def test_the_eight_points_of_small_order_are_never_certified(number: int) -> None:
    assert "small or mixed order" in refusal(encoded(number))


def test_those_are_all_points_of_small_order() -> None:
    # x² (1 + d y²) = y² - 1 with y of order 8: 8 points in all, and doubling an eighth gives a fourth, with y = 0.
    square = (EIGHTH * EIGHTH - 1) * pow(D * EIGHTH * EIGHTH + 1, P - 2, P) % P
    assert pow(square, (P - 1) // 2, P) == 1
    assert (EIGHTH * EIGHTH + square) % P == 0
    assert len(set(SMALL_ORDER.values())) == 8


@pytest.mark.parametrize("number", NOT_CANONICAL.values(), ids=NOT_CANONICAL.keys())
def test_other_encodings_of_points_are_never_certified(number: int) -> None:
    refusal(encoded(number))


@given(st.integers(P, 2**255 - 1), st.booleans())
def test_a_y_that_is_not_reduced_is_never_certified(y: int, sign: bool) -> None:
    assert "canonical" in refusal(encoded(y | SIGN * sign))


@given(st.integers(2, P - 2).filter(lambda y: y not in {EIGHTH, P - EIGHTH}), st.booleans())
def test_a_number_that_is_no_point_is_never_certified(y: int, sign: bool) -> None:
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    is_point = pow(square, (P - 1) // 2, P) == 1
    if not is_point:
        assert "no point" in refusal(encoded(y | SIGN * sign))
        return
    # Eight times any point is one of the prime-order subgroup: that one is certified, whatever this one is.
    total = point(encoded(y | SIGN * sign))
    for _ in range(3):
        total = crypto._add(total, total)
    x, y = (part * pow(total[2], -1, P) % P for part in total[:2])
    check_public_key(encoded(y | (x & 1) << 255))


@given(signers)
def test_every_key_made_from_a_seed_can_be_certified(signer: SeedSigner) -> None:
    check_public_key(signer.public)


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_a_key_of_another_length_is_never_certified(size: int) -> None:
    assert "32 bytes" in refusal(b"\x01" * size)


def test_no_domain_is_the_beginning_of_another() -> None:
    domains = [value for name, value in vars(crypto).items() if name.endswith("_DOMAIN")]
    assert len(domains) >= 5
    assert all(domain.startswith(b"moot/") and domain.endswith(b"\0") for domain in domains)
    assert not [(a, b) for a in domains for b in domains if a is not b and a.startswith(b)]


@given(signers, st.sampled_from(sorted(set(SMALL_ORDER) - {"the neutral element"})))
def test_a_key_of_mixed_order_is_refused_although_it_is_a_point(signer: SeedSigner, name: str) -> None:
    """OpenSSL takes such a key; whether it has signed something depends on whom one asks."""
    total = crypto._add(point(signer.public), point(encoded(SMALL_ORDER[name])))
    x, y = (part * pow(total[2], -1, P) % P for part in total[:2])
    mixed = encoded(y | (x & 1) << 255)
    assert "order" in refusal(mixed)


def point(public: bytes) -> tuple[int, int, int, int]:
    number = int.from_bytes(public, "little")
    y, sign = number & (SIGN - 1), number >> 255
    x = crypto._recover_x(y, sign)
    assert x is not None
    return x, y, 1, x * y % P
