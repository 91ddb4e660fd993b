"""Frames, hellos, requests and answers of the control socket, as bytes."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol import limits
from moot_protocol.control import rpc
from moot_protocol.errors import Code, MalformedError, MootError, RefusedError
from moot_protocol.requests.issues import Create, IssueFields, ListIssues, Show, WorkspaceInfo
from moot_protocol.requests.listing import Page
from moot_protocol.requests.machine import Ping
from moot_protocol.requests.methods import REQUESTS
from moot_testkit.bytes.strategies import damaged

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


def split(stream: bytes, cuts: list[int]) -> list[bytes]:
    """The stream in pieces that end at these offsets."""
    at = sorted({cut % (len(stream) + 1) for cut in cuts} | {0, len(stream)})
    return [stream[start:end] for start, end in pairwise(at)]


def payload_of(framed: bytes) -> bytes:
    """The one payload of a frame."""
    (payload,) = rpc.FrameSplitter().feed(framed)
    return payload


def call_of(method: str, params: Any) -> rpc.Call:
    """A request as the daemon decodes it."""
    call = rpc.decode_from_client(payload_of(rpc.raw_call_frame(1, method, params)))
    assert isinstance(call, rpc.Call)
    return call


def damaged_in(samples: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Valid bytes that something happened to, or that others were spliced into."""
    return st.tuples(samples, samples).flatmap(lambda pair: damaged(*pair))


# -- Frames ------------------------------------------------------------------------------------------------------
@given(payloads=st.lists(st.binary(min_size=1, max_size=300), max_size=8), cuts=st.lists(st.integers(0, 3000)))
def test_however_a_stream_is_split_it_gives_the_same_frames(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(rpc.frame, payloads))
    splitter = rpc.FrameSplitter()
    frames = [frame for piece in split(stream, cuts) for frame in splitter.feed(piece)]
    assert frames == payloads
    assert not splitter.partial


STREAMS = st.lists(st.binary(min_size=1, max_size=16), max_size=8).map(lambda frames: b"".join(map(rpc.frame, frames)))


@given(stream=damaged_in(STREAMS) | st.binary(max_size=200), cuts=st.lists(st.integers(0, 200)))
def test_any_bytes_give_frames_or_a_typed_error_and_no_more_is_kept_than_came(stream: bytes, cuts: list[int]) -> None:
    splitter = rpc.FrameSplitter(limit=16)
    cut = 0
    try:
        for piece in split(stream, cuts):
            cut += sum(rpc.LENGTH_BYTES + len(frame) for frame in splitter.feed(piece))
    except MalformedError:
        return
    assert splitter.partial == (cut < len(stream))
    assert len(stream) - cut < rpc.LENGTH_BYTES + 16


def test_a_length_beyond_the_limit_is_refused_before_its_bytes_come() -> None:
    splitter = rpc.FrameSplitter(limit=10)
    assert splitter.feed(b"\x00\x00\x00\x0a" + b"x" * 10) == [b"x" * 10]
    with pytest.raises(MalformedError, match="11 bytes") as caught:
        splitter.feed(b"\x00\x00\x00\x0b")
    assert caught.value.code is Code.TOO_LARGE


def test_a_frame_without_content_is_malformed() -> None:
    with pytest.raises(MalformedError, match="without content"):
        rpc.FrameSplitter().feed(bytes(4))


def test_half_a_frame_is_partial_until_the_rest_comes() -> None:
    splitter = rpc.FrameSplitter()
    assert splitter.feed(b"\x00\x00") == []
    assert splitter.partial
    assert splitter.feed(b"\x00\x02a") == []
    assert splitter.partial
    assert splitter.feed(b"b") == [b"ab"]
    assert not splitter.partial


def test_what_does_not_fit_a_frame_is_refused_with_what_to_do() -> None:
    assert len(rpc.frame(bytes(limits.RPC_FRAME_BYTES))) == limits.RPC_FRAME_BYTES + rpc.LENGTH_BYTES
    with pytest.raises(RefusedError) as caught:
        rpc.frame(bytes(limits.RPC_FRAME_BYTES + 1))
    assert caught.value.code is Code.LIMIT
    assert "limit" in caught.value.hint


# -- Hello -------------------------------------------------------------------------------------------------------
def test_a_hello_comes_back_as_it_was_said() -> None:
    assert rpc.decode_hello(payload_of(rpc.hello_frame("1.2.3", 77))) == rpc.Hello(rpc.RPC_VERSION, "1.2.3", 77, True)


def test_a_hello_of_another_version_is_told_apart_and_both_versions_are_named() -> None:
    with pytest.raises(
        MalformedError, match=f"release 9 speaks version {rpc.RPC_VERSION + 1} .* {rpc.RPC_VERSION}"
    ) as e:
        rpc.decode_hello(msgspec.msgpack.encode({"hello": rpc.RPC_VERSION + 1, "version": "9", "colour": "blue"}))
    assert e.value.code is Code.BAD_VERSION


# -- Requests ----------------------------------------------------------------------------------------------------
def test_a_request_arrives_as_it_was_sent() -> None:
    request = Create(actor="alice", project="moot", fields=IssueFields(title="a title", priority=1), labels=("x",))
    call = rpc.decode_from_client(payload_of(rpc.call_frame(7, request, key="k1", deadline_ms=500)))
    assert isinstance(call, rpc.Call)
    assert (call.id, call.method, call.key, call.deadline_ms) == (7, "create", "k1", 500)
    assert rpc.decode_request(call) == request


def test_an_unknown_method_is_named() -> None:
    with pytest.raises(RefusedError, match="no method `frobnicate`") as caught:
        rpc.decode_request(call_of("frobnicate", {}))
    assert caught.value.code is Code.USAGE


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"ids": ["a"], "colour": "blue"}, "`colour`"),
        ({"ids": "a"}, r"\$.ids"),
        ({"ids": ["a", 5]}, r"\$.ids\[1\]"),
        ({}, "`ids`"),
        (["a"], "object"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_naming_the_field(params: Any, named: str) -> None:
    with pytest.raises(RefusedError, match=f"^show: .*{named}") as caught:
        rpc.decode_request(call_of("show", params))
    assert caught.value.code is Code.INVALID


@pytest.mark.parametrize(
    "message",
    [
        {"id": 0, "method": "ping"},
        {"id": -1, "method": "ping"},
        {"id": 1},
        {"id": 1, "method": "ping", "colour": "blue"},
        {"id": 1, "method": "x" * 65},
        {"id": 1, "method": "ping", "key": "x" * (limits.IDEMPOTENCY_KEY_BYTES + 1)},
        {"id": 1, "method": "ping", "deadline_ms": 0},
        {"id": 1, "method": "ping", "deadline_ms": limits.DEADLINE_MAX_MS + 1},
        [1, "shrug", b""],
        [1, "data", "text"],
        [1],
        "hello",
        5,
    ],
)
def test_what_is_no_request_and_no_reply_is_malformed(message: Any) -> None:
    with pytest.raises(MalformedError):
        rpc.decode_from_client(msgspec.msgpack.encode(message))


IDS = st.integers(1, 9) | st.sampled_from([2**53, 0, -1, 2**53 + 1, "1"])
CALLS = st.fixed_dictionaries(
    {"id": IDS, "method": st.sampled_from(["show", "", "x" * 64, "x" * 65])},
    optional={
        "params": PLAIN,
        "key": st.sampled_from(["k", "k" * limits.IDEMPOTENCY_KEY_BYTES, "k" * (limits.IDEMPOTENCY_KEY_BYTES + 1)]),
        "deadline_ms": st.sampled_from([None, 0, 1, limits.DEADLINE_MAX_MS, limits.DEADLINE_MAX_MS + 1]),
    },
)
REPLIES = st.builds(lambda *parts: list(parts), IDS, st.sampled_from(["data", "done", "fail", "shrug"]), st.binary())
ERRORS = st.fixed_dictionaries(
    {"code": st.sampled_from(["busy", "too_purple", "bad_hash", "internal"]), "message": st.text()},
    optional={"hint": st.text(), "retryable": st.booleans(), "colour": PLAIN},
)
ANSWERS = st.fixed_dictionaries({"id": st.integers(1, 9), "error": ERRORS}, optional={"result": PLAIN, "colour": PLAIN})
HELLOS = st.fixed_dictionaries(
    {"hello": st.sampled_from([rpc.RPC_VERSION, rpc.RPC_VERSION - 1, rpc.RPC_VERSION + 1])},
    optional={"version": st.text(), "pid": st.integers(0, 9) | st.none(), "colour": PLAIN},
)


def packed(values: st.SearchStrategy[Any]) -> st.SearchStrategy[bytes]:
    """Values as payloads, and some of those damaged."""
    whole = values.map(msgspec.msgpack.encode)
    return whole | damaged_in(whole)


@given(packed(REPLIES))
def test_any_reply_is_of_a_request_and_of_a_known_kind_or_it_is_a_typed_error(payload: bytes) -> None:
    try:
        sent = rpc.decode_from_client(payload)
    except MalformedError:
        return
    assert 1 <= sent.id <= 2**53
    assert isinstance(sent, rpc.Call) or sent.kind in {"data", "done", "fail"}


@given(packed(CALLS))
def test_what_any_request_asks_for_keeps_within_all_limits_or_it_is_a_typed_error(payload: bytes) -> None:
    try:
        sent = rpc.decode_from_client(payload)
    except MalformedError:
        return
    assert 1 <= sent.id <= 2**53
    if isinstance(sent, rpc.Reply):
        return
    assert len(sent.method) <= 64
    assert len(sent.key) <= limits.IDEMPOTENCY_KEY_BYTES
    assert sent.deadline_ms is None or 1 <= sent.deadline_ms <= limits.DEADLINE_MAX_MS


@given(packed(ANSWERS))
def test_the_error_of_any_answer_can_be_told_with_its_code_or_it_is_a_typed_error(payload: bytes) -> None:
    try:
        body = rpc.decode_from_daemon(payload).error
    except MalformedError:
        return
    if body is not None:
        error = rpc.error_from(body)
        assert error.message.startswith(body.message)
        assert body.code == error.code.value or body.code in error.message


@given(packed(HELLOS))
def test_any_hello_is_of_this_version_or_it_is_a_typed_error(payload: bytes) -> None:
    try:
        hello = rpc.decode_hello(payload)
    except MalformedError:
        return
    assert hello.hello == rpc.RPC_VERSION


def test_deep_nesting_is_a_typed_error() -> None:
    deep = b"\x91" * 100_000 + b"\x01"
    with pytest.raises(MalformedError):
        rpc.decode_from_client(deep)
    with pytest.raises(RefusedError):
        rpc.decode_request(rpc.Call(1, "show", msgspec.Raw(b"\x81\xa3ids" + deep)))


def test_a_reply_arrives_as_it_was_sent() -> None:
    assert rpc.decode_from_client(msgspec.msgpack.encode([3, "data", b"x"])) == rpc.Reply(3, "data", b"x")
    assert rpc.decode_from_client(msgspec.msgpack.encode([3, "done"])) == rpc.Reply(3, "done", b"")


# -- Answers -----------------------------------------------------------------------------------------------------
@given(result=PLAIN)
def test_an_answer_arrives_as_it_was_sent(result: Any) -> None:
    answer = rpc.decode_from_daemon(payload_of(rpc.result_frame(5, result)))
    assert answer.id == 5
    assert answer.error is None
    assert msgspec.msgpack.decode(answer.result) == result


def test_an_answer_with_an_integer_beyond_64_bits_arrives_with_the_nearest_number() -> None:
    sent = rpc.result_frame(5, Page(issues=[{"id": "a", "metadata": {"n": 10**29}}], total=1, truncated=False))
    page = rpc.decode_result(ListIssues(), rpc.decode_from_daemon(payload_of(sent)).result)
    assert page.issues == [{"id": "a", "metadata": {"n": 1e29}}]


def test_an_answer_becomes_the_type_that_its_request_names() -> None:
    answer = rpc.decode_from_daemon(
        payload_of(rpc.result_frame(5, Page(issues=[{"id": "a"}], total=None, truncated=True)))
    )
    page = rpc.decode_result(ListIssues(), answer.result)
    assert page == Page(issues=[{"id": "a"}], total=None, truncated=True)
    assert rpc.decode_result(WorkspaceInfo(workspace="w"), msgspec.Raw(b"\xc0")) is None


def test_an_answer_of_another_type_is_malformed() -> None:
    with pytest.raises(MalformedError, match="answer to `show`"):
        rpc.decode_result(Show(ids=("a",)), msgspec.Raw(b"\x05"))


def test_every_request_names_the_type_of_its_answer() -> None:
    for request in REQUESTS.values():
        msgspec.msgpack.Decoder(rpc.answer_type(request))
    assert rpc.answer_type(ListIssues) is Page
    assert rpc.answer_type(Ping) == dict[str, Any]


def test_an_event_and_an_effect_have_the_documented_shape() -> None:
    assert msgspec.msgpack.decode(payload_of(rpc.event_frame(4, {"n": 1}))) == {"id": 4, "event": {"n": 1}}
    assert msgspec.msgpack.decode(payload_of(rpc.effect_frame(4, "write", 1, "p", 0o644, 0))) == [
        4, "write", 1, "p", 0o644, 0,
    ]  # fmt: skip


@given(
    code=st.sampled_from(list(Code)), message=st.text(), hint=st.text(), retryable=st.booleans(),
)  # fmt: skip
def test_an_error_arrives_with_all_it_said(code: Code, message: str, hint: str, retryable: bool) -> None:
    sent = MootError(message, code=code, hint=hint, retryable=retryable)
    body = rpc.decode_from_daemon(payload_of(rpc.error_frame(9, sent))).error
    assert body is not None
    error = rpc.error_from(body)
    assert (error.code, error.message, error.hint, error.retryable) == (code, message, hint, retryable)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (Code.BAD_HASH, MalformedError),
        (Code.LOST_RACE, RefusedError),
        (Code.BUSY, RefusedError),
        (Code.INTERNAL, MootError),
    ],
)
def test_an_error_is_rebuilt_as_the_class_of_its_code(code: Code, kind: type[MootError]) -> None:
    assert type(rpc.error_from(rpc.ErrorBody(code.value, "m"))) is kind


def test_an_error_code_of_a_later_release_is_kept_in_words() -> None:
    error = rpc.error_from(rpc.ErrorBody("too_purple", "no", "paint it", retryable=True))
    assert (error.code, error.message, error.hint, error.retryable) == (
        Code.INTERNAL,
        "no (too_purple)",
        "paint it",
        True,
    )
