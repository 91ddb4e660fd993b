"""Readiness, kept incrementally: edges both ways, and for each issue the counters of what holds it up.

An issue that exists and is not settled (closed or pinned) is *blocked* iff

1. a `blocks` or `conditional-blocks` edge leads to an issue that exists and is not settled, or
2. a `parent-child` edge leads to a parent that is blocked, or
3. a `waits-for` edge leads to a spawner with an unclosed child, unless its gate is `any-children` and one is closed.

That is the least fixpoint: parents that are blocked by nothing but one another are not blocked. Missing, deleted and
`external:` targets hold nothing up. Blocking edges that would close a cycle are left out (`cycles.py`).

An issue is *ready* iff it exists, is neither blocked nor pinned, its own `defer_until` and those of its parents have
passed, and its status is `open`, or `deferred` where `defer_until` says until when. Without a time `deferred` has no
end. That time passes is no event: the status stays as it was written.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from moot_protocol.issues.edge_types import BLOCKING, PARENT, WAITS_FOR
from moot_protocol.issues.issue import DEFERRED
from mootd.engine.stored import layout
from mootd.engine.stored.layout import BACK_EDGE, CYCLE, EDGE, Views
from mootd.engine.views.cycles import Cutter
from mootd.engine.views.standing import (
    BLOCKED,
    CLOSED,
    EXISTS,
    OPEN,
    REFERENCED,
    Standing,
    StandingFacts,
    rows_of_new,
)
from mootd.store.port import Reader, Table, WriteTransaction

_RULES: Final = 3
"""The rules above; a higher number for others. 2: what is deferred until some time is ready after it."""
_ARRIVAL_BYTES: Final = 8
"""What the arrival number takes where no rules are told of with it."""
_MANY: Final = 100
"""Edges that lead to an issue from which on it is remembered who waits for it: a look at fewer costs little."""
ANY_CHILD: Final = b"\1"
ALL_CHILDREN: Final = b"\0"


class EdgeFacts(NamedTuple):
    """What the graph keeps of an edge."""

    rank: bytes
    """Its write's (hlc, author, n): the order in which edges are taken when one has to be left out."""
    gate: bytes
    """ANY_CHILD or ALL_CHILDREN; means something for `waits-for` only."""


def must_wait(spawner: Standing, children: Iterable[Standing], gate: bytes) -> bool:
    """Whether a `waits-for` edge to a spawner with these children holds up."""
    if not spawner.flags & EXISTS:
        return False
    is_any_open = False
    for child in children:  # no further than to the one that tells: there may be any number
        if not child.flags & EXISTS:
            continue
        if child.flags & CLOSED:
            if gate == ANY_CHILD:
                return False
        elif gate == ANY_CHILD:
            is_any_open = True
        else:
            return True
    return is_any_open


def _take(standing: Standing, facts: StandingFacts) -> None:
    standing.flags = facts.flags | standing.flags & (BLOCKED | REFERENCED)
    standing.issue_class, standing.project = facts.issue_class, facts.project
    standing.priority, standing.created_ms, standing.tie = facts.priority, facts.created_ms, facts.tie
    standing.defer_ms = facts.defer_ms
    standing.until_ms = max(standing.until_ms, facts.defer_ms)


def follows_rules(reader: Reader) -> bool:
    """Whether all standings were made by these rules: an earlier release's are brought up to them by the next write."""
    return len(reader.get(Table.META, layout.ARRIVAL) or b"") == _ARRIVAL_BYTES + _RULES


def pack_arrival(arrival: int) -> bytes:
    """What META gets under ARRIVAL with every commit: the number, behind as many zero bytes as the rules' number says.

    The zero bytes change nothing for an earlier release that reads the number, and are gone as soon as it commits
    anything, without an event, too. A mark of its own would stay as it is while such a release writes by its rules.
    """
    return arrival.to_bytes(_ARRIVAL_BYTES + _RULES, "big")


class Graph:
    """The edges and standings of one generation of views, inside one write transaction."""

    def __init__(self, transaction: WriteTransaction, views: Views) -> None:
        self._txn = transaction
        self._index = views.index
        self._released_key = layout.released_key(views.generation)
        self._standings: dict[int, Standing] = {}
        self._new: dict[int, StandingFacts] = {}
        """Issues new in this transaction that no edge leads from or to so far: nothing needs to be counted for them."""
        self.unblocked: list[int] = []
        """Issues that the last flush found to be blocked no longer, though they are still to be done."""
        self._queue: list[Standing] = []
        """Issues whose blockedness may have changed."""
        self._cutter = Cutter(self)
        self._spawners: set[int] = set()
        """Issues whose children changed: who waits for them is looked for once, when all is settled."""
        self._recounted: set[int] = set()
        """Issues whose `waits` is to be counted anew."""
        self.waiters: dict[int, list[int]] = {}
        """Issue to which many edges lead → who waits for it as committed, mostly nobody: to look for them means to read
        all its edges. A cache, handed in by whoever keeps it from one transaction to the next."""
        self.found_waiters: dict[int, list[int]] = {}
        """As `waiters`, found since: true if what was written so far is committed."""

    # -- Reading -------------------------------------------------------------------------------------------------
    def standing(self, eid: int) -> Standing:
        """An issue's standing, to be changed in place."""
        found = self._standings.get(eid)
        if found is None:
            if eid in self._new:
                found = Standing(eid, None)
                _take(found, self._new.pop(eid))
            else:
                found = Standing(eid, self._txn.get(self._index, layout.standing_key(eid)))
            self._standings[eid] = found
        return found

    def known_tie(self, eid: int) -> int | None:
        """What orders an issue among its equals, where its standing tells; None for one that didn't exist."""
        standing = self.standing(eid)
        return standing.tie if standing.flags & EXISTS else None

    def edges(self, prefix: bytes, eid: int) -> Iterator[tuple[int, str, bytes]]:
        """(other, type, value) of an issue's edges: EDGE for those it depends by, BACK_EDGE for those on it."""
        start = layout.edges_prefix(prefix, eid)
        for key, value in self._txn.scan(self._index, start, layout.after(start)):
            _, other, edge_type = layout.edge_parts(key)
            yield other, edge_type, value

    def others(self, prefix: bytes, eid: int, types: Iterable[str]) -> list[int]:
        """The issues at the other ends of edges of some types."""
        return [other for other, edge_type, _ in self.edges(prefix, eid) if edge_type in types]

    def is_left_out(self, source: int, target: int, edge_type: str) -> bool:
        """Whether an edge is left out of readiness because it closes a cycle."""
        return self._txn.get(self._index, layout.edge_key(CYCLE, source, target, edge_type)) is not None

    def left_out(self) -> list[tuple[int, int, str]]:
        """(source, target, type) of every edge that is left out of readiness."""
        return [layout.edge_parts(key) for key, _ in self._txn.scan(self._index, CYCLE, layout.after(CYCLE))]

    # -- Changing ------------------------------------------------------------------------------------------------
    def set_new(self, eid: int, facts: StandingFacts, edges: Mapping[tuple[int, str], EdgeFacts]) -> None:
        """As `set_issue`, for an issue whose number was given in this transaction: nothing is kept of it to be read."""
        if eid in self._standings:
            self.set_issue(eid, facts, edges)
        elif edges:
            self._standings[eid] = Standing(eid, None)
            self.set_issue(eid, facts, edges)
        else:
            self._new[eid] = facts

    def set_issue(self, eid: int, facts: StandingFacts, edges: Mapping[tuple[int, str], EdgeFacts] | None) -> None:
        """Bring an issue's standing and edges up to what its record says; `settle` must follow.

        Args:
            eid: the issue's number.
            facts: what it says of itself.
            edges: those it depends by; None where they are as they were.
        """
        standing = self.standing(eid)
        is_fresh = standing.packed is None and not standing.flags
        held_up, before, old_defer = standing.holds_up, standing.flags, standing.defer_ms
        _take(standing, facts)
        if not edges and (is_fresh or (edges is None and standing.flags == before and facts.defer_ms == old_defer)):
            return  # nothing that anything's readiness follows from
        self._queue.append(standing)
        self._change_dependents(eid, held_up, standing.holds_up)
        if edges is not None:
            self._change_edges(eid, edges, has_old=not is_fresh)
        if is_fresh:
            return
        changed = before ^ standing.flags
        if changed & (CLOSED | EXISTS):
            self._spawners.update(self.others(EDGE, eid, (PARENT,)))
        if changed & EXISTS:
            self._spawners.add(eid)
        if facts.defer_ms != old_defer or changed & EXISTS:
            self._recompute_until(eid)
            for child in self.others(BACK_EDGE, eid, (PARENT,)):
                self._recompute_until(child)

    def set_priority(self, eid: int, priority: int) -> None:
        """As `set_issue`, for an issue of whose facts nothing else has changed."""
        self.standing(eid).priority = priority

    def _change_dependents(self, eid: int, held_up: bool, holds_up: bool) -> None:
        if held_up == holds_up:
            return
        step = 1 if holds_up else -1
        has_cycles = next(self._txn.scan(self._index, CYCLE, layout.after(CYCLE)), None) is not None
        standings, start = self._standings, layout.edges_prefix(BACK_EDGE, eid)
        for key, _ in self._txn.scan(self._index, start, layout.after(start)):
            _, source, edge_type = layout.edge_parts(key)
            if edge_type in BLOCKING and not (has_cycles and self.is_left_out(source, eid, edge_type)):
                standing = standings.get(source) or self.standing(source)
                standing.blockers += step
                self._queue.append(standing)

    def _change_edges(self, eid: int, edges: Mapping[tuple[int, str], EdgeFacts], *, has_old: bool) -> None:
        old = {(other, edge_type): value for other, edge_type, value in self.edges(EDGE, eid)} if has_old else {}
        structural = False
        for (target, edge_type), value in old.items():
            new = edges.get((target, edge_type))
            if new is None or new.gate + new.rank != value:
                structural |= self._remove_edge(eid, target, edge_type)
        for (target, edge_type), new in edges.items():
            if old.get((target, edge_type)) != new.gate + new.rank:
                self._add_edge(eid, target, edge_type, new)
        if structural:
            self._cutter.reconsider()

    def _add_edge(self, eid: int, target: int, edge_type: str, facts: EdgeFacts) -> None:
        put = self._txn.put
        put(self._index, layout.edge_key(EDGE, eid, target, edge_type), facts.gate + facts.rank)
        put(self._index, layout.edge_key(BACK_EDGE, target, eid, edge_type), facts.gate)
        standing, other = self.standing(eid), self.standing(target)
        self._queue.append(standing)
        other.flags |= REFERENCED
        if edge_type in BLOCKING:
            standing.blockers += other.holds_up
            self._cutter.check(eid, target)
        elif edge_type == PARENT:
            standing.blocked_parents += bool(other.flags & BLOCKED)
            self._recompute_until(eid)
            self._spawners.add(target)
            self._cutter.check(eid, target)
        elif edge_type == WAITS_FOR:
            self._change_waiters(eid, target)

    def _remove_edge(self, eid: int, target: int, edge_type: str) -> bool:
        """Remove an edge; whether cycles may have changed by it."""
        left_out = self._txn.delete(self._index, layout.edge_key(CYCLE, eid, target, edge_type))
        self._txn.delete(self._index, layout.edge_key(EDGE, eid, target, edge_type))
        self._txn.delete(self._index, layout.edge_key(BACK_EDGE, target, eid, edge_type))
        standing, other = self.standing(eid), self.standing(target)
        self._queue.append(standing)
        if edge_type in BLOCKING:
            if not left_out:
                standing.blockers -= other.holds_up
            return True
        if edge_type == PARENT:
            standing.blocked_parents -= bool(other.flags & BLOCKED)
            self._recompute_until(eid)
            self._spawners.add(target)
            return True
        if edge_type == WAITS_FOR:
            self._change_waiters(eid, target)
        return False

    def leave_out(self, source: int, target: int, edge_type: str, *, leave: bool) -> bool:
        """Leave a blocking edge out of readiness, or take it in again; whether that is a change."""
        key = layout.edge_key(CYCLE, source, target, edge_type)
        if leave == (self._txn.get(self._index, key) is not None):
            return False
        if leave:
            self._txn.put(self._index, key, b"")
        else:
            self._txn.delete(self._index, key)
        standing = self.standing(source)
        standing.blockers += self.standing(target).holds_up * (-1 if leave else 1)
        self._queue.append(standing)
        return True

    def _recount_waiters(self) -> None:
        """Count anew what everybody waits for whose spawners, or whose spawners' children, changed."""
        for spawner in self._spawners:
            self._recounted.update(self._waiters_for(spawner))
        for eid in self._recounted:
            standing = self.standing(eid)
            standing.waits = sum(
                must_wait(self.standing(spawner), self._children(spawner, value[:1]), value[:1])
                for spawner, edge_type, value in self.edges(EDGE, eid)
                if edge_type == WAITS_FOR
            )
            self._queue.append(standing)
        self._spawners.clear()
        self._recounted.clear()

    def _waiters_for(self, spawner: int) -> list[int]:
        for known in (self.waiters, self.found_waiters):
            if spawner in known:
                return known[spawner]
        waiters, edges = [], 0
        for other, edge_type, _ in self.edges(BACK_EDGE, spawner):
            edges += 1
            if edge_type == WAITS_FOR:
                waiters.append(other)
        if edges >= _MANY:
            self.found_waiters[spawner] = waiters
        return waiters

    def _change_waiters(self, eid: int, spawner: int) -> None:
        """After an issue began to wait for another, or ended: count anew, and forget who waits for that one."""
        self.waiters.pop(spawner, None)
        self.found_waiters.pop(spawner, None)
        self._recounted.add(eid)

    def _children(self, eid: int, gate: bytes) -> Iterator[Standing]:
        """The standings of an issue's children, which are only read: those that nothing touched are not kept.

        Work is mostly done in the order it was planned in: where the oldest is closed or the newest isn't, that tells.
        """
        start = layout.edges_prefix(BACK_EDGE, eid)
        for key, _ in self._txn.scan(self._index, start, layout.after(start), reverse=gate != ANY_CHILD):
            _, child, edge_type = layout.edge_parts(key)
            if edge_type == PARENT:
                kept = self._standings.get(child)  # one that an edge leads from is never among the new without any
                yield kept or Standing(child, self._txn.get(self._index, layout.standing_key(child)))

    def _recompute_until(self, eid: int) -> None:
        standing = self.standing(eid)
        parents = (self.standing(parent) for parent in self.others(EDGE, eid, (PARENT,)))
        standing.until_ms = max(standing.defer_ms, *(parent.defer_ms for parent in parents if parent.flags & EXISTS), 0)

    # -- Settling ------------------------------------------------------------------------------------------------
    def settle(self) -> None:
        """Leave out what closes cycles; then propagate blockedness from every issue touched, to the fixpoint."""
        self._recount_waiters()
        self._cutter.settle()
        while self._queue:
            standing = self._queue.pop()
            should = standing.should_be_blocked
            if should != bool(standing.flags & BLOCKED):
                self._set_blocked(standing, blocked=should)
            elif should and not standing.has_own_cause:
                unfounded = self._unfounded(standing.eid)
                for eid in unfounded:
                    self._set_blocked(self.standing(eid), blocked=False)

    def _set_blocked(self, standing: Standing, *, blocked: bool) -> None:
        standing.flags = standing.flags | BLOCKED if blocked else standing.flags & ~BLOCKED
        if not standing.flags & REFERENCED:
            return
        step = 1 if blocked else -1
        for child in self.others(BACK_EDGE, standing.eid, (PARENT,)):
            below = self.standing(child)
            below.blocked_parents += step
            self._queue.append(below)

    def _unfounded(self, eid: int) -> list[int]:
        """The blocked ancestors of an issue, itself included, if none of them has a cause of its own; else nothing."""
        seen = {eid}
        stack = [eid]
        while stack:
            for parent in self.others(EDGE, stack.pop(), (PARENT,)):
                standing = self.standing(parent)
                if not standing.flags & BLOCKED or parent in seen:
                    continue
                if standing.has_own_cause:
                    return []
                seen.add(parent)
                stack.append(parent)
        return list(seen)

    def flush(self, now_ms: int) -> tuple[list[tuple[bytes, bytes]], list[bytes]]:
        """What INDEX must get and lose for the standings changed since the last flush; forgets them.

        Args:
            now_ms: the wall clock: issues deferred beyond it are kept apart.
        """
        puts: list[tuple[bytes, bytes]] = []
        deletes: list[bytes] = []
        released = 0
        self.unblocked = []
        for eid, standing in self._standings.items():
            if standing.packed is None and not standing.flags:
                continue
            standing.place(now_ms)
            if released < standing.until_ms <= now_ms:
                released = standing.until_ms
            if standing.change(puts, deletes) and standing.is_unblocked:
                self.unblocked.append(eid)
        self._standings.clear()
        for eid, facts in self._new.items():
            if facts.flags:
                puts += rows_of_new(eid, facts, now_ms)
                if released < facts.defer_ms <= now_ms:
                    released = facts.defer_ms
        self._new.clear()
        self._note_released(released)
        return puts, deletes

    def _note_released(self, ms: int) -> None:
        """Keep until when what was just found to be due had been deferred, where nothing had for longer.

        A clock that was set back since to before that time is how an issue in READY may not be due after all.
        """
        if ms and ms > int.from_bytes(self._txn.get(Table.META, self._released_key) or b"", "big"):
            self._txn.put(Table.META, self._released_key, ms.to_bytes(8, "big"))

    @property
    def is_flushed(self) -> bool:
        """Whether nothing was touched since the last flush."""
        return not self._standings and not self._new and not self._queue

    def follow_rules(self, projects: Iterable[int]) -> None:
        """Bring standings that an earlier release made by other rules up to these; the next flush writes them.

        Once: the commit notes it by what it puts under ARRIVAL.

        Args:
            projects: the numbers of all projects.
        """
        if follows_rules(self._txn):
            return
        for number in projects:
            prefix = layout.text_prefix(layout.STATUS, number, DEFERRED)
            for key, _ in self._txn.scan(self._index, prefix, layout.after(prefix)):
                standing = self.standing(layout.eid_of(key))
                if standing.defer_ms:
                    standing.flags |= OPEN
        self._txn.delete(Table.META, layout.RULES)  # a release that keeps its mark there shall take nothing for done

    def release_due(self, now_ms: int) -> None:
        """Touch every issue whose time has come, so that the next flush moves it to READY."""
        due = [
            layout.eid_of(key)
            for key, _ in self._txn.scan(self._index, layout.DEFERRED, layout.deferred_key(now_ms + 1, b""))
        ]
        for eid in due:
            self.standing(eid)
