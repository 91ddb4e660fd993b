"""From a cooked formula to the script that makes its issues: one epic, a step below it for each, edges between them.

Invariant: the script makes all of it or nothing, and every issue says in its metadata which formula and step it is of.
A name means a document of the town's; where there is none, a file in the project's `.beads/formulas`, or the user's.
"""

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from moot.console.command import Context
from moot.console.context import NoTextError, need_project, note, read_text
from moot.console.text.safe_text import neutralise
from moot.console.text.toml_writing import to_toml
from moot_protocol.documents.formula import Formula, parse_formula
from moot_protocol.documents.molecule import Cooked, CookedStep, cook
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.edge_types import WAITS_FOR
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.issues import AddEdge, Create, Edge, IssueFields, WorkspaceInfo
from moot_protocol.requests.molecules import AdoptedFormula
from moot_protocol.text.toml_text import DocumentError

SOURCE: Final = "source_formula"
"""Metadata of the epic: the formula's name."""
STEP: Final = "source_step"
ORDER: Final = "source_order"
"""Metadata of a step: its place in the formula, from 0."""
EPIC: Final = "epic"
LABEL: Final = "molecule"
_FILE_MARKS: Final = ("/", ".toml", ".json")
_FILE_ENDINGS: Final = (".formula.toml", ".formula.json")
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


def cooked(context: Context, typed: str, values: Mapping[str, str], plane: str = "") -> Cooked:
    """A formula with values in it; `plane` as for `parsed`.

    Raises:
        RefusedError: there is none, nobody here adopted it, or it can't be poured with these values.
    """
    formula = parsed(context, typed, plane)
    if context.terminal.facts.is_bd:
        values = _known(context, formula, values)
    return cook(formula, values)


def _known(context: Context, formula: Formula, values: Mapping[str, str]) -> dict[str, str]:
    """The values that a formula has variables for: programs written for Beads give the same ones to every formula."""
    names = {variable.name for variable in formula.variables}
    for name in sorted(values.keys() - names):
        note(context, f"formula {neutralise(formula.name)} has no variable {neutralise(name)}: passed over")
    return {name: value for name, value in values.items() if name in names}


def parsed(context: Context, typed: str, plane: str = "") -> Formula:
    """A formula: a file of the user's own, or one that this town wrote or adopted.

    Args:
        context: the command's.
        typed: what names it.
        plane: the plane that it stands on; empty: the only one that has it, or as for documents.

    Raises:
        RefusedError: there is none, nobody here adopted it, or it can't be read.
    """
    try:
        return parse_formula(_text(context, typed, plane))
    except DocumentError as error:
        raise RefusedError(f"{typed} is no formula: {error}") from error


def _text(context: Context, typed: str, plane: str) -> str:
    if any(mark in typed for mark in _FILE_MARKS) and not typed.startswith("formula/"):
        return _in_toml(typed, read_text(context, typed))
    try:
        return str(context.api.call(AdoptedFormula(name=typed, plane=plane, home=context.plane))["text"])
    except RefusedError as error:
        if error.code is not Code.NOT_FOUND or plane:
            raise
        found = found_in_file(context, typed)
        if found is None:
            raise
        return found[1]


def found_in_file(context: Context, name: str) -> tuple[str, str] | None:
    """A formula of the folders that `bd` looks into: its file and its text as TOML; None where none of them has it.

    Raises:
        RefusedError: the file is there, and is too long or nothing that can be read.
    """
    refused = None
    for folder in _folders(context) if "/" not in name else ():
        for ending in _FILE_ENDINGS:
            path = posixpath.join(folder, f"{name}{ending}")
            try:
                return path, _in_toml(path, read_text(context, path, ordinary=True))
            except RefusedError as error:
                if isinstance(error, NoTextError) or error.code is Code.USAGE:
                    raise
                if error.code is Code.DENIED:
                    refused = refused or error
    if refused is not None:
        raise refused
    return None


def names_of_files(context: Context) -> list[str]:
    """The names of the formulas in the folders that `bd` looks into."""
    names: set[str] = set()
    for folder in _folders(context):
        try:
            found = context.terminal.names_in(folder)
        except RefusedError as error:
            if error.code in {Code.CANCELLED, Code.BAD_VERSION}:
                raise
            continue  # most projects have no such folder
        names |= {file.removesuffix(ending) for file in found for ending in _FILE_ENDINGS if file.endswith(ending)}
    return sorted(filter(None, names))


def _folders(context: Context) -> list[str]:
    """The folders of formulas that `bd` looks into: the project's, then the user's."""
    facts = context.terminal.facts
    known = context.api.call(WorkspaceInfo(workspace=facts.workspace)) if facts.workspace else None
    around = [str((known or {}).get("folder") or facts.folder), facts.environment.get("HOME", "")]
    return [posixpath.join(folder, ".beads", "formulas") for folder in filter(None, around)]


def _in_toml(path: str, text: str) -> str:
    """What a file holds, as TOML.

    Raises:
        RefusedError: `usage`: its name says that it is JSON, and it isn't; `invalid`: it is nested too deeply.
    """
    if not path.endswith(".json"):
        return text
    try:
        return to_toml(msgspec.json.decode(text, type=dict[str, Any]))
    except msgspec.DecodeError as error:
        raise RefusedError(f"{path} is no JSON: {error}", code=Code.USAGE) from error
    except RecursionError as error:
        raise RefusedError(f"{path} is nested too deeply to be read") from error


def script_of(
    context: Context, whole: Cooked, *, title: str, assignee: str, ephemeral: bool, root_id: str = ""
) -> Steps:
    """The mutations that make a molecule; the first makes its epic.

    Args:
        context: the command's.
        whole: the formula.
        title: the epic's; empty: the formula's name.
        assignee: who does the steps that name nobody.
        ephemeral: whether its issues are.
        root_id: the epic's id, before which a dot and a step's name make that step's; empty: ids as ever.
    """
    project = need_project(context)
    dry_run = bool(getattr(context.arguments, "dry_run", False))

    def create(
        fields: IssueFields, parent: str, labels: tuple[str, ...], metadata: dict[str, Any], step: str = ""
    ) -> Create:
        fields.ephemeral = True if ephemeral else msgspec.UNSET
        return Create(
            actor=context.actor,
            dry_run=dry_run,
            project=project,
            plane=context.plane,
            fields=fields,
            id=".".join(filter(None, (root_id, step))) if root_id else "",
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
        made = create(_fields(step, assignee), names[step.parent], step.labels, source, step.id)
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
        yield Edge(to=names[target], type=WAITS_FOR, metadata=msgspec.json.encode({"gate": gate}).decode())


def id_mapping(whole: Cooked, made: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """What became of each step, by its id alone and, as `bd` has it, behind the formula's name.

    Args:
        whole: the formula.
        made: the issues that were made: the epic, then the steps in order, or none of them.
    """
    mapping = {whole.name: str(made[0]["id"])}
    for step, issue in zip(whole.steps, made[1:], strict=False):
        mapping |= {step.id: str(issue["id"]), f"{whole.name}.{step.id}": str(issue["id"])}
    return mapping
