"""Records on their way into the audit stream: in the order of the decisions, many reads in one commit, none lost."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import AUDIT_GATHERED
from moot_protocol.requests.audit import ListAudit, VerifyAudit
from moot_protocol.times import format_ms
from moot_testkit.towns.town import Api, make_api
from mootd.engine.audit import Entry, note
from mootd.engine.unit import Unit
from mootd.service.access import audit_gathering
from mootd.service.access.audit_gathering import AuditGathering
from mootd.writer import Writer

PATIENCE_S = 30


class Jobs:
    """Carries out jobs at once, unless it is broken."""

    def __init__(self) -> None:
        self.api: Api = make_api()
        self.count = 0
        self.is_broken = False
        self.written = threading.Event()

    def submit(self, work: Callable[[Unit], object]) -> "Future[Any]":
        done: Future[Any] = Future()
        if self.is_broken:
            done.set_exception(RefusedError("the disk is full", code=Code.STORE_FULL))
            return done
        self.count += 1
        done.set_result(self.api.member.commit(work))
        self.written.set()
        return done

    def records(self) -> list[dict[str, Any]]:
        """The audit stream, oldest first."""
        return list(reversed(self.api.call(ListAudit(limit=0))["records"]))

    def resources(self) -> list[str]:
        return [each["resource"] for each in self.records()]


@pytest.fixture
def jobs() -> Jobs:
    return Jobs()


@pytest.fixture
def gathering(jobs: Jobs) -> AuditGathering:
    return AuditGathering(jobs.submit, jobs.api.clock)


def read_of(resource: str, **details: str) -> Entry:
    return Entry("access_granted", "alice", "show", resource, "allowed", {"rule": "r", **details})


def denial_of(resource: str) -> Callable[[Unit], object]:
    return lambda unit: note(unit, Entry("access_denied", "alice", "close", resource, "denied"))


def test_reads_are_written_together_in_their_order_and_the_chain_holds(jobs: Jobs, gathering: AuditGathering) -> None:
    for number in range(100):
        gathering.gather(read_of(f"demo-{number}"))
    assert jobs.records() == []
    gathering.write()
    gathering.write()
    assert jobs.count == 1
    assert jobs.resources() == [f"demo-{number}" for number in range(100)]
    verified = jobs.api.call(VerifyAudit())
    assert (verified["problems"], verified["records"]) == ([], 100)


def test_what_is_recorded_at_once_stands_after_what_was_gathered_before_it(
    jobs: Jobs, gathering: AuditGathering
) -> None:
    gathering.gather(read_of("demo-1"))
    gathering.at_once(denial_of("demo-2"))
    gathering.gather(read_of("demo-3"))
    assert jobs.resources() == ["demo-1", "demo-2"]
    gathering.at_once(denial_of("demo-4"))
    assert jobs.resources() == ["demo-1", "demo-2", "demo-3", "demo-4"]
    assert jobs.count == 2


def test_equal_reads_become_one_record_that_counts_them_and_tells_from_when_until_when(
    jobs: Jobs, gathering: AuditGathering
) -> None:
    clock = jobs.api.clock
    times = []
    for _ in range(3):
        times.append(format_ms(clock.now_ms()))
        gathering.gather(read_of("demo-1"))
        gathering.gather(read_of("demo-2", token=f"t{len(times)}"))
        clock.advance(100)
    gathering.write()
    told = [each["details"] for each in jobs.records()]
    assert told[0] == {"rule": "r", "at": times[0], "until": times[2], "count": "3"}
    assert told[1:] == [{"rule": "r", "token": f"t{number}", "at": times[number - 1]} for number in (1, 2, 3)]


def test_a_commit_that_fails_loses_nothing_and_what_is_recorded_next_takes_it_along(
    jobs: Jobs, gathering: AuditGathering
) -> None:
    gathering.gather(read_of("demo-1"))
    jobs.is_broken = True
    for refused in (gathering.write, lambda: gathering.at_once(denial_of("demo-2"))):
        with pytest.raises(RefusedError):
            refused()
        gathering.gather(read_of("demo-1"))
    jobs.is_broken = False
    gathering.at_once(denial_of("demo-3"))
    assert jobs.resources() == ["demo-1", "demo-3"]
    assert jobs.records()[0]["details"]["count"] == "3"


def test_what_the_writer_does_not_take_waits_too(jobs: Jobs) -> None:
    def stopped(work: Callable[[Unit], object]) -> "Future[Any]":
        raise RefusedError("the daemon is stopping", code=Code.CANCELLED)

    gathering = AuditGathering(stopped, jobs.api.clock)
    gathering.gather(read_of("demo-1"))
    with pytest.raises(RefusedError):
        gathering.write()
    gathering._submit = jobs.submit
    gathering.write()
    assert jobs.resources() == ["demo-1"]


def test_who_comes_when_too_many_wait_waits_with_them_and_is_refused_where_they_cannot_be_written(
    jobs: Jobs, gathering: AuditGathering
) -> None:
    for number in range(AUDIT_GATHERED):
        gathering.gather(read_of(f"demo-{number}"))
    jobs.is_broken = True
    with pytest.raises(RefusedError) as refused:
        gathering.gather(read_of("one more"))
    assert refused.value.code is Code.STORE_FULL
    gathering.gather(read_of("demo-0"))
    jobs.is_broken = False
    gathering.gather(read_of("another"))
    assert jobs.count == 1
    gathering.write()
    assert jobs.api.call(VerifyAudit())["records"] == AUDIT_GATHERED + 1
    assert jobs.resources()[-1] == "another"


def test_they_are_written_by_themselves_after_a_while_and_again_where_that_failed(
    jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_gathering, "RETRY_SECONDS", 0.001)
    gathering = AuditGathering(jobs.submit, jobs.api.clock, 0.001)
    jobs.is_broken = True
    gathering.start()
    gathering.gather(read_of("demo-1"))
    with pytest.raises(RefusedError):
        gathering.write()
    jobs.is_broken = False
    assert jobs.written.wait(PATIENCE_S)
    gathering.stop()
    assert jobs.resources() == ["demo-1"]


def test_a_stop_writes_what_waits(jobs: Jobs) -> None:
    gathering = AuditGathering(jobs.submit, jobs.api.clock, PATIENCE_S)
    gathering.start()
    gathering.gather(read_of("demo-1"))
    gathering.stop()
    assert jobs.resources() == ["demo-1"]


def test_records_of_many_threads_are_each_written_once(jobs: Jobs) -> None:
    writer: Writer[Unit] = Writer(jobs.api.member.replica.transaction)
    gathering = AuditGathering(lambda work: writer.submit(work, atomic=True), jobs.api.clock)

    def ask(who: int) -> None:
        for number in range(20):
            gathering.gather(read_of(f"{who} {number}"))
            if number % 5 == 4:
                gathering.at_once(denial_of(f"{who} {number} denied"))

    threads = [threading.Thread(target=ask, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    writer.stop()
    found = jobs.resources()
    for who in range(4):
        mine = [each for each in found if each.startswith(f"{who} ")]
        said = [[f"{who} {number}"] + [f"{who} {number} denied"] * (number % 5 == 4) for number in range(20)]
        assert mine == [each for some in said for each in some]
