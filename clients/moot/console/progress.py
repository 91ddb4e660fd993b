"""Progress of long commands: shown on standard error once a command has taken a second, and only to a terminal."""

from typing import Final

from moot.console.command import Context
from moot.console.text.table import cut

PATIENCE_SECONDS: Final = 1.0
"""How long a command may take before it says how far it is."""
BETWEEN_SECONDS: Final = 0.1
"""Least time between two reports: more would cost, and could not be read."""
_CLEAR: Final = "\r\x1b[K"


class Progress:
    """How far a command is. Also asks, each time, whether the client is still there.

    Args:
        context: the command's.
        what: what it is doing, in a word or two.
        unit: what `report` counts.
    """

    def __init__(self, context: Context, what: str, unit: str = "") -> None:
        self._context = context
        self._what = what
        self._unit = unit
        self._next = context.monotonic() + PATIENCE_SECONDS
        self._shown = False

    def report(self, done: int, total: int | None = None) -> None:
        """Say how many of its units are done, if it is time to.

        Raises:
            MootError: `cancelled`: the client has gone away.
        """
        share = f" of {total:,} ({100 * done // total} %)" if total else ""
        self.tell(f"{done:,}{share} {self._unit}")

    def tell(self, text: str) -> None:
        """Say how far it is in words that are safe to print and stay on one line, if it is time to.

        Raises:
            MootError: `cancelled`: the client has gone away.
        """
        terminal = self._context.terminal
        terminal.check_alive()
        now = self._context.monotonic()
        if now < self._next or not terminal.facts.err_is_terminal or self._context.arguments.quiet:
            return
        self._next = now + BETWEEN_SECONDS
        self._shown = True
        terminal.err(_CLEAR + cut(f"{self._what}: {text}", terminal.facts.width - 1))

    def end(self) -> None:
        """Take the last report away."""
        if self._shown:
            self._context.terminal.err(_CLEAR)
            self._shown = False
