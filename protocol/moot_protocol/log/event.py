"""Events: one immutable change to one entity, split into a skeleton that stays and values that can be erased.

    skeleton = [1, hlc, actor, kind, entity, [[key, over, removes], …]]
    values   = [salt16, value, …]              one per change that doesn't remove, in order
    leaf     = SHA256(0x00 ‖ SHA256(skeleton) ‖ SHA256(values))

Lengths are those of UTF-8, in bytes:

| part     | what it may be                                                                                     |
|----------|----------------------------------------------------------------------------------------------------|
| `hlc`    | 1 to 2⁶⁴ − 1: milliseconds since 1970 times 65,536, plus a counter                                 |
| `actor`  | 0 to 255 bytes of any text, control characters included                                            |
| `kind`   | 1 to 32 characters of ASCII from `!` to `~`                                                        |
| `entity` | 1 to 192 bytes without U+0000 to U+001F and U+007F to U+009F                                       |
| changes  | 1 to 128; keys are 1 to 64 characters of ASCII from `!` to `~`, and stand in ascending order       |
| `over`   | up to 1,024 times `[author index, n, leaf8]`, in any order, also twice, also of what nobody has    |

`over` names the writes that a change supersedes: author index 0 is the batch's own author, i is the i-th of its further
authors; n is 1 or more; leaf8 is the first 8 bytes of the write's leaf. A skeleton takes up to 65,536 bytes.

What merges and what is accepted depends on skeletons and hashes alone. Values that are absent, not canonical, nested
too deeply (`codec.py`) or not one for each change that doesn't remove are missing, all of them, and so are those that
with their skeleton take more than 65,536 bytes: they are shown as missing and change nothing else.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from moot_protocol import limits
from moot_protocol.clock import MAX_HLC
from moot_protocol.codec import SCALARS, check_plain, decode_unchecked, decode_value, decoder, encode
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.ids import entity_problem
from moot_protocol.log.merkle import leaf_hash

FORMAT: Final = 1
LEAF_PREFIX_BYTES: Final = 8


class Dot(NamedTuple):
    """One write by name: the n-th event of an author's feed, held to one branch by its leaf."""

    author: bytes
    """The author's 32-byte key."""
    n: int
    leaf8: bytes
    """The first 8 bytes of the event's leaf."""


class Change(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What an event does to one key of its entity."""

    key: str
    over: tuple[tuple[int, int, bytes], ...]
    """Superseded writes: (index into the batch's author table, n, first 8 bytes of the leaf)."""
    removes: bool


class Skeleton(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The part of an event that is never erased."""

    version: int
    hlc: int
    actor: str
    kind: str
    entity: str
    changes: tuple[Change, ...]


class Event(msgspec.Struct, frozen=True, gc=False):
    """An event as it stands in a batch: decoded skeleton, values as bytes, and the leaf that binds both."""

    n: int
    skeleton: Skeleton
    skeleton_bytes: bytes
    values_bytes: bytes | None
    """None where the values are absent (withheld or erased)."""
    values_hash: bytes
    leaf: bytes
    plain_keys: tuple[str, ...] | None = None
    """The keys it writes, in order, if it supersedes and removes nothing: what a new entity consists of. Else None."""

    def without_values(self) -> "Event":
        """The event with its values withheld or erased: what merges and what is accepted stays the same."""
        return msgspec.structs.replace(self, values_bytes=None)

    def sized_values(self) -> bytes | None:
        """The values as bytes; None where they are missing or make the event too large."""
        data = self.values_bytes
        if data is None or len(self.skeleton_bytes) + len(data) > limits.EVENT_BYTES:
            return None
        return data

    def values(self) -> list[Any] | None:
        """The values without their salt, one per change that doesn't remove; None where they are missing."""
        data = self.sized_values()
        if data is None:
            return None
        keys = self.plain_keys
        return _decode_sized(data, _count_values(self.skeleton) if keys is None else len(keys))

    def own_values(self) -> list[Any]:
        """The values of an event that was just built here, and so need not be checked again."""
        values: list[Any] = decode_unchecked(self.values_bytes or b"\x90")
        return values[1:]


class Write(NamedTuple):
    """A change about to be made: a value for a key, over the writes it was made in sight of."""

    key: str
    value: Any = None
    over: Sequence[Dot] = ()
    removes: bool = False


class Draft(NamedTuple):
    """An event about to be made; clock, salt and author come when it is put into a batch."""

    kind: str
    entity: str
    actor: str
    writes: Sequence[Write]


class PlainDraft(NamedTuple):
    """An event about to be made that supersedes and removes nothing, told by its values alone."""

    kind: str
    entity: str
    actor: str
    values: Mapping[str, Any]
    """key → value."""


class NewEntity(msgspec.Struct, frozen=True, gc=False):
    """An entity about to be made, by events that supersede and remove nothing."""

    kind: str
    entity: str
    actor: str
    events: Sequence[tuple["PlainShape", Sequence[Any]]]
    """Of each event which keys it writes, and the values in their order."""


class PlainShape(NamedTuple):
    """What skeletons that write the same keys over nothing have in common: few shapes make up most new entities."""

    keys: tuple[str, ...]
    """In ascending order."""
    changes: tuple[Change, ...]
    packed: msgspec.Raw
    """The changes as they stand in the skeleton."""


class _Outline(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A skeleton whose changes are still bytes: those of a plain shape need not be decoded again."""

    version: int
    hlc: int
    actor: str
    kind: str
    entity: str
    changes: msgspec.Raw


_SHAPES: Final = 256
"""Plain shapes remembered; most take a KiB or two, the largest possible some 25."""
_SHAPE_BYTES: Final = 1024
"""Longer changes are not remembered: nobody must be able to make this keep megabytes."""
_PLAIN_END: Final = b"\x90\xc2"
"""How a skeleton ends whose last change is over nothing and removes nothing: no other is of a plain shape."""
_NO_TIME: Final = "a time out of range"
_KEY: Final = itemgetter(0)
_decode_skeleton: Final = decoder(Skeleton, FORMAT)
_decode_outline: Final = msgspec.msgpack.Decoder(_Outline).decode
_shapes: Final[dict[bytes, PlainShape]] = {}
"""Plain shapes by their packed changes, which were found to be canonical and without a problem."""


@lru_cache(maxsize=_SHAPES)
def plain_shape(keys: tuple[str, ...]) -> PlainShape:
    """The shape of an event that writes these keys (in any order) over nothing.

    Raises:
        RefusedError: these keys can't stand in one event.
    """
    ordered = tuple(sorted(keys))
    problem = _keys_problem(ordered)
    if problem:
        raise RefusedError(f"this write would make an event with {problem}")
    changes = tuple([_plain_change(key, False) for key in ordered])
    return PlainShape(ordered, changes, msgspec.Raw(encode(changes)))


def decode_skeleton(data: bytes, authors: int) -> Skeleton:
    """Decode and check a skeleton.

    Args:
        data: the skeleton's bytes.
        authors: how many entries the author table has, the batch's own author included.

    Raises:
        MalformedError: it breaks a rule of the format.
    """
    return decode_shaped(data, authors)[0]


def decode_shaped(data: bytes, authors: int) -> tuple[Skeleton, tuple[str, ...] | None]:
    """As `decode_skeleton`, with `Event.plain_keys`."""
    if len(data) > limits.EVENT_BYTES:
        raise MalformedError(f"a skeleton of {len(data)} bytes", code=Code.TOO_LARGE)
    keys: tuple[str, ...] | None
    is_plain = data.endswith(_PLAIN_END)
    known = _decode_known(data) if is_plain else None
    if known is not None:
        skeleton, keys = known
        problem = _name_problem(skeleton)
    else:
        skeleton = _decode_skeleton(data)
        problem = _name_problem(skeleton) or _changes_problem(skeleton.changes, authors)
        keys = _plain_keys(skeleton.changes) if is_plain and not problem else None
    if problem:
        raise MalformedError(f"an event with {problem}")
    return skeleton, keys


def _decode_known(data: bytes) -> tuple[Skeleton, tuple[str, ...]] | None:
    """A canonical skeleton of a shape met before; None for any other, whatever is the matter with it."""
    try:
        outline = _decode_outline(data)
    except (ValueError, RecursionError):
        return None
    shape = _shapes.get(bytes(outline.changes))
    if shape is None or outline.version != FORMAT or encode(outline) != data:
        return None
    changes = shape.changes
    return Skeleton(FORMAT, outline.hlc, outline.actor, outline.kind, outline.entity, changes), shape.keys


def _plain_keys(changes: tuple[Change, ...]) -> tuple[str, ...] | None:
    """The keys of checked changes that are all plain, whose shape is remembered; else None."""
    for change in changes:
        if change.over or change.removes:
            return None
    shape = plain_shape(tuple([change.key for change in changes]))
    if len(shape.packed) <= _SHAPE_BYTES and len(_shapes) < _SHAPES:
        _shapes[bytes(shape.packed)] = shape
    return shape.keys


def _name_problem(skeleton: Skeleton) -> str | None:
    if not 0 < skeleton.hlc <= MAX_HLC:
        return _NO_TIME
    return _names_problem(skeleton.actor, skeleton.kind, skeleton.entity)


def _names_problem(actor: str, kind: str, entity: str) -> str | None:
    # Before what is remembered below, which must not be made to keep 64 KiB a name.
    if len(actor) > limits.ACTOR_BYTES or len(kind) > limits.KIND_BYTES:
        return "an actor or a kind that is too long"
    return _speaker_problem(actor, kind) or entity_problem(entity)


# Few actors, kinds and sets of keys make up a whole log, and each event names one of each: what was found of them is
# remembered, for as many as fit.
@lru_cache(maxsize=1024)
def _speaker_problem(actor: str, kind: str) -> str | None:
    if len(actor.encode()) > limits.ACTOR_BYTES:
        return f"an actor of more than {limits.ACTOR_BYTES} bytes"
    return None if _is_name(kind, limits.KIND_BYTES) else "a kind that is no name"


def _is_name(text: str, most: int) -> bool:
    return 0 < len(text) <= most and text.isascii() and text.isprintable() and " " not in text


@lru_cache(maxsize=256)
def _keys_problem(keys: tuple[str, ...]) -> str | None:
    if not 0 < len(keys) <= limits.KEYS_PER_EVENT:
        return f"{len(keys)} changes"
    if any(later <= earlier for earlier, later in pairwise(keys)) or not all(
        _is_name(key, limits.KEY_BYTES) for key in keys
    ):
        return "keys that are not names in ascending order, each once"
    return None


@lru_cache(maxsize=1024)
def _plain_change(key: str, removes: bool) -> Change:
    """A change over nothing: the same few make up every new entity."""
    return Change(key, (), removes)


def _changes_problem(changes: tuple[Change, ...], authors: int) -> str | None:
    # Most changes come alone.
    keys = (changes[0].key,) if len(changes) == 1 else tuple([change.key for change in changes])
    problem = _keys_problem(keys)
    if problem:
        return problem
    for change in changes:
        if change.over:
            if len(change.over) > limits.OVER_PER_KEY:
                return f"more than {limits.OVER_PER_KEY} writes superseded at once"
            for index, n, leaf8 in change.over:
                if not 0 <= index < authors or not 0 < n <= MAX_HLC or len(leaf8) != LEAF_PREFIX_BYTES:
                    return "a superseded write that names nothing"
    return None


def decode_values(data: bytes, skeleton: Skeleton) -> list[Any] | None:
    """The values of an event without their salt, or None where they don't decode, don't fit or are too large."""
    return None if len(data) > limits.EVENT_BYTES else _decode_sized(data, _count_values(skeleton))


def _count_values(skeleton: Skeleton) -> int:
    changes = skeleton.changes
    return [change.removes for change in changes].count(False) if len(changes) != 1 else not changes[0].removes


def _decode_sized(data: bytes, expected: int) -> list[Any] | None:
    try:
        values = decode_value(data)
    except MalformedError:
        return None
    if not isinstance(values, list) or len(values) != expected + 1:
        return None
    salt = values.pop(0)
    return values if isinstance(salt, bytes) and len(salt) == limits.SALT_BYTES else None


def event_from_bytes(
    n: int,
    skeleton: Skeleton,
    skeleton_bytes: bytes,
    values: bytes | None,
    absent: bytes,
    plain_keys: tuple[str, ...] | None = None,
) -> Event:
    """Put an event together from checked parts.

    Args:
        n: its number in the feed.
        skeleton: the decoded skeleton.
        skeleton_bytes: what it was decoded from.
        values: the values' bytes, or None.
        absent: the values' hash where they are absent.
        plain_keys: as `decode_shaped` found them.
    """
    values_hash = absent if values is None else sha256(values).digest()
    leaf = leaf_hash(sha256(skeleton_bytes).digest(), values_hash)
    return Event(n, skeleton, skeleton_bytes, values, values_hash, leaf, plain_keys)


def build_event(n: int, draft: Draft | PlainDraft, hlc: int, salt: bytes, authors: dict[bytes, int]) -> Event:
    """Make an event from a draft.

    Args:
        n: its number in the feed.
        draft: what it says.
        hlc: its time.
        salt: 16 random bytes.
        authors: the batch's author table, own author at 0; authors named by `over` are added to it.

    Raises:
        RefusedError: it passes a limit of the format, or a value has no encoding.
    """
    if len(salt) != limits.SALT_BYTES:
        raise ValueError(f"a salt of {len(salt)} bytes")
    check_names(draft)
    if isinstance(draft, PlainDraft):
        shape = plain_shape(tuple(draft.values))
        return plain_event(n, draft, shape, [draft.values[key] for key in shape.keys], hlc, salt)
    changes, values = _changes_of(draft, salt, authors)
    problem = _changes_problem(changes, len(authors)) if 0 < hlc <= MAX_HLC else _NO_TIME
    if problem:
        raise RefusedError(f"this write would make an event with {problem}")
    skeleton = Skeleton(FORMAT, hlc, draft.actor, draft.kind, draft.entity, changes)
    return _built(n, skeleton, skeleton, values, _plain_keys(changes))


def check_names(names: Draft | PlainDraft | NewEntity) -> None:
    """See that kind, entity and actor can stand in an event.

    Raises:
        RefusedError: they can't.
    """
    try:
        problem = _names_problem(names.actor, names.kind, names.entity)
    except UnicodeEncodeError as error:
        raise RefusedError(f"a value can't be stored: {error}") from error
    if problem:
        raise RefusedError(f"this write would make an event with {problem}")


def plain_event(
    n: int, names: PlainDraft | NewEntity, shape: PlainShape, values: Sequence[Any], hlc: int, salt: bytes
) -> Event:
    """Make an event that supersedes and removes nothing; as `build_event`, for names that `check_names` let pass.

    Args:
        n: its number in the feed.
        names: tell kind, entity and actor.
        shape: the keys that it writes.
        values: their values in the same order.
        hlc: its time.
        salt: 16 random bytes.

    Raises:
        RefusedError: as `build_event`.
    """
    if not 0 < hlc <= MAX_HLC:
        raise RefusedError(f"this write would make an event with {_NO_TIME}")
    kind, entity, actor = names.kind, names.entity, names.actor
    skeleton = Skeleton(FORMAT, hlc, actor, kind, entity, shape.changes)
    return _built(n, skeleton, (FORMAT, hlc, actor, kind, entity, shape.packed), [salt, *values], shape.keys)


def _built(n: int, skeleton: Skeleton, packed: Any, values: list[Any], keys: tuple[str, ...] | None) -> Event:
    """An event of a checked skeleton, and of what has the same encoding."""
    try:
        if not SCALARS.issuperset(map(type, values)):
            check_plain(values)
        skeleton_bytes = encode(packed)
        values_bytes = encode(values)
    except (MalformedError, TypeError, ValueError, OverflowError) as error:
        raise RefusedError(f"a value can't be stored: {error}") from error
    size = len(skeleton_bytes) + len(values_bytes)
    if size > limits.EVENT_BYTES:
        raise RefusedError(
            f"this write takes {size} bytes; an event holds {limits.EVENT_BYTES}",
            code=Code.LIMIT,
            hint="shorten the text, or split it over several fields or comments",
        )
    values_hash = sha256(values_bytes).digest()
    leaf = leaf_hash(sha256(skeleton_bytes).digest(), values_hash)
    return Event(n, skeleton, skeleton_bytes, values_bytes, values_hash, leaf, keys)


def _changes_of(draft: Draft, salt: bytes, authors: dict[bytes, int]) -> tuple[tuple[Change, ...], list[Any]]:
    """The changes of a draft in order of their keys, and its values after their salt."""
    values: list[Any] = [salt]
    changes: list[Change] = []
    for key, value, over, removes in sorted(draft.writes, key=_KEY):
        if over:
            dots = tuple([(authors.setdefault(dot.author, len(authors)), dot.n, dot.leaf8) for dot in over])
            changes.append(Change(key, dots, removes))
        else:
            changes.append(_plain_change(key, removes))
        if not removes:
            values.append(value)
    return tuple(changes), values
