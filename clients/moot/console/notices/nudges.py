"""What an actor is told with whatever command they run next: nudges, each once.

Invariant: it goes to standard error and makes no command fail, and the text of another town is never told so: whoever
writes there could else speak to every agent here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from moot.console.api import Api
from moot.console.lines import issues as lines
from moot.console.terminal import Terminal
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import RefusedError
from moot_protocol.requests.mail import NudgesTold


def tell_nudges(api: Api, terminal: Terminal, actor: str, nudges: Sequence[Mapping[str, Any]]) -> None:
    """Tell nudges, and note that they were told.

    Args:
        api: the daemon.
        terminal: the client.
        actor: whom they are for.
        nudges: as `WorkspaceInfo` answers them.
    """
    terminal.err("".join(nudge_line(nudge, terminal.facts.program) for nudge in nudges))
    try:
        api.call(NudgesTold(actor=actor, ids=tuple(nudge["id"] for nudge in nudges)))
    except RefusedError:
        return


def nudge_line(nudge: Mapping[str, Any], program: str) -> str:
    """What is said of a nudge: its text, or where it can be read."""
    who = lines.text_of(nudge, "actor")
    if nudge.get("text"):
        return f"Nudge from {who}: {neutralise(str(nudge['text']))}\n"
    name = lines.text_of(nudge, "id")
    return f"Nudge from {who} {lines.origin_mark(nudge)}: `{program} mail read {name}` shows it\n"
