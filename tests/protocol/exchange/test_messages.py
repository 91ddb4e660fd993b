import contextlib
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moot_protocol import limits
from moot_protocol.codec import encode
from moot_protocol.crypto import is_signed
from moot_protocol.errors import Code, MalformedError
from moot_protocol.exchange.frontier import Form, FrontierBody, build_frontier_message, summary
from moot_protocol.exchange.messages import (
    AROUND_BATCHES,
    LARGEST_BATCH,
    NAME_BYTES,
    Batches,
    Place,
    Single,
    Want,
    batch_room,
    build_batches,
    build_fork,
    build_want,
    decode_message,
    fork_proof,
)
from moot_protocol.log.batch import ZEROS
from moot_testkit.bytes.feeds import FeedWriter, note, seed, signer
from moot_testkit.bytes.strategies import damaged

ME, PLANE = signer("me"), bytes(range(16))
A, B = (bytes([letter]) * 32 for letter in b"ab")
WANT = Want(1, PLANE, ME.public, A, 5, (Place(A, 3, seed("x")), Place(A, 0, ZEROS)), (Single(B, seed("y")),))
LEFT, RIGHT = FeedWriter(PLANE, signer("forker")), FeedWriter(PLANE, signer("forker"), "other")
ONE, OTHER = LEFT.write(note()), RIGHT.write(note())
LATER = LEFT.write(note())
SIGNED = [(batch.header_bytes, batch.signature) for batch in (ONE, OTHER)]


def refused(message: bytes) -> Code:
    with pytest.raises(MalformedError) as caught:
        decode_message(message)
    return caught.value.code


# -- want --------------------------------------------------------------------------------------------------------
def test_a_want_is_read_as_it_was_written() -> None:
    assert decode_message(build_want(ME, WANT)) == WANT


def test_a_want_s_bytes_are_a_signed_array_in_the_documented_order() -> None:
    version, kind, body, signature = msgspec.msgpack.decode(build_want(ME, WANT))
    places, singles = [[A, 3, seed("x")], [A, 0, ZEROS]], [[B, seed("y")]]
    assert (version, kind) == (1, 2)
    assert body == encode([1, PLANE, ME.public, A, 5, places, singles])
    assert is_signed(ME.public, signature, b"moot/want/1\0" + body)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"version": 2}, Code.BAD_VERSION),
        ({"plane": b""}, Code.BAD_STRUCTURE),
        ({"to": b""}, Code.BAD_STRUCTURE),
        ({"counter": 0}, Code.BAD_STRUCTURE),
        ({"places": (Place(A, 0, A),)}, Code.BAD_STRUCTURE),
        ({"places": (Place(A, 1, ZEROS),)}, Code.BAD_STRUCTURE),
        ({"places": (Place(A, -1, A),)}, Code.BAD_STRUCTURE),
        ({"places": (Place(A, 1, b""),)}, Code.BAD_STRUCTURE),
        ({"singles": (Single(b"", A),)}, Code.BAD_STRUCTURE),
        ({"singles": (Single(A, A),) * (limits.WANT_RANGES + 1)}, Code.BAD_STRUCTURE),
        ({"sender": A}, Code.BAD_SIGNATURE),
    ],
)
def test_what_is_no_want_is_refused_with_a_code(changes: dict[str, Any], code: Code) -> None:
    assert refused(build_want(ME, msgspec.structs.replace(WANT, **changes))) is code


# -- batches -----------------------------------------------------------------------------------------------------
@given(
    sizes=st.lists(st.sampled_from([0, 31, 255, 256, 65_535, 65_536, limits.BATCH_BYTES]), max_size=20),
    left=st.integers(0, limits.WANT_RANGES),
    unknown=st.integers(0, limits.WANT_RANGES),
)
@example(sizes=[65_536] * 20, left=0, unknown=0)
def test_a_message_of_batches_is_never_longer_than_what_is_reckoned_for_it(
    sizes: list[int], left: int, unknown: int
) -> None:
    batches = tuple(bytes(size) for size in sizes)
    message = build_batches(PLANE, batches, (A,) * left, (B,) * unknown)
    assert len(message) <= AROUND_BATCHES + sum(map(batch_room, batches)) + NAME_BYTES * (left + unknown)
    assert max(map(batch_room, batches), default=0) <= LARGEST_BATCH


def test_batches_are_read_as_they_were_written() -> None:
    message = decode_message(build_batches(PLANE, (b"one", b"two"), (A,), (B,)))
    assert message == Batches(1, 3, PLANE, (b"one", b"two"), (A,), (B,))
    assert encode([1, 3, PLANE, [b"one", b"two"], [A], [B]]) == build_batches(PLANE, (b"one", b"two"), (A,), (B,))


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (build_batches(b"", (), (), ()), Code.BAD_STRUCTURE),
        (build_batches(PLANE, (), (b"",), ()), Code.BAD_STRUCTURE),
        (build_batches(PLANE, (), (), (b"",)), Code.BAD_STRUCTURE),
        (build_batches(PLANE, (), (A,) * limits.WANT_RANGES, (B,)), Code.BAD_STRUCTURE),
        (build_batches(PLANE, (bytes(limits.BATCH_BYTES + 1),), (), ()), Code.TOO_LARGE),
    ],
)
def test_what_is_no_answer_is_refused_with_a_code(message: bytes, code: Code) -> None:
    assert refused(message) is code


# -- fork --------------------------------------------------------------------------------------------------------
def test_a_fork_proof_is_the_same_whichever_header_comes_first() -> None:
    proof = fork_proof(SIGNED[0], SIGNED[1])
    assert fork_proof(SIGNED[1], SIGNED[0]) == proof
    assert decode_message(build_fork(proof)) == proof
    assert (proof.plane, proof.author, proof.first) == (PLANE, LEFT.author, 1)


def test_two_headers_prove_a_fork_only_if_they_compete_for_a_number() -> None:
    elsewhere = FeedWriter(bytes(16), signer("forker")).write(note())
    someone = FeedWriter(PLANE, signer("someone")).write(note())
    for batch in (ONE, LATER, elsewhere, someone):
        with pytest.raises(MalformedError, match="no fork"):
            fork_proof(SIGNED[0], (batch.header_bytes, batch.signature))


@pytest.mark.parametrize("unsigned", [0, 1])
def test_a_fork_proof_needs_both_signatures(unsigned: int) -> None:
    with pytest.raises(MalformedError) as caught:
        fork_proof(SIGNED[1 - unsigned], (SIGNED[unsigned][0], bytes(64)))
    assert caught.value.code is Code.BAD_SIGNATURE


def test_a_fork_message_has_its_headers_in_one_order_only() -> None:
    version, kind, *pairs = msgspec.msgpack.decode(build_fork(fork_proof(*SIGNED)))
    assert (version, kind) == (1, 4)
    assert refused(encode([1, 4, *pairs[2:], *pairs[:2]])) is Code.NOT_CANONICAL


# -- any bytes ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("message", "code"),
    [
        (b"", Code.BAD_STRUCTURE),
        (b"\xc0\x01\x01", Code.BAD_STRUCTURE),
        (b"\x94\x02\x01\x00\x00", Code.BAD_VERSION),
        (b"\x94\x01\x05\x00\x00", Code.BAD_STRUCTURE),
        (bytes(limits.SYNC_MESSAGE_BYTES + 1), Code.TOO_LARGE),
    ],
)
def test_what_is_no_message_is_refused_with_a_code(message: bytes, code: Code) -> None:
    assert refused(message) is code


FRONTIER = FrontierBody(1, PLANE, ME.public, ZEROS, 1, seed("d"), summary(()), Form.SUMMARY, ())
SAMPLES = [
    build_frontier_message(ME, FRONTIER),
    build_want(ME, WANT),
    build_batches(PLANE, (b"one", b"two"), (A,), (B,)),
    build_fork(fork_proof(*SIGNED)),
]


def test_every_kind_of_message_decodes_by_its_type() -> None:
    assert len({type(decode_message(sample)) for sample in SAMPLES}) == 4


@given(st.data())
def test_any_bytes_give_a_message_or_a_typed_error(data: st.DataObject) -> None:
    sample, other = data.draw(st.sampled_from(SAMPLES)), data.draw(st.sampled_from(SAMPLES))
    changed = data.draw(damaged(sample, other) | st.binary(max_size=200))
    with contextlib.suppress(MalformedError):
        decode_message(changed)
