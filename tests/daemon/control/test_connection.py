"""One client's connection: its hello and its frames, limits, and clients that misbehave."""

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

from moot_protocol.control import rpc
from moot_protocol.requests.issues import Show
from moot_protocol.requests.machine import Ping
from moot_testkit.clients.control import PATIENCE, Daemon, error_of, raw_client, serving, until
from mootd.control.connection import BURST
from mootd.control.ports import Settings

SHOW = {"ids": ["a"]}


# -- Hello and frames ----------------------------------------------------------------------------------------------
def test_the_first_request_may_come_with_the_hello_and_the_daemons_hello_comes_first(shared: Daemon) -> None:
    with raw_client(shared, rpc.hello_frame("1") + rpc.call_frame(1, Ping())) as client:
        assert client.receive() == {"hello": rpc.RPC_VERSION, "version": "9.9.9", "pid": os.getpid(), "codes": True}
        assert client.receive() == {"id": 1, "result": {"pid": os.getpid()}}


def test_a_burst_of_requests_is_answered_to_the_last(shared: Daemon) -> None:
    count = 1000
    with raw_client(shared) as client:
        client.send(b"".join(rpc.call_frame(number, Ping()) for number in range(1, count + 1)))
        assert [client.receive()["id"] for _ in range(count)] == list(range(1, count + 1))


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
