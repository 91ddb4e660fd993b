"""The client process behind the command `moot`: it says what it was asked and does what it is told.

It sends its arguments, folder and terminal facts to the daemon, which runs the command, and carries out the effects
that come back. Its speed is its start: beside what a bare interpreter has loaded it imports `_socket` and three small
modules of ours, and a test holds it to that. Whatever is rare (files, the editor, starting the daemon) is imported when
it is needed.
"""

import os
import sys
from _socket import socket

from moot.conversation import Conversation, Failure, try_connect, write_all
from moot.paths import socket_path

INTERRUPTED = 130
EXITS = {
    "usage": 2, "not_found": 3, "ambiguous": 3, "denied": 4, "conflict": 5, "lost_race": 5,
    "unreachable": 69, "busy": 75, "timeout": 75, "pipe": 141,
}  # fmt: skip
"""Exit codes of failures, by error code; all others are 1. 141 is what a shell shows for SIGPIPE."""


def main(argv: list[str] | None = None) -> None:
    """Carry out one command and end the process.

    Args:
        argv: the program's name and its arguments; by default this process's own.
    """
    try:
        code = run(sys.argv if argv is None else argv)
    except KeyboardInterrupt:
        code = INTERRUPTED
    os._exit(code)  # nothing is buffered here, and the interpreter's own end takes as long as the command


def run(argv: list[str]) -> int:
    """Carry out one command and return its exit code. Called as `bd`, every failure is 1."""
    program = "bd" if os.path.basename(argv[0]) == "bd" else "moot"
    try:
        arguments, words = _enter_folder(argv[1:])
        code = None
        if words[:1] == ["daemon"]:
            from moot.startup import daemon_command

            code = daemon_command(program, arguments, words)
        if code is None:
            code = Conversation(connect(socket_path())).command(program, arguments)
    except Failure as failure:
        code = report(failure, as_json="--json" in argv)
    return 1 if program == "bd" and 1 < code < INTERRUPTED else code


def report(failure: Failure, *, as_json: bool) -> int:
    """Tell the user of a failure, and return its exit code."""
    if as_json and failure.message:
        import json

        names = ("code", "message", "hint", "retryable")
        document = json.dumps({"error": {name: getattr(failure, name) for name in names}})
        write_all(1, document.encode() + b"\n")
    elif failure.message:
        hint = f"  {failure.hint}\n" if failure.hint else ""
        write_all(2, f"moot: {failure.message}\n{hint}".encode("utf-8", "replace"))
    return EXITS.get(failure.code, 75 if failure.retryable else 1)


def _enter_folder(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Go where `-C` says, and return the other arguments and the first words of them that are no options."""
    kept: list[str] = []
    words: list[str] = []
    at = 0
    while at < len(arguments):
        argument = arguments[at]
        at += 1
        if argument == "--":
            kept += arguments[at - 1 :]
            break
        if argument == "-C" and at < len(arguments):
            _change_folder(arguments[at])
            at += 1
            continue
        kept.append(argument)
        if argument in ("--actor", "--db") and at < len(arguments):
            kept.append(arguments[at])
            at += 1
        elif not argument.startswith("-") and len(words) < 2:
            words.append(argument)
    return kept, words


def _change_folder(path: str) -> None:
    try:
        os.chdir(path)
    except OSError as error:
        raise Failure("usage", f"cannot enter {path}: {error.strerror}") from error


def connect(path: str) -> socket:
    """Connect to the daemon; start it if none runs, unless MOOT_NO_AUTOSTART is set.

    Raises:
        Failure: `unreachable`, `denied`, `busy`.
    """
    channel = try_connect(path)
    if channel is not None:
        return channel
    if os.environ.get("MOOT_NO_AUTOSTART"):
        raise Failure("unreachable", f"no daemon answers at {path}", "start it: moot daemon start")
    from moot.startup import start

    return start(path)
