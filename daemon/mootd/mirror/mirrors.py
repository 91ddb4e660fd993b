"""All mirrors of one daemon, each worked on by a task of its own, and what is asked about them.

Invariant: what is mirrored is what the rows say. A file that hangs or fails keeps nobody else waiting, and neither
the loop nor the writer ever waits for a file.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog
from msgspec.structs import replace

from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.limits import MIRRORS
from moot_protocol.mirrors.lines import Doubt
from moot_protocol.requests.mirrors import MirrorOff, MirrorOn, MirrorResume, MirrorSync, WorkspaceMoved
from moot_protocol.requests.mirrors import Mirrors as MirrorsRequest
from mootd.engine.commit import Committer
from mootd.engine.machine.mirrors import (
    MirrorRow,
    count_versions,
    drop_mirror,
    mirrors,
    move_mirror,
    put_mirror,
    read_mirror,
)
from mootd.engine.machine.workspaces import move_workspace, read_workspace
from mootd.engine.replica import Replica
from mootd.engine.spools import SpoolRow, move_spool, secret_of, spool_of
from mootd.engine.unit import Unit
from mootd.files import MirrorFile, Watch, Watcher
from mootd.mirror.moving import GONE, holds, holds_spool, is_gone, is_left, predecessor
from mootd.store.port import Reader
from mootd.waking import WakingTasks

if TYPE_CHECKING:
    from mootd.mirror.keeper import Keeper, Timing

R = TypeVar("R")

COMMITS_MS: Final = 500
"""How long commits are left to gather before a keeper looks at them."""
_log: Final = structlog.get_logger()
Asked = MirrorsRequest | MirrorOn | MirrorOff | MirrorSync | MirrorResume | WorkspaceMoved


class _Worked:
    """A mirror with its keeper, its watch, and what its task waits for."""

    def __init__(self, keeper: "Keeper") -> None:
        self.keeper = keeper
        self.watch: Watch | None = None
        self.task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._file_changed = self._committed = False

    def file_changed(self) -> None:
        """The file may have changed; on the loop."""
        self._file_changed = True
        self._wake.set()

    def committed(self) -> None:
        """A transaction was committed; on the loop."""
        self._committed = True
        self._wake.set()

    async def until_due(self, wait_ms: int) -> None:
        """Wait until the file changed, for a while after commits so that they gather, or for so long."""
        loop = asyncio.get_running_loop()
        end = loop.time() + wait_ms / 1000
        noted = False
        while not self._file_changed and loop.time() < end:
            with suppress(TimeoutError):  # it is due
                async with asyncio.timeout_at(end):
                    await self._wake.wait()
            self._wake.clear()
            if self._committed and not noted:
                noted, end = True, min(end, loop.time() + COMMITS_MS / 1000)
        self._file_changed = self._committed = False


class Mirrors(WakingTasks):
    """Keeps the mirrors that the rows tell of, from `run` until cancelled.

    Args:
        replica: the replica.
        commit: carries out work in a write transaction; blocks.
        executor: threads for what blocks.
        file: makes a file of a folder and a path in it.
        watcher: notices changes.
        timing: how patient keepers are.
    """

    def __init__(
        self,
        replica: Replica,
        commit: Committer,
        executor: Executor,
        file: Callable[[str, str], MirrorFile],
        watcher: Watcher,
        timing: "Timing | None" = None,
    ) -> None:
        super().__init__()
        self._replica = replica
        self._commit = commit
        self._executor = executor
        self._file = file
        self._watcher = watcher
        self._timing = timing
        self._lock = threading.Lock()  # of what is worked on
        self._worked: dict[bytes, _Worked] = {}

    # -- On the loop ---------------------------------------------------------------------------------------------
    async def _follow(self, tasks: asyncio.TaskGroup) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._executor, self._match)
        finally:  # one that can't begin keeps no other waiting
            for worked in list(self._worked.values()):
                if worked.task is None:
                    worked.task = tasks.create_task(self._work(worked), name="mirror")

    def _let_go(self) -> None:
        for worked in self._worked.values():
            _close(worked)

    async def _work(self, worked: _Worked) -> None:
        loop = asyncio.get_running_loop()
        while True:
            wait_ms = await loop.run_in_executor(self._executor, self._step, worked)
            await worked.until_due(wait_ms)

    def _step(self, worked: _Worked) -> int:
        try:
            if worked.watch is not None:
                worked.watch.refresh()
            return worked.keeper.step()
        except MootError as error:
            _log.warning("mirror.failed", code=str(error.code), message=error.message)
        except Exception as error:  # a defect of ours must not end the others
            _log.error("mirror.crashed", exc_info=error)
        return worked.keeper.look_ms

    def happened(self) -> None:
        """A transaction has been committed. Called by the writer."""
        for worked in list(self._worked.values()):
            self._tell(worked.committed)

    # -- In threads ----------------------------------------------------------------------------------------------
    def _match(self) -> None:
        """Work on what the rows tell of, and on nothing else."""
        with self._lock:
            with self._replica.read() as reader:
                rows = {row.key: row for row in mirrors(reader)}
            for key in self._worked.keys() - rows.keys():
                self._end(self._worked.pop(key))
            failures = [failure for key in rows.keys() - self._worked.keys() if (failure := self._begun(rows[key]))]
        if failures:  # told once all others have begun
            raise failures[0]

    def _begun(self, row: MirrorRow) -> Exception | None:
        """Begin to work on a row; what kept it from that."""
        try:
            self._begin(row)
        except RefusedError as error:
            _log.warning("mirror.refused", message=error.message)
        except Exception as error:  # whatever it is, it keeps no other mirror waiting
            return error
        return None

    def _begin(self, row: MirrorRow) -> None:
        file = self._file(row.folder, row.file)
        from mootd.mirror.keeper import Keeper  # many have no mirror

        worked = _Worked(Keeper(row, file, self._replica, self._commit, self._replica.wall, self._timing))
        worked.watch = self._watcher.watch(
            row.folder, row.file, lambda: self._tell(worked.file_changed), poll=row.polls
        )
        self._worked[row.key] = worked

    def _end(self, worked: _Worked) -> None:
        _close(worked)
        if worked.task is not None:
            self._tell(worked.task.cancel)

    def call(self, request: Asked) -> Any:
        """Do what is asked about mirrors; blocks.

        Raises:
            RefusedError: see the requests.
        """
        if isinstance(request, MirrorsRequest):
            with self._replica.read() as reader:
                rows = [row for row in mirrors(reader) if request.folder in {"", row.folder}]
            return [self._told(row.folder, row.file) | self._told_gone(row) for row in rows]
        if isinstance(request, MirrorOn | WorkspaceMoved):
            return self._on(request) if isinstance(request, MirrorOn) else self._workspace_moved(request)
        row = self._needed(request.folder, request.file)
        if isinstance(request, MirrorOff):
            if request.dry_run:
                return self._told(request.folder, request.file)
            self._commit(lambda unit: drop_mirror(unit, row))
            self._match()
            return described(row, 0, waiting=0, polls=row.polls)
        if request.dry_run:
            return self._foretold(row, request)
        keeper = self._keeper(row)
        if isinstance(request, MirrorSync):
            keeper.sync(full=request.full, delete_missing=request.delete_missing)
        else:
            keeper.resume(accept=request.accept)
        return self._told(request.folder, request.file)

    def _on(self, request: MirrorOn) -> dict[str, Any]:
        with self._replica.read() as reader:
            known = read_mirror(reader, request.folder, request.file)
            others = mirrors(reader)
        if known is not None:
            if known.polls != request.poll and not request.dry_run:
                again = replace(known, polls=request.poll)
                self._commit(lambda unit: put_mirror(unit, again))
                self._restart(again)
            return self._told(request.folder, request.file) | {"adopted": False}
        plane = bytes.fromhex(request.plane) if request.plane else self._replica.ledger.id
        before = predecessor(self._file, others, request, plane)
        if before is not None:
            return self._move(before, request)
        if len(others) >= MIRRORS:
            raise RefusedError(f"this machine keeps {MIRRORS} mirrors already", code=Code.LIMIT)
        file = self._file(request.folder, request.file)
        file.check_place()
        row = MirrorRow(
            folder=request.folder,
            file=request.file,
            workspace=request.workspace,
            project=request.project,
            plane=plane,
            polls=request.poll,
        )
        from mootd.mirror.intake import adopt  # a mirror begins once

        taken = adopt(self._try_out if request.dry_run else self._commit, self._replica, row, file.read())
        if request.dry_run:
            return described(row, 0, waiting=0, polls=row.polls) | taken.document() | {"adopted": True}
        self._match()
        self._tell(self._changed.set)
        return self._told(request.folder, request.file) | taken.document() | {"adopted": True}

    def _move(self, row: MirrorRow, request: MirrorOn) -> dict[str, Any]:
        """Let a file take the place of one that is gone; what it says is taken in as any change is."""
        file = self._file(request.folder, request.file)
        file.check_place()
        file.read()  # refused here and now, where it can't be followed
        told = {"adopted": False, "moved_from": f"{row.folder}/{row.file}"}
        if request.dry_run:
            moved = replace(row, folder=request.folder, problem="")
            return described(moved, 0, waiting=0, polls=request.poll) | told
        self._commit(lambda unit: move_mirror(unit, row, request.folder, polls=request.poll))
        self._match()
        self._tell(self._changed.set)
        return self._told(request.folder, request.file) | told

    def _workspace_moved(self, request: WorkspaceMoved) -> dict[str, Any]:
        workspace, folder = request.workspace, request.folder
        with self._replica.read() as reader:
            known = read_workspace(reader, workspace)
            rows = [row for row in mirrors(reader) if row.workspace == workspace]
            spool = self._movable_spool(reader, request)
        if known is None:
            raise RefusedError("this workspace isn't known here", code=Code.NOT_FOUND)
        before = str(known["folder"])
        told = {"moved": False, "from": before, "mirrors": [], "spool": False}
        if before in {"", folder} or not holds(self._file, folder, workspace):
            return told
        if not is_left(self._file, before, workspace):
            return told
        gone = [f"{row.folder}/{row.file}" for row in rows if is_gone(self._file, row)]

        def move(unit: Unit) -> dict[str, bool]:
            moved = move_workspace(unit, workspace, before, folder)
            return {"moved": moved, "spool": moved and spool is not None and move_spool(unit, spool, folder)}

        return told | {"mirrors": gone} | self._commit(move)

    def _movable_spool(self, reader: Reader, request: WorkspaceMoved) -> SpoolRow | None:
        """The workspace's spool, if it is open and surely lies in the new folder, and no more in its own."""
        row = spool_of(reader, request.workspace)
        if row is None or not row.is_open or not is_left(self._file, row.folder, row.workspace):
            return None
        return row if holds_spool(self._file, request.folder, secret_of(self._replica.keys, row)) else None

    def _try_out(self, work: Callable[[Unit], R]) -> R:
        return self._commit(lambda unit: unit.try_out(work))

    def _foretold(self, row: MirrorRow, request: MirrorSync | MirrorResume) -> dict[str, Any]:
        from mootd.mirror.foretelling import Foretelling  # hardly anybody asks
        from mootd.mirror.keeper import NOTHING_ASKED  # as above

        if isinstance(request, MirrorResume) and row.doubt is None:
            raise RefusedError(NOTHING_ASKED, code=Code.CONFLICT)
        found = Foretelling(self._try_out, self._replica, row, self._file(row.folder, row.file).read()).of(request)
        told = replace(row, problem=found["problem"], doubt=found.pop("doubt"))
        return described(told, 0, waiting=0, polls=row.polls) | found

    def _restart(self, row: MirrorRow) -> None:
        with self._lock:
            worked = self._worked.pop(row.key, None)
            if worked is not None:
                self._end(worked)
        self._match()
        self._tell(self._changed.set)

    def _told(self, folder: str, file: str) -> dict[str, Any]:
        """A mirror as requests tell it."""
        row = self._needed(folder, file)
        worked = self._worked.get(row.key)
        polls = row.polls if worked is None or worked.watch is None else worked.watch.polls
        with self._replica.read() as reader:
            count = count_versions(reader, row.scope)
        return described(row, count, waiting=0 if worked is None else worked.keeper.waiting, polls=polls)

    def _told_gone(self, row: MirrorRow) -> dict[str, Any]:
        """Whether its file is gone with its folder, which its keeper may not have seen yet."""
        if not is_gone(self._file, row):
            return {"gone": False}
        return {"gone": True, "problem": GONE, "state": "asks" if row.doubt else "problem"}

    def _needed(self, folder: str, file: str) -> MirrorRow:
        with self._replica.read() as reader:
            row = read_mirror(reader, folder, file)
        if row is None:
            raise RefusedError(
                f"{folder}/{file} is no mirror", code=Code.NOT_FOUND, hint="`moot mirror on` makes it one"
            )
        return row

    def _keeper(self, row: MirrorRow) -> "Keeper":
        self._match()
        worked = self._worked.get(row.key)
        if worked is None:
            raise RefusedError(f"{row.folder}/{row.file} can't be kept", code=Code.DENIED)
        return worked.keeper


def _close(worked: _Worked) -> None:
    if worked.watch is not None:
        worked.watch.close()


def described(row: MirrorRow, versions: int, *, waiting: int, polls: bool) -> dict[str, Any]:
    """A mirror as requests tell it."""
    state = "asks" if row.doubt else "problem" if row.problem else "in_step"
    return {
        "folder": row.folder,
        "file": row.file,
        "project": row.project,
        "plane": row.plane.hex(),
        "workspace": row.workspace,
        "state": state,
        "problem": row.problem,
        "question": None if row.doubt is None else _question(row.doubt),
        "missing": len(row.missing),
        "left_out": row.left_out,
        "left_alone": row.left_alone,
        "left_alone_ids": list(row.left_alone_ids),
        "behind": row.is_behind,
        "older": row.older,
        "changed_at": row.changed_ms,
        "versions": versions,
        "polls": polls,
        "waiting": waiting,
    }


def _question(doubt: Doubt) -> dict[str, int]:
    return {"gone": doubt.gone, "reverted": doubt.reverted, "total": doubt.total}
