r"""Presence: whether a replica listens on a live remote now, as it says itself, or as its last will says for it.

    body     = [1, plane16, sender32, counter, whether it is there]
    message  = [1, 5, body, Ed25519("moot/presence/1\0" ‖ body)]

A hint for people and nothing else: a remote may withhold or repeat it, and a will comes when a connection breaks, be
the machine well or not. `counter` is of those that frontiers have; a will has a higher one than the word it follows.
"""

from typing import Final

import msgspec

from moot_protocol import crypto
from moot_protocol.batch import HASH_BYTES, PLANE_BYTES
from moot_protocol.clock import MAX_HLC
from moot_protocol.codec import decoder, encode
from moot_protocol.errors import Code, MalformedError

FORMAT: Final = 1
MESSAGE_TYPE: Final = 5
DOMAIN: Final = b"moot/presence/1\0"
MOST_BYTES: Final = 256
"""Bytes of a presence, which is far shorter."""


class Presence(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a replica says of itself."""

    version: int
    plane: bytes
    sender: bytes
    counter: int
    is_there: bool


class _Signed(msgspec.Struct, array_like=True, frozen=True):
    version: int
    type: int
    body: bytes
    signature: bytes


_decode_signed: Final = decoder(_Signed, FORMAT)
_decode_body: Final = decoder(Presence, FORMAT)


def build_presence(signer: crypto.Signer, presence: Presence) -> bytes:
    """Sign a presence."""
    body = encode(presence)
    return encode((FORMAT, MESSAGE_TYPE, body, signer.sign(DOMAIN + body)))


def decode_presence(data: bytes) -> Presence:
    """Decode a presence and verify that its sender signed it.

    Raises:
        MalformedError: with the code of the first check that fails: size, version, structure, signature.
    """
    if len(data) > MOST_BYTES:
        raise MalformedError(f"a presence of {len(data)} bytes", code=Code.TOO_LARGE)
    signed = _decode_signed(data)
    body = _decode_body(signed.body)
    if signed.type != MESSAGE_TYPE:
        raise MalformedError("a presence with another type")
    if len(body.plane) != PLANE_BYTES or len(body.sender) != HASH_BYTES or not 0 < body.counter <= MAX_HLC:
        raise MalformedError("a presence with a key of the wrong length, or a counter out of range")
    if not crypto.is_signed(body.sender, signed.signature, DOMAIN + signed.body):
        raise MalformedError("a presence that its sender didn't sign", code=Code.BAD_SIGNATURE)
    return body
