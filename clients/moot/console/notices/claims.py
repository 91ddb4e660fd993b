"""What an actor is told of their claims with whatever command they run next: those that are lost, and renewals.

Invariant: nothing of it goes to standard output, and none of it makes a command fail: what can't be told or renewed now
is left to the next command.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from moot.console.api import Api
from moot.console.terminal import Terminal
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import RefusedError
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.claims import ClaimsTold, Heartbeat


def attend(api: Api, terminal: Terminal, actor: str, claims: Mapping[str, Any], *, quiet: bool) -> None:
    """Tell of lost claims once, and renew those that are due.

    Args:
        api: the daemon.
        terminal: the client.
        actor: whose claims they are.
        claims: as `WorkspaceInfo` answers them.
        quiet: whether nothing but the command's own output is wanted; what is lost is then told later.
    """
    lost = claims.get("lost", ())
    if lost and not quiet:
        terminal.err("".join(map(lost_line, lost)))
        _try(api, ClaimsTold(actor=actor, ids=tuple(each["id"] for each in lost)))
    if claims.get("due"):
        _try(api, Heartbeat(actor=actor))


def _try(api: Api, request: Mutation[Any]) -> None:
    """Ask for something that the command at hand doesn't depend on."""
    with suppress(RefusedError):  # the next command is asked the same again; a claim that ends is told as lost
        api.call(request)


def lost_line(lost: Mapping[str, Any]) -> str:
    """What is said of one claim that is lost."""
    issue, holder = neutralise(str(lost["id"])), neutralise(str(lost["holder"]))
    if holder:
        return f"Lost claim: {issue} is {holder}'s, not yours\n"
    return f"Lost claim: {issue} was taken from you, and nobody has it\n"
