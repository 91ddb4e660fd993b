"""rename and rename-prefix: other names for issues, whose ids stay and go on meaning them."""

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any, Final

from moot.console import exits
from moot.console.arguments.several_issues import add_dry_run, batched
from moot.console.command import Command, Context
from moot.console.context import answer, carry_out, need_project
from moot.console.lines.confirm import UNCHANGED, confirmed, is_unchanged, nothing_to_do
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.ids import check_prefix
from moot_protocol.requests.actions import Rename
from moot_protocol.requests.issues import ListIssues
from moot_protocol.requests.listing import Filter, IssueDoc


# -- rename ------------------------------------------------------------------------------------------------------
def _rename_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="OLD", help="the issue")
    parser.add_argument("alias", metavar="NEW", help="what it is to be called; its own id takes the alias away")
    add_dry_run(parser)


def _rename(context: Context) -> int:
    given = context.arguments
    issue = context.api.call(Rename(actor=context.actor, dry_run=given.dry_run, id=given.id, alias=given.alias))
    name = str(issue.get("_alias", issue["id"]))
    document = {"old_id": issue["id"], "new_id": name} | ({UNCHANGED: True} if is_unchanged(issue) else {})
    answer(context, document, [_renamed(context, issue, name)])
    return exits.OK


def _renamed(context: Context, issue: IssueDoc, name: str) -> str:
    if is_unchanged(issue):
        return nothing_to_do(f"{neutralise(issue['id'])} is called {neutralise(name)} already")
    done = "Would rename" if context.arguments.dry_run else "Renamed"
    both = "" if name == issue["id"] else " (both mean it)"
    return confirmed(context, f"{done} {neutralise(issue['id'])} to {neutralise(name)}{both}")


# -- rename-prefix -----------------------------------------------------------------------------------------------
def _prefix_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("prefix", metavar="PREFIX", help="what ids are to begin with, without the hyphen")
    add_dry_run(parser)


def _prefix(context: Context) -> int:
    given = context.arguments
    project = need_project(context)
    prefix = check_prefix(given.prefix.rstrip("-"))
    if prefix == project:
        raise RefusedError(f"ids of this project begin with {prefix}- already", code=Code.USAGE)
    wanted = Filter(projects=(project,), plane=context.plane)
    issues = context.api.call(ListIssues(filter=wanted, all=True, sort="id", limit=0)).issues
    names = [(issue["id"], f"{prefix}-{rest}") for issue in issues if (rest := _rest(issue, project))]
    groups = [
        [(issue, Rename(actor=context.actor, dry_run=given.dry_run, id=issue, alias=alias))] for issue, alias in names
    ]
    for steps in batched(groups):
        carry_out(context, steps)
    document: dict[str, Any] = {"old_prefix": project, "new_prefix": prefix, "issues_updated": len(names)}
    answer(context, document, _prefix_lines(context, names, project))
    return exits.OK


def _rest(issue: IssueDoc, project: str) -> str:
    """What follows the project's prefix in an issue's name; empty where its name begins otherwise."""
    name = str(issue.get("_alias", issue["id"]))
    return name.removeprefix(f"{project}-") if name.startswith(f"{project}-") else ""


def _prefix_lines(context: Context, names: Sequence[tuple[str, str]], project: str) -> Iterator[str]:
    done = "Would rename" if context.arguments.dry_run else "Renamed"
    yield confirmed(context, f"{done} {several(len(names), 'issue')}; their ids go on meaning them")
    if context.arguments.dry_run:
        yield from (f"  {neutralise(issue)} → {neutralise(alias)}" for issue, alias in names[:5])
    yield f"  New issues are still made as {neutralise(project)}-…: a project keeps its name"


COMMANDS: Final = (
    Command(
        "rename",
        "Give an issue another name; its id goes on meaning it",
        _rename_arguments,
        _rename,
        examples=("moot rename bd-a1b2c3d4e5f6 bd-login",),
    ),
    Command(
        "rename-prefix",
        "Give every issue of the project a name with another prefix",
        _prefix_arguments,
        _prefix,
        examples=("moot rename-prefix app --dry-run",),
    ),
)
"""The commands of this module."""
