"""mol bond, mol distill: joining what was poured with more work, and a formula made out of work that was done.

Bonding writes issues and edges, never formulas: two formulas are put together by writing a third. Distilling writes a
document, or a file where one is asked for.
"""

import posixpath
import re
from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from moot.console import exits
from moot.console.arguments.several_issues import add_dry_run
from moot.console.command import Command, Context
from moot.console.commands.bundles.formulas import add_plane, add_values
from moot.console.context import answer, carry_out, write_private
from moot.console.lines.confirm import confirmed, naming
from moot.console.molecules import pouring
from moot.console.molecules.molecule import Molecule
from moot.console.text.amounts import several
from moot.console.text.safe_text import neutralise
from moot.console.text.toml_writing import to_toml
from moot_protocol.documents.formula import parse_formula
from moot_protocol.documents.molecule import PLACE, Cooked, cook
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.edge_types import BLOCKS, CONDITIONAL_BLOCKS, PARENT
from moot_protocol.requests.documents import NewDocument
from moot_protocol.requests.issues import AddEdge, Edge, Show
from moot_protocol.requests.listing import IssueDoc
from moot_protocol.text.toml_text import DocumentError

EDGES: Final = {"sequential": BLOCKS, "parallel": PARENT, "conditional": CONDITIONAL_BLOCKS}
"""How two pieces of work are joined → the edge from the later one to the other."""
_TEXTS: Final = ("title", "description", "notes")
"""Fields of a step that a formula has too."""
_UNFIT: Final = re.compile(r"[^a-z0-9]+")


# -- bond --------------------------------------------------------------------------------------------------------
def _bond_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("first", metavar="A", help="a molecule, or a formula")
    add("second", metavar="B", help="a molecule, or a formula; one of both is a molecule")
    add("--type", dest="bond", choices=tuple(EDGES), default="sequential", help="when B can begin (default sequential)")
    add_plane(parser)
    add_values(parser)
    phase = parser.add_mutually_exclusive_group()
    phase.add_argument("--ephemeral", action="store_true", help="what is poured is ephemeral, whatever it joins")
    phase.add_argument("--pour", action="store_true", help="what is poured is kept, whatever it joins")
    add("--ref", default="", metavar="NAME", help="the poured epic's id: the molecule's, a dot, and this")
    add_dry_run(parser)


class _Operand(NamedTuple):
    """What is to be joined: an issue that is there, or a formula that is yet to be poured."""

    issue: IssueDoc | None
    formula: Cooked | None


def _bond(context: Context) -> int:
    given = context.arguments
    values = pouring.values_of(given.var)
    first, second = _operand(context, given.first, values), _operand(context, given.second, values)
    joined = first.issue or second.issue
    if joined is None:
        raise RefusedError(
            f"{given.first} and {given.second} are formulas both", code=Code.USAGE, hint="write one that holds both"
        )
    formula = first.formula or second.formula
    if formula is None:
        document = _joined(context, joined, second.issue or joined)
    else:
        document = _spawned(context, formula, joined, values)
    done = "Would bond" if given.dry_run else "Bonded"
    spawned = f"  Spawned: {document['spawned']} issues" if "spawned" in document else ""
    told = [confirmed(context, f"{done}: {neutralise(given.first)} + {neutralise(given.second)}"), spawned]
    answer(context, document, [line for line in told if line])
    return exits.OK


def _operand(context: Context, typed: str, values: Mapping[str, str]) -> _Operand:
    """An issue of this name, else a formula."""
    try:
        return _Operand(context.api.call(Show(ids=(typed,)))[0], None)
    except RefusedError as error:
        if error.code is not Code.NOT_FOUND:
            raise
    try:
        return _Operand(None, pouring.cooked(context, typed, values, context.arguments.plane))
    except RefusedError as error:
        if error.code is not Code.NOT_FOUND:
            raise
        raise RefusedError(f"there is neither an issue nor a formula {typed}", code=Code.NOT_FOUND) from error


def _joined(context: Context, first: IssueDoc, second: IssueDoc) -> dict[str, Any]:
    edge = Edge(to=first["id"], type=EDGES[context.arguments.bond])
    add = AddEdge(actor=context.actor, dry_run=context.arguments.dry_run, id=second["id"], edge=edge)
    carry_out(context, [(second["id"], add)])
    return _bonded(context, first)


def _spawned(context: Context, formula: Cooked, joined: IssueDoc, values: Mapping[str, str]) -> dict[str, Any]:
    given = context.arguments
    ephemeral = given.ephemeral or (bool(joined.get("ephemeral")) and not given.pour)
    root_id = f"{joined['id']}.{_ref(given.ref, values)}" if given.ref else ""
    script = pouring.script_of(context, formula, title="", assignee="", ephemeral=ephemeral, root_id=root_id)
    edge = Edge(to=joined["id"], type=EDGES[given.bond])
    script.append(("bond", AddEdge(actor=context.actor, dry_run=given.dry_run, id="$1", edge=edge)))
    made = carry_out(context, script)[: len(formula.steps) + 1]
    return _bonded(context, joined) | {
        "spawned": len(made),
        "id_mapping": pouring.id_mapping(formula, made),
        "new_epic_id": made[0]["id"],
    }


def _ref(ref: str, values: Mapping[str, str]) -> str:
    return PLACE.sub(lambda place: values.get(place[1].strip(), place[0]), ref)


def _bonded(context: Context, result: IssueDoc) -> dict[str, Any]:
    return {"result_id": result["id"], "result_type": "compound_molecule", "bond_type": context.arguments.bond}


# -- distill -----------------------------------------------------------------------------------------------------
def _distill_arguments(parser: ArgumentParser) -> None:
    add = parser.add_argument
    add("id", metavar="ID", help="the epic whose steps are to be done again some day")
    add("name", nargs="?", default="", metavar="NAME", help="the formula's name; else made of the epic's title")
    add("--var", action="append", metavar="NAME=TEXT", help="where this text stands, {{NAME}} is to stand, repeatable")
    add("--output", default="", metavar="FOLDER", help="write a file there, rather than a document of the project's")
    add_dry_run(parser)


def _distill(context: Context) -> int:
    given = context.arguments
    molecule = Molecule(context, given.id)
    name = given.name or name_of(molecule.title)
    variables = dict(_replacement(each, molecule) for each in given.var or ())
    text = formula_of(molecule, name, variables)
    _check(text, variables)
    path = f"formula/{name}"
    if given.output:
        path = posixpath.join(given.output, f"{name}.formula.toml")
        if not given.dry_run:
            write_private(context, path, [text.encode()])
    else:
        context.api.call(
            NewDocument(
                actor=context.actor, dry_run=given.dry_run, kind="formula", name=name, text=text, home=context.plane
            )
        )
    document = {
        "formula_name": name,
        "formula_path": path,
        "steps": len(molecule.steps),
        "variables": sorted(variables.values()),
    }
    done = "Would distill" if given.dry_run else "Distilled"
    told = f"{done} {naming(molecule.epic)} into {neutralise(path)}: {several(len(molecule.steps), 'step')}"
    program = context.terminal.facts.program
    values = "".join(f" --var {neutralise(each)}=…" for each in sorted(variables.values()))
    answer(context, document, [confirmed(context, told), f"  `{program} mol pour {neutralise(name)}{values}`"])
    return exits.OK


def name_of(title: str) -> str:
    """A formula's name out of a title: what of it can stand in names, in lower case."""
    return _UNFIT.sub("-", title.lower()).strip("-")[:60].strip("-") or "untitled"


def _replacement(pair: str, molecule: Molecule) -> tuple[str, str]:
    """A text and the variable that is to stand for it, from `NAME=TEXT`, or the other way round if only that is found.

    Raises:
        RefusedError: `usage`: it is no pair, or neither stands anywhere.
    """
    left, _, right = pair.partition("=")
    texts = "\n".join(str(issue.get(field, "")) for issue in (molecule.epic, *molecule.steps) for field in _TEXTS)
    if not (left and right):
        raise RefusedError(f"{pair!r} replaces nothing", code=Code.USAGE, hint="--var NAME=TEXT")
    if right in texts:
        return right, left
    if left in texts:
        return left, right
    raise RefusedError(f"neither {left!r} nor {right!r} stands in {molecule.id}", code=Code.USAGE)


def formula_of(molecule: Molecule, name: str, variables: Mapping[str, str]) -> str:
    """A formula, as TOML, whose steps are a molecule's.

    Args:
        molecule: the molecule.
        name: the formula's name.
        variables: text → the variable that stands for it.
    """
    ids = dict(zip((step["id"] for step in molecule.steps), _step_ids(molecule.steps), strict=True))
    document: dict[str, Any] = {"formula": name, "version": "1.0.0"}
    description = _open(str(molecule.epic.get("description", "")), variables)
    document |= {"description": description} if description else {}
    document["vars"] = {each: {"required": True} for each in sorted(set(variables.values()))}
    document["steps"] = [_step(step, ids, variables) for step in molecule.steps]
    return to_toml({field: value for field, value in document.items() if value})


def _step_ids(steps: Sequence[IssueDoc]) -> Iterator[str]:
    """A name for each step, by its title; the second of a name has a number behind it."""
    taken: set[str] = set()
    for step in steps:
        base = name_of(str(step.get("title", "")))
        name = next(each for each in (base, *(f"{base}-{n}" for n in range(2, len(steps) + 2))) if each not in taken)
        taken.add(name)
        yield name


def _step(step: IssueDoc, ids: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, Any]:
    needs = [
        ids[edge["depends_on_id"]]
        for edge in step.get("dependencies", ())
        if edge.get("type") == BLOCKS and edge.get("depends_on_id") in ids
    ]
    told: dict[str, Any] = {"id": ids[step["id"]]}
    told |= {field: _open(str(step.get(field, "")), variables) for field in _TEXTS}
    told |= {"type": step.get("issue_type", ""), "labels": list(step.get("labels", ())), "needs": needs}
    return {field: value for field, value in told.items() if value} | {"priority": step.get("priority", 2)}


def _open(text: str, variables: Mapping[str, str]) -> str:
    """A text with variables in the place of what they stand for, the longest first."""
    for value in sorted(variables, key=len, reverse=True):
        text = text.replace(value, f"{{{{{variables[value]}}}}}")
    return text


def _check(text: str, variables: Mapping[str, str]) -> None:
    """Refuse what couldn't be poured again: an epic without steps, say, or braces in its texts.

    Raises:
        RefusedError: it can't be made a formula of; says why.
    """
    try:
        cook(parse_formula(text), dict.fromkeys(variables.values(), "x"))
    except DocumentError as error:
        raise RefusedError(f"it can't be made a formula of: {error}") from error


COMMANDS: Final = (
    Command(
        "mol bond",
        "Join two molecules, or pour a formula onto one",
        _bond_arguments,
        _bond,
        examples=("moot mol bond release bd-a1b2 --var version=1.2", "moot mol bond bd-a1b2 bd-c3d4 --type parallel"),
    ),
    Command(
        "mol distill",
        "Make a formula out of an epic and its steps",
        _distill_arguments,
        _distill,
        examples=("moot mol distill bd-a1b2 release --var version=1.2",),
    ),
)
"""The commands of this module."""
