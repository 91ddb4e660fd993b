"""The one thread that writes. It commits for everybody who waits, and answers nobody before the commit is durable.

Guarantees:

* One transaction at a time, and jobs run one after the other, on this thread alone. Interactive jobs run in the order
  in which they were submitted, bulk jobs too.
* *Group commit*: the thread takes every interactive job that waits, commits them together and only then answers
  (acknowledged means durable). Nothing is timed: a job that comes alone is committed alone, at once.
* A bulk job has a transaction of its own. Groups and bulk jobs take turns, so an interactive job waits for one bulk
  job at most, and a bulk job for one group. A bulk job that could do more may look whether `others_wait`.
* A job that raises fails alone. If the transaction cannot begin or commit, every job of the group gets that error,
  whatever it had returned: it saw what the others wrote.
* What was accepted is answered: `stop` drains. A job whose future was cancelled, or whose deadline passed, while it
  waited is not run.

A job may fail in three ways. It refuses before it writes (any `RefusedError` but one of the store's, where the unit's
mark is as it was): nothing to undo. It says beforehand that it may fail after writing (`atomic`): it runs in a
savepoint. Or it breaks, as one that refuses after writing does: the transaction is abandoned, and a group runs once
more with a savepoint for each. Hence **a job may run twice**, or run and be undone: its effects belong into the unit,
and memory that mirrors the store must follow the transaction.

Not guaranteed: that a cancelled asyncio future's job did not run. It may have been under way.
"""

import asyncio
import contextlib
import copy
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import structlog

from moot_protocol.errors import STORE_CODES, Code, MootError, RefusedError, defect
from moot_protocol.limits import WRITER_QUEUE
from mootd.edges.clock import SystemClock
from mootd.ports import Clock


class Unit(Protocol):
    """What a job writes to: one transaction of the engine."""

    def savepoint(self) -> AbstractContextManager[None]:
        """Writes inside the `with` block vanish if it raises."""

    def mark(self) -> object:
        """Equal to an earlier one as long as nothing was written since and kept."""


U = TypeVar("U", bound=Unit)
R = TypeVar("R")


class Commit(NamedTuple):
    """One transaction that ended, as the observer sees it."""

    jobs: int
    """Jobs that were run, those that failed alone included."""
    bulk: bool
    error: MootError | None
    """Why the transaction was not committed, or None; None too where its only job failed of itself."""


class Told:
    """Somebody on an event loop who is called with what became of a job, in the turn in which the loop hears of it.

    Args:
        call: called once, on the loop's thread, with the answer and None or with None and the error.
    """

    __slots__ = ("_call",)

    def __init__(self, call: Callable[[Any, BaseException | None], object]) -> None:
        self._call: Callable[[Any, BaseException | None], object] | None = call

    def cancel(self) -> None:
        """Want to know no more; a job not begun yet is not run."""
        self._call = None

    def cancelled(self) -> bool:
        """Whether nobody wants to know."""
        return self._call is None

    done = cancelled

    def set_result(self, result: Any) -> None:
        """Tell the answer."""
        self._tell(result, None)

    def set_exception(self, error: BaseException) -> None:
        """Tell the error."""
        self._tell(None, error)

    def _tell(self, result: Any, error: BaseException | None) -> None:
        call, self._call = self._call, None
        if call is not None:
            call(result, error)


class _Job(Generic[U]):
    """A job, who waits for it, and what became of it."""

    __slots__ = ("_run", "atomic", "deadline_ms", "error", "future", "loop", "result")

    def __init__(
        self,
        run: Callable[[U], Any],
        future: "Future[Any] | asyncio.Future[Any] | Told",
        loop: asyncio.AbstractEventLoop | None,
        *,
        atomic: bool,
        deadline_ms: int | None,
    ) -> None:
        self._run = run
        self.future = future
        self.loop = loop
        self.atomic = atomic
        self.deadline_ms = deadline_ms
        self.result: Any = None
        self.error: BaseException | None = None

    def starts(self) -> bool:
        """Whether somebody still waits; from here on a thread's future can no longer be cancelled."""
        if isinstance(self.future, Future):
            return self.future.set_running_or_notify_cancel()
        return not self.future.cancelled()

    def run(self, unit: U, *, guarded: bool) -> None:
        """Run it and keep what it returns or raises.

        Raises:
            _BrokenError: it failed in a way that may have left writes behind.
        """
        self.result = self.error = None
        savepoint, mark, is_undone = guarded or self.atomic, unit.mark(), False
        try:
            if savepoint:
                with (
                    unit.savepoint()
                ):  # which first brings up what others wrote: if that fails, it isn't the job's fault
                    is_undone = True
                    self.result = self._run(unit)
            else:
                self.result = self._run(unit)
        except BaseException as error:  # whatever it is, it must reach who waits, and the thread must go on
            self.error = _presentable(error)
            wrote_nothing = not savepoint and _is_refusal(error) and unit.mark() == mark
            if not (is_undone or wrote_nothing):
                raise _BrokenError from error

    def settle(self) -> None:
        """Give the future what became of the job; on the loop's thread for a loop's future."""
        if self.future.done():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class _BrokenError(Exception):
    """A job failed outside a savepoint, and its transaction cannot be trusted any more."""


class Writer(Generic[U]):
    """The writer thread. It starts at once; `stop` ends it.

    Args:
        begin: begins the write transaction: its `with` block gives the unit, commits durably when it ends and undoes
            everything when it raises. Called on the writer's thread only, as is all that is done with the unit.
        observer: told of each transaction on the writer's thread, after the results were given. It must be quick.
        queue_limit: jobs of each sort (interactive, bulk) that may wait.
        clock: for deadlines.
    """

    def __init__(
        self,
        begin: Callable[[], AbstractContextManager[U]],
        *,
        observer: Callable[[Commit], None] = lambda _commit: None,
        queue_limit: int = WRITER_QUEUE,
        clock: Clock | None = None,
    ) -> None:
        self._begin = begin
        self._observer = observer
        self._queue_limit = queue_limit
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()  # of everything below
        self._interactive: deque[_Job[U]] = deque()
        self._bulk: deque[_Job[U]] = deque()
        self._bulk_is_next = False
        self._stopped = False
        self._idle = False
        self._wake = threading.Lock()  # held while the thread has nothing to do; released once to wake it
        self._wake.acquire()
        self._thread = threading.Thread(target=self._serve, name="moot-writer", daemon=True)
        self._thread.start()

    def submit(
        self, job: Callable[[U], R], *, bulk: bool = False, atomic: bool = False, deadline_ms: int | None = None
    ) -> "Future[R]":
        """Queue a job.

        Args:
            job: takes the unit and returns the answer; see the module for what it may do.
            bulk: it is long, and others go first.
            atomic: it may fail after it has written.
            deadline_ms: on the clock's monotonic scale; a job not begun by then fails with `timeout`.

        Returns:
            A future with the answer, once it is durable.

        Raises:
            RefusedError: `busy` when too many wait, `cancelled` after `stop`. The future's errors are what the job
                raised, or why its transaction failed; `timeout` if it was not begun in time.
        """
        future: Future[R] = Future()
        self._put(_Job(job, future, None, atomic=atomic, deadline_ms=deadline_ms), bulk=bulk)
        return future

    def submit_async(
        self,
        job: Callable[[U], R],
        loop: asyncio.AbstractEventLoop,
        *,
        bulk: bool = False,
        atomic: bool = False,
        deadline_ms: int | None = None,
    ) -> "asyncio.Future[R]":
        """Queue a job for somebody on an event loop; as `submit`. To be called on the loop's thread.

        All answers of one group reach the loop in one call. A loop that is closed by then gets none.
        """
        future: asyncio.Future[R] = loop.create_future()
        self._put(_Job(job, future, loop, atomic=atomic, deadline_ms=deadline_ms), bulk=bulk)
        return future

    def submit_told(
        self,
        job: Callable[[U], Any],
        loop: asyncio.AbstractEventLoop,
        call: Callable[[Any, BaseException | None], object],
        *,
        bulk: bool = False,
        atomic: bool = False,
        deadline_ms: int | None = None,
    ) -> Told:
        """As `submit_async`, for who wants no future: neither a task nor another turn of the loop stands between.

        Args:
            job: as for `submit`.
            loop: the loop.
            call: as for `Told`.
            bulk: as for `submit`.
            atomic: as for `submit`.
            deadline_ms: as for `submit`.

        Returns:
            What takes the job back, as long as it hasn't begun.
        """
        told = Told(call)
        self._put(_Job(job, told, loop, atomic=atomic, deadline_ms=deadline_ms), bulk=bulk)
        return told

    def stop(self) -> None:
        """Refuse new jobs, run those accepted, and wait until the thread has ended. Harmless when repeated.

        Blocks, so a loop calls it in a thread.
        """
        with self._lock:
            self._stopped = True
            self._wake_up()
        self._thread.join()

    def _put(self, job: _Job[U], *, bulk: bool) -> None:
        with self._lock:
            if self._stopped:
                raise RefusedError("the daemon is stopping", code=Code.CANCELLED, retryable=True)
            queue = self._bulk if bulk else self._interactive
            if len(queue) >= self._queue_limit:
                raise RefusedError(
                    f"{len(queue)} writes are waiting already", code=Code.BUSY, hint="try again soon", retryable=True
                )
            queue.append(job)
            self._wake_up()

    def _wake_up(self) -> None:
        """Wake the thread if it sleeps. Needs the lock."""
        if self._idle:
            self._idle = False
            self._wake.release()

    def others_wait(self) -> bool:
        """Whether a job waits besides the one under way."""
        return bool(self._interactive or self._bulk)

    # -- On the writer's thread ----------------------------------------------------------------------------------

    def _serve(self) -> None:
        while self._serve_next():
            pass

    def _serve_next(self) -> bool:
        """Wait for work and do one group or one bulk job; False at the end. Keeps no job alive while it waits."""
        with self._lock:
            jobs, bulk = self._take()
            if not jobs:
                if self._stopped:
                    return False
                self._idle = True
        if jobs:
            self._carry_out(jobs, bulk=bulk)
        else:
            self._wake.acquire()
        return True

    def _take(self) -> tuple[list[_Job[U]], bool]:
        """The next group, and whether it is a bulk job. Needs the lock."""
        if self._bulk and (self._bulk_is_next or not self._interactive):
            self._bulk_is_next = False
            return [self._bulk.popleft()], True
        jobs = list(self._interactive)
        self._interactive.clear()
        self._bulk_is_next = bool(jobs)
        return jobs, False

    def _carry_out(self, waiting: list[_Job[U]], *, bulk: bool) -> None:
        jobs = [job for job in waiting if job.starts()]
        late = [job for job in jobs if job.deadline_ms is not None and self._clock.monotonic_ms() > job.deadline_ms]
        for job in late:
            job.error = RefusedError(
                "the write did not begin in time; nothing was written", code=Code.TIMEOUT, retryable=True
            )
        running = [job for job in jobs if job.error is None]
        failure = self._commit(running) if running else None
        _settle(jobs)
        if running:
            self._observe(Commit(len(running), bulk, failure))

    def _commit(self, jobs: list[_Job[U]]) -> MootError | None:
        """Run jobs in one transaction and commit it; what became of them stands in them.

        Returns:
            Why nothing was committed, or None.
        """
        try:
            try:
                self._transact(jobs, guarded=False)
            except _BrokenError:
                if len(jobs) > 1:
                    self._transact(jobs, guarded=True)
        except BaseException as error:  # as for a job: whoever waits must hear of it
            cause = error.__cause__ or error if isinstance(error, _BrokenError) else error
            for job in jobs:
                job.error = _failure(cause)
            return _failure(cause)
        return None

    def _transact(self, jobs: list[_Job[U]], *, guarded: bool) -> None:
        complete = False
        with self._begin() as unit:
            for job in jobs:
                job.run(unit, guarded=guarded)
            complete = True
        if not complete:
            raise RuntimeError("the transaction swallowed an error")

    def _observe(self, commit: Commit) -> None:
        try:
            self._observer(commit)
        except Exception:  # what watches the writer must not end it
            structlog.get_logger().exception("writer_observer_failed")


def _is_refusal(error: BaseException) -> bool:
    return isinstance(error, RefusedError) and error.code not in STORE_CODES


def _presentable(error: BaseException) -> BaseException:
    """The error as a future can hold it: StopIteration and what would end a loop or a thread go in disguise."""
    return error if isinstance(error, Exception) and not isinstance(error, StopIteration) else _failure(error)


def _failure(error: BaseException) -> MootError:
    """An error of a transaction for one of those who wait: each gets its own, since raising one changes it."""
    if isinstance(error, MootError):
        failure = copy.copy(error)
    else:
        failure = defect(error, "the write failed, and nothing was written")
    failure.__cause__ = error
    return failure


def _settle(jobs: list[_Job[Any]]) -> None:
    """Answer everybody, waking each event loop once."""
    loops: dict[asyncio.AbstractEventLoop, list[_Job[Any]]] = {}
    for job in jobs:
        if job.loop is None:
            job.settle()
        else:
            loops.setdefault(job.loop, []).append(job)
    for loop, its in loops.items():
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits there any more
            loop.call_soon_threadsafe(_settle_here, its)


def _settle_here(jobs: list[_Job[Any]]) -> None:
    for job in jobs:
        try:
            job.settle()
        except Exception:  # whoever is told and fails must not keep the others waiting
            structlog.get_logger().exception("writer_answer_failed")
