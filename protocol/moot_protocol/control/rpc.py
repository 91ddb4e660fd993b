"""The control socket's bytes: frames, hello, requests and answers, and the effects of a hosted command.

A frame is 4 bytes of length, big-endian, and as many bytes of MessagePack (not in canonical form: nothing here is
hashed). The client sends its hello and its first request at once; the daemon sends its own hello before anything else.

    client → daemon   {"hello": 1, "version": text}
                      {"id": n, "method": name, "params": {…}, "key"?: text, "deadline_ms"?: n}
                      {"id": n, "method": "cancel", "params": {"id": m}}        answered with whether m was under way
                      {"id": n, "method": "subscribe", "params": as `events`}   answered with events until cancelled
                      {"id": n, "method": "console", "params": facts}           answered with effects and an exit
                      {"id": n, "method": "authenticate", "params": {"token"}}  the first one; answered with its user
                      [n, kind, bytes, code]                                    a reply to an effect of command n
    daemon → client   {"hello": 1, "version": text, "pid": n, "codes": true}
                      {"id": n, "result": value}     or    {"id": n, "error": {code, message, hint, retryable}}
                      {"id": n, "event": value}
                      [n, effect, …]

An error whose id is 0 concerns the connection, which the daemon then closes; it may come before the hello. With the
code `unreachable` it says that the connection was idle and has made room for another: nothing that wasn't answered has
been begun, or will be, so that everything can be asked again on a new one.

**Effects** are short arrays of numbers, text and bytes, so that a client needs a few dozen lines to handle them.
`out` and `err` carry bytes, `drop` a handle and `exit` a code; none of these is replied to, and `exit` is the last.
Each of the others is replied to exactly once, before the next one is sent, which is all the flow control there is:

    read  handle path                   open a file to read; replied to with its first chunk. A handle with the bit
                                        `effects.ONLY_ORDINARY`: only an ordinary file, and without waiting for it
    more  handle                        the next chunk; an empty one ends the file. Handle 0 is standard input
    write handle path mode flags        open a new file beside `path`; `done`. Flag 1: only where there is none, 2: only
                                        in a folder that is there
    chunk handle bytes                  append to it; `done`
    commit handle                       sync it and put it in place; `done`
    remove path                         remove a file; `done`
    edit  text                          the text as the user leaves it
    mode  path                          a file's permissions, in octal digits
    names path                          the names in a folder, with zero characters between them
    git-log most                        the latest commits of the folder's repository (`moot/git_log.py`)
    tool  question word                 what one of the user's own programs says (`moot/tools.py`)

Replies are `data` with bytes, `done` with none, and `fail` with a sentence in UTF-8 and a code: one of
`effects.FAILURES`, or nothing for any other failure. A code goes only to daemons whose hello says that they take
`codes`: earlier ones take three parts and no more.
"""

from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

import msgspec

from moot_protocol import limits
from moot_protocol.errors import Code, MalformedError, MootError, RefusedError
from moot_protocol.requests.base import Request
from moot_protocol.requests.methods import REQUESTS
from moot_protocol.text.json_text import to_msgpack

T = TypeVar("T")
R = TypeVar("R")

RPC_VERSION: Final = 1
"""The version both hellos must name."""
LENGTH_BYTES: Final = 4
CONNECTION: Final = 0
"""The id of errors that concern the whole connection."""
CANCEL: Final = "cancel"
SUBSCRIBE: Final = "subscribe"
CONSOLE: Final = "console"
AUTHENTICATE: Final = "authenticate"
"""Presents an API token, which binds all that follows on the connection to its user's rules. It is a request and no
part of the hello, so that a daemon that doesn't know it refuses it, and the client goes no further."""

_NOTHING: Final = b""
_NO_PARAMS: Final = b"\x80"
_ARRAYS: Final = 0x90
"""Short arrays have this high half of their first byte: replies and effects, where all else are maps."""

_Id = Annotated[int, msgspec.Meta(ge=1, le=2**53)]


class Hello(msgspec.Struct, omit_defaults=True):
    """What each side says first. Fields that a later version adds are ignored."""

    hello: int
    version: str = ""
    """The release, for people to read."""
    pid: int = 0
    """The daemon's process; 0 from a client."""
    codes: bool = False
    """Whether it takes the code of a `fail`."""
    effects: Annotated[tuple[str, ...], msgspec.Meta(max_length=64)] = ()
    """The effects that a client carries out, of those that not every release knows (`effects.LATER`)."""


class Call(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One request, its parameters not yet decoded."""

    id: _Id
    """The client's own number for it, not that of another request under way."""
    method: Annotated[str, msgspec.Meta(max_length=64)]
    params: msgspec.Raw = msgspec.Raw(_NO_PARAMS)
    key: Annotated[str, msgspec.Meta(max_length=limits.IDEMPOTENCY_KEY_BYTES)] = ""
    """Idempotency key, or empty."""
    deadline_ms: Annotated[int, msgspec.Meta(ge=1, le=limits.DEADLINE_MAX_MS)] | None = None
    """How long it may take; None for the daemon's default."""


class Reply(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """A client's reply to an effect."""

    id: _Id
    kind: Literal["data", "done", "fail"]
    data: bytes = _NOTHING
    code: Annotated[str, msgspec.Meta(max_length=64)] = ""
    """Of a `fail`: what kind of failure it is; empty from clients of earlier releases."""


class CancelParams(msgspec.Struct, forbid_unknown_fields=True):
    """Which request to cancel."""

    id: _Id


class AuthenticateParams(msgspec.Struct, forbid_unknown_fields=True):
    """The API token that binds a connection."""

    token: str


class Bound(msgspec.Struct):
    """Whose rules bind a connection from now on."""

    user: str


class ErrorBody(msgspec.Struct):
    """An error as it travels."""

    code: str
    message: str
    hint: str = ""
    retryable: bool = False


class Answer(msgspec.Struct):
    """What the daemon sends for a request: `result`, `event` and `error`, of which exactly one is there."""

    id: int
    result: msgspec.Raw = msgspec.Raw(_NOTHING)
    event: msgspec.Raw = msgspec.Raw(_NOTHING)
    error: ErrorBody | None = None


class FrameSplitter:
    """Cuts a stream of bytes into frames, however it arrives. After an error it is of no further use.

    Args:
        limit: bytes of the largest frame let through.
    """

    def __init__(self, limit: int = limits.RPC_FRAME_BYTES) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._need = LENGTH_BYTES

    @property
    def partial(self) -> bool:
        """Whether a frame has begun that is not complete."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """Take in what has arrived and return the frames that are now complete, without their lengths.

        Raises:
            MalformedError: a length of zero, or one beyond the limit (`too_large`), seen before its bytes are kept.
        """
        self._rest += data
        if len(self._rest) < self._need:
            return []
        frames, at, rest = [], 0, bytes(self._rest)
        self._need = LENGTH_BYTES
        while len(rest) - at >= LENGTH_BYTES:
            start = at + LENGTH_BYTES
            length = self._checked(int.from_bytes(rest[at:start], "big"))
            if len(rest) < start + length:
                self._need = LENGTH_BYTES + length
                break
            at = start + length
            frames.append(rest[start:at])
        del self._rest[:at]
        return frames

    def _checked(self, length: int) -> int:
        if length == 0:
            raise MalformedError("a frame without content")
        if length > self._limit:
            raise MalformedError(f"a frame of {length} bytes, more than {self._limit}", code=Code.TOO_LARGE)
        return length


_encode: Final = msgspec.msgpack.Encoder().encode
_decode_hello: Final = msgspec.msgpack.Decoder(Hello)
_decode_call: Final = msgspec.msgpack.Decoder(Call)
_decode_reply: Final = msgspec.msgpack.Decoder(Reply)
_decode_answer: Final = msgspec.msgpack.Decoder(Answer)


@cache  # each when it is first needed: all of them take a twentieth of the daemon's start
def _params_decoder(shape: type[Request[Any]]) -> msgspec.msgpack.Decoder[Request[Any]]:
    return msgspec.msgpack.Decoder(shape)


def frame(payload: bytes) -> bytes:
    """Put a payload's length before it.

    Raises:
        RefusedError: `limit`: it is too large.
    """
    if len(payload) > limits.RPC_FRAME_BYTES:
        raise RefusedError(
            f"{len(payload)} bytes do not fit a frame of {limits.RPC_FRAME_BYTES}",
            code=Code.LIMIT,
            hint="ask for less at once: most requests take a limit",
        )
    return len(payload).to_bytes(LENGTH_BYTES, "big") + payload


# -- Client to daemon --------------------------------------------------------------------------------------------
def hello_frame(version: str, pid: int = 0, effects: tuple[str, ...] = ()) -> bytes:
    """A hello of this protocol version."""
    return frame(_encode(Hello(RPC_VERSION, version, pid, codes=True, effects=effects)))


def call_frame(call_id: int, request: Request[Any], *, key: str = "", deadline_ms: int | None = None) -> bytes:
    """A request.

    Raises:
        RefusedError: `limit`: it is too large for a frame.
    """
    return frame(_encode(Call(call_id, request.method, msgspec.Raw(_encode(request)), key, deadline_ms)))


def raw_call_frame(call_id: int, method: str, params: Any) -> bytes:
    """A request of the connection itself (`cancel`, `subscribe`, `console`)."""
    return frame(_encode(Call(call_id, method, msgspec.Raw(_encode(params)))))


def decode_hello(payload: bytes) -> Hello:
    """Decode the first frame of a peer.

    Raises:
        MalformedError: `bad_structure`: no hello; `bad_version`: one of another protocol version.
    """
    hello = _decoded(_decode_hello, payload, "hello")
    if hello.hello != RPC_VERSION:
        raise MalformedError(
            f"release {hello.version} speaks version {hello.hello} of the control protocol, this one {RPC_VERSION}",
            code=Code.BAD_VERSION,
            hint="restart the daemon, so that both are of the same release",
        )
    return hello


def decode_from_client(payload: bytes) -> Call | Reply:
    """Decode any later frame of a client.

    Raises:
        MalformedError: `bad_structure`: neither a request nor a reply.
    """
    if payload and payload[0] & 0xF0 == _ARRAYS:
        return _decoded(_decode_reply, payload, "reply")
    return _decoded(_decode_call, payload, "request")


def decode_request(call: Call) -> Request[Any]:
    """Decode a request's parameters.

    Raises:
        RefusedError: `usage`: no such method; `invalid`: parameters that don't fit it, naming the field.
    """
    shape = REQUESTS.get(call.method)
    if shape is None:
        raise RefusedError(f"there is no method `{call.method}`", code=Code.USAGE)
    return _fitting(_params_decoder(shape), call)


def decode_params(call: Call, shape: type[T]) -> T:
    """Decode the parameters of a request of the connection itself.

    Raises:
        RefusedError: `invalid`: they don't fit, naming the field.
    """
    return _fitting(msgspec.msgpack.Decoder(shape), call)


# -- Daemon to client --------------------------------------------------------------------------------------------
def result_frame(call_id: int, result: Any) -> bytes:
    """The answer to a request.

    Raises:
        RefusedError: `limit`: it is too large for a frame.
        TypeError: it holds what MessagePack can't.
    """
    return frame(to_msgpack({"id": call_id, "result": result}))


def event_frame(call_id: int, event: Any) -> bytes:
    """One event of a subscription. Raises as `result_frame`."""
    return frame(_encode({"id": call_id, "event": event}))


def error_frame(call_id: int, error: MootError) -> bytes:
    """The failure of a request, or of the connection (id 0)."""
    body = ErrorBody(error.code.value, error.message, error.hint, error.retryable)
    return frame(_encode({"id": call_id, "error": body}))


def idle_error() -> RefusedError:
    """What a connection ends with that makes room for another."""
    return RefusedError(
        "the connection was closed while idle", code=Code.UNREACHABLE, hint="connect again", retryable=True
    )


def effect_frame(call_id: int, effect: str, *details: int | str | bytes) -> bytes:
    """One effect of a hosted command. Raises as `result_frame`."""
    return frame(_encode((call_id, effect, *details)))


def decode_from_daemon(payload: bytes) -> Answer:
    """Decode any frame after the daemon's hello, effects aside.

    Raises:
        MalformedError: `bad_structure`: no answer.
    """
    return _decoded(_decode_answer, payload, "answer")


def decode_result(request: Request[R], result: msgspec.Raw) -> R:
    """Decode the answer to a request into the type the request names.

    Raises:
        MalformedError: `bad_structure`: it is of another shape.
    """
    decoder: msgspec.msgpack.Decoder[R] = _result_decoder(type(request))
    return _decoded(decoder, result, f"answer to `{request.method}`")


@cache
def _result_decoder(request: type[Request[Any]]) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(answer_type(request))


def decode_user(result: msgspec.Raw) -> str:
    """The user that a token binds to, from the answer to `authenticate`.

    Raises:
        MalformedError: `bad_structure`.
    """
    return _decoded(msgspec.msgpack.Decoder(Bound), result, "user").user


def answer_type(request: type[Request[Any]]) -> Any:
    """The type `R` of a class that derives from `Request[R]`."""
    bases: Sequence[Any] = getattr(request, "__orig_bases__", ())
    return get_args(bases[0])[0]


_CODES: Final = {code.value: code for code in Code}
_MALFORMED: Final = frozenset(
    {
        Code.TOO_LARGE,
        Code.BAD_VERSION,
        Code.BAD_STRUCTURE,
        Code.NOT_CANONICAL,
        Code.BAD_HASH,
        Code.BAD_SIGNATURE,
        Code.BAD_KEY,
        Code.WRONG_PLANE,
        Code.NOT_CAUSAL,
    }
)


def error_from(body: ErrorBody) -> MootError:
    """The error that a body tells of. A code of a later release becomes `internal`, its name kept in the message."""
    code = _CODES.get(body.code)
    if code is None:
        return MootError(f"{body.message} ({body.code})", hint=body.hint, retryable=body.retryable)
    kind = MalformedError if code in _MALFORMED else MootError if code is Code.INTERNAL else RefusedError
    return kind(body.message, code=code, hint=body.hint, retryable=body.retryable)


def _decoded(decoder: msgspec.msgpack.Decoder[T], payload: bytes | msgspec.Raw, what: str) -> T:
    try:
        return decoder.decode(payload)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"not a {what}: {error}") from error


def _fitting(decoder: msgspec.msgpack.Decoder[T], call: Call) -> T:
    try:
        return decoder.decode(call.params)
    except (ValueError, RecursionError) as error:
        raise RefusedError(f"{call.method}: {error}", code=Code.INVALID) from error
