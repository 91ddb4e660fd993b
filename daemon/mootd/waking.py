"""What works whenever it is woken from elsewhere: in a thread until it is stopped, or in tasks until it is cancelled.

Invariant: a wake is never lost, whatever is under way; after `stop` the thread is gone, after `run` the tasks are. Who
wakes never waits, and never fails because nobody is there any more. That what is kept can't be looked at ends nothing:
it is told of (`Troubles`), and tried again.
"""

import asyncio
import contextlib
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Final

from mootd.troubles import Troubles

RETRY_S: Final = 5.0
"""How long after what is kept could not be looked at that is tried again."""


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


class WakingTasks(ABC):
    """Something that works in tasks on an event loop, one for each of what it keeps, from `run` until cancelled.

    A task that fails ends all.
    """

    def __init__(self) -> None:
        self.trouble = ""
        """Why what is kept could not be looked at, in words; empty where it could."""
        self._loop: asyncio.AbstractEventLoop | None = None
        """The loop, while `run` is under way."""
        self._changed = asyncio.Event()
        """What is kept may have changed."""

    async def run(self, troubles: Troubles | None = None, keeps: str = "tasks") -> None:
        """Work until cancelled.

        Args:
            troubles: is told where what is kept can't be looked at.
            keeps: what that is, in the plural.
        """
        told = partial((troubles or Troubles()).now, keeps)
        self._loop = asyncio.get_running_loop()
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    self._changed.clear()
                    if await self._has_followed(tasks, told):
                        await self._changed.wait()
                    else:
                        await asyncio.sleep(RETRY_S)
        finally:
            self._loop = None
            self._let_go()

    async def _has_followed(self, tasks: asyncio.TaskGroup, told: Callable[[Exception | None], str]) -> bool:
        """Follow what is kept; whether that worked."""
        try:
            await self._follow(tasks)
        except Exception as error:  # whatever it is, what is kept already goes on, and it is looked at again
            self.trouble = told(error)
            return False
        self.trouble = told(None)
        return True

    def _tell(self, what: Callable[[], object]) -> None:
        """Have something done on the loop, if `run` is under way. From any thread."""
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile: nobody is there any more
                loop.call_soon_threadsafe(what)

    @abstractmethod
    async def _follow(self, tasks: asyncio.TaskGroup) -> None:
        """Begin tasks for what came to be kept, and end those of what is kept no more."""

    @abstractmethod
    def _let_go(self) -> None:
        """Let go of what was kept: all tasks have ended."""
