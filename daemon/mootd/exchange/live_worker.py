"""The worker for a live remote: a line for each plane, kept open between rounds.

Invariant: a line that has broken fails the next round, so that the hub's back-off decides when to connect again, unless
somebody waits for the round: that is no answer to them, so it connects again at once, and says what comes of that. A
plane whose line fails keeps no other plane waiting, and each line has one task that reads it. Where this replica is
known to be a copy it opens none: a broker gives a name to whoever asked for it last, and so original and copy would
take their lines from one another for ever.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from moot_protocol.checks import checked
from moot_protocol.errors import Code, MootError
from mootd.engine.machine.home import is_copied
from mootd.engine.stored.log import PlaneRow
from mootd.exchange.hub import Hub
from mootd.exchange.live_plane import LivePlane
from mootd.exchange.progress import Progress
from mootd.exchange.served import HeldError
from mootd.exchange.steadiness import HINT
from mootd.remotes import UNREACHED, Channel, Line, LiveRemote, Will

LIVE_DEBOUNCE_S = 0.0
"""Whoever is listening wants to hear at once; what is written meanwhile goes together anyway."""

LIVE_POLL_S = 60.0
"""Whoever listens hears of this machine so often, and takes one that is silent for away: `reading/claims.py`."""

LINGER_S = 60.0
"""How long a manual plane's line stays open once somebody asked for it: what others hold comes while it is."""

LEAVE_S = 2.0
"""Seconds that a last word may take."""


class _Open:
    """A plane's line and the task that reads it."""

    def __init__(
        self, plane: LivePlane, line: Line, stack: AsyncExitStack, coming: bytes | None, will: Will | None
    ) -> None:
        self.plane = plane
        self.line = line
        self.stack = stack
        self.coming = coming
        """What is still to be said of this replica's presence: after what is more urgent."""
        self.will = will
        self.since_s = asyncio.get_running_loop().time()
        """When it was opened, by the loop's clock."""
        self.ended_s = 0.0
        """When it was found to be broken; 0 while it isn't."""
        self.error: Exception | None = None
        self.is_hearing = False
        """Whether a frame is being taken in."""
        self.reader: asyncio.Task[None] | None = None

    @property
    def lasted_s(self) -> float:
        """For how long it has been open, or was."""
        return (self.ended_s or asyncio.get_running_loop().time()) - self.since_s


class LiveWorker:
    """Exchanges planes over one live remote.

    Args:
        remote: the remote.
        number: its number here.
        hub: whose worker it is.
        probe: the same remote, with which it is tried out: one that is told to keep nothing for who has left.
    """

    debounce_s = LIVE_DEBOUNCE_S
    poll_s = LIVE_POLL_S
    linger_s = LINGER_S

    def __init__(self, remote: LiveRemote, number: int, hub: Hub, probe: LiveRemote | None = None) -> None:
        self._remote = remote
        self._probe = probe or remote
        self._number = number
        self._hub = hub
        self._planes: dict[int, LivePlane] = {}
        self._lines: dict[int, _Open] = {}

    @property
    def is_settled(self) -> bool:
        """Whether all that came is taken in, and nothing is known that those who listen hold and this replica lacks.

        Where they never stop writing: whether what they held when somebody asked is here.
        """
        return all(
            opened.plane.has_reached or (not opened.line.waiting and not opened.is_hearing and opened.plane.is_settled)
            for opened in self._lines.values()
            if opened.error is None
        )

    async def round(self, planes: Sequence[PlaneRow], progress: Progress, *, is_asked: bool) -> None:
        """Connect where no line is open, and hand over what waits."""
        wanted = {plane.number for plane in planes}
        for number in [number for number in self._lines if number not in wanted]:
            await self._close(self._lines.pop(number))
        for number, opened in self._lines.items():
            if opened.error is None:
                progress.lines.lasts(number, opened.lasted_s)
        failures: list[Exception] = []
        for plane in planes:
            try:
                await self._serve(plane, progress, is_asked=is_asked)
            except MootError as error:
                failures.append(error)
        progress.note_dropped(self._remote.dropped)
        if failures:
            raise failures[0]

    async def _serve(self, plane: PlaneRow, progress: Progress, *, is_asked: bool) -> None:
        opened = self._lines.get(plane.number)
        if opened is not None and is_asked:
            opened.plane.be_asked()
        try:
            await self._hand_over(opened or await self._connect(plane, progress), progress)
        except MootError as error:
            if opened is None or not is_asked or error.code not in UNREACHED:
                raise
            await self._hand_over(await self._connect(plane, progress), progress)

    async def _hand_over(self, opened: _Open, progress: Progress) -> None:
        """Hand over what waits; a line that fails is closed."""
        number = opened.plane.on_remote.plane.number
        if opened.error is not None:
            _note_broken(opened, opened.error, progress)
            await self._close(self._lines.pop(number))
            raise opened.error
        try:
            await opened.plane.hand_over(opened.line)
            if opened.coming is not None:
                await opened.line.publish(opened.plane.on_remote.topic, Channel.PRESENCE, opened.coming)
                opened.coming = None
        except Exception as error:
            _note_broken(opened, error, progress)
            await self._close(self._lines.pop(number))
            raise

    async def _connect(self, plane: PlaneRow, progress: Progress) -> _Open:
        known = self._planes.get(plane.number)
        if known is None:
            known = self._planes[plane.number] = LivePlane(self._hub, plane, self._number, progress)
        known.forget_told()
        on_remote = known.on_remote
        words = await self._hub.in_thread(partial(self._words, known))
        coming, will = words or (None, None)
        stack = AsyncExitStack()
        try:
            line = await stack.enter_async_context(self._remote.connect(on_remote.sender, [on_remote.topic], will))
        except MootError:
            await self._hub.in_thread(known.fill)  # so that people see what waits
            raise
        opened = self._lines[plane.number] = _Open(known, line, stack, coming, will)
        opened.reader = asyncio.get_running_loop().create_task(self._read(opened), name=f"line of {plane.name}")
        return opened

    def _words(self, plane: LivePlane) -> tuple[bytes, Will] | None:
        with self._hub.replica.read() as reader:
            if is_copied(reader):
                raise HeldError(
                    "not connected: this data directory is a copy, and its original may be under the same name",
                    code=Code.NOT_READY,
                    hint="say which it is: see `moot salvage --help`",
                )
        return plane.words()

    async def _read(self, opened: _Open) -> None:
        """Take in what comes until the line breaks."""
        try:
            async for incoming in opened.line.incoming():
                opened.is_hearing = True
                await opened.plane.hear(opened.line, incoming)
                opened.is_hearing = False
        except Exception as error:  # the next round raises it
            opened.error, opened.ended_s = error, asyncio.get_running_loop().time()
            self._hub.wake(self._number)

    async def _close(self, opened: _Open) -> None:
        try:
            if opened.reader is not None:
                opened.reader.cancel()
                await asyncio.wait([opened.reader])
            opened.plane.forget_present()
            await self._take_leave(opened)
        finally:  # cancelled or not: nobody else knows of this line
            with contextlib.suppress(MootError):  # a broken line can't be closed in order, and is gone all the same
                await opened.stack.aclose()

    async def _take_leave(self, opened: _Open) -> None:
        """Say so where this replica leaves in order."""
        allowed = await self._hub.in_thread(opened.plane.on_remote.sealing.is_allowed)
        if allowed and opened.error is None and opened.will is not None:
            with contextlib.suppress(MootError, TimeoutError):  # a hint for people is no reason to stay
                async with asyncio.timeout(LEAVE_S):
                    await opened.line.publish(opened.will.topic, Channel.PRESENCE, opened.will.frame)

    async def close(self) -> None:
        """Stop whatever runs."""
        while self._lines:
            await self._close(self._lines.popitem()[1])

    async def check(self) -> list[dict[str, Any]]:
        """Try it out: connect under a name that nobody has."""
        entropy = self._hub.replica.entropy
        try:
            async with self._probe.connect(entropy.bytes(16), [entropy.bytes(16)]) as line:
                return [checked("the broker lets this machine in", True, line.spoken)]
        except MootError as error:
            return [checked("the broker lets this machine in", False, error.message, error.hint)]


def _note_broken(opened: _Open, error: Exception, progress: Progress) -> None:
    """Note that a line has broken, and say what may be behind it where none lasts."""
    if not isinstance(error, MootError) or error.code not in UNREACHED:
        return
    plane = opened.plane.on_remote.plane.number
    progress.lines.broke(plane, opened.lasted_s)
    if plane in progress.lines.breaking():
        error.hint = error.hint or HINT
