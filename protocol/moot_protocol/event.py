"""Events: one immutable change to one entity, split into a skeleton that stays and values that can be erased.

    skeleton = [1, hlc, actor, kind, entity, [[key, over, removes], …]]
    values   = [salt16, value, …]              one per change that doesn't remove, in order
    leaf     = SHA256(0x00 ‖ SHA256(skeleton) ‖ SHA256(values))

Keys stand in ascending order, each once. `over` names the writes a change supersedes, each as
`[author index, n, first 8 bytes of its leaf]`. What merges and what is accepted depends on skeletons and hashes
alone; values that are absent, malformed or too large are shown as missing and change nothing else.
"""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from moot_protocol import limits
from moot_protocol.clock import MAX_HLC
from moot_protocol.codec import check_plain, decode_unchecked, decode_value, decoder, encode
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.ids import entity_problem
from moot_protocol.merkle import leaf_hash

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

    def values(self) -> list[Any] | None:
        """The values without their salt, one per change that doesn't remove; None where they are missing."""
        data = self.values_bytes
        if data is None or len(self.skeleton_bytes) + len(data) > limits.EVENT_BYTES:
            return None
        return decode_values(data, self.skeleton)

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


_KEY: Final = itemgetter(0)
_decode_skeleton: Final = decoder(Skeleton, FORMAT)


def decode_skeleton(data: bytes, authors: int) -> Skeleton:
    """Decode and check a skeleton.

    Args:
        data: the skeleton's bytes.
        authors: how many entries the author table has, the batch's own author included.

    Raises:
        MalformedError: it breaks a rule of the format.
    """
    if len(data) > limits.EVENT_BYTES:
        raise MalformedError(f"a skeleton of {len(data)} bytes", code=Code.TOO_LARGE)
    skeleton = _decode_skeleton(data)
    problem = _name_problem(skeleton) or _changes_problem(skeleton.changes, authors)
    if problem:
        raise MalformedError(f"an event with {problem}")
    return skeleton


def _name_problem(skeleton: Skeleton) -> str | None:
    if not 0 < skeleton.hlc <= MAX_HLC:
        return "a time out of range"
    # Before what is remembered below, which must not be made to keep 64 KiB a name.
    if len(skeleton.actor) > limits.ACTOR_BYTES or len(skeleton.kind) > limits.KIND_BYTES:
        return "an actor or a kind that is too long"
    return _actor_problem(skeleton.actor) or _kind_problem(skeleton.kind) or entity_problem(skeleton.entity)


# Few actors, kinds and sets of keys make up a whole log, and each event names one of each: what was found of them is
# remembered, for as many as fit.
@lru_cache(maxsize=1024)
def _actor_problem(actor: str) -> str | None:
    if len(actor.encode()) > limits.ACTOR_BYTES:
        return f"an actor of more than {limits.ACTOR_BYTES} bytes"
    return None


@lru_cache(maxsize=1024)
def _kind_problem(kind: str) -> str | None:
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
    problem = _keys_problem(tuple([change.key for change in changes]))
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
    if len(data) > limits.EVENT_BYTES:
        return None
    try:
        values = decode_value(data)
    except MalformedError:
        return None
    expected = sum(not change.removes for change in skeleton.changes)
    if not isinstance(values, list) or len(values) != expected + 1:
        return None
    salt = values.pop(0)
    return values if isinstance(salt, bytes) and len(salt) == limits.SALT_BYTES else None


def event_from_bytes(n: int, skeleton: Skeleton, skeleton_bytes: bytes, values: bytes | None, absent: bytes) -> Event:
    """Put an event together from checked parts.

    Args:
        n: its number in the feed.
        skeleton: the decoded skeleton.
        skeleton_bytes: what it was decoded from.
        values: the values' bytes, or None.
        absent: the values' hash where they are absent.
    """
    values_hash = absent if values is None else sha256(values).digest()
    leaf = leaf_hash(sha256(skeleton_bytes).digest(), values_hash)
    return Event(n, skeleton, skeleton_bytes, values, values_hash, leaf)


def build_event(n: int, draft: Draft, hlc: int, salt: bytes, authors: dict[bytes, int]) -> Event:
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
    skeleton = Skeleton(FORMAT, hlc, draft.actor, draft.kind, draft.entity, tuple(changes))
    try:
        problem = _name_problem(skeleton) or _changes_problem(skeleton.changes, len(authors))
        if problem:
            raise RefusedError(f"this write would make an event with {problem}")
        check_plain(values)
        skeleton_bytes, values_bytes = encode(skeleton), encode(values)
    except (MalformedError, TypeError, ValueError, OverflowError) as error:
        raise RefusedError(f"a value can't be stored: {error}") from error
    if len(skeleton_bytes) + len(values_bytes) > limits.EVENT_BYTES:
        raise RefusedError(
            f"this write takes {len(skeleton_bytes) + len(values_bytes)} bytes; an event holds {limits.EVENT_BYTES}",
            code=Code.LIMIT,
            hint="shorten the text, or split it over several fields or comments",
        )
    return event_from_bytes(n, skeleton, skeleton_bytes, values_bytes, b"")
