"""All remotes of one daemon, each worked on by a task of its own.

Invariant: what is exchanged with a remote is what the remote's rows say at that moment; a remote that fails, hangs or
lies keeps nobody else waiting, and neither does one whose settings are wrong. After a failure the next try waits for a
full-jitter back-off; whoever asks for an exchange by name (`sync`) is answered by the next try that begins after that,
whatever comes of it. What is committed during a round is seen to by the next.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, Final, TypeVar

import msgspec

from moot_protocol.checks import checked
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.requests.exchange import Sync
from moot_protocol.time_units import HOUR_MS
from moot_protocol.trust.genesis import PlaneKind
from mootd.backoff import full_jitter
from mootd.config import DEBOUNCE_S, POLL_S
from mootd.engine.commit import Committer
from mootd.engine.exchange.outbox import Gauge, OutboxReader
from mootd.engine.exchange.receive import has_due
from mootd.engine.machine.reached import note_reached, reached_ms
from mootd.engine.machine.remotes import RemoteRow, mode_of, remotes, remotes_of
from mootd.engine.membership.admittance import Lack, lack_on
from mootd.engine.membership.plane_keys import PlaneKeys
from mootd.engine.membership.tending import tend
from mootd.engine.planes import clashing_prefixes, plane_meant
from mootd.engine.replica import Replica
from mootd.engine.stored.log import PlaneRow
from mootd.engine.stored.log_snapshot import LogSnapshot
from mootd.exchange.progress import Progress
from mootd.exchange.served import HeldError, ServedRemote, Worker
from mootd.exchange.unopened import withheld
from mootd.waking import WakingTasks

R = TypeVar("R")

BASE_S: Final = 2.0
CAP_S: Final = 300.0
"""The back-off's window: the first, and the widest."""
SYNC_WAIT_MS: Final = 60_000
"""Longest that a request to exchange is held; who asked comes again."""


class Settings(msgspec.Struct, frozen=True):
    """How patient the hub is."""

    debounce_s: float = DEBOUNCE_S
    poll_s: float = POLL_S
    base_s: float = BASE_S
    cap_s: float = CAP_S


class Hub(WakingTasks):
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
        commit: Committer,
        executor: Executor,
        worker: Callable[[RemoteRow, "Hub"], Worker],
        settings: Settings | None = None,
    ) -> None:
        super().__init__()
        self.replica = replica
        self.commit = commit
        self._executor = executor
        self._worker = worker
        self._settings = settings or Settings()
        self._remotes: dict[int, ServedRemote] = {}
        self._followed = -1
        """`changes.remotes` when the rows of remotes were read last."""

    async def in_thread(self, work: Callable[[], R], /) -> R:
        """Run what blocks in a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    # -- Running -------------------------------------------------------------------------------------------------
    def wake(self, number: int) -> None:
        """Something came up with a remote that the next round should see to. Called in the loop."""
        remote = self._remotes.get(number)
        if remote is not None:
            remote.wake.set()

    def happened(self) -> None:
        """Something was committed. Called from any thread.

        Whoever has been woken looks after that, and so sees this commit too: nobody is woken twice.
        """
        awake = self._followed == self.replica.changes.remotes
        if not awake or not all(remote.wake.is_set() for remote in list(self._remotes.values())):
            self._tell(self._wake_all)

    def hurry(self) -> None:
        """Send what was committed without waiting for more: somebody is about to look for it. From any thread."""
        self._tell(self._hurry_all)

    def renew(self) -> None:
        """This machine has other keys now: begin anew with every remote. From any thread."""
        self._tell(self._renew_all)

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
                remote = self._remotes[number] = ServedRemote(row)
                remote.task = tasks.create_task(self._serve(remote), name=f"remote {row.name}")

    def _let_go(self) -> None:
        self._remotes.clear()

    def _rows(self) -> list[RemoteRow]:
        with self.replica.read() as reader:
            return remotes(reader)

    async def _serve(self, remote: ServedRemote) -> None:
        try:
            await self._look_at_queue(remote)  # what was dropped before is no news
            while True:
                asked = remote.asked
                remote.wake.clear()  # whatever is committed from here on is for the next round
                remote.hurries = False
                await self._try(remote)
                await self._note_reached(remote, is_over=remote.progress.failures > 0)
                if asked > remote.answered:
                    remote.begin_settling()
                    remote.answered = asked
                remote.ended.set()
                remote.ended = asyncio.Event()
                await self._look_at_queue(remote)
                await self._rest(remote)
        finally:
            self._remotes.pop(remote.row.number, None)  # nobody waits for what won't come
            remote.ended.set()
            remote.reports.tell()
            if remote.worker is not None:
                await remote.worker.close()
            await self._note_reached(remote, is_over=True)

    async def _try(self, remote: ServedRemote) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        remote.progress.state = "syncing"
        try:
            planes = await self._round(remote)
        except Exception as error:  # whatever it is, the other remotes go on
            if _is_ending():
                raise asyncio.CancelledError from error
            shown = _presentable(error)
            note = remote.progress.hold if isinstance(error, HeldError) else remote.progress.fail
            note(shown, self.replica.wall.now_ms())
            remote.reports.failed(shown, error, loop.time())
            return
        remote.progress.succeed(self.replica.wall.now_ms())
        remote.reports.went({plane.number: plane.name for plane in planes}, began_s, loop.time())

    async def _look_at_queue(self, remote: ServedRemote) -> None:
        """Let the log hear of a queue that fills up."""
        with self._beside(remote):
            remote.reports.filled(await self.in_thread(partial(self._gauge, remote.row.number)))

    def _reached_ms(self, number: int) -> int:
        with self.replica.read() as reader:
            return reached_ms(reader, number)

    async def _note_reached(self, remote: ServedRemote, *, is_over: bool) -> None:
        """Keep when a remote was reached: the first time, then at most every hour, and when that is over."""
        number, ok_ms, noted_ms = remote.row.number, remote.progress.last_ok_ms, remote.noted_ms
        if noted_ms is not None and ok_ms > noted_ms and (is_over or ok_ms - noted_ms >= HOUR_MS):
            with self._beside(remote):  # it may have been removed meanwhile
                await self.in_thread(partial(self.commit, partial(note_reached, remote=number, at_ms=ok_ms)))
                remote.noted_ms = ok_ms

    @staticmethod
    @contextlib.contextmanager
    def _beside(remote: ServedRemote) -> Iterator[None]:
        """Bookkeeping beside the exchange holds nothing up: whoever uses the store says what is wrong with it."""
        try:
            yield
        except MootError:
            pass
        except Exception as error:
            remote.reports.broke(error)
        if _is_ending():
            raise asyncio.CancelledError

    def _gauge(self, number: int) -> Gauge:
        with self.replica.read() as reader:
            return OutboxReader(reader, number, self.replica.outbox_caps).gauge()

    async def _round(self, remote: ServedRemote) -> list[PlaneRow]:
        """Exchange what is due; which planes that were."""
        if remote.noted_ms is None:
            remote.noted_ms = await self.in_thread(partial(self._reached_ms, remote.row.number))
        named, remote.named = remote.named, set()
        worker = await self._worker_of(remote)
        now = asyncio.get_running_loop().time()
        lasting = {plane: end for plane, end in remote.lingering.items() if end > now}
        remote.lingering = {**lasting, **dict.fromkeys(named, now + worker.linger_s)}
        due = partial(self._due_planes, remote.row, set(remote.lingering))
        planes = await self.in_thread(due)
        await worker.round(planes, remote.progress, is_asked=bool(named))
        return planes

    async def _worker_of(self, remote: ServedRemote) -> Worker:
        """What exchanges with a remote; made anew until that works, for files that it needs may come to be there."""
        if remote.worker is not None and remote.is_stale:
            stale, remote.worker, remote.is_stale = remote.worker, None, False
            await stale.close()
        if remote.worker is None:
            remote.worker = await self.in_thread(partial(self._worker, remote.row, self))
        return remote.worker

    async def _rest(self, remote: ServedRemote) -> None:
        """Wait for the next round: after a failure for the back-off, else for a commit or the next look."""
        progress, settings = remote.progress, self._settings
        if progress.failures:
            drawn = int.from_bytes(self.replica.entropy.bytes(4), "big") / 2**32
            tries = max(progress.failures, progress.lines.brief)  # who is let in and thrown out again isn't in
            delay = full_jitter(tries - 1, settings.base_s, settings.cap_s, drawn)
        else:
            own = None if remote.worker is None else remote.worker.poll_s
            delay = settings.poll_s if own is None else min(settings.poll_s, own)
        progress.next_try_ms = 0 if progress.is_held else self.replica.wall.now_ms() + int(delay * 1000)
        loop = asyncio.get_running_loop()
        end = loop.time() + delay
        while remote.asked <= remote.answered and loop.time() < end:
            with contextlib.suppress(TimeoutError):  # it has rested for long enough
                async with asyncio.timeout_at(end):
                    await remote.wake.wait()
            if remote.wake.is_set() and not progress.failures:
                own = None if remote.worker is None else remote.worker.debounce_s
                await remote.urgency(min(end, loop.time() + (settings.debounce_s if own is None else own)))
                break
            remote.wake.clear()
        progress.next_try_ms = 0

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
            if plane.kind != PlaneKind.OPERATIONAL and PlaneKeys(self.replica.keys, plane.id).has_topic
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
            RefusedError: `not_found`: no plane is called so, or it has no remote; `denied`: it never leaves this
                machine; `invalid`: that is no cursor.
        """
        await self._begun()
        if request.cursor:
            awaited = _cursor(request.cursor)
        else:
            awaited = self._ask(await self.in_thread(partial(self._named, request.plane)))
        end = asyncio.get_running_loop().time() + min(request.wait_ms, SYNC_WAIT_MS) / 1000
        with contextlib.suppress(TimeoutError):  # the answer says that it isn't done, and a cursor to ask again with
            async with asyncio.timeout_at(end):
                for number, asked in awaited.items():
                    while (remote := self._remotes.get(number)) is not None and remote.answered < asked:
                        await remote.ended.wait()
                while not self._have_answered(awaited):  # noqa: ASYNC110 - there is no event to wait for
                    await asyncio.sleep(0.02)
        done = self._have_answered(awaited)
        served = [self._remotes[number] for number in awaited if number in self._remotes]
        shown = [self._shown(remote) for remote in served]
        beside = await self.in_thread(partial(self._told_beside, served))
        return {"done": done, "cursor": _cursor_text(awaited), "remotes": shown} | beside

    def _have_answered(self, awaited: Mapping[int, int]) -> bool:
        found = ((self._remotes.get(number), asked) for number, asked in awaited.items())
        return all(remote is None or remote.has_answered(asked) for remote, asked in found)

    def _told_beside(self, served: Sequence[ServedRemote]) -> dict[str, list[Any]]:
        """What an exchange may leave undone.

        `waiting`: the names of joined planes whose charter hasn't come yet, or doesn't name their invite; `excluded`:
        those on which nothing counts that this machine writes, and no exchange changes that; `clashes`:
        clashing prefixes; `unopened`: `[{"remote", "plane", "frames", "code"}]`, for whose frames a key is missing.
        """
        with self.replica.read() as reader:
            lacks = {plane.name: lack_on(LogSnapshot(reader), self.replica, plane) for plane in self._shared()}
            return {
                "waiting": [name for name, lack in lacks.items() if lack is Lack.CHARTER],
                "excluded": [name for name, lack in lacks.items() if lack not in {Lack.NOTHING, Lack.CHARTER}],
                "clashes": list(clashing_prefixes(self.replica, reader)),
                "unopened": [
                    {"remote": remote.row.name, "plane": plane, "frames": frames, "code": str(Code.UNKNOWN_EPOCH)}
                    for remote in served
                    for plane, frames in withheld(self.replica, reader, remote.row, remote.progress).items()
                ],
            }

    async def _begun(self) -> None:
        """Wait until the remotes that were added are served: a commit wakes the hub a moment later.

        Raises:
            RefusedError: `not_ready`: the hub can't look at its remotes just now.
        """
        rows = await self.in_thread(self._rows)
        while any(row.number not in self._remotes for row in rows):
            if self.trouble:
                raise RefusedError(f"remotes can't be seen to: {self.trouble}", code=Code.NOT_READY, retryable=True)
            self._changed.set()
            await asyncio.sleep(0.01)

    def _named(self, name: str) -> set[int]:
        """The numbers of the planes that a request names.

        Raises:
            RefusedError: `not_found`, `ambiguous` or `denied`: there is no such plane, or nobody to exchange it with.
        """
        if not name:
            return {plane.number for plane in self._shared()}
        plane = plane_meant([*self.replica.planes.values()], name)
        with self.replica.read() as reader:
            remotes_of(reader, plane)
        return {plane.number}

    def _ask(self, planes: set[int]) -> dict[int, int]:
        for remote in self._remotes.values():
            remote.named |= planes
            remote.asked += 1
            remote.urged.set()
            remote.wake.set()
        return {number: remote.asked for number, remote in self._remotes.items()}

    def _shown(self, remote: ServedRemote) -> dict[str, Any]:
        progress = remote.progress
        with self.replica.read() as reader:
            queued = OutboxReader(reader, remote.row.number).gauge().frames
        return {
            "remote": remote.row.name,
            "state": progress.state,
            "sent": progress.sent,
            "received": progress.received,
            "queued": queued,
            "error": progress.why(),
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
            checks = [checked("its settings are right", False, error.message, error.hint)]
        return {"name": name, "ok": all(check["ok"] for check in checks), "checks": checks}

    def progress(self, number: int) -> Progress:
        """How the exchange with a remote goes; safe from any thread."""
        remote = self._remotes.get(number)
        return Progress() if remote is None else remote.progress


def _is_ending() -> bool:
    """Whether this task was told to end, whatever became of that on its way up."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _presentable(error: Exception) -> MootError:
    """Why a try failed, as it can be shown."""
    if isinstance(error, MootError):
        return error
    return MootError(f"the exchange broke: {type(error).__name__}", code=Code.INTERNAL, hint="see the daemon's log")


def _cursor_text(awaited: dict[int, int]) -> str:
    return " ".join(f"{number}:{asked}" for number, asked in awaited.items()) or "-"


def _cursor(text: str) -> dict[int, int]:
    try:
        pairs = (part.split(":") for part in text.split() if part != "-")
        return {int(number): int(asked) for number, asked in pairs}
    except ValueError as error:
        raise RefusedError("this is no cursor of an exchange", hint="begin without one") from error
