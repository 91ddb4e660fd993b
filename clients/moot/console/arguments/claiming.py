"""Claiming the first ready issue that nobody else holds."""

from argparse import Namespace

from moot.console.command import Context
from moot.console.context import need_project
from moot_protocol.errors import RefusedError
from moot_protocol.requests.claims import ClaimReady
from moot_protocol.requests.listing import Filter, IssueDoc


def check_whose(context: Context, otherwise: str) -> None:
    """Refuse to take any project's issue where the folder is in none.

    Args:
        context: the command's.
        otherwise: how to say which project's is meant.

    Raises:
        RefusedError: `not_found`.
    """
    try:
        need_project(context)
    except RefusedError as error:
        if not context.terminal.facts.is_bd:  # it knows no other project
            error.hint = f"{error.hint}; {otherwise}"
        raise


def claim_first(context: Context, wanted: Filter, order: Namespace | None = None) -> IssueDoc | None:
    """The first ready issue that the actor gets, in one step; None if others hold them all.

    Args:
        context: the command's.
        wanted: which issues may be taken.
        order: the arguments of `ready`, which say in what order, what else counts as ready, and until when it is held.
    """
    request = ClaimReady(actor=context.actor, filter=wanted)
    if order is not None:
        request.sort = order.sort
        request.include_deferred = order.include_deferred
        request.include_ephemeral = order.include_ephemeral
        request.ttl_ms = order.ttl
    return context.api.call(request)
