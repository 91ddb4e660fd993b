r"""Frames: what remotes carry. A message of a session, compressed, padded and sealed under the plane's key.

    frame     = [1, topic16, epoch8, nonce12, ciphertext]
    epoch     = SHA256("moot/epoch/1\0" ‖ plane key)[:8]
    bound     = "moot/frame/1\0" ‖ [1, topic, epoch, nonce]
    plaintext = form (0 as it is, 1 zstd) ‖ length of the body (4 bytes, big-endian) ‖ body ‖ zeros

The zeros bring the plaintext from its length n, form and length of the body included, to the next length of Padmé
(Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", 2019), and to no other:

    e = ⌊log₂ n⌋,  z = e − ⌊log₂ e⌋ − 1,  padded(n) = n rounded up to a multiple of 2ᶻ      (22 → 22, 33 → 36)

A receiver checks in the order size, version, structure, key, seal, padding, decompression: nothing that a stranger
wrote reaches the decompressor, and what a member wrote comes to no more than 50 times its size and 16 MiB.
"""

import sys
from collections.abc import Callable
from hashlib import sha256
from typing import Final

import msgspec

from moot_protocol.codec import decoder, encode
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.limits import COMPRESSION_RATIO, DECOMPRESSED_BYTES, FRAME_BYTES
from moot_protocol.sealing import siv
from moot_protocol.sealing.topics import NAME_BYTES

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FORMAT: Final = 1
EPOCH_BYTES: Final = 8
EPOCH_DOMAIN: Final = b"moot/epoch/1\0"
FRAME_DOMAIN: Final = b"moot/frame/1\0"

_PLAIN, _ZSTD = 0, 1
_HEAD_BYTES: Final = 5
"""Bytes of the plaintext before the body: its form and its length."""
_WINDOW_LOG: Final[dict[int, int]] = {zstd.DecompressionParameter.window_log_max: DECOMPRESSED_BYTES.bit_length() - 1}
"""A window larger than what may come out is refused before it is allocated."""


class _Frame(msgspec.Struct, array_like=True, frozen=True, gc=False):
    version: int
    topic: bytes
    epoch: bytes
    nonce: bytes
    ciphertext: bytes


_decode: Final = decoder(_Frame, FORMAT)


def epoch_id(plane_key: bytes) -> bytes:
    """The 8 bytes that name a plane key's epoch."""
    return sha256(EPOCH_DOMAIN + plane_key).digest()[:EPOCH_BYTES]


def padded(length: int) -> int:
    """The length of Padmé for at least this many bytes (2 or more): at most 12 % longer, few different ones."""
    exponent = length.bit_length() - 1
    low_bits = exponent - exponent.bit_length()
    return (length + (1 << low_bits) - 1) >> low_bits << low_bits


def seal(plane_key: bytes, topic: bytes, nonce: bytes, message: bytes, *, room: int = FRAME_BYTES) -> bytes:
    """Seal a message as a frame.

    Args:
        plane_key: the key of the plane's present epoch, 32 bytes.
        topic: the plane's name on remotes, 16 bytes.
        nonce: 12 random bytes.
        message: what is sealed.
        room: the most bytes that the remote carries in one frame.

    Raises:
        RefusedError: `limit`: the message, or the frame it makes, is too large.
    """
    if len(message) > DECOMPRESSED_BYTES:
        raise RefusedError(f"a message of {len(message)} bytes, of at most {DECOMPRESSED_BYTES}", code=Code.LIMIT)
    form, body = _packed(message)
    plaintext = bytes([form]) + len(body).to_bytes(_HEAD_BYTES - 1, "big") + body
    plaintext = plaintext.ljust(padded(len(plaintext)), b"\0")
    epoch = epoch_id(plane_key)
    ciphertext = siv.encrypt(plane_key, nonce, plaintext, _bound(topic, epoch, nonce))
    frame = encode(_Frame(FORMAT, topic, epoch, nonce, ciphertext))
    if len(frame) > room:
        raise RefusedError(f"a frame of {len(frame)} bytes, of at most {room}", code=Code.LIMIT)
    return frame


def open_frame(key_of: Callable[[bytes], bytes | None], topic: bytes, data: bytes) -> bytes:
    """Open a frame: the message in it.

    Args:
        key_of: the plane key of an epoch by its 8 bytes, or None where it isn't known (yet).
        topic: the plane's name on remotes.
        data: a frame as a remote handed it over.

    Raises:
        MalformedError: in this order: `too_large`; `bad_version`; `bad_structure`, `not_canonical`; `wrong_plane`: of
            another topic; `unknown_epoch`: to be held until its key comes; `bad_seal`: nobody sealed this with the
            epoch's key; then, of what a member sealed, `bad_structure` (its form, length or padding, or no zstd) and
            `too_large` (it comes to more than it may).
    """
    if len(data) > FRAME_BYTES:
        raise MalformedError(f"a frame of {len(data)} bytes, of at most {FRAME_BYTES}", code=Code.TOO_LARGE)
    frame = _decode(data)
    if (len(frame.topic), len(frame.epoch), len(frame.nonce)) != (NAME_BYTES, EPOCH_BYTES, siv.NONCE_BYTES):
        raise MalformedError("a frame whose topic, epoch or nonce has another length")
    if frame.topic != topic:
        raise MalformedError("a frame of another topic", code=Code.WRONG_PLANE)
    key = key_of(frame.epoch)
    if key is None:
        raise MalformedError(f"a frame of epoch {frame.epoch.hex()}, whose key isn't here", code=Code.UNKNOWN_EPOCH)
    plaintext = siv.decrypt(key, frame.nonce, frame.ciphertext, _bound(topic, frame.epoch, frame.nonce))
    if plaintext is None:
        raise MalformedError("a frame that nobody sealed with its epoch's key", code=Code.BAD_SEAL)
    return _message(plaintext)


def frame_epoch(data: bytes) -> bytes:
    """The epoch (8 bytes) that a frame says it is sealed under, whether it is or not.

    Raises:
        MalformedError: it is no frame.
    """
    if len(data) > FRAME_BYTES:
        raise MalformedError(f"a frame of {len(data)} bytes, of at most {FRAME_BYTES}", code=Code.TOO_LARGE)
    return _decode(data).epoch


def _bound(topic: bytes, epoch: bytes, nonce: bytes) -> bytes:
    return FRAME_DOMAIN + encode([FORMAT, topic, epoch, nonce])


def _packed(message: bytes) -> tuple[int, bytes]:
    """A message's form and body: compressed where that makes it smaller, and not so much that receivers refuse it."""
    body = zstd.compress(message)
    if len(body) < len(message) <= COMPRESSION_RATIO * len(body):
        return _ZSTD, body
    return _PLAIN, message


def _message(plaintext: bytes) -> bytes:
    form, length = plaintext[:1], int.from_bytes(plaintext[1:_HEAD_BYTES], "big")
    end = _HEAD_BYTES + length
    if len(plaintext) < _HEAD_BYTES or len(plaintext) != padded(end):
        raise MalformedError("a frame whose length is not that of what it holds")
    if plaintext.count(0, end) != len(plaintext) - end:
        raise MalformedError("a frame whose padding is not zeros")
    body = plaintext[_HEAD_BYTES:end]
    if form == bytes([_ZSTD]):
        return _decompressed(body)
    if form != bytes([_PLAIN]):
        raise MalformedError(f"a frame whose message has form {form[0]}")
    return body


def _decompressed(body: bytes) -> bytes:
    room = min(DECOMPRESSED_BYTES, COMPRESSION_RATIO * len(body))
    unpacker = zstd.ZstdDecompressor(options=_WINDOW_LOG)
    try:
        message = unpacker.decompress(body, max_length=room + 1)
    except zstd.ZstdError as error:
        raise MalformedError(f"a message that can't be decompressed: {error}") from error
    if len(message) > room:
        raise MalformedError(f"a message of more than {room} bytes in {len(body)}", code=Code.TOO_LARGE)
    if not unpacker.eof or unpacker.unused_data:
        raise MalformedError("a compressed message that isn't whole, or not alone")
    return message
