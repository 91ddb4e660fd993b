r"""Presence: whether a replica listens on a live remote now, as it says itself, or as its last will says for it.

    body     = [1, plane16, sender32, counter, whether it is there]
    message  = [1, 5, body, Ed25519("moot/presence/1\0" ‖ body)]

A hint for people and nothing else: a remote may withhold or repeat it, and a will comes when a connection breaks, be
the machine well or not. `counter` is of those that frontiers have; a will has a higher one than the word it follows.
"""

from typing import Final

import msgspec

from moot_protocol import crypto
from moot_protocol.clock import MAX_HLC
from moot_protocol.exchange.signed import Envelope
from moot_protocol.log.batch import HASH_BYTES, PLANE_BYTES

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


def build_presence(signer: crypto.Signer, presence: Presence) -> bytes:
    """Sign a presence."""
    return _ENVELOPE.build(signer, presence)


def decode_presence(data: bytes) -> Presence:
    """Decode a presence and verify that its sender signed it.

    Raises:
        MalformedError: with the code of the first check that fails: size, version, structure, signature.
    """
    return _ENVELOPE.decode(data)


def _problem_of(body: Presence) -> str | None:
    if len(body.plane) != PLANE_BYTES or len(body.sender) != HASH_BYTES:
        return "a key of the wrong length"
    return None if 0 < body.counter <= MAX_HLC else "a counter out of range"


_ENVELOPE: Final = Envelope(
    Presence,
    FORMAT,
    type=MESSAGE_TYPE,
    domain=DOMAIN,
    name="a presence",
    most_bytes=MOST_BYTES,
    problem_of=_problem_of,
)
