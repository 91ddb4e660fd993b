"""The client's own MessagePack, and what it must agree about with the protocol. The rest of it, `test_thin` tests."""

import socket
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import moot
from moot import conversation
from moot.conversation import Conversation, Unheard
from moot_protocol import limits, rpc
from moot_protocol.effects import LATER

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
    hello = rpc.Hello(rpc.RPC_VERSION, moot.__version__, effects=LATER)
    assert rpc.decode_hello(conversation.encode(conversation.HELLO)) == hello


@pytest.mark.parametrize(("daemon", "told"), [({"codes": True}, ["not_found"]), ({}, [])])
def test_the_code_of_a_failure_goes_only_to_a_daemon_that_takes_one(daemon: dict[str, bool], told: list[str]) -> None:
    """A daemon of an earlier release closes the connection for a part that it doesn't know."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        hello = {"hello": rpc.RPC_VERSION, "version": "0", "pid": 1, **daemon}
        for message in (hello, [1, "read", 1, "/nowhere/at/all"], [1, "exit", 3]):
            theirs.sendall(rpc.frame(msgspec.msgpack.encode(message)))
        assert Conversation(ours).command("moot", ["list"]) == 3
        ours.shutdown(socket.SHUT_WR)
        sent = rpc.FrameSplitter().feed(b"".join(iter(lambda: theirs.recv(65536), b"")))
    assert msgspec.msgpack.decode(sent[-1]) == [1, "fail", b"/nowhere/at/all: No such file or directory", *told]


@pytest.mark.parametrize("greeted", [True, False])
def test_a_connection_that_lost_its_place_before_it_was_used_has_begun_nothing(greeted: bool) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        idle = rpc.error_frame(rpc.CONNECTION, rpc.idle_error())
        theirs.sendall(rpc.hello_frame("1", 1) + idle if greeted else idle)
        with pytest.raises(Unheard):
            Conversation(ours).command("moot", ["list"])
