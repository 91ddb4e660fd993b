"""A remote that the hub serves: what works on it, what was asked of it, and whether that is answered.

Invariant: an exchange that somebody asked for is answered by a try that began after it was asked for, and once what
that has set off is here, or nothing has come for `SETTLE_S`. Everything here belongs to the hub's loop.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

from moot_protocol.errors import RefusedError
from mootd.engine.machine.remotes import RemoteRow
from mootd.engine.stored.log import PlaneRow
from mootd.exchange.progress import Progress
from mootd.exchange.reports import Reports

SETTLE_S: Final = 2.0
"""How long who asked waits for the next word of those who listen."""


class HeldError(RefusedError):
    """Nothing was tried, for a reason that only a commit here can end."""


class Worker(Protocol):
    """What exchanges planes with one remote."""

    @property
    def debounce_s(self) -> float | None:
        """How long a commit waits for others before it is sent; None for as long as the hub thinks."""

    @property
    def poll_s(self) -> float | None:
        """How often it has to be worked on, whatever the hub thinks; None for as often as the hub thinks."""

    @property
    def linger_s(self) -> float:
        """How long a manual plane that was asked for goes on like an automatic one; 0 where a round is all there is."""

    @property
    def is_settled(self) -> bool:
        """Whether nothing is on its way here that is known of; a round of others may still bring it."""

    async def round(self, planes: Sequence[PlaneRow], progress: Progress, *, is_asked: bool) -> None:
        """Exchange planes once, completely.

        Args:
            planes: the planes.
            progress: told of what happens.
            is_asked: whether somebody waits for what comes of it: then it says how the remote is now, not that a
                connection from before was dead.

        Raises:
            HeldError: there is something to be done here first.
            MootError: it broke off; nothing is lost by that.
        """

    async def close(self) -> None:
        """Stop whatever runs."""

    async def check(self) -> list[dict[str, Any]]:
        """Try the remote out: `[{"check", "ok", "detail", "hint"}]`."""


class ServedRemote:
    """One remote's task, and what is known of it.

    Args:
        row: the remote.
    """

    def __init__(self, row: RemoteRow) -> None:
        self.row = row
        self.worker: Worker | None = None
        """None until a first try has made it."""
        self.progress = Progress()
        self.reports = Reports(row, self.progress)
        self.asked = 0
        """Exchanges asked for by name."""
        self.answered = 0
        """The last of those that a try has answered."""
        self.named: set[int] = set()
        """The planes that were asked for, by their numbers, since the last try began."""
        self.lingering: dict[int, float] = {}
        """Plane that was asked for → until when it is exchanged, by the loop's clock."""
        self.wake = asyncio.Event()
        self.urged = asyncio.Event()
        """Set when it has become urgent, for who waits until then."""
        self.ended = asyncio.Event()
        self.task: asyncio.Task[None] | None = None
        self.is_stale = False
        """Whether its worker speaks for a key that this machine has no more."""
        self.hurries = False
        """Whether what was committed should go without waiting for more."""
        self.noted_ms: int | None = None
        """When the remote was reached, as it is kept; None until that was read."""
        self._settling = (0, 0.0)
        """(batches that had come, until when more are waited for)"""

    def begin_settling(self) -> None:
        """A try that was asked for has ended: what others answer may be on its way."""
        self._settling = (self.progress.received, asyncio.get_running_loop().time() + SETTLE_S)

    def has_answered(self, asked: int) -> bool:
        """Whether an exchange that was asked for has been made, and what it has set off has come."""
        if self.answered < asked or self.worker is None or self.progress.failures or self.worker.is_settled:
            return self.answered >= asked
        if self.progress.received > self._settling[0]:
            self.begin_settling()
        return asyncio.get_running_loop().time() >= self._settling[1]

    @property
    def is_urgent(self) -> bool:
        """Whether the next round shouldn't wait."""
        return self.hurries or self.asked > self.answered

    async def urgency(self, end: float) -> None:
        """Wait until the next round shouldn't wait any more, or until a moment of the loop's clock."""
        with suppress(TimeoutError):  # the moment has come
            async with asyncio.timeout_at(end):
                while not self.is_urgent and asyncio.get_running_loop().time() < end:
                    self.urged.clear()
                    await self.urged.wait()
