"""Records: what is live in one entity, as it is kept in RECORDS.

A record groups live values by the event that wrote them. Values of inline fields stand in it; others (long text) are
read from their event. Invariant: `groups` holds exactly the (key, dot) pairs that the entity's accepted events leave
live, and `pending` names the superseded writes that have not come yet. An entity may have any number of either: what
an event costs doesn't depend on it.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from functools import partial
from operator import attrgetter
from typing import Any, Final, TypeAlias, cast

import msgspec

from moot_protocol.log.event import LEAF_PREFIX_BYTES, Change, Event
from moot_protocol.merge.kinds import (
    ADMIN_KINDS,
    CERTIFICATE,
    CHARTER_KINDS,
    INLINE_KEYS,
    KINDS,
    OWN_CHARTER_KINDS,
    UNKNOWN_FIELD,
    Role,
)
from moot_protocol.merge.register import MISSING, Sibling
from moot_protocol.trust.charter import is_void


class Group(msgspec.Struct, array_like=True, gc=False):
    """The values of one event that are still live."""

    feed: int
    n: int
    hlc: int
    arrival: int
    leaf: bytes
    pairs: list[Sequence[Any]]
    """`[key, value]`, or `[key]` where the value is not inline or missing."""


class Record(msgspec.Struct, array_like=True, gc=False):
    """One entity."""

    plane: int
    kind: str
    entity: str
    head: int = 0
    """Arrival number of its newest event: history is a chain of back-pointers from there."""
    created: int = 0
    """Least timestamp of its accepted events."""
    updated: int = 0
    """Greatest timestamp of its accepted events."""
    groups: list[Group] = []
    """Ascending in arrival."""
    pending: set[tuple[str, int, int, bytes]] = set()
    """Superseded writes not yet here: (key, feed, n, first 8 bytes of the leaf)."""
    index_keys: list[bytes] = []
    """Keys that INDEX holds of it, beside its standing and edges: those to be removed when they are others."""


class Named(msgspec.Struct, array_like=True, gc=False):
    """The beginning of a record: which entity it is, read in a tenth of the time."""

    plane: int
    kind: str
    entity: str


decode_named: Final[Callable[[bytes], Named]] = msgspec.msgpack.Decoder(Named).decode
decode_record: Final[Callable[[bytes], Record]] = msgspec.msgpack.Decoder(Record).decode
encode_record: Final[Callable[[Record], bytes]] = msgspec.msgpack.Encoder(order="deterministic").encode
"""Equal records have equal bytes, `pending` in ascending order."""


class OwnCharter(Enum):
    """Says that an author is the charter of a town that is no admin: it speaks of its own replicas only."""

    OWN_CHARTER = "own_charter"


Speaker: TypeAlias = Role | OwnCharter | None
"""Who says something: a replica of a role, the charter of a town that is no admin, or (None) that of one that is."""

_NONE: Final[frozenset[str]] = frozenset()
_ADMIN, _WRITER, _READER = Role.ADMIN, Role.WRITER, Role.READER  # asked for by name they take ten times as long
_WRITERS: Final = frozenset({_WRITER, _ADMIN})
_SPECIAL_KINDS: Final = CHARTER_KINDS | ADMIN_KINDS
_NOTHING_SAID: Final[tuple[Mapping[str, Any], str]] = ({}, "")

_FEW: Final = 4
"""Writes that are looked for one by one among a record's groups: for more, a table of all is made first."""
_FEW_GROUPS: Final = 32
"""Groups among which they are: where there are more, the table is made at once, and kept for the events to come."""
_arrival_of: Final = attrgetter("arrival")

_sibling: Final = cast("Callable[[tuple[Any, ...]], Sibling]", partial(tuple.__new__, Sibling))
"""A `Sibling` of all its fields in their order, in a third of the time: every row that is shown takes a dozen."""

HasCome = Callable[[Record, str, int, int, bytes], bool]
"""Called with (record, key, feed, n, first 8 bytes of the leaf)."""
Added = Callable[[Sequence[str], int, int, bytes], None]
"""Called with (keys, feed, n, leaf) of an event whose pairs became live."""
Removed = Callable[[str, int, int, bytes], None]
"""Called with (key, feed, n, leaf) of a pair that ceased to be live."""


class _Names:
    """The groups of one record by name, caught up with those that have come since whenever it is asked.

    Those that were taken out of it since stay named: nothing of them is live.
    """

    __slots__ = ("_arrival", "_groups", "record")

    def __init__(self, record: Record) -> None:
        self.record = record
        """Named here so that its `id` stays its own."""
        self._groups: dict[tuple[int, int, bytes], Group] = {}
        self._arrival = 0

    def find(self, feed: int, n: int, leaf8: bytes) -> Group | None:
        """The group of this name."""
        for group in reversed(self.record.groups):
            if group.arrival <= self._arrival:
                break
            self._groups[group.feed, group.n, group.leaf[:8]] = group
        self._arrival = self.record.groups[-1].arrival if self.record.groups else 0
        return self._groups.get((feed, n, leaf8))


class Merge:
    """Applies events to records: the merge rule of `moot_protocol.merge.register`, incrementally.

    Args:
        has_come: whether the write of a record's key by the event of this feed, number and beginning of a leaf was
            applied before.
        added: told of pairs that become live.
        removed: told of each pair that ceases to be.
    """

    __slots__ = ("_added", "_has_come", "_names", "_removed")

    def __init__(self, has_come: HasCome, added: Added, removed: Removed) -> None:
        self._has_come = has_come
        self._added = added
        self._removed = removed
        self._names: dict[int, _Names] = {}
        """By `id`, of records with many groups."""

    def forget(self) -> None:
        """Keep nothing of records that events were applied to."""
        self._names.clear()

    def apply(
        self,
        record: Record,
        event: Event,
        values: list[Any] | None,
        feeds: list[int],
        arrival: int,
        role: Speaker,
    ) -> bool:
        """Apply one accepted event.

        Args:
            record: the entity's record; changed in place.
            event: the event.
            values: its values, None where they are missing.
            feeds: the batch's author table as feed numbers, own feed first.
            arrival: the event's arrival number.
            role: the author's effective role; changes it doesn't allow count for nothing.

        Returns:
            Whether it was the simple case, as the events of a new entity are: all its values came to be live, and
            nothing ceased to be.
        """
        skeleton = event.skeleton
        hlc = skeleton.hlc
        record.head = arrival
        if not _counts(event, role):
            return False
        if not record.created or hlc < record.created:
            record.created = hlc
        record.updated = max(record.updated, hlc)
        feed = feeds[0]
        keys = event.plain_keys
        if keys is None or values is None or record.pending or skeleton.kind in ADMIN_KINDS:
            pairs = self._pairs(record, event, values, feeds, role)
            if pairs:
                record.groups.append(Group(feed, event.n, hlc, arrival, event.leaf, pairs))
                self._added([pair[0] for pair in pairs], feed, event.n, event.leaf)
            return False
        record.groups.append(group_of_plain(skeleton.kind, event, keys, values, feed, arrival))
        self._added(keys, feed, event.n, event.leaf)
        return True

    def _pairs(
        self, record: Record, event: Event, values: list[Any] | None, feeds: list[int], role: Speaker
    ) -> list[Sequence[Any]]:
        """The pairs of an event that are live, after what it supersedes has been removed."""
        skeleton = event.skeleton
        fields = KINDS.get(skeleton.kind) or {}
        pairs: list[Sequence[Any]] = []
        index = 0
        for change in skeleton.changes:
            key = change.key
            value = MISSING
            if not change.removes:
                value = values[index] if values is not None else MISSING
                index += 1
            _, inline, writer = fields.get(key, UNKNOWN_FIELD)
            if writer is _ADMIN and role is _WRITER:
                continue
            if change.over:
                self._supersede(record, change, feeds)
            if not change.removes and not (record.pending and self._is_superseded(record, key, feeds[0], event)):
                pairs.append([key, value] if inline and value is not MISSING else [key])
        return pairs

    def _supersede(self, record: Record, change: Change, feeds: list[int]) -> None:
        """Remove the pairs that a change names."""
        key, over = change.key, change.over
        groups = record.groups
        names = None
        if self._names or len(groups) > _FEW_GROUPS or len(over) > _FEW:
            names = self._names_of(record, len(over))
        emptied: list[Group] = []
        for author, n, leaf8 in over:
            feed = feeds[author]
            group = _named(groups, feed, n, leaf8) if names is None else names.find(feed, n, leaf8)
            if group is not None:
                if self._remove_pair(group, key) and not group.pairs:
                    emptied.append(group)
            # Where another event has this number, the one that is named stands on a branch that may come to count yet.
            elif not self._has_come(record, key, feed, n, leaf8):
                record.pending.add((key, feed, n, leaf8))
        for group in emptied:
            del groups[bisect_left(groups, group.arrival, key=_arrival_of)]

    def _names_of(self, record: Record, wanted: int) -> _Names | None:
        """A record's groups by name, where some are wanted: None where each is found sooner one by one."""
        names = self._names.get(id(record))
        if names is None and len(record.groups) > _FEW_GROUPS:
            names = self._names[id(record)] = _Names(record)
        return _Names(record) if names is None and wanted > _FEW else names

    def _remove_pair(self, group: Group, key: str) -> bool:
        """Remove what a group says of a key; whether it says anything of it."""
        for at, pair in enumerate(group.pairs):
            if pair[0] == key:
                del group.pairs[at]
                self._removed(key, group.feed, group.n, group.leaf)
                return True
        return False

    @staticmethod
    def _is_superseded(record: Record, key: str, feed: int, event: Event) -> bool:
        name = (key, feed, event.n, event.leaf[:8])
        if name not in record.pending:
            return False
        record.pending.remove(name)
        return True


def _named(groups: list[Group], feed: int, n: int, leaf8: bytes) -> Group | None:
    for group in groups:
        if group.n == n and group.feed == feed and group.leaf[:8] == leaf8:
            return group
    return None


Said: TypeAlias = tuple[Event, tuple[str, ...], Sequence[Any], int, int]
"""An event that supersedes and removes nothing, the keys it writes, their values in the same order, the number of its
author's feed, and its arrival number."""


def record_of_new(plane: int, said: Sequence[Said]) -> Record:
    """The record of an entity that these events alone make: as `Merge` leaves it where all they say counts.

    Args:
        plane: the plane's number.
        said: at least one event of one entity, ascending in arrival.
    """
    first = said[0][0].skeleton
    groups = [group_of_plain(first.kind, *each) for each in said]
    if len(groups) == 1:
        return Record(plane, first.kind, first.entity, groups[0].arrival, first.hlc, first.hlc, groups)
    times = [group.hlc for group in groups]
    return Record(plane, first.kind, first.entity, groups[-1].arrival, min(times), max(times), groups)


def group_of_plain(
    kind: str, event: Event, keys: tuple[str, ...], values: Sequence[Any], feed: int, arrival: int
) -> Group:
    """All that an event says which supersedes and removes nothing.

    Args:
        kind: the kind of its entity.
        event: the event.
        keys: the keys that it writes.
        values: their values in the same order.
        feed: the number of its author's feed.
        arrival: its arrival number.
    """
    inline = INLINE_KEYS.get(kind, _NONE)
    pairs: list[Sequence[Any]]
    if inline.issuperset(keys):
        pairs = list(zip(keys, values, strict=True))
    else:
        pairs = [(key, value) if key in inline else (key,) for key, value in zip(keys, values, strict=True)]
    return Group(feed, event.n, event.skeleton.hlc, arrival, event.leaf, pairs)


def is_write(event: Event | None, record: Record, key: str) -> bool:
    """Whether an event writes a key of a record's entity."""
    if event is None or (event.skeleton.kind, event.skeleton.entity) != (record.kind, record.entity):
        return False
    return any(change.key == key and not change.removes for change in event.skeleton.changes)


def pairs_of(record: Record) -> Iterator[tuple[Group, str, Any]]:
    """Every live (event's group, key, value or MISSING)."""
    for group in record.groups:
        for pair in group.pairs:
            yield group, pair[0], pair[1] if len(pair) == 2 else MISSING


def live_of(
    record: Record,
    author_of: Callable[[int], bytes],
    said: Callable[[Group], tuple[Mapping[str, Any], str]] | None = None,
) -> dict[str, list[Sibling]]:
    """What is live in a record, as policies read it.

    Args:
        record: the record.
        author_of: a feed's author.
        said: reads (values by key, actor) from the event of a group; without it values that are not inline are
            MISSING and actors are empty.
    """
    live: dict[str, list[Sibling]] = {}
    for group in record.groups:
        values, actor = _NOTHING_SAID if said is None else said(group)
        hlc, author, n, leaf8 = group.hlc, author_of(group.feed), group.n, group.leaf[:LEAF_PREFIX_BYTES]
        for pair in group.pairs:
            key = pair[0]
            # Values that stand in the record are those that the event said.
            value = pair[1] if len(pair) == 2 else values.get(key, MISSING)
            sibling = _sibling((value, hlc, author, n, actor, leaf8))
            if key in live:
                live[key].append(sibling)
            else:
                live[key] = [sibling]
    return live


def groups_of(record: Record, key: str) -> Iterable[Group]:
    """The events that have a live value of a key."""
    return (group for group in record.groups if any(pair[0] == key for pair in group.pairs))


def may_say_all(role: Speaker, kind: str) -> bool:
    """Whether everything that a replica of this role says of such an entity counts, whatever it is."""
    return role in _WRITERS and kind not in _SPECIAL_KINDS


def _counts(event: Event, role: Speaker) -> bool:
    """Whether an accepted event may say anything: charters speak of membership only, and nobody else does."""
    kind = event.skeleton.kind
    if role is None:
        return kind in CHARTER_KINDS and not is_void(event)
    if isinstance(role, OwnCharter):
        return kind in OWN_CHARTER_KINDS and not is_void(event)
    return kind not in CHARTER_KINDS and (role is not _READER or kind == CERTIFICATE)
