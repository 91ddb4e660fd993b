"""Starting the daemon where none runs, one client at a time, and waiting for one that is just starting."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from _socket import socket
from collections.abc import Iterator
from contextlib import suppress

from moot.conversation import Failure, try_connect
from moot.facts import has_spool
from moot.fault import TAIL_BYTES, fault_in
from moot.paths import home, is_socket_named, socket_path, state_folder
from moot.peer import of_another
from moot.tokens import VARIABLES

START_SECONDS = 10
"""How long a daemon may take until it can be connected to."""
TURN_SECONDS = 15
"""How long another client's start is waited for: more than that takes, so that its end is seen."""
FIRST_WAIT, LONGEST_WAIT = 0.01, 0.2
"""Seconds between looks: the first, and the longest after doubling."""
_ENDED_BY_OTHERS = (0, -signal.SIGKILL)
"""How a daemon ends that was told to stop, or was killed, as where memory is short: the next may serve."""
_DENIED = 4
"""The code that the daemon's program ends with where a file may not be read."""
LOG_TAIL = 4096
DAEMON_SAYS = "mootd: "
"""What the daemon begins a reason with; advice stands in the line below it."""
LOG_BYTES = 4 * 1024 * 1024
"""Beyond that a starting daemon gets a new log; one earlier log is kept."""


def start(path: str) -> socket:
    """Start the daemon in a session of its own, and connect to it once it serves. One client at a time does so.

    Raises:
        Failure: it doesn't come up; `denied`: it would serve another user's folders.
    """
    if is_socket_named():
        hint = "start the service that listens there, or unset MOOT_SOCKET"
        raise Failure("unreachable", f"no daemon answers at {path}, which MOOT_SOCKET names", hint)
    if path != socket_path():
        raise Failure("unreachable", f"no daemon answers at {path}", "start the service that listens there")
    _check_ours()
    try:
        _make_private(state_folder())
        lock = os.open(_lock_path(), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _cannot_write(error) from error
    try:
        return _await_turn(path, lock) or _start_logging(path, log_path())
    finally:
        os.close(lock)


def check_startable() -> None:
    """Have the program that would be the daemon look at its settings, before one that serves makes way for it.

    It is asked itself, and not the one that serves, which may be of another release.

    Raises:
        Failure: it would refuse them, as `invalid` or `denied`; `timeout`; `unreachable`: it can't be run.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "mootd", "check"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd="/", env=_environment(),
            timeout=START_SECONDS, check=False,
        )  # fmt: skip
    except OSError as error:
        raise _cannot_start(error) from error
    except subprocess.TimeoutExpired as error:
        message = f"the daemon does not look at its settings within {START_SECONDS} seconds"
        raise Failure("timeout", message, "nothing was stopped: try again", retryable=True) from error
    if done.returncode == 0:
        return
    words, advice = _reason_in(done.stderr[-LOG_TAIL:].decode("utf-8", "replace"))
    code = "denied" if done.returncode == _DENIED else "invalid"
    raise Failure(code, f"the daemon would not start{words}", f"{advice}nothing was stopped")


def _check_ours() -> None:
    """Refuse to begin in another user's folders, as root's command does that sudo has left their HOME.

    The daemon would refuse them as well, but only after lock and log were made, which their owner then could not open.
    Whose HOME itself is does not matter: in containers root often has another user's.

    Raises:
        Failure: `denied`.
    """
    data = os.environ.get("XDG_DATA_HOME", "")  # read as `mootd.edges.paths` does
    data = data if data.startswith("/") else f"{home()}/.local/share"
    for folder in (state_folder(), f"{data}/moot"):
        whose, hint = of_another(folder)
        if whose:
            raise Failure("denied", whose, hint)


def _make_private(path: str) -> None:
    """Make a folder and those above it as far as they are missing, each this user's alone whatever the umask."""
    missing = []
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for folder in reversed(missing):
        with suppress(FileExistsError):  # somebody was faster, or what is made in it tells that it is no folder
            os.mkdir(folder, 0o700)


def _lock_path() -> str:
    """The file that is locked while a client starts the daemon."""
    return f"{state_folder()}/start.lock"


def log_path() -> str:
    """The daemon's log, where a client started it."""
    return f"{state_folder()}/daemon.log"


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


def _cannot_start(error: OSError, hint: str = "") -> Failure:
    return Failure("unreachable", f"cannot start the daemon: {error.filename}: {error.strerror}", hint)


def _cannot_write(error: OSError) -> Failure:
    """As `_cannot_start`, of a state folder: a sandbox may keep it from being written, and leave another way."""
    whose, advice = of_another(error.filename) if isinstance(error, PermissionError) else ("", "")
    if whose:
        return _cannot_start(error, f"{whose}: {advice}")
    hint = "in a sandbox set MOOT_SPOOL=1: the project has a spool, which the command `moot` then goes through"
    return _cannot_start(error, hint if has_spool() else "")


def _start_logging(path: str, log_path: str) -> socket:
    """Start the daemon with a log that isn't long yet."""
    try:
        log = _open_log(log_path)
        if os.fstat(log).st_size > LOG_BYTES:
            os.close(log)
            os.rename(log_path, f"{log_path}.1")
            log = _open_log(log_path)
    except OSError as error:
        raise _cannot_write(error) from error
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
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/", start_new_session=True, env=_environment(),
        )  # fmt: skip
    except OSError as error:
        raise _cannot_start(error) from error


def _environment() -> dict[str, str]:
    """The daemon's, which is handed nobody's token."""
    return {name: value for name, value in os.environ.items() if name not in VARIABLES}


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
    with suppress(OSError):  # without /proc none is found, and the lock alone tells
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
    with suppress(OSError):  # there is no lock: nobody starts one
        lock = os.open(_lock_path(), os.O_RDONLY | os.O_CLOEXEC)
        try:
            if not _is_locked_by_us(lock, fcntl.LOCK_SH):
                return True
        finally:
            os.close(lock)
    return bool(_daemons())


def connect_to_starting(path: str) -> socket | None:
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
    raise Failure("timeout", message, f"it may be starting still: try again{end}; see {log_path()}")


def _last_words(log: int, start_at: int) -> tuple[str, str]:
    """What the daemon wrote last, as the end of a sentence, and its advice, as the beginning of one."""
    fault, advice = fault_in(_tail(log, TAIL_BYTES, start_at))
    if fault:
        return f": {fault}", f"{advice}; "
    words, advice = _reason_in(_tail(log, LOG_TAIL, start_at))
    return (words, advice) if words else _full_disk()


def _full_disk() -> tuple[str, str]:
    """As `_last_words`, of a daemon that may have had no room to write any; empty if its log's disk has some."""
    state = state_folder()
    disk = os.statvfs(state)
    if not disk.f_bavail:
        return ": the disk is full", f"make space on the disk of {state}; "
    if disk.f_files and not disk.f_favail:  # some file systems don't count them
        return ": the disk can take no more files", f"remove some from the disk of {state}; "
    return "", ""


def _reason_in(text: str) -> tuple[str, str]:
    """As `_last_words`, of a text that ends with them.

    The reason stands in the last line that begins as one, since daemons with another runtime folder write into the same
    log; where none does, in the last line there is. Advice is a line set in below the reason: alone it would leave the
    user guessing what is wrong.
    """
    told = [line for line in text.splitlines() if line.strip()]
    reason = next((at for at in reversed(range(len(told))) if told[at].startswith(DAEMON_SAYS)), len(told) - 1)
    below = next(iter(told[reason + 1 :]), "")
    advice = f"{_printable(below)}; " if below.startswith("  ") else ""
    words = _printable(told[reason].removeprefix(DAEMON_SAYS)) if told else ""
    return (f": {words}" if words else ""), advice


def _tail(log: int, most: int, start_at: int) -> str:
    """The end of the log, of what was written since it had a size."""
    return os.pread(log, most, max(start_at, os.fstat(log).st_size - most)).decode("utf-8", "replace")


def _printable(line: str) -> str:
    return "".join(filter(str.isprintable, line)).strip()
