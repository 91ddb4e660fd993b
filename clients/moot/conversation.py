"""The client's side of the control socket: one connection, used for one command.

`moot_protocol.control.rpc` describes what goes over it. Only what this process needs of that, and of MessagePack, is
here: the libraries for either take longer to load than a command may take.
"""

import os
import sys
from _socket import AF_UNIX, SOCK_STREAM, SOL_SOCKET, socket  # `socket` itself loads a dozen others

from moot import __version__
from moot.facts import ACTORS, facts, read_small
from moot.paths import SOCKET_BYTES, is_socket_named, socket_path

TYPE_CHECKING = False  # as type checkers know it; the module `typing` takes too long to load
if TYPE_CHECKING:
    from collections.abc import Callable

    from moot.effects import Files

RPC_VERSION = 1
CALL = 1
"""The number of our only request."""
FRAME_BYTES = 8 * 1024 * 1024
HELLO_SECONDS = 10
READ_BYTES = 256 * 1024
NOT_MOOT = "what answers at the socket does not speak Moot's protocol"
GARBLED = (ValueError, LookupError, TypeError)
"""What decoding raises for bytes that are not MessagePack, or not of the shape they should have."""


class Failure(Exception):  # noqa: N818 - an outcome more than an error
    """What is told to the user in place of an answer. With an empty message nothing is.

    Args:
        code: the stable code.
        message: what was wrong.
        hint: what to do next, or empty.
        retryable: whether the same command can be given again safely, and may succeed then.
    """

    def __init__(self, code: str, message: str, hint: str = "", *, retryable: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.retryable = retryable


class Sandboxed(Failure):
    """A sandbox, or another user's folder, keeps us from the daemon, and nothing was said to it.

    There may be another way: a spool.
    """


class Unheard(Failure):
    """The daemon went away before its first word, so it has begun nothing: another may be asked."""

    def __init__(self) -> None:
        message = "the daemon has gone away before it did anything"
        super().__init__("unreachable", message, "ask again; see: moot daemon logs", retryable=True)


class Lost(Failure):
    """The daemon went away after its first word.

    Args:
        message: what is known of its end.
        advice: where more may be read of that.
        is_fault: whether a fault has ended it, so that the next may end in the same way.
    """

    def __init__(self, message: str, advice: str, *, is_fault: bool = False) -> None:
        hint = "what you asked for may be done or not: look before you change something again"
        super().__init__("unreachable", message, f"{hint}; {advice}")
        self.advice = advice
        self.is_fault = is_fault


class Silent(Failure):
    """A command was sent, and the daemon, which is there, has not said a word since.

    Whether it can be given again depends on the command: who gave it says so (`thin.py`).
    """


def _sandboxed(what: str, error: OSError) -> Sandboxed:
    hint = "run `moot init --spool` in the project, outside the sandbox, once: commands then go through files"
    if os.environ.get("CODEX_SANDBOX_NETWORK_DISABLED"):
        hint = f"this sandbox has its network disabled; {hint}"
    message = f"this sandbox forbids Unix sockets: cannot {what} ({error.strerror})"
    return Sandboxed("unreachable", message, f"{hint}; or let the sandbox reach the daemon's socket")


def try_connect(path: str) -> socket | None:
    """Connect to the daemon; None if none runs.

    Raises:
        Failure: `usage`: MOOT_SOCKET is no absolute path; `unreachable`, `denied`, `busy`.
    """
    if not path.startswith("/") and is_socket_named() and path == socket_path():
        raise Failure("usage", f"MOOT_SOCKET is {path!r}, which is no absolute path", "write it from / on, or unset it")
    if len(os.fsencode(path)) > SOCKET_BYTES:
        hint = "set XDG_RUNTIME_DIR to a folder with a shorter path"
        raise Failure("unreachable", f"the socket's path has more than {SOCKET_BYTES} bytes: {path}", hint)
    try:
        channel = _connected(path)
    except (FileNotFoundError, ConnectionRefusedError):
        return None
    except PermissionError as error:
        if is_socket_named() and os.path.exists(path) and not os.access(path, os.W_OK):
            raise Failure("denied", f"you may not connect to {path}", "is your user in the socket's group?") from error
        raise _kept_out(path) or _sandboxed(f"connect to {path}", error) from error
    except BlockingIOError as error:
        raise Failure("busy", "the daemon has more clients than it can take", "try again", retryable=True) from error
    except OSError as error:
        raise Failure("unreachable", f"cannot connect to {path}: {error.strerror or error}") from error
    try:
        _check_owner(channel, path)
    except Failure:
        channel.close()
        raise
    return channel


def _connected(path: str) -> socket:
    channel = socket(AF_UNIX, SOCK_STREAM)
    try:
        channel.settimeout(HELLO_SECONDS)
        channel.connect(path)
    except OSError:
        channel.close()
        raise
    return channel


def _kept_out(path: str) -> Sandboxed | None:
    """Who keeps us from a socket, if it is no sandbox."""
    from moot.peer import kept_out

    whose, hint = kept_out(path)
    return Sandboxed("denied", whose, "is your user in its group?" if is_socket_named() else hint) if whose else None


def _check_owner(channel: socket, path: str) -> None:
    """Refuse a daemon of another user, unless the user named its socket: it would tell us which files to write."""
    owner = owner_of(channel)
    if owner not in (0, os.geteuid()):
        why = "MOOT_SOCKET names a socket that is served by another user"
        if is_socket_named():
            from moot.peer import distrust

            why = distrust(path, owner)
        if why:
            raise Failure("denied", f"the daemon at that socket belongs to user {owner}, not to you", why)


def daemon_at(channel: socket) -> int:
    """The process of a daemon of this user at a connection; 0 where that isn't known, as where systemd listens."""
    if sys.platform != "linux" or owner_of(channel) != os.geteuid():
        return 0
    from _socket import SO_PEERCRED

    pid = int.from_bytes(channel.getsockopt(SOL_SOCKET, SO_PEERCRED, 4), sys.byteorder)
    return pid if "mootd" in read_small(f"/proc/{pid}/cmdline").split("\0") else 0


def owner_of(channel: socket) -> int:
    """The user who serves a connection; this one where the system doesn't tell."""
    if sys.platform != "linux":
        return os.geteuid()
    from _socket import SO_PEERCRED

    credentials = channel.getsockopt(SOL_SOCKET, SO_PEERCRED, 12)
    return int.from_bytes(credentials[4:8], sys.byteorder)


def check_actors() -> None:
    """Refuse a name of who acts that is no text: it would go into events as something else.

    Raises:
        Failure: `usage`.
    """
    for name in ACTORS:
        try:
            os.environ.get(name, "").encode()
        except UnicodeEncodeError as error:
            raise Failure("usage", f"{name} is not valid UTF-8", "set it to a name, or unset it") from error


class Conversation:
    """One connection, used for one command.

    Args:
        channel: a connection to the daemon.
    """

    def __init__(self, channel: socket) -> None:
        self._channel = channel
        self._received = b""
        self._files: Files | None = None
        self._takes_codes = False
        """Whether the daemon takes a code with the reason why an effect failed: one of an earlier release doesn't."""
        self._has_asked = False
        """Whether the daemon has the command, and so may carry it out whenever it goes on."""
        self.pid = 0
        """The daemon's process, once its hello has come."""

    def command(self, program: str, arguments: list[str], changes: "Callable[[], bool]" = lambda: False) -> int:
        """Have the daemon run a command, carry out its effects, and return its exit code.

        Args:
            program: the name it was called by.
            arguments: its arguments.
            changes: whether it changes something: then its end is heard though standard output takes no more.

        Raises:
            Failure: what kept it from running, or standard output from taking what it wrote.
        """
        try:
            "".join(arguments).encode()
        except UnicodeEncodeError as error:
            raise Failure("usage", "an argument is not valid UTF-8") from error
        check_actors()
        greeting = [HELLO]
        if os.environ.get("MOOT_TOKEN") or os.environ.get("MOOT_TOKEN_FILE"):  # else nothing more need be loaded
            from moot.tokens import UnusableError, given_token

            try:
                token = given_token()
            except UnusableError as error:
                raise Failure("bad_token", error.message, error.hint) from error
            self._authenticate(token)
            greeting = []
        self._send([*greeting, {"id": CALL, "method": "console", "params": facts(program, arguments)}])
        self._has_asked = True
        try:
            return self._carry_out_all(changes)
        except GARBLED as error:
            raise Failure("unreachable", NOT_MOOT) from error
        finally:
            if self._files is not None:
                self._files.close()

    def _authenticate(self, token: str) -> None:
        """Present an API token, and wait for the word that it counts: a daemon that doesn't know it binds nothing."""
        self._send([HELLO, {"id": CALL, "method": "authenticate", "params": {"token": token}}])
        try:
            message = self._receive()
            while not isinstance(message, dict) or "result" not in message:
                self._not_an_effect(message)
                message = self._receive()
        except Failure as failure:
            if failure.code != "usage":
                raise
            hint = "restart the daemon, so that both are of the same release"
            raise Failure("bad_version", "the daemon doesn't know API tokens", hint) from failure
        except GARBLED as error:
            raise Failure("unreachable", NOT_MOOT) from error

    def _carry_out_all(self, changes: "Callable[[], bool]") -> int:
        """Do what the daemon says until the command ends; gives its exit code."""
        code = unwritten = None
        while code is None:
            try:
                code = self._carry_out(self._receive())
            except Failure as failure:
                if failure.code != "output" or not (unwritten or changes()):
                    raise
                unwritten = failure
        if unwritten is None:
            return code
        if not code:
            unwritten.hint = "what was asked for was done: only its answer is lost"
        raise unwritten

    def _carry_out(self, message: object) -> int | None:
        """Do what the daemon says; gives the exit code at the end."""
        if not isinstance(message, list):
            self._not_an_effect(message)
            return None
        name, details = message[1], message[2:]
        if name == "out":
            write_all(1, details[0])
        elif name == "err":
            write_all(2, details[0])
        elif name == "exit":
            return int(details[0])
        else:
            if self._files is None:
                from moot.effects import Files

                self._files = Files()
            reply = self._files.carry_out(name, details)
            if reply is not None:
                self._send([[CALL, *(reply if self._takes_codes else reply[:2])]])
        return None

    def greet(self) -> int:
        """Say hello and return the daemon's process id.

        Raises:
            Failure: it doesn't answer, or not in this protocol version.
        """
        self._send([HELLO])
        try:
            while not self.pid:
                self._not_an_effect(self._receive())
        except GARBLED as error:
            raise Failure("unreachable", NOT_MOOT) from error
        return self.pid

    def _not_an_effect(self, message: object) -> None:
        """Take in a hello, or an error as the end."""
        if not isinstance(message, dict):
            raise TypeError(message)
        error = message.get("error")
        if error and not message.get("id", CALL) and error["code"] == "unreachable":
            raise Unheard  # it was idle for too long before it asked, and has made room for another
        if error:
            raise Failure(error["code"], error["message"], error["hint"], retryable=error["retryable"])
        if message["hello"] != RPC_VERSION:
            raise Failure(
                "bad_version",
                f"the daemon (release {message.get('version')}) and this client ({__version__}) don't understand "
                "each other",
                "restart the daemon, so that both are of the same release",
            )
        self._takes_codes = bool(message.get("codes"))
        self.pid = message["pid"]
        self._channel.settimeout(None)

    def _send(self, messages: list[object]) -> None:
        frames = []
        for message in messages:
            payload = encode(message)
            if len(payload) > FRAME_BYTES:
                raise Failure("limit", "the arguments are too long", "pass long text through a file or standard input")
            frames.append(len(payload).to_bytes(4, "big") + payload)
        try:
            self._channel.sendall(b"".join(frames))
        except (BrokenPipeError, ConnectionResetError):
            return  # the daemon has closed: what it said before comes next, or its end
        except TimeoutError as error:
            raise _silent(self._channel) from error
        except PermissionError as error:
            if self.pid:  # the daemon may have begun: nothing is tried again
                raise Failure("unreachable", f"cannot send to the daemon: {error.strerror}") from error
            raise _sandboxed("send to the daemon", error) from error

    def _receive(self) -> object:
        while True:
            size = int.from_bytes(self._received[:4], "big")
            if size > FRAME_BYTES:
                raise ValueError(size)
            if len(self._received) >= 4 + size > 4:
                payload, self._received = self._received[4 : 4 + size], self._received[4 + size :]
                return decode(payload, 0)[0]
            try:
                data = self._channel.recv(READ_BYTES)
            except TimeoutError as error:
                raise _silent(self._channel, Silent if self._has_asked else Failure) from error
            except ConnectionResetError:
                data = b""
            if not data:
                raise self._gone()
            self._received += data

    def _gone(self) -> Failure:
        if not self.pid:
            return Unheard()
        from moot.fault import fault_of

        fault, advice = fault_of(self.pid)
        told = f"the daemon has gone away{f': {fault}' if fault else ''}"
        return Lost(told, advice or "see: moot daemon logs", is_fault=bool(fault))


def _silent(channel: socket, kind: type[Failure] = Failure) -> Failure:
    pid = daemon_at(channel)
    kill = f"kill -9 {pid}" if pid else "kill -9, with its process id,"
    hint = f"see its log; if it stays like this, end it: {kill} loses nothing that was acknowledged"
    message = f"the daemon has not answered for {HELLO_SECONDS} seconds"
    return kind("unreachable", message, hint, retryable=kind is not Silent)  # else it has been asked for nothing yet


def write_all(descriptor: int, data: bytes) -> None:
    """Write to standard output or error, all of it.

    Raises:
        Failure: standard output does not take it; what standard error does not take is nobody's to hear of.
    """
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            import select

            select.select([], [descriptor], [])
        except OSError as error:
            if descriptor != 1:
                return
            if isinstance(error, BrokenPipeError):
                raise Failure("pipe", "") from error
            raise Failure("output", f"cannot write to standard output: {error.strerror}") from error


# -- MessagePack, as much of it as this process needs ------------------------------------------------------------
def encode(value: object) -> bytes:
    """Encode text, bytes, whole numbers of up to 32 bits, booleans, lists and maps."""
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return bytes((value,)) if value < 0x80 else b"\xce" + value.to_bytes(4, "big")
    if isinstance(value, str):
        data = value.encode("utf-8", "replace")
        return b"\xdb" + len(data).to_bytes(4, "big") + data
    if isinstance(value, bytes):
        return b"\xc6" + len(value).to_bytes(4, "big") + value
    if isinstance(value, dict):
        pairs = b"".join(encode(key) + encode(element) for key, element in value.items())
        return b"\xdf" + len(value).to_bytes(4, "big") + pairs
    if isinstance(value, list):
        mark = bytes((0x90 | len(value),)) if len(value) < 16 else b"\xdd" + len(value).to_bytes(4, "big")
        return mark + b"".join(map(encode, value))
    raise TypeError(value)


def decode(data: bytes, at: int) -> tuple[object, int]:
    """Decode the value that begins at an offset, and return it and the offset after it. Knows no floats."""
    mark = data[at]
    at += 1
    if mark < 0x80 or mark >= 0xE0:
        return (mark if mark < 0x80 else mark - 0x100), at
    if mark < 0x90:
        return _map(data, at, mark & 0x0F)
    if mark < 0xA0:
        return _array(data, at, mark & 0x0F)
    if mark < 0xC0:
        return _text(data, at, mark & 0x1F)
    if mark in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[mark], at
    kind, width = FORMS[mark]
    after = at + width
    number = int.from_bytes(_cut(data, at, width), "big", signed=kind is _signed)
    return kind(data, after, number)


def _map(data: bytes, at: int, count: int) -> tuple[dict[object, object], int]:
    result = {}
    for _ in range(count):
        key, at = decode(data, at)
        result[key], at = decode(data, at)
    return result, at


def _array(data: bytes, at: int, count: int) -> tuple[list[object], int]:
    result = []
    for _ in range(count):
        element, at = decode(data, at)
        result.append(element)
    return result, at


def _text(data: bytes, at: int, length: int) -> tuple[str, int]:
    return _cut(data, at, length).decode(), at + length


def _bytes(data: bytes, at: int, length: int) -> tuple[bytes, int]:
    return _cut(data, at, length), at + length


def _unsigned(_data: bytes, at: int, number: int) -> tuple[int, int]:
    return number, at


def _signed(_data: bytes, at: int, number: int) -> tuple[int, int]:
    return number, at


def _cut(data: bytes, at: int, length: int) -> bytes:
    if at + length > len(data):
        raise ValueError(length)
    return data[at : at + length]


FORMS = {
    0xC4: (_bytes, 1), 0xC5: (_bytes, 2), 0xC6: (_bytes, 4),
    0xCC: (_unsigned, 1), 0xCD: (_unsigned, 2), 0xCE: (_unsigned, 4), 0xCF: (_unsigned, 8),
    0xD0: (_signed, 1), 0xD1: (_signed, 2), 0xD2: (_signed, 4), 0xD3: (_signed, 8),
    0xD9: (_text, 1), 0xDA: (_text, 2), 0xDB: (_text, 4),
    0xDC: (_array, 2), 0xDD: (_array, 4), 0xDE: (_map, 2), 0xDF: (_map, 4),
}  # fmt: skip
"""Marks followed by a number of some bytes, and what that number is the length or value of."""

HELLO: object = {"hello": RPC_VERSION, "version": __version__, "effects": ["mode", "names", "remove"]}
"""The effects are all of `moot_protocol.control.effects.LATER`: a daemon asks for them where it was told of them."""
