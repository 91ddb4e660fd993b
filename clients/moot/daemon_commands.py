"""Commands that must work while no daemon runs, or that become another program: `daemon …` and `mcp`."""

import json
import os
import signal
import sys
import time
from _socket import socket
from contextlib import suppress

from moot.conversation import Conversation, Failure, daemon_at, owner_of, try_connect, write_all
from moot.facts import read_small
from moot.paths import is_socket_named, socket_path
from moot.startup import FIRST_WAIT, LOG_BYTES, check_startable, connect_to_starting, log_path, start

STOP_SECONDS = 15
"""How long one that was told to stop may take to be gone."""
_THREADS = 17
"""Where `/proc/PID/stat` has the number of threads, counted from the state."""
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
    channel = try_connect(socket_path()) or connect_to_starting(socket_path())
    if channel is None:
        _say({"running": False}, "no daemon runs", as_json=as_json)
        return 0
    return _stop(channel, program, arguments, as_json=as_json)


def _stop(channel: socket, program: str, arguments: list[str], *, as_json: bool, is_all: bool = True) -> int:
    """Have the daemon at a connection stop, and wait until it is gone; `is_all`: that is all that was asked for."""
    is_own = owner_of(channel) == os.geteuid()
    conversation = Conversation(channel)
    try:
        code = conversation.command(program, arguments)
        pid = conversation.pid
    except Failure as failure:
        code, pid = 0, _to_signal(failure, channel, conversation.pid)
        if not (pid and is_own):
            raise
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        if is_all or not as_json:
            words = f"the daemon (pid {pid}) {_FAILS[failure.code]}; a signal has told it to end"
            _say({"stopping": True}, words, as_json=as_json)
    end = time.monotonic() + STOP_SECONDS
    while code == 0 and _is_alive(pid):
        if time.monotonic() > end:
            raise Failure("timeout", f"the daemon (pid {pid}) is still stopping", "wait for it to end")
        time.sleep(FIRST_WAIT)
    return code


_FAILS = {"internal": "fails at commands", "bad_version": "is of another release"}
"""What keeps a daemon from stopping when it is told to: files that were replaced may be missing for what it hadn't
loaded, and one of another protocol doesn't understand."""


def _to_signal(failure: Failure, channel: socket, greeted: int) -> int:
    """The process of a daemon that can only be told to stop by a signal; 0 for one that is to be told otherwise.

    Args:
        failure: what came of telling it.
        channel: the connection to it.
        greeted: its process, if it said so.

    Raises:
        Failure: it is of another release, and its process isn't known, as where systemd listens.
    """
    if failure.code != "bad_version" or greeted:
        return greeted if failure.code in _FAILS else 0
    pid = daemon_at(channel)
    if not pid:
        hint = "restart the service that it runs as, as with: systemctl --user restart mootd"
        raise Failure(failure.code, failure.message, hint) from failure
    return pid


def _restart_command(program: str, *, as_json: bool) -> int:
    """Stop the daemon if one runs, and start one.

    One that is just starting is waited for and stopped too: it may have loaded what has been replaced since. None is
    stopped where the next one would refuse its settings.
    """
    if is_socket_named():
        hint = "restart the service that listens there, or unset MOOT_SOCKET"
        raise Failure("usage", f"the daemon at {socket_path()}, which MOOT_SOCKET names, is another's to start", hint)
    check_startable()
    channel = try_connect(socket_path()) or connect_to_starting(socket_path())
    if channel is not None:
        code = _stop(channel, program, ["daemon", "stop", "--quiet"], as_json=as_json, is_all=False)
        if code:
            return code
    return _start_command(as_json=as_json)


def _show_log(arguments: list[str], *, as_json: bool) -> int:
    """Print the end of the daemon's log, which is this user's own file."""
    path = log_path()
    if {"-f", "--follow"}.intersection(arguments):
        raise Failure("usage", "the log is shown as it is, and not followed", f"tail -f {path}")
    lines = _lines_wanted(arguments)
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            log.seek(max(0, os.fstat(log.fileno()).st_size - LOG_BYTES))
            shown = log.read().splitlines()[-lines:]
    except OSError as error:
        hint = "under systemd: journalctl --user -u mootd"
        raise Failure("not_found", f"no log at {path}: {error.strerror}", hint) from error
    words = "\n".join("".join(filter(str.isprintable, line)) for line in shown)
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


def _is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and waits to be collected does not.

    Its first thread may have ended before others, which keep its socket: until they have, it can be connected to.
    """
    try:
        with suppress(PermissionError):  # it is there, and another user's
            os.kill(pid, 0)
    except ProcessLookupError:
        return False
    fields = read_small(f"/proc/{pid}/stat").rpartition(") ")[2].split()
    return fields[:1] != ["Z"] or fields[_THREADS] != "1"


def _say(document: dict[str, object], words: str, *, as_json: bool) -> None:
    write_all(1, (json.dumps(document) if as_json else words).encode() + b"\n")
