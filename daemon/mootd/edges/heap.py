"""Gives freed memory back to the system once bulk writes pause.

A bulk write dirties thousands of pages, each with memory of its own, among objects that stay. The C library keeps what
is freed between them: after an import of 300,000 issues that was 75 of 131 MB. Other systems' libraries give it back
by themselves, or never; there nothing is done.
"""

import ctypes
from collections.abc import Callable
from typing import Final

from mootd.waking import WakingThread

PAUSE_SECONDS: Final = 5.0
"""Between a bulk write and the giving back, which takes some milliseconds in which nobody else gets memory."""


def trimming() -> Callable[[], object]:
    """What makes the C library give back all that it can; does nothing where it has no such function."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return lambda: None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return lambda: trim(0)


class HeapTrimmer(WakingThread):
    """Trims the heap a while after it is woken, and not more often than that.

    Args:
        trim: gives freed memory back.
        pause_seconds: how long after.
    """

    def __init__(self, trim: Callable[[], object], pause_seconds: float = PAUSE_SECONDS) -> None:
        super().__init__("moot-heap")
        self._trim = trim
        self._pause_seconds = pause_seconds

    def _run(self) -> None:
        while self._wake.wait() and not self._stopped.wait(self._pause_seconds):
            self._wake.clear()
            self._trim()
