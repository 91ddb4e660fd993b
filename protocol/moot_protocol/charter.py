"""Charters: what a town key writes into its own feed, and the event that opens a replica's.

Membership is written in charters only. Every event of a charter is void (its values and its `over` count for nothing)
when its values don't decode or are not what its kind asks for. Layout, one row per kind, all of it format version 1:

| kind          | entity               | key           | value                                                 |
|---------------|----------------------|---------------|-------------------------------------------------------|
| `genesis`     | `plane`              | `genesis`     | the genesis document; opens the founder's charter     |
| `charter`     | the town key         | `charter`     | `[name]`; opens any other town's charter              |
| `certificate` | the subject key      | `certificate` | `[body, signature, signer]`; opens a replica's feed   |
| `end`         | the author's key     | `end`         | `[n, batch id, town key]`; n = 0 goes with zeros      |
| `admission`   | the town key         | `admission`   | `[name, role]`                                        |
| `invite`      | the invite key       | `invite`      | `[role, town key or zeros, expiry, HPKE key]`         |
| `invite`      | the invite key       | `close`       | `[subject key, …]`: who counts                        |
| `epoch`       | its 8 bytes in hex   | `epoch`       | `[sealed predecessors, [[recipient key, wrap], …]]`   |

Keys stand in entities as `ids.key_text`. An `end` names the town its author belongs to: the author itself where that is
a town's charter, so that it can act on nothing of another kind or town. A charter ends itself with an `end` that is
the first event of its batch and names the event right before it; the ends of the town's replicas stand before that.

An `invite` names the town whose replicas it lets in: the inviting one itself, or with zeros one that isn't known yet.
Its role is writer or reader, its expiry is in milliseconds since 1970 (0 for none), and its HPKE key is what plane keys
are wrapped for while it is open. The first `invite` and the first `close` of an invite key hold, whatever comes after.
A new epoch takes the place of others by removing their `epoch`.

Here stand the rows that a single town needs; `charter` and `admission` come with the rules between towns.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from moot_protocol import kinds
from moot_protocol.batch import HASH_BYTES, ZEROS
from moot_protocol.certificate import HPKE_KEY_BYTES
from moot_protocol.clock import MAX_HLC, to_ms
from moot_protocol.epoch import epoch_from_value
from moot_protocol.event import Dot, Draft, Event, Write
from moot_protocol.frame import EPOCH_BYTES
from moot_protocol.ids import key_from_text, key_text
from moot_protocol.kinds import Role

PLANE_ENTITY: Final = "plane"
"""The entity of the genesis event."""

CLOSE: Final = "close"
"""The key of an invite that says who of its users count."""

OPENS_CHARTER: Final = frozenset({kinds.GENESIS, kinds.CHARTER})
"""Kinds of a first event that make a feed a charter."""


class End(NamedTuple):
    """A pin: up to where an author's feed counts."""

    n: int
    """Number of its last event that counts, 0 for none."""
    batch: bytes
    """Id of the batch that holds it, 32 zeros for none."""
    town: bytes
    """The town the author belongs to; the author itself where it is a charter."""


class Invite(NamedTuple):
    """What a charter says of an invite when it makes it."""

    role: Role
    """The most that its users may do: writer or reader."""
    town: bytes
    """The town whose replicas it lets in: the inviting one's key, or 32 zeros for one that isn't known yet."""
    expires_ms: int
    """When its town means to close it, in milliseconds since 1970; 0 for no such time. Never decides acceptance."""
    hpke_key: bytes
    """The invite's X25519 key, 32 bytes."""


def genesis_draft(document: bytes, actor: str) -> Draft:
    """The first event of a founder's charter."""
    return Draft(kinds.GENESIS, PLANE_ENTITY, actor, (Write(kinds.GENESIS, document),))


def certificate_draft(certificate: list[bytes], subject: bytes, actor: str) -> Draft:
    """The first event of a replica's feed."""
    return Draft(kinds.CERTIFICATE, key_text(subject), actor, (Write(kinds.CERTIFICATE, certificate),))


def end_draft(author: bytes, end: End, actor: str, over: Sequence[Dot] = ()) -> Draft:
    """A charter event that ends an author's feed, over earlier ends of it."""
    return Draft(kinds.END, key_text(author), actor, (Write(kinds.END, list(end), over),))


def invite_draft(key: bytes, invite: Invite, actor: str) -> Draft:
    """A charter event that makes an invite; the first one of its key holds."""
    return Draft(kinds.INVITE, key_text(key), actor, (Write(kinds.INVITE, list(invite)),))


def close_draft(key: bytes, subjects: Collection[bytes], actor: str) -> Draft:
    """A charter event that closes an invite: of those that used it these replicas count, others end at nothing.

    The first one of its key holds. With no subjects it revokes the invite.
    """
    return Draft(kinds.INVITE, key_text(key), actor, (Write(CLOSE, sorted(set(subjects))),))


def epoch_drafts(epoch: bytes, value: list[Any], actor: str, over: Mapping[bytes, Sequence[Dot]]) -> list[Draft]:
    """The charter events that begin an epoch and take others off the list, to be committed together.

    Args:
        epoch: the new epoch's 8 bytes.
        value: what `epoch.build_epoch` has made.
        actor: who acted.
        over: the epochs it takes the place of: their 8 bytes and the writes live in each.
    """
    return [
        Draft(kinds.EPOCH, epoch.hex(), actor, (Write(kinds.EPOCH, value),)),
        *(
            Draft(kinds.EPOCH, other.hex(), actor, (Write(kinds.EPOCH, removes=True, over=dots),))
            for other, dots in over.items()
        ),
    ]


def opening_value(event: Event, kind: str) -> Any:
    """The value a first event of this kind opens its feed with, or None where it is no such event."""
    changes, values = event.skeleton.changes, event.values()
    if event.skeleton.kind != kind or values is None or len(changes) != 1:
        return None
    return values[0] if changes[0].key == kind and values else None


def end_from_value(value: Any) -> End | None:
    """The pin a value stands for, or None where it stands for none."""
    if not (isinstance(value, list) and len(value) == 3):
        return None
    n, batch, town = value
    if type(n) is not int or not 0 <= n <= MAX_HLC or not _is_hash(batch) or not _is_hash(town):
        return None
    return End(n, batch, town) if (n == 0) == (batch == ZEROS) else None


def invite_from_value(value: Any) -> Invite | None:
    """The invite a value stands for, or None where it stands for none."""
    if not (isinstance(value, list) and len(value) == 4):
        return None
    role, town, expires_ms, hpke_key = value
    if not isinstance(role, str) or role not in _INVITED or not _is_hash(town):
        return None
    if type(expires_ms) is not int or not 0 <= expires_ms <= to_ms(MAX_HLC):
        return None
    if not isinstance(hpke_key, bytes) or len(hpke_key) != HPKE_KEY_BYTES:
        return None
    return Invite(Role(role), town, expires_ms, hpke_key)


def close_from_value(value: Any) -> frozenset[bytes] | None:
    """The replicas that a value says count, or None where it says nothing of the kind. They stand ascending."""
    if not (isinstance(value, list) and all(_is_hash(subject) for subject in value)):
        return None
    return frozenset(value) if value == sorted(set(value)) else None


def epoch_of_entity(entity: str) -> bytes | None:
    """The 8 bytes of the epoch that an entity's name stands for, or None where it stands for none."""
    return bytes.fromhex(entity) if _EPOCH_NAME.fullmatch(entity) else None


def _is_hash(value: Any) -> bool:
    return isinstance(value, bytes) and len(value) == HASH_BYTES


def end_of(event: Event, author: bytes) -> End | None:
    """The pin of this author that an event writes, or None where it writes none."""
    skeleton = event.skeleton
    if skeleton.kind != kinds.END or skeleton.entity != key_text(author) or is_void(event):
        return None
    return next((end_from_value(value) for key, value in written(event) if key == kinds.END), None)


def invite_of(event: Event, key: bytes) -> Invite | None:
    """The invite that an event makes for this invite key, or None where it makes none."""
    skeleton = event.skeleton
    if skeleton.kind != kinds.INVITE or skeleton.entity != key_text(key) or is_void(event):
        return None
    return next((invite_from_value(value) for name, value in written(event) if name == kinds.INVITE), None)


def written(event: Event) -> Iterator[tuple[str, Any]]:
    """The keys that an event writes, with their values; nothing where its values are missing."""
    values = event.values()
    if values is not None:
        keys = (change.key for change in event.skeleton.changes if not change.removes)
        yield from zip(keys, values, strict=True)


_INVITED: Final = frozenset({Role.WRITER, Role.READER})
_EPOCH_NAME: Final = re.compile(f"[0-9a-f]{{{2 * EPOCH_BYTES}}}")


class _Form(NamedTuple):
    """What the events of a kind must be."""

    entity: Callable[[str], object | None]
    """Gives None for an entity that is none of this kind's."""
    values: Mapping[str, Callable[[Any], object | None]]
    """key → gives None for a value that is none of this key's."""


_FORMS: Final = {
    kinds.END: _Form(key_from_text, {kinds.END: end_from_value}),
    kinds.INVITE: _Form(key_from_text, {kinds.INVITE: invite_from_value, CLOSE: close_from_value}),
    kinds.EPOCH: _Form(epoch_of_entity, {kinds.EPOCH: epoch_from_value}),
}


def is_void(event: Event) -> bool:
    """Whether an event of a charter counts for nothing, because of what its values are."""
    if event.values() is None:
        return True
    form = _FORMS.get(event.skeleton.kind)
    if form is None:
        return False
    return form.entity(event.skeleton.entity) is None or any(
        key in form.values and form.values[key](value) is None for key, value in written(event)
    )
