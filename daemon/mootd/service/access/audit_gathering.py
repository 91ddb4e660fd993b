"""The gate's records on their way into the audit stream: some at once, and those of allowed reads together.

Invariant: what is recorded at once is durable before it is said to be, and whatever was gathered before stands before
it, in the same transaction: the stream is in the order of the decisions. Some `AUDIT_GATHERED` different reads wait at
most, since whoever brings another waits with them; where they can't be written it is refused. They are forgotten once
they are durable: a commit that fails leaves them waiting, if behind what was recorded meanwhile. Only a process that
is killed loses them.
"""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any, Final, NamedTuple

import structlog

from moot_protocol.limits import AUDIT_GATHERED, AUDIT_GATHERED_MS
from moot_protocol.times import format_ms
from mootd.engine.audit import Entry, note
from mootd.engine.unit import Unit
from mootd.ports import Clock
from mootd.waking import WakingThread

RETRY_SECONDS: Final = 30.0
"""After a commit that failed, unless something is recorded before."""
_log: Final = structlog.get_logger()


class _Gathered(NamedTuple):
    """A record that waits, how often it was made, and when."""

    entry: Entry
    times: int
    first_ms: int
    last_ms: int

    @property
    def same(self) -> tuple[object, ...]:
        """What records have in common that become one."""
        return (*self.entry[:-1], *sorted(self.entry.details.items()))

    def after(self, before: "_Gathered | None") -> "_Gathered":
        """This one and what is the same, as one."""
        if before is None:
            return self
        return self._replace(times=before.times + self.times, first_ms=before.first_ms)

    def written(self) -> Entry:
        """The record as it is written: it tells when, since it is written later."""
        told = {"at": format_ms(self.first_ms)}
        if self.times > 1:
            told |= {"until": format_ms(self.last_ms), "count": str(self.times)}
        return self.entry._replace(details={**self.entry.details, **told})


_Waiting = dict[tuple[object, ...], _Gathered]


class AuditGathering(WakingThread):
    """Writes records, each at once or with others.

    Args:
        submit: queues a job for the writer, which undoes all that it wrote if it fails; they are run in this order.
        clock: says when a read was allowed.
        pause_seconds: how long reads are left to gather.
    """

    def __init__(
        self,
        submit: Callable[[Callable[[Unit], object]], "Future[Any]"],
        clock: Clock,
        pause_seconds: float = AUDIT_GATHERED_MS / 1000,
    ) -> None:
        super().__init__("audit")
        self._submit = submit
        self._clock = clock
        self._pause_seconds = pause_seconds
        self._lock = threading.Lock()  # of what waits, and of the order in which it is submitted
        self._waiting: _Waiting = {}

    def at_once(self, record: Callable[[Unit], object]) -> None:
        """Carry out what writes records, after those that wait. Blocks until all are durable.

        Raises:
            MootError: they aren't; what waited goes on waiting.
        """
        taken: _Waiting = {}
        try:
            with self._lock:
                taken, self._waiting = self._waiting, {}
                written = self._submit(lambda unit: _write(unit, taken, record))
            written.result()
        except BaseException:
            with self._lock:
                _add(taken, self._waiting)
                self._waiting = taken
            raise

    def gather(self, entry: Entry) -> None:
        """Let a record wait for others; equal ones become one. Blocks only where too many wait already.

        Raises:
            MootError: too many wait, and they can't be written; this one doesn't wait.
        """
        now_ms = self._clock.now_ms()
        gathered = _Gathered(entry, 1, now_ms, now_ms)
        same = gathered.same
        with self._lock:
            is_full = len(self._waiting) >= AUDIT_GATHERED and same not in self._waiting
        if is_full:
            self.write()
        with self._lock:
            _add(self._waiting, {same: gathered})
        self._wake.set()

    def write(self) -> None:
        """Write what waits. Blocks until it is durable.

        Raises:
            MootError: it isn't, and goes on waiting.
        """
        with self._lock:
            is_idle = not self._waiting
        if not is_idle:
            self.at_once(lambda _unit: None)

    def stop(self) -> None:
        """End, and write what waits; nothing may be gathered any more. Says in the log where it can't be written."""
        super().stop()
        self._written()

    def _run(self) -> None:
        wait_s: float | None = None
        while not self._stopped.is_set():
            self._wake.wait(wait_s)
            self._stopped.wait(self._pause_seconds)
            self._wake.clear()
            wait_s = None if self._stopped.is_set() or self._written() else RETRY_SECONDS

    def _written(self) -> bool:
        try:
            self.write()
        except Exception:  # whatever it is, it is tried again, and more is gathered
            _log.exception("audit.unwritten", records=len(self._waiting))
            return False
        return True


def _write(unit: Unit, waiting: Mapping[tuple[object, ...], _Gathered], record: Callable[[Unit], object]) -> None:
    for each in waiting.values():
        note(unit, each.written())
    record(unit)


def _add(waiting: _Waiting, more: Mapping[tuple[object, ...], _Gathered]) -> None:
    for same, each in more.items():
        waiting[same] = each.after(waiting.get(same))
