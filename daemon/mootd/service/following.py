"""Following what this machine shares: after commits, when they have had a moment to gather, in a thread of its own.

Invariant: whatever is committed on a plane of sources is looked at once more, whether this daemon was running or not:
how far the log was followed is noted in the transaction that writes the copies. Following twice changes nothing.
"""

from collections.abc import Callable, Collection
from concurrent.futures import Future
from typing import Any, Final, NamedTuple

import structlog

from moot_protocol.log.event import Skeleton
from moot_protocol.merge.deletion import DELETED
from moot_protocol.merge.kinds import COPY, ISSUE
from mootd.engine.issues.copies import ACTOR
from mootd.engine.issues.shares import Shared, copies_of, shares_of
from mootd.engine.issues.sharing import Part, follow, note_followed, part_in, sources
from mootd.engine.machine.home import is_copied
from mootd.engine.membership.former import OwnFeeds
from mootd.engine.planes import issue_planes
from mootd.engine.replica import Replica
from mootd.engine.stored import layout
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.engine.unit import Unit
from mootd.service.snapshot import Snapshot
from mootd.store.port import Reader, Table
from mootd.waking import WakingThread

PAUSE_S: Final = 1.0
"""How long after it was woken the thread looks: a burst of commits is followed once."""
RETRY_S: Final = 30.0
AT_ONCE: Final = 2_000
"""Events looked at before what they changed is followed."""
_log: Final = structlog.get_logger()


class _Changed(NamedTuple):
    """What some events speak of."""

    issues: dict[int, set[str]]
    """Plane of sources → issues that were written, or whose entry another machine wrote."""
    withdrawn: set[tuple[bytes, str]]
    """(plane's id, copy) of what a machine may have withdrawn there: entry and copy don't come in any order."""
    last: int
    """The last event looked at."""
    is_more: bool


class Following(WakingThread):
    """Keeps the copies of this machine's shares in step.

    Args:
        replica: the replica.
        submit: queues a job for the writer.
        pause_s: how long commits are left to gather.
    """

    def __init__(
        self, replica: Replica, submit: Callable[[Callable[[Unit], int]], "Future[Any]"], pause_s: float = PAUSE_S
    ) -> None:
        super().__init__("following")
        self._replica = replica
        self._submit = submit
        self._pause_s = pause_s
        self._seen = -1
        """Up to which arrival number events were looked at; -1 before the first look."""
        self._cuts = replica.cuts
        self._wake.set()  # what was committed while nobody followed

    def _run(self) -> None:
        wait_s: float | None = None
        while not self._stopped.is_set():
            self._wake.wait(wait_s)
            self._stopped.wait(self._pause_s)
            self._wake.clear()
            wait_s = None
            try:
                while not self._stopped.is_set() and self.round():
                    pass
            except Exception:  # whatever it is, later changes are followed
                _log.exception("following.failed")
                wait_s = RETRY_S

    def round(self) -> bool:
        """Follow some of what was committed since the last round; whether there may be more."""
        replica = self._replica
        with replica.read() as reader:
            kept = reader.get(Table.META, layout.FOLLOWED)
            if kept is None:  # this machine shares nothing, and never did
                return False
            if is_copied(reader):  # nothing can be written before `salvage`: what comes until then is followed after it
                return False
            entities = Snapshot(replica, reader, replica.wall.now_ms()).entities
            source = LogSnapshot(reader)
            is_own = OwnFeeds(reader, replica, source.feed)
            shares = shares_of(entities, issue_planes(replica.planes), is_own)
            parts = [(each, part_in(source, replica, each)) for each in shares]
            mine = [each for each, part in parts if part in {Part.FOLLOWS, Part.TAKES_OVER}]
            takes_over = any(part is Part.TAKES_OVER for _, part in parts)
            since = max(self._seen, int.from_bytes(kept, "big"))
            changed, withdrawn, last, more = self._changed(reader, since, mine)
            for each in mine if withdrawn else ():
                copies = copies_of(entities, each, is_own)
                changed[each.plane.number].update(name for name, copy in copies.items() if (each.to, copy) in withdrawn)
        is_cut, self._cuts = replica.cuts != self._cuts, replica.cuts
        if takes_over or (mine and (is_cut or any(changed.values()))):
            self._submit(lambda unit: _follow(unit, None if is_cut else changed, last)).result()
        self._seen = last
        return more

    def _changed(self, reader: Reader, since: int, shares: Collection[Shared]) -> _Changed:
        """What events since one speak of that concerns some shares."""
        replica = self._replica
        changed: dict[int, set[str]] = {shared.plane.number: set() for shared in shares}
        targets = {row.number: row.id for row in replica.planes.values() if row.id in {each.to for each in shares}}
        withdrawn: set[tuple[bytes, str]] = set()
        log, last, count = Snapshot(replica, reader, 0).entities.log, since, 0
        for key, _ in reader.scan(Table.EVENTS, layout.arrival_key(since + 1)):
            last, count = int.from_bytes(key, "big"), count + 1
            stored = log.event(last)
            row, skeleton = replica.feeds.get(stored.feed), stored.event.skeleton
            if row is None:
                continue
            if row.plane in changed and skeleton.kind == ISSUE:
                changed[row.plane].add(skeleton.entity)
            elif row.plane in changed and skeleton.kind == COPY and row.author != replica.id:
                changed[row.plane].add(skeleton.entity.partition("/")[2])
            if row.plane in targets and _may_withdraw(skeleton):
                withdrawn.add((targets[row.plane], skeleton.entity))
            if count == AT_ONCE:
                return _Changed(changed, withdrawn, last, True)
        return _Changed(changed, withdrawn, last, False)


def _may_withdraw(skeleton: Skeleton) -> bool:
    """Whether an event may delete a copy because nothing lets it out any more."""
    deletes = any(change.key == DELETED and not change.removes for change in skeleton.changes)
    return skeleton.kind == ISSUE and skeleton.actor == ACTOR and deletes


def _follow(unit: Unit, changed: dict[int, set[str]] | None, last: int) -> int:
    """Follow the issues that changed; None for all."""

    def of(shared: Shared) -> list[str]:
        return sources(unit, shared) if changed is None else sorted(changed.get(shared.plane.number, ()))

    written = follow(unit, of)
    note_followed(unit, last)
    return written
