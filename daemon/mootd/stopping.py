"""The wish that the daemon ends, which may come before there is anything to be stopped."""

import asyncio
import threading
from collections.abc import Callable


class Stop:
    """Asks the server to end, from whatever thread and however early."""

    def __init__(self) -> None:
        self._asked = False
        self._lock = threading.Lock()
        self._ask: Callable[[], object] | None = None

    def bind(self, loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> None:
        """Say what there is to be stopped."""
        with self._lock:
            self._ask = lambda: loop.call_soon_threadsafe(stop)
            if self._asked:
                self._ask()

    def __call__(self) -> None:
        """Stop."""
        with self._lock:
            self._asked = True
            if self._ask is not None:
                self._ask()
