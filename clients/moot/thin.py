"""The client process behind the command `moot`: it says what it was asked and does what it is told.

It sends its arguments, folder and terminal facts to the daemon, which runs the command, and carries out the effects
that come back. Its speed is its start: beside what a bare interpreter has loaded it imports `_socket` and three small
modules of ours, and a test holds it to that. Whatever is rare (files, the editor, starting the daemon) is imported when
it is needed.
"""

import os
import sys
from _socket import socket

from moot.conversation import Conversation, Failure, Lost, Sandboxed, Silent, Unheard, try_connect, write_all
from moot.facts import has_spool
from moot.paths import socket_path

STANDARD_ERROR = 2
INTERRUPTED = 130
MERGED = 4
"""Arguments of `merge-file` as git calls it: the word itself and three files."""
EXITS = {
    "usage": 2, "not_found": 3, "ambiguous": 3, "denied": 4, "conflict": 5, "lost_race": 5,
    "unreachable": 69, "busy": 75, "timeout": 75, "bad_token": 77, "pipe": 141,
}  # fmt: skip
"""Exit codes of failures, by error code; all others are 1. 141 is what a shell shows for SIGPIPE."""
LONG = 1000
"""Characters of a message above which it is cut (`safe_text.LONGEST`, which isn't loaded for less)."""
NEXT_SECONDS, NEXT_PAUSE = 1.0, 0.05
"""How long daemons are tried that end before their first word, and the time between two, in seconds."""
_WAIT_THEMSELVES: tuple[list[str], ...] = ([], ["sync"], ["merge-slot"])
"""First words of commands that have a flag `--wait` of their own; `[]`: none has been read yet."""


def main(argv: list[str] | None = None) -> None:
    """Carry out one command and end the process.

    Args:
        argv: the program's name and its arguments; by default this process's own.
    """
    try:
        _keep_standard_files()
        code = run(sys.argv if argv is None else argv)
    except KeyboardInterrupt:
        code = INTERRUPTED
    os._exit(code)  # nothing is buffered here, and the interpreter's own end takes as long as the command


def _keep_standard_files() -> None:
    """Have whatever is opened get a number above 2: of a standard output that was closed, writing says so."""
    descriptor = 0
    while descriptor <= STANDARD_ERROR:
        descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)


def run(argv: list[str]) -> int:
    """Carry out one command and return its exit code. Called as `bd`, every failure is 1."""
    program = "bd" if os.path.basename(argv[0]) == "bd" else "moot"
    try:
        arguments, words = _enter_folder(argv[1:])
        code = None
        if words[:1] == ["merge-file"] and len(arguments) == MERGED and not any(map(_is_flag, arguments)):
            from moot.merge_file import merge_file

            code = merge_file(*arguments[1:])
        if words[:1] == ["mcp"]:
            from moot.daemon_commands import become_mcp

            become_mcp(arguments)
        if words[:1] in (["daemon"], ["daemons"]):
            code = _about_daemon(program, arguments, words)
        if code is None:
            code = _carry_out(program, arguments)
    except Failure as failure:
        code = report(failure, as_json="--json" in argv, program=program)
    return 1 if program == "bd" and 1 < code < INTERRUPTED else code


def _about_daemon(program: str, arguments: list[str], words: list[str]) -> int | None:
    """Carry out a `daemon` command as far as it is the client's; None if it is the daemon's, or makes no sense."""
    if words[1:] != ["run"] and not {*arguments} <= {*words, "--json"}:
        from moot.unaided import is_refused

        if is_refused(program, arguments):
            return None
    from moot.daemon_commands import daemon_command

    return daemon_command(program, arguments, words)


def _carry_out(program: str, arguments: list[str]) -> int:
    """Have the daemon run a command; where a sandbox forbids to speak to it, through the workspace's spool.

    What needs no daemon needs no spool either, nor a token that fits one.
    """
    refused = None
    if not os.environ.get("MOOT_SPOOL"):
        try:
            return _hosted(program, arguments)
        except Sandboxed as error:
            refused = error
    from moot.unaided import run_unaided

    code = run_unaided(program, arguments)
    if code is not None:
        return code
    if refused is not None and not has_spool():
        raise refused
    from moot.tokens import is_given

    if is_given():
        hint = "a spool is bound to its project and to no user: unset MOOT_TOKEN and MOOT_TOKEN_FILE to use it"
        raise Failure("unreachable", "an API token can't be presented through a spool", hint)
    from moot.spool.command import FORCED, spool_command

    return spool_command(program, arguments, refused or FORCED)


def _hosted(program: str, arguments: list[str]) -> int:
    """Have the daemon run a command; none is started for what needs none.

    Raises:
        Failure: as `connect` and `Conversation.command`.
    """
    try:
        channel = try_connect(socket_path())
    except Sandboxed:
        raise
    except Failure as failure:
        return _unaided(program, arguments, failure)
    if channel is None:
        from moot.unaided import run_unaided

        code = run_unaided(program, arguments)
        if code is not None:
            return code
        channel = connect(socket_path())
    try:
        try:
            return _converse(channel, program, arguments)
        except Unheard:  # it was killed as it began to serve, or was stopping
            return _ask_the_next(program, arguments)
    except Lost as lost:
        from moot.unaided import how_to_go_on

        hint = how_to_go_on(program, arguments)
        if hint:
            lost.hint, lost.retryable = f"{hint}; {lost.advice}", not lost.is_fault
        raise
    except Silent as silent:
        from moot.unaided import how_to_go_on, what_may_be_done

        may_be = what_may_be_done(program, arguments)
        if may_be:
            silent.hint = f"{may_be}; {silent.hint}"
        silent.retryable = bool(how_to_go_on(program, arguments))
        raise


def _converse(channel: socket, program: str, arguments: list[str]) -> int:
    """Have the daemon at a connection run a command, and close it.

    Raises:
        Failure: as `Conversation.command`.
    """
    try:
        return Conversation(channel).command(program, arguments, lambda: _may_change(program, arguments))
    finally:
        channel.close()


def _may_change(program: str, arguments: list[str]) -> bool:
    """Whether a command may change something: so it isn't given again where it may be done."""
    from moot.unaided import what_may_be_done

    return bool(what_may_be_done(program, arguments))


def _ask_the_next(program: str, arguments: list[str]) -> int:
    """Have the daemon run a command that serves next, for as long as one after the other ends before its first word.

    Raises:
        Failure: as `connect` and `Conversation.command`.
    """
    import time

    end = time.monotonic() + NEXT_SECONDS
    while True:
        try:
            return _converse(connect(socket_path()), program, arguments)
        except Unheard:
            if time.monotonic() > end:
                raise
        time.sleep(NEXT_PAUSE)


def _unaided(program: str, arguments: list[str], refused: Failure) -> int:
    """Carry out what needs no daemon where none can be reached.

    Raises:
        Failure: `refused`: it needs one.
    """
    from moot.unaided import run_unaided

    code = run_unaided(program, arguments)
    if code is None:
        raise refused
    return code


def _is_flag(argument: str) -> bool:
    return argument.startswith("-")


def report(failure: Failure, *, as_json: bool, program: str = "moot") -> int:
    """Tell the user of a failure, and return its exit code.

    Called as `bd`, a document has the message right under `error`, and the words are told beside it.
    """
    is_bd = program == "bd"
    if len(failure.message) > LONG:  # it repeats what was typed
        from moot.console.text.safe_text import shortened

        failure.message = shortened(failure.message)
    if as_json and failure.message:
        import json

        names = ("code", "hint", "retryable") if is_bd else ("code", "message", "hint", "retryable")
        body = {name: getattr(failure, name) for name in names}
        document = json.dumps({"error": failure.message} | body if is_bd else {"error": body})
        try:
            write_all(1, document.encode() + b"\n")
        except Failure as unwritable:
            told = failure if failure.code == unwritable.code else unwritable  # its own advice isn't lost
            return report(told, as_json=False, program=program)
    if failure.message and (is_bd or not as_json):
        hint = f"  {_safe(failure.hint)}\n" if failure.hint else ""
        write_all(2, f"{program}: {_safe(failure.message)}\n{hint}".encode("utf-8", "replace"))
    return EXITS.get(failure.code, 75 if failure.retryable else 1)


def _safe(text: str) -> str:
    """Words that may hold an argument, a path or a variable, safe to print."""
    if text.isascii() and text.isprintable():
        return text
    from moot.console.text.safe_text import neutralise

    return neutralise(text)


def _enter_folder(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Go where `-C` says, and return the other arguments and the first words of them that are no options.

    What stands on the command line takes the place of variables that name another project.
    """
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
        if argument.partition("=")[0] == "--wait" and words[:1] not in _WAIT_THEMSELVES:
            at += _note_wait(argument, arguments[at : at + 1] if len(words) > 1 else [])
            continue
        kept.append(argument)
        if argument == "--db" and at < len(arguments):
            os.environ.pop("BEADS_DIR", None)
            os.environ["BEADS_DB"] = arguments[at]
        if argument in ("--actor", "--db") and at < len(arguments):
            kept.append(arguments[at])
            at += 1
        elif not argument.startswith("-") and len(words) < 2:
            words.append(argument)
    return kept, words


def _note_wait(argument: str, following: list[str]) -> int:
    """Note how long an answer to what goes through a spool is waited for; gives how many more arguments say so."""
    seconds = argument.partition("=")[2]
    taken = 0
    if not seconds and following and following[0].isdecimal():
        seconds, taken = following[0], 1
    os.environ["MOOT_SPOOL_WAIT"] = seconds or "10"
    return taken


def _change_folder(path: str) -> None:
    try:
        os.chdir(path)
    except OSError as error:
        raise Failure("usage", f"cannot enter {path}: {error.strerror}") from error
    for name in ("BEADS_DIR", "BEADS_DB"):
        os.environ.pop(name, None)


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
