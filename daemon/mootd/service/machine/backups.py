"""Backups: a copy of all that this machine needs to go on, made while it serves, and verified before it counts.

Invariants: writers never wait for it, since LMDB copies from a snapshot, in a thread of its own; the copy is checked
as `fsck` does it before it stands under its name; and it never forks its original, since the store in it is marked as
a copy, which writes nothing until `moot salvage` has said what it is.

What was copied is told by the copy alone: which snapshot LMDB took shows in what stands there. It must lie between
what the store said right before and right after, and be the same where nothing was written meanwhile.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.requests.machine import Backup, CheckBackup
from mootd.edges import backup_folder
from mootd.edges.backup_folder import Contents
from mootd.edges.keys import FileKeyStore
from mootd.engine.checking.fsck import Problem
from mootd.engine.checking.stretches import check_stretch
from mootd.engine.machine.home import OF_BACKUP
from mootd.engine.replica import Replica
from mootd.engine.state import REPLICA_KEY, no_town
from mootd.engine.stored import layout
from mootd.engine.stored.log import decode_plane
from mootd.ports import Clock
from mootd.service.machine.own_machine import Machine
from mootd.store.lmdb_store import LmdbStore
from mootd.store.port import Reader, Table
from mootd.version import VERSION

WAIT_S: Final = 0.25
"""How long one question waits for the end."""
PATIENCE_MS: Final = 10_000
"""After so long without a question nobody waits for it any more."""
_COPYING: Final = "copying"
_VERIFYING: Final = "verifying"
_AGAIN: Final = "make another backup; if that fails too, `moot fsck`"
_OTHER: Final = "use another backup"


class _Standing(NamedTuple):
    """How far a store is."""

    arrival: int
    cuts: int
    digests: tuple[tuple[bytes, bytes], ...]
    """(id, digest) of each plane."""


class _Verified(NamedTuple):
    """What a check of a store found."""

    problems: list[Problem]
    batches: int
    events: int
    planes: list[dict[str, Any]]
    standing: _Standing


class _Job:
    """What goes on in a thread, and how far it is."""

    def __init__(self, number: int, clock: Clock) -> None:
        self.cursor = str(number)
        self.stage = _COPYING
        self.progress: Callable[[], tuple[int, int]] = lambda: (0, 0)
        self.future: Future[dict[str, Any]] | None = None
        self._clock = clock
        self.is_over = False
        """Whether it has to end, whoever waits."""
        self.asked()

    def asked(self) -> None:
        """Somebody waits for it."""
        self._asked_ms = self._clock.monotonic_ms()

    def go_on(self) -> None:
        """Go on only as long as somebody waits and the daemon serves.

        Raises:
            RefusedError: `cancelled`.
        """
        if self.is_over:
            raise RefusedError("the daemon is stopping", code=Code.CANCELLED, retryable=True)
        if self._clock.monotonic_ms() - self._asked_ms > PATIENCE_MS:
            raise RefusedError("nobody waits for it any more", code=Code.CANCELLED)


class Backups:
    """The backup, or the check of one, that is under way: one at a time.

    Args:
        replica: what is copied.
        machine: where it lies.
        executor: threads for the work.
    """

    def __init__(self, replica: Replica, machine: Machine, executor: Executor) -> None:
        self._replica = replica
        self._machine = machine
        self._executor = executor
        self._lock = threading.Lock()
        self._job: _Job | None = None
        self._number = 0

    def answer(self, request: Backup | CheckBackup) -> dict[str, Any]:
        """Begin, or tell how far it is. On any thread."""
        if request.cursor:
            return self._told(self._going(request.cursor))
        if isinstance(request, CheckBackup):
            folder = Path(request.folder)
            return self._told(self._begin(lambda job: self._check(job, folder)))
        store = self._store()
        target = backup_folder.check_target(Path(request.folder), self._machine.places)
        if request.dry_run:
            files = [backup_folder.DATA, *backup_folder.sources(self._machine.places), backup_folder.LIST]
            ended = {"done": True, "cursor": "", "stage": _COPYING, "progress": [0, 0]}
            return ended | {"folder": str(target), "bytes": store.size(), "files": files}
        return self._told(self._begin(lambda job: self._back_up(job, store, target)))

    def stop(self) -> None:
        """End what is under way at its next step: the daemon ends, and has half a minute for that."""
        if self._job is not None:
            self._job.is_over = True

    # -- What goes on --------------------------------------------------------------------------------------------
    def _begin(self, work: Callable[[_Job], dict[str, Any]]) -> _Job:
        with self._lock:
            if self._job is not None and self._job.future is not None and not self._job.future.done():
                raise RefusedError(
                    "a backup is being made or checked already",
                    code=Code.CONFLICT,
                    hint="wait for it; one that nobody waits for ends within seconds",
                    retryable=True,
                )
            self._number += 1
            job = self._job = _Job(self._number, self._machine.clock)
            job.future = self._executor.submit(work, job)
            return job

    def _going(self, cursor: str) -> _Job:
        job = self._job
        if job is None or job.cursor != cursor:
            raise RefusedError("no such backup is under way", code=Code.CONFLICT, hint="begin anew", retryable=True)
        job.asked()
        return job

    @staticmethod
    def _told(job: _Job) -> dict[str, Any]:
        assert job.future is not None  # noqa: S101 - it is set before anybody has the job
        try:
            ended = job.future.result(WAIT_S)
        except TimeoutError:
            if job.future.done():
                raise
            return {"done": False, "cursor": job.cursor, "stage": job.stage, "progress": [*job.progress()]}
        return {"done": True, "cursor": job.cursor, "stage": job.stage, "progress": [*job.progress()], **ended}

    def _store(self) -> LmdbStore:
        if not self._replica.is_founded:
            raise no_town()
        store = self._replica.store
        if not isinstance(store, LmdbStore):
            raise RefusedError("what is kept in memory alone can't be copied", code=Code.NOT_READY)
        return store

    # -- Making one ----------------------------------------------------------------------------------------------
    def _back_up(self, job: _Job, store: LmdbStore, target: Path) -> dict[str, Any]:
        with backup_folder.growing(target) as grown:
            log = grown / backup_folder.LOG
            job.progress = lambda: (_bytes_in(log), store.size())
            before = self._standing()
            store.copy(log)
            after = self._standing()
            # Afterwards: a key is kept before the store tells of it, so that all that the copy tells of are here.
            backup_folder.copy_small(backup_folder.sources(self._machine.places), grown)
            _mark(log)
            verified = self._verify(job, grown)
            problems = [*verified.problems, *_strayed(before, verified.standing, after)]
            if problems:
                raise _unsound(problems)
            made = Contents(
                version=VERSION,
                made=self._machine.clock.now_ms(),
                batches=verified.batches,
                events=verified.events,
                planes=verified.planes,
                files={},
            )
            contents = backup_folder.write_list(grown, made)
            job.go_on()
        return _shown(target, contents)

    def _standing(self) -> _Standing:
        with self._replica.store.read() as reader:
            return _standing_of(reader, self._replica)

    # -- Checking one --------------------------------------------------------------------------------------------
    def _check(self, job: _Job, folder: Path) -> dict[str, Any]:
        job.stage = _VERIFYING
        try:
            contents = backup_folder.read_list(folder)
        except RefusedError as error:
            if error.code is not Code.STORE_DAMAGED:
                raise
            problem = Problem(backup_folder.LIST, "it is not as it was written", _OTHER)
            return {"folder": str(folder), "problems": [problem._asdict()]}
        problems = [Problem(name, what, _OTHER) for name, what in backup_folder.differing(folder, contents)]
        # A store whose bytes are others isn't opened: LMDB may take the process with it.
        if not any(problem.where == backup_folder.DATA for problem in problems):
            problems += self._checked_store(job, folder, contents)
        shown = _shown(folder, contents)
        return shown | {"made": contents.made, "problems": [problem._asdict() for problem in problems]}

    def _checked_store(self, job: _Job, folder: Path, contents: Contents) -> Iterator[Problem]:
        try:
            verified = self._verify(job, folder)
        except MootError as error:
            if error.code in {Code.CANCELLED, Code.STORE_LOCKED, Code.DENIED}:
                raise  # it couldn't be looked at
            yield Problem(backup_folder.DATA, error.message, _OTHER)
            return
        yield from verified.problems
        told = (contents.batches, contents.events, contents.planes)
        if (verified.batches, verified.events, verified.planes) != told:
            yield Problem(backup_folder.LIST, "it tells of another log than is there", _OTHER)

    # -- Both ----------------------------------------------------------------------------------------------------
    def _verify(self, job: _Job, folder: Path) -> _Verified:
        """Check the store in a folder as `fsck` does, against the keys beside it, and leave it as it was."""
        job.stage = _VERIFYING
        seen = (0, 0)
        job.progress = lambda: seen
        owner = folder / backup_folder.LOG / "owner"
        was_opened = owner.exists()
        store = LmdbStore.open(folder / backup_folder.LOG, read_only=True)
        try:
            keys = FileKeyStore(folder / "keys", self._replica.entropy)
            copy = Replica(store, keys, self._machine.clock, self._replica.entropy)
            problems = list(_key_problems(copy))
            cursor, done, events = "", False, 0
            while not done:
                job.go_on()
                with store.read() as reader:
                    found = check_stretch(copy, reader, cursor)
                problems += found.problems
                done, cursor, events, seen = found.done, found.cursor, found.events, (found.checked, found.total)
            with store.read() as reader:
                standing = _standing_of(reader, copy)
                return _Verified(problems, reader.count(Table.BATCHES), events, _planes(copy, standing), standing)
        finally:
            store.close()
            if not was_opened:
                with suppress(OSError):  # on a disk that is mounted read-only nothing was made
                    owner.unlink(missing_ok=True)


def _bytes_in(log: Path) -> int:
    try:
        return sum(path.stat().st_size for path in log.iterdir())
    except OSError:
        return 0  # not there yet, or just renamed


def _mark(log: Path) -> None:
    """Mark a store as a copy: restored, it must not write under its original's key without being told to."""
    store = LmdbStore.open(log)
    try:
        with store.write() as writer:
            writer.put(Table.META, layout.COPIED, OF_BACKUP)
    finally:
        store.close()


def _standing_of(reader: Reader, replica: Replica) -> _Standing:
    arrival, cuts = (int.from_bytes(reader.get(Table.META, key) or b"", "big") for key in (layout.ARRIVAL, layout.CUTS))
    views = replica.views_of(reader)
    planes = reader.scan(Table.META, layout.PLANES, layout.after(layout.PLANES))
    digests = [
        (row.id, reader.get(Table.META, layout.digest_key(views.generation, row.number)) or bytes(32))
        for row in (decode_plane(value) for _, value in planes)
    ]
    return _Standing(arrival, cuts, tuple(digests))


def _strayed(before: _Standing, copied: _Standing, after: _Standing) -> Iterator[Problem]:
    """What shows that a copy isn't of a snapshot between two moments."""
    is_between = before.arrival <= copied.arrival <= after.arrival and before.cuts <= copied.cuts <= after.cuts
    if not is_between or (before == after and copied != before):
        yield Problem(backup_folder.DATA, "it is not what was copied", _AGAIN)


def _key_problems(copy: Replica) -> Iterator[Problem]:
    try:
        copy.signer(REPLICA_KEY)
    except MootError as error:
        yield Problem("keys", error.message, error.hint)


def _planes(copy: Replica, standing: _Standing) -> list[dict[str, Any]]:
    digests = dict(standing.digests)
    return [
        {
            "name": row.name,
            "plane": row.id.hex(),
            "events": sum(feed.n for feed in copy.feeds.values() if feed.plane == number),
            "digest": digests[row.id].hex(),
        }
        for number, row in sorted(copy.planes.items())
    ]


def _shown(folder: Path, contents: Contents) -> dict[str, Any]:
    return {
        "folder": str(folder),
        "bytes": sum(file.bytes for file in contents.files.values()),
        "batches": contents.batches,
        "events": contents.events,
        "files": [*contents.files, backup_folder.LIST],
        "planes": contents.planes,
    }


def _unsound(problems: list[Problem]) -> MootError:
    first = problems[0]
    more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
    return MootError(
        f"the copy isn't sound, and was removed: {first.where}: {first.problem}{more}",
        code=Code.STORE_DAMAGED,
        hint="`moot fsck` tells whether the store itself is damaged",
    )
