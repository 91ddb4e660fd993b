"""What this process carries out by itself where no daemon answers.

That are help, refusals of arguments, and the commands that are marked so: `verify-proof`, `version`, `man` and others
that only tell, and `setup` and `hooks`, which write files with the rights of whoever runs them.

Arguments are refused by the grammar, or by a command before it has asked or touched anything (`console/rehearsal.py`).
No daemon is started for these: they need neither one nor its data nor a home that can be written to. This is loaded
only after connecting has failed; where a daemon runs, that one answers these too, and sooner than the console loads
here.
"""

import time
from typing import Any, TypeVar

from moot import __version__
from moot.console import main
from moot.conversation import RPC_VERSION
from moot.spool.terminal import LocalTerminal, own_facts
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.base import Request
from moot_protocol.requests.machine import Ping

R = TypeVar("R")


def run_unaided(program: str, arguments: list[str]) -> int | None:
    """Carry out what needs no daemon.

    Args:
        program: the name it was called by.
        arguments: its arguments.

    Returns:
        The exit code; None, and nothing is done, where a daemon is needed.

    Raises:
        Failure: `usage`: an argument is no text; `pipe`, `output`: standard output doesn't take what is written.
    """
    terminal = LocalTerminal(own_facts(program, arguments))
    try:
        return main.run_unaided(_Nobody(), terminal, time.time_ns() // 1_000_000, terminal.tell_defect)
    finally:
        terminal.close()


def is_refused(program: str, arguments: list[str]) -> bool:
    """Whether the arguments make no sense, so that nothing is to be done for them.

    Raises:
        Failure: `usage`: an argument is no text.
    """
    return main.is_refused(own_facts(program, arguments))


def how_to_go_on(program: str, arguments: list[str]) -> str:
    """How to go on where the daemon went away under a command that can be given again; empty of any other."""
    facts = own_facts(program, arguments)
    again, may_be = main.how_to_ask_again(facts), main.what_may_be_done(facts)
    if again or not may_be:
        return f"nothing was being changed: {again}" if again else "it can be given again"
    return may_be if "--request-id" in may_be else ""


def what_may_be_done(program: str, arguments: list[str]) -> str:
    """What to know where the daemon has a command and doesn't answer; empty of one that changes nothing."""
    return main.what_may_be_done(own_facts(program, arguments))


class _Nobody:
    """An `Api` with no daemon behind it, which knows what this release is."""

    def call(self, request: Request[R]) -> R:
        """Answer what is known without a daemon.

        Raises:
            RefusedError: `unreachable`: it isn't.
        """
        if not isinstance(request, Ping):
            raise RefusedError("no daemon answers", code=Code.UNREACHABLE)
        release: Any = {"version": __version__, "protocol": RPC_VERSION}
        typed: R = release
        return typed

    def call_keyed(self, request: Request[R], key: str) -> R:
        """The same; nothing is written here."""
        del key
        return self.call(request)
