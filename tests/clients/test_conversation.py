"""The client's own MessagePack, and what it must agree about with the protocol. The rest of it, `test_thin` tests."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import moot
from moot import conversation
from moot_protocol import limits, rpc

SENT = st.recursive(
    st.booleans() | st.integers(0, 2**32 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
RECEIVED = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
LONG = ("x" * 31, "x" * 32, "x" * 300, "x" * 70_000, b"x" * 300, b"x" * 70_000, [1] * 15, [1] * 16, [1] * 70_000)
"""Values on both sides of every bound between two forms of a length."""


@given(value=SENT)
def test_what_the_client_encodes_others_decode(value: Any) -> None:
    assert msgspec.msgpack.decode(conversation.encode(value)) == value


@given(value=RECEIVED)
def test_what_others_encode_the_client_decodes(value: Any) -> None:
    data = msgspec.msgpack.encode(value)
    assert conversation.decode(data, 0) == (value, len(data))


@pytest.mark.parametrize("value", [*LONG, {str(number): number for number in range(70_000)}], ids=len)
def test_long_values_go_both_ways(value: Any) -> None:
    assert msgspec.msgpack.decode(conversation.encode(value)) == value
    assert conversation.decode(msgspec.msgpack.encode(value), 0)[0] == value


@given(data=st.binary(min_size=1, max_size=100))
def test_any_bytes_are_decoded_or_garbled(data: bytes) -> None:
    try:
        conversation.decode(data, 0)
    except conversation.GARBLED:
        return


def test_client_and_protocol_agree_on_what_both_define() -> None:
    assert (conversation.RPC_VERSION, conversation.FRAME_BYTES) == (rpc.RPC_VERSION, limits.RPC_FRAME_BYTES)
    assert rpc.decode_hello(conversation.encode(conversation.HELLO)) == rpc.Hello(rpc.RPC_VERSION, moot.__version__)
