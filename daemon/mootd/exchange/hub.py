"""All remotes of one daemon, each worked on by a task of its own.

Invariant: what is exchanged with a remote is what the remote's rows say at that moment; a remote that fails, hangs or
lies keeps nobody else waiting, and neither does one whose settings are wrong. After a failure the next try waits for a
full-jitter back-off; whoever asks for an exchange by name (`sync`) is answered by the next try that begins after that,
whatever comes of it. What is committed during a round is seen to by the next.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import msgspec
import structlog

from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.exchange_requests import Sync
from mootd.backoff import full_jitter
from mootd.engine.exchange import Commit
from mootd.engine.joining import is_waiting
from mootd.engine.log import PlaneRow
from mootd.engine.outbox import OutboxReader
from mootd.engine.plane_keys import PlaneKeys
from mootd.engine.planes import clashing_prefixes, plane_meant
from mootd.engine.receive import has_due
from mootd.engine.remotes import RemoteRow, mode_of, remotes
from mootd.engine.replica import Replica
from mootd.engine.tending import tend
from mootd.exchange.progress import Progress

R = TypeVar("R")
_log: Final = structlog.get_logger()

DEBOUNCE_S: Final = 5.0
"""How long a commit waits for others before it is sent."""
POLL_S: Final = 60.0
"""How often a remote that can't call is looked at."""
BASE_S: Final = 2.0
CAP_S: Final = 300.0
"""The back-off's window: the first, and the widest."""
SETTLE_S: Final = 2.0
"""How long who asked waits for the next word of those who listen."""
SYNC_WAIT_MS: Final = 60_000
"""Longest that a request to exchange is held; who asked comes again."""


class Worker(Protocol):
    """What exchanges planes with one remote."""

    @property
    def debounce_s(self) -> float | None:
        """How long a commit waits for others before it is sent; None for as long as the hub thinks."""

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
            MootError: it broke off; nothing is lost by that.
        """

    async def close(self) -> None:
        """Stop whatever runs."""

    async def check(self) -> list[dict[str, Any]]:
        """Try the remote out: `[{"check", "ok", "detail", "hint"}]`."""


class Settings(msgspec.Struct, frozen=True):
    """How patient the hub is."""

    debounce_s: float = DEBOUNCE_S
    poll_s: float = POLL_S
    base_s: float = BASE_S
    cap_s: float = CAP_S


class _Remote:
    """One remote's task, and what is known of it."""

    def __init__(self, row: RemoteRow) -> None:
        self.row = row
        self.worker: Worker | None = None
        """None until a first try has made it."""
        self.progress = Progress()
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


class Hub:
    """Exchanges this replica's planes with its remotes, from `run` until cancelled.

    Args:
        replica: the replica.
        commit: carries out work in a write transaction; blocks.
        executor: threads for what blocks.
        worker: makes what exchanges with a remote.
        settings: how patient it is.
    """

    def __init__(
        self,
        replica: Replica,
        commit: Commit,
        executor: Executor,
        worker: Callable[[RemoteRow, "Hub"], Worker],
        settings: Settings | None = None,
    ) -> None:
        self.replica = replica
        self.commit = commit
        self._executor = executor
        self._worker = worker
        self._settings = settings or Settings()
        self._remotes: dict[int, _Remote] = {}
        self._changed = asyncio.Event()
        self._followed = -1
        """`changes.remotes` when the rows of remotes were read last."""
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_running(self) -> bool:
        """Whether it works: between the beginning and the end of `run`."""
        return self._loop is not None

    async def in_thread(self, work: Callable[[], R], /) -> R:
        """Run what blocks in a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    # -- Running -------------------------------------------------------------------------------------------------
    async def run(self) -> None:
        """Work until cancelled."""
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    self._changed.clear()
                    await self._follow(tasks)
                    await self._changed.wait()
        finally:
            self._loop = None
            self._remotes.clear()

    def wake(self, number: int) -> None:
        """Something came up with a remote that the next round should see to. Called in the loop."""
        remote = self._remotes.get(number)
        if remote is not None:
            remote.wake.set()

    def happened(self) -> None:
        """Something was committed. Called from any thread.

        Whoever has been woken looks after that, and so sees this commit too: nobody is woken twice.
        """
        loop = self._loop
        awake = self._followed == self.replica.changes.remotes
        if loop is None or (awake and all(remote.wake.is_set() for remote in list(self._remotes.values()))):
            return
        with contextlib.suppress(RuntimeError):  # the loop has ended: so does the exchange
            loop.call_soon_threadsafe(self._wake_all)

    def hurry(self) -> None:
        """Send what was committed without waiting for more: somebody is about to look for it. From any thread."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._hurry_all)

    def renew(self) -> None:
        """This machine has other keys now: begin anew with every remote. From any thread."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._renew_all)

    def _renew_all(self) -> None:
        for remote in self._remotes.values():
            remote.is_stale = True

    def _hurry_all(self) -> None:
        for remote in self._remotes.values():
            remote.hurries = True
            remote.urged.set()
        self._wake_all()

    def _wake_all(self) -> None:
        if self._followed != self.replica.changes.remotes:
            self._changed.set()
        for remote in self._remotes.values():
            remote.wake.set()

    async def _follow(self, tasks: asyncio.TaskGroup) -> None:
        """Begin with remotes that were added, end with those that were removed."""
        version = self.replica.changes.remotes
        rows = {row.number: row for row in await self.in_thread(self._rows)}
        self._followed = version
        for number in [number for number in self._remotes if number not in rows]:
            gone = self._remotes.pop(number)
            if gone.task is not None:
                gone.task.cancel()
        for number, row in rows.items():
            if number not in self._remotes:
                remote = self._remotes[number] = _Remote(row)
                remote.task = tasks.create_task(self._serve(remote), name=f"remote {row.name}")

    def _rows(self) -> list[RemoteRow]:
        with self.replica.read() as reader:
            return remotes(reader)

    async def _serve(self, remote: _Remote) -> None:
        try:
            while True:
                asked = remote.asked
                remote.wake.clear()  # whatever is committed from here on is for the next round
                remote.hurries = False
                await self._try(remote)
                if asked > remote.answered:
                    remote.begin_settling()
                    remote.answered = asked
                remote.ended.set()
                remote.ended = asyncio.Event()
                await self._rest(remote)
        finally:
            self._remotes.pop(remote.row.number, None)  # nobody waits for what won't come
            remote.ended.set()
            if remote.worker is not None:
                await remote.worker.close()

    async def _try(self, remote: _Remote) -> None:
        progress = remote.progress
        progress.state = "syncing"
        try:
            await self._round(remote)
        except Exception as error:  # whatever it is, the other remotes go on
            if _is_ending():
                raise asyncio.CancelledError from error
            progress.error, progress.state = _presentable(error, remote.row.name), "waiting"
            progress.failures += 1
            return
        progress.error, progress.state, progress.failures = None, "idle", 0
        progress.rounds += 1
        progress.last_ok_ms = self.replica.wall.now_ms()

    async def _round(self, remote: _Remote) -> None:
        named, remote.named = remote.named, set()
        worker = await self._worker_of(remote)
        now = asyncio.get_running_loop().time()
        lasting = {plane: end for plane, end in remote.lingering.items() if end > now}
        remote.lingering = {**lasting, **dict.fromkeys(named, now + worker.linger_s)}
        due = partial(self._due_planes, remote.row, set(remote.lingering))
        await worker.round(await self.in_thread(due), remote.progress, is_asked=bool(named))

    async def _worker_of(self, remote: _Remote) -> Worker:
        """What exchanges with a remote; made anew until that works, for files that it needs may come to be there."""
        if remote.worker is not None and remote.is_stale:
            stale, remote.worker, remote.is_stale = remote.worker, None, False
            await stale.close()
        if remote.worker is None:
            remote.worker = await self.in_thread(partial(self._worker, remote.row, self))
        return remote.worker

    async def _rest(self, remote: _Remote) -> None:
        """Wait for the next round: after a failure for the back-off, else for a commit or the next look."""
        progress, settings = remote.progress, self._settings
        if progress.failures:
            drawn = int.from_bytes(self.replica.entropy.bytes(4), "big") / 2**32
            delay = full_jitter(progress.failures - 1, settings.base_s, settings.cap_s, drawn)
        else:
            delay = settings.poll_s
        progress.next_try_ms = self.replica.wall.now_ms() + int(delay * 1000)
        loop = asyncio.get_running_loop()
        end = loop.time() + delay
        while remote.asked <= remote.answered and loop.time() < end:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(end):
                    await remote.wake.wait()
            if remote.wake.is_set() and not progress.failures:
                own = None if remote.worker is None else remote.worker.debounce_s
                await self._until(remote, min(end, loop.time() + (settings.debounce_s if own is None else own)))
                break
            remote.wake.clear()
        progress.next_try_ms = 0

    @staticmethod
    async def _until(remote: _Remote, end: float) -> None:
        """Wait until a moment, or until it becomes urgent."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(end):
                while not remote.is_urgent and asyncio.get_running_loop().time() < end:
                    remote.urged.clear()
                    await remote.urged.wait()

    def _release_parked(self) -> None:
        """Let batches count whose time has come while nobody wrote: every transaction begins with that."""
        with self.replica.read() as reader:
            is_due = has_due(reader, self.replica.wall.now_ms())
        if is_due:
            self.commit(lambda _: None)

    def _due_planes(self, row: RemoteRow, named: Collection[int] = ()) -> list[PlaneRow]:
        """The planes that are exchanged with a remote now: the automatic ones, and of the manual ones those named."""
        self._release_parked()
        for plane in self._shared():
            tend(self.replica, plane.number, PlaneKeys(self.replica.keys, plane.id), self.commit)
        with self.replica.read() as reader:
            return [
                plane
                for plane in self._shared()
                if (mode := mode_of(reader, row, plane.number)) == "auto"
                or (mode == "manual" and plane.number in named)
            ]

    def _shared(self) -> list[PlaneRow]:
        """The planes that have a name on remotes."""
        return [
            plane
            for plane in self.replica.planes.values()
            if plane.kind != "operational" and PlaneKeys(self.replica.keys, plane.id).has_topic
        ]

    # -- Asked by people -----------------------------------------------------------------------------------------
    def call(self, work: Callable[[], Any]) -> Any:
        """Run a coroutine of the hub's from a worker thread and wait for it.

        Raises:
            RefusedError: `not_ready`: the hub isn't running.
        """
        loop = self._loop
        if loop is None:
            raise RefusedError("the exchange isn't running", code=Code.NOT_READY, retryable=True)
        return asyncio.run_coroutine_threadsafe(work(), loop).result()

    async def sync(self, request: Sync) -> dict[str, Any]:
        """Begin an exchange with every remote, or see how far the one of a cursor has come.

        Automatic planes are exchanged in any case; of the manual ones all, or the one that the request names.

        Raises:
            RefusedError: `not_found`: no plane that is exchanged is called so; `invalid`: that is no cursor.
        """
        await self._begun()
        awaited = _cursor(request.cursor) if request.cursor else self._ask(self._named(request.plane))
        end = asyncio.get_running_loop().time() + min(request.wait_ms, SYNC_WAIT_MS) / 1000
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(end):
                for number, asked in awaited.items():
                    while (remote := self._remotes.get(number)) is not None and remote.answered < asked:
                        await remote.ended.wait()
                while not self._have_answered(awaited):  # noqa: ASYNC110 - there is no event to wait for
                    await asyncio.sleep(0.02)
        done = self._have_answered(awaited)
        shown = [self._shown(self._remotes[number]) for number in awaited if number in self._remotes]
        waiting, clashes = await self.in_thread(self._told_beside)
        return {
            "done": done, "cursor": _cursor_text(awaited), "remotes": shown, "waiting": waiting, "clashes": clashes,
        }  # fmt: skip

    def _have_answered(self, awaited: Mapping[int, int]) -> bool:
        found = ((self._remotes.get(number), asked) for number, asked in awaited.items())
        return all(remote is None or remote.has_answered(asked) for remote, asked in found)

    def _told_beside(self) -> tuple[list[str], list[str]]:
        """The names of joined planes whose charter hasn't come yet, or doesn't name their invite; clashing prefixes."""
        with self.replica.read() as reader:
            waiting = [plane.name for plane in self._shared() if is_waiting(reader, plane.number)]
            return waiting, list(clashing_prefixes(self.replica, reader))

    async def _begun(self) -> None:
        """Wait until the remotes that were added are served: a commit wakes the hub a moment later."""
        rows = await self.in_thread(self._rows)
        while any(row.number not in self._remotes for row in rows):
            self._changed.set()
            await asyncio.sleep(0.01)

    def _named(self, name: str) -> set[int]:
        """The numbers of the planes that a request names."""
        shared = self._shared()
        return {plane_meant(shared, name).number} if name else {plane.number for plane in shared}

    def _ask(self, planes: set[int]) -> dict[int, int]:
        for remote in self._remotes.values():
            remote.named |= planes
            remote.asked += 1
            remote.urged.set()
            remote.wake.set()
        return {number: remote.asked for number, remote in self._remotes.items()}

    def _shown(self, remote: _Remote) -> dict[str, Any]:
        progress = remote.progress
        with self.replica.read() as reader:
            queued = OutboxReader(reader, remote.row.number).gauge().frames
        return {
            "remote": remote.row.name,
            "state": progress.state,
            "sent": progress.sent,
            "received": progress.received,
            "queued": queued,
            "error": error_of(progress),
            "rounds": progress.rounds,
        }

    async def check(self, name: str) -> dict[str, Any]:
        """Try a remote out."""
        await self._begun()
        remote = next((each for each in self._remotes.values() if each.row.name == name), None)
        if remote is None:
            raise RefusedError(f"there is no remote named {name}", code=Code.NOT_FOUND, hint="see `moot remote list`")
        try:
            checks = await (await self._worker_of(remote)).check()
        except MootError as error:
            checks = [{"check": "its settings are right", "ok": False, "detail": error.message, "hint": error.hint}]
        return {"name": name, "ok": all(check["ok"] for check in checks), "checks": checks}

    def progress(self, number: int) -> Progress:
        """How the exchange with a remote goes; safe from any thread."""
        remote = self._remotes.get(number)
        return Progress() if remote is None else remote.progress


def _is_ending() -> bool:
    """Whether this task was told to end, whatever became of that on its way up."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _presentable(error: Exception, name: str) -> MootError:
    """Why a try failed, as it can be shown."""
    if isinstance(error, MootError):
        return error
    _log.error("exchange.broke", remote=name, exc_info=error)
    return MootError(f"the exchange broke: {type(error).__name__}", code=Code.INTERNAL, hint="see the daemon's log")


def error_of(progress: Progress) -> str:
    """Why the last try failed, in words; empty where it didn't."""
    error = progress.error
    if error is None:
        return ""
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _cursor_text(awaited: dict[int, int]) -> str:
    return " ".join(f"{number}:{asked}" for number, asked in awaited.items()) or "-"


def _cursor(text: str) -> dict[int, int]:
    try:
        pairs = (part.split(":") for part in text.split() if part != "-")
        return {int(number): int(asked) for number, asked in pairs}
    except ValueError as error:
        raise RefusedError("this is no cursor of an exchange", hint="begin without one") from error
