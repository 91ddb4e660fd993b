"""From a cooked formula to the script that makes its issues: one epic, a step below it for each, edges between them.

Invariant: the script makes all of it or nothing, and every issue says in its metadata which formula and step it is of.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from moot.console.command import Context
from moot.console.context import need_project, read_text
from moot_protocol.errors import Code, RefusedError
from moot_protocol.formula import parse_formula
from moot_protocol.molecule import Cooked, CookedStep, cook
from moot_protocol.molecule_requests import AdoptedFormula
from moot_protocol.request_base import Mutation
from moot_protocol.requests import AddEdge, Create, Edge, IssueFields
from moot_protocol.toml_text import DocumentError

SOURCE: Final = "source_formula"
"""Metadata of the epic: the formula's name."""
STEP: Final = "source_step"
ORDER: Final = "source_order"
"""Metadata of a step: its place in the formula, from 0."""
EPIC: Final = "epic"
LABEL: Final = "molecule"
_FILE_MARKS: Final = ("/", ".toml")
Steps = list[tuple[str, Mutation[Any]]]


def values_of(given: list[str] | None) -> dict[str, str]:
    """The values of `--var NAME=VALUE`.

    Raises:
        RefusedError: `usage`: one is no such pair, or a name stands twice.
    """
    values: dict[str, str] = {}
    for pair in given or ():
        name, equals, value = pair.partition("=")
        if not (name and equals) or name in values:
            raise RefusedError(f"{pair!r} sets no variable, or sets it again", code=Code.USAGE, hint="--var NAME=VALUE")
        values[name] = value
    return values


def cooked(context: Context, typed: str, values: Mapping[str, str]) -> Cooked:
    """A formula with values in it: a file of the user's own, or one that this town wrote or adopted.

    Raises:
        RefusedError: there is none, nobody here adopted it, or it can't be poured with these values.
    """
    if any(mark in typed for mark in _FILE_MARKS) and not typed.startswith("formula/"):
        text = read_text(context, typed)
    else:
        text = context.api.call(AdoptedFormula(name=typed, home=context.plane))["text"]
    try:
        return cook(parse_formula(text), values)
    except DocumentError as error:
        raise RefusedError(f"{typed} is no formula: {error}") from error


def script_of(context: Context, whole: Cooked, *, title: str, assignee: str, ephemeral: bool) -> Steps:
    """The mutations that make a molecule; the first makes its epic."""
    project = need_project(context)
    dry_run = bool(getattr(context.arguments, "dry_run", False))

    def create(fields: IssueFields, parent: str, labels: tuple[str, ...], metadata: dict[str, Any]) -> Create:
        fields.ephemeral = True if ephemeral else msgspec.UNSET
        return Create(
            actor=context.actor,
            dry_run=dry_run,
            project=project,
            plane=context.plane,
            fields=fields,
            parent=parent,
            labels=labels,
            metadata=metadata,
            inherit_labels=False,
        )

    epic = IssueFields(title=title or whole.name, description=whole.description, issue_type=EPIC, assignee=assignee)
    told = {SOURCE: whole.name, "source_version": whole.version} | (
        {"values": dict(whole.values)} if whole.values else {}
    )
    steps: Steps = [(whole.name, create(epic, "", (LABEL,), told))]
    names = {"": "$1"} | {step.id: f"${number}" for number, step in enumerate(whole.steps, start=2)}
    for number, step in enumerate(whole.steps):
        source = {SOURCE: whole.name, STEP: step.id, ORDER: number}
        made = create(_fields(step, assignee), names[step.parent], step.labels, source)
        steps.append((f"step {step.id}", made))
    edges = [(f"step {each.id}", each, edge) for each in whole.steps for edge in _edges(each, names)]
    steps += [
        (label, AddEdge(actor=context.actor, dry_run=dry_run, id=names[step.id], edge=edge))
        for label, step, edge in edges
    ]
    return steps


def _fields(step: CookedStep, assignee: str) -> IssueFields:
    fields = IssueFields(title=step.title, description=step.description, notes=step.notes)
    fields.issue_type = step.type or "task"
    if step.priority is not None:
        fields.priority = step.priority
    if step.assignee or assignee:
        fields.assignee = step.assignee or assignee
    return fields


def _edges(step: CookedStep, names: Mapping[str, str]) -> Iterator[Edge]:
    for need in step.needs:
        yield Edge(to=names[need])
    for target, gate in step.waits_for:
        yield Edge(to=names[target], type="waits-for", metadata=msgspec.json.encode({"gate": gate}).decode())
