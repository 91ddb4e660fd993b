"""One spool at work: what waits is taken when the bell rings, and the snapshot follows what is committed.

Nothing here waits: `step` does what is due and says when it wants to be called again. The snapshot is written once
nothing has changed for a moment, or after a while however much goes on, and doesn't take more than a twentieth of the
time. Whoever has written through the spool reads there next, so after commands of its own it may take a fifth, and
doesn't rest at once: it borrows the rest, a few times over, and pays it back by and by. So it does where something was
erased, and doesn't wait until nothing changes: the snapshot goes on showing it until then. It is written anew now and
then in any case, so that its age tells whether a daemon is there.
"""

from pathlib import Path
from typing import Final

import structlog

from moot_protocol.errors import MootError
from moot_protocol.spool.files import SNAPSHOT_FILE
from moot_protocol.spool.snapshot_file import seal_snapshot
from moot_protocol.time_units import MINUTE_MS
from mootd.edges.spool_folder import SpoolFolder, opened_spool
from mootd.engine.replica import Replica
from mootd.engine.spools import SpoolRow, secret_of
from mootd.ports import Clock
from mootd.spool.snapshots import snapshot_body
from mootd.spool.taking import Admit, Submit, Taker

LOOK_MS: Final = 2_000
"""How often the spool is looked at although no bell rang."""
QUIET_MS: Final = 200
"""How long nothing may change before the snapshot is written."""
LATEST_MS: Final = 2_000
"""How long it waits for that at most."""
REST: Final = 20
"""How many times as long as writing a snapshot took the next is waited for."""
OWN_REST: Final = 5
"""The same after commands of the spool's own and erasures, by and by: these may cost a fifth of the time."""
BORROWED: Final = 8
"""How many such rests may be owed: so many snapshots follow commands at once."""
FRESH_MS: Final = 10 * MINUTE_MS
"""How old a snapshot gets although nothing changes."""
SWEEP_MS: Final = 30 * MINUTE_MS
RETRY_MS: Final = 5_000
"""How long after something failed it is tried again."""
_log: Final = structlog.get_logger()


class Keeper:
    """Keeps one spool.

    Args:
        row: the spool.
        replica: the replica.
        submit: queues a job for the writer.
        admit: judges each command.
        clock: for when what is due.
    """

    def __init__(self, row: SpoolRow, replica: Replica, submit: Submit, admit: Admit, clock: Clock) -> None:
        self.row = row
        self._replica = replica
        self._clock = clock
        self._taker = Taker(row, replica, submit, admit)
        self._secret = secret_of(replica.keys, row)
        self._look_at = self._sweep_at = self._snapshot_at = 0
        """When these are due, on the clock's monotonic scale."""
        self._arrival = -1
        """Where the log ended when the snapshot was last written."""
        self._latest_at = 0
        """By when a change that was seen goes into the snapshot; 0 where none was."""
        self._changed_at = -1
        """Where the log ended when it was last seen to have changed."""
        self._cuts = -1
        """How often anything had been cut or erased when that was last looked at."""
        self._rested_at = self._own_rested_at = 0
        """Until when the last snapshot is rested from: as a rule, and after commands of the spool's own."""
        self._owed_until = 0
        """When all rest is paid back that was borrowed."""
        self._dealt_with = 0
        """How many commands of the spool's own had been dealt with when this was last looked at."""
        self._is_own = False
        """Whether there were any since the snapshot was last written."""
        self._is_erased = False
        """Whether something was cut or erased since then."""
        self._problem = ""

    def step(self, *, rung: bool) -> int:
        """Do what is due; returns after how many milliseconds more may be.

        Args:
            rung: whether somebody said that a command has come.
        """
        now = self._clock.monotonic_ms()
        self._see_changes(now)
        try:
            if rung or now >= min(self._look_at, self._snapshot_at):
                with opened_spool(Path(self.row.folder)) as folder:
                    self._work(folder, now, rung=rung)
            self._tell("")
        except (MootError, OSError) as error:
            self._tell(error.message if isinstance(error, MootError) else str(error))
            self._look_at = now + RETRY_MS
            self._snapshot_at = max(self._snapshot_at, now + RETRY_MS)
        return max(min(self._look_at, self._snapshot_at) - self._clock.monotonic_ms(), 0)

    def _work(self, folder: SpoolFolder, now: int, *, rung: bool) -> None:
        if now >= self._sweep_at:
            folder.sweep(self._replica.wall.now_ms() / 1000)
            self._sweep_at = now + SWEEP_MS
        if rung or now >= self._look_at:
            more = self._taker.take(folder)
            self._look_at = now if more else now + LOOK_MS
            if self._arrival >= 0 and folder.snapshot_ms() is None:  # whoever may write there has removed it
                self._snapshot_at = min(self._snapshot_at, max(now, self._rested_at))
            before, self._dealt_with = self._dealt_with, self._taker.dealt_with
            self._see_changes(self._clock.monotonic_ms(), is_own=self._dealt_with > before)
        if self._clock.monotonic_ms() >= self._snapshot_at:
            self._write_snapshot(folder)

    # -- The snapshot ----------------------------------------------------------------------------------------------
    def _see_changes(self, now: int, *, is_own: bool = False) -> None:
        """Put the snapshot off while things change, but not for ever.

        Args:
            now: the clock.
            is_own: whether commands of the spool's own were dealt with. Clients wait for a snapshot made after that,
                also where it changed no event: that somebody was told of a lost claim is none.
        """
        arrival, cuts = self._replica.arrival, self._replica.cuts
        if arrival in (self._arrival, self._changed_at) and cuts == self._cuts and not is_own:
            return
        self._is_own = self._is_own or is_own
        self._is_erased = self._is_erased or cuts != self._cuts
        self._changed_at, self._cuts = arrival, cuts
        self._latest_at = self._latest_at or now + LATEST_MS
        quiet_at = now if self._arrival < 0 or self._is_erased else now + QUIET_MS
        rested_at = self._own_rested_at if self._is_own or self._is_erased else self._rested_at
        self._snapshot_at = max(min(quiet_at, self._latest_at), rested_at)

    def _write_snapshot(self, folder: SpoolFolder) -> None:
        begun = self._clock.monotonic_ms()
        arrival, cuts = self._replica.arrival, self._replica.cuts
        body = snapshot_body(self._replica, self.row)
        folder.put(SNAPSHOT_FILE, seal_snapshot(self._secret, body))
        ended = self._clock.monotonic_ms()
        self._arrival = self._changed_at = arrival
        self._cuts = cuts
        self._latest_at = 0
        self._is_own = self._is_erased = False
        self._rest(ended, ended - begun)
        self._snapshot_at = ended + FRESH_MS

    def _rest(self, now: int, took: int) -> None:
        """Rest from a snapshot that has just been written.

        Args:
            now: the clock.
            took: the milliseconds that writing it took.
        """
        rest = OWN_REST * took
        self._rested_at = now + REST * took
        self._owed_until = max(self._owed_until, now) + rest
        self._own_rested_at = now + min(max(self._owed_until - now - BORROWED * rest, 0), rest)

    # -- Words -----------------------------------------------------------------------------------------------------
    def _tell(self, problem: str) -> None:
        """Log what is wrong, once."""
        if problem and problem != self._problem:
            _log.error("spool.trouble", project=self.row.project, folder=self.row.folder, problem=problem)
        self._problem = problem
