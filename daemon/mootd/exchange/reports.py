"""What the daemon's log is told of the exchange with one remote, for whoever looks into it later.

Invariant: a remote or a queue that stays as it is adds no line, however often it is tried: failing is told once for
each cause, and once more when it works again; a queue once when it is nearly full and once when it drops frames, until
it has emptied by half. Rounds that brought or sent something are told together, a line at most every `EVERY_S`, which
names the planes of what it counts: those that were only compared, as all are in every round, are none of them. No line
holds a secret or anything of an issue: names of remotes and planes, numbers, codes, and words that `status` shows, too.
"""

from collections.abc import Mapping
from typing import Final

import structlog

from moot_protocol.errors import Code, MootError
from mootd.edges.git.words import without_password
from mootd.engine.exchange.outbox import Gauge
from mootd.engine.machine.remotes import RemoteRow
from mootd.exchange.progress import Progress

EVERY_S: Final = 5.0
"""A remote that brings or takes something all the time gets a line so often: as often as pushes to Git go out."""
EMPTIED: Final = 0.5
"""Share of the cap below which a queue that was told of is news again."""
_log: Final = structlog.get_logger()


class Reports:
    """Tells the log how the exchange with one remote goes. Times are seconds of a clock that only goes forward.

    Args:
        row: the remote.
        progress: what has happened with it, counted on by whoever works on it.
    """

    def __init__(self, row: RemoteRow, progress: Progress) -> None:
        self._row = row
        self._progress = progress
        self._sent, self._received, self._moved = progress.sent, progress.received, progress.moved.copy()
        """What the log knows of."""
        self._names: dict[int, str] = {}
        """The planes of the rounds so far, by their numbers."""
        self._spent_s = 0.0
        """How long rounds took since the last line."""
        self._told_s = -EVERY_S
        self._failing: set[Code] = set()
        """The causes told since the remote began to fail."""
        self._failing_s = 0.0
        self._tries = 0
        self._is_full_told = False
        self._dropped: int | None = None
        """Frames dropped so far; None until the queue was looked at."""
        self._is_dropping_told = False

    def went(self, planes: Mapping[int, str], began_s: float, now_s: float) -> None:
        """A round with these planes, number → name, has gone through."""
        self._names |= planes
        if self._failing:
            lasted_ms = _ms(now_s - self._failing_s)
            _log.info("exchange.works_again", remote=self._row.name, tries=self._tries, lasted_ms=lasted_ms)
            self._failing, self._tries = set(), 0
        if not self._has_news:
            return
        self._spent_s += now_s - began_s
        if now_s - self._told_s >= EVERY_S:
            self._told_s = now_s
            self.tell()

    @property
    def _has_news(self) -> bool:
        return (self._progress.sent, self._progress.received) != (self._sent, self._received)

    def tell(self) -> None:
        """Tell what came and went since the last line, if anything did."""
        if not self._has_news:
            return
        moved = self._progress.moved.copy()  # others count on meanwhile
        _log.info(
            "exchange.done",
            remote=self._row.name,
            planes=[self._names[plane] for plane in self._names if moved.get(plane) != self._moved.get(plane)],
            sent=self._progress.sent - self._sent,
            received=self._progress.received - self._received,
            duration_ms=_ms(self._spent_s),
        )
        self._sent, self._received, self._moved = self._progress.sent, self._progress.received, moved
        self._spent_s = 0.0

    def failed(self, shown: MootError, cause: Exception, now_s: float) -> None:
        """A try has failed.

        Args:
            shown: why, as people are told.
            cause: what was raised.
            now_s: the time.
        """
        if not self._failing:
            self._failing_s = now_s
        self._tries += 1
        if shown.code in self._failing:
            return
        self._failing.add(shown.code)
        if shown is not cause:
            self.broke(cause)
        reason = without_password(shown.message, self._row.url)
        _log.warning("exchange.failing", remote=self._row.name, code=str(shown.code), reason=reason)

    def broke(self, cause: Exception) -> None:
        """A defect has shown: what was raised is of use to whoever mends it."""
        _log.error("exchange.broke", remote=self._row.name, exc_info=cause)

    def filled(self, gauge: Gauge) -> None:
        """So much waits for the remote now."""
        dropped = gauge.dropped - (gauge.dropped if self._dropped is None else self._dropped)
        self._dropped = gauge.dropped
        if gauge.is_nearly_full and not self._is_full_told:
            self._is_full_told = True
            _log.warning(
                "outbox.nearly_full",
                remote=self._row.name,
                frames=gauge.frames,
                most_frames=gauge.caps.frames,
                bytes=gauge.bytes,
                most_bytes=gauge.caps.bytes,
            )
        if dropped and not self._is_dropping_told:
            self._is_dropping_told = True
            _log.warning("outbox.dropping", remote=self._row.name, dropped=dropped, frames=gauge.frames)
        if gauge.frames < EMPTIED * gauge.caps.frames and gauge.bytes < EMPTIED * gauge.caps.bytes:
            self._is_full_told = self._is_dropping_told = False


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
