r"""The other messages of a session: what is wanted, the batches themselves, and proofs of forks.

    want    = [1, 2, body, Ed25519("moot/want/1\0" ‖ body)]
    body    = [1, plane16, sender32, to32, counter, [[author32, n, id32], …], [[author32, id32], …]]
    batches = [1, 3, plane16, [batch, …], [left author32, …], [unknown author32, …]]
    fork    = [1, 4, header, signature, header, signature]     of one author and number, ascending by id

A want's places of one author say where its sender stands, best first: it wants what follows. They name batches by id,
never by number alone, so that a branch is never continued with another one's events; the number only helps to find the
batch. After the places come batches wanted by id alone, because values in them are withheld. Wants are to one peer, so
that not everyone answers. Batches need no signature of their sender's: each carries its author's.
"""

from enum import IntEnum
from hashlib import sha256
from typing import Final, TypeAlias

import msgspec

from moot_protocol import crypto, limits
from moot_protocol.clock import MAX_HLC
from moot_protocol.codec import decoder, encode
from moot_protocol.errors import Code, MalformedError
from moot_protocol.exchange import frontier
from moot_protocol.exchange.frontier import FrontierBody, decode_frontier_message
from moot_protocol.exchange.signed import Envelope
from moot_protocol.log.batch import HASH_BYTES, PLANE_BYTES, ZEROS, Header, decode_header

FORMAT: Final = 1


class MessageType(IntEnum):
    """What a message is; a frontier's type stands in `frontier.py`."""

    WANT = 2
    BATCHES = 3
    FORK = 4


class Place(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A batch of a feed to go on after; number 0 and zeros for its beginning."""

    author: bytes
    n: int
    """Number of the batch's last event."""
    id: bytes


class Single(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A batch by id."""

    author: bytes
    id: bytes


class Want(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What one replica asks another for."""

    version: int
    plane: bytes
    sender: bytes
    to: bytes
    counter: int
    places: tuple[Place, ...]
    """The places of one author stand together, best first."""
    singles: tuple[Single, ...]


class Batches(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The answer to a want, cut where it would grow too large."""

    version: int
    type: int
    plane: bytes
    batches: tuple[bytes, ...]
    left: tuple[bytes, ...]
    """Authors for whom this answer had no room: to be asked for again."""
    unknown: tuple[bytes, ...]
    """Authors of whose places none stands on the sender's accepted branch."""


class ForkProof(msgspec.Struct, frozen=True, gc=False):
    """Two different headers that one author signed with the same first number: checked."""

    headers: tuple[bytes, bytes]
    signatures: tuple[bytes, bytes]
    plane: bytes
    author: bytes
    first: int

    @property
    def ids(self) -> tuple[bytes, ...]:
        """The ids of the two batches."""
        return tuple(sha256(header).digest() for header in self.headers)


class _Fork(msgspec.Struct, array_like=True, frozen=True):
    version: int
    type: int
    header_1: bytes
    signature_1: bytes
    header_2: bytes
    signature_2: bytes


Message: TypeAlias = FrontierBody | Want | Batches | ForkProof

_decode_batches: Final = decoder(Batches)
_decode_fork: Final = decoder(_Fork)


def decode_message(data: bytes) -> Message:
    """Decode any message of a session, signatures verified.

    Raises:
        MalformedError: with the code of the first check that fails: size, version, structure, signature.
    """
    if len(data) > limits.SYNC_MESSAGE_BYTES:
        raise MalformedError(f"a message of {len(data)} bytes", code=Code.TOO_LARGE)
    if len(data) < 3 or data[0] & 0xF0 != 0x90:
        raise MalformedError("a message that is no array of version, type and content")
    if data[1] != FORMAT:
        raise MalformedError("a message of another format", code=Code.BAD_VERSION)
    match data[2]:
        case frontier.MESSAGE_TYPE:
            return decode_frontier_message(data)
        case MessageType.WANT:
            return _WANT.decode(data)
        case MessageType.BATCHES:
            return _check_batches(_decode_batches(data))
        case MessageType.FORK:
            return _decode_fork_message(data)
    raise MalformedError(f"a message of unknown type {data[2]}")


# -- want --------------------------------------------------------------------------------------------------------
def build_want(signer: crypto.Signer, want: Want) -> bytes:
    """Sign a want."""
    return _WANT.build(signer, want)


def _want_problem(want: Want) -> str | None:
    if len(want.places) + len(want.singles) > limits.WANT_RANGES:
        return f"more than {limits.WANT_RANGES} entries"
    names = [want.sender, want.to]
    for place in want.places:
        names += (place.author, place.id)
        if not 0 <= place.n <= MAX_HLC or (place.n == 0) != (place.id == ZEROS):
            return "a place that is none"
    for single in want.singles:
        names += (single.author, single.id)
    if len(want.plane) != PLANE_BYTES or any(len(name) != HASH_BYTES for name in names):
        return "a key or hash of the wrong length"
    return None if 0 < want.counter <= MAX_HLC else "a counter out of range"


_WANT: Final = Envelope(
    Want,
    FORMAT,
    type=MessageType.WANT,
    domain=crypto.WANT_DOMAIN,
    name="a want",
    most_bytes=limits.SYNC_MESSAGE_BYTES,
    problem_of=_want_problem,
)


# -- batches -----------------------------------------------------------------------------------------------------
AROUND_BATCHES: Final = 64
"""Bytes of a message of batches beside what stands in its lists, at most."""
NAME_BYTES: Final = 2 + HASH_BYTES
"""Bytes of an author among those left or unknown."""
_LENGTH: Final = 5
"""Bytes before a batch in its list, at most."""
LARGEST_BATCH: Final = limits.BATCH_BYTES + _LENGTH
"""Bytes that the largest batch takes in a message."""


def batch_room(batch: bytes) -> int:
    """Bytes to reckon for a batch in a message."""
    return len(batch) + _LENGTH


def build_batches(
    plane: bytes, batches: tuple[bytes, ...], left: tuple[bytes, ...], unknown: tuple[bytes, ...]
) -> bytes:
    """Pack an answer to a want."""
    return encode(Batches(FORMAT, MessageType.BATCHES, plane, batches, left, unknown))


def _check_batches(message: Batches) -> Batches:
    if len(message.plane) != PLANE_BYTES or any(len(name) != HASH_BYTES for name in message.left + message.unknown):
        raise MalformedError("batches with a key or plane of the wrong length")
    if len(message.left) + len(message.unknown) > limits.WANT_RANGES:
        raise MalformedError(f"batches that answer for more than {limits.WANT_RANGES} authors")
    if any(len(batch) > limits.BATCH_BYTES for batch in message.batches):
        raise MalformedError("a batch that is too large among others", code=Code.TOO_LARGE)
    return message


# -- fork --------------------------------------------------------------------------------------------------------
def fork_proof(one: tuple[bytes, bytes], other: tuple[bytes, bytes]) -> ForkProof:
    """Check that two signed headers prove a fork.

    Args:
        one: header bytes and signature.
        other: the same of the other batch.

    Raises:
        MalformedError: they don't decode, are not of one plane, author and number, or are not signed.
    """
    first, second = sorted((one, other), key=lambda signed: sha256(signed[0]).digest())
    headers = decode_header(first[0]), decode_header(second[0])
    if first[0] == second[0] or _mark(headers[0]) != _mark(headers[1]):
        raise MalformedError("two headers that prove no fork")
    author = headers[0].author
    for header, signature in (first, second):
        if not crypto.is_signed(author, signature, crypto.BATCH_DOMAIN + header):
            raise MalformedError("a fork proof that its author didn't sign", code=Code.BAD_SIGNATURE)
    return ForkProof((first[0], second[0]), (first[1], second[1]), headers[0].plane, author, headers[0].first)


def _mark(header: Header) -> tuple[bytes, bytes, int]:
    return header.plane, header.author, header.first


def build_fork(proof: ForkProof) -> bytes:
    """Pack a fork proof."""
    (header_1, header_2), (signature_1, signature_2) = proof.headers, proof.signatures
    return encode(_Fork(FORMAT, MessageType.FORK, header_1, signature_1, header_2, signature_2))


def _decode_fork_message(data: bytes) -> ForkProof:
    fork = _decode_fork(data)
    proof = fork_proof((fork.header_1, fork.signature_1), (fork.header_2, fork.signature_2))
    if proof.headers != (fork.header_1, fork.header_2):
        raise MalformedError("a fork proof whose headers don't ascend", code=Code.NOT_CANONICAL)
    return proof
