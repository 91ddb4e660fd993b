"""The wish that the daemon ends: it is heard whenever it comes."""

import asyncio
import threading

from mootd.stopping import Stop


async def test_what_is_bound_is_stopped_from_any_thread() -> None:
    stopped, stop = asyncio.Event(), Stop()
    stop.bind(asyncio.get_running_loop(), stopped.set)
    assert not stopped.is_set()
    threading.Thread(target=stop).start()
    await stopped.wait()


async def test_a_wish_that_came_before_there_was_anything_to_stop_is_kept() -> None:
    stopped, stop = asyncio.Event(), Stop()
    stop()
    stop.bind(asyncio.get_running_loop(), stopped.set)
    await stopped.wait()
