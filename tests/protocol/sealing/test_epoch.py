"""An epoch's key reaches those it is wrapped for, and what was sealed before it, and nobody and nothing else."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.codec import decode_value, encode
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.limits import EPOCH_PREDECESSORS, EPOCH_RECIPIENTS, EVENT_BYTES
from moot_protocol.sealing.epoch import EpochValue, build_epoch, epoch_from_value, open_epoch, predecessors
from moot_protocol.sealing.frame import epoch_id
from moot_testkit.bytes.feeds import seed, signer
from moot_testkit.bytes.strategies import values

PLANE = seed("plane")[:16]
FIRST, SECOND, RIVAL, THIRD = (seed(f"plane key {number}") for number in range(4))
PRIVATE = {signer(name).public: seed(f"hpke {name}") for name in ("one", "two", "three")}
ONE, TWO, THREE = PRIVATE
RECIPIENTS = {
    recipient: X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    for recipient, secret in PRIVATE.items()
}
VALUE = build_epoch(PLANE, SECOND, RECIPIENTS, [FIRST])


def read(value: Any) -> EpochValue:
    found = epoch_from_value(decode_value(encode(value)))
    assert found is not None
    return found


def opened(value: Any, key: bytes, recipient: bytes, *, plane: bytes = PLANE, secret: bytes = b"") -> bytes | None:
    return open_epoch(plane, epoch_id(key), read(value), recipient, secret or PRIVATE[recipient])


# -- Wraps -----------------------------------------------------------------------------------------------------------
def test_every_recipient_opens_its_own_wrap() -> None:
    assert [opened(VALUE, SECOND, recipient) for recipient in RECIPIENTS] == [SECOND] * 3


def test_recipients_stand_in_ascending_order_each_once() -> None:
    assert list(read(VALUE).wraps) == sorted(RECIPIENTS)


def test_who_was_left_out_finds_no_wrap() -> None:
    value = build_epoch(PLANE, SECOND, {ONE: RECIPIENTS[ONE]}, [FIRST])
    assert opened(value, SECOND, ONE) == SECOND
    assert opened(value, SECOND, TWO) is None


def test_a_wrap_opens_with_no_other_key_than_its_recipient_s() -> None:
    with pytest.raises(MalformedError) as caught:
        opened(VALUE, SECOND, ONE, secret=PRIVATE[TWO])
    assert caught.value.code is Code.BAD_SEAL


def test_a_wrap_is_bound_to_its_plane_and_its_epoch() -> None:
    for plane, key in ((seed("other")[:16], SECOND), (PLANE, FIRST)):
        with pytest.raises(MalformedError) as caught:
            opened(VALUE, key, ONE, plane=plane)
        assert caught.value.code is Code.BAD_SEAL


@given(st.integers(0, 80 * 8 - 1))
def test_no_bit_of_a_wrap_can_be_changed(bit: int) -> None:
    value = read(VALUE)
    flipped = (int.from_bytes(value.wraps[ONE], "big") ^ (1 << bit)).to_bytes(80, "big")
    # The top bit of an X25519 key is ignored where it is read, but stands in what the wrap's key is derived from.
    with pytest.raises(MalformedError) as caught:
        open_epoch(PLANE, epoch_id(SECOND), value._replace(wraps={ONE: flipped}), ONE, PRIVATE[ONE])
    assert caught.value.code is Code.BAD_SEAL


def test_a_wrap_that_holds_another_key_than_its_epoch_is_named_by_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moot_protocol.sealing.epoch.epoch_id", lambda key: epoch_id(SECOND if key == FIRST else key))
    value = read(build_epoch(PLANE, FIRST, RECIPIENTS))
    monkeypatch.undo()
    with pytest.raises(MalformedError, match="another epoch") as caught:
        open_epoch(PLANE, epoch_id(SECOND), value, ONE, PRIVATE[ONE])
    assert caught.value.code is Code.BAD_SEAL


def test_one_who_brings_a_key_that_can_t_be_wrapped_for_keeps_nobody_else_from_the_new_key() -> None:
    value = build_epoch(PLANE, SECOND, {**RECIPIENTS, TWO: bytes(32)})
    assert opened(value, SECOND, TWO) is None
    assert opened(value, SECOND, ONE) == opened(value, SECOND, THREE) == SECOND


# -- Predecessors ----------------------------------------------------------------------------------------------------
def test_a_first_epoch_has_no_predecessor() -> None:
    assert predecessors(PLANE, FIRST, read(build_epoch(PLANE, FIRST, RECIPIENTS))) == ()


def test_a_new_key_opens_the_one_before_it() -> None:
    assert predecessors(PLANE, SECOND, read(VALUE)) == (FIRST,)


def test_an_epoch_over_two_that_were_begun_at_once_opens_both() -> None:
    value = read(build_epoch(PLANE, THIRD, RECIPIENTS, [SECOND, RIVAL]))
    assert predecessors(PLANE, THIRD, value) == (SECOND, RIVAL)


def test_an_old_key_opens_nothing_of_a_later_epoch() -> None:
    for plane, key in ((PLANE, FIRST), (seed("other")[:16], SECOND)):
        with pytest.raises(MalformedError) as caught:
            predecessors(plane, key, read(VALUE))
        assert caught.value.code is Code.BAD_SEAL


# -- What is no epoch ------------------------------------------------------------------------------------------------
SEALED, WRAPS = VALUE


@pytest.mark.parametrize(
    "value",
    [
        None,
        [SEALED],
        [SEALED, WRAPS, 0],
        ["", WRAPS],
        [SEALED[1:], WRAPS],
        [SEALED + bytes(32 * EPOCH_PREDECESSORS), WRAPS],
        [bytes(16), WRAPS],
        [SEALED, []],
        [SEALED, {}],
        [SEALED, WRAPS[::-1]],
        [SEALED, [WRAPS[0], WRAPS[0]]],
        [SEALED, [WRAPS[0], "wrap"]],
        [SEALED, [[*WRAPS[0], 0]]],
        [SEALED, [[WRAPS[0][0][1:], WRAPS[0][1]]]],
        [SEALED, [[WRAPS[0][0], WRAPS[0][1] + b"\0"]]],
        [SEALED, [["r" * 32, WRAPS[0][1]]]],
    ],
)
def test_what_is_no_epoch_reads_as_none(value: Any) -> None:
    assert epoch_from_value(value) is None


@given(values)
def test_any_value_is_an_epoch_or_none(value: Any) -> None:
    assert epoch_from_value(value) is None


def test_an_epoch_for_the_most_recipients_over_the_most_others_fits_an_event() -> None:
    public = RECIPIENTS[ONE]
    recipients = {seed(f"recipient {number}"): public for number in range(EPOCH_RECIPIENTS)}
    value = build_epoch(PLANE, THIRD, recipients, [FIRST] * EPOCH_PREDECESSORS)
    assert len(read(value).wraps) == EPOCH_RECIPIENTS
    assert len(predecessors(PLANE, THIRD, read(value))) == EPOCH_PREDECESSORS
    assert len(encode(value)) + 1024 < EVENT_BYTES
    for more, others in (({seed("more"): public}, []), ({}, [FIRST] * (EPOCH_PREDECESSORS + 1))):
        with pytest.raises(RefusedError) as caught:
            build_epoch(PLANE, THIRD, recipients | more, others)
        assert caught.value.code is Code.LIMIT
