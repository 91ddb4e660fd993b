"""All spools of this machine: a thread that keeps them, woken by commits and by their bells.

A bell is a file in the spool that clients write to after they have put a command there. It only wakes: what is there
is found by looking, which happens now and then anyway.
"""

import threading
from typing import TYPE_CHECKING, Final

import structlog

from moot_protocol.spool.files import BELL_FILE, FOLDER
from moot_protocol.time_units import HOUR_MS
from mootd.engine.replica import Replica
from mootd.engine.spools import SpoolRow, open_spools
from mootd.files import Watch, Watcher
from mootd.ports import Clock
from mootd.waking import WakingThread

if TYPE_CHECKING:
    from mootd.spool.keeper import Keeper
    from mootd.spool.taking import Admit, Submit

PAUSE_S: Final = 0.05
"""How long after it was woken the thread looks: a burst of commits wakes it once."""
IDLE_MS: Final = HOUR_MS
"""How long it sleeps where there is no spool: opening one is a commit, which wakes it."""
_RETRY_MS: Final = 5_000
"""When it looks again after a round that failed."""
_log: Final = structlog.get_logger()


class _Kept:
    """A keeper, its watch, and whether its bell has rung."""

    def __init__(self, keeper: "Keeper") -> None:
        self.keeper = keeper
        self.rung = threading.Event()
        self.watch: Watch | None = None


class Spools(WakingThread):
    """Keeps the open spools.

    Args:
        replica: the replica.
        submit: queues a job for the writer.
        admit: judges each command as a request of the daemon's own user.
        watcher: notices bells.
        clock: for when what is due.
    """

    def __init__(self, replica: Replica, submit: "Submit", admit: "Admit", watcher: Watcher, clock: Clock) -> None:
        super().__init__("spools")
        self._replica = replica
        self._submit = submit
        self._admit = admit
        self._watcher = watcher
        self._clock = clock
        self._kept: dict[SpoolRow, _Kept] = {}

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                try:
                    wait_ms = self.round()
                except Exception:  # whatever it is, other spools and later rounds must go on
                    _log.exception("spool.round_failed")
                    wait_ms = _RETRY_MS
                self._wake.wait(wait_ms / 1000)
                self._wake.clear()
                self._stopped.wait(PAUSE_S)
        finally:
            for row in list(self._kept):
                self._drop(row)

    def round(self) -> int:
        """Do what is due in every spool; returns after how many milliseconds more may be."""
        with self._replica.read() as reader:
            rows = set(open_spools(reader))
        for row in self._kept.keys() - rows:
            self._drop(row)
        failed = False
        for row in rows - self._kept.keys():
            try:
                self._add(row)
            except Exception:  # whatever it is, other spools must go on
                _log.exception("spool.not_kept")
                self._kept.pop(row, None)
                failed = True
        wait_ms = _RETRY_MS if failed else IDLE_MS
        for kept in list(self._kept.values()):
            rung = kept.rung.is_set()
            kept.rung.clear()
            wait_ms = min(wait_ms, kept.keeper.step(rung=rung))
            if kept.watch is not None:
                kept.watch.refresh()
        return wait_ms

    def _add(self, row: SpoolRow) -> None:
        from mootd.spool.keeper import Keeper  # many have no spool

        kept = self._kept[row] = _Kept(Keeper(row, self._replica, self._submit, self._admit, self._clock))

        def ring() -> None:
            kept.rung.set()
            self._wake.set()

        kept.watch = self._watcher.watch(row.folder, f"{FOLDER}/{BELL_FILE}", ring, poll=False)

    def _drop(self, row: SpoolRow) -> None:
        kept = self._kept.pop(row)
        if kept.watch is not None:
            kept.watch.close()
