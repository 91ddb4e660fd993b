"""The typed client for programs: one call takes any request and blocks for its typed answer.

It starts no daemon and repeats nothing by itself: after a lost connection a mutation may or may not have been done, and
only a call with the same idempotency key is safe to try again.
"""

import os
import socket
import struct
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeVar

from moot import __version__
from moot.paths import SOCKET_BYTES, socket_path
from moot_protocol import rpc
from moot_protocol.errors import Code, MalformedError, RefusedError
from moot_protocol.limits import DEADLINE_MS
from moot_protocol.request_base import Request

R = TypeVar("R")

CONNECT_SECONDS: Final = 10.0
GRACE_SECONDS: Final = 2.0
"""How much longer than its deadline an answer is waited for: the daemon's own word on it is better than ours."""
READ_BYTES: Final = 256 * 1024


class Client:
    """A connection to the daemon (an `Api`). Threads may share it: their calls follow one another.

    Args:
        path: the control socket; by default this user's.
        owner: the user id the daemon must run as; by default this process's. Root is let pass as well.

    Raises:
        RefusedError: `unreachable`: nobody serves there, or a sandbox forbids it; `denied`: somebody else does.
    """

    def __init__(self, path: str | Path | None = None, *, owner: int | None = None) -> None:
        self._path = os.fspath(path) if path else socket_path()
        self._splitter = rpc.FrameSplitter()
        self._arrived: list[bytes] = []
        self._greeting = rpc.hello_frame(__version__)
        self._greeted = False
        self._calls = 0
        self._turn = threading.Lock()
        self._socket = _connect(self._path)
        try:
            _check_owner(self._socket, os.geteuid() if owner is None else owner)
        except RefusedError:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; what it had begun is cancelled."""
        self._socket.close()

    def call(self, request: Request[R], *, key: str = "", deadline_ms: int | None = None) -> R:
        """Carry out a request and wait for its answer.

        Args:
            request: what is asked.
            key: makes a mutation idempotent: under one key it is done once, whoever asks again gets the same answer.
            deadline_ms: how long it may take; by default 10 s, and as much again as the request itself waits for news.

        Raises:
            MootError: what the daemon answered; or `unreachable`, `timeout` (the connection is closed then),
                `bad_version`, `limit`.
        """
        if deadline_ms is None:
            waits: int = getattr(request, "wait_ms", 0)
            deadline_ms = DEADLINE_MS + waits
        with self._turn:
            self._calls += 1
            frame = rpc.call_frame(self._calls, request, key=key, deadline_ms=deadline_ms)
            try:
                self._socket.settimeout(deadline_ms / 1000 + GRACE_SECONDS)
                self._send(frame)
                return rpc.decode_result(request, self._answer(self._calls).result)
            except TimeoutError as error:
                self.close()
                raise RefusedError("the daemon does not answer", code=Code.TIMEOUT, retryable=True) from error
            except KeyboardInterrupt:
                self.close()  # half a frame may have been sent, and nobody waits for the answer
                raise
            except OSError as error:
                self.close()
                raise _unreachable(f"the connection to {self._path} is lost: {error.strerror or error}") from error

    def _send(self, frame: bytes) -> None:
        greeting, self._greeting = self._greeting, b""
        try:
            self._socket.sendall(greeting + frame)
        except (BrokenPipeError, ConnectionResetError):
            if self._greeted:
                raise
            # It has turned us away before we said anything: why, comes next.

    def _answer(self, call_id: int) -> rpc.Answer:
        while True:
            payload = self._frame()
            if not self._greeted and self._is_hello(payload):
                continue
            answer = rpc.decode_from_daemon(payload)
            if answer.error is not None and answer.id in (call_id, rpc.CONNECTION):
                raise rpc.error_from(answer.error)
            if answer.id == call_id:
                return answer

    def _is_hello(self, payload: bytes) -> bool:
        """Take in the daemon's hello; False for the error it may send instead."""
        try:
            rpc.decode_hello(payload)
        except MalformedError as error:
            if error.code is Code.BAD_VERSION:
                raise
            return False
        self._greeted = True
        return True

    def _frame(self) -> bytes:
        while not self._arrived:
            data = self._socket.recv(READ_BYTES)
            if not data:
                raise ConnectionResetError("the daemon has closed it")
            self._arrived = self._splitter.feed(data)
        return self._arrived.pop(0)


def _connect(path: str) -> socket.socket:
    if len(os.fsencode(path)) > SOCKET_BYTES:
        raise _unreachable(
            f"the socket's path has more than {SOCKET_BYTES} bytes: {path}",
            "set XDG_RUNTIME_DIR to a folder with a shorter path",
        )
    try:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    except PermissionError as error:
        raise _forbidden(path, error) from error
    connection.settimeout(CONNECT_SECONDS)
    try:
        connection.connect(path)
    except PermissionError as error:
        connection.close()
        raise _forbidden(path, error) from error
    except BlockingIOError as error:
        connection.close()
        raise RefusedError("the daemon has more clients than it can take", code=Code.BUSY, retryable=True) from error
    except OSError as error:
        connection.close()
        raise _unreachable(f"no daemon answers at {path}: {error.strerror}", "start it: moot daemon start") from error
    return connection


def _check_owner(connection: socket.socket, owner: int) -> None:
    if sys.platform == "linux":
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        uid = struct.unpack("3i", credentials)[1]
        if uid not in (0, owner):
            raise RefusedError(f"the daemon at that socket belongs to user {uid}, not to {owner}", code=Code.DENIED)


def _forbidden(path: str, error: OSError) -> RefusedError:
    return _unreachable(
        f"this sandbox forbids Unix sockets: cannot connect to {path} ({error.strerror})",
        "run outside the sandbox, or let the sandbox connect to that path",
    )


def _unreachable(message: str, hint: str = "") -> RefusedError:
    return RefusedError(message, code=Code.UNREACHABLE, hint=hint, retryable=True)
