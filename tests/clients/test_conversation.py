"""The client's own MessagePack, and what it must agree about with the protocol. The rest of it, `test_thin` tests."""

import os
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import moot
from moot import conversation
from moot.conversation import Conversation, Sandboxed, Unheard, try_connect
from moot_protocol import limits
from moot_protocol.control import rpc
from moot_protocol.control.effects import LATER

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


# -- Another user's folders --------------------------------------------------------------------------------------
def forbid(monkeypatch: pytest.MonkeyPatch, closed: Path, own: int) -> None:
    """This process is of a user who may connect to nothing, and may not enter a folder nor see what is in it."""
    sees = os.path.exists

    class Forbidden:
        def __init__(self, *_: object) -> None:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(conversation, "socket", Forbidden)
    monkeypatch.setattr(os, "geteuid", lambda: own)
    monkeypatch.setattr(os, "access", lambda path, _mode: str(path) != str(closed))
    monkeypatch.setattr(os.path, "exists", lambda path: sees(path) and not str(path).startswith(f"{closed}/"))


def test_a_folder_of_another_user_is_not_taken_for_a_sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "moot"
    (closed / "run").mkdir(parents=True)
    owner = closed.stat().st_uid
    forbid(monkeypatch, closed, owner + 1)
    with pytest.raises(Sandboxed) as caught:  # a spool may be the other way all the same
        try_connect(f"{closed}/run/moot.sock")
    assert (caught.value.code, caught.value.message) == (
        "denied", f"{closed} belongs to user {owner}, not to user {owner + 1}",
    )  # fmt: skip
    monkeypatch.setenv("MOOT_SOCKET", f"{closed}/run/moot.sock")
    with pytest.raises(Sandboxed, match="belongs to user") as caught:
        try_connect(f"{closed}/run/moot.sock")
    assert "group" in caught.value.hint


@pytest.mark.parametrize("is_open", [True, False])
def test_a_folder_that_is_open_or_ones_own_keeps_nobody_out_so_a_sandbox_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_open: bool
) -> None:
    closed = tmp_path / "moot"
    closed.mkdir()
    owner = closed.stat().st_uid
    forbid(monkeypatch, tmp_path / "other" if is_open else closed, owner + 1 if is_open else owner)
    with pytest.raises(Sandboxed, match="forbids Unix sockets"):
        try_connect(f"{closed}/moot.sock")
