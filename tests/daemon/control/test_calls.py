"""Requests of one client: each answered once, in whatever order they are done, and ended with their client."""

import asyncio
from typing import Any

import pytest

from moot_protocol import limits
from moot_protocol.control import rpc
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Close, Show
from moot_protocol.requests.machine import Events
from moot_testkit.clients.control import PATIENCE, Daemon, Gate, error_of, raw_client, serving
from mootd.control.ports import Settings

SHOW = {"ids": ["a"]}


def test_answers_come_as_they_are_ready_not_as_they_were_asked_for(daemon: Daemon) -> None:
    gate = Gate(daemon)
    daemon.answers.slow[Show] = gate.answer
    with raw_client(daemon) as client:
        client.call(1, "show", SHOW)
        client.call(2, "ping", {})
        assert client.receive()["id"] == 2
        gate.open()
        assert client.receive() == {"id": 1, "result": [{"id": "a"}]}


def test_the_idempotency_key_reaches_the_dispatcher(daemon: Daemon) -> None:
    async def close(request: Close) -> Any:
        return {"id": request.id}

    daemon.answers.slow[Close] = close
    with raw_client(daemon) as client:
        client.send(rpc.call_frame(1, Close(actor="alice", id="a"), key="k-1"))
        assert client.receive() == {"id": 1, "result": {"id": "a"}}
    assert daemon.answers.keys == ["k-1"]


def test_a_failed_request_is_answered_with_its_error_and_the_connection_goes_on(daemon: Daemon) -> None:
    def refuse(_: Any) -> Any:
        raise RefusedError("someone was faster", code=Code.LOST_RACE, hint="look again", retryable=True)

    daemon.answers.quick[Show] = refuse
    with raw_client(daemon) as client:
        client.call(1, "show", SHOW)
        body = {"code": "lost_race", "message": "someone was faster", "hint": "look again", "retryable": True}
        assert client.receive() == {"id": 1, "error": body}
        client.call(1, "ping", {})
        assert "result" in client.receive()


@pytest.mark.parametrize(
    ("method", "params", "code", "named"),
    [
        ("frobnicate", {}, "usage", "frobnicate"),
        ("show", {"ids": ["a"], "colour": 1}, "invalid", "colour"),
        ("show", {"ids": [1]}, "invalid", "$.ids[0]"),
        ("cancel", {"ids": 1}, "invalid", "id"),
        ("subscribe", {"since": "now"}, "invalid", "$.since"),
        ("console", ["moot"], "invalid", "array"),
    ],
)
def test_a_request_that_does_not_fit_is_refused_naming_what_is_wrong(
    shared: Daemon, method: str, params: Any, code: str, named: str
) -> None:
    with raw_client(shared) as client:
        client.call(3, method, params)
        message = client.receive()
        assert error_of(message) == (3, code)
        assert named in message["error"]["message"]
        client.call(4, "ping", {})
        assert client.receive()["id"] == 4


@pytest.mark.parametrize("how", ["quick", "slow"])
def test_a_defect_is_observed_and_its_words_stay_in_the_daemon(daemon: Daemon, how: str) -> None:
    def fail(_: Any) -> Any:
        raise ZeroDivisionError("secret")

    async def fail_later(request: Any) -> Any:
        return fail(request)

    if how == "quick":
        daemon.answers.quick[Show] = fail
    else:
        daemon.answers.slow[Show] = fail_later
    with raw_client(daemon) as client:
        client.call(1, "show", SHOW)
        message = client.receive()
    assert error_of(message) == (1, "internal")
    assert "secret" not in message["error"]["message"]
    assert [type(error) for error in daemon.observer.crashes] == [ZeroDivisionError]
    (crashed,) = (facts for what, facts in daemon.observer.notes if what == "rpc.crashed")
    assert crashed["method"] == "show"
    assert message["error"]["message"].endswith(f"under request {crashed['request']}")
    assert ("rpc.done", crashed["request"]) in [(what, facts.get("request")) for what, facts in daemon.observer.notes]


def test_an_answer_that_cannot_be_encoded_or_does_not_fit_is_an_error(daemon: Daemon) -> None:
    daemon.answers.quick[Show] = lambda request: object() if request.ids == ("a",) else bytes(limits.RPC_FRAME_BYTES)
    with raw_client(daemon) as client:
        client.call(1, "show", {"ids": ["a"]})
        assert error_of(client.receive()) == (1, "internal")
        client.call(2, "show", {"ids": ["b"]})
        assert error_of(client.receive()) == (2, "limit")


def test_what_is_noted_of_a_request_holds_no_parameters(daemon: Daemon) -> None:
    daemon.answers.quick[Show] = lambda _: ["an answer"]
    with raw_client(daemon) as client:
        client.call(1, "show", {"ids": ["a secret"]})
        client.receive()
    ((what, facts),) = [note for note in daemon.observer.notes if note[0] == "rpc.done"]
    assert (what, facts["method"], facts["outcome"]) == ("rpc.done", "show", "ok")
    assert "secret" not in repr(daemon.observer.notes)
    assert "an answer" not in repr(daemon.observer.notes)


def test_a_request_that_outlasts_its_deadline_is_cancelled_and_answered_with_timeout(daemon: Daemon) -> None:
    daemon.answers.slow[Show] = Gate(daemon).answer
    with raw_client(daemon) as client:
        client.send(rpc.call_frame(1, Show(ids=("a",)), deadline_ms=1))
        message = client.receive()
    assert error_of(message) == (1, "timeout")
    assert message["error"]["retryable"]
    assert daemon.answers.cancelled.acquire(timeout=PATIENCE)


def test_the_dispatcher_is_told_the_deadline(daemon: Daemon) -> None:
    async def answer(_: Any) -> Any:
        return []

    daemon.answers.slow[Show] = answer
    with raw_client(daemon) as client:
        client.call(1, "show", SHOW)
        client.receive()
        client.send(rpc.call_frame(2, Show(ids=("a",)), deadline_ms=3_600_000))
        client.receive()
    usual, long = daemon.answers.deadlines
    assert 0 < usual <= limits.DEADLINE_MS / 1000
    assert 1800 < long <= 3600


def test_a_cancelled_request_is_answered_so_and_stops(daemon: Daemon) -> None:
    gate = Gate(daemon)
    daemon.answers.slow[Show] = gate.answer
    with raw_client(daemon) as client:
        client.call(1, "show", SHOW)
        assert gate.begun.acquire(timeout=PATIENCE)
        client.call(2, "cancel", {"id": 1})
        assert error_of(client.receive()) == (1, "cancelled")
        assert client.receive() == {"id": 2, "result": True}
        client.call(3, "cancel", {"id": 1})
        assert client.receive() == {"id": 3, "result": False}
        client.call(1, "ping", {})
        assert client.receive()["id"] == 1
    assert daemon.answers.cancelled.acquire(timeout=PATIENCE)


def test_closing_the_connection_cancels_what_it_had_begun(daemon: Daemon) -> None:
    gate = Gate(daemon)
    daemon.answers.slow[Show] = gate.answer
    with raw_client(daemon) as client:
        for number in (1, 2):
            client.call(number, "show", SHOW)
            assert gate.begun.acquire(timeout=PATIENCE)
    for _ in (1, 2):
        assert daemon.answers.cancelled.acquire(timeout=PATIENCE)


def test_a_subscription_tells_every_event_once_and_in_order_until_it_is_cancelled(daemon: Daemon) -> None:
    news: asyncio.Queue[list[int]] = asyncio.Queue()

    async def events(request: Events) -> Any:
        arrived = await news.get()
        assert request.since == arrived[0] - 1
        assert request.wait_ms > 0
        return {"events": [{"arrival": number} for number in arrived], "next": arrived[-1], "first": 1}

    daemon.answers.slow[Events] = events
    with raw_client(daemon) as client:
        client.call(1, "subscribe", {"since": 4, "kind": "issue"})
        for arrived in ([5, 6], [7]):
            daemon.in_loop(news.put_nowait, arrived)
        assert [client.receive() for _ in range(3)] == [{"id": 1, "event": {"arrival": n}} for n in (5, 6, 7)]
        client.call(2, "cancel", {"id": 1})
        assert error_of(client.receive()) == (1, "cancelled")
    assert daemon.answers.cancelled.acquire(timeout=PATIENCE)


def test_a_subscription_that_fails_says_why(daemon: Daemon) -> None:
    async def events(_: Events) -> Any:
        raise RefusedError("not yet", code=Code.NOT_READY)

    daemon.answers.slow[Events] = events
    with raw_client(daemon) as client:
        client.call(1, "subscribe", {})
        assert error_of(client.receive()) == (1, "not_ready")


def test_a_request_too_many_is_answered_busy_and_the_others_go_on() -> None:
    with serving(Settings(in_flight=2)) as daemon:
        gate = Gate(daemon)
        daemon.answers.slow[Show] = gate.answer
        with raw_client(daemon) as client:
            for number in (1, 2, 3):
                client.call(number, "show", SHOW)
            assert error_of(client.receive()) == (3, "busy")
            gate.open()
            assert {client.receive()["id"], client.receive()["id"]} == {1, 2}
            client.call(4, "show", SHOW)
            assert client.receive()["id"] == 4


def test_what_is_too_much_can_be_cancelled() -> None:
    with serving(Settings(in_flight=1)) as daemon:
        daemon.answers.slow[Show] = Gate(daemon).answer
        with raw_client(daemon) as client:
            client.call(1, "show", SHOW)
            client.call(2, "cancel", {"id": 1})
            assert error_of(client.receive()) == (1, "cancelled")
            assert client.receive() == {"id": 2, "result": True}


def test_the_same_number_for_two_requests_under_way_ends_the_connection(daemon: Daemon) -> None:
    daemon.answers.slow[Show] = Gate(daemon).answer
    with raw_client(daemon) as client:
        client.call(1, "show", SHOW)
        client.call(1, "show", SHOW)
        (message,) = client.rest()
    assert error_of(message) == (rpc.CONNECTION, "bad_structure")
