"""Waiting for news: who subscribes is woken by the next commit, in a thread or on the loop."""

import asyncio
import threading


class Commits:
    """Counts commits, and wakes those who wait for one."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._waiting: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self.count = 0

    def happened(self) -> None:
        """A transaction has been committed. Called by the writer."""
        with self._condition:
            self.count += 1
            self._condition.notify_all()
            waiting = list(self._waiting)
        for loop, event in waiting:
            loop.call_soon_threadsafe(event.set)

    def wait(self, seen: int, ms: int) -> None:
        """Block until there are more commits than `seen`, or so many milliseconds have passed."""
        with self._condition:
            self._condition.wait_for(lambda: self.count > seen, ms / 1000)

    async def until_after(self, seen: int, end: float) -> None:
        """As `wait`, on a loop; `end` is on the loop's clock, in seconds."""
        loop = asyncio.get_running_loop()
        entry = (loop, asyncio.Event())
        with self._condition:
            self._waiting.add(entry)
            if self.count > seen:
                entry[1].set()
        try:
            async with asyncio.timeout_at(end):
                await entry[1].wait()
        except TimeoutError:
            return
        finally:
            with self._condition:
                self._waiting.discard(entry)
