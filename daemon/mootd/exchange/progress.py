"""How an exchange with a remote goes, as people and `moot sync` are told."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from moot_protocol.errors import MootError
from mootd.exchange.steadiness import Steadiness
from mootd.remotes import Alarm, Dropped

MOST_PROBLEMS: Final = 100
"""Kinds of problems that are remembered."""


class Progress:
    """What has happened with one remote since the daemon started."""

    def __init__(self) -> None:
        self.state = "idle"
        """`idle`, `syncing`, `waiting` (for the next try), `connected` or `off`."""
        self.sent = 0
        """Frames that the remote has taken."""
        self.received = 0
        """Batches that were new here."""
        self.moved: dict[int, int] = {}
        """A plane's number → how many of both were its own."""
        self.rounds = 0
        """Rounds that went through."""
        self.failures = 0
        """Tries in a row that failed."""
        self.error: MootError | None = None
        """Why the last try failed."""
        self.failing_ms = 0
        """When the first of those tries failed; 0 where the last one didn't."""
        self.last_ok_ms = 0
        self.next_try_ms = 0
        self.alarms: Sequence[Alarm] = ()
        self.apart: dict[int, Collection[bytes]] = {}
        """A plane's number → members that derive another state than this replica from the same events."""
        self.lines = Steadiness()
        """How long the lines to a live remote last."""
        self.dropped = Dropped()
        """Frames that a live remote brought and that were left out."""
        self.present: set[tuple[int, bytes]] = set()
        """(plane's number, key) of members that listen on a live remote now, as they say: a hint for people."""
        self.problems: dict[str, int] = {}
        """What was wrong with frames that were left out: words → how often."""
        self.unopened: dict[tuple[int, bytes], int] = {}
        """(plane's number, epoch) → how many of its frames couldn't be opened: a problem while its key isn't here."""

    def succeed(self, now_ms: int) -> None:
        """A try went through."""
        self.error, self.state, self.failures, self.failing_ms = None, "idle", 0, 0
        self.rounds += 1
        self.last_ok_ms = now_ms

    def fail(self, error: MootError, now_ms: int) -> None:
        """A try failed."""
        self.error, self.state = error, "waiting"
        self.failures += 1
        self.failing_ms = self.failing_ms or now_ms

    def hold(self, error: MootError, now_ms: int) -> None:
        """No try is made before something changes here: waiting mends nothing, and the remote isn't to blame."""
        self.error, self.state, self.failures = error, "waiting", 0
        self.failing_ms = self.failing_ms or now_ms

    @property
    def is_held(self) -> bool:
        """Whether the next try waits for something to change here."""
        return self.error is not None and not self.failures

    def why(self) -> str:
        """Why the last try failed, in words; empty where it didn't."""
        if self.error is None:
            return ""
        return f"{self.error.message} ({self.error.hint})" if self.error.hint else self.error.message

    def note_sent(self, plane: int, frames: int) -> None:
        """Count frames of a plane that the remote has taken."""
        self.sent += frames
        self._note_moved(plane, frames)

    def note_received(self, plane: int, batches: int) -> None:
        """Count batches of a plane that were new here."""
        self.received += batches
        self._note_moved(plane, batches)

    def _note_moved(self, plane: int, count: int) -> None:
        if count:
            self.moved[plane] = self.moved.get(plane, 0) + count

    def note_dropped(self, dropped: Dropped) -> None:
        """Take over what a live remote has left out."""
        self.dropped = dropped

    def note_problems(self, problems: Iterable[MootError]) -> None:
        """Count what was wrong."""
        for problem in problems:
            words = f"{problem.code}: {problem.message}"
            if words in self.problems or len(self.problems) < MOST_PROBLEMS:
                self.problems[words] = self.problems.get(words, 0) + 1

    def note_unopened(self, plane: int, epochs: Iterable[bytes]) -> None:
        """Count frames of epochs whose keys aren't here (yet)."""
        count_unopened(self.unopened, plane, epochs)

    def renew_unopened(self, planes: Collection[int], counts: Mapping[tuple[int, bytes], int]) -> None:
        """Put new counts in the place of all that were made of some planes: everything there was read again.

        At once, for others look at any moment, and none is to find a plane without its counts.
        """
        others = {key: count for key, count in self.unopened.items() if key[0] not in planes}
        self.unopened = others | dict(counts)


def count_unopened(counts: dict[tuple[int, bytes], int], plane: int, epochs: Iterable[bytes]) -> None:
    """Count frames by (plane's number, epoch); of ever new epochs no more than are remembered."""
    for epoch in epochs:
        if (plane, epoch) in counts or len(counts) < MOST_PROBLEMS:
            counts[plane, epoch] = counts.get((plane, epoch), 0) + 1
