"""Every decoder of the protocol with samples of what it reads: the list that the fuzzers work through.

A new `decode_…` function is one more line in `DECODERS`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from moot_protocol.codec import decode_value, encode
from moot_protocol.control import rpc
from moot_protocol.errors import Code, MalformedError, MootError, RefusedError
from moot_protocol.exchange.frontier import (
    Entry,
    Form,
    FrontierBody,
    build_frontier_message,
    decode_frontier_message,
    summary,
)  # fmt: skip
from moot_protocol.exchange.messages import (
    Place,
    Single,
    Want,
    build_batches,
    build_fork,
    build_want,
    decode_message,
    fork_proof,
)  # fmt: skip
from moot_protocol.exchange.presence import Presence, build_presence, decode_presence
from moot_protocol.log.batch import ZEROS, decode_batch, decode_events, decode_header, decode_signed, encode_batch
from moot_protocol.log.event import Dot, Draft, Write, decode_shaped, decode_skeleton, decode_values
from moot_protocol.requests.issues import Close, Create, IssueFields
from moot_protocol.requests.machine import Ping
from moot_protocol.spool.files import Token, check_command, command_name, decode_token, encode_token, seal_command
from moot_protocol.trust.certificate import decode_certificate
from moot_protocol.trust.genesis import PlaneKind, decode_genesis
from moot_protocol.trust.proof import build_proof, decode_proof, verify_proof
from moot_protocol.trust.ticket import Remote, RemoteKind, Ticket, decode_ticket, encode_ticket
from moot_testkit.bytes.feeds import Town, note, seed, wire
from moot_testkit.bytes.forging import forged_batch, forged_header, forged_skeleton, forged_values

T = TypeVar("T")


class Decoder(NamedTuple):
    """A way in for bytes from elsewhere."""

    name: str
    decode: Callable[[bytes], Any]
    samples: tuple[bytes, ...]
    """Valid inputs to begin from."""
    encode: Callable[[Any], bytes] | None = None
    """Makes the same bytes again of what was decoded; None where the form is not canonical, or not kept."""
    covers: tuple[Callable[..., Any], ...] = ()
    """The public functions that are tried through it."""


_TOWN = Town()
_HPKE = X25519PrivateKey.from_private_bytes(seed("daemon"))
_FEED = _TOWN.replica("laptop")
_OVER = (Dot(_TOWN.key.public, 1, b"leaf8..."),)
_BATCH = _FEED.write(
    Draft("issue", "mt-1", "alice", (Write("title", "Ein Titel"), Write("status", removes=True, over=_OVER))),
    Draft("issue", "mt-2", "bob", (Write("extra", {"a": [1, -1, 2.5, None, True, b"bytes", {"é": "ü"}]}),)),
    Draft("issue", "mt-3", "bob", (Write("notes", "text " * 100), Write("priority", 2, _OVER))),
)
_CERTIFICATE = _TOWN.certificate(_FEED.author)
_WIRE = (wire(_FEED.batches[0]), wire(_BATCH), forged_batch())
_GUEST = _TOWN.guest("guest")
_PROOFS = (
    build_proof(_BATCH, 2, _CERTIFICATE, _TOWN.genesis),
    build_proof(_BATCH, 3, _CERTIFICATE, _TOWN.genesis),
    build_proof(_TOWN.charter.batches[0], 1, (), _TOWN.genesis),
    build_proof(_GUEST.charter.batches[0], 1, (), _TOWN.genesis, ((_TOWN.admit(_GUEST), _TOWN.charter.n),)),
)
_TICKET = Ticket(
    1, _TOWN.plane, PlaneKind.LEDGER, "ledger", _TOWN.key.public, "rivertown", seed("topic"), seed("plane key"),
    (Remote(RemoteKind.GIT, "git@example.org:moot.git"),), seed("invite"),
)  # fmt: skip
_HEADER = forged_header([(forged_skeleton(), forged_values("a title"))])
_SKELETONS = tuple(event.skeleton_bytes for event in _BATCH.events)
_VALUES = tuple(event.values_bytes or b"" for event in _BATCH.events)
_READER = decode_skeleton(_SKELETONS[2], 2)


def _values(data: bytes) -> list[Any]:
    """The values of an event that writes two keys; what they would show as missing is an error here."""
    values = decode_values(data, _READER)
    if values is None:
        raise MalformedError("values that are missing")
    return values


def _ticket(data: bytes) -> Any:
    return decode_ticket(data.decode(errors="replace"))


def _payload(frame: bytes) -> bytes:
    return frame[rpc.LENGTH_BYTES :]


def _request(data: bytes) -> Any:
    call = rpc.decode_from_client(data)
    return rpc.decode_request(call) if isinstance(call, rpc.Call) else call


def _cancel(data: bytes) -> Any:
    call = rpc.decode_from_client(data)
    return rpc.decode_params(call, rpc.CancelParams) if isinstance(call, rpc.Call) else call


def _frames(data: bytes) -> list[bytes]:
    return rpc.FrameSplitter().feed(data)


_CALLS = (
    _payload(rpc.call_frame(1, Create(actor="a", project="p", fields=IssueFields(title="t", priority=1)), key="k")),
    _payload(rpc.call_frame(2, Ping(), deadline_ms=100)),
    _payload(rpc.raw_call_frame(3, rpc.CANCEL, {"id": 1})),
    msgspec.msgpack.encode([1, "data", b"bytes"]),
)
_ANSWERS = (
    _payload(rpc.result_frame(1, {"pid": 1})),
    _payload(rpc.event_frame(1, {"arrival": 7})),
    _payload(rpc.error_frame(1, RefusedError("a sentence", code=Code.BUSY))),
)
_FRONTIER = (Entry(_FEED.author, 4, _BATCH.id), Entry(b"\xff" * 32, 1, _BATCH.header.prev, 1))
_BODY = FrontierBody(
    1, _TOWN.plane, _FEED.author, ZEROS, 7, ZEROS, summary(_FRONTIER), Form.ALL, _FRONTIER
)  # fmt: skip
_FRONTIERS = (
    build_frontier_message(_FEED.key, _BODY),
    build_frontier_message(_FEED.key, msgspec.structs.replace(_BODY, form=Form.SUMMARY, entries=())),
    build_frontier_message(_FEED.key, msgspec.structs.replace(_BODY, form=Form.SOME, to=_TOWN.key.public)),
)
_PRESENCE = build_presence(_FEED.key, Presence(1, _TOWN.plane, _FEED.author, 9, is_there=True))
_PLACES = (Place(_FEED.author, 1, _BATCH.header.prev), Place(_TOWN.key.public, 0, ZEROS))
_TWIN = _FEED.fork("twin", 1).write(note("another"))
_MESSAGES = (
    build_want(_FEED.key, Want(1, _TOWN.plane, _FEED.author, ZEROS, 8, _PLACES, (Single(_FEED.author, _BATCH.id),))),
    build_batches(_TOWN.plane, _WIRE[:2], (_FEED.author,), (_TOWN.key.public,)),
    build_fork(fork_proof((_BATCH.header_bytes, _BATCH.signature), (_TWIN.header_bytes, _TWIN.signature))),
)
_TOKEN = Token(1, "w", "mt", _TOWN.plane.hex(), seed("token"), _HPKE.public_key().public_bytes_raw())
_SPOOL_ID, _SPOOL_MS = bytes(range(16)), 1_700_000_000_000
_RESULTS = (msgspec.msgpack.encode({"pid": 1}), msgspec.msgpack.encode({}))
_USERS = (msgspec.msgpack.encode({"user": "ada"}),)

DECODERS: tuple[Decoder, ...] = (
    Decoder("value", decode_value, _VALUES, encode, (decode_value,)),
    Decoder("skeleton", lambda data: decode_skeleton(data, 2), _SKELETONS, encode, (decode_skeleton, decode_shaped)),
    Decoder("values", _values, (_VALUES[2],), covers=(decode_values,)),
    Decoder("header", decode_header, (_BATCH.header_bytes,), encode, (decode_header,)),
    Decoder("batch", decode_batch, _WIRE, wire, (decode_batch, encode_batch)),
    Decoder(
        "batch in two steps",
        lambda data: decode_events(decode_signed(data)),
        _WIRE,
        wire,
        (decode_signed, decode_events),
    ),
    Decoder("batch not verified", lambda data: decode_batch(data, verify=False), _WIRE, wire),
    Decoder(
        "skeleton in a signed batch",
        lambda data: decode_batch(forged_batch([(data, forged_values("a title"))])),
        (forged_skeleton(),),
    ),
    Decoder(
        "values in a signed batch",
        lambda data: decode_batch(forged_batch([(forged_skeleton(), data)])).events[0].values(),
        (forged_values("a title"),),
    ),
    Decoder("header of a signed batch", lambda data: decode_batch(forged_batch(header=data)), (_HEADER,)),
    Decoder("proof", decode_proof, _PROOFS, encode, (decode_proof,)),
    Decoder("proof verified", verify_proof, _PROOFS, covers=(verify_proof,)),
    Decoder(
        "certificate",
        lambda data: decode_certificate(decode_value(data)),
        (encode(_CERTIFICATE),),
        covers=(decode_certificate,),
    ),
    Decoder("genesis", decode_genesis, (_TOWN.genesis,), encode, (decode_genesis,)),
    Decoder("ticket", _ticket, (encode_ticket(_TICKET).encode(),), covers=(decode_ticket,)),
    Decoder("frontier", decode_frontier_message, _FRONTIERS, covers=(decode_frontier_message,)),
    Decoder("presence", decode_presence, (_PRESENCE,), covers=(decode_presence,)),
    Decoder("message of a session", decode_message, _MESSAGES + _FRONTIERS, covers=(decode_message,)),
    Decoder("rpc hello", rpc.decode_hello, (_payload(rpc.hello_frame("1.0", 7)),), covers=(rpc.decode_hello,)),
    Decoder("rpc from a client", _request, _CALLS[:2], covers=(rpc.decode_from_client, rpc.decode_request)),
    Decoder("rpc of a connection", _cancel, _CALLS[2:], covers=(rpc.decode_params,)),
    Decoder("rpc from the daemon", rpc.decode_from_daemon, _ANSWERS, covers=(rpc.decode_from_daemon,)),
    Decoder(
        "rpc result", lambda data: rpc.decode_result(Ping(), msgspec.Raw(data)), _RESULTS, covers=(rpc.decode_result,)
    ),
    Decoder("rpc user", lambda data: rpc.decode_user(msgspec.Raw(data)), _USERS, covers=(rpc.decode_user,)),
    Decoder("spool token", decode_token, (encode_token(_TOKEN),), encode_token, (decode_token,)),
    Decoder(
        "spool command",
        lambda data: check_command(data, command_name(_SPOOL_MS, _SPOOL_ID), "w", seed("token"), _SPOOL_MS),
        (seal_command(_TOKEN, _SPOOL_ID, _SPOOL_MS, Close(actor="a", id="mt-1"), awaited=True),),
    ),
    Decoder("rpc frames", _frames, (rpc.hello_frame("1.0"), rpc.result_frame(1, None) * 2)),
)


def check_total(decoder: Decoder, data: bytes) -> bool:
    """Check that bytes give a value that makes the same bytes again, or an error with a code; whether a value."""
    try:
        value = decoder.decode(data)
    except MootError as error:
        wrong = not isinstance(error.code, Code)
        value = None
    else:
        wrong = decoder.encode is not None and decoder.encode(value) != data
    if wrong:
        raise AssertionError(f"{decoder.name}: no stable code, or other bytes than these: {data.hex()}")
    return value is not None
