"""formula list|show, cook, mol seed: work described once, and what its steps would be. Makes nothing."""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from moot.console import exits
from moot.console.command import Command, Context
from moot.console.context import answer, note
from moot.console.lines import issues as lines
from moot.console.molecules import pouring
from moot.console.molecules.formula_shapes import cooked_document, counted, formula_document
from moot.console.text.safe_text import neutralise
from moot.console.text.style import style_of
from moot_protocol.documents.formula import FormulaType, parse_formula
from moot_protocol.documents.molecule import CookedStep, check_pourable
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.documents import Documents, ShowDocument

_IN_FILE: Final = "file"
"""The standing of a formula that is no document of a plane."""
MODES: Final = ("compile", "runtime")


# -- formula -----------------------------------------------------------------------------------------------------
def _list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--type", default="", metavar="TYPE", help="only these: workflow, expansion or aspect")
    parser.add_argument("--json-compact", dest="json", action="store_true", help="as --json, which is compact")


def _list(context: Context) -> int:
    wanted = context.arguments.type
    found = context.api.call(Documents(kind="formula"))
    if context.json or wanted:
        found = [each | _counted(context, each) for each in found]
    known = {each["name"] for each in found}
    found += [_of_file(context, name) for name in pouring.names_of_files(context) if name not in known]
    kept = [each for each in found if not wanted or each.get("type") == wanted]
    rows = [[lines.text_of(each, name) for name in ("name", "version", "standing", "title")] for each in kept]
    answer(context, kept, lines.lines_of(style_of(context.terminal.facts), rows) or ["There is no formula"])
    return exits.OK


def _counted(context: Context, entry: dict[str, Any]) -> dict[str, Any]:
    """What the formula of an entry holds; nothing can be told of one in conflict, or that can't be read."""
    try:
        text = context.api.call(ShowDocument(name=str(entry["id"]), plane=str(entry["plane"])))["text"]
        return counted(parse_formula(text)) | {"source": entry["id"]}
    except RefusedError:
        return {"type": "", "description": "", "steps": 0, "vars": 0, "source": entry["id"]}


def _of_file(context: Context, name: str) -> dict[str, Any]:
    """The entry of a formula that is no document but stands in a file, where `cook` finds it, too."""
    entry: dict[str, Any] = {"name": name, "standing": _IN_FILE}
    try:
        found = pouring.found_in_file(context, name)
        path, text = found or ("", "")
        formula = parse_formula(text)
    except RefusedError as error:
        return entry | {"type": "", "description": "", "steps": 0, "vars": 0, "source": "", "problem": error.message}
    return entry | {"version": formula.version, "source": path} | counted(formula)


def _name_argument(parser: ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="the formula")
    add_plane(parser)


def _show(context: Context) -> int:
    name, plane = context.arguments.name.removeprefix("formula/"), context.arguments.plane
    try:
        shown = context.api.call(ShowDocument(name=f"formula/{name}", plane=plane, home=context.plane))
    except RefusedError as error:
        found = pouring.found_in_file(context, name) if error.code is Code.NOT_FOUND and not plane else None
        if found is None:
            raise
        return _show_file(context, *found)
    told = neutralise(str(shown["text"]), keep_newlines=True).splitlines()
    standing = neutralise(str(shown["standing"]))
    heading = f"{neutralise(str(shown['id']))} {neutralise(str(shown['version']))} ({standing})"
    answer(context, _shape(str(shown["text"])) | shown, [heading, "", *told])
    return exits.OK


def _show_file(context: Context, path: str, text: str) -> int:
    told = neutralise(text, keep_newlines=True).splitlines()
    document = _shape(text) | {"source": path, "standing": _IN_FILE, "text": text}
    answer(context, document, [f"{neutralise(path)} ({_IN_FILE})", "", *told])
    return exits.OK


def _shape(text: str) -> dict[str, Any]:
    try:
        return formula_document(parse_formula(text))
    except RefusedError:
        return {}


# -- cook --------------------------------------------------------------------------------------------------------
def add_formula(parser: ArgumentParser) -> None:
    """Add which formula it is and the values of its variables."""
    parser.add_argument("formula", metavar="FORMULA", help="its name, or a file of your own (with / or .toml)")
    add_plane(parser)
    add_values(parser)


def add_plane(parser: ArgumentParser) -> None:
    """Add which plane's formula is meant."""
    parser.add_argument("--plane", default="", metavar="PLANE", help="whose formula is meant, where several have it")


def add_values(parser: ArgumentParser) -> None:
    """Add the values of variables."""
    parser.add_argument("--var", action="append", metavar="NAME=VALUE", help="the value of a variable, repeatable")


def _cook_arguments(parser: ArgumentParser) -> None:
    add_formula(parser)
    parser.add_argument(
        "--mode", choices=MODES, help="compile: with {{variables}} left open, as without --var; runtime: with values"
    )
    parser.add_argument("--dry-run", action="store_true", help="accepted for bd's sake: nothing is made anyway")


def _cook(context: Context) -> int:
    given = context.arguments
    values = pouring.values_of(given.var)
    if given.mode == "runtime" or values:
        whole = pouring.cooked(context, given.formula, values, given.plane)
        answer(context, cooked_document(whole), _step_lines(whole.steps))
        return exits.OK
    formula = pouring.parsed(context, given.formula, given.plane)
    if formula.type is FormulaType.WORKFLOW:
        check_pourable(formula)
    else:  # its shape can be looked at
        note(context, f"It is of type {formula.type}: only a workflow becomes issues")
    document = formula_document(formula)
    answer(context, document, _shape_lines(document))
    return exits.OK


def _step_lines(steps: Sequence[CookedStep]) -> Iterator[str]:
    for step in steps:
        needs = [*step.needs, *(f"children of {target}" for target, _ in step.waits_for)]
        yield _step_line("  " if step.parent else "", step.id, step.title, needs)


def _shape_lines(document: Mapping[str, Any]) -> Iterator[str]:
    """The steps of a workflow, of an expansion those that take a step's place, of an aspect those around steps."""
    yield from _open_lines((*document["steps"], *document.get("template", ())), "")
    for advice in document.get("advice", ()):
        for side in ("before", "after"):
            if side in advice:
                yield f"{side} {neutralise(advice['target'])}:"
                yield from _open_lines(advice[side], "  ")


def _open_lines(steps: Sequence[dict[str, Any]], indent: str) -> Iterator[str]:
    for step in steps:
        yield _step_line(indent, step["id"], step["title"], step.get("needs", ()))
        yield from _open_lines(step.get("children", ()), f"{indent}  ")


def _step_line(indent: str, name: str, title: str, needs: Sequence[str]) -> str:
    after = f" (after {neutralise(', '.join(needs))})" if needs else ""
    return f"{indent}{neutralise(name)}: {neutralise(title)}{after}"


# -- mol seed ----------------------------------------------------------------------------------------------------
_PATROLS: Final = ("mol-deacon-patrol", "mol-witness-patrol", "mol-refinery-patrol")
"""The formulas that `--patrol` means, by the names that Gas Town gives them."""


def _seed_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", metavar="NAME", help="the formula")
    parser.add_argument("--patrol", action="store_true", help=f"{', '.join(_PATROLS)}")
    parser.add_argument("--var", action="append", metavar="NAME=VALUE", help="the value of a variable, repeatable")
    add_plane(parser)


def _seed(context: Context) -> int:
    given = context.arguments
    if (given.name is None) is not given.patrol:
        raise RefusedError("which formula?", code=Code.USAGE, hint="give a name, or --patrol")
    names = _PATROLS if given.patrol else (given.name,)
    for name in names:  # one that isn't there, can't be read or can't be poured is refused by its name
        check_pourable(pouring.parsed(context, name, given.plane))
    document = {"status": "ok", "formulas": list(names)}
    answer(context, document, [f"{neutralise(name)} can be poured" for name in names])
    return exits.OK


COMMANDS: Final = (
    Command(
        "mol seed",
        "Whether formulas are there and can be read; makes nothing",
        _seed_arguments,
        _seed,
        examples=("moot mol seed release --var version=1.2  # whether it can be poured", "moot mol seed --patrol"),
    ),
    Command(
        "formula list",
        "Formulas, and whose they are",
        _list_arguments,
        _list,
        examples=("moot formula list", "moot formula list --type workflow"),
    ),
    Command(
        "formula show",
        "A formula's text",
        _name_argument,
        _show,
        examples=("moot formula show release", "moot formula show release > release.toml"),
    ),
    Command(
        "cook",
        "A formula's steps, with values in them where some are given; makes nothing",
        _cook_arguments,
        _cook,
        examples=("moot cook release --var version=1.2", "moot cook ./release.toml --json"),
    ),
)
"""The commands of this module."""
