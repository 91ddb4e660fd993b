r"""Signed messages: what a replica says of itself in its own name, to peers or on a remote.

    message = [1, type, body, Ed25519(domain ‖ body)]         frontiers, wants, presences
    body    = [version, …]                                    its sender's public key in it

The signature is over the body's bytes as they travel. Each type has a domain of its own, so that no signature passes
for one of anything else.
"""

from collections.abc import Callable
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from moot_protocol import crypto
from moot_protocol.codec import decoder, encode
from moot_protocol.errors import Code, MalformedError

FORMAT: Final = 1


class Body(Protocol):
    """What a sender signs: a struct as an array, the version of its format first."""

    @property
    def sender(self) -> bytes:
        """The 32-byte public key of who signs."""


B = TypeVar("B", bound=Body)


class _SignedMessage(msgspec.Struct, array_like=True, frozen=True):
    version: int
    type: int
    body: bytes
    signature: bytes


_decode_outside: Final = decoder(_SignedMessage, FORMAT)


class Envelope(Generic[B]):
    """How messages of one type are signed and read.

    Args:
        shape: the type of their bodies.
        version: the version of the bodies' format.
        type: the messages' number.
        domain: what is signed before the body.
        name: what one is called in errors, with its article.
        most_bytes: how long one may be.
        problem_of: what is wrong with a body beyond its shape, as words after "with"; None for nothing.
    """

    def __init__(
        self,
        shape: type[B],
        version: int,
        *,
        type: int,  # noqa: A002 - the word for it
        domain: bytes,
        name: str,
        most_bytes: int,
        problem_of: Callable[[B], str | None],
    ) -> None:
        self._decode_body = decoder(shape, version)
        self._type = type
        self._domain = domain
        self._name = name
        self._most_bytes = most_bytes
        self._problem_of = problem_of

    def build(self, signer: crypto.Signer, body: B) -> bytes:
        """Sign a body. Whether it can be one is only checked by who reads it."""
        packed = encode(body)
        return encode((FORMAT, self._type, packed, signer.sign(self._domain + packed)))

    def decode(self, data: bytes) -> B:
        """Decode a message and verify that its sender signed it.

        Raises:
            MalformedError: with the code of the first check that fails: size, version, structure, signature.
        """
        if len(data) > self._most_bytes:
            raise MalformedError(f"{self._name} of {len(data)} bytes", code=Code.TOO_LARGE)
        outside = _decode_outside(data)
        body = self._decode_body(outside.body)
        problem = "another type" if outside.type != self._type else self._problem_of(body)
        if problem:
            raise MalformedError(f"{self._name} with {problem}")
        if not crypto.is_signed(body.sender, outside.signature, self._domain + outside.body):
            raise MalformedError(f"{self._name} that its sender didn't sign", code=Code.BAD_SIGNATURE)
        return body
