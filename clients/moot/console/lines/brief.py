"""An issue as lists show it: without its texts, and without what depends on it, of which there may be any amount."""

from moot.console.command import Context
from moot_protocol.errors import RefusedError
from moot_protocol.requests.issues import ListIssues, Show
from moot_protocol.requests.listing import Filter, IssueDoc


def brief(context: Context, typed: str) -> IssueDoc:
    """The issue that was meant by what was typed.

    Raises:
        RefusedError: `not_found` or `ambiguous`.
    """
    try:
        found = context.api.call(ListIssues(filter=Filter(ids=(typed,)), all=True)).issues
    except RefusedError:
        found = []  # whatever it is, `Show` says it, and a sandbox may know the issue all the same
    return found[0] if found else context.api.call(Show(ids=(typed,)))[0]
