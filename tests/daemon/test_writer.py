"""The writer thread: group commit, failures kept apart, and no answer before the commit is durable."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import Code, MootError, RefusedError
from moot_testkit.ledger import PATIENCE_S, Ledger, Unit, refuses, writes, writes_then_raises
from mootd.edges.clock import ManualClock
from mootd.writer import Commit, Writer


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def observed() -> list[Commit]:
    return []


@pytest.fixture
def writer(ledger: Ledger, clock: ManualClock, observed: list[Commit]) -> Iterator[Writer[Unit]]:
    writer = Writer(ledger.begin, observer=observed.append, queue_limit=20, clock=clock)
    yield writer
    ledger.may_commit.set()
    writer.stop()


# -- Answers -----------------------------------------------------------------------------------------------------


def test_a_job_is_answered_with_what_it_returns(writer: Writer[Unit], ledger: Ledger) -> None:
    assert writer.submit(lambda unit: len(unit.rows)).result(PATIENCE_S) == 0
    assert writer.submit(writes("a")).result(PATIENCE_S) == "a"
    assert ledger.rows == ["a"]


def test_nothing_is_acknowledged_before_its_commit_returned(writer: Writer[Unit], ledger: Ledger) -> None:
    with ledger.holding_the_next_commit(writer) as first:
        assert not first.done()
    assert first.result(PATIENCE_S) == "first"


def test_a_refusal_too_waits_for_the_commit_since_it_saw_what_others_wrote(
    writer: Writer[Unit], ledger: Ledger
) -> None:
    with ledger.holding_the_next_commit(writer):
        ledger_full = writer.submit(writes("a"))
        refused = writer.submit(refuses)
        ledger.commit_error = RefusedError("disk full", code=Code.STORE_FULL)
    for future in (ledger_full, refused):
        with pytest.raises(RefusedError) as caught:
            future.result(PATIENCE_S)
        assert caught.value.code is Code.STORE_FULL


def test_jobs_of_one_caller_run_in_their_order(writer: Writer[Unit], ledger: Ledger) -> None:
    futures = [writer.submit(writes(number)) for number in range(20)]
    for future in futures:
        future.result(PATIENCE_S)
    assert ledger.rows == list(range(20))


# -- Groups ------------------------------------------------------------------------------------------------------


def test_what_waits_while_a_commit_runs_is_committed_together(writer: Writer[Unit], ledger: Ledger) -> None:
    with ledger.holding_the_next_commit(writer):
        futures = [writer.submit(writes(number)) for number in range(10)]
    for future in futures:
        future.result(PATIENCE_S)
    assert ledger.committed == [["first"], list(range(10))]


def test_many_threads_get_every_row_in_once(ledger: Ledger) -> None:
    writer = Writer(ledger.begin)

    def client(number: int) -> None:
        for step in range(50):
            assert writer.submit(writes((number, step))).result(PATIENCE_S) == (number, step)

    clients = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in clients:
        thread.start()
    for thread in clients:
        thread.join(PATIENCE_S)
    writer.stop()
    assert sorted(ledger.rows) == [(number, step) for number in range(8) for step in range(50)]


def test_bulk_jobs_go_one_by_one_and_take_turns_with_groups(writer: Writer[Unit], ledger: Ledger) -> None:
    with ledger.holding_the_next_commit(writer):
        bulk = [writer.submit(writes(f"bulk {number}"), bulk=True) for number in range(3)]
        for number in range(2):
            writer.submit(writes(number))
    for future in bulk:
        future.result(PATIENCE_S)
    assert ledger.committed == [["first"], ["bulk 0"], [0, 1], ["bulk 1"], ["bulk 2"]]


def test_an_interactive_job_that_comes_during_a_bulk_job_waits_for_no_other(
    writer: Writer[Unit], ledger: Ledger
) -> None:
    running, go_on = threading.Event(), threading.Event()

    def long_job(unit: Unit) -> None:
        running.set()
        assert go_on.wait(PATIENCE_S)
        unit.write("bulk 0")

    writer.submit(long_job, bulk=True)
    last = writer.submit(writes("bulk 1"), bulk=True)
    assert running.wait(PATIENCE_S)
    writer.submit(writes("interactive"))
    go_on.set()
    last.result(PATIENCE_S)
    assert ledger.committed == [["bulk 0"], ["interactive"], ["bulk 1"]]


# -- Failures ----------------------------------------------------------------------------------------------------


def test_a_job_that_refuses_fails_alone(writer: Writer[Unit], ledger: Ledger) -> None:
    with ledger.holding_the_next_commit(writer):
        before, refused, after = writer.submit(writes("a")), writer.submit(refuses), writer.submit(writes("b"))
    with pytest.raises(RefusedError, match="no such issue"):
        refused.result(PATIENCE_S)
    assert [before.result(PATIENCE_S), after.result(PATIENCE_S)] == ["a", "b"]
    assert (ledger.committed, ledger.begun) == ([["first"], ["a", "b"]], 2)


def test_an_atomic_job_that_fails_after_writing_leaves_nothing(writer: Writer[Unit], ledger: Ledger) -> None:
    refusal = RefusedError("lost the race", code=Code.LOST_RACE)
    with ledger.holding_the_next_commit(writer):
        before = writer.submit(writes("a"))
        failing = writer.submit(writes_then_raises(refusal), atomic=True)
        after = writer.submit(writes("b"))
    with pytest.raises(RefusedError, match="lost the race"):
        failing.result(PATIENCE_S)
    assert [before.result(PATIENCE_S), after.result(PATIENCE_S)] == ["a", "b"]
    assert (ledger.committed, ledger.begun) == ([["first"], ["a", "b"]], 2)


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("a bug"),
        RefusedError("too late", code=Code.DENIED),
        RefusedError("disk full", code=Code.STORE_FULL),
        MootError("a bug of ours", code=Code.INTERNAL),
    ],
    ids=["a bug", "a refusal after writing", "the store", "our own error"],
)
def test_a_job_that_breaks_after_writing_leaves_nothing_and_the_others_go_in(
    writer: Writer[Unit], ledger: Ledger, error: Exception
) -> None:
    with ledger.holding_the_next_commit(writer):
        before = writer.submit(writes("a"))
        broken = writer.submit(writes_then_raises(error))
        after = writer.submit(writes("b"))
    with pytest.raises(type(error), match=str(error)):
        broken.result(PATIENCE_S)
    assert [before.result(PATIENCE_S), after.result(PATIENCE_S)] == ["a", "b"]
    assert ledger.committed == [["first"], ["a", "b"]]


def test_a_transaction_in_which_the_store_refused_a_job_is_abandoned_though_that_had_written_nothing(
    writer: Writer[Unit], ledger: Ledger
) -> None:
    runs: list[Unit] = []

    def meets_a_bad_page(unit: Unit) -> None:
        runs.append(unit)
        raise RefusedError("a page of it can't be read", code=Code.STORE_DAMAGED)

    with ledger.holding_the_next_commit(writer):
        refused, other = writer.submit(meets_a_bad_page), writer.submit(writes("a"))
    with pytest.raises(RefusedError):
        refused.result(PATIENCE_S)
    assert other.result(PATIENCE_S) == "a"
    assert len(runs) == 2, "LMDB has rolled the first one back: its commit would fail for everybody"


def test_a_job_that_runs_twice_is_answered_by_its_second_run(writer: Writer[Unit], ledger: Ledger) -> None:
    runs: list[int] = []

    def refuses_at_first(unit: Unit) -> str:
        runs.append(1)
        if len(runs) == 1:
            raise RefusedError("not yet")
        return str(unit.write("second run"))

    with ledger.holding_the_next_commit(writer):
        twice = writer.submit(refuses_at_first)
        broken = writer.submit(writes_then_raises(ZeroDivisionError()))
    assert twice.result(PATIENCE_S) == "second run"
    assert isinstance(broken.exception(PATIENCE_S), ZeroDivisionError)
    assert ledger.rows == ["first", "second run"]


@pytest.mark.parametrize("error", [ZeroDivisionError, RefusedError])
def test_a_job_that_breaks_alone_is_undone_and_not_run_again(
    writer: Writer[Unit], ledger: Ledger, error: type[Exception]
) -> None:
    runs: list[int] = []

    def job(unit: Unit) -> None:
        runs.append(1)
        unit.write("half")
        raise error("after writing")

    with pytest.raises(error):
        writer.submit(job).result(PATIENCE_S)
    assert (ledger.rows, len(runs)) == ([], 1)


def test_what_fails_as_a_savepoint_begins_is_nobodys_own_and_nothing_of_the_group_is_kept(
    writer: Writer[Unit], ledger: Ledger
) -> None:
    with ledger.holding_the_next_commit(writer):
        ledger.savepoint_error = RefusedError("disk full", code=Code.STORE_FULL)
        before, failing = writer.submit(writes("a")), writer.submit(writes("b"), atomic=True)
    for future in (before, failing):
        error = future.exception(PATIENCE_S)
        assert isinstance(error, MootError)
        assert error.code is Code.STORE_FULL
    assert ledger.rows == ["first"]


@pytest.mark.parametrize("error", [SystemExit(3), StopIteration(), GeneratorExit(), asyncio.CancelledError()])
def test_what_would_end_a_thread_or_a_loop_reaches_the_caller_in_disguise(
    writer: Writer[Unit], ledger: Ledger, error: BaseException
) -> None:
    with pytest.raises(MootError) as caught:
        writer.submit(writes_then_raises(error)).result(PATIENCE_S)
    assert caught.value.__cause__ is error
    assert writer.submit(writes("a")).result(PATIENCE_S) == "a"


def test_a_failed_commit_fails_every_job_of_its_group_and_no_other(writer: Writer[Unit], ledger: Ledger) -> None:
    with ledger.holding_the_next_commit(writer) as first:
        ledger.commit_error = RefusedError("disk full", code=Code.STORE_FULL, hint="make room", retryable=True)
        group = [writer.submit(writes(number)) for number in range(3)]
    errors = [future.exception(PATIENCE_S) for future in (first, *group)]
    ledger.commit_error = None
    assert writer.submit(writes("later")).result(PATIENCE_S) == "later"
    assert ledger.rows == ["later"]
    assert len({id(error) for error in errors}) == 4, "raising an error changes it, so nobody shares one"
    for error in errors:
        assert isinstance(error, RefusedError)
        assert (error.message, error.code, error.hint, error.retryable) == (
            "disk full", Code.STORE_FULL, "make room", True,
        )  # fmt: skip


def test_a_transaction_that_cannot_begin_fails_its_jobs_and_the_thread_goes_on(
    writer: Writer[Unit], ledger: Ledger
) -> None:
    ledger.begin_error = OSError("no such device")
    error = writer.submit(writes("a")).exception(PATIENCE_S)
    assert isinstance(error, MootError)
    assert (error.code, str(error.__cause__)) == (Code.INTERNAL, "no such device")
    ledger.begin_error = None
    assert writer.submit(writes("b")).result(PATIENCE_S) == "b"


def test_a_transaction_that_swallows_an_error_is_no_commit() -> None:
    @contextlib.contextmanager
    def swallowing() -> Iterator[Unit]:
        with contextlib.suppress(BaseException):
            yield Unit([])

    writer = Writer(swallowing)
    with pytest.raises(MootError, match="nothing was written"):
        writer.submit(writes_then_raises(ZeroDivisionError())).result(PATIENCE_S)
    writer.stop()


def test_the_observer_hears_of_each_transaction_and_cannot_end_the_thread(ledger: Ledger) -> None:
    heard: list[Commit] = []

    def observer(commit: Commit) -> None:
        heard.append(commit)
        raise ZeroDivisionError

    writer = Writer(ledger.begin, observer=observer)
    writer.submit(writes("a")).result(PATIENCE_S)
    writer.submit(writes("b"), bulk=True).result(PATIENCE_S)
    ledger.commit_error = RefusedError("disk full", code=Code.STORE_FULL)
    writer.submit(writes("c")).exception(PATIENCE_S)
    writer.stop()
    assert [(commit.jobs, commit.bulk) for commit in heard] == [(1, False), (1, True), (1, False)]
    assert [commit.error and commit.error.code for commit in heard] == [None, None, Code.STORE_FULL]


# -- Limits, deadlines, cancellation, the end --------------------------------------------------------------------


@pytest.mark.parametrize("bulk", [False, True])
def test_a_full_queue_refuses_one_sort_and_still_takes_the_other(
    writer: Writer[Unit], ledger: Ledger, *, bulk: bool
) -> None:
    with ledger.holding_the_next_commit(writer):
        accepted = [writer.submit(writes(number), bulk=bulk) for number in range(20)]
        with pytest.raises(RefusedError) as caught:
            writer.submit(writes("one too many"), bulk=bulk)
        other = writer.submit(writes("other"), bulk=not bulk)
    assert (caught.value.code, caught.value.retryable) == (Code.BUSY, True)
    assert [future.result(PATIENCE_S) for future in accepted] == list(range(20))
    assert other.result(PATIENCE_S) == "other"
    assert "one too many" not in ledger.rows


@pytest.mark.parametrize("bulk", [False, True])
def test_a_job_under_way_can_see_whether_others_wait(writer: Writer[Unit], ledger: Ledger, *, bulk: bool) -> None:
    with ledger.holding_the_next_commit(writer):
        assert not writer.others_wait()
        waiting = writer.submit(writes("waiting"), bulk=bulk)
        assert writer.others_wait()
    waiting.result(PATIENCE_S)
    assert not writer.others_wait()


def test_a_job_cancelled_while_it_waits_is_not_run(writer: Writer[Unit], ledger: Ledger) -> None:
    with ledger.holding_the_next_commit(writer) as first:
        gone, stays = writer.submit(writes("gone")), writer.submit(writes("stays"))
        assert gone.cancel()
        assert not first.cancel(), "its commit is under way"
    stays.result(PATIENCE_S)
    with pytest.raises(CancelledError):
        gone.result(PATIENCE_S)
    assert ledger.rows == ["first", "stays"]


def test_a_group_that_nobody_waits_for_any_more_needs_no_transaction(writer: Writer[Unit], ledger: Ledger) -> None:
    with ledger.holding_the_next_commit(writer):
        assert writer.submit(writes("gone")).cancel()
    writer.stop()
    assert ledger.begun == 1


def test_a_job_not_begun_by_its_deadline_is_not_run_and_hears_so(
    writer: Writer[Unit], ledger: Ledger, clock: ManualClock
) -> None:
    with ledger.holding_the_next_commit(writer):
        late = writer.submit(writes("late"), deadline_ms=clock.monotonic_ms() + 100)
        in_time = writer.submit(writes("in time"), deadline_ms=clock.monotonic_ms() + 101)
        clock.advance(101)
    assert in_time.result(PATIENCE_S) == "in time"
    with pytest.raises(RefusedError) as caught:
        late.result(PATIENCE_S)
    assert (caught.value.code, caught.value.retryable) == (Code.TIMEOUT, True)
    assert ledger.rows == ["first", "in time"]


def test_stop_runs_what_was_accepted_and_refuses_what_comes_after(writer: Writer[Unit], ledger: Ledger) -> None:
    with ledger.holding_the_next_commit(writer):
        accepted = [writer.submit(writes(number), bulk=number % 2 == 0) for number in range(6)]
        stopping = threading.Thread(target=writer.stop)
        stopping.start()
    stopping.join(PATIENCE_S)
    assert [future.result(0) for future in accepted] == list(range(6))
    with pytest.raises(RefusedError) as caught:
        writer.submit(writes("too late"))
    assert caught.value.code is Code.CANCELLED
    writer.stop()


# -- The law -----------------------------------------------------------------------------------------------------

KINDS = st.sampled_from(["writes", "refuses", "breaks", "atomic"])


@given(st.lists(st.tuples(KINDS, st.booleans()), max_size=12), st.booleans())
def test_exactly_the_acknowledged_writes_are_there_whatever_fails(
    jobs: list[tuple[str, bool]], commits_fail: bool
) -> None:
    ledger = Ledger()
    writer = Writer(ledger.begin)
    bodies: dict[str, Callable[[int], Callable[[Unit], Any]]] = {
        "writes": writes,
        "refuses": lambda _row: refuses,
        "breaks": lambda row: writes_then_raises(ZeroDivisionError(), row),
        "atomic": lambda row: writes_then_raises(RefusedError("after writing"), row),
    }
    with ledger.holding_the_next_commit(writer) as first:
        futures = [
            writer.submit(bodies[kind](number), bulk=bulk, atomic=kind == "atomic")
            for number, (kind, bulk) in enumerate(jobs)
        ]
        if commits_fail:
            ledger.commit_error = RefusedError("disk full", code=Code.STORE_FULL)
    writer.stop()
    acknowledged = [future.result() for future in (first, *futures) if future.exception() is None]
    assert sorted(map(str, ledger.rows)) == sorted(map(str, acknowledged))
    assert commits_fail or len(acknowledged) == 1 + sum(kind == "writes" for kind, _ in jobs)
