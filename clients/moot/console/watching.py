"""Lists that are drawn again whenever something has happened, until the client goes away.

Events wake a list; what it shows is asked for afresh, so that it can't drift from what is there.
"""

from collections.abc import Callable
from typing import Final

from moot.console.command import Context
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.machine import Events

STRETCH_MS: Final = 5_000
"""How long one request waits for news: below the time any request may take, and a client that goes away is noticed."""
ASK_AGAIN: Final = "ask again"
"""How to go on, as `Command.again` says it, where nothing is lost by asking anew."""
CLEAR: Final = "\x1b[H\x1b[2J"
"""Moves to the corner of a terminal and clears it."""


def watched(run: Callable[[Context], int]) -> Callable[[Context], int]:
    """A command that goes on with `--watch`, and runs once without."""

    def command(context: Context) -> int:
        return watch(context, run) if context.arguments.watch else run(context)

    return command


def watch(context: Context, run: Callable[[Context], int]) -> int:
    """Run a command now and after every event; ends by the error that the client has gone.

    Raises:
        RefusedError: `usage`: JSON is wanted, which is one document; `cancelled`: the client has gone.
    """
    if context.json:
        raise RefusedError(
            "--watch and --json exclude one another", code=Code.USAGE, hint="`moot events --follow --json`"
        )
    began = context.monotonic()
    seen: int = context.api.call(Events(since=None))["next"]
    while True:
        if context.terminal.facts.out_is_terminal:
            context.terminal.out(CLEAR)
        run(context._replace(now_ms=context.now_ms + int((context.monotonic() - began) * 1000)))
        seen = _after_news(context, seen)
        if not context.terminal.facts.out_is_terminal:
            context.terminal.out("\n")


def _after_news(context: Context, seen: int) -> int:
    """Wait until something has happened, and return the number of the last event."""
    while True:
        context.terminal.check_alive()
        page = context.api.call(Events(since=seen, wait_ms=STRETCH_MS, limit=1000))
        seen = page["next"]
        if page["events"]:
            return seen
