r"""Certificates: a town's word that a key is one of its replicas, with a role, on one plane.

    body        = [1, plane16, town32, subject32, subject's HPKE key 32, role]
    signature   = Ed25519("moot/cert/1\0" ‖ body), by the town key or one of its invite keys
    certificate = [body, signature, signer32]

It is the value of key `certificate` in the first event of a replica's feed. Town, subject and signer are keys that may
be certified (`crypto.py`), and the subject isn't the town. What stands here shows that `signer` signed; whether that
signer may speak for the town is a matter of the town's charter (`acceptance.py`). Nor does it show here that the
subject is neither founder nor recovery key, whose feeds are charters, and the town not the recovery key, which has no
replicas: `genesis.py` names those.
"""

from typing import Any, Final

import msgspec

from moot_protocol import crypto
from moot_protocol.codec import decoder, encode
from moot_protocol.errors import Code, MalformedError
from moot_protocol.merge.kinds import Role
from moot_protocol.trust.genesis import PLANE_BYTES

FORMAT: Final = 1
HPKE_KEY_BYTES: Final = 32


class CertificateBody(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What a certificate says."""

    version: int
    plane: bytes
    town: bytes
    """The town's 32-byte key."""
    subject: bytes
    """The replica's 32-byte key."""
    hpke_key: bytes
    """The replica's X25519 key (32 bytes), which plane keys are wrapped for."""
    role: Role


class Certificate(msgspec.Struct, frozen=True, gc=False):
    """A certificate whose signature has been verified."""

    body: CertificateBody
    signer: bytes
    """The 32-byte key that signed: the town's, or one of its invites'."""


_decode_body: Final = decoder(CertificateBody, FORMAT)


def build_certificate(body: CertificateBody, signer: crypto.Signer) -> list[bytes]:
    """Sign a certificate: `[body, signature, signer]`, as it stands in an event.

    Raises:
        MalformedError: a key in it can't be certified, or the plane is no plane's id.
    """
    _check(body)
    body_bytes = encode(body)
    return [body_bytes, signer.sign(crypto.CERTIFICATE_DOMAIN + body_bytes), signer.public]


def decode_certificate(value: Any) -> Certificate:
    """Decode a certificate from the value it stands in, and verify its signature.

    Raises:
        MalformedError: `bad_structure`, `not_canonical`, `bad_version`, `bad_key` or `bad_signature`.
    """
    if not (isinstance(value, list) and len(value) == 3 and all(isinstance(part, bytes) for part in value)):
        raise MalformedError("a certificate that is not body, signature and signer")
    body_bytes, signature, signer = value
    body = _decode_body(body_bytes)
    _check(body)
    crypto.check_public_key(signer)
    if not crypto.is_signed(signer, signature, crypto.CERTIFICATE_DOMAIN + body_bytes):
        raise MalformedError("a certificate that its signer didn't sign", code=Code.BAD_SIGNATURE)
    return Certificate(body, signer)


def _check(body: CertificateBody) -> None:
    if len(body.plane) != PLANE_BYTES:
        raise MalformedError("a certificate for no plane")
    crypto.check_public_key(body.town)
    crypto.check_public_key(body.subject)
    if body.subject == body.town:
        raise MalformedError("a certificate of a town for its own key", code=Code.BAD_KEY)
    if len(body.hpke_key) != HPKE_KEY_BYTES:
        raise MalformedError("a certificate with an HPKE key of the wrong length", code=Code.BAD_KEY)
