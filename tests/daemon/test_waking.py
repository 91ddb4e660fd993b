"""A thread that is woken: no wake is lost, and it is gone once it was stopped."""

import threading
from collections.abc import Iterator

import pytest

from mootd.waking import WakingThread

PATIENCE_S = 30


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
