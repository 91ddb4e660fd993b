"""The standing of an issue: the few facts and counters from which readiness follows.

Invariant: `blockers`, `blocked_parents` and `waits` count, at the end of every transaction, the edges that hold the
issue up by the rules of `graph.py`; the READY, DEFERRED and BLOCKED indexes hold exactly the keys that `index_keys`
derives from the standings.
"""

from struct import Struct
from typing import Final, NamedTuple

from mootd.engine.stored import layout

EXISTS: Final = 1
"""There is such an issue and it is not deleted."""
CLOSED: Final = 2
SETTLED: Final = 4
"""Closed or pinned: blocks nothing and is never blocked."""
OPEN: Final = 8
"""Status is `open`, or `deferred` until some time: what `ready` shows, once that time has come."""
PINNED: Final = 16
BLOCKED: Final = 32
PARKED: Final = 64
"""Stands in DEFERRED instead of READY."""
REFERENCED: Final = 128
"""Some edge leads to it, or once did: one that lacks this needs no look at what depends on it."""

EXCLUDED_TYPE: Final = 1
"""Class bit of types that `ready` shows only when asked for by name."""
EPHEMERAL: Final = 2
"""Class bit of ephemeral issues."""

EXCLUDED_TYPES: Final = frozenset({"merge-request", "gate", "molecule", "message", "agent", "role", "rig"})
SETTLED_STATUSES: Final = frozenset({"closed", "pinned"})

_STRUCT: Final = Struct(">BBHBQHQQIII")
_pack: Final = _STRUCT.pack
_unpack: Final = _STRUCT.unpack
_unpack_order: Final = Struct(">BBHBQH").unpack_from
_ORDER: Final = slice(1, 15)
"""Where a packed standing says what orders it in the lists: class, project, priority, time of creation, tie."""
_NOTHING: Final = (0,) * 11


def _list_of(flags: int) -> bytes:
    if flags & (EXISTS | BLOCKED) == EXISTS | BLOCKED:
        return layout.BLOCKED
    if flags & (EXISTS | OPEN | PINNED) != EXISTS | OPEN:
        return b""
    return layout.DEFERRED if flags & PARKED else layout.READY


_LISTS: Final = tuple(map(_list_of, range(256)))
"""By flags: the list that an issue stands in, no bytes for none."""
_IS_HOLDING: Final = tuple(flags & (EXISTS | SETTLED) == EXISTS for flags in range(256))
"""By flags: whether an issue is there and not settled."""


def is_ephemeral(packed: bytes) -> bool:
    """Whether a packed standing is one of an ephemeral issue that is there."""
    return bool(packed[0] & EXISTS and packed[1] & EPHEMERAL)


class StandingFacts(NamedTuple):
    """What an issue says of itself."""

    flags: int
    issue_class: int
    project: int
    priority: int
    created_ms: int
    tie: int
    """What orders it among issues of equal priority and time (`layout.tie_of`)."""
    defer_ms: int


class Standing:
    """One issue's standing inside a transaction; `packed` is how it was when the transaction first read it."""

    __slots__ = (
        "blocked_parents", "blockers", "created_ms", "defer_ms", "eid", "flags", "issue_class", "packed", "priority",
        "project", "tie", "until_ms", "waits",
    )  # fmt: skip
    flags: int
    blockers: int
    blocked_parents: int
    waits: int

    def __init__(self, eid: int, packed: bytes | None) -> None:
        self.eid = eid
        self.packed = packed
        (
            self.flags,
            self.issue_class,
            self.project,
            self.priority,
            self.created_ms,
            self.tie,
            self.defer_ms,
            self.until_ms,
            self.blockers,
            self.blocked_parents,
            self.waits,
        ) = _unpack(packed) if packed else _NOTHING

    def pack(self) -> bytes:
        """The standing as it is kept."""
        return _pack(
            self.flags,
            self.issue_class,
            self.project,
            self.priority,
            self.created_ms,
            self.tie,
            self.defer_ms,
            self.until_ms,
            self.blockers,
            self.blocked_parents,
            self.waits,
        )

    @property
    def holds_up(self) -> bool:
        """Whether it blocks what depends on it."""
        return _IS_HOLDING[self.flags]

    @property
    def is_pinned(self) -> bool:
        """Whether there is such an issue, and it is pinned."""
        return self.flags & (EXISTS | PINNED) == EXISTS | PINNED

    @property
    def has_own_cause(self) -> bool:
        """Whether it is blocked by something other than a blocked parent."""
        return _IS_HOLDING[self.flags] and (self.blockers > 0 or self.waits > 0)

    @property
    def is_unblocked(self) -> bool:
        """Whether it is still to be done, and blocked no longer though it was when the transaction first read it."""
        flags = self.flags
        return not flags & BLOCKED and _IS_HOLDING[flags] and bool(self.packed and self.packed[0] & BLOCKED)

    @property
    def should_be_blocked(self) -> bool:
        """What BLOCKED ought to be, going by the counters."""
        return _IS_HOLDING[self.flags] and (self.blockers > 0 or self.waits > 0 or self.blocked_parents > 0)

    def place(self, now_ms: int) -> None:
        """Set PARKED by the wall clock."""
        self.flags = self.flags | PARKED if self.until_ms > now_ms else self.flags & ~PARKED

    def index_keys(self) -> tuple[bytes, ...]:
        """The keys it has in READY, DEFERRED and BLOCKED: one or none."""
        packed = self.pack()
        key = _key_in(_LISTS[self.flags], _ready_key(packed, self.eid), packed)
        return (key,) if key else ()

    def change(self, puts: list[tuple[bytes, bytes]], deletes: list[bytes]) -> bool:
        """Tell what INDEX must get and lose for what changed since the transaction first read it.

        Returns:
            Whether anything did.
        """
        packed, before = self.pack(), self.packed
        if packed == before:
            return False
        ready = _ready_key(packed, self.eid)
        new = _key_in(_LISTS[packed[0]], ready, packed)
        old = b""
        if before is not None:
            if before[_ORDER] != packed[_ORDER]:
                ready = _ready_key(before, self.eid)
            old = _key_in(_LISTS[before[0]], ready, before)
        if old != new:
            if old:
                deletes.append(old)
            if new:
                puts.append((new, b""))
        puts.append((layout.standing_key(self.eid), packed))
        return True


def _ready_key(packed: bytes, eid: int) -> bytes:
    """The key that an issue of this standing has in READY as soon as it is ready."""
    _, issue_class, project, priority, created_ms, tie = _unpack_order(packed)
    return layout.ready_key(project, issue_class, priority, created_ms, tie, eid)


def _key_in(where: bytes, ready: bytes, packed: bytes) -> bytes:
    """An issue's key in one of the lists, none in no list.

    Args:
        where: the list.
        ready: its key in READY.
        packed: its standing.
    """
    if where == layout.BLOCKED:
        return layout.blocked_key(ready)
    return layout.deferred_key(_unpack(packed)[7], ready[1:]) if where == layout.DEFERRED else where and ready


def rows_of_new(eid: int, facts: StandingFacts, now_ms: int) -> tuple[tuple[bytes, bytes], ...]:
    """What INDEX gets for an issue that nothing was kept of and no edge leads from or to: as by way of a `Standing`.

    Args:
        eid: the issue's number.
        facts: what it says of itself.
        now_ms: the wall clock.
    """
    flags, issue_class, project, priority, created_ms, tie, defer_ms = facts
    if defer_ms > now_ms:
        flags |= PARKED
    packed = _pack(flags, issue_class, project, priority, created_ms, tie, defer_ms, defer_ms, 0, 0, 0)
    standing = layout.standing_key(eid), packed
    where = _LISTS[flags]
    if not where:
        return (standing,)
    ready = layout.ready_key(project, issue_class, priority, created_ms, tie, eid)
    return standing, (_key_in(where, ready, packed), b"")
