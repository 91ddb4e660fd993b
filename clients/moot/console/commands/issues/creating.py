"""Making issues otherwise than by flags: several from a file (`create -f`, `create --graph`), or asked one by one.

All issues of a file are made in one commit, or none is.
"""

from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from typing import Any, Final

from moot.console import documents, exits
from moot.console.arguments.issue_fields import TYPE_ALIASES, priority_asked
from moot.console.arguments.issue_plans import Maker, Plan, Planned, from_markdown, plan_of, steps_of
from moot.console.arguments.several_issues import add_dry_run
from moot.console.command import Command, Context
from moot.console.context import answer, carry_out, need_project, note, read_text
from moot.console.grammar import comma_separated
from moot.console.lines.confirm import confirmed, naming
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.issue import DEFAULT_PRIORITY, DEFAULT_TYPE
from moot_protocol.requests.issues import Create, Edge, IssueFields
from moot_protocol.requests.listing import IssueDoc


# -- Files -------------------------------------------------------------------------------------------------------
def create_from_markdown(context: Context, path: str) -> int:
    """Make the issues of a Markdown file."""
    planned = from_markdown(read_text(context, path))
    created = carry_out(context, [(str(each.fields.title), _creation(context, each)) for each in planned])
    answer(context, list(map(documents.changed, created)), _created_lines(context, created, path))
    return exits.OK


def _creation(context: Context, planned: Planned) -> Create:
    return Create(
        actor=context.actor,
        dry_run=context.arguments.dry_run,
        project=need_project(context),
        plane=context.plane,
        fields=planned.fields,
        labels=planned.labels,
        edges=planned.edges,
    )


def _created_lines(context: Context, created: Sequence[IssueDoc], path: str) -> Iterator[str]:
    done = "Would create" if context.arguments.dry_run else "Created"
    yield confirmed(context, f"{done} {several(len(created), 'issue')} from {neutralise(path)}:")
    for issue in created:
        facts = f"P{issue.get('priority', DEFAULT_PRIORITY)}, {neutralise(str(issue.get('issue_type', DEFAULT_TYPE)))}"
        yield f"  {naming(issue)} [{facts}]"


def create_from_graph(context: Context, path: str) -> int:
    """Make the issues of a plan, with their edges."""
    plan, unknown = plan_of(read_text(context, path))
    for place in unknown:
        note(context, f"Warning: {neutralise(place)} means nothing in a plan and is left out")
    dry_run = context.arguments.dry_run
    keys, steps = steps_of(plan, Maker(context.actor, need_project(context), context.plane, dry_run=dry_run))
    made = carry_out(context, steps) if steps else []
    ids = {key: issue["id"] for key, issue in zip(keys, made, strict=False)}
    document = _preview(plan, len(steps) - len(keys)) if dry_run else {"ids": ids}
    answer(context, document, _graph_lines(context, ids))
    return exits.OK


def _preview(plan: Plan, edges: int) -> dict[str, Any]:
    nodes = [
        {"key": node.key, "title": node.title, "type": node.type, "priority": node.priority}
        | ({"parent_key": node.parent_key or node.parent} if node.parent_key or node.parent else {})
        | ({"parent_id": node.parent_id} if node.parent_id else {})
        for node in plan.nodes
    ]
    parents = sum("parent_key" in node or "parent_id" in node for node in nodes)
    return {"dry_run": True, "node_count": len(nodes), "edge_count": edges, "parent_deps": parents, "nodes": nodes}


def _graph_lines(context: Context, ids: dict[str, str]) -> Iterator[str]:
    if context.arguments.dry_run:
        yield f"Would create {several(len(ids), 'issue')}"
        return
    yield confirmed(context, f"Created {several(len(ids), 'issue')}")
    for key in sorted(ids):
        yield f"  {neutralise(key)} → {neutralise(ids[key])}"


# -- create-form -------------------------------------------------------------------------------------------------
def _form_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--parent", default="", metavar="ID", help="the issue it is part of")
    add_dry_run(parser)


class _Form:
    """Asks questions, on standard error, and reads a line for each from standard input."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._lines = _lines_of(context)

    def ask(self, question: str, default: str = "") -> str:
        """The answer to a question; the default where the line is empty or there are no more."""
        shown = f" [{default}]" if default else ""
        self._context.terminal.err(f"{question}{shown}: ")
        answered = next(self._lines, None)
        if answered is None:
            self._context.terminal.err("\n")  # no Enter has ended the question's line
        return (answered or "").strip() or default


def _lines_of(context: Context) -> Iterator[str]:
    """The lines of standard input, as soon as each has come."""
    rest = b""
    for chunk in context.terminal.stdin():
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in whole)
    if rest:
        yield rest.decode("utf-8", "replace")


def _form(context: Context) -> int:
    form = _Form(context)
    title = form.ask("Title")
    if not title:
        raise RefusedError("an issue needs a title", code=Code.USAGE)
    fields = IssueFields(title=title, description=form.ask("Description"))
    asked_type = form.ask("Type", DEFAULT_TYPE)
    fields.issue_type = TYPE_ALIASES.get(asked_type, asked_type)
    fields.priority = priority_asked(form.ask("Priority, 0 to 4", str(DEFAULT_PRIORITY)))
    fields.assignee = form.ask("Assignee")
    labels = comma_separated([form.ask("Labels, with commas")])
    fields.design = form.ask("Design")
    fields.acceptance_criteria = form.ask("Acceptance criteria")
    fields.external_ref = form.ask("External reference")
    depends_on = comma_separated([form.ask("Depends on, ids with commas")])
    created = context.api.call(
        Create(
            actor=context.actor,
            dry_run=context.arguments.dry_run,
            project=need_project(context),
            plane=context.plane,
            fields=fields,
            labels=labels,
            edges=tuple(Edge(to=issue) for issue in depends_on),
            parent=context.arguments.parent,
        )
    )
    done = "Would create" if context.arguments.dry_run else "Created issue:"
    answer(context, documents.changed(created), [confirmed(context, f"{done} {naming(created)}")])
    return exits.OK


COMMANDS: Final = (
    Command(
        "create-form",
        "Create an issue by answering questions",
        _form_arguments,
        _form,
        examples=("moot create-form", "moot create-form --parent bd-a1b2"),
    ),
)
"""The commands of this module."""
