"""The asynchronous connection against a control socket that really listens, or something else that does."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from moot.async_rpc import AsyncConnection
from moot.rpc import UnansweredError, UnheardError
from moot_protocol.access.rules import Asker
from moot_protocol.control import rpc
from moot_protocol.errors import Code, MalformedError, MootError, RefusedError
from moot_protocol.limits import RPC_IN_FLIGHT
from moot_protocol.requests.issues import Close, Show
from moot_protocol.requests.machine import Ping
from moot_testkit.clients.control import PATIENCE, Daemon, Gate, raw_client, serving, short_folder
from moot_testkit.clients.gates import GOOD, STALE, USER, StubGate
from mootd.control.ports import Settings

HELLO = rpc.hello_frame("1", 1)
GARBAGE = [b"HTTP/1.1 400 Bad Request\r\n", rpc.frame(b"\xc1"), rpc.frame(b"\x05")]


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with serving() as daemon:
        yield daemon


@asynccontextmanager
async def connected(path: Path) -> AsyncIterator[AsyncConnection]:
    connection = await AsyncConnection.open(path)
    try:
        yield connection
    finally:
        connection.close()


@asynccontextmanager
async def pretending(*answers: bytes, then_close: bool = True) -> AsyncIterator[Path]:
    """Something that listens, and sends each of these bytes after having heard the client out."""
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.read(65536)
            writer.write(answer)
        if not then_close:
            await reader.read()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        ended.set()

    with short_folder() as folder:
        async with await asyncio.start_unix_server(serve, folder / "s"):
            yield folder / "s"
            await ended.wait()


async def refusal(path: Path) -> MootError:
    """The error that connecting must raise."""
    with pytest.raises(MootError) as caught:
        await AsyncConnection.open(path)
    return caught.value


async def failure(connection: AsyncConnection, deadline_ms: int | None = None) -> MootError:
    """The error that a call must raise."""
    with pytest.raises(MootError) as caught:
        await connection.call(Show(ids=("a",)), deadline_ms=deadline_ms)
    return caught.value


async def test_a_call_gives_the_typed_answer_of_its_request(daemon: Daemon) -> None:
    async with connected(daemon.path) as connection:
        assert (await connection.call(Ping()))["pid"]
        assert connection.is_open


async def test_an_error_is_raised_as_the_daemon_meant_it_and_the_connection_goes_on(daemon: Daemon) -> None:
    def fail(_: Show) -> None:
        raise RefusedError("no such issue", code=Code.NOT_FOUND, hint="look again", retryable=True)

    daemon.answers.quick[Show] = fail
    async with connected(daemon.path) as connection:
        error = await failure(connection)
        assert (error.code, error.hint, error.retryable) == (Code.NOT_FOUND, "look again", True)
        assert await connection.call(Ping())


async def test_more_calls_than_the_daemon_takes_at_once_wait_for_their_turn(daemon: Daemon) -> None:
    async def show(request: Show) -> list[object]:
        await asyncio.sleep(0.01)
        return [{"id": request.ids[0]}]

    daemon.answers.slow[Show] = show
    async with connected(daemon.path) as connection:
        asked = [connection.call(Show(ids=(str(number),))) for number in range(3 * RPC_IN_FLIGHT)]
        answers = await asyncio.gather(*asked)
    assert [answer[0]["id"] for answer in answers] == [str(number) for number in range(3 * RPC_IN_FLIGHT)]


async def test_a_call_whose_turn_does_not_come_in_time_is_told_so_and_none_that_waited_is_sent(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moot.async_rpc.RPC_IN_FLIGHT", 1)
    gate = Gate(daemon)
    daemon.answers.slow[Show] = gate.answer
    async with connected(daemon.path) as connection:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(connection.call(Show(ids=("a",))))
            assert await asyncio.to_thread(gate.begun.acquire, timeout=PATIENCE)
            error = await failure(connection, deadline_ms=20)
            assert (error.code, error.retryable) == (Code.BUSY, True)
            gate.open()
        assert len(daemon.answers.keys) == 1
        assert await connection.call(Show(ids=("a",)))


async def test_where_the_connection_is_lost_those_who_wait_for_their_turn_are_told_so(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moot.async_rpc.RPC_IN_FLIGHT", 1)
    gate = Gate(daemon)
    daemon.answers.slow[Show] = gate.answer
    async with connected(daemon.path) as connection:
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(failure(connection)) for _ in range(3)]
            assert await asyncio.to_thread(gate.begun.acquire, timeout=PATIENCE)
            assert len(daemon.answers.keys) == 1, "the other two wait for their turn"
            connection.close()
        assert [each.result().code for each in asked] == [Code.UNREACHABLE] * 3


async def test_a_caller_that_is_cancelled_cancels_its_request_in_the_daemon(daemon: Daemon) -> None:
    gate = Gate(daemon)
    daemon.answers.slow[Show] = gate.answer
    async with connected(daemon.path) as connection:
        async with asyncio.TaskGroup() as tasks:
            waiting = tasks.create_task(connection.call(Show(ids=("a",))))
            assert await asyncio.to_thread(gate.begun.acquire, timeout=PATIENCE)
            waiting.cancel()
        assert await asyncio.to_thread(daemon.answers.cancelled.acquire, timeout=PATIENCE)
        assert await connection.call(Ping()), "what the daemon says to that goes nowhere"


async def test_a_daemon_that_does_not_answer_is_given_up_and_the_connection_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("moot.async_rpc.GRACE_SECONDS", 0.01)
    async with pretending(HELLO, then_close=False) as path, connected(path) as connection:
        assert (await failure(connection, deadline_ms=1)).code is Code.TIMEOUT
        assert connection.is_open


@pytest.mark.parametrize("then_close", [True, False], ids=["lost", "silent"])
@pytest.mark.parametrize(("key", "words"), [("", "look before"), ("mine", "with the same key")])
async def test_a_write_that_got_no_answer_can_be_repeated_only_under_its_key(
    monkeypatch: pytest.MonkeyPatch, key: str, words: str, *, then_close: bool
) -> None:
    monkeypatch.setattr("moot.async_rpc.GRACE_SECONDS", 0.01)
    async with pretending(HELLO, b"", then_close=then_close) as path, connected(path) as connection:
        with pytest.raises(UnansweredError) as caught:
            await connection.call(Close(actor="ada", id="a"), key=key, deadline_ms=1 if not then_close else None)
    assert caught.value.code is (Code.UNREACHABLE if then_close else Code.TIMEOUT)
    assert (caught.value.retryable, words in caught.value.hint) == (bool(key), True)


async def test_a_read_that_got_no_answer_can_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moot.async_rpc.GRACE_SECONDS", 0.01)
    async with pretending(HELLO, then_close=False) as path, connected(path) as connection:
        error = await failure(connection, deadline_ms=1)
    assert (error.retryable, error.hint) == (True, "")


@pytest.mark.parametrize("key", ["", "mine"])
async def test_a_write_that_the_daemon_gave_up_at_its_deadline_can_be_repeated_only_under_its_key(
    daemon: Daemon, key: str
) -> None:
    def late(_: Close) -> None:
        raise RefusedError("`close` took longer than its deadline", code=Code.TIMEOUT, retryable=True)

    daemon.answers.quick[Close] = late
    async with connected(daemon.path) as connection:
        with pytest.raises(UnansweredError) as caught:
            await connection.call(Close(actor="ada", id="a"), key=key)
    assert (caught.value.code, caught.value.retryable) == (Code.TIMEOUT, bool(key))


async def test_a_daemon_with_too_many_clients_is_busy() -> None:
    with serving(Settings(clients=1)) as daemon:
        async with connected(daemon.path) as first:
            await first.call(Ping())
            assert (await refusal(daemon.path)).code is Code.BUSY


async def test_a_daemon_of_another_protocol_version_is_told_apart() -> None:
    async with pretending(rpc.frame(b"\x83\xa5hello\x63\xa7version\xa39.9\xa3pid\x01")) as path:
        assert (await refusal(path)).code is Code.BAD_VERSION


@pytest.mark.parametrize("answer", GARBAGE)
async def test_what_is_no_daemon_gives_a_typed_error(answer: bytes) -> None:
    async with pretending(answer) as path:
        assert isinstance(await refusal(path), MalformedError)


@pytest.mark.parametrize("answer", GARBAGE)
async def test_what_turns_into_nonsense_gives_a_typed_error_and_is_of_no_further_use(answer: bytes) -> None:
    async with pretending(HELLO, answer) as path, connected(path) as connection:
        for _ in range(2):
            assert isinstance(await failure(connection), MalformedError)
        assert not connection.is_open


@pytest.mark.parametrize("answer", [b"", b"\x00\x00"])
async def test_a_connection_lost_before_the_hello_is_unreachable(answer: bytes) -> None:
    async with pretending(answer) as path:
        assert (await refusal(path)).code is Code.UNREACHABLE


@pytest.mark.parametrize("answer", [b"", b"\x00\x00"])
async def test_a_connection_lost_in_the_middle_is_unreachable_and_stays_so(answer: bytes) -> None:
    async with pretending(HELLO, answer) as path, connected(path) as connection:
        for _ in range(2):
            assert (await failure(connection)).code is Code.UNREACHABLE
        assert not connection.is_open


async def test_what_the_daemon_says_of_the_connection_fails_every_call() -> None:
    stopping = rpc.error_frame(rpc.CONNECTION, RefusedError("stopping", code=Code.BUSY))
    async with pretending(HELLO, stopping) as path, connected(path) as connection:
        for _ in range(2):
            assert (await failure(connection)).code is Code.BUSY


async def test_closing_ends_the_connection_and_what_waits_on_it(daemon: Daemon) -> None:
    gate = Gate(daemon)
    daemon.answers.slow[Show] = gate.answer
    connection = await AsyncConnection.open(daemon.path)
    async with asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(failure(connection))
        assert await asyncio.to_thread(gate.begun.acquire, timeout=PATIENCE)
        connection.close()
    assert waiting.result().code is Code.UNREACHABLE
    assert await asyncio.to_thread(daemon.answers.cancelled.acquire, timeout=PATIENCE)


async def test_without_a_daemon_it_says_where_it_looked() -> None:
    with short_folder() as folder, pytest.raises(RefusedError, match=str(folder)) as caught:
        await AsyncConnection.open(folder / "s")
    assert caught.value.code is Code.UNREACHABLE


async def test_a_token_is_presented_with_the_hellos() -> None:
    with serving() as daemon:
        daemon.server.gate = gate = StubGate(binding=False)
        connection = await AsyncConnection.open(daemon.path, token=GOOD)
        assert connection.user == USER
        daemon.answers.slow[Show] = _shown
        assert await connection.call(Show(ids=("a",))) == []
        assert gate.asked == [(Asker(os.geteuid(), GOOD), "show")]
        connection.close()
        with pytest.raises(MootError) as caught:
            await AsyncConnection.open(daemon.path, token=STALE)
        assert caught.value.code is Code.BAD_TOKEN


async def _shown(request: Show) -> list[object]:
    del request
    return []


# -- A place that others needed ----------------------------------------------------------------------------------
async def closed_while_idle(*, in_between: bool) -> MootError:
    """What a call raises on a connection that lost its place, whether or not the loop has run since."""
    with serving(Settings(clients=1, idle=0.0)) as daemon:
        async with connected(daemon.path) as connection:
            with raw_client(daemon) as other:
                other.call(1, "ping", {})
                assert other.receive()["id"] == 1
                if in_between:
                    await asyncio.sleep(0.01)
                with pytest.raises(MootError) as caught:
                    await connection.call(Close(actor="ada", id="a"))
            assert not connection.is_open
    return caught.value


@pytest.mark.parametrize("in_between", [True, False])
async def test_what_was_asked_on_a_connection_that_was_closed_while_idle_was_not_begun(*, in_between: bool) -> None:
    error = await closed_while_idle(in_between=in_between)
    assert isinstance(error, UnheardError)
    assert (error.code, error.retryable) == (Code.UNREACHABLE, True)


async def test_all_calls_that_had_been_sent_hear_that_they_were_not_begun() -> None:
    async with pretending(HELLO, rpc.error_frame(rpc.CONNECTION, rpc.idle_error())) as path, connected(path) as unlucky:
        async with asyncio.TaskGroup() as tasks:
            failures = [tasks.create_task(failure(unlucky)) for _ in range(3)]
        assert all(isinstance(each.result(), UnheardError) for each in failures)
