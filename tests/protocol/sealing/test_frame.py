"""Frames: only who has the key reads or makes one, and no bytes make a receiver do more than it allows."""

import sys
import tracemalloc
from collections.abc import Callable
from hashlib import sha256, shake_256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.codec import decode_value, encode
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.limits import COMPRESSION_RATIO, DECOMPRESSED_BYTES, FRAME_BYTES, KIB, MIB
from moot_protocol.sealing import siv
from moot_protocol.sealing.frame import epoch_id, frame_epoch, open_frame, padded, seal
from moot_testkit.bytes.feeds import seed
from moot_testkit.bytes.strategies import damaged

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

KEY, TOPIC, NONCE = seed("plane key"), seed("topic")[:16], seed("nonce")[:12]
EPOCH = epoch_id(KEY)
OTHER_KEY = seed("another plane key")
AROUND = 52 + siv.TAG_BYTES
"""The most bytes around a plaintext: array, version, three short byte strings, the longest string's head, the tag."""
TEXT = b"".join(b"line %d of a text that says much the same in each\n" % number for number in range(60))
SAMPLES = [seal(KEY, TOPIC, NONCE, message) for message in (b"", b"short", TEXT, shake_256(b"x").digest(3000))]


def key_of(epoch: bytes) -> bytes | None:
    return {EPOCH: KEY, epoch_id(OTHER_KEY): OTHER_KEY}.get(epoch)


def opened(data: bytes, keys: Callable[[bytes], bytes | None] = key_of) -> bytes:
    return open_frame(keys, TOPIC, data)


def refusal(data: bytes, keys: Callable[[bytes], bytes | None] = key_of) -> Code:
    with pytest.raises(MalformedError) as caught:
        opened(data, keys)
    return caught.value.code


def forged(plaintext: bytes, **changes: Any) -> bytes:
    """A frame with any plaintext, sealed by somebody who has the key, and with what is named otherwise afterwards."""
    parts = {"version": 1, "topic": TOPIC, "epoch": EPOCH, "nonce": NONCE}
    bound = b"moot/frame/1\0" + encode([1, TOPIC, EPOCH, NONCE])
    parts["ciphertext"] = siv.encrypt(KEY, NONCE, plaintext, bound)
    return encode([*(parts | changes).values()])


def plaintext_of(form: int, body: bytes, length: int | None = None) -> bytes:
    """A plaintext that is as it should be but for what is named."""
    head = bytes([form]) + (len(body) if length is None else length).to_bytes(4, "big") + body
    return head.ljust(padded(len(head)), b"\0")


def incompressible(length: int) -> bytes:
    return shake_256(b"moot").digest(length)


# -- What goes in comes out ------------------------------------------------------------------------------------------
@given(st.binary(max_size=300) | st.text(max_size=100).map(lambda text: (text * 50).encode()))
def test_a_message_comes_out_as_it_went_in(message: bytes) -> None:
    frame = seal(KEY, TOPIC, NONCE, message)
    assert opened(frame) == message
    assert len(frame) <= padded(len(message) + 5) + AROUND


def test_an_epoch_is_named_by_a_hash_of_its_key() -> None:
    assert sha256(b"moot/epoch/1\0" + KEY).digest()[:8] == EPOCH


def test_a_frame_shows_topic_epoch_and_nonce_and_no_more() -> None:
    frame = seal(KEY, TOPIC, NONCE, TEXT)
    assert decode_value(frame)[:4] == [1, TOPIC, EPOCH, NONCE]
    assert b"line" not in frame


def test_frames_of_one_message_differ_by_their_nonces() -> None:
    assert seal(KEY, TOPIC, NONCE, TEXT)[40:] != seal(KEY, TOPIC, bytes(12), TEXT)[40:]


def test_text_is_compressed_and_what_can_t_be_is_left_as_it_is() -> None:
    assert len(seal(KEY, TOPIC, NONCE, TEXT)) < len(TEXT) / 5
    plain = incompressible(3000)
    assert seal(KEY, TOPIC, NONCE, plain) == forged(plaintext_of(0, plain))


def test_what_compresses_too_well_is_left_as_it_is() -> None:
    message = bytes(100_000)
    assert len(zstd.compress(message)) * COMPRESSION_RATIO < len(message)
    assert seal(KEY, TOPIC, NONCE, message) == forged(plaintext_of(0, message))


@given(st.integers(5, 10 * MIB))
def test_padding_costs_an_eighth_at_most_and_few_lengths_are_left(length: int) -> None:
    found = padded(length)
    assert length <= found <= 1.12 * length + 1
    assert padded(found) == found
    assert len({padded(length) for length in range(2**15, 2**16, 64)}) <= 17


def test_a_message_that_would_come_out_too_large_is_not_sealed() -> None:
    with pytest.raises(RefusedError) as caught:
        seal(KEY, TOPIC, NONCE, bytes(DECOMPRESSED_BYTES + 1))
    assert caught.value.code is Code.LIMIT


def test_a_frame_that_its_remote_can_t_carry_is_not_sealed() -> None:
    message = incompressible(100 * KIB)
    size = len(seal(KEY, TOPIC, NONCE, message))
    assert len(seal(KEY, TOPIC, NONCE, message, room=size)) == size
    with pytest.raises(RefusedError) as caught:
        seal(KEY, TOPIC, NONCE, message, room=size - 1)
    assert caught.value.code is Code.LIMIT


def test_the_largest_message_that_compresses_enough_comes_through() -> None:
    message = incompressible(MIB) * (DECOMPRESSED_BYTES // MIB)
    assert opened(seal(KEY, TOPIC, NONCE, message)) == message


# -- What is refused, in order ---------------------------------------------------------------------------------------
def test_size_comes_first() -> None:
    assert refusal(b"\x95" + bytes(FRAME_BYTES)) is Code.TOO_LARGE


def test_then_the_version_whatever_follows_it() -> None:
    assert refusal(encode([2, "a frame", "of", "another", "format", "altogether"])) is Code.BAD_VERSION


@pytest.mark.parametrize(
    "changes",
    [{"topic": TOPIC[1:]}, {"epoch": EPOCH + b"x"}, {"nonce": b""}, {"nonce": 7}, {"ciphertext": "text"}],
)
def test_then_the_structure(changes: dict[str, Any]) -> None:
    assert refusal(forged(plaintext_of(0, b""), **changes)) is Code.BAD_STRUCTURE


def test_a_frame_in_another_encoding_is_refused() -> None:
    frame = seal(KEY, TOPIC, NONCE, b"")
    assert refusal(b"\xdc\x00\x05" + frame[1:]) is Code.NOT_CANONICAL


def test_a_frame_of_another_topic_is_none_of_this_one_s() -> None:
    assert refusal(seal(KEY, seed("elsewhere")[:16], NONCE, b"")) is Code.WRONG_PLANE


def test_a_frame_whose_epoch_isn_t_known_is_told_apart_so_that_it_can_be_held() -> None:
    frame = seal(seed("a newer key"), TOPIC, NONCE, TEXT)
    assert refusal(frame) is Code.UNKNOWN_EPOCH
    assert opened(frame, lambda epoch: seed("a newer key") if epoch != EPOCH else None) == TEXT


@pytest.mark.parametrize("part", ["topic", "epoch", "nonce", "ciphertext"])
@given(data=st.data())
def test_nothing_of_a_frame_can_be_changed(part: str, data: st.DataObject) -> None:
    at = ["version", "topic", "epoch", "nonce", "ciphertext"].index(part)
    frame = decode_value(seal(KEY, TOPIC, NONCE, TEXT))
    bit = data.draw(st.integers(0, 8 * len(frame[at]) - 1))
    frame[at] = (int.from_bytes(frame[at], "big") ^ (1 << bit)).to_bytes(len(frame[at]), "big")
    with pytest.raises(MalformedError) as caught:
        open_frame(lambda _: KEY, frame[1], encode(frame))
    assert caught.value.code is Code.BAD_SEAL


def test_a_frame_under_an_epoch_s_name_and_another_key_is_refused() -> None:
    assert refusal(forged(plaintext_of(0, b""), epoch=epoch_id(OTHER_KEY))) is Code.BAD_SEAL
    assert refusal(forged(plaintext_of(0, b""), ciphertext=b"")) is Code.BAD_SEAL


def test_nothing_is_decompressed_before_it_has_been_authenticated(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = decode_value(seal(KEY, TOPIC, NONCE, TEXT))
    frame[4] = frame[4][:-1] + bytes([frame[4][-1] ^ 1])
    monkeypatch.setattr(zstd, "ZstdDecompressor", None)
    assert refusal(encode(frame)) is Code.BAD_SEAL


# -- What a member may not send either -------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("plaintext", "code"),
    [
        (b"", Code.BAD_STRUCTURE),
        (bytes(4), Code.BAD_STRUCTURE),
        (plaintext_of(2, b"message"), Code.BAD_STRUCTURE),
        (plaintext_of(0, b"message", 2**32 - 1), Code.BAD_STRUCTURE),
        (plaintext_of(0, b"message" * 10) + bytes(64), Code.BAD_STRUCTURE),
        (plaintext_of(0, b"message " * 200)[:-1] + b"\1", Code.BAD_STRUCTURE),
        (plaintext_of(1, b"no zstd"), Code.BAD_STRUCTURE),
        (plaintext_of(1, b""), Code.BAD_STRUCTURE),
        (plaintext_of(1, zstd.compress(TEXT)[:-9]), Code.BAD_STRUCTURE),
        (plaintext_of(1, zstd.compress(TEXT) + b"more"), Code.BAD_STRUCTURE),
        (plaintext_of(1, zstd.compress(TEXT) * 2), Code.BAD_STRUCTURE),
        (plaintext_of(1, zstd.compress(bytes(100_000))), Code.TOO_LARGE),
    ],
)
def test_what_a_member_packed_wrongly_is_refused(plaintext: bytes, code: Code) -> None:
    assert refusal(forged(plaintext)) is code


def test_the_padding_is_checked_to_its_last_byte() -> None:
    plaintext = plaintext_of(0, b"message " * 200)
    assert opened(forged(plaintext)) == b"message " * 200
    for at in (1605, len(plaintext) - 1):
        assert refusal(forged(plaintext[:at] + b"\1" + plaintext[at + 1 :])) is Code.BAD_STRUCTURE


def test_a_message_that_comes_to_more_than_16_mib_is_refused_without_making_it() -> None:
    body = zstd.compress(incompressible(MIB) * 16 + b"x")
    assert refusal(forged(plaintext_of(1, body))) is Code.TOO_LARGE


def test_of_what_would_come_to_64_mib_only_what_may_come_out_is_made() -> None:
    bomb = forged(plaintext_of(1, zstd.compress(bytes(64 * MIB))))
    tracemalloc.start()
    try:
        assert refusal(bomb) is Code.TOO_LARGE
        assert tracemalloc.get_traced_memory()[1] < MIB
    finally:
        tracemalloc.stop()


def test_a_window_larger_than_a_message_is_refused() -> None:
    body = zstd.compress(TEXT, options={zstd.CompressionParameter.window_log: 25})
    opener = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 25})
    streamed = opener.compress(TEXT) + opener.flush()
    assert zstd.decompress(streamed) == TEXT
    assert opened(forged(plaintext_of(1, body))) == TEXT
    assert refusal(forged(plaintext_of(1, streamed))) is Code.BAD_STRUCTURE


def test_fifty_times_is_what_may_come_out_and_not_a_byte_more() -> None:
    for length in range(200, 2000, 50):
        body = zstd.compress(bytes(length))
        frame = forged(plaintext_of(1, body))
        if length <= COMPRESSION_RATIO * len(body):
            assert opened(frame) == bytes(length)
        else:
            assert refusal(frame) is Code.TOO_LARGE


# -- Any bytes -------------------------------------------------------------------------------------------------------
def outcome(data: bytes) -> bytes | Code:
    """The message or the error's code; nothing else may come of a frame."""
    try:
        return opened(data, lambda _: KEY)
    except MalformedError as error:
        return error.code


@given(st.data())
def test_any_bytes_give_a_message_that_was_sealed_or_an_error_with_a_code(data: st.DataObject) -> None:
    sample, other = data.draw(st.sampled_from(SAMPLES)), data.draw(st.sampled_from(SAMPLES))
    for junk in (data.draw(st.binary(max_size=200)), data.draw(damaged(sample, other))):
        found = outcome(junk)
        assert isinstance(found, Code) or found in {opened(each) for each in SAMPLES}


@given(st.data())
def test_whatever_a_member_seals_gives_a_message_or_an_error_with_a_code(data: st.DataObject) -> None:
    body = data.draw(damaged(zstd.compress(TEXT), zstd.compress(b"other" * 40)))
    plaintext = data.draw(st.binary(max_size=100) | st.just(plaintext_of(1, body)))
    found = outcome(forged(plaintext))
    assert found in {Code.BAD_STRUCTURE, Code.TOO_LARGE} or len(found) <= COMPRESSION_RATIO * len(plaintext)


def test_a_frame_says_what_it_is_sealed_under_to_whoever_has_no_key() -> None:
    assert frame_epoch(seal(KEY, TOPIC, NONCE, b"message")) == epoch_id(KEY)


@pytest.mark.parametrize("data", [b"", b"\xc1", bytes(FRAME_BYTES + 1)])
def test_what_is_no_frame_says_nothing(data: bytes) -> None:
    with pytest.raises(MalformedError):
        frame_epoch(data)
