"""Shortcuts to states, todos and promotion: state, set-state, todo, promote."""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from typing import Any, Final

from moot.console import documents, exits
from moot.console.arguments import filters
from moot.console.arguments.issue_fields import priority
from moot.console.arguments.several_issues import add_dry_run
from moot.console.command import Command, Context
from moot.console.context import answer, carry_out, need_project
from moot.console.lines import issues as lines
from moot.console.lines.brief import brief
from moot.console.lines.confirm import (
    confirmed,
    finished_among,
    finished_lines,
    is_unchanged,
    naming,
    nothing_to_do,
    unchanged_among,
)
from moot.console.text.safe_text import neutralise
from moot.console.text.style import style_of
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.issue import DEFAULT_PRIORITY
from moot_protocol.requests.actions import SetState
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.issues import AddComment, Close, Create, IssueFields, ListIssues, Update
from moot_protocol.requests.listing import Filter

TASK: Final = "task"
DONE: Final = "Completed"


# -- state, set-state --------------------------------------------------------------------------------------------
def _states(context: Context) -> tuple[str, dict[str, str]]:
    """An issue's whole id, and its state by dimension; of several values of one dimension the first."""
    issue = brief(context, context.arguments.id)
    found: dict[str, str] = {}
    for label in issue.get("labels", ()):
        dimension, colon, value = label.partition(":")
        if dimension and colon:
            found.setdefault(dimension, value)
    return issue["id"], found


def _state_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the issue")
    parser.add_argument("dimension", metavar="DIMENSION", help="what of its state, such as `mode`")


def _state(context: Context) -> int:
    dimension = context.arguments.dimension
    issue, states = _states(context)
    value = states.get(dimension)
    told = f"(no {neutralise(dimension)} state set)" if value is None else neutralise(value)
    answer(context, {"issue_id": issue, "dimension": dimension, "value": value}, [told])
    return exits.OK


def _state_list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the issue")


def _state_list(context: Context) -> int:
    issue, states = _states(context)
    told = [f"{neutralise(dimension)}: {neutralise(value)}" for dimension, value in states.items()]
    answer(context, {"issue_id": issue, "states": states}, told or [f"{neutralise(issue)} has no state labels"])
    return exits.OK


def _set_state_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the issue")
    parser.add_argument("state", metavar="DIMENSION=VALUE", help="such as mode=degraded")
    parser.add_argument("--reason", default="", metavar="TEXT", help="why: told by the event")
    add_dry_run(parser)


def _set_state(context: Context) -> int:
    given = context.arguments
    dimension, equals, value = given.state.partition("=")
    if not (dimension and equals and value):
        raise RefusedError(f"{given.state!r} is no state", code=Code.USAGE, hint="write DIMENSION=VALUE")
    done = context.api.call(
        SetState(
            actor=context.actor,
            dry_run=given.dry_run,
            id=given.id,
            dimension=dimension,
            value=value,
            reason=given.reason,
        )
    )
    answer(context, done, _set_lines(context, done))
    return exits.OK


def _set_lines(context: Context, done: Mapping[str, Any]) -> Iterator[str]:
    dimension, value = lines.text_of(done, "dimension"), lines.text_of(done, "new_value")
    if not done["changed"]:
        yield f"(no change: {dimension} already set to {value})"
        return
    verb = "Would set" if context.arguments.dry_run else "Set"
    yield confirmed(context, f"{verb} {dimension} = {value} on {lines.text_of(done, 'issue_id')}")
    if done["old_value"] is not None:
        yield f"  Previous: {lines.text_of(done, 'old_value')}"
    if not context.arguments.dry_run:
        yield f"  Event: {lines.text_of(done, 'event_id')}"


# -- todo --------------------------------------------------------------------------------------------------------
def _todo_add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("words", nargs="+", metavar="TITLE", help="what is to be done; several words are put together")
    parser.add_argument("-p", "--priority", type=priority, default=DEFAULT_PRIORITY, help="0 to 4 or P0 to P4")
    parser.add_argument("-d", "--description", default="", metavar="TEXT", help="what it is about")
    add_dry_run(parser)


def _todo_add(context: Context) -> int:
    given = context.arguments
    fields = IssueFields(
        title=" ".join(given.words),
        description=given.description,
        priority=given.priority,
        issue_type=TASK,
        assignee=context.actor,
    )
    created = context.api.call(
        Create(
            actor=context.actor,
            dry_run=given.dry_run,
            project=need_project(context),
            plane=context.plane,
            fields=fields,
        )
    )
    done = "Would create" if given.dry_run else "Created"
    answer(context, documents.changed(created), [confirmed(context, f"{done} {naming(created)}")])
    return exits.OK


def _todo_list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="closed ones too")
    filters.add_place(parser)


def _todo_list(context: Context) -> int:
    arguments = context.arguments
    wanted = Filter(
        projects=filters.projects_of(context),
        plane=arguments.plane,
        types=(TASK,),
        statuses=() if arguments.all else ("open",),
    )
    page = context.api.call(ListIssues(filter=wanted, all=arguments.all, limit=0, texts=context.json))
    if context.json:
        documents.write_page(context, page)
    else:
        lines.write_issues(context, page, lines.issue_rows(style_of(context.terminal.facts), page, lines.LIST))
    return exits.OK


def _todo_done_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("ids", nargs="+", metavar="ID", help="what is done: all of them or none")
    parser.add_argument("--reason", default=DONE, metavar="TEXT", help=f"why (default: {DONE})")
    add_dry_run(parser)


def _todo_done(context: Context) -> int:
    given = context.arguments
    closed = carry_out(
        context,
        [
            (issue, Close(actor=context.actor, dry_run=given.dry_run, id=issue, reason=given.reason or DONE))
            for issue in dict.fromkeys(given.ids)
        ],
    )
    done = "Would close" if given.dry_run else "Closed"
    told = (
        nothing_to_do(f"{naming(issue)} is closed already")
        if is_unchanged(issue)
        else confirmed(context, f"{done} {naming(issue)}")
        for issue in closed
    )
    document = {"closed": [issue["id"] for issue in closed], "reason": given.reason or DONE}
    document |= unchanged_among(closed) | finished_among(closed)
    answer(context, document, [*told, *finished_lines(context, closed)])
    return exits.OK


# -- promote -----------------------------------------------------------------------------------------------------
def _promote_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the ephemeral issue")
    parser.add_argument("-r", "--reason", default="", metavar="TEXT", help="why: becomes a comment")
    add_dry_run(parser)


def _promote(context: Context) -> int:
    given = context.arguments
    issue = brief(context, given.id)
    if not issue.get("ephemeral"):
        raise RefusedError(f"{issue['id']} is not ephemeral", code=Code.CONFLICT, hint="it is kept already")
    note = f"Promoted from ephemeral: {given.reason}" if given.reason else "Promoted from ephemeral"
    fields = IssueFields(ephemeral=False)
    update = Update(actor=context.actor, dry_run=given.dry_run, id=issue["id"], fields=fields)
    comment = AddComment(actor=context.actor, dry_run=given.dry_run, id=issue["id"], text=note)
    steps: list[tuple[str, Mutation[Any]]] = [("promote", update), ("comment", comment)]
    promoted = carry_out(context, steps)[0]
    done = "Would promote" if given.dry_run else "Promoted"
    answer(context, documents.changed(promoted), [confirmed(context, f"{done} {naming(promoted)}")])
    return exits.OK


COMMANDS: Final = (
    Command(
        "set-state",
        "Set a dimension of an issue's state: a label and an event",
        _set_state_arguments,
        _set_state,
        examples=('moot set-state bd-a1b2 mode=degraded --reason "High error rate"',),
    ),
    Command(
        "state", "One dimension of an issue's state", _state_arguments, _state, examples=("moot state bd-a1b2 mode",)
    ),
    Command(
        "state list",
        "Every dimension of an issue's state",
        _state_list_arguments,
        _state_list,
        examples=("moot state list bd-a1b2 --json",),
    ),
    Command(
        "todo",
        "Tasks that are open",
        _todo_list_arguments,
        _todo_list,
        aliases=("todo list",),
        examples=("moot todo", "moot todo list --all"),
    ),
    Command(
        "todo add",
        "Create a task of yours",
        _todo_add_arguments,
        _todo_add,
        examples=("moot todo add Fix the link -p 1",),
    ),
    Command("todo done", "Close tasks", _todo_done_arguments, _todo_done, examples=("moot todo done bd-a1b2",)),
    Command(
        "promote",
        "Keep an ephemeral issue",
        _promote_arguments,
        _promote,
        examples=('moot promote bd-a1b2 -r "Worth keeping"',),
    ),
)
"""The commands of this module."""
