"""A thread that does something whenever it is woken, until it is stopped.

Invariant: a wake is never lost, whatever the thread is at; and after `stop` the thread is gone.
"""

import threading
from abc import ABC, abstractmethod


class WakingThread(ABC):
    """Something that works in a thread of its own.

    Args:
        name: the thread's name.
    """

    def __init__(self, name: str) -> None:
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def happened(self) -> None:
        """Something was committed: it is woken. Called from any thread."""
        self._wake.set()

    def stop(self) -> None:
        """End, and wait until what is under way is done."""
        self._stopped.set()
        self._wake.set()
        self._thread.join()

    @abstractmethod
    def _run(self) -> None:
        """Work until `_stopped` is set, waiting for `_wake` in between."""
