"""Waiting for news: a commit wakes who waits, in a thread or on a loop, and none is missed in between."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from moot_testkit.ledger import PATIENCE_S
from mootd.service.commits import Commits

LONG_MS = PATIENCE_S * 1000


def test_a_commit_between_looking_and_waiting_is_not_missed() -> None:
    commits = Commits()
    seen = commits.count
    commits.happened()
    commits.wait(seen, LONG_MS * 100)


def test_threads_that_wait_are_all_woken_by_one_commit() -> None:
    commits = Commits()
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(commits.wait, 0, LONG_MS * 100) for _ in range(3)]
        commits.happened()
        for future in waiting:
            future.result(PATIENCE_S)


def test_a_wait_ends_without_a_commit_when_its_time_is_up() -> None:
    commits = Commits()
    commits.wait(0, 1)
    assert commits.count == 0


async def test_on_a_loop_too_a_commit_in_between_is_not_missed() -> None:
    commits = Commits()
    commits.happened()
    async with asyncio.timeout(PATIENCE_S):
        await commits.until_after(0, asyncio.get_running_loop().time() + LONG_MS)


async def test_a_commit_in_another_thread_wakes_the_loop() -> None:
    commits = Commits()
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
        waiting = [group.create_task(commits.until_after(0, loop.time() + LONG_MS)) for _ in range(3)]
        await asyncio.sleep(0)  # now they wait
        assert not any(task.done() for task in waiting)
        thread = threading.Thread(target=commits.happened)
        thread.start()
    thread.join(PATIENCE_S)


async def test_who_gave_up_is_forgotten() -> None:
    commits = Commits()
    loop = asyncio.get_running_loop()
    await commits.until_after(0, loop.time())
    async with asyncio.TaskGroup() as group:
        given_up = group.create_task(commits.until_after(0, loop.time() + LONG_MS))
        await asyncio.sleep(0)
        given_up.cancel()
    assert not commits._waiting
    commits.happened()
