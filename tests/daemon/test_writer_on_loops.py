"""The writer thread and event loops: no loop is blocked, each is woken once, and nobody's going disturbs the others."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from blockbuster import blockbuster_ctx

from moot_protocol.errors import RefusedError
from moot_testkit.clients.wakings import count_wakings
from moot_testkit.ledger import PATIENCE_S, Ledger, Unit, refuses, writes
from mootd.writer import Writer


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def writer(ledger: Ledger) -> Iterator[Writer[Unit]]:
    writer = Writer(ledger.begin)
    yield writer
    ledger.may_commit.set()
    writer.stop()


async def test_a_loop_is_woken_once_for_all_answers_of_a_group(
    writer: Writer[Unit], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    wakings = count_wakings(monkeypatch)
    with ledger.holding_the_next_commit(writer):
        answers = [writer.submit_async(writes(number), loop) for number in range(10)]
        refused = writer.submit_async(refuses, loop)
    assert await asyncio.gather(*answers) == list(range(10))
    with pytest.raises(RefusedError):
        await refused
    assert len(wakings) == 1


async def test_submitting_and_waiting_never_blocks_the_loop(ledger: Ledger) -> None:
    loop = asyncio.get_running_loop()
    writer = Writer(ledger.begin)

    async def client(number: int) -> list[int]:
        return [await writer.submit_async(writes(number), loop) for _ in range(20)]

    with blockbuster_ctx():
        answers = await asyncio.gather(*(client(number) for number in range(8)))
        await asyncio.to_thread(writer.stop)
    assert answers == [[number] * 20 for number in range(8)]
    assert len(ledger.rows) == 160


async def test_a_caller_who_stops_waiting_leaves_the_others_their_answers(writer: Writer[Unit], ledger: Ledger) -> None:
    loop = asyncio.get_running_loop()
    with ledger.holding_the_next_commit(writer):
        gone, stays = writer.submit_async(writes("gone"), loop), writer.submit_async(writes("stays"), loop)
        gone.cancel()
    assert await stays == "stays"
    assert ledger.rows == ["first", "stays"]


async def test_a_caller_who_stops_waiting_while_the_group_runs_disturbs_nobody(
    writer: Writer[Unit], ledger: Ledger
) -> None:
    loop = asyncio.get_running_loop()
    running, go_on = threading.Event(), threading.Event()

    def slow(unit: Unit) -> Any:
        running.set()
        assert go_on.wait(PATIENCE_S)
        return unit.write("stays")

    with ledger.holding_the_next_commit(writer):
        gone, stays = writer.submit_async(writes("gone"), loop), writer.submit_async(slow, loop)
    assert await asyncio.to_thread(running.wait, PATIENCE_S)
    gone.cancel()
    go_on.set()
    assert await stays == "stays"
    assert ledger.rows == ["first", "gone", "stays"]


def test_a_loop_that_closed_takes_no_answer_from_those_that_did_not(writer: Writer[Unit], ledger: Ledger) -> None:
    loop = asyncio.new_event_loop()
    with ledger.holding_the_next_commit(writer):
        writer.submit_async(writes("for the closed loop"), loop)
        loop.close()
        other = writer.submit(writes("for a thread"))
    assert other.result(PATIENCE_S) == "for a thread"
    assert writer.submit(writes("later")).result(PATIENCE_S) == "later"


async def test_who_is_told_hears_in_the_turn_in_which_the_loop_does(writer: Writer[Unit], ledger: Ledger) -> None:
    loop = asyncio.get_running_loop()
    told: list[Any] = []
    with ledger.holding_the_next_commit(writer):
        future = writer.submit_async(writes("b"), loop)
        future.add_done_callback(lambda done: told.append(done.result()))
        writer.submit_told(writes("a"), loop, lambda *what: told.append(what))
        writer.submit_told(refuses, loop, lambda *what: told.append(what))
        await asyncio.sleep(0)
        assert told == [], "nothing is told before the commit"
    await future
    (answer, no_error), (no_answer, error), a_turn_later = told
    assert (answer, no_error, no_answer, a_turn_later) == ("a", None, None, "b")
    assert isinstance(error, RefusedError)


async def test_who_wants_to_be_told_no_more_is_not_and_a_job_not_begun_is_not_run(
    writer: Writer[Unit], ledger: Ledger
) -> None:
    loop = asyncio.get_running_loop()
    told: list[Any] = []
    with ledger.holding_the_next_commit(writer):
        gone = writer.submit_told(writes("gone"), loop, lambda *what: told.append(what))
        gone.cancel()
    running, go_on = threading.Event(), threading.Event()

    def slow(unit: Unit) -> Any:
        running.set()
        assert go_on.wait(PATIENCE_S)
        return unit.write("slow")

    late = writer.submit_told(slow, loop, lambda *what: told.append(what))
    assert await asyncio.to_thread(running.wait, PATIENCE_S)
    late.cancel()
    go_on.set()
    assert await writer.submit_async(writes("last"), loop) == "last"
    assert (told, ledger.rows) == ([], ["first", "slow", "last"])


async def test_who_fails_when_told_keeps_nobody_from_an_answer(writer: Writer[Unit], ledger: Ledger) -> None:
    loop = asyncio.get_running_loop()

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    with ledger.holding_the_next_commit(writer):
        writer.submit_told(writes("a"), loop, fail)
        other = writer.submit_async(writes("b"), loop)
    assert await other == "b"
