"""The service: carries out any request, on the event loop or in a worker thread.

Reads are answered from a snapshot; writes go through the writer, which answers once they are durable. Long reads
happen in threads; what waits for news blocks neither the loop nor a thread of readers.
"""

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar

import structlog

from moot_protocol.checks import checked
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.access import ImportAccess
from moot_protocol.requests.base import Mutation, Request
from moot_protocol.requests.exchange import CheckRemote, Sync
from moot_protocol.requests.issues import InitTown
from moot_protocol.requests.machine import Backup, CheckBackup, Doctor, Events, Fsck, Rebuild, Status
from moot_protocol.requests.membership import Recover
from moot_protocol.requests.mirrors import MIRROR_REQUESTS
from moot_protocol.requests.transfer import Import, ImportEdits
from mootd.engine.audit import note
from mootd.engine.issues.addressing import plane_of
from mootd.engine.issues.checks import check_actor
from mootd.engine.issues.first_lines import FirstLines
from mootd.engine.issues.importing import Importer, parse
from mootd.engine.patience import Check, Waiting, patient
from mootd.engine.replica import Replica
from mootd.engine.unit import Unit
from mootd.exchange.hub import SYNC_WAIT_MS, Hub
from mootd.exchange.progress import Progress
from mootd.mirror.mirrors import Mirrors
from mootd.service.access.tokens import TOKEN_WRITES, change_tokens
from mootd.service.commits import Commits
from mootd.service.machine.access import import_access
from mootd.service.machine.damage import Damages
from mootd.service.machine.own_machine import Machine
from mootd.service.machine.requests import MACHINE
from mootd.service.machine.upkeep import UPKEEP, Upkeep
from mootd.service.reading.exchange import EXCHANGE_READS, ExchangeView, queue_alarms, remote_checks
from mootd.service.reading.leases import lease_alarms
from mootd.service.reading.reads import READS
from mootd.service.sharing import share_alarms, share_checks
from mootd.service.snapshot import Snapshot
from mootd.service.writing.audited import AFTERWARDS, EVENT_TYPES, entry_of, recorded
from mootd.service.writing.exchange import EXCHANGE_WRITES, SECRET_ANSWERS
from mootd.service.writing.founding import found
from mootd.service.writing.membership import MEMBERSHIP_WRITES, NEW_IDENTITY, SECRET
from mootd.service.writing.remotes import REMOTE_WRITES
from mootd.service.writing.trials import tried
from mootd.service.writing.writes import carry_out, is_atomic, once
from mootd.store.port import Reader
from mootd.writer import Writer

if TYPE_CHECKING:
    from mootd.service.machine.backups import Backups

R = TypeVar("R")

_EXCHANGE: Final = {**REMOTE_WRITES, **EXCHANGE_WRITES, **MEMBERSHIP_WRITES}
_MIRRORS: Final = frozenset(MIRROR_REQUESTS)
_SECRET: Final = SECRET_ANSWERS | SECRET
_ACCOMPANIED: Final = AFTERWARDS | _EXCHANGE.keys() | {Import}
"""Writes that something is done before or after."""
IMPORT_SESSIONS: Final = 16
"""Imports under way at once whose ids are remembered."""


class Write(NamedTuple):
    """What a writing request does, and how it may fail."""

    work: Callable[[Unit], Any]
    atomic: bool = False
    bulk: bool = False


class Service:
    """Carries out requests on one replica.

    Args:
        replica: the replica.
        writer: the thread that writes to it.
        machine: facts about the process and its machine.
        executor: threads for long reads.
        hub: exchanges planes with remotes; None where there is no exchange.
        mirrors: keeps mirrors of files; None where there are none.
    """

    def __init__(
        self,
        replica: Replica,
        writer: Writer[Unit],
        machine: Machine,
        executor: Executor,
        hub: Hub | None = None,
        mirrors: Mirrors | None = None,
    ) -> None:
        self._replica = replica
        self._writer = writer
        self._machine = machine
        self._executor = executor
        self._hub = hub
        self._mirrors = mirrors
        self.damages = Damages(replica, self._keep_damage)
        self._upkeep = Upkeep(self.damages)
        self._backups: Backups | None = None
        self._making = threading.Lock()
        """Held while that is made: there is one."""
        self.commits = Commits()
        self._imports: OrderedDict[str, FirstLines] = OrderedDict()
        self._imports_lock = threading.Lock()

    # -- From threads --------------------------------------------------------------------------------------------
    def call(
        self,
        request: Request[R],
        key: str = "",
        wait: Callable[["Future[Any]"], Any] = lambda future: future.result(),
        check: Check = patient,
    ) -> R:
        """Carry out a request in a worker thread and wait for its answer.

        Args:
            request: what is asked.
            key: its idempotency key, or empty.
            wait: waits for a future of the writer; a command's terminal waits only as long as its client is there.
            check: raises once nobody waits for the answer: a read, which nothing is lost with, ends then.
        """
        if isinstance(request, Recover) and self._hub is not None and not request.dry_run:
            hub = self._hub
            hub.call(lambda: _read_remotes(hub))
        write = self._write_of(request, key)
        if write is not None:
            answer: Any = wait(self._writer.submit(write.work, bulk=write.bulk, atomic=write.atomic))
            self._follow_up(request, answer)
        elif isinstance(request, Events) and request.wait_ms:
            answer = self._wait_for_events(request)
        elif isinstance(request, Sync | CheckRemote):
            hub = self._running_hub()
            answer = hub.call(lambda: _asked_of(hub, request))
        else:
            answer = self._read(request, check)
        return answer  # type: ignore[no-any-return]  # each request's class says what its answer is

    def _wait_for_events(self, request: Events) -> Any:
        deadline = self._replica.wall.monotonic_ms() + request.wait_ms
        while True:
            seen = self.commits.count
            answer = self._read(request)
            left = deadline - self._replica.wall.monotonic_ms()
            if answer["events"] or left <= 0:
                return answer
            self.commits.wait(seen, left)

    # -- From the loop -------------------------------------------------------------------------------------------
    def begin(
        self, request: Request[Any], key: str, deadline: float, answered: Callable[[Any, BaseException | None], object]
    ) -> Callable[[], object] | None:
        """Begin a write that nothing has to be done before or after; see `Dispatcher`."""
        if not isinstance(request, Mutation) or type(request) in _ACCOMPANIED:
            return None
        write = self._write_of(request, key)
        if write is None:
            return None
        loop = asyncio.get_running_loop()
        return self._writer.submit_told(
            write.work, loop, answered, bulk=write.bulk, atomic=write.atomic, deadline_ms=self._until(deadline, loop)
        ).cancel

    def _until(self, deadline: float, loop: asyncio.AbstractEventLoop) -> int:
        """A moment on a loop's clock, on the machine's."""
        return self._replica.wall.monotonic_ms() + max(int((deadline - loop.time()) * 1000), 0)

    async def handle_async(self, request: Request[Any], key: str, deadline: float) -> Any:
        """Answer any other request."""
        loop = asyncio.get_running_loop()
        if isinstance(request, Recover) and self._hub is not None and not request.dry_run:
            await _read_remotes(self._hub)
        write = (
            await loop.run_in_executor(self._executor, self._write_of, request, key)
            if _is_long(request)
            else self._write_of(request, key)
        )
        if write is not None:
            until = self._until(deadline, loop)
            answer = await self._writer.submit_async(
                write.work, loop, bulk=write.bulk, atomic=write.atomic, deadline_ms=until
            )
            self._follow_up(request, answer)
            return answer
        if isinstance(request, Events) and request.wait_ms:
            return await self._await_events(request)
        if isinstance(request, Sync | CheckRemote):
            return await _asked_of(self._running_hub(), request)
        return await self._read_async(request)

    async def _read_async(self, request: Request[Any]) -> Any:
        """As `_read`; where this is cancelled, as at a deadline, the thread ends its work soon after."""
        waiting = Waiting()
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._executor, self._read, request, waiting.check)
        finally:
            waiting.leave()

    async def _await_events(self, request: Events) -> Any:
        loop = asyncio.get_running_loop()
        end = loop.time() + request.wait_ms / 1000
        while True:
            seen = self.commits.count
            answer = await self._read_async(request)
            if answer["events"] or loop.time() >= end:
                return answer
            await self.commits.until_after(seen, end)

    # -- Both ----------------------------------------------------------------------------------------------------
    def _follow_up(self, request: Request[Any], answer: Any) -> None:
        if isinstance(request, Rebuild):
            self._upkeep.rebuilt(answer)
        if type(request) in AFTERWARDS and not getattr(request, "dry_run", False):
            entry = entry_of(request, EVENT_TYPES[type(request)])
            self._writer.submit(lambda unit: note(unit, entry)).add_done_callback(partial(_warn_of, "audit.failed"))
        self._hurry_after(request)

    def _hurry_after(self, request: Request[Any]) -> None:
        """An invite is about to be used on another machine, and a plane to be looked for."""
        if self._hub is None or getattr(request, "dry_run", False):
            return
        if type(request) in NEW_IDENTITY:
            self._hub.renew()
        if type(request) in _EXCHANGE:
            self._hub.hurry()

    def _keep_damage(self, work: Callable[[Unit], None]) -> None:
        """Write what is known of damage; nobody waits for it, and a store that refuses is told of all the same."""
        try:
            self._writer.submit(work).add_done_callback(partial(_warn_of, "damage.not_kept"))
        except RefusedError as error:
            structlog.get_logger().warning("damage.not_kept", error=str(error))

    def _running_hub(self) -> Hub:
        if self._hub is None:
            raise RefusedError("this daemon exchanges nothing", code=Code.NOT_READY)
        return self._hub

    def _running_mirrors(self) -> Mirrors:
        if self._mirrors is None:
            raise RefusedError("this daemon keeps no mirrors", code=Code.NOT_READY)
        return self._mirrors

    def _progress_of(self, remote: int) -> Progress:
        return Progress() if self._hub is None else self._hub.progress(remote)

    def _backing_up(self) -> "Backups":
        with self._making:
            if self._backups is None:
                from mootd.service.machine.backups import Backups  # once a day at most

                self._backups = Backups(self._replica, self._machine, self._executor)
            return self._backups

    def end_backups(self) -> None:
        """End a backup that is under way at its next step: the daemon ends, and has half a minute for that."""
        if self._backups is not None:
            self._backups.stop()

    def _read(self, request: Request[Any], check: Check = patient) -> Any:
        if isinstance(request, Backup | CheckBackup):
            return self._backing_up().answer(request)
        if type(request) in MACHINE:
            return self._of_machine(request)
        if type(request) in _MIRRORS:
            return self._running_mirrors().call(request)  # type: ignore[arg-type]  # they are those of the set
        now_ms = self._replica.wall.now_ms()
        with self._replica.read() as reader:
            if type(request) in EXCHANGE_READS:
                view = ExchangeView(self._replica, reader, self._progress_of, now_ms)
                return EXCHANGE_READS[type(request)](view, request)
            return READS[type(request)](Snapshot(self._replica, reader, now_ms, check), request)

    def _of_machine(self, request: Request[Any]) -> Any:
        if isinstance(request, Status):
            return self._status(request)
        if isinstance(request, Doctor):
            return self._doctor(request)
        if isinstance(request, Fsck):
            return self._upkeep.fsck(request, lambda part: MACHINE[Fsck](self._machine, self._replica, part))
        return MACHINE[type(request)](self._machine, self._replica, request)

    def _status(self, request: Status) -> dict[str, Any]:
        shown: dict[str, Any] = MACHINE[Status](self._machine, self._replica, request)
        with self._replica.read() as reader:
            view = ExchangeView(self._replica, reader, self._progress_of, self._replica.wall.now_ms())
            alarms = [*shown["alarms"], *queue_alarms(view.outbox()), *self._later_alarms(reader)]
            return shown | {"remotes": view.remotes(), "alarms": alarms}

    def _later_alarms(self, reader: Reader) -> Iterator[dict[str, Any]]:
        snapshot = Snapshot(self._replica, reader, self._replica.wall.now_ms())
        yield from lease_alarms(snapshot)
        yield from share_alarms(snapshot)
        yield from self.damages.alarms()

    def _doctor(self, request: Doctor) -> list[dict[str, Any]]:
        from mootd.service.reading.unread import unread_checks  # only the doctor looks

        checks: list[dict[str, Any]] = MACHINE[Doctor](self._machine, self._replica, request)
        told = "; ".join(alarm["message"] for alarm in self.damages.alarms())
        with self._replica.read() as reader:
            view = ExchangeView(self._replica, reader, self._progress_of, self._replica.wall.now_ms())
            checks += remote_checks(view.remotes(), view.outbox())
            snapshot = Snapshot(self._replica, reader, self._replica.wall.now_ms())
            checks += [*share_checks(snapshot), *unread_checks(snapshot)]
        return [*checks, checked("nothing is known to be damaged", not told, told, "run `moot fsck`")]

    def _write_of(self, request: Request[Any], key: str) -> Write | None:
        """What a request does to the log, its record in the audit stream included, or None if it only reads."""
        write = self._unrecorded(request, key)
        if write is not None:
            check_actor(getattr(request, "actor", ""))
        event_type = EVENT_TYPES.get(type(request))
        if write is None or event_type is None or type(request) in AFTERWARDS:
            return write
        return write._replace(work=recorded(request, event_type, write.work), atomic=True)

    def _unrecorded(self, request: Request[Any], key: str) -> Write | None:
        if type(request) in UPKEEP:
            upkeep = UPKEEP[type(request)]
            return Write(lambda unit: upkeep(self._upkeep, unit, request), bulk=True)
        if isinstance(request, InitTown):
            if request.dry_run:
                return Write(lambda unit: tried(unit, lambda unit: found(unit, request)))
            return Write(lambda unit: found(unit, request), atomic=True)
        if isinstance(request, Import):
            return self._import(request, key)
        if type(request) in _EXCHANGE:
            return Write(lambda unit: self._exchange_write(unit, request, key), atomic=True)
        return self._mutation(request, key) if isinstance(request, Mutation) else None

    def _mutation(self, request: Mutation[Any], key: str) -> Write:
        if isinstance(request, ImportAccess):
            return Write(lambda unit: import_access(self._machine.access, unit, request))
        if type(request) in TOKEN_WRITES:  # under no key: the answer is a secret
            return Write(lambda unit: change_tokens(self._machine.access, unit, request), atomic=True)
        return Write(
            lambda unit: once(unit, request, key, lambda u: carry_out(u, request)),
            atomic=is_atomic(request),
            bulk=isinstance(request, ImportEdits),
        )

    @staticmethod
    def _exchange_write(unit: Unit, request: Request[Any], key: str) -> Any:
        work = _EXCHANGE[type(request)]
        if getattr(request, "dry_run", False):
            return tried(unit, lambda unit: work(unit, request))
        return once(unit, request, "" if type(request) in _SECRET else key, lambda unit: work(unit, request))

    def _import(self, request: Import, key: str) -> Write:
        session = request.session or self._machine.new_session()
        parsed = parse(request.lines, request.first_line, self._seen(session, last=request.last))

        def work(unit: Unit) -> Any:
            plane = plane_of(unit, request)
            return Importer(unit, plane, request.project, request.actor).take(parsed) | {"session": session}

        if request.dry_run:
            return Write(lambda unit: unit.try_out(work), bulk=True)
        return Write(lambda unit: once(unit, request, key, work), bulk=True)

    def _seen(self, session: str, *, last: bool) -> FirstLines:
        """The ids met so far in an import; it is forgotten with its last lines, or when too many others came."""
        with self._imports_lock:
            seen = self._imports.pop(session) if session in self._imports else FirstLines()
            if not last:
                self._imports[session] = seen
                if len(self._imports) > IMPORT_SESSIONS:
                    self._imports.popitem(last=False)
            return seen


def _warn_of(event: str, future: "Future[Any]") -> None:
    """Tell the log of something that could not be written."""
    error = future.exception()
    if error is not None:
        structlog.get_logger().warning(event, error=str(error))


async def _asked_of(hub: Hub, request: Sync | CheckRemote) -> Any:
    return await (hub.sync(request) if isinstance(request, Sync) else hub.check(request.name))


async def _read_remotes(hub: Hub) -> None:
    """Read every remote to its end: the recovery key must not write beside what it has written before.

    Raises:
        RefusedError: `not_ready`: one can't be read.
    """
    answer = await hub.sync(Sync(wait_ms=SYNC_WAIT_MS))
    errors = [f"{remote['remote']}: {remote['error']}" for remote in answer["remotes"] if remote["error"]]
    if errors or not answer["done"]:
        raise RefusedError(
            f"remotes have to be read before: {'; '.join(errors) or 'they take long'}",
            code=Code.NOT_READY,
            hint="see `moot remote list`; `moot remote remove NAME` takes one away that is gone for good",
            retryable=True,
        )


def _is_long(request: Request[Any]) -> bool:
    """Whether already preparing the write is too long for the loop."""
    return isinstance(request, Import)
