"""What is woken: no wake is lost, no failed look ends it, and once stopped or cancelled nothing of it is left."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from moot_testkit.live import until
from mootd import waking
from mootd.troubles import Troubles
from mootd.waking import WakingTasks, WakingThread

PATIENCE_S = 15


class Counting(WakingThread):
    """Counts the times that it was woken, one look at a time."""

    def __init__(self) -> None:
        super().__init__("counting")
        self.looks = 0
        self.may_look = threading.Semaphore(0)
        self.looked = threading.Semaphore(0)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self._wake.wait()
            self._wake.clear()
            assert self.may_look.acquire(timeout=PATIENCE_S)
            self.looks += 1
            self.looked.release()


@pytest.fixture
def counting() -> Iterator[Counting]:
    made = Counting()
    made.start()
    yield made
    made.may_look.release(10)
    made.stop()


def test_a_wake_while_it_works_is_one_more_look(counting: Counting) -> None:
    counting.happened()
    counting.may_look.release()
    assert counting.looked.acquire(timeout=PATIENCE_S)
    counting.happened()
    counting.may_look.release()
    assert counting.looked.acquire(timeout=PATIENCE_S)
    assert counting.looks == 2


def test_after_stop_its_thread_is_gone_though_nothing_had_woken_it() -> None:
    made = Counting()
    made.may_look.release()
    made.start()
    made.stop()
    assert "counting" not in {thread.name for thread in threading.enumerate()}


# -- Tasks -------------------------------------------------------------------------------------------------------
class Keeping(WakingTasks):
    """Keeps a task for each look that it took at what it keeps."""

    def __init__(self, *, meanwhile: Callable[["Keeping"], None] | None = None) -> None:
        super().__init__()
        self.looks = 0
        self.working = 0
        self.two = asyncio.Event()
        """Two tasks work."""
        self.left_working: list[int] = []
        """How many tasks worked whenever it let go."""
        self._meanwhile = meanwhile

    def happened(self) -> None:
        self._tell(self._changed.set)

    async def _follow(self, tasks: asyncio.TaskGroup) -> None:
        self.looks += 1
        tasks.create_task(self._work())
        if self._meanwhile is not None:
            self._meanwhile(self)
        await asyncio.sleep(0)

    async def _work(self) -> None:
        self.working += 1
        if self.working == 2:
            self.two.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.working -= 1

    def _let_go(self) -> None:
        self.left_working.append(self.working)


@asynccontextmanager
async def running(keeping: Keeping, troubles: Troubles | None = None) -> AsyncIterator[None]:
    task = asyncio.get_running_loop().create_task(keeping.run(troubles, "files"))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_tasks_begin_with_what_is_kept_and_with_what_comes_to_be_kept_when_another_thread_wakes_them() -> None:
    keeping = Keeping()
    async with running(keeping):
        await until(lambda: keeping.working == 1)
        other = threading.Timer(0.01, keeping.happened)
        other.start()
        async with asyncio.timeout(PATIENCE_S):
            await keeping.two.wait()  # nothing else wakes the loop
        other.join()


async def test_a_wake_while_they_look_at_what_is_kept_is_one_more_look() -> None:
    def once(keeping: Keeping) -> None:
        if keeping.looks == 1:
            keeping._changed.set()

    keeping = Keeping(meanwhile=once)
    async with running(keeping):
        await until(lambda: keeping.working == 2)
    assert keeping.looks == 2


async def test_when_they_are_cancelled_all_have_ended_before_what_was_kept_is_let_go() -> None:
    keeping = Keeping()
    async with running(keeping):
        await until(lambda: keeping.working == 1)
        assert keeping.left_working == []
    assert keeping.left_working == [0]


def test_waking_tasks_that_do_not_run_or_whose_loop_has_closed_does_nothing() -> None:
    keeping = Keeping()
    keeping.happened()
    keeping._loop = asyncio.new_event_loop()
    keeping._loop.close()
    keeping.happened()
    assert keeping.looks == 0


async def test_after_they_ended_a_wake_finds_no_loop() -> None:
    keeping = Keeping()
    async with running(keeping):
        await until(lambda: keeping.working == 1)
    keeping.happened()
    assert not keeping._changed.is_set()
    await asyncio.sleep(0)
    assert not keeping._changed.is_set()


async def test_a_look_that_fails_is_told_and_taken_again_while_what_is_kept_already_works_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waking, "RETRY_S", 0.01)
    works = True

    def look(_: Keeping) -> None:
        if not works:
            raise ValueError

    keeping, troubles = Keeping(meanwhile=look), Troubles()
    async with running(keeping, troubles):
        await until(lambda: keeping.working == 1)
        works = False
        keeping.happened()
        await until(lambda: keeping.looks > 3)
        assert keeping.trouble == "a defect in Moot, ValueError"
        assert troubles.messages() == ["the daemon can't see to its files: a defect in Moot, ValueError"]
        assert keeping.working > 2
        works = True
        await until(lambda: not keeping.trouble)
        assert troubles.messages() == []
