r"""Epochs: how the key of a plane reaches those who may read it. The value of a charter's `epoch/<8 bytes in hex>`.

    value       = [sealed predecessors, [[recipient's key 32, wrap 80], …]]        ascending by recipient
    wrap        = HPKE (RFC 9180, base mode; X25519, HKDF-SHA256, AES-256-GCM) of the plane key,
                  info = "moot/wrap/1\0" ‖ plane ‖ epoch id
    sealed      = AES-256-GCM-SIV under the new plane key of the keys it takes the place of, nonce of zeros,
                  associated data = "moot/predecessors/1\0" ‖ plane ‖ epoch id; empty for a plane's first epoch

So whoever has one epoch's key can open all that was sealed before it, and nobody what comes after. An epoch that takes
the place of two that were begun at once holds the keys of both. A recipient is a replica or an open invite, by its
Ed25519 key. Nothing in the value shows that its writer may begin epochs: that is a matter of charters. The same value
may lie beside the feeds on a remote, to be opened first and checked against the charter after.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.limits import EPOCH_PREDECESSORS, EPOCH_RECIPIENTS
from moot_protocol.sealing import siv
from moot_protocol.sealing.frame import epoch_id
from moot_protocol.sealing.hpke import HPKE

PLANE_KEY_BYTES: Final = siv.KEY_BYTES
RECIPIENT_BYTES: Final = 32
WRAP_BYTES: Final = 32 + PLANE_KEY_BYTES + 16
"""Bytes of a wrap: HPKE's encapsulated key, the plane key, a tag."""
WRAP_DOMAIN: Final = b"moot/wrap/1\0"
PREDECESSORS_DOMAIN: Final = b"moot/predecessors/1\0"


class EpochValue(NamedTuple):
    """What a charter says of an epoch."""

    sealed: bytes
    """The keys it takes the place of, sealed under its own; empty for a plane's first epoch."""
    wraps: Mapping[bytes, bytes]
    """recipient's 32-byte key → the plane key, wrapped for it."""


def build_epoch(
    plane: bytes, key: bytes, recipients: Mapping[bytes, bytes], predecessors: Sequence[bytes] = ()
) -> list[Any]:
    """The value of a new epoch.

    Not a function of its arguments alone: HPKE draws the entropy of each wrap inside the cryptography library, which
    takes none from outside. A recipient whose HPKE key is no key that can be wrapped for (the points of small order)
    is left out: nobody may keep the others from a new key by a bad one of their own.

    Args:
        plane: the plane's 16 bytes.
        key: the new plane key, 32 random bytes.
        recipients: who may read, by Ed25519 key: their 32-byte X25519 keys.
        predecessors: the plane keys it takes the place of, usually one.

    Raises:
        RefusedError: `limit`: more recipients or predecessors than one event holds.
    """
    if len(recipients) > EPOCH_RECIPIENTS or len(predecessors) > EPOCH_PREDECESSORS:
        raise RefusedError(
            f"an epoch for {len(recipients)} recipients over {len(predecessors)} others: at most {EPOCH_RECIPIENTS} "
            f"and {EPOCH_PREDECESSORS} fit",
            code=Code.LIMIT,
        )
    epoch = epoch_id(key)
    secrets = b"".join(predecessors)
    sealed = siv.encrypt(key, siv.ZERO_NONCE, secrets, PREDECESSORS_DOMAIN + plane + epoch) if secrets else b""
    wraps = [[recipient, _wrap(plane, key, recipients[recipient])] for recipient in sorted(recipients)]
    return [sealed, [[recipient, wrap] for recipient, wrap in wraps if wrap is not None]]


def _wrap(plane: bytes, key: bytes, hpke_public: bytes) -> bytes | None:
    public = X25519PublicKey.from_public_bytes(hpke_public)
    try:
        return HPKE.encrypt(key, public, WRAP_DOMAIN + plane + epoch_id(key))
    except ValueError:
        return None


def can_wrap_for(hpke_public: bytes) -> bool:
    """Whether a plane key can be wrapped for an X25519 key: no point of small order can."""
    try:
        X25519PrivateKey.from_private_bytes(bytes(range(32))).exchange(X25519PublicKey.from_public_bytes(hpke_public))
    except ValueError:
        return False
    return True


def epoch_from_value(value: Any) -> EpochValue | None:
    """What a value says of an epoch, or None where it is none."""
    if not (isinstance(value, list) and len(value) == 2 and isinstance(value[1], list)):
        return None
    sealed, wraps = value
    if not _may_be_sealed(sealed) or not wraps or not all(_is_wrap(entry) for entry in wraps):
        return None
    if any(one[0] >= other[0] for one, other in pairwise(wraps)):
        return None
    return EpochValue(sealed, dict(wraps))


def _may_be_sealed(sealed: Any) -> bool:
    if not isinstance(sealed, bytes):
        return False
    count, rest = divmod(len(sealed) - siv.TAG_BYTES, PLANE_KEY_BYTES)
    return not sealed or (rest == 0 and 1 <= count <= EPOCH_PREDECESSORS)


def _is_wrap(entry: Any) -> bool:
    return (
        isinstance(entry, list)
        and [type(part) for part in entry] == [bytes, bytes]
        and [len(part) for part in entry] == [RECIPIENT_BYTES, WRAP_BYTES]
    )


def open_epoch(plane: bytes, epoch: bytes, value: EpochValue, recipient: bytes, hpke_private: bytes) -> bytes | None:
    """The plane key of an epoch, or None where it isn't wrapped for this recipient.

    Args:
        plane: the plane's 16 bytes.
        epoch: the epoch's 8 bytes, as the event names it.
        value: what the event says of it.
        recipient: the Ed25519 key that it may be wrapped for.
        hpke_private: that recipient's X25519 private key, 32 bytes.

    Raises:
        MalformedError: `bad_seal`: the wrap can't be opened, or holds the key of another epoch.
    """
    wrap = value.wraps.get(recipient)
    if wrap is None:
        return None
    private = X25519PrivateKey.from_private_bytes(hpke_private)
    try:
        key = HPKE.decrypt(wrap, private, WRAP_DOMAIN + plane + epoch)
    except InvalidTag as error:
        raise MalformedError("a wrapped plane key that can't be opened", code=Code.BAD_SEAL) from error
    if epoch_id(key) != epoch:
        raise MalformedError("a wrapped plane key of another epoch", code=Code.BAD_SEAL)
    return key


def predecessors(plane: bytes, key: bytes, value: EpochValue) -> tuple[bytes, ...]:
    """The plane keys that an epoch takes the place of; none for a plane's first.

    Args:
        plane: the plane's 16 bytes.
        key: the epoch's plane key.
        value: what the event says of the epoch.

    Raises:
        MalformedError: `bad_seal`: they weren't sealed with this key.
    """
    if not value.sealed:
        return ()
    secrets = siv.decrypt(key, siv.ZERO_NONCE, value.sealed, PREDECESSORS_DOMAIN + plane + epoch_id(key))
    if secrets is None:
        raise MalformedError("an epoch whose predecessors it didn't seal", code=Code.BAD_SEAL)
    return tuple(secrets[at : at + PLANE_KEY_BYTES] for at in range(0, len(secrets), PLANE_KEY_BYTES))
