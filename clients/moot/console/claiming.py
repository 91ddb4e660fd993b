"""Claiming the first of several issues that nobody else holds."""

from moot.console.command import Context
from moot_protocol.errors import Code, RefusedError
from moot_protocol.listing import IssueDoc, Page
from moot_protocol.requests import Update


def claim_first(context: Context, page: Page) -> IssueDoc | None:
    """The first issue of a page that the actor gets; None if others hold or took them all."""
    for issue in page.issues:
        if issue.get("assignee") in {None, "", context.actor}:
            try:
                return context.api.call(Update(id=issue["id"], actor=context.actor, claim=True))
            except RefusedError as error:
                if error.code is not Code.LOST_RACE:
                    raise
    return None
