"""A claim with an end that is kept while the work on it goes on: when the next heartbeat is due, and that none is.

Invariant: half of the claim's time goes by between heartbeats that renew it, so that each writes its one event and none
is asked for in vain; one that failed in passing (no daemon, say) is tried again after a tenth. A claim that isn't the
actor's any longer is not asked for again, and `check` says why. Nothing here knows a clock: who keeps it waits.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from moot.answers import Issue
from moot.rpc import UnansweredError
from moot_protocol.errors import MootError

RENEW: Final = 1 / 2
"""The part of a claim's time after which it is renewed: earlier the daemon has nothing to write."""
RETRY: Final = 1 / 10
"""The part of it after which what failed is tried again."""


class Held:
    """A claim that is kept.

    Args:
        issue: as it was when it was claimed.
        ttl_s: how long the claim holds unless it is renewed, in seconds.
    """

    def __init__(self, issue: Issue, ttl_s: float) -> None:
        self.issue = issue
        self.ended: MootError | None = None
        """Why the claim is kept no longer: somebody else holds the issue (`lost_race`), it is closed or gone."""
        self._ttl_s = ttl_s
        self._pause_s = ttl_s * RENEW

    @property
    def pause_s(self) -> float:
        """Seconds to wait before the next heartbeat."""
        return self._pause_s

    def check(self) -> None:
        """Raise why the claim is kept no longer, if it isn't: to be called before what only its holder may do.

        What another machine did is known here at the next heartbeat.

        Raises:
            MootError: `lost_race`: somebody else holds the issue; `conflict`, `not_found`: it is closed or gone.
        """
        if self.ended is not None:
            raise self.ended

    def beaten(self, *, renewed: bool) -> None:
        """Take in the answer to a heartbeat. Not renewed: by the daemon's clock it was too early."""
        self._pause_s = self._ttl_s * (RENEW if renewed else RETRY)

    def failed(self, error: MootError) -> None:
        """Take in why a heartbeat failed: for now, or for good."""
        self._pause_s = self._ttl_s * RETRY
        # Renewed twice a claim is renewed: a heartbeat that may have been done can be tried again.
        if not (error.retryable or isinstance(error, UnansweredError)):
            self.ended = error


def keep(held: Held, beat: Callable[[], bool], wait: Callable[[float], bool]) -> None:
    """Renew a claim until it has ended or `wait` says to stop.

    Args:
        held: the claim.
        beat: asks for a heartbeat; whether it renewed the claim. Raises MootError.
        wait: waits so many seconds; True to stop.
    """
    while held.ended is None and not wait(held.pause_s):
        try:
            renewed = beat()
        except MootError as error:
            held.failed(error)
        else:
            held.beaten(renewed=renewed)


async def keep_awaited(
    held: Held, beat: Callable[[], Awaitable[bool]], pause: Callable[[float], Awaitable[object]]
) -> None:
    """As `keep`, until it has ended or is cancelled; `pause` waits so many seconds."""
    while held.ended is None:
        await pause(held.pause_s)
        try:
            renewed = await beat()
        except MootError as error:
            held.failed(error)
        else:
            held.beaten(renewed=renewed)
