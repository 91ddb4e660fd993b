"""Commands that were carried out before their answer was written: each is answered once it can be, and none refused."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.base import Mutation, Request
from moot_protocol.requests.issues import Create
from moot_protocol.spool.files import ANSWERS, COMMANDS, open_answer
from moot_protocol.time_units import DAY_MS
from moot_testkit.towns.spooling import SpoolSite, create
from mootd.edges.spool_folder import SpoolFolder
from mootd.engine.unit import Unit
from mootd.service.writing.writes import carry_out


@pytest.fixture
def three(site: SpoolSite) -> SpoolSite:
    """A spool that has been looked at, with three commands whose answers are awaited, not taken yet."""
    site.take()
    for title in ("one", "two", "three"):
        site.api.clock.advance(1)
        site.put(create(title, id=f"demo-{title}"), awaited=True)
    return site


def answered(site: SpoolSite) -> list[str]:
    """The ids of the issues that answers tell of, in order."""
    secret = site.files.token.secret
    found = [open_answer(secret, path.read_bytes()) for path in (site.path / ANSWERS).iterdir()]
    return sorted(answer.result["id"] for answer in found)


def check_all_answered(site: SpoolSite) -> None:
    """The next look writes each answer that is awaited, and there is one issue of each."""
    site.take()
    assert answered(site) == ["demo-one", "demo-three", "demo-two"]
    assert site.titles() == ["one", "three", "two"]
    assert (site.waiting(), site.reasons()) == ([], [])


def full(*_: object) -> None:
    raise OSError(28, "no space left on device")


@pytest.mark.parametrize("restarts", [False, True])
def test_where_no_answer_can_be_written_all_are_once_one_can(
    three: SpoolSite, monkeypatch: pytest.MonkeyPatch, restarts: bool
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(SpoolFolder, "answer", full)
        for _ in range(2):  # the same process tries again: no replay
            with pytest.raises(OSError, match="no space"):
                three.take()
    assert (three.titles(), len(three.waiting())) == (["one", "three", "two"], 3)
    if restarts:
        three.restart()
    check_all_answered(three)


def test_after_one_answer_that_cannot_be_written_no_other_is_tried_before_the_next_look(
    three: SpoolSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def answer(folder: SpoolFolder, name: str, data: bytes) -> None:
        del folder, data
        tried.append(name)
        full()

    with monkeypatch.context() as patch:
        patch.setattr(SpoolFolder, "answer", answer)
        with pytest.raises(OSError, match="no space"):
            three.take()
    assert len(tried) == 1
    check_all_answered(three)


def test_what_was_submitted_before_the_writer_was_busy_is_answered_at_once(
    three: SpoolSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, count = three.submit, 0

    def submit(job: Callable[[Unit], Any]) -> "Future[Any]":
        nonlocal count
        count += 1
        if count == 3:
            raise RefusedError("many writes are waiting already", code=Code.BUSY, retryable=True)
        return real(job)

    monkeypatch.setattr(three, "submit", submit)
    three.restart()
    with pytest.raises(RefusedError, match="many writes"):
        three.take()
    assert answered(three) == ["demo-one", "demo-two"]
    check_all_answered(three)


def test_one_command_that_cannot_be_written_now_holds_up_no_answer_of_others(
    three: SpoolSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [RefusedError("the disk is full", code=Code.STORE_FULL, retryable=True)]

    def carried_out(unit: Unit, request: Mutation[Any]) -> Any:
        if failures:
            raise failures.pop()
        return carry_out(unit, request)

    monkeypatch.setattr("mootd.spool.taking.carry_out", carried_out)
    with pytest.raises(RefusedError, match="disk is full"):
        three.take()
    assert answered(three) == ["demo-three", "demo-two"]
    check_all_answered(three)


@pytest.mark.parametrize("failure", [RefusedError("full", code=Code.STORE_FULL, retryable=True), ZeroDivisionError()])
def test_what_was_submitted_before_a_command_could_not_be_judged_is_answered_at_once(
    three: SpoolSite, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    failures = [failure]

    def admit(request: Request[Any]) -> None:
        if isinstance(request, Create) and request.id == "demo-three" and failures:
            raise failures.pop()

    monkeypatch.setattr(three, "admit", admit)
    three.restart()
    with pytest.raises(type(failure)):
        three.take()
    assert answered(three) == ["demo-one", "demo-two"]
    check_all_answered(three)


def test_what_a_crash_left_without_an_answer_gets_it_however_much_lies_before_it(
    site: SpoolSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mootd.spool.taking.AT_ONCE", 1)
    earlier, data = site.command(create("earlier"))
    site.api.clock.advance(1)
    site.put(create("one", id="demo-one"), awaited=True)
    with monkeypatch.context() as patch:
        patch.setattr(SpoolFolder, "answer", full)
        with pytest.raises(OSError, match="no space"):
            site.take()
    (site.path / COMMANDS / earlier).write_bytes(data)
    site.restart()
    while site.take():
        pass
    assert (answered(site), site.titles()) == (["demo-one"], ["earlier", "one"])
    assert (site.waiting(), site.reasons()) == ([], [])


def test_what_was_taken_back_unanswered_is_a_replay_when_it_is_put_back(
    site: SpoolSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = site.put(create("one"), awaited=True)
    data = (site.path / COMMANDS / name).read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(SpoolFolder, "answer", full)
        with pytest.raises(OSError, match="no space"):
            site.take()
    (site.path / COMMANDS / name).unlink()
    site.take()
    (site.path / COMMANDS / name).write_bytes(data)
    site.take()
    assert "put it back" in site.reasons()[0]


@pytest.mark.parametrize("awaited", [False, True])
def test_where_the_answer_is_no_longer_kept_only_who_awaits_it_is_told_so(site: SpoolSite, awaited: bool) -> None:
    name = site.put(create("one"), awaited=awaited)
    data = (site.path / COMMANDS / name).read_bytes()
    site.take()
    for path in (site.path / ANSWERS).iterdir():
        path.unlink()
    site.api.clock.advance(2 * DAY_MS)
    site.put(create("two"))
    site.take()
    (site.path / COMMANDS / name).write_bytes(data)  # as a crash left it
    site.restart()
    site.take()
    found = [open_answer(site.files.token.secret, path.read_bytes()) for path in (site.path / ANSWERS).iterdir()]
    told = ["it was carried out; its answer is no longer kept"] if awaited else []
    assert [answer.error and answer.error.message for answer in found] == told
    assert (site.titles(), site.waiting()) == (["one", "two"], [])
