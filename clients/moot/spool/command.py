"""A command in a sandbox that forbids sockets: run by this process itself, over the spool and the snapshot.

It is loaded only where the socket was refused, or where MOOT_SPOOL is set, and imports neither asyncio nor a socket.
What was queued is said so, never as done; how old what is read was is said on standard error.
"""

import json
import os
import time
from argparse import Namespace
from pathlib import Path
from typing import Any, Final

from moot.console import main
from moot.console.context import actor_of
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot.conversation import Failure, Sandboxed
from moot.facts import workspace_meant
from moot.spool.api import Queued, SpoolApi
from moot.spool.files import UNTAKEN, UNTAKEN_MS, SpoolFiles, Waiting
from moot.spool.filter import lasted
from moot.spool.terminal import LocalTerminal, own_facts
from moot_protocol.errors import Code, MootError

LONGEST_WAIT: Final = 3600.0
FORCED: Final = Sandboxed(
    "unreachable", "MOOT_SPOOL is set, and there is no spool here", "run `moot init --spool` in the project, once"
)


def spool_command(program: str, arguments: list[str], refused: Failure = FORCED) -> int:
    """Carry out a command without a socket.

    Args:
        program: the name it was called by.
        arguments: its arguments.
        refused: why there is no socket.

    Raises:
        Failure: there is no spool here either; says how to have one.
    """
    own = own_facts(program, arguments)
    folder, _ = workspace_meant(own.folder)
    if not own.workspace:
        raise refused
    try:
        files = SpoolFiles(Path(folder))
        wait_s = _wait_seconds()
    except MootError as error:
        if error.code is Code.NOT_FOUND:
            raise refused from error
        raise Failure(str(error.code), error.message, error.hint) from error
    now_ms = time.time_ns() // 1_000_000
    terminal = LocalTerminal(own)
    reason = "MOOT_SPOOL is set, so the socket isn't tried" if refused is FORCED else refused.message
    api = SpoolApi(files, now_ms, os.urandom, wait_s, terminal.hold, reason, main.command_of(own))
    try:
        code = main.run(api, terminal, now_ms, terminal.tell_defect)
        _tell(terminal, api, files, code, now_ms)
    except Failure as failure:
        if failure.code == "output" and api.queued:
            failure.hint = "what was asked for is queued: only the words about it are lost"
        raise
    finally:
        terminal.close()
    return code


def _wait_seconds() -> float | None:
    """How long to wait for an answer, from `--wait` or MOOT_SPOOL_WAIT; None for not at all."""
    text = os.environ.get("MOOT_SPOOL_WAIT", "")
    if not text:
        return None
    if not text.isdecimal():
        raise MootError(f"--wait and MOOT_SPOOL_WAIT take whole seconds, not {text!r}", code=Code.USAGE)
    return min(float(text), LONGEST_WAIT)


# -- Afterwards --------------------------------------------------------------------------------------------------
def _tell(terminal: LocalTerminal, api: SpoolApi, files: SpoolFiles, code: int, now_ms: int) -> None:
    """Say what was queued, how old what was read is, and what of earlier commands was refused."""
    argv = terminal.facts.argv
    held = "".join(terminal.held)
    terminal.release()
    as_json, quiet = main.wants_json(argv), "-q" in argv or "--quiet" in argv
    lines = [] if quiet else [_queued_line(each) for each in api.queued]
    if code or not api.queued:
        terminal.out(held)
    elif as_json:
        terminal.out(_marked(held, api.queued))
    elif _names_only(held, api.queued):
        terminal.out(held)
    else:
        terminal.out("".join(lines))
        lines = []
    terminal.err("".join(lines))
    if api.queued and not quiet:
        terminal.err(_untaken(files, now_ms))
    if api.was_read:
        terminal.err(f"moot: read from the snapshot, {api.age} old{_left_out(api)}{_missing(api, files, now_ms)}\n")
    actor = actor_of(Namespace(actor=_flag(argv, "--actor")), terminal.facts)
    for refusal in files.refusals(actor, now_ms):
        if refusal.error is not None:
            told = f"{refusal.about}: {refusal.error.message}"
            terminal.err(f"moot: the daemon refused what was queued: {neutralise(told)}\n")


def _queued_line(queued: Queued) -> str:
    unnamed = [name for name in queued.made if name not in queued.about]
    made = f" as {', '.join(unnamed)}" if unnamed else ""
    return f"Queued for the daemon: {neutralise(queued.about)}{neutralise(made)} (command {queued.command[:12]})\n"


def _names_only(held: str, queued: list[Queued]) -> bool:
    """Whether all that a command printed are ids of the issues that it makes: these are settled."""
    made = {name for each in queued for name in each.made}
    return bool(held.strip()) and set(held.split()) <= made


def _marked(held: str, queued: list[Queued]) -> str:
    """A command's document, marked as what is expected."""
    commands = [each.command for each in queued]
    try:
        document: Any = json.loads(held)
    except ValueError:
        return held
    for each in document if isinstance(document, list) else [document]:
        if isinstance(each, dict):
            each["queued"] = commands
    return json.dumps(document, ensure_ascii=True) + "\n"


def _untaken(files: SpoolFiles, now_ms: int) -> str:
    """That nobody seems to take commands, as a line; empty where the oldest hasn't waited for long."""
    try:
        ms = files.waiting().lasted_ms(now_ms)
    except OSError:
        return ""
    return f"moot: nobody takes commands: the oldest has waited for {lasted(ms)}\n  {UNTAKEN}\n" * (ms > UNTAKEN_MS)


def _left_out(api: SpoolApi) -> str:
    """What the snapshot has no room for of what lists show, in words."""
    count = api.open_left_out
    return f", which has no room for {several(count, 'issue')} that {'is' if count == 1 else 'are'} not closed" * bool(
        count
    )


def _missing(api: SpoolApi, files: SpoolFiles, now_ms: int) -> str:
    """What the snapshot can't show yet, in words."""
    try:
        waiting = files.waiting()
    except OSError:
        waiting = Waiting(0, 0)
    if waiting.files:
        ms = waiting.lasted_ms(now_ms)
        since = f", the oldest for {lasted(ms)}" * (ms > UNTAKEN_MS)
        return f"; {several(waiting.files, 'queued command')} not in it yet{since}"
    return ", older than the last command: what that changed may be missing" if api.is_behind else ""


def _flag(argv: tuple[str, ...], name: str) -> str:
    for place, argument in enumerate(argv):
        if argument.startswith(f"{name}="):
            return argument.partition("=")[2]
        if argument == name and place + 1 < len(argv):
            return argv[place + 1]
    return ""
