"""What the golden vectors say of values and proofs is what the sources say of them."""

from typing import Any

import pytest

from moot_protocol.codec import decode_value, encode
from moot_protocol.crypto import BATCH_DOMAIN, is_certifiable, is_signed
from moot_protocol.errors import MalformedError
from moot_protocol.merge.register import MISSING
from moot_protocol.trust.proof import verify_proof
from moot_protocol.trust.proof_chain import BrokenProofError, Link
from moot_testkit.vectors import odd_keys
from moot_testkit.vectors.odd_keys import BASE, MIXED, SMALL, SMALL_NOT_CANONICAL, SMALL_WITH_SIGN, TORSION, add, times
from moot_testkit.vectors.proof_parts import REPLICA, SEEDS, SHOWN
from moot_testkit.vectors.refused import cases
from moot_testkit.vectors.towns import through_towns, without_meaning
from moot_testkit.vectors.values import vectors as values

ACCEPTED = {name: bytes.fromhex(vector["hex"]) for name, vector in values().items() if "decoded" in vector}
REFUSED = {name: bytes.fromhex(vector["hex"]) for name, vector in values().items() if "decoded" not in vector}
CASES = {case.name: case for case in cases()}
TOWNS = through_towns()
MEANINGLESS = without_meaning()

SHOWN_OF_TOWNS = {
    "a replica of a town that an admission let in": ("writer", 2, 1, False),
    "the same over a higher admission": ("admin", 2, 1, False),
    "the charter of that town": ("writer", 1, 1, False),
    "the charter of a town that the recovery key let in": ("reader", 1, 1, False),
    "the charter of a town that came with an invite": ("writer", 1, 1, False),
    "a later event of that charter": ("writer", 2, 1, False),
    "a replica of a town that came with an invite of a town that was let in": ("writer", 2, 2, False),
    "the certificate of a reader that joined a town with an invite": ("reader", 1, 1, True),
    "three towns, one above the other": ("writer", 2, 3, False),
}
"""Role, number of the event, how many let in one another, and whether the author joined with an invite."""


# -- Values ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ACCEPTED)
def test_a_value_in_its_only_encoding_is_accepted(name: str) -> None:
    assert encode(decode_value(ACCEPTED[name])) == ACCEPTED[name]


@pytest.mark.parametrize("name", REFUSED)
def test_any_other_encoding_is_refused(name: str) -> None:
    with pytest.raises(MalformedError):
        decode_value(REFUSED[name])


# -- Proofs ------------------------------------------------------------------------------------------------------
def verdict(proof: bytes) -> tuple[str, str]:
    """Code and link of the refusal; neither where the proof holds."""
    try:
        verify_proof(proof)
    except BrokenProofError as error:
        return error.code, error.link
    except MalformedError as error:
        return error.code, ""
    return "", ""


@pytest.mark.parametrize("name", CASES)
def test_a_proof_holds_or_is_refused_for_the_rule_that_it_breaks(name: str) -> None:
    case = CASES[name]
    assert verdict(case.proof) == (case.code, case.link)


def test_every_link_is_broken_by_some_proof() -> None:
    assert {case.link for case in CASES.values()} == {"", *Link}


@pytest.mark.parametrize("name", TOWNS)
def test_a_proof_through_towns_shows_who_let_in_whom(name: str) -> None:
    event = verify_proof(TOWNS[name])
    assert (event.role, event.n, len(event.through), event.invite != b"") == SHOWN_OF_TOWNS[name]


@pytest.mark.parametrize("name", MEANINGLESS)
def test_an_event_holds_whatever_its_values_are(name: str) -> None:
    (change,) = verify_proof(MEANINGLESS[name]).changes
    assert (change.value is MISSING) == ("16 levels" not in name)


# -- Keys and signatures -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("odd", [SMALL, SMALL_NOT_CANONICAL, SMALL_WITH_SIGN, MIXED])
def test_a_key_that_nobody_may_certify_could_sign(odd: Any) -> None:
    assert is_signed(odd.public, odd.sign(b"message"), b"message")
    assert not is_certifiable(odd.public)


def holds_with_cofactor(secret: int, public: bytes, message: bytes, signature: bytes, nonce_point: Any) -> bool:
    """8[S]B = 8R + 8[k]A, for a key whose secret number is known."""
    challenge = odd_keys.challenge(signature[:32], public, message) * secret
    ours = times(8 * odd_keys.number(signature[32:]), BASE)
    return signature[:32] == odd_keys.encoded(nonce_point) and ours == add(
        times(8, nonce_point), times(8 * challenge % (8 * odd_keys.ORDER), BASE)
    )


def test_a_signature_may_hold_with_the_cofactor_and_not_without_it() -> None:
    message, secret = BATCH_DOMAIN + SHOWN[4], odd_keys.secret_of(SEEDS["replica"])
    assert odd_keys.encoded(times(secret, BASE)) == REPLICA.public
    signature = odd_keys.with_cofactor_only(SEEDS["replica"], REPLICA.public, message)
    nonce_point = add(times(odd_keys.nonce_of(message), BASE), TORSION)
    assert holds_with_cofactor(secret, REPLICA.public, message, signature, nonce_point)
    assert not is_signed(REPLICA.public, signature, message)


def test_the_order_added_to_s_changes_nothing_but_the_range() -> None:
    signature = REPLICA.sign(b"message")
    larger = odd_keys.with_larger_s(signature)
    assert (odd_keys.number(larger[32:]) - odd_keys.number(signature[32:])) == odd_keys.ORDER
    assert not is_signed(REPLICA.public, larger, b"message")
