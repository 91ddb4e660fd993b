"""One client's connection: requests and answers, limits, and clients that misbehave."""

import asyncio
import os
import subprocess
import sys
import threading
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol import limits
from moot_protocol.control import rpc
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Close, Show
from moot_protocol.requests.machine import Events, Ping
from moot_testkit.clients.control import PATIENCE, Daemon, Gate, error_of, raw_client, serving, until
from mootd.control.connection import BURST
from mootd.control.ports import Settings

SHOW = {"ids": ["a"]}


# -- Requests ----------------------------------------------------------------------------------------------------
def test_the_first_request_may_come_with_the_hello_and_the_daemons_hello_comes_first(shared: Daemon) -> None:
    with raw_client(shared, rpc.hello_frame("1") + rpc.call_frame(1, Ping())) as client:
        assert client.receive() == {"hello": rpc.RPC_VERSION, "version": "9.9.9", "pid": os.getpid(), "codes": True}
        assert client.receive() == {"id": 1, "result": {"pid": os.getpid()}}


def test_answers_come_as_they_are_ready_not_as_they_were_asked_for(daemon: Daemon) -> None:
    gate = Gate(daemon)
    daemon.answers.slow[Show] = gate.answer
    with raw_client(daemon) as client:
        client.call(1, "show", SHOW)
        client.call(2, "ping", {})
        assert client.receive()["id"] == 2
        gate.open()
        assert client.receive() == {"id": 1, "result": [{"id": "a"}]}


def test_a_burst_of_requests_is_answered_to_the_last(shared: Daemon) -> None:
    count = 1000
    with raw_client(shared) as client:
        client.send(b"".join(rpc.call_frame(number, Ping()) for number in range(1, count + 1)))
        assert [client.receive()["id"] for _ in range(count)] == list(range(1, count + 1))


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


# -- Deadlines and cancelling ------------------------------------------------------------------------------------
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


# -- Subscriptions -----------------------------------------------------------------------------------------------
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


# -- Limits ------------------------------------------------------------------------------------------------------
def test_a_client_too_many_is_told_so_and_let_go_and_takes_no_place() -> None:
    with serving(Settings(clients=2, idle=PATIENCE)) as daemon:
        with raw_client(daemon), raw_client(daemon) as second:
            with raw_client(daemon, b"") as third:
                (message,) = third.rest()
            assert error_of(message) == (rpc.CONNECTION, "busy")
            assert message["error"]["retryable"]
            second.call(1, "ping", {})
            assert second.receive()["id"] == 1
        until(lambda: daemon.connections() == 0)
        with raw_client(daemon) as again:
            again.call(1, "ping", {})
            assert again.receive()["id"] == 1


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


def test_many_clients_at_once_each_get_their_own_answers(daemon: Daemon) -> None:
    async def show(request: Show) -> Any:
        await asyncio.sleep(0)
        return [{"id": identifier} for identifier in request.ids]

    daemon.answers.slow[Show] = show
    wrong: list[Any] = []

    def work(name: int) -> None:
        with raw_client(daemon) as client:
            for number in range(1, 51):
                client.call(number, "show", {"ids": [f"{name}-{number}"]})
            wrong.extend(
                message
                for message in (client.receive() for _ in range(50))
                if message["result"] != [{"id": f"{name}-{message['id']}"}]
            )

    threads = [threading.Thread(target=work, args=(name,)) for name in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not wrong


# -- Clients that misbehave --------------------------------------------------------------------------------------
def test_a_client_of_another_version_is_told_both_and_let_go(shared: Daemon) -> None:
    other = rpc.frame(msgspec.msgpack.encode({"hello": rpc.RPC_VERSION + 1, "version": "99"}))
    with raw_client(shared, other) as client:
        hello, error = client.rest()
    assert hello["hello"] == rpc.RPC_VERSION
    assert error_of(error) == (rpc.CONNECTION, "bad_version")


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", "too_large"),
        (bytes(4), "bad_structure"),
        (rpc.frame(b"\xc1"), "bad_structure"),
        (rpc.call_frame(1, Ping()), "bad_structure"),
        (rpc.hello_frame("1") + rpc.frame(b"\xc1"), "bad_structure"),
        (rpc.hello_frame("1") + rpc.frame(msgspec.msgpack.encode({"id": 0, "method": "ping"})), "bad_structure"),
        (rpc.hello_frame("1") + rpc.call_frame(1, Ping()) + b"\xff\xff\xff\xff", "too_large"),
    ],
)
def test_garbage_is_answered_with_a_typed_error_and_the_end(shared: Daemon, sent: bytes, code: str) -> None:
    with raw_client(shared, sent) as client:
        *_, last = client.rest()
    assert error_of(last) == (rpc.CONNECTION, code)


def test_the_same_number_for_two_requests_under_way_ends_the_connection(daemon: Daemon) -> None:
    daemon.answers.slow[Show] = Gate(daemon).answer
    with raw_client(daemon) as client:
        client.call(1, "show", SHOW)
        client.call(1, "show", SHOW)
        (message,) = client.rest()
    assert error_of(message) == (rpc.CONNECTION, "bad_structure")


def test_a_client_that_leaves_in_the_middle_of_a_frame_harms_nobody(shared: Daemon) -> None:
    frame = rpc.hello_frame("1") + rpc.call_frame(1, Ping())
    for cut in range(len(frame)):
        with raw_client(shared, frame[:cut]):
            pass
    with raw_client(shared) as client:
        client.call(1, "ping", {})
        assert client.receive()["id"] == 1
    until(lambda: shared.connections() == 0)


@given(garbage=st.binary(max_size=400), after_hello=st.booleans())
def test_whatever_one_client_sends_others_are_served(shared: Daemon, garbage: bytes, after_hello: bool) -> None:
    crashes = len(shared.observer.crashes)
    sent = rpc.hello_frame("1") + rpc.frame(garbage) if after_hello and garbage else garbage
    with raw_client(shared, sent), raw_client(shared) as other:
        other.call(1, "ping", {})
        assert other.receive()["id"] == 1
    assert len(shared.observer.crashes) == crashes


def test_a_client_that_says_no_hello_is_let_go() -> None:
    with serving(Settings(hello=0.01)) as daemon, raw_client(daemon, b"") as client:
        assert client.rest() == []


def test_a_client_that_leaves_a_frame_half_sent_is_let_go() -> None:
    with serving(Settings(stall=0.01)) as daemon, raw_client(daemon) as client:
        client.send(b"\x00\x00")
        assert client.rest() == []


def test_an_idle_client_is_not_let_go() -> None:
    with serving(Settings(stall=0.01, hello=0.01)) as daemon, raw_client(daemon) as idle:
        with raw_client(daemon) as stalling:
            stalling.send(b"\x00")
            assert stalling.rest() == []
        idle.call(1, "ping", {})
        assert idle.receive()["id"] == 1


def test_a_client_that_never_reads_is_not_worked_for_and_then_let_go() -> None:
    with serving(Settings(stall=0.2, buffer_bytes=64 * 1024)) as daemon:
        asked = []

        def show(request: Show) -> Any:
            asked.append(request)
            return [{"id": "x" * 100_000}]

        daemon.answers.quick[Show] = show
        with raw_client(daemon) as client:
            client.send(b"".join(rpc.call_frame(number, Show(ids=("a",))) for number in range(1, 1001)))
            until(lambda: daemon.connections() == 0)
    assert 0 < len(asked) < BURST
    assert ("rpc.dropped", {"connection": 1, "why": "does not read"}) in daemon.observer.notes


def test_a_client_that_reads_slowly_gets_everything_and_little_of_it_waits_in_the_daemons_buffer() -> None:
    size, limit = 300_000, 64 * 1024
    with serving(Settings(buffer_bytes=limit)) as daemon:
        answered = []

        async def show(request: Show) -> Any:
            answered.append(request)
            return [{"id": "y" * size}]

        daemon.answers.slow[Show] = show
        buffered = []

        def look() -> None:
            (connection,) = daemon.server.connections
            buffered.append(connection._transport.get_write_buffer_size())

        with raw_client(daemon) as client:
            client.send(b"".join(rpc.call_frame(number, Show(ids=("y",))) for number in range(1, 41)))
            until(lambda: bool(answered))
            messages = []
            for _ in range(40):
                daemon.in_loop(look)
                messages.append(client.receive())
    sizes = {message["id"]: len(message["result"][0]["id"]) for message in messages}
    assert sizes == dict.fromkeys(range(1, 41), size)
    assert 0 < max(buffered) <= limit + size + 100


# -- Who may connect ---------------------------------------------------------------------------------------------
STRANGER = """
import os, socket, sys
if os.geteuid() == 0:
    os.setuid(65534)
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
data = b""
while chunk := client.recv(65536):
    data += chunk
sys.stdout.buffer.write(data)
"""


def test_a_process_of_another_user_is_turned_away_before_it_is_listened_to() -> None:
    """Run by root, the stranger becomes another user; otherwise the daemon expects another than both run as."""
    root = os.geteuid() == 0
    with serving(Settings(owner=0 if root else os.geteuid() + 1)) as daemon:
        daemon.path.parent.parent.chmod(0o711)
        daemon.path.parent.chmod(0o711)
        daemon.path.chmod(0o666)
        done = subprocess.run([sys.executable, "-c", STRANGER, str(daemon.path)], capture_output=True, check=True)
    (payload,) = rpc.FrameSplitter().feed(done.stdout)
    assert error_of(msgspec.msgpack.decode(payload)) == (rpc.CONNECTION, "denied")
