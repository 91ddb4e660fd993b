r"""The genesis: the document a plane begins with, and whose hash is the plane's name.

    genesis = [1, kind, town32, recovery32, name, nonce16]
    plane16 = SHA256("moot/plane/1\0" ‖ genesis)[:16]

It names the founder's town key, which certifies and admits, and an offline recovery key, which may replace it: two keys
that may be certified (`crypto.py`), never one. The recovery key's charter admits and ends; it has no replicas, and its
invites let in nobody. Kinds are `ledger`, `operational` and `federation`; the name has 1 to 192 bytes without control
characters (`ids.entity_problem`). The genesis is the value of key `genesis` in the first event of the founder's
charter, and holds by its hash: whoever has the plane's id needs nobody's word for who founded it.
"""

from enum import StrEnum
from hashlib import sha256
from typing import Final

import msgspec

from moot_protocol import crypto
from moot_protocol.codec import decoder, encode
from moot_protocol.errors import Code, MalformedError
from moot_protocol.ids import entity_problem

FORMAT: Final = 1
PLANE_BYTES: Final = 16
NONCE_BYTES: Final = 16


class PlaneKind(StrEnum):
    """Which sharing rule a plane has."""

    LEDGER = "ledger"
    """The town's work, among its replicas and with towns it invites."""
    OPERATIONAL = "operational"
    """Never leaves the replica."""
    FEDERATION = "federation"
    """What towns share."""


class Genesis(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a plane begins with."""

    version: int
    kind: PlaneKind
    town: bytes
    """The founder's 32-byte town key."""
    recovery: bytes
    """The 32-byte recovery key, kept on paper."""
    name: str
    """What people call the plane."""
    nonce: bytes
    """16 random bytes, so that a town may found many planes of one name."""


_decode: Final = decoder(Genesis, FORMAT)


def build_genesis(kind: PlaneKind, town: bytes, recovery: bytes, name: str, nonce: bytes) -> bytes:
    """The bytes of a new genesis.

    Raises:
        MalformedError: a key, the name or the nonce can't stand in one.
    """
    genesis = Genesis(FORMAT, kind, town, recovery, name, nonce)
    _check(genesis)
    return encode(genesis)


def decode_genesis(document: bytes) -> Genesis:
    """Decode and check a genesis.

    Raises:
        MalformedError: `bad_structure`, `not_canonical`, `bad_version` or `bad_key`.
    """
    genesis = _decode(document)
    _check(genesis)
    return genesis


def _check(genesis: Genesis) -> None:
    if len(genesis.nonce) != NONCE_BYTES:
        raise MalformedError(f"a genesis whose nonce is not {NONCE_BYTES} bytes long")
    if entity_problem(genesis.name):
        raise MalformedError("a genesis whose name is empty, too long or has control characters")
    crypto.check_public_key(genesis.town)
    crypto.check_public_key(genesis.recovery)
    if genesis.town == genesis.recovery:
        raise MalformedError("a genesis whose town key is its recovery key", code=Code.BAD_KEY)


def plane_id(document: bytes) -> bytes:
    """The 16 bytes that name the plane a genesis founds."""
    return sha256(crypto.PLANE_DOMAIN + document).digest()[:PLANE_BYTES]
