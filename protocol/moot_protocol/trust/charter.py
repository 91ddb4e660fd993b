r"""Charters: what a town key writes into its own feed, and the event that opens a replica's.

Membership is written in charters only. Every event of a charter is void (its values and its `over` count for nothing)
when its values don't decode or are not what its kind asks for. Layout, one row per kind, all of it format version 1:

| kind          | entity               | key           | value                                                 |
|---------------|----------------------|---------------|-------------------------------------------------------|
| `genesis`     | `plane`              | `genesis`     | the genesis document; opens the founder's charter     |
| `charter`     | the town key         | `charter`     | `[name]`, or `[name, invite key, signature]`; opens   |
|               |                      |               | any other town's charter, the recovery key's too      |
| `certificate` | the subject key      | `certificate` | `[body, signature, signer]`; opens a replica's feed   |
| `end`         | the author's key     | `end`         | `[n, batch id, town key]`; n = 0 goes with zeros      |
| `admission`   | the town key         | `admission`   | `[name, role]`                                        |
| `invite`      | the invite key       | `invite`      | `[role, town key or zeros, expiry, HPKE key]`         |
| `invite`      | the invite key       | `close`       | `[subject key, …]`: who counts                        |
| `epoch`       | its 8 bytes in hex   | `epoch`       | `[sealed predecessors, [[recipient key, wrap], …]]`   |

Keys stand in entities as `ids.key_text`: unpadded base64url, 43 characters, the unused bits of the last one zero. A
first event (`genesis`, `charter`, `certificate`) writes this key and no other. Any other event may write or remove
further keys beside its own, with values of any kind; but where one of its kind's own keys has a value that is none (an
odd `close` beside an `invite`), all of it is void. Names have 1 to 192 bytes without control characters, as entities
do.

An `end` names the town its author belongs to: the author itself where that is a town's charter, so that it can act on
nothing of another kind or town. A charter ends itself with an `end` that is the first event of its batch and names the
event right before it; the ends of the town's replicas stand before that.

An `invite` whose town is the inviting one lets in replicas of it. One whose town is zeros lets in any other town (more
than one, while it is open), one that names another town lets in that town. A town that comes with an invite proves it
in the first event of its charter, by the invite key's signature

    proof = Ed25519("moot/charter/1\0" ‖ [plane16, town key])

so nobody can bring in a town whose name they only know; the town's replicas are certified by its own key, as ever. An
invite's role is writer or reader, its expiry is in milliseconds since 1970 (0 for none, below 2⁴⁸, else the event is
void), and its HPKE key is what plane keys are wrapped for while it is open. A close's keys ascend, each once. The first
`invite` and the first `close` of an invite key hold, whatever comes after; a close names the replicas, or the towns,
that count.

An `admission` lets in another town as admin, writer or reader. What it gave stays given: a later one may raise the role
and change the name, and nothing takes it back but the removal of the town, by an `end` of its charter. An admission of
the town that writes it tells no more than what the town is called.

A new epoch takes the place of others by removing their `epoch`. What of all this counts, and against whom, is decided
between towns (`levels.py`).
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Final, NamedTuple, TypeAlias

import msgspec

from moot_protocol import crypto
from moot_protocol.clock import MAX_HLC, to_ms
from moot_protocol.codec import check_plain, encode
from moot_protocol.errors import MalformedError
from moot_protocol.ids import entity_problem, key_from_text, key_text
from moot_protocol.limits import SALT_BYTES
from moot_protocol.log.batch import HASH_BYTES, ZEROS
from moot_protocol.log.event import Dot, Draft, Event, Write
from moot_protocol.merge import kinds
from moot_protocol.merge.kinds import Role
from moot_protocol.sealing.epoch import epoch_from_value
from moot_protocol.sealing.frame import EPOCH_BYTES
from moot_protocol.trust.certificate import HPKE_KEY_BYTES

PLANE_ENTITY: Final = "plane"
"""The entity of the genesis event."""

CLOSE: Final = "close"
"""The key of an invite that says who of its users count."""

OPENS_CHARTER: Final = frozenset({kinds.GENESIS, kinds.CHARTER})
"""Kinds of a first event that make a feed a charter."""

_Hash: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=HASH_BYTES, max_length=HASH_BYTES)]
_HpkeKey: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=HPKE_KEY_BYTES, max_length=HPKE_KEY_BYTES)]
_Salt: TypeAlias = Annotated[bytes, msgspec.Meta(min_length=SALT_BYTES, max_length=SALT_BYTES)]
_Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
_Instant: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=to_ms(MAX_HLC))]


# The values of ends, invites and admissions are decoded as these tuples, limits included: charters are long.
class End(NamedTuple):
    """A pin: up to where an author's feed counts."""

    n: _Count
    """Number of its last event that counts, 0 for none."""
    batch: _Hash
    """Id of the batch that holds it, 32 zeros for none."""
    town: _Hash
    """The town the author belongs to; the author itself where it is a charter."""


class Invite(NamedTuple):
    """What a charter says of an invite when it makes it."""

    role: Role
    """The most that its users may do: writer or reader."""
    town: _Hash
    """The town whose replicas it lets in: the inviting one's key, or 32 zeros for one that isn't known yet."""
    expires_ms: _Instant
    """When its town means to close it, in milliseconds since 1970; 0 for no such time. Never decides acceptance."""
    hpke_key: _HpkeKey
    """The invite's X25519 key, 32 bytes."""


class Admission(NamedTuple):
    """What a charter says of another town when it lets it in."""

    name: str
    """What the admitting town calls it: 1 to 192 bytes without control characters."""
    role: Role
    """The most that the town and its replicas may do."""


class InviteProof(NamedTuple):
    """What shows that a town came with an invite."""

    invite: bytes
    """The invite's 32-byte key."""
    signature: bytes
    """64 bytes by that key, over the plane and the town key."""


class Opened(NamedTuple):
    """What the first event of a town's charter says."""

    name: str
    """What the town calls itself."""
    proof: InviteProof | None
    """The invite it came with; not verified yet (`is_proof_of`)."""


def build_charter_proof(plane: bytes, town: bytes, invite: crypto.Signer) -> InviteProof:
    """The proof that a town comes with an invite, for `charter_draft`.

    Args:
        plane: the plane's 16 bytes.
        town: the town's 32-byte key.
        invite: the invite's private key (`ticket.invite_signer` of a ticket's seed).
    """
    return InviteProof(invite.public, invite.sign(_proof_message(plane, town)))


def is_proof_of(proof: InviteProof, plane: bytes, town: bytes) -> bool:
    """Whether a proof's invite key has signed that this town comes with it to this plane (costs a verification)."""
    is_signed = crypto.is_signed(proof.invite, proof.signature, _proof_message(plane, town))
    return is_signed and crypto.is_certifiable(proof.invite)


def _proof_message(plane: bytes, town: bytes) -> bytes:
    return crypto.CHARTER_DOMAIN + encode([plane, town])


def charter_draft(town: bytes, name: str, actor: str, invite_proof: InviteProof | None = None) -> Draft:
    """The first event of the charter of a town that didn't found the plane; also of the recovery key's.

    The feed's author is the town key. It counts once the town is let in: by an admin's `admission_draft`, or at once by
    an invite that is proved here. The recovery key's needs neither.

    Args:
        town: the town's 32-byte key.
        name: what the town calls itself, 1 to 192 bytes without control characters.
        actor: who acted.
        invite_proof: what `build_charter_proof` made, of a town that comes with an invite.
    """
    value = [name] if invite_proof is None else [name, *invite_proof]
    return Draft(kinds.CHARTER, key_text(town), actor, (Write(kinds.CHARTER, value),))


def admission_draft(town: bytes, admission: Admission, actor: str) -> Draft:
    """A charter event that lets a town in, or one that is in with a higher role or under another name.

    It lets in with at least the role named: the highest that a charter ever wrote holds. The town's depth is one more
    than the writer's. A town that admits itself tells its name.

    Args:
        town: the 32-byte key of the town that is let in.
        admission: its name and role.
        actor: who acted.
    """
    return Draft(kinds.ADMISSION, key_text(town), actor, (Write(kinds.ADMISSION, list(admission)),))


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


def charter_from_value(value: Any) -> Opened | None:
    """What a charter's first event says, or None where its value says nothing of the kind; proofs aren't checked."""
    if not (isinstance(value, list) and len(value) in {1, 3} and _is_name(value[0])):
        return None
    if len(value) == 1:
        return Opened(value[0], None)
    _, invite, signature = value
    if not _is_hash(invite) or not isinstance(signature, bytes) or len(signature) != crypto.SIGNATURE_BYTES:
        return None
    return Opened(value[0], InviteProof(invite, signature))


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and not entity_problem(name)


def epoch_of_entity(entity: str) -> bytes | None:
    """The 8 bytes of the epoch that an entity's name stands for, or None where it stands for none."""
    return bytes.fromhex(entity) if _EPOCH_NAME.fullmatch(entity) else None


def _is_hash(value: Any) -> bool:
    return type(value) is bytes and len(value) == HASH_BYTES


def opened_by(event: Event, town: bytes) -> Opened | None:
    """What a first event says that opens this town's charter, or None where it opens none."""
    if event.skeleton.entity != key_text(town):
        return None
    return charter_from_value(opening_value(event, kinds.CHARTER))


def end_of(event: Event, author: bytes) -> End | None:
    """The pin of this author that an event writes, or None where it writes none."""
    end: End | None = _said_of(event, kinds.END, kinds.END, author)
    return end


def invite_of(event: Event, key: bytes) -> Invite | None:
    """The invite that an event makes for this invite key, or None where it makes none."""
    invite: Invite | None = _said_of(event, kinds.INVITE, kinds.INVITE, key)
    return invite


def _said_of(event: Event, kind: str, key: str, entity: bytes) -> Any:
    if event.skeleton.kind != kind or event.skeleton.entity != key_text(entity):
        return None
    parsed = parse(event)
    return None if parsed is None else parsed.values.get(key)


def is_invite(invite: Invite) -> bool:
    """Whether anybody would take this for an invite."""
    values = _decoder((Invite,))(encode([bytes(SALT_BYTES), list(invite)]))
    return values is not None and _lent(values[1]) is not None


def written(event: Event) -> Iterator[tuple[str, Any]]:
    """The keys that an event writes, with their values; nothing where its values are missing."""
    values = event.values()
    if values is not None:
        keys = (change.key for change in event.skeleton.changes if not change.removes)
        yield from zip(keys, values, strict=True)


_EPOCH_NAME: Final = re.compile(f"[0-9a-f]{{{2 * EPOCH_BYTES}}}")


# -- What events say -------------------------------------------------------------------------------------------------
def _pin(end: End) -> End | None:
    return end if (end.n == 0) == (end.batch == ZEROS) else None


def _lent(invite: Invite) -> Invite | None:
    return None if invite.role is Role.ADMIN else invite


def _counting(subjects: list[bytes]) -> frozenset[bytes] | None:
    """The replicas that a close says count; they stand ascending, each once."""
    named = frozenset(subjects)
    return named if subjects == sorted(named) else None


def _named(admission: Admission) -> Admission | None:
    return None if entity_problem(admission.name) else admission


class _Said(NamedTuple):
    """How a value of some key is read."""

    shape: Any
    """The type that it is decoded as."""
    meaning: Callable[[Any], object | None]
    """Gives what it stands for, or None for what is none of this key's."""


class _Form(NamedTuple):
    """What the events of a kind must be."""

    entity: Callable[[str], object | None]
    """Gives None for an entity that is none of this kind's."""
    values: Mapping[str, _Said]


_FORMS: Final = {
    kinds.CHARTER: _Form(key_from_text, {kinds.CHARTER: _Said(Any, charter_from_value)}),
    kinds.ADMISSION: _Form(key_from_text, {kinds.ADMISSION: _Said(Admission, _named)}),
    kinds.END: _Form(key_from_text, {kinds.END: _Said(End, _pin)}),
    kinds.INVITE: _Form(key_from_text, {kinds.INVITE: _Said(Invite, _lent), CLOSE: _Said(list[_Hash], _counting)}),
    kinds.EPOCH: _Form(epoch_of_entity, {kinds.EPOCH: _Said(Any, epoch_from_value)}),
}


class Parsed(msgspec.Struct, frozen=True, gc=False):
    """What an event of a charter says."""

    entity: Any
    """What its entity stands for: a key's 32 bytes, or an epoch's 8."""
    values: Mapping[str, Any]
    """key → what its value stands for, of the keys that its kind has."""


def parse(event: Event) -> Parsed | None:
    """What an event says whose kind has a form (admission, charter, end, epoch, invite); None where it is void.

    Raises:
        KeyError: its kind has none.
    """
    skeleton, keys = event.skeleton, event.plain_keys
    if keys is None:
        keys = tuple(change.key for change in skeleton.changes if not change.removes)
    entity_of, decode, meanings = _way_of(skeleton.kind, keys)
    entity, data = entity_of(skeleton.entity), event.sized_values()
    values = None if data is None or entity is None else decode(data)
    if values is None:
        return None
    found: dict[str, Any] = {}
    for at, key, meaning in meanings:
        said = found[key] = meaning(values[at])
        if said is None:
            return None
    return Parsed(entity, found)


@lru_cache(maxsize=256)
def _decoder(shapes: tuple[Any, ...]) -> Callable[[bytes], tuple[Any, ...] | None]:
    """Reads salt and values of these shapes; None for bytes that are nothing of the kind, or not canonical."""
    values: Any = tuple.__class_getitem__((_Salt, *shapes))
    loose: Callable[[bytes], tuple[Any, ...]] = msgspec.msgpack.Decoder(values).decode
    has_any = Any in shapes

    def read(data: bytes) -> tuple[Any, ...] | None:
        try:
            values = loose(data)
            if encode(values) != data:
                return None
            if has_any:
                check_plain(values)
        except (ValueError, RecursionError, TypeError, MalformedError):  # TypeError: an extension type has no encoding
            return None
        return values

    return read


class _Way(NamedTuple):
    """How events of a kind that write the same keys are read: charters are long, and say few sorts of things."""

    entity: Callable[[str], object | None]
    decode: Callable[[bytes], tuple[Any, ...] | None]
    """Reads salt and values; a value whose key the kind doesn't have may be anything."""
    meanings: tuple[tuple[int, str, Callable[[Any], object | None]], ...]
    """(position behind the salt, key, meaning) of the keys that the kind has."""


@lru_cache(maxsize=256)
def _way_of(kind: str, keys: tuple[str, ...]) -> _Way:
    entity, values = _FORMS[kind]
    shapes = tuple(values[key].shape if key in values else Any for key in keys)
    meanings = tuple((at, key, values[key].meaning) for at, key in enumerate(keys, 1) if key in values)
    return _Way(entity, _decoder(shapes), meanings)


def is_void(event: Event) -> bool:
    """Whether an event of a charter counts for nothing, because of what its values are."""
    if event.skeleton.kind in _FORMS:
        return parse(event) is None
    return event.values() is None
