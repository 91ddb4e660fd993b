"""Claiming the first ready issue that nobody else holds."""

from argparse import Namespace

from moot.console.command import Context
from moot_protocol.requests.claims import ClaimReady
from moot_protocol.requests.listing import Filter, IssueDoc


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
