"""What is said of dependencies of a type that nobody knows: they are kept, and hold nothing up."""

from collections.abc import Iterable

from moot.console.command import Context
from moot.console.context import note
from moot.console.text.safe_text import neutralise
from moot_protocol.issues.edge_types import HOLDING, PARENT, TELLING


def note_own_types(context: Context, given: Iterable[str]) -> None:
    """Tell on standard error of types that are the user's own: they may be meant, or slips of the finger."""
    for name in dict.fromkeys(given):
        if name not in HOLDING | TELLING | {PARENT}:
            note(
                context,
                f"{neutralise(name)} is a type of your own: such a dependency holds nothing up, "
                f"as {', '.join(sorted(HOLDING | {PARENT}))} do",
            )
