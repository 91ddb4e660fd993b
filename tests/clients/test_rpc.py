"""The typed client against a control socket that really listens."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from moot.console.api import Api
from moot.conversation import Sandboxed
from moot.rpc import Client, UnansweredError, UnheardError
from moot_protocol import limits
from moot_protocol.access.rules import Asker
from moot_protocol.control import rpc
from moot_protocol.errors import Code, MalformedError, MootError, RefusedError
from moot_protocol.requests.issues import Close, Create, IssueFields, ListIssues, Show
from moot_protocol.requests.listing import Page
from moot_protocol.requests.machine import Events, Ping
from moot_testkit.clients.control import PATIENCE, Daemon, Gate, serving, short_folder, stranger_listening
from moot_testkit.clients.gates import GOOD, STALE, USER, StubGate
from mootd.control.ports import Settings


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with serving() as daemon:
        yield daemon


@contextmanager
def pretending(answer: bytes, *, then_close: bool = True) -> Iterator[Path]:
    """Something that listens, hears a client out, and sends these bytes."""
    with short_folder() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "s"))
        listener.listen()
        done = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
                if not then_close:
                    done.wait(PATIENCE)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield folder / "s"
        finally:
            done.set()
            thread.join(PATIENCE)


def failure(act: Callable[[], object]) -> MootError:
    """The error that something must raise."""
    with pytest.raises(MootError) as caught:
        act()
    return caught.value


# -- Calls -------------------------------------------------------------------------------------------------------
def test_a_call_gives_the_typed_answer_of_its_request(daemon: Daemon) -> None:
    daemon.answers.quick[ListIssues] = lambda _: Page(issues=[{"id": "a"}], total=1, truncated=False)
    with Client(daemon.path) as client:
        pid: int = client.call(Ping())["pid"]
        page = client.call(ListIssues(limit=1))
    assert pid == os.getpid()
    assert page == Page(issues=[{"id": "a"}], total=1, truncated=False)


def test_it_is_an_api_as_commands_know_it(daemon: Daemon) -> None:
    def use(api: Api) -> int:
        pid: int = api.call(Ping())["pid"]
        return pid

    with Client(daemon.path) as client:
        assert use(client) == os.getpid()


def test_the_socket_of_this_user_is_found_without_being_named(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(daemon.path.parent.parent))
    with Client() as client:
        assert client.call(Ping())


def test_an_error_is_raised_as_the_daemon_meant_it_and_the_connection_goes_on(daemon: Daemon) -> None:
    def fail(request: Show) -> Any:
        if request.ids == ("bytes",):
            raise MalformedError("rotten", code=Code.BAD_HASH)
        raise RefusedError("no such issue", code=Code.NOT_FOUND, hint="look again", retryable=True)

    daemon.answers.quick[Show] = fail
    with Client(daemon.path) as client:
        error = failure(lambda: client.call(Show(ids=("a",))))
        assert type(error) is RefusedError
        assert (error.code, error.message, error.hint, error.retryable) == (
            Code.NOT_FOUND, "no such issue", "look again", True,
        )  # fmt: skip
        assert type(failure(lambda: client.call(Show(ids=("bytes",))))) is MalformedError
        assert client.call(Ping())


def test_key_and_deadline_reach_the_daemon(daemon: Daemon) -> None:
    async def close(_: Close) -> Any:
        return {"id": "a"}

    daemon.answers.slow[Close] = close
    with Client(daemon.path) as client:
        client.call(Close(actor="alice", id="a"), key="k", deadline_ms=100_000)
    assert daemon.answers.keys == ["k"]
    assert 50 < daemon.answers.deadlines[0] <= 100


def test_waiting_for_news_does_not_use_up_the_deadline(daemon: Daemon) -> None:
    async def events(_: Events) -> Any:
        return {"events": [], "next": 0, "first": 0}

    daemon.answers.slow[Events] = events
    with Client(daemon.path) as client:
        client.call(Events(wait_ms=60_000))
    assert 60 < daemon.answers.deadlines[0] <= 60 + limits.DEADLINE_MS / 1000


def test_an_answer_that_outlasts_its_deadline_raises_timeout_and_later_calls_get_their_own(daemon: Daemon) -> None:
    gate = Gate(daemon)
    daemon.answers.slow[Show] = gate.answer
    with Client(daemon.path) as client:
        assert failure(lambda: client.call(Show(ids=("a",)), deadline_ms=1)).code is Code.TIMEOUT
        gate.open()
        assert client.call(Show(ids=("b",))) == [{"id": "b"}]


def test_threads_that_share_a_client_get_their_own_answers(daemon: Daemon) -> None:
    async def show(request: Show) -> Any:
        await asyncio.sleep(0)
        return [{"id": request.ids[0]}]

    daemon.answers.slow[Show] = show
    wrong: list[Any] = []

    def work(client: Client, name: str) -> None:
        for number in range(50):
            (document,) = client.call(Show(ids=(f"{name}{number}",)))
            if document["id"] != f"{name}{number}":
                wrong.append(document)

    with Client(daemon.path) as client:
        threads = [threading.Thread(target=work, args=(client, name)) for name in "abcd"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
    assert not wrong


def test_a_request_too_large_for_a_frame_is_refused_here_and_the_connection_goes_on(daemon: Daemon) -> None:
    with Client(daemon.path) as client:
        error = failure(lambda: client.call(Show(ids=("x" * limits.RPC_FRAME_BYTES,))))
        assert (error.code, error.hint) == (Code.LIMIT, "send less at once; a text of an issue has at most 60 KiB")
        assert client.call(Ping())


def nested() -> list[Any]:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    return value


@pytest.mark.parametrize("value", [object(), "\ud800", nested()], ids=["no data", "half a character", "too deep"])
def test_what_can_not_be_sent_is_refused_here_and_the_connection_goes_on(daemon: Daemon, value: Any) -> None:
    with Client(daemon.path) as client:
        with pytest.raises(RefusedError, match="create holds what can't be sent") as caught:
            client.call(Create(actor="ada", project="demo", fields=IssueFields(), metadata={"a": value}))
        assert caught.value.code is Code.INVALID
        assert client.call(Ping())


def test_a_call_whose_connection_is_closed_by_another_thread_ends_at_once(daemon: Daemon) -> None:
    gate = Gate(daemon)
    daemon.answers.slow[Show] = gate.answer
    with Client(daemon.path) as client:
        told: list[MootError] = []

        def ask() -> None:
            try:
                client.call(Show(ids=("demo-1",)), deadline_ms=PATIENCE * 1000)
            except MootError as error:
                told.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        assert gate.begun.acquire(timeout=PATIENCE)
        client.close()
        thread.join(PATIENCE)
        gate.open()
        assert [error.code for error in told] == [Code.UNREACHABLE]


def test_a_client_gives_up_its_socket_after_the_hellos(daemon: Daemon) -> None:
    client = Client(daemon.path)
    assert client.is_open
    with client.detach() as connection:
        connection.sendall(rpc.call_frame(1, Ping()))
        (frame,) = rpc.FrameSplitter().feed(connection.recv(65536))
        assert rpc.decode_from_daemon(frame).id == 1
    assert not client.is_open


# -- Trouble -----------------------------------------------------------------------------------------------------
def test_without_a_daemon_it_says_where_it_looked_and_what_to_do() -> None:
    with short_folder() as folder:
        error = failure(lambda: Client(folder / "moot.sock"))
    assert error.code is Code.UNREACHABLE
    assert str(folder) in error.message
    assert error.hint == "start it: moot daemon start"
    assert error.retryable


def test_a_path_too_long_for_a_socket_is_refused_in_words() -> None:
    error = failure(lambda: Client("/" + "x" * 200))
    assert error.code is Code.UNREACHABLE
    assert "107 bytes" in error.message


def test_a_daemon_of_another_user_is_refused(daemon: Daemon) -> None:
    """Root's is let pass, so a test that root runs has another user's serve in its place."""
    if os.geteuid() != 0:
        assert failure(lambda: Client(daemon.path, owner=os.geteuid() + 1)).code is Code.DENIED
        return
    with short_folder() as folder, stranger_listening(folder / "s"):
        assert failure(lambda: Client(folder / "s")).code is Code.DENIED


def test_a_daemon_with_too_many_clients_is_busy() -> None:
    with serving(Settings(clients=1)) as daemon, Client(daemon.path) as first:
        first.call(Ping())
        with Client(daemon.path) as second:
            error = failure(lambda: second.call(Ping()))
    assert error.code is Code.BUSY
    assert error.retryable


def test_a_daemon_of_another_protocol_version_is_told_apart() -> None:
    hello = rpc.frame(b"\x83\xa5hello\x63\xa7version\xa39.9\xa3pid\x01")
    with pretending(hello) as path, Client(path) as client:
        assert failure(lambda: client.call(Ping())).code is Code.BAD_VERSION


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n", rpc.frame(b"\xc1"), rpc.frame(b"\x05")])
def test_what_is_no_daemon_gives_a_typed_error(answer: bytes) -> None:
    with pretending(answer) as path, Client(path) as client:
        assert isinstance(failure(lambda: client.call(Ping())), MalformedError)


@pytest.mark.parametrize("answer", [b"", b"\x00\x00", rpc.hello_frame("1", 1)])
def test_a_connection_lost_in_the_middle_is_unreachable_and_stays_so(answer: bytes) -> None:
    with pretending(answer) as path, Client(path) as client:
        for _ in range(2):
            error = failure(lambda: client.call(Ping()))
            assert error.code is Code.UNREACHABLE


def test_a_daemon_that_does_not_answer_at_all_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moot.rpc.GRACE_SECONDS", 0.01)
    with pretending(rpc.hello_frame("1", 1), then_close=False) as path, Client(path) as client:
        assert failure(lambda: client.call(Ping(), deadline_ms=1)).code is Code.TIMEOUT
        assert failure(lambda: client.call(Ping())).code is Code.UNREACHABLE


@pytest.mark.parametrize("then_close", [True, False], ids=["lost", "silent"])
@pytest.mark.parametrize(("key", "words"), [("", "look before"), ("mine", "with the same key")])
def test_a_write_that_got_no_answer_can_be_repeated_only_under_its_key(
    monkeypatch: pytest.MonkeyPatch, key: str, words: str, *, then_close: bool
) -> None:
    monkeypatch.setattr("moot.rpc.GRACE_SECONDS", 0.01)
    with pretending(rpc.hello_frame("1", 1), then_close=then_close) as path, Client(path) as client:
        deadline_ms = None if then_close else 1
        error = failure(lambda: client.call(Close(actor="ada", id="a"), key=key, deadline_ms=deadline_ms))
    assert isinstance(error, UnansweredError)
    assert error.code is (Code.UNREACHABLE if then_close else Code.TIMEOUT)
    assert (error.retryable, words in error.hint) == (bool(key), True)


@pytest.mark.parametrize("then_close", [True, False], ids=["lost", "silent"])
def test_a_read_that_got_no_answer_can_be_repeated(monkeypatch: pytest.MonkeyPatch, *, then_close: bool) -> None:
    monkeypatch.setattr("moot.rpc.GRACE_SECONDS", 0.01)
    with pretending(rpc.hello_frame("1", 1), then_close=then_close) as path, Client(path) as client:
        error = failure(lambda: client.call(Ping(), deadline_ms=None if then_close else 1))
    assert (error.retryable, error.hint) == (True, "")


@pytest.mark.parametrize("key", ["", "mine"])
def test_a_write_that_the_daemon_gave_up_at_its_deadline_can_be_repeated_only_under_its_key(
    daemon: Daemon, key: str
) -> None:
    def late(_: Close) -> None:
        raise RefusedError("`close` took longer than its deadline", code=Code.TIMEOUT, retryable=True)

    daemon.answers.quick[Close] = late
    with Client(daemon.path) as client:
        error = failure(lambda: client.call(Close(actor="ada", id="a"), key=key))
        assert (error.code, error.retryable, "may be done" in error.hint) == (Code.TIMEOUT, bool(key), True)
        assert client.is_open


def test_a_call_under_way_when_the_daemon_ends_is_unreachable() -> None:
    with serving(Settings(grace=0.01)) as daemon:
        gate = Gate(daemon)
        daemon.answers.slow[Show] = gate.answer
        errors: list[MootError] = []
        with Client(daemon.path) as client:
            thread = threading.Thread(target=lambda: errors.append(failure(lambda: client.call(Show(ids=("a",))))))
            thread.start()
            assert gate.begun.acquire(timeout=PATIENCE)
            daemon.stop()
            thread.join(PATIENCE)
    assert [error.code for error in errors] == [Code.UNREACHABLE]


# -- Tokens ------------------------------------------------------------------------------------------------------
@contextmanager
def gated() -> Iterator[tuple[Daemon, StubGate]]:
    gate = StubGate(binding=False)
    with serving() as daemon:
        daemon.server.gate = gate
        daemon.answers.slow[Ping] = _pong
        yield daemon, gate


async def _pong(request: Ping) -> dict[str, Any]:
    del request
    return {"pid": 1}


def test_a_token_is_presented_once_before_the_first_call() -> None:
    with gated() as (daemon, gate), Client(daemon.path, token=GOOD) as client:
        assert client.user == ""
        assert client.call(Ping()) == client.call(Ping()) == {"pid": 1, "narrowed": True}
        assert client.user == USER
        assert gate.asked == [(Asker(os.geteuid(), GOOD), "ping")] * 2


def test_it_can_be_presented_before_anything_is_called() -> None:
    with gated() as (daemon, gate), Client(daemon.path, token=GOOD) as client:
        client.authenticate()
        client.authenticate()
        assert client.user == USER
        assert client.call(Ping())["pid"] == 1
        assert len(gate.asked) == 1


def test_a_connection_whose_token_is_not_good_is_of_no_use() -> None:
    with gated() as (daemon, gate), Client(daemon.path, token=STALE) as client:
        assert failure(lambda: client.call(Ping())).code is Code.BAD_TOKEN
        assert not client.is_open
        assert failure(lambda: client.call(Ping())).code is Code.UNREACHABLE
        assert gate.asked == []


@pytest.mark.parametrize("act", [Client.authenticate, Client.detach])
def test_a_daemon_that_goes_away_before_it_knows_the_token_is_unreachable(act: Callable[[Client], object]) -> None:
    with pretending(rpc.hello_frame("1")) as path, Client(path, token=GOOD) as client:
        assert failure(lambda: act(client)).code is Code.UNREACHABLE


def test_a_daemon_that_is_silent_on_the_token_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moot.rpc.CONNECT_SECONDS", 0.01)
    with pretending(b"", then_close=False) as path, Client(path, token=GOOD) as client:
        assert failure(client.authenticate).code is Code.TIMEOUT


def test_a_daemon_that_does_not_know_tokens_is_asked_nothing_else(daemon: Daemon) -> None:
    with Client(daemon.path, token=GOOD) as client:
        assert failure(lambda: client.call(Ping())).code is Code.USAGE
        assert not client.is_open


# -- Sandboxes ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("autostart", [False, True])
@pytest.mark.parametrize(
    ("is_open", "told"), [(True, "the workspace's spool, which is open, takes"), (False, "a spool would take")]
)
def test_in_a_sandbox_it_says_that_the_command_goes_through_files_and_no_call_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autostart: bool, is_open: bool, told: str
) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("moot.conversation.socket", forbidden)
    monkeypatch.setattr("moot.rpc.socket.socket", forbidden)
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".moot" / "spool").mkdir(parents=True)
    (tmp_path / ".moot" / "workspace").write_text("w0\n")
    if is_open:
        (tmp_path / ".moot" / "spool" / "token").touch()
    error = failure(lambda: Client("/s", autostart=autostart))
    assert error.code is Code.UNREACHABLE
    assert "this sandbox forbids Unix sockets" in error.message
    assert f"{told} the command `moot`, and neither programs" in error.hint
    assert "init --spool" not in error.hint


def test_another_user_s_folder_in_the_way_is_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    def kept_out(_path: str) -> None:
        raise Sandboxed("denied", "/run/user/7 belongs to user 7", "run it as that user")

    monkeypatch.setattr("moot.rpc.thin.connect", kept_out)
    error = failure(lambda: Client("/s", autostart=True))
    assert (error.code, error.message, error.hint) == (
        Code.DENIED, "/run/user/7 belongs to user 7", "run it as that user"
    )  # fmt: skip


# -- A place that others needed ----------------------------------------------------------------------------------
IDLE = rpc.error_frame(rpc.CONNECTION, rpc.idle_error())


def test_what_was_asked_on_a_connection_that_was_closed_while_idle_was_not_begun() -> None:
    with pretending(rpc.hello_frame("1", 1) + IDLE) as path, Client(path) as client:
        error = failure(lambda: client.call(Close(actor="ada", id="a")))
        assert isinstance(error, UnheardError)
        assert (error.code, error.retryable, error.hint) == (Code.UNREACHABLE, True, "connect again")
        assert not client.is_open


def test_that_is_heard_though_the_request_can_no_longer_be_sent() -> None:
    with serving(Settings(clients=1, idle=0.0)) as daemon, Client(daemon.path) as client:
        assert client.call(Ping())
        with Client(daemon.path) as other:
            assert other.call(Ping())
            assert isinstance(failure(lambda: client.call(Close(actor="ada", id="a"))), UnheardError)


def test_what_else_the_daemon_says_of_a_connection_ends_it_too() -> None:
    busy = rpc.error_frame(rpc.CONNECTION, RefusedError("too many", code=Code.BUSY))
    with pretending(rpc.hello_frame("1", 1) + busy) as path, Client(path) as client:
        assert failure(lambda: client.call(Ping())).code is Code.BUSY
        assert not client.is_open
