"""Proofs put together by hand: each part is as it should be but for what is named, and correctly signed."""

from collections.abc import Callable, Sequence
from hashlib import sha256
from operator import itemgetter
from typing import Any, Final, Protocol, TypeAlias

from msgspec.msgpack import Ext

from moot_protocol.clock import from_ms
from moot_protocol.codec import encode
from moot_protocol.crypto import BATCH_DOMAIN, CERTIFICATE_DOMAIN, CHARTER_DOMAIN, SeedSigner
from moot_protocol.ids import key_text
from moot_protocol.log.batch import ABSENT, ZEROS
from moot_protocol.log.merkle import leaf_hash, prove, root
from moot_protocol.trust.genesis import plane_id

SEEDS: Final = {
    name: sha256(name.encode()).digest()
    for name in (
        "town", "recovery", "replica", "hilltown", "hilltown's replica", "milltown", "invite", "town's invite",
    )
}  # fmt: skip
TOWN, RECOVERY, REPLICA, HILLTOWN, HILL_REPLICA, MILLTOWN, INVITE, TOWN_INVITE = map(SeedSigner, SEEDS.values())
HPKE: Final = b"\x05" * 32
HLC: Final = from_ms(1_767_225_600_000)
SALT: Final = bytes(range(16))
PREV: Final = b"\x09" * 32

Parts: TypeAlias = list[Any]
"""A `signed` of `proof.py`: skeleton, values, index, path, header, signature."""


Change: TypeAlias = tuple[Any, ...]
"""What an event does to one key: key, over, removes and, unless it removes, value."""


class Signs(Protocol):
    """Whatever signs, with a key that may be certified or not."""

    @property
    def public(self) -> bytes:
        """Its 32-byte key."""

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""


def genesis(**other: Any) -> bytes:
    """A genesis that is as it should be but for what is named."""
    parts = {
        "version": 1, "kind": "ledger", "town": TOWN.public, "recovery": RECOVERY.public, "name": "rivertown",
        "nonce": b"\x06" * 16,
    }  # fmt: skip
    return encode([*(parts | other).values()])


GENESIS: Final = genesis()
PLANE: Final = plane_id(GENESIS)
TITLE: Final[Change] = ("title", [], False, "Mend the bridge")
OTHER: Final = sha256(b"another event's leaf").digest()


def skeleton(changes: Sequence[Change] = (TITLE,), **other: Any) -> bytes:
    """A skeleton that is as it should be but for what is named."""
    parts = {"version": 1, "hlc": HLC, "actor": "alice", "kind": "issue", "entity": "rt-1"} | other
    return encode([*parts.values(), [list(change[:3]) for change in changes]])


def values(*given: Any) -> bytes:
    """Values behind a salt."""
    return encode([SALT, *given])


def signed(
    by: Signs,
    event: tuple[bytes, bytes | Ext],
    leaves: Callable[[bytes], list[bytes]] = lambda leaf: [leaf],
    domain: bytes = BATCH_DOMAIN,
    **other: Any,
) -> Parts:
    """An event with its path to a signed header that is as it should be but for what is named.

    Args:
        by: who signs, and is named as author.
        event: skeleton and values.
        leaves: those of its batch, of which it is one.
        domain: what is signed before the header.
        other: what the header says otherwise.
    """
    hidden = bytes(event[1].data) if isinstance(event[1], Ext) else sha256(event[1]).digest()
    leaf = leaf_hash(sha256(event[0]).digest(), hidden)
    all_of_them = leaves(leaf)
    index = all_of_them.index(leaf)
    parts = {
        "version": 1, "plane": PLANE, "author": by.public, "first": 2, "count": len(all_of_them), "prev": PREV,
        "root": root(all_of_them), "authors": [], "hlc_last": HLC,
    }  # fmt: skip
    header = encode([*(parts | other).values()])
    return [*event, index, prove(all_of_them, index), header, by.sign(domain + header)]


def said(kind: str, key: bytes, value: Any, *further: Change, absent: bool = False) -> tuple[bytes, bytes | Ext]:
    """An event of a charter about a key, with changes behind its own if there are any."""
    changes = sorted([(kind, [], False, value), *further], key=itemgetter(0))
    data = values(*(change[3] for change in changes if not change[2]))
    hidden = Ext(ABSENT, sha256(data).digest()) if absent else data
    return skeleton(changes, kind=kind, entity=key_text(key)), hidden


def admission(by: Signs, town: bytes, role: str = "writer", name: str = "hilltown", **other: Any) -> Parts:
    """A step: a town is let in by another's charter."""
    return signed(by, said("admission", town, [name, role]), **other)


def invite(role: str = "writer", town: bytes = TOWN.public, expires: Any = 0, hpke: bytes = HPKE) -> list[Any]:
    """What a charter says of an invite."""
    return [role, town, expires, hpke]


def opened(by: Signs, invited: Signs, *, plane: bytes = PLANE, town: bytes | None = None) -> tuple[bytes, bytes | Ext]:
    """The first event of a charter, which proves an invite; of another plane or town if one is given."""
    shown = encode([plane, by.public if town is None else town])
    return said("charter", by.public, ["hilltown", invited.public, invited.sign(CHARTER_DOMAIN + shown)])


def first(by: Signs, event: tuple[bytes, bytes | Ext], **other: Any) -> Parts:
    """The first event of a feed."""
    parts: dict[str, Any] = {"first": 1, "prev": ZEROS}
    return signed(by, event, **(parts | other))


def certificate(signer: Signs = TOWN, domain: bytes = CERTIFICATE_DOMAIN, **other: Any) -> list[bytes]:
    """A certificate that is as it should be but for what is named."""
    parts = {
        "version": 1, "plane": PLANE, "town": TOWN.public, "subject": REPLICA.public, "hpke": HPKE, "role": "writer",
    }  # fmt: skip
    body = encode([*(parts | other).values()])
    return [body, signer.sign(domain + body), signer.public]


CERTIFICATE: Final = certificate()
EVENT: Final = skeleton(), values(TITLE[3])
SHOWN: Final = signed(REPLICA, EVENT)
HILL_CERTIFICATE: Final = certificate(HILLTOWN, town=HILLTOWN.public, subject=HILL_REPLICA.public)
HILL_SHOWN: Final = signed(HILL_REPLICA, EVENT)


def proof(
    shown: Parts = SHOWN,
    certified: Sequence[bytes] = CERTIFICATE,
    founding: bytes = GENESIS,
    further: Sequence[Parts] = (),
) -> bytes:
    """The bytes of a proof."""
    return encode([1, *shown, list(certified), founding, list(further)])


def of_skeleton(changes: Sequence[Change] = (TITLE,), **other: Any) -> bytes:
    """A proof of an event whose skeleton is as it should be but for what is named."""
    data = values(*(change[3] for change in changes if not change[2]))
    return proof(signed(REPLICA, (skeleton(changes, **other), data)))


def of_header(**other: Any) -> bytes:
    """A proof whose header is as it should be but for what is named."""
    return proof(signed(REPLICA, EVENT, **other))


def of_hill(*further: Parts) -> bytes:
    """A proof of an event of a replica of a town that didn't found the plane, over these steps."""
    return proof(HILL_SHOWN, HILL_CERTIFICATE, further=further)


def of_invite(made: Parts, **other: Any) -> bytes:
    """A proof of an event of a replica that joined with an invite, which this step makes."""
    return proof(SHOWN, certificate(INVITE, **other), further=[made])
