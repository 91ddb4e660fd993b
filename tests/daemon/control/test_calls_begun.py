"""Requests that no task waits for: answered, cancelled and out of time as any other."""

from collections.abc import Callable
from typing import Any

import pytest

from moot_protocol import limits
from moot_protocol.control import rpc
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Close, Show
from moot_protocol.requests.listing import Page
from moot_testkit.clients.control import Daemon, error_of, raw_client, until
from mootd.control.ports import Answered

SHOW = {"ids": ["a"]}


class Held:
    """Begins requests and holds them until the test answers."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self._answers: list[Answered] = []
        self.begun = 0
        self.stopped = 0
        daemon.answers.begun[Show] = self.begin

    def begin(self, _: object, answered: Answered) -> Callable[[], object]:
        self._answers.append(answered)
        self.begun += 1
        return self._stop

    def _stop(self) -> None:
        self.stopped += 1

    def answer(self, result: Any = None, error: BaseException | None = None) -> None:
        """Answer the one that was begun first."""
        until(lambda: bool(self._answers))
        self._daemon.in_loop(self._answers.pop(0), result, error)


@pytest.fixture
def held(daemon: Daemon) -> Held:
    return Held(daemon)


def test_it_is_answered_when_it_is_done_and_others_meanwhile(daemon: Daemon, held: Held) -> None:
    with raw_client(daemon) as client:
        client.send(rpc.call_frame(1, Show(ids=("a",)), key="k-1"))
        client.call(2, "ping", {})
        assert client.receive()["id"] == 2
        held.answer(["a"])
        assert client.receive() == {"id": 1, "result": ["a"]}
    assert daemon.answers.keys == ["k-1", ""]
    assert 0 < daemon.answers.deadlines[0] <= limits.DEADLINE_MS / 1000


def test_its_errors_are_told_and_defects_observed(daemon: Daemon, held: Held) -> None:
    with raw_client(daemon) as client:
        for number, error, code in (
            (1, RefusedError("no", code=Code.CONFLICT), "conflict"),
            (2, KeyError(), "internal"),
        ):
            client.call(number, "show", SHOW)
            held.answer(error=error)
            assert error_of(client.receive()) == (number, code)
        client.call(3, "show", SHOW)
        held.answer(object())
        assert error_of(client.receive()) == (3, "internal")
    assert [type(error) for error in daemon.observer.crashes] == [KeyError, TypeError]


@pytest.mark.parametrize(("key", "retryable"), [("", False), ("k1", True)])
def test_a_write_that_ran_out_of_time_may_be_done_and_is_repeated_only_under_its_key(
    daemon: Daemon, held: Held, key: str, *, retryable: bool
) -> None:
    daemon.answers.begun[Close] = held.begin
    with raw_client(daemon) as client:
        client.send(rpc.call_frame(1, Close(actor="a", id="mt-1"), key=key, deadline_ms=1))
        message = client.receive()
    assert error_of(message) == (1, "timeout")
    assert message["error"]["retryable"] is retryable


def test_a_refusal_to_begin_is_its_answer(daemon: Daemon) -> None:
    def refuse(*_: object) -> Callable[[], object]:
        raise RefusedError("too many", code=Code.BUSY)

    daemon.answers.begun[Show] = refuse
    with raw_client(daemon) as client:
        client.call(1, "show", SHOW)
        assert error_of(client.receive()) == (1, "busy")


def test_out_of_time_it_is_stopped_and_answered_once(daemon: Daemon, held: Held) -> None:
    with raw_client(daemon) as client:
        client.send(rpc.call_frame(1, Show(ids=("a",)), deadline_ms=1))
        message = client.receive()
        assert error_of(message) == (1, "timeout")
        assert message["error"]["retryable"]
        held.answer(["too late"])
        client.call(1, "ping", {})
        assert "pid" in client.receive()["result"]
    assert held.stopped == 1


def test_cancelled_or_left_it_is_stopped(daemon: Daemon, held: Held) -> None:
    with raw_client(daemon) as client:
        client.call(1, "show", SHOW)
        client.call(2, "cancel", {"id": 1})
        assert error_of(client.receive()) == (1, "cancelled")
        assert client.receive() == {"id": 2, "result": True}
        assert held.stopped == 1
        client.call(3, "show", SHOW)
    until(lambda: held.stopped == 2)
    held.answer(["nobody is there"])


def test_a_client_that_reads_slowly_gets_its_answer_when_it_has_read(daemon: Daemon, held: Held) -> None:
    filling = b"x" * limits.RPC_BUFFER_BYTES * 4
    with raw_client(daemon) as client:
        client.call(1, "show", SHOW)
        client.call(2, "show", SHOW)
        until(lambda: held.begun == 2)
        held.answer(filling)
        held.answer(["the second"])
        assert client.receive()["result"] == filling
        assert client.receive() == {"id": 2, "result": ["the second"]}


def test_a_list_that_fits_no_frame_is_answered_with_how_many_issues_would(daemon: Daemon, held: Held) -> None:
    issues = [{"id": f"mt-{number}", "title": "x" * 100_000} for number in range(100)]
    with raw_client(daemon) as client:
        client.call(1, "show", SHOW)
        until(lambda: held.begun == 1)
        held.answer(Page(issues=issues, total=100, truncated=False))
        message = client.receive()
        assert error_of(message) == (1, "limit")
        assert message["error"]["message"].startswith("100 issues don't fit one answer")
