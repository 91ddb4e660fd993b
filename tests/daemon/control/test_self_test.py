"""The daemon's call to itself: it says who answers at the socket, and why nobody does."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from moot_protocol.control.rpc import error_frame, hello_frame, result_frame
from moot_protocol.errors import Code, MootError, RefusedError
from mootd.control import self_test
from mootd.control.self_test import answering_pid

HELLO = hello_frame("1.2.3", 7)
ANSWER = result_frame(1, {"pid": 7})
Serve = Callable[..., Path]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serves one connection at a socket: these bytes are said one after another, once the client has spoken."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    place = tmp_path / "s"
    threads: list[threading.Thread] = []

    def answer(parts: tuple[bytes, ...]) -> None:
        with listener.accept()[0] as channel:
            assert channel.recv(65_536)
            for part in parts:
                channel.sendall(part)

    def begin(*parts: bytes) -> Path:
        listener.bind(str(place))
        listener.listen()
        threads.append(threading.Thread(target=answer, args=(parts,)))
        threads[0].start()
        return place

    yield begin
    for thread in threads:
        thread.join()
    listener.close()


def refusal(path: Path) -> tuple[Code, str]:
    with pytest.raises(MootError) as raised:
        answering_pid(path)
    return raised.value.code, raised.value.message


@pytest.mark.parametrize("parts", [(HELLO + ANSWER,), (HELLO, ANSWER), tuple(bytes([byte]) for byte in HELLO + ANSWER)])
def test_who_answers_is_told_however_the_answer_comes(serve: Serve, parts: tuple[bytes, ...]) -> None:
    assert answering_pid(serve(*parts)) == 7


def test_a_daemon_s_own_refusal_is_what_is_wrong(serve: Serve) -> None:
    error = RefusedError("too many clients", code=Code.BUSY)
    assert refusal(serve(HELLO, error_frame(1, error))) == (Code.BUSY, "too many clients")


def test_whoever_hangs_up_or_speaks_otherwise_does_not_answer(serve: Serve) -> None:
    code, message = refusal(serve(HELLO))
    assert code is Code.UNREACHABLE
    assert message.endswith("it has hung up")


def test_another_protocol_s_words_are_no_answer(serve: Serve) -> None:
    assert refusal(serve(ANSWER, ANSWER))[0] is Code.BAD_STRUCTURE


def test_where_nobody_serves_that_is_said(tmp_path: Path) -> None:
    code, message = refusal(tmp_path / "s")
    assert (code, message.startswith(f"nobody answers at {tmp_path}/s: ")) == (Code.UNREACHABLE, True)


def test_who_says_nothing_is_waited_for_only_so_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_test, "PATIENCE_S", 0.05)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(os.fspath(tmp_path / "s"))
        listener.listen()
        assert refusal(tmp_path / "s")[0] is Code.UNREACHABLE
