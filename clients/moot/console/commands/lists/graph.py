"""Commands that show dependencies: dep list, dep tree, dep cycles."""

from argparse import ArgumentParser
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, Final

from moot.console import documents, exits
from moot.console.command import Command, Context
from moot.console.commands.issues.show import NOT_HERE, edge_lines
from moot.console.context import answer_list
from moot.console.grammar import comma_separated
from moot.console.lines import issues as lines
from moot.console.lines.graph_drawing import mermaid_escaped
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style, style_of
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.edge_types import BLOCKS
from moot_protocol.requests.issues import Cycles, Edges, EdgeTree, ListIssues
from moot_protocol.requests.listing import Filter, IssueDoc

DEPTH: Final = 50
NODES: Final = 10_000
"""Nodes of a tree with all paths at most: their number can double with each level."""


# -- Trees -------------------------------------------------------------------------------------------------------
def tree_lines(style: Style, root: Mapping[str, Any]) -> list[str]:
    """A tree of dependencies as lines; what stands in it before is told once and referred to."""
    told = []
    pending: list[tuple[Mapping[str, Any], str, str]] = [(root, "", "")]
    while pending:
        node, lead, below = pending.pop()
        told.append(_tree_line(style, node, lead))
        children: Sequence[Mapping[str, Any]] = node.get("children", ())
        pending.extend(
            (child, *lines.branch(style, below, last=place == len(children) - 1))
            for place, child in reversed(list(enumerate(children)))
        )
    return told


def _tree_line(style: Style, node: Mapping[str, Any], lead: str) -> str:
    edge = lines.text_of(node, "type")
    notes = [edge] if edge not in {"", BLOCKS} else []
    if node.get("seen"):
        notes.append("see above")
    if not node.get("status"):
        notes.append(NOT_HERE)
    return lines.node_line(style, lead, dict(node), note=", ".join(notes))


def mermaid(down: Mapping[str, Any] | None, up: Mapping[str, Any] | None = None) -> list[str]:
    """Trees of one issue as a Mermaid flowchart, arrows from what waits to what it waits for.

    Args:
        down: the tree of what it depends on, as `EdgeTree` answers, if that is wanted.
        up: the tree of what depends on it.
    """
    names: dict[str, str] = {}
    nodes: list[str] = []
    arrows: dict[str, None] = {}

    def named(node: Mapping[str, Any]) -> str:
        if node["id"] not in names:
            names[node["id"]] = f"n{len(names)}"
            nodes.append(f'  {names[node["id"]]}["{_mermaid_text(node)}"]')
        return names[node["id"]]

    for root, upward in ((down, False), (up, True)):
        for parent, child in _edges(root):
            pair = (named(parent), named(child))
            start, end = pair[::-1] if upward else pair
            link = mermaid_escaped(child.get("type") or BLOCKS)
            arrows[f'  {start} -->|"{link}"| {end}'] = None
        if root is not None:
            named(root)
    return ["flowchart TD", *nodes, *arrows]


def _edges(root: Mapping[str, Any] | None) -> Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Every node of a tree with each of its children."""
    pending = [] if root is None else [root]
    while pending:
        node = pending.pop()
        children = node.get("children", ())
        yield from ((node, child) for child in children)
        pending.extend(reversed(children))


def _mermaid_text(node: Mapping[str, Any]) -> str:
    status = f"({node['status']})" if node.get("status") else ""
    return mermaid_escaped(" ".join(filter(None, (node["id"], node.get("title"), status))))


def _tree_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", help="the issue at the root")
    parser.add_argument(
        "--direction",
        choices=("down", "up", "both"),
        default="down",
        help="down: what it depends on (default); up: what depends on it",
    )
    parser.add_argument("--reverse", dest="direction", action="store_const", const="up", help="--direction up")
    parser.add_argument("-d", "--max-depth", type=int, default=DEPTH, help=f"levels below the root (default {DEPTH})")
    parser.add_argument("--format", choices=("text", "mermaid"), default="text", help="mermaid: a flowchart's source")
    parser.add_argument("-s", "--status", action="append", metavar="A,B", help="only ways to issues of this status")
    parser.add_argument("--show-all-paths", action="store_true", help="an issue below each that leads to it")


def _spelled_out(root: dict[str, Any], depth: int) -> dict[str, Any]:
    """A tree in which what was told before is told again, as deep as was asked for.

    Raises:
        RefusedError: `limit`: there are too many ways through the graph.
    """
    children = {node["id"]: node["children"] for node in (root, *(child for _, child in _edges(root))) if
                node.get("children")}  # fmt: skip
    copy: dict[str, Any] = root | {"children": []}
    pending = [(copy, 0, frozenset({root["id"]}))]
    count = 1
    while pending:
        node, level, above = pending.pop()
        for child in children.get(node["id"], ()) if level < depth else ():
            count += 1
            if count > NODES:
                hint = "fewer levels with --max-depth, or without --show-all-paths"
                raise RefusedError(f"more than {NODES:,} nodes", code=Code.LIMIT, hint=hint)
            is_circle = child["id"] in above
            below: dict[str, Any] = child | {"children": [], "seen": is_circle}
            node["children"].append(below)
            if not is_circle:
                pending.append((below, level + 1, above | {child["id"]}))
    return copy


def _leading_to(root: dict[str, Any], statuses: Container[str]) -> dict[str, Any]:
    """The root and of the tree below it only what leads to an issue of one of these statuses."""
    order = [root]
    for node in order:
        order.extend(node.get("children", ()))
    kept: dict[int, dict[str, Any]] = {}
    for node in reversed(order):
        below = [kept[id(child)] for child in node.get("children", ()) if id(child) in kept]
        if below or node.get("status") in statuses or node is root:
            kept[id(node)] = node | {"children": below}
    return kept[id(root)]


def _tree(context: Context) -> int:
    arguments = context.arguments
    depth = arguments.max_depth
    if depth < 0:
        raise RefusedError("--max-depth can't be negative", code=Code.USAGE)
    wanted = {"down": ("down",), "up": ("up",), "both": ("down", "up")}[arguments.direction]
    trees = {one: context.api.call(EdgeTree(id=arguments.id, direction=one, depth=depth)) for one in wanted}
    if arguments.show_all_paths:
        trees = {one: _spelled_out(tree, depth) for one, tree in trees.items()}
    if statuses := comma_separated(arguments.status):
        trees = {one: _leading_to(tree, statuses) for one, tree in trees.items()}
    if context.json:
        documents.write(context, [node for tree in trees.values() for node in documents.tree_nodes(tree, depth)])
    elif arguments.format == "mermaid":
        lines.write_lines(context, mermaid(trees.get("down"), trees.get("up")))
    else:
        style = style_of(context.terminal.facts)
        lines.write_lines(context, [line for tree in trees.values() for line in tree_lines(style, tree)])
    return exits.OK


# -- Lists -------------------------------------------------------------------------------------------------------
def _list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("id", help="the issue")
    parser.add_argument(
        "--direction",
        choices=("down", "up"),
        default="down",
        help="down: what it depends on (default); up: what depends on it",
    )
    parser.add_argument("-t", "--type", default="", help="only dependencies of this type")


def _list(context: Context) -> int:
    arguments = context.arguments
    edges = context.api.call(Edges(id=arguments.id, direction=arguments.direction, type=arguments.type))
    document = list(map(documents.without_marks, edges))
    what = "depends on nothing" if arguments.direction == "down" else "is needed by nothing"
    answer_list(context, document, lambda style: edge_lines(style, edges), f"{neutralise(arguments.id)} {what}")
    return exits.OK


# -- Cycles ------------------------------------------------------------------------------------------------------
def _cycles_arguments(_parser: ArgumentParser) -> None:
    """No arguments of its own."""


def _cycles(context: Context) -> int:
    cycles = context.api.call(Cycles())
    if context.json:
        documents.write(context, _cycle_documents(context, cycles))
        return exits.OK
    told = []
    for cycle in cycles:
        told.append(" -> ".join(map(neutralise, [*cycle["cycle"], *cycle["cycle"][:1]])))
        left_out = (
            f"{lines.text_of(cycle, 'issue_id')} {lines.text_of(cycle, 'type')} {lines.text_of(cycle, 'depends_on_id')}"
        )
        told.append(f"  does not count for readiness: {left_out}")
    lines.write_lines(context, told)
    if not cycles:
        context.terminal.err("no cycles\n")
    return exits.OK


def _cycle_documents(context: Context, cycles: Sequence[Mapping[str, Any]]) -> list[list[IssueDoc]]:
    """Each cycle as `bd` has it: the array of its issues."""
    ids = tuple(dict.fromkeys(issue for cycle in cycles for issue in cycle["cycle"]))
    if not ids:
        return []
    page = context.api.call(ListIssues(filter=Filter(ids=ids), all=True, limit=0))
    issues = {issue["id"]: issue for issue in page.issues}
    return [[issues.get(issue, {"id": issue}) for issue in cycle["cycle"]] for cycle in cycles]


COMMANDS: Final = (
    Command(
        "dep list",
        "What an issue depends on, or what depends on it",
        _list_arguments,
        _list,
        examples=("moot dep list bd-a1b2", "moot dep list bd-a1b2 --direction up --type blocks"),
    ),
    Command(
        "dep tree",
        "The tree of dependencies below an issue, or above it",
        _tree_arguments,
        _tree,
        examples=("moot dep tree a1b2", "moot dep tree a1b2 --direction up --format mermaid"),
    ),
    Command(
        "dep cycles",
        "Dependencies left out of readiness since they close a cycle",
        _cycles_arguments,
        _cycles,
        examples=("moot dep cycles", "moot dep cycles --json"),
    ),
)
"""The commands of this module."""
