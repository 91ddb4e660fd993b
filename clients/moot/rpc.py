"""The typed client for programs: one call takes any request and blocks for its typed answer.

It repeats nothing by itself: after a lost connection, or a deadline that passed, a mutation may or may not have been
done, and only a call with the same idempotency key is safe to try again; `UnansweredError` says whether it had one.
`client.py` builds on it what programs of others use.
"""

import os
import socket
import struct
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from moot import __version__, thin
from moot.conversation import Failure, Sandboxed
from moot.facts import has_spool
from moot.paths import SOCKET_BYTES, is_socket_named, socket_path
from moot.peer import distrust
from moot_protocol.control import rpc
from moot_protocol.errors import Code, MalformedError, MootError, RefusedError
from moot_protocol.limits import DEADLINE_MS, TEXT_BYTES
from moot_protocol.requests.base import Request

R = TypeVar("R")

CONNECT_SECONDS: Final = 10.0
GRACE_SECONDS: Final = 2.0
"""How much longer than its deadline an answer is waited for: the daemon's own word on it is better than ours."""
READ_BYTES: Final = 256 * 1024
LOOK_FIRST: Final = "look before you change something again; see: moot daemon logs"
_TOKEN_CALL: Final = 2**53
"""The number of the request that presents a token: no other comes near it."""


class UnansweredError(RefusedError):
    """A write was sent, and what became of it isn't known. It is `retryable` only under its idempotency key.

    `retryable` means that the same call, made again, is safe and may succeed. A read always is; a write without a key
    might be done twice, and one under a key that only the client made would be made again under another.

    Args:
        error: why there is no answer.
        key: the idempotency key that whoever hears of it can repeat the write with; empty for none.
    """

    def __init__(self, error: MootError, key: str) -> None:
        hint = "repeat it with the same key, and it is done once" if key else LOOK_FIRST
        super().__init__(error.message, code=error.code, hint=f"it may be done or not: {hint}", retryable=bool(key))

    def without_key(self) -> "UnansweredError":
        """The same for somebody who doesn't know the key, and would repeat the write under another."""
        return UnansweredError(self, "")


class UnheardError(RefusedError):
    """A connection was lost in the hellos, or closed while it was idle: of what was asked for nothing was begun."""


class Client:
    """A connection to the daemon (an `Api`). Threads may share it: their calls follow one another.

    Args:
        path: the control socket; by default this user's.
        owner: the user id the daemon must run as; by default this process's. Root is let pass as well, and at a socket
            that was named whoever alone can have made it (`moot.peer`).
        autostart: start the daemon if none runs, as the command line does.
        token: an API token, which binds all calls to its user's rules.

    Raises:
        RefusedError: `unreachable`: nobody serves there, or a sandbox forbids it; `denied`: somebody else does.
    """

    def __init__(
        self, path: str | Path | None = None, *, owner: int | None = None, autostart: bool = False, token: str = ""
    ) -> None:
        self.user = ""
        """The user that the token binds to, once a call was made."""
        self._token = token
        self._path = os.fspath(path) if path else socket_path()
        self._splitter = rpc.FrameSplitter()
        self._arrived: list[bytes] = []
        self._greeting = rpc.hello_frame(__version__)
        self._greeted = False
        self._calls = 0
        self._turn = threading.Lock()
        self._socket = connect(self._path, owner=owner, autostart=autostart, named=bool(path) or is_socket_named())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_open(self) -> bool:
        """Whether it can be used: neither closed nor lost."""
        return self._socket.fileno() >= 0

    def close(self) -> None:
        """End the connection; what it had begun is cancelled, and whoever waits for an answer in a thread is told."""
        with suppress(OSError):  # the other side was first
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def forsake(self) -> None:
        """Let go of the connection without ending it: after a fork it is the parent's."""
        self._socket.close()

    def call(self, request: Request[R], *, key: str = "", deadline_ms: int | None = None) -> R:
        """Carry out a request and wait for its answer.

        Args:
            request: what is asked.
            key: makes a mutation idempotent: under one key it is done once, whoever asks again gets the same answer.
            deadline_ms: how long it may take; by default 10 s, and as much again as the request itself waits for news.

        Raises:
            UnansweredError: a write was sent, and the connection was lost or the deadline passed.
            UnheardError: it was not begun: the connection had been idle, and others needed its place.
            MootError: what the daemon answered; or `unreachable`, `timeout` (the connection is closed then),
                `bad_version`, `limit`.
        """
        deadline_ms = deadline_of(request, deadline_ms)
        with self._turn:
            self._calls += 1
            frame = frame_of(self._calls, request, key=key, deadline_ms=deadline_ms)
            try:
                self._authenticated()
                patience = deadline_ms / 1000 + GRACE_SECONDS
                if self._socket.gettimeout() != patience:  # setting it is a system call
                    self._socket.settimeout(patience)
                self._send(frame)
                answer = self._answer(self._calls)
            except OSError as error:
                raise told_of(self._broken(error), request, key) from error
            except KeyboardInterrupt:
                self.close()  # half a frame may have been sent, and nobody waits for the answer
                raise
        return result_of(answer, request, key)

    def authenticate(self) -> None:
        """Present the token now, if there is one, and not with the first call; errors are those of a call."""
        with self._turn:
            self._authenticated()

    def _authenticated(self) -> None:
        """As `_authenticate`, of which no error is one of the call that follows."""
        try:
            self._authenticate()
        except OSError as error:
            raise self._broken(error) from error

    def detach(self) -> socket.socket:
        """Exchange hellos and give up the socket to whoever goes on with it; this client is of no further use then.

        Raises:
            MootError: as `call`, before a first request.
        """
        try:
            self._authenticate()
            self._socket.settimeout(CONNECT_SECONDS)
            self._send(b"")
            while not self._greeted:
                payload = self._frame()
                if not self._is_hello(payload):
                    answer = rpc.decode_from_daemon(payload)
                    if answer.error is not None:
                        raise rpc.error_from(answer.error)
        except OSError as error:
            raise self._broken(error) from error
        except MootError:
            self.close()
            raise
        return self._socket

    def _broken(self, error: OSError) -> RefusedError:
        """Close the connection, which has failed or kept silent for too long, and say so in our own words."""
        self.close()
        return silent() if isinstance(error, TimeoutError) else lost(self._path, error)

    def _authenticate(self) -> None:
        """Present the token, once, before anything else; a connection on which it doesn't count is of no use."""
        token, self._token = self._token, ""
        if not token:
            return
        try:
            self._socket.settimeout(CONNECT_SECONDS)
            self._send(rpc.raw_call_frame(_TOKEN_CALL, rpc.AUTHENTICATE, {"token": token}))
            answer = self._answer(_TOKEN_CALL)
            if answer.error is not None:
                raise rpc.error_from(answer.error)
            self.user = rpc.decode_user(answer.result)
        except MootError:
            self.close()
            raise

    def _send(self, frame: bytes) -> None:
        greeting, self._greeting = self._greeting, b""
        with suppress(BrokenPipeError, ConnectionResetError):  # why it turned us away comes next, or the end
            self._socket.sendall(greeting + frame)

    def _answer(self, call_id: int) -> rpc.Answer:
        while True:
            payload = self._frame()
            if not self._greeted and self._is_hello(payload):
                continue
            answer = rpc.decode_from_daemon(payload)
            if answer.error is not None and answer.id == rpc.CONNECTION:
                self.close()
                raise of_connection(answer.error)
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


def frame_of(call: int, request: Request[Any], *, key: str, deadline_ms: int) -> bytes:
    """The frame of a call.

    Raises:
        RefusedError: `invalid`: the request holds what can't be sent; `limit`: it is too large.
    """
    try:
        return rpc.call_frame(call, request, key=key, deadline_ms=deadline_ms)
    except RefusedError as error:
        hint = f"send less at once; a text of an issue has at most {TEXT_BYTES // 1024} KiB"
        raise RefusedError(f"{request.method} holds too much: {error.message}", code=error.code, hint=hint) from error
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise RefusedError(f"{request.method} holds what can't be sent: {error}", code=Code.INVALID) from error


def deadline_of(request: Request[Any], given_ms: int | None) -> int:
    """How long a request may take, in milliseconds: as given, else 10 s beyond what it waits for news itself."""
    waits: int = getattr(request, "wait_ms", 0)
    return DEADLINE_MS + waits if given_ms is None else given_ms


def connect(path: str, *, owner: int | None = None, autostart: bool = False, named: bool = False) -> socket.socket:
    """Connect to the control socket; arguments and errors are those of `Client`.

    `named`: whether the path is the caller's own word, and not where this user's daemon always listens.
    """
    if autostart:
        _start_if_none_runs(path)
    connection = _connect(path)
    try:
        _check_owner(connection, os.geteuid() if owner is None else owner, path if named and owner is None else "")
    except RefusedError:
        connection.close()
        raise
    return connection


def _start_if_none_runs(path: str) -> None:
    try:
        thin.connect(path).close()
    except Failure as failure:
        if isinstance(failure, Sandboxed) and failure.code == Code.UNREACHABLE:  # else somebody else's folder
            raise _unreachable(failure.message, _in_a_sandbox(path)) from failure
        code = Code(failure.code)
        raise RefusedError(failure.message, code=code, hint=failure.hint, retryable=failure.retryable) from failure


def of_connection(body: rpc.ErrorBody) -> MootError:
    """The error that the daemon ends a connection with."""
    error = rpc.error_from(body)
    return unheard(error) if error.code is Code.UNREACHABLE else error


def unheard(error: MootError) -> UnheardError:
    """The same error, of what was not begun."""
    return UnheardError(error.message, code=error.code, hint=error.hint, retryable=error.retryable)


def silent() -> RefusedError:
    """The error of a daemon that gives no answer in time."""
    return RefusedError("the daemon does not answer", code=Code.TIMEOUT, retryable=True)


def result_of(answer: rpc.Answer, request: Request[R], key: str) -> R:
    """What the daemon answers to a request under a key. Raises as `Client.call`."""
    if answer.error is None:
        return rpc.decode_result(request, answer.result)
    error = rpc.error_from(answer.error)
    raise told_of(error, request, key) if error.code is Code.TIMEOUT else error


def told_of(error: MootError, request: Request[Any], key: str) -> MootError:
    """The error of a call that was sent and got no answer, as its caller is told of it.

    Args:
        error: why there is no answer.
        request: what was asked; what only reads can be asked again.
        key: the idempotency key that the caller gave.
    """
    return UnansweredError(error, key) if type(request).writes else error


def lost(path: str, error: OSError | None) -> RefusedError:
    """The error of a connection that is gone; `error` tells why, if anything does."""
    why = "the daemon has closed it" if error is None else error.strerror or error
    return _unreachable(f"the connection to {path} is lost: {why}")


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


def _check_owner(connection: socket.socket, owner: int, named: str) -> None:
    if sys.platform == "linux":
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        uid = struct.unpack("3i", credentials)[1]
        why = "name the socket to speak to another user's daemon" if not named else ""
        if uid not in (0, owner) and (why := why or distrust(named, uid)):
            message = f"the daemon at that socket belongs to user {uid}, not to {owner}"
            raise RefusedError(message, code=Code.DENIED, hint=why)


def _forbidden(path: str, error: OSError) -> RefusedError:
    return _unreachable(
        f"this sandbox forbids Unix sockets: cannot connect to {path} ({error.strerror})",
        _in_a_sandbox(path),
    )


def _in_a_sandbox(path: str) -> str:
    """What helps where a sandbox forbids sockets: files take commands, and no calls."""
    spool = "the workspace's spool, which is open, takes" if has_spool() else "a spool would take"
    return (
        f"let the sandbox connect to {path}, or run this outside: {spool} the command `moot`, "
        "and neither programs with the Python client nor the MCP server"
    )


def _unreachable(message: str, hint: str = "") -> RefusedError:
    return RefusedError(message, code=Code.UNREACHABLE, hint=hint, retryable=True)
