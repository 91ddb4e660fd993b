"""Commands about swarms: swarm create, list, status, validate.

A swarm is an issue of type `molecule` with the metadata `mol_type: swarm` and a `relates-to` edge to an epic, whose
children are the work.
"""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from moot.console import exits
from moot.console.arguments import filters
from moot.console.arguments.several_issues import add_dry_run
from moot.console.command import Command, Context
from moot.console.context import answer, carry_out, need_project
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed, naming
from moot.console.molecules import swarm_analysis
from moot.console.molecules.swarm_analysis import Family
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.actions import Graph
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.issues import Create, Edge, IssueFields, Show, Update
from moot_protocol.requests.listing import IssueDoc
from moot_protocol.requests.queries import Query

RELATES: Final = "relates-to"
_MOLECULE: Final = "molecule"
_SWARMS: Final = "type=molecule AND mol_type=swarm"


def _family(context: Context, typed: str) -> Family:
    """The epic that an id means, itself or as a swarm's, with its children.

    Raises:
        RefusedError: `invalid`: it is neither.
    """
    issue = context.api.call(Show(ids=(typed,)))[0]
    epic = _epic_of(issue) or (issue["id"] if issue.get("issue_type") in {"epic", _MOLECULE} else "")
    if not epic:
        raise RefusedError(f"{issue['id']} is not an epic or swarm ({issue.get('issue_type')})")
    return swarm_analysis.family_of(context.api.call(Graph(id=epic, scope="children")))


def _epic_of(swarm: IssueDoc) -> str:
    """The epic that a swarm works on; empty where the issue is no swarm."""
    kind = swarm.get("mol_type") or swarm.get("metadata", {}).get("mol_type")
    edges = swarm.get("dependencies", ()) if kind == "swarm" else ()
    return next((str(edge["depends_on_id"]) for edge in edges if edge.get("type") == RELATES), "")


# -- validate ----------------------------------------------------------------------------------------------------
def _id_argument(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="an epic, or the swarm that works on it")


def _validate_arguments(parser: ArgumentParser) -> None:
    _id_argument(parser)
    parser.add_argument("--issues", action="store_true", help="with every issue and what it waits for, in JSON")


def _validate(context: Context) -> int:
    found = swarm_analysis.analysis(_family(context, context.arguments.id))
    if not context.arguments.issues:
        del found["issues"]
    answer(context, found, _analysis_lines(found))
    return exits.OK if found["swarmable"] else exits.FAILED


def _analysis_lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"Swarm analysis: {lines.text_of(found, 'epic_id')} {lines.text_of(found, 'epic_title')}"
    yield f"  {several(found['total_issues'], 'issue')}, {found['closed_issues']} closed"
    for front in found["ready_fronts"]:
        yield f"  Wave {front['wave'] + 1}: {several(len(front['issues']), 'issue')}"
        for issue, title in zip(front["issues"], front["titles"], strict=True):
            yield f"    {neutralise(issue)} {neutralise(str(title))}"
    if found["ready_fronts"]:
        yield f"  Max parallelism: {found['max_parallelism']}"
    yield from (f"  Warning: {neutralise(warning)}" for warning in found["warnings"])
    yield from (f"  Error: {neutralise(error)}" for error in found["errors"])
    yield f"Swarmable: {'YES' if found['swarmable'] else 'NO (fix errors first)'}"


# -- status ------------------------------------------------------------------------------------------------------
def _status(context: Context) -> int:
    found = swarm_analysis.status(_family(context, context.arguments.id))
    answer(context, found, _status_lines(found))
    return exits.OK


def _status_lines(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"Swarm: {lines.text_of(found, 'epic_id')} {lines.text_of(found, 'epic_title')}"
    for group in ("completed", "active", "ready", "blocked"):
        shown = [_short(issue) for issue in found[group]]
        yield f"  {group.capitalize()}: {', '.join(shown) or '(none)'}"
    done, total = len(found["completed"]), found["total_issues"]
    yield f"  Progress: {done}/{total} complete ({found['progress_percent']:.0f}%)"


def _short(issue: Mapping[str, Any]) -> str:
    told = lines.text_of(issue, "id")
    if issue.get("blocked_by"):
        return f"{told} (needs {lines.text_of(issue, 'blocked_by')})"
    return f"{told} [{lines.text_of(issue, 'assignee')}]" if issue.get("assignee") else told


# -- list --------------------------------------------------------------------------------------------------------
def _list_arguments(parser: ArgumentParser) -> None:
    filters.add_place(parser)


def _swarms(context: Context, *, all_projects: bool = False) -> list[IssueDoc]:
    projects = () if all_projects else filters.projects_of(context)
    return context.api.call(Query(text=_SWARMS, projects=projects, limit=0)).issues


def _list(context: Context) -> int:
    found = [_listed(context, swarm) for swarm in _swarms(context)]
    answer(context, {"swarms": found}, _list_lines(found))
    return exits.OK


def _listed(context: Context, swarm: IssueDoc) -> dict[str, Any]:
    epic = _epic_of(swarm)
    shown: dict[str, Any] = {
        "id": swarm["id"],
        "title": swarm.get("title", ""),
        "epic_id": epic,
        "epic_title": "",
        "status": swarm.get("status", ""),
        "coordinator": swarm.get("assignee", ""),
    }
    if not epic:
        return shown | {"total_issues": 0, "completed_issues": 0, "active_issues": 0, "progress_percent": 0.0}
    status = swarm_analysis.status(_family(context, epic))
    return shown | {
        "epic_title": status["epic_title"],
        "total_issues": status["total_issues"],
        "completed_issues": len(status["completed"]),
        "active_issues": status["active_count"],
        "progress_percent": status["progress_percent"],
    }


def _list_lines(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not found:
        yield "No active swarms"
    for swarm in found:
        progress = f"{swarm['completed_issues']}/{swarm['total_issues']}, {swarm['active_issues']} active"
        yield f"{lines.text_of(swarm, 'id')} {lines.text_of(swarm, 'title')} ({progress})"


# -- create ------------------------------------------------------------------------------------------------------
def _create_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="an epic; any other issue gets one around it")
    parser.add_argument("--coordinator", default="", metavar="NAME", help="who leads it")
    parser.add_argument("--force", action="store_true", help="although there is one already")
    add_dry_run(parser)


def _create(context: Context) -> int:
    given = context.arguments
    issue = context.api.call(Show(ids=(given.id,)))[0]
    is_epic = issue.get("issue_type") in {"epic", _MOLECULE}
    analysis = _checked(context, issue) if is_epic else {}
    epic = issue["id"] if is_epic else "$1"
    steps = [] if is_epic else _wrapping(context, issue)
    title = issue.get("title", "") if is_epic else _epic_title(issue)
    swarm = Create(
        actor=context.actor,
        dry_run=given.dry_run,
        project=need_project(context),
        plane=context.plane,
        fields=IssueFields(
            title=f"Swarm: {title}"[:500],
            description=f"Swarm that works on the epic {title!r}.",
            priority=issue.get("priority", 2),
            issue_type=_MOLECULE,
            assignee=given.coordinator,
        ),
        edges=(Edge(to=epic, type=RELATES),),
        metadata={"mol_type": "swarm"},
    )
    answers = carry_out(context, [*steps, ("swarm", swarm)])
    made = answers[-1]
    document = {
        "swarm_id": made["id"],
        "epic_id": answers[0]["id"] if steps else epic,
        "coordinator": given.coordinator,
        "analysis": {name: value for name, value in analysis.items() if name != "issues"},
    }
    done = "Would create swarm" if given.dry_run else "Created swarm"
    answer(context, document, [confirmed(context, f"{done}: {naming(made)}")])
    return exits.OK


def _checked(context: Context, epic: IssueDoc) -> dict[str, Any]:
    """The analysis of an epic that a swarm can be made for.

    Raises:
        RefusedError: `exists`: it has one; `conflict`: its children wait for each other in a circle.
    """
    there = [swarm for swarm in _swarms(context, all_projects=True) if _epic_of(swarm) == epic["id"]]
    if there and not context.arguments.force:
        raise RefusedError(
            f"swarm already exists: {there[0]['id']}", code=Code.EXISTS, hint="add --force to create another"
        )
    found = swarm_analysis.analysis(_family(context, epic["id"]))
    if not found["swarmable"]:
        hint = f"`moot swarm validate {epic['id']}` shows more"
        raise RefusedError(
            f"{epic['id']} is not swarmable: {'; '.join(found['errors'])}", code=Code.CONFLICT, hint=hint
        )
    return found


def _wrapping(context: Context, issue: IssueDoc) -> list[tuple[str, Mutation[Any]]]:
    """An epic around a single issue."""
    dry_run = context.arguments.dry_run
    fields = IssueFields(title=_epic_title(issue), priority=issue.get("priority", 2), issue_type="epic")
    project = need_project(context)
    epic = Create(actor=context.actor, dry_run=dry_run, project=project, plane=context.plane, fields=fields)
    return [("epic", epic), (issue["id"], Update(actor=context.actor, dry_run=dry_run, id=issue["id"], parent="$1"))]


def _epic_title(issue: IssueDoc) -> str:
    return f"Swarm Epic: {issue.get('title', '')}"[:500]


COMMANDS: Final = (
    Command(
        "swarm create",
        "Make a swarm that works on an epic",
        _create_arguments,
        _create,
        examples=("moot swarm create bd-a1b2 --coordinator alice",),
    ),
    Command(
        "swarm list", "Swarms not closed, and how far they are", _list_arguments, _list, examples=("moot swarm list",)
    ),
    Command(
        "swarm status",
        "How far a swarm is: done, under way, ready, blocked",
        _id_argument,
        _status,
        examples=("moot swarm status bd-a1b2 --json",),
    ),
    Command(
        "swarm validate",
        "In which waves an epic can be worked on, and what is in the way",
        _validate_arguments,
        _validate,
        examples=("moot swarm validate bd-a1b2",),
    ),
)
"""The commands of this module."""
