"""Resources: an issue is `moot://issue/ID`, what can be worked on `moot://ready`, what to know first `moot://prime`.

All are read as text, in the words of the tools and of the command `prime`.
"""

from typing import Final, NamedTuple

from moot.console.lines.prime_text import Wanted, prime_text
from moot.mcp import arguments as args
from moot.mcp import tools
from moot.mcp.tools import Desk
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import READY_LIMIT
from moot_protocol.requests.issues import ListIssues, ResolveIds
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.memories import Prime

READY: Final = "moot://ready"
PRIME: Final = "moot://prime"
ISSUE: Final = "moot://issue/"
TEMPLATE: Final = f"{ISSUE}{{id}}"
LISTED: Final = 50
"""Issues that are offered as resources without being asked for."""
ANY: Final = ""
"""Stands for the entity of what may change with any issue."""


class Resource(NamedTuple):
    """A resource as it is offered."""

    uri: str
    name: str
    title: str


async def offered(desk: Desk) -> list[Resource]:
    """The list of what is ready, and the issues of the project that aren't closed, by priority."""
    page = await desk.ask(ListIssues(filter=Filter(projects=desk.projects), limit=LISTED))
    issues = [Resource(ISSUE + issue["id"], issue["id"], str(issue.get("title", ""))) for issue in page.issues]
    return [
        Resource(PRIME, "prime", "What to know first: memories, your work, what is ready"),
        Resource(READY, "ready", "Issues that can be worked on now"),
        *issues,
    ]


async def read(desk: Desk, uri: str) -> str:
    """The text of a resource.

    Raises:
        RefusedError: `not_found`, `ambiguous`.
    """
    if uri == READY:
        return (await tools.find(desk, args.Find(limit=READY_LIMIT))).text
    if uri == PRIME:
        desk.need_project()
        found = await desk.ask(Prime(project=desk.project, plane=desk.plane, actor=desk.actor))
        return prime_text(found, desk.project, "moot", Wanted()).text
    return (await tools.show(desk, args.Show([issue_in(uri)]))).text


async def entity_of(desk: Desk, uri: str) -> str:
    """The whole id of the issue that a resource is, or `ANY`. Raises as `read`."""
    if uri in {READY, PRIME}:
        return ANY
    (issue,) = await desk.ask(ResolveIds(ids=(issue_in(uri),)))
    return issue


def issue_in(uri: str) -> str:
    """The id in a resource's URI.

    Raises:
        RefusedError: `not_found`: it names no issue.
    """
    issue = uri.removeprefix(ISSUE)
    if issue == uri or not issue:
        raise RefusedError(
            f"there is no resource {uri}", code=Code.NOT_FOUND, hint=f"there are {READY}, {PRIME} and {TEMPLATE}"
        )
    return issue
