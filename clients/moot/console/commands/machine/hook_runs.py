"""hooks run: what git's hooks call. It begins an exchange and never makes git's command fail."""

from argparse import ArgumentParser
from typing import Final

from moot.console import exits
from moot.console.command import Command, Context
from moot.console.context import answer
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import MootError
from moot_protocol.requests.exchange import Sync


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("hook", metavar="HOOK", help="which of git's hooks runs")
    parser.add_argument("rest", nargs="*", metavar="ARGUMENT", help="what git gives it")


def _run(context: Context) -> int:
    """Begin an exchange, without waiting for it: git's own command goes on."""
    hook = context.arguments.hook
    try:
        begun = bool(context.api.call(Sync())["remotes"])
    except MootError as error:
        context.terminal.err(f"{context.terminal.facts.program}: {neutralise(error.message)}\n")
        begun = False
    answer(context, {"hook": hook, "exchanging": begun}, [])
    return exits.OK


COMMANDS: Final = (
    Command(
        "hooks run",
        "What git's hooks call: begins an exchange",
        _arguments,
        _run,
        alone=True,
        examples=("moot hooks run post-merge  # as git's hook does",),
    ),
)
"""The commands of this module."""
