"""The standing of an issue: the few facts and counters from which readiness follows.

Invariant: `blockers`, `blocked_parents` and `waits` count, at the end of every transaction, the edges that hold the
issue up by the rules of `graph.py`; the READY, DEFERRED and BLOCKED indexes hold exactly the keys that `index_keys`
derives from the standings.
"""

from struct import Struct
from typing import Final

from mootd.engine import layout

EXISTS: Final = 1
"""There is such an issue and it is not deleted."""
CLOSED: Final = 2
SETTLED: Final = 4
"""Closed or pinned: blocks nothing and is never blocked."""
OPEN: Final = 8
"""Status is `open`: the only status that `ready` shows."""
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
        ) = _STRUCT.unpack(packed) if packed else (0,) * 11

    def pack(self) -> bytes:
        """The standing as it is kept."""
        return _STRUCT.pack(
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
        return self.flags & (EXISTS | SETTLED) == EXISTS

    @property
    def is_pinned(self) -> bool:
        """Whether there is such an issue, and it is pinned."""
        return self.flags & (EXISTS | PINNED) == EXISTS | PINNED

    @property
    def has_own_cause(self) -> bool:
        """Whether it is blocked by something other than a blocked parent."""
        return self.flags & (EXISTS | SETTLED) == EXISTS and (self.blockers > 0 or self.waits > 0)

    @property
    def was_blocked(self) -> bool:
        """Whether it was blocked when the transaction first read it."""
        return self.packed is not None and self.packed[0] & BLOCKED > 0

    @property
    def should_be_blocked(self) -> bool:
        """What BLOCKED ought to be, going by the counters."""
        return self.flags & (EXISTS | SETTLED) == EXISTS and (
            self.blockers > 0 or self.waits > 0 or self.blocked_parents > 0
        )

    def place(self, now_ms: int) -> None:
        """Set PARKED by the wall clock."""
        self.flags = self.flags | PARKED if self.until_ms > now_ms else self.flags & ~PARKED

    @property
    def index_key(self) -> bytes | None:
        """The key that it has in READY, DEFERRED or BLOCKED, if it has one."""
        rest = self.project, self.issue_class, self.priority, self.created_ms, self.tie, self.eid
        return _index_key(self.flags, self.until_ms, rest)

    def index_keys(self) -> tuple[bytes, ...]:
        """The keys it has in READY, DEFERRED and BLOCKED: one or none."""
        key = self.index_key
        return () if key is None else (key,)


def index_key(packed: bytes | None, eid: int) -> bytes | None:
    """The key in READY, DEFERRED or BLOCKED that a packed standing has, if it has one."""
    if packed is None:
        return None
    flags, issue_class, project, priority, created_ms, tie, _, until_ms, *_ = _STRUCT.unpack(packed)
    return _index_key(flags, until_ms, (project, issue_class, priority, created_ms, tie, eid))


def _index_key(flags: int, until_ms: int, rest: tuple[int, int, int, int, int, int]) -> bytes | None:
    if flags & (EXISTS | BLOCKED) == EXISTS | BLOCKED:
        project, _, priority, created_ms, tie, eid = rest
        return layout.blocked_key(project, priority, created_ms, tie, eid)
    if flags & (EXISTS | OPEN | PINNED) != EXISTS | OPEN:
        return None
    return _waiting_key(flags, layout.ready_key(*rest), until_ms)


def _waiting_key(flags: int, ready: bytes, until_ms: int) -> bytes:
    """The key of an issue that is open and not blocked: in READY, or in DEFERRED where it waits for its time."""
    return layout.deferred_key(until_ms, ready[1:]) if flags & PARKED else ready


def rows_of_new(
    eid: int, facts: tuple[int, int, int, int, int, int, int], now_ms: int
) -> tuple[tuple[bytes, bytes], ...]:
    """What INDEX gets for an issue that nothing was kept of and no edge leads from or to: as by way of a `Standing`.

    Args:
        eid: the issue's number.
        facts: flags, class, project, priority, time of creation, tie, time until which it is deferred.
        now_ms: the wall clock.
    """
    flags, issue_class, project, priority, created_ms, tie, defer_ms = facts
    if defer_ms > now_ms:
        flags |= PARKED
    packed = _STRUCT.pack(flags, issue_class, project, priority, created_ms, tie, defer_ms, defer_ms, 0, 0, 0)
    standing = layout.standing_key(eid), packed
    if flags & (EXISTS | OPEN | PINNED) != EXISTS | OPEN:
        return (standing,)
    ready = layout.ready_key(project, issue_class, priority, created_ms, tie, eid)
    return standing, (_waiting_key(flags, ready, defer_ms), b"")
