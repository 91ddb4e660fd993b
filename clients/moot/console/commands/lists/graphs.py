"""Commands that draw graphs of issues: graph, graph check."""

from argparse import ArgumentParser
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final

from moot.console import documents, exits
from moot.console.arguments import filters
from moot.console.command import Command, Context
from moot.console.context import answer, note
from moot.console.lines import graph_drawing
from moot.console.lines import issues as lines
from moot.console.lines.confirm import confirmed
from moot.console.lines.graph_drawing import Drawing
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style, style_of
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.actions import Graph
from moot_protocol.requests.issues import Cycles

_SHAPES: Final[dict[str, tuple[str, Callable[[Style, Drawing], Iterator[str]]]]] = {
    "compact": ("a tree, one line an issue", graph_drawing.compact),
    "box": ("boxes, layer by layer", graph_drawing.boxes),
    "dot": ("Graphviz's DOT", lambda _, drawing: graph_drawing.dot(drawing)),
    "mermaid": ("a Mermaid flowchart", lambda _, drawing: graph_drawing.mermaid(drawing)),
}
_WHOLE: Final = frozenset({"dot", "mermaid"})
"""Shapes that are one document however many parts a graph has."""


def _graph_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="an issue: all that edges connect with it")
    parser.add_argument("--all", action="store_true", help="every issue not closed, by what hangs together")
    shape = parser.add_mutually_exclusive_group()
    for name, (what, _) in _SHAPES.items():
        shape.add_argument(f"--{name}", dest="shape", action="store_const", const=name, default="", help=what)
    filters.add_place(parser)


def _graph(context: Context) -> int:
    arguments = context.arguments
    if bool(arguments.id) == arguments.all:
        raise RefusedError("name an issue, or give --all", code=Code.USAGE, hint="`moot graph bd-a1b2`")
    if arguments.id and arguments.project:
        raise RefusedError("--project goes with --all", code=Code.USAGE, hint="an issue is found in any project")
    scope = "open" if arguments.all else "connected"
    found = context.api.call(
        Graph(
            id=arguments.id or "", scope=scope, projects=filters.projects_of(context) if arguments.all else (),
            plane=arguments.plane,
        )
    )  # fmt: skip
    issues = found["issues"]
    parts = graph_drawing.components(issues) if arguments.all and arguments.shape not in _WHOLE else [issues]
    drawings = [graph_drawing.drawing_of(found["root"] or part[0]["id"], part) for part in parts if part]
    if found["cut"]:
        note(context, f"only {len(issues)} issues are shown: there are more")
    if context.json:
        shown = [_document(drawing) for drawing in drawings]
        documents.write(context, shown if arguments.all else shown[0])
        return exits.OK
    style = style_of(context.terminal.facts)
    draw = _SHAPES[arguments.shape][1] if arguments.shape else graph_drawing.layered
    divided = (chain([""] if number else (), draw(style, drawing)) for number, drawing in enumerate(drawings))
    lines.write_lines(context, list(chain.from_iterable(divided)))
    if not drawings:
        context.terminal.err("no open issues\n")
    return exits.OK


def _document(drawing: Drawing) -> dict[str, Any]:
    shown = {issue: documents.without_marks(document) for issue, document in drawing.issues.items()}
    clean = drawing._replace(issues=shown)
    return {
        "root": shown.get(drawing.root),
        "issues": list(shown.values()),
        "layout": graph_drawing.layout(clean),
    }


# -- graph check -------------------------------------------------------------------------------------------------
def _check_arguments(_parser: ArgumentParser) -> None:
    """No arguments of its own."""


def _check(context: Context) -> int:
    cycles = [cycle["cycle"] for cycle in context.api.call(Cycles())]
    document = {"clean": not cycles, "cycles": cycles, "summary": {"cycle_count": len(cycles)}}
    told = [" → ".join(map(neutralise, [*cycle, *cycle[:1]])) for cycle in cycles]
    answer(context, document, told or [confirmed(context, "No dependency cycles")])
    return exits.FAILED if cycles else exits.OK


COMMANDS: Final = (
    Command(
        "graph",
        "Draw an issue with all that edges connect with it",
        _graph_arguments,
        _graph,
        examples=(
            "moot graph bd-a1b2",
            "moot graph --all --compact",
            "moot graph bd-a1b2 --dot | dot -Tsvg > graph.svg",
        ),
    ),
    Command(
        "graph check",
        "Look for cycles; ends with code 1 where there are some",
        _check_arguments,
        _check,
        examples=("moot graph check",),
    ),
)
"""The commands of this module."""
