"""Starting the daemon, and the `daemon` commands that must work while none runs."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from _socket import socket
from collections.abc import Iterator
from contextlib import suppress

from moot.conversation import Conversation, Failure, owner_of, try_connect, write_all
from moot.facts import read_small
from moot.paths import is_socket_named, socket_path, state_folder
from moot.tokens import VARIABLES

START_SECONDS = 10
"""How long a daemon may take until it can be connected to."""
TURN_SECONDS = 15
"""How long another client's start is waited for: more than that takes, so that its end is seen."""
STOP_SECONDS = 15
"""How long one that was told to stop may take to be gone."""
FIRST_WAIT, LONGEST_WAIT = 0.01, 0.2
"""Seconds between looks: the first, and the longest after doubling."""
_ENDED_BY_OTHERS = (0, -signal.SIGKILL)
"""How a daemon ends that was told to stop, or was killed, as where memory is short: the next may serve."""
LOG_TAIL = 4096
DAEMON_SAYS = "mootd: "
"""What the daemon begins a reason with; advice stands in the line below it."""
LOG_BYTES = 4 * 1024 * 1024
"""Beyond that a starting daemon gets a new log; one earlier log is kept."""


_OF_BD = {"daemons": "daemon"}
"""Names of earlier releases of Beads, for which there was a daemon for each workspace."""
LOG_LINES = 50
"""Lines of the log that are shown unless more are asked for."""


def daemon_command(program: str, arguments: list[str], words: list[str]) -> int | None:
    """Carry out a `daemon` command as far as it is the client's; None if it is the daemon's.

    Raises:
        Failure: what went wrong.
    """
    as_json = "--json" in arguments
    if {"-h", "--help"}.intersection(arguments):
        return None
    words = [_OF_BD.get(word, word) for word in words]
    if words == ["daemon"]:  # of earlier releases of Beads
        words += [flag.removeprefix("--") for flag in ("--start", "--stop") if flag in arguments]
    match words:
        case ["daemon", "run"]:
            _run(arguments[arguments.index("run") + 1 :])
        case ["daemon", "start"]:
            return _start_command(as_json=as_json)
        case ["daemon"] | ["daemon", "status" | "health" | "list"]:
            if try_connect(socket_path()) is None:
                os.environ["MOOT_NO_AUTOSTART"] = "1"  # who asks whether one runs starts none,
                os.environ.pop("MOOT_SPOOL", None)  # and no snapshot knows
        case ["daemon", "stop" | "killall"]:
            is_told = "daemon" in arguments and "stop" in arguments
            return _stop_command(program, arguments if is_told else _stopping(as_json=as_json), as_json=as_json)
        case ["daemon", "restart"]:
            return _restart_command(program, as_json=as_json)
        case ["daemon", "logs"]:
            return _show_log(arguments, as_json=as_json)
    return None


def _stopping(*, as_json: bool) -> list[str]:
    return ["daemon", "stop", *(["--json"] if as_json else [])]


def start(path: str) -> socket:
    """Start the daemon in a session of its own, and connect to it once it serves. One client at a time does so.

    Raises:
        Failure: it doesn't come up.
    """
    if is_socket_named():
        hint = "start the service that listens there, or unset MOOT_SOCKET"
        raise Failure("unreachable", f"no daemon answers at {path}, which MOOT_SOCKET names", hint)
    if path != socket_path():
        raise Failure("unreachable", f"no daemon answers at {path}", "start the service that listens there")
    state = state_folder()
    try:
        os.makedirs(state, 0o700, exist_ok=True)
        lock = os.open(_lock_path(), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _cannot_start(error) from error
    try:
        return _await_turn(path, lock) or _start_logging(path, f"{state}/daemon.log")
    finally:
        os.close(lock)


def _lock_path() -> str:
    """The file that is locked while a client starts the daemon."""
    return f"{state_folder()}/start.lock"


def _await_turn(path: str, lock: int) -> socket | None:
    """Wait while another client starts the daemon: gives a connection to it, or None once the lock is ours.

    Raises:
        Failure: neither comes, as when that client is suspended.
    """
    for _ in _looks(TURN_SECONDS):
        is_ours = _is_locked_by_us(lock, fcntl.LOCK_EX)
        channel = try_connect(path)
        if channel is not None or is_ours:
            return channel
    message = f"another command has been starting the daemon for {TURN_SECONDS} seconds"
    raise Failure("unreachable", message, f"`fuser {_lock_path()}` names its process: end it, then try again")


def _is_locked_by_us(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _looks(seconds: float) -> Iterator[None]:
    """Whenever it is time to look again, at once for the first time, until so long has passed."""
    end = time.monotonic() + seconds
    wait = FIRST_WAIT
    while time.monotonic() < end:
        yield
        time.sleep(wait)
        wait = min(2 * wait, LONGEST_WAIT)


def _cannot_start(error: OSError) -> Failure:
    return Failure("unreachable", f"cannot start the daemon: {error.filename}: {error.strerror}")


def _start_logging(path: str, log_path: str) -> socket:
    """Start the daemon with a log that isn't long yet."""
    try:
        log = _open_log(log_path)
        if os.fstat(log).st_size > LOG_BYTES:
            os.close(log)
            os.rename(log_path, f"{log_path}.1")
            log = _open_log(log_path)
    except OSError as error:
        raise _cannot_start(error) from error
    try:
        return _start_and_wait(path, log, log_path)
    finally:
        os.close(log)


def _open_log(path: str) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def _start_and_wait(path: str, log: int, log_path: str) -> socket:
    """Start the daemon and connect to it; if somebody ended it before, or an earlier one was in its way, a second."""
    size = os.fstat(log).st_size
    daemon, is_second, has_waited = _launch(log), False, False
    for _ in _looks(START_SECONDS):
        channel = try_connect(path)
        if channel is not None:
            return channel
        code = daemon.poll()
        if code is None:
            continue
        if _daemons():  # somebody else's start, or one that is ending: it has the store
            has_waited = True
            continue
        if is_second or not (has_waited or code in _ENDED_BY_OTHERS):
            break
        daemon, is_second = _launch(log), True
    code = daemon.poll()
    if code is None:
        raise Failure("unreachable", f"the daemon does not serve after {START_SECONDS} seconds", f"see {log_path}")
    words, advice = _last_words(log, size)
    raise Failure("unreachable", f"{_ending(code, is_second=is_second)}{words}", f"{advice}see {log_path}")


def _launch(log: int) -> "subprocess.Popen[bytes]":
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "mootd", "run"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True,
            env={name: value for name, value in os.environ.items() if name not in VARIABLES},
        )  # fmt: skip
    except OSError as error:
        raise _cannot_start(error) from error


def _ending(code: int, *, is_second: bool) -> str:
    """How a daemon ended that was to serve."""
    if code >= 0:
        return f"the daemon ended with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"the daemon was killed ({name}) while it was starting{', and so was a second one' * is_second}"


# -- Daemons that aren't reached ---------------------------------------------------------------------------------
_WHERE = ("HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME")
"""The variables that say where a daemon serves."""


def _daemons() -> list[int]:
    """The processes of this user that are daemons for the same socket, whoever started them."""
    with suppress(OSError):
        return [int(name) for name in os.listdir("/proc") if name.isdecimal() and _is_daemon(name)]
    return []


def _is_daemon(process: str) -> bool:
    """Whether a process runs as our daemon does; whatever can't be read is another's, or has ended."""
    try:
        with open(f"/proc/{process}/cmdline", "rb") as told:
            words = told.read().split(b"\0")
        if b"run" not in words or not any(os.path.basename(word) == b"mootd" for word in words):
            return False
        with open(f"/proc/{process}/environ", "rb") as told:
            variables = dict(each.partition(b"=")[::2] for each in told.read().split(b"\0"))
    except OSError:
        return False
    return all(variables.get(name.encode(), b"") == os.environb.get(name.encode(), b"") for name in _WHERE)


def _is_starting() -> bool:
    """Whether a client starts a daemon right now, or one runs that doesn't serve."""
    with suppress(OSError):
        lock = os.open(_lock_path(), os.O_RDONLY | os.O_CLOEXEC)
        try:
            if not _is_locked_by_us(lock, fcntl.LOCK_SH):
                return True
        finally:
            os.close(lock)
    return bool(_daemons())


def _connect_to_starting(path: str) -> socket | None:
    """Connect to a daemon that is just starting, once it serves; None if none is, or it ends.

    Raises:
        Failure: it doesn't serve in time.
    """
    if is_socket_named():
        return None  # it is another's to start
    for _ in _looks(START_SECONDS):
        is_starting = _is_starting()
        channel = try_connect(path)  # after that: it may have begun to serve
        if channel is not None or not is_starting:
            return channel
    pid = next(iter(_daemons()), 0)
    told = f"runs (pid {pid})" if pid else "is starting"
    end = f", or end it: kill {pid}" if pid else ""
    message = f"a daemon {told}, but does not serve at {path} after {START_SECONDS} seconds"
    raise Failure("timeout", message, f"it may be starting still: try again{end}; see {state_folder()}/daemon.log")


def _last_words(log: int, start_at: int) -> tuple[str, str]:
    """What the daemon wrote last, as the end of a sentence, and its advice, as the beginning of one.

    Advice is a line set in below that of the reason: alone it would leave the user guessing what is wrong.
    """
    size = os.fstat(log).st_size
    tail = os.pread(log, LOG_TAIL, max(start_at, size - LOG_TAIL)).decode("utf-8", "replace")
    told = [line for line in tail.splitlines() if line.strip()][-2:]
    has_advice = len(told) > 1 and told[0].startswith(DAEMON_SAYS) and told[1].startswith("  ")
    advice = f"{_printable(told.pop())}; " if has_advice else ""
    words = _printable(told[-1].removeprefix(DAEMON_SAYS)) if told else ""
    return (f": {words}" if words else ""), advice


def _printable(line: str) -> str:
    return "".join(character for character in line if character.isprintable()).strip()


def become_mcp(arguments: list[str]) -> None:
    """Become the MCP server, whose imports this process could not afford, unless only its help is asked for.

    Raises:
        Failure: it can't be run.
    """
    if {"-h", "--help"}.intersection(arguments):
        return
    others = list(arguments)
    others.remove("mcp")
    _become("the MCP server", ["moot.mcp", *others])


def _run(arguments: list[str]) -> None:
    """Become the daemon."""
    _become("the daemon", ["mootd", "run", *arguments])


def _become(what: str, module: list[str]) -> None:
    """Put another program of ours in this one's place."""
    try:
        os.execv(sys.executable, [sys.executable, "-P", "-m", *module])  # noqa: S606 - our own
    except OSError as error:
        raise Failure("unreachable", f"cannot run {what}: {error.strerror}") from error


def _start_command(*, as_json: bool) -> int:
    running = try_connect(socket_path())
    pid = Conversation(running or start(socket_path())).greet()
    words = f"the daemon already runs (pid {pid})" if running else f"the daemon has started (pid {pid})"
    _say({"running": True, "started": running is None, "pid": pid}, words, as_json=as_json)
    return 0


def _stop_command(program: str, arguments: list[str], *, as_json: bool) -> int:
    """Have the daemon stop, and wait until its process is gone, so that another may be started at once.

    One that is just starting is waited for: else it would serve after all, though we had said that none runs.
    """
    channel = try_connect(socket_path()) or _connect_to_starting(socket_path())
    if channel is None:
        _say({"running": False}, "no daemon runs", as_json=as_json)
        return 0
    is_own = owner_of(channel) == os.geteuid()
    conversation = Conversation(channel)
    try:
        code = conversation.command(program, arguments)
    except Failure as failure:
        if failure.code != "internal" or not (conversation.pid and is_own):
            raise
        code = _stop_by_signal(conversation.pid, as_json=as_json)
    end = time.monotonic() + STOP_SECONDS
    while code == 0 and _is_alive(conversation.pid):
        if time.monotonic() > end:
            raise Failure("timeout", f"the daemon (pid {conversation.pid}) is still stopping", "wait for it to end")
        time.sleep(FIRST_WAIT)
    return code


def _restart_command(program: str, *, as_json: bool) -> int:
    """Stop the daemon if one runs, and start one."""
    if is_socket_named():
        hint = "restart the service that listens there, or unset MOOT_SOCKET"
        raise Failure("usage", f"the daemon at {socket_path()}, which MOOT_SOCKET names, is another's to start", hint)
    if try_connect(socket_path()) is not None:
        code = _stop_command(program, ["daemon", "stop", "--quiet"], as_json=as_json)
        if code:
            return code
    return _start_command(as_json=as_json)


def _show_log(arguments: list[str], *, as_json: bool) -> int:
    """Print the end of the daemon's log, which is this user's own file."""
    path = f"{state_folder()}/daemon.log"
    if {"-f", "--follow"}.intersection(arguments):
        raise Failure("usage", "the log is shown as it is, and not followed", f"tail -f {path}")
    lines = _lines_wanted(arguments)
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_BYTES))
            shown = log.read().splitlines()[-lines:]
    except OSError as error:
        hint = "under systemd: journalctl --user -u moot"
        raise Failure("not_found", f"no log at {path}: {error.strerror}", hint) from error
    words = "\n".join("".join(c for c in line if c.isprintable()) for line in shown)
    _say({"workspace": os.getcwd(), "log_path": path, "content": "\n".join(shown)}, words, as_json=as_json)
    return 0


def _lines_wanted(arguments: list[str]) -> int:
    """How many lines `-n` or `--lines` asks for."""
    wanted = str(LOG_LINES)
    for at, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name in {"-n", "--lines"}:
            wanted = value if equals else "".join(arguments[at + 1 : at + 2])
    if not (wanted.isascii() and wanted.isdigit() and int(wanted) > 0):
        raise Failure("usage", f"{wanted!r} is no number of lines")
    return int(wanted)


def _stop_by_signal(pid: int, *, as_json: bool) -> int:
    """End a daemon that can't carry out commands: one whose files were replaced may fail at what it hadn't loaded."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    _say({"stopping": True}, f"the daemon (pid {pid}) fails at commands; a signal has told it to end", as_json=as_json)
    return 0


def _is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not."""
    try:
        with suppress(PermissionError):  # it is there, and another user's
            os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return read_small(f"/proc/{pid}/stat").rpartition(") ")[2][:1] != "Z"


def _say(document: dict[str, object], words: str, *, as_json: bool) -> None:
    write_all(1, (json.dumps(document) if as_json else words).encode() + b"\n")
