"""Graphs of issues as text, DOT and Mermaid. Arrows and `needs` lead from what waits to what it waits for.

Layers: an issue stands in the first layer after all that it waits for; those in a cycle, for which there is none, in
the first. Foreign text is neutralised, and quoted as each language wants it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from moot.console.lines import issues as lines
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style
from moot.console.text.table import cut, width_of
from moot_protocol.issues.edge_types import BLOCKS, PARENT
from moot_protocol.requests.listing import IssueDoc

BOX_WIDTH: Final = 46
_LEAST_BOX: Final = 20


class Edge(NamedTuple):
    """An edge between two issues of a graph."""

    source: str
    target: str
    type: str


class Drawing(NamedTuple):
    """A graph ready to be drawn."""

    root: str
    issues: dict[str, IssueDoc]
    edges: list[Edge]
    needs: dict[str, list[str]]
    """What each issue waits for by `blocks` edges, in order of id."""
    layers: list[list[str]]
    """Ids by layer, in the order of the issues."""


def drawing_of(root: str, issues: Sequence[IssueDoc]) -> Drawing:
    """A graph of issues, with the edges whose two ends are in it.

    Args:
        root: the issue it is about, or empty.
        issues: documents with `dependencies`.
    """
    known = {issue["id"]: issue for issue in issues}
    edges = [
        Edge(issue["id"], edge["depends_on_id"], str(edge.get("type") or BLOCKS))
        for issue in issues
        for edge in issue.get("dependencies", ())
        if edge.get("depends_on_id") in known
    ]
    needs: dict[str, list[str]] = defaultdict(list)
    for edge in edges:
        if edge.type == BLOCKS:
            needs[edge.source].append(edge.target)
    sorted_needs = {source: sorted(set(targets)) for source, targets in needs.items()}
    return Drawing(root, known, edges, sorted_needs, _layers(list(known), sorted_needs))


def _layers(ids: Sequence[str], needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    waiting = {issue: len(needs.get(issue, ())) for issue in ids}
    needed_by: dict[str, list[str]] = defaultdict(list)
    for issue, targets in needs.items():
        for target in targets:
            needed_by[target].append(issue)
    layer = dict.fromkeys(ids, 0)
    queue = [issue for issue in ids if not waiting[issue]]
    for issue in queue:
        for other in needed_by[issue]:
            layer[other] = layer[issue] + 1  # issues come by layer, so the last one counts
            waiting[other] -= 1
            if not waiting[other]:
                queue.append(other)
    found: list[list[str]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    for issue in ids:
        found[layer[issue] if not waiting[issue] else 0].append(issue)
    return [each for each in found if each]


def components(issues: Sequence[IssueDoc]) -> list[list[IssueDoc]]:
    """Issues by what hangs together, the largest first; each begins with an epic, else with the most urgent."""
    leader: dict[str, str] = {issue["id"]: issue["id"] for issue in issues}

    def leader_of(issue: str) -> str:
        while leader[issue] != issue:
            leader[issue] = leader[leader[issue]]
            issue = leader[issue]
        return issue

    for issue in issues:
        for edge in issue.get("dependencies", ()):
            if edge.get("depends_on_id") in leader:
                leader[leader_of(issue["id"])] = leader_of(edge["depends_on_id"])
    together: dict[str, list[IssueDoc]] = defaultdict(list)
    for issue in issues:
        together[leader_of(issue["id"])].append(issue)
    ordered = [
        sorted(each, key=lambda one: (one.get("issue_type") != "epic", one.get("priority", 0), one["id"]))
        for each in together.values()
    ]
    return sorted(ordered, key=lambda each: (-len(each), each[0].get("priority", 0), each[0]["id"]))


def layout(drawing: Drawing) -> dict[str, Any]:
    """A drawing's layers as `bd graph --json` has them."""
    nodes = {
        issue: {
            "Issue": drawing.issues[issue],
            "Layer": number,
            "Position": place,
            "DependsOn": drawing.needs.get(issue),
        }
        for number, ids in enumerate(drawing.layers)
        for place, issue in enumerate(ids)
    }
    return {"Nodes": nodes, "Layers": drawing.layers, "MaxLayer": len(drawing.layers) - 1, "RootID": drawing.root}


# -- Text --------------------------------------------------------------------------------------------------------
def layered(style: Style, drawing: Drawing) -> Iterator[str]:
    """A line for each issue, under its layer, with what it needs."""
    for number, ids in enumerate(drawing.layers):
        yield style.heading(_layer_name(number))
        for issue in ids:
            needs = ", ".join(map(neutralise, drawing.needs.get(issue, ())))
            yield lines.node_line(style, "  ", drawing.issues[issue], note=f"needs {needs}" if needs else "")


def _layer_name(number: int) -> str:
    return f"Layer {number} (needs nothing here)" if number == 0 else f"Layer {number}"


def boxes(style: Style, drawing: Drawing) -> Iterator[str]:
    """A box for each issue, under its layer."""
    inside = max(min(style.width, BOX_WIDTH) - 4, _LEAST_BOX)
    for number, ids in enumerate(drawing.layers):
        yield style.heading(_layer_name(number))
        for issue in ids:
            yield f"  ┌{'─' * (inside + 2)}┐"
            for text in _box_lines(drawing, issue):
                shown = cut(text, inside)
                yield f"  │ {shown}{' ' * (inside - width_of(shown))} │"
            yield f"  └{'─' * (inside + 2)}┘"


def _box_lines(drawing: Drawing, issue: str) -> Iterator[str]:
    document = drawing.issues[issue]
    yield neutralise(issue)
    yield lines.text_of(document, "title")
    facts = [f"P{document.get('priority', '-')}", *(lines.text_of(document, name) for name in ("issue_type", "status"))]
    yield " ".join(
        filter(None, [*facts, f"@{lines.text_of(document, 'assignee')}" if document.get("assignee") else ""])
    )
    needs = drawing.needs.get(issue)
    if needs:
        yield f"needs {', '.join(map(neutralise, needs))}"


def compact(style: Style, drawing: Drawing) -> Iterator[str]:
    """A line for each issue: children below parents, what waits below what it waits for; each issue once."""
    below: dict[str, list[str]] = defaultdict(list)
    has_above: set[str] = set()
    for edge in drawing.edges:
        if edge.type in {BLOCKS, PARENT}:
            below[edge.target].append(edge.source)
            has_above.add(edge.source)
    told: set[str] = set()
    starts = [issue for issue in drawing.issues if issue not in has_above]
    for start in [*starts, *drawing.issues]:  # the second part: what hangs in a cycle
        pending = [(start, "", "")]
        while pending:
            issue, lead, under = pending.pop()
            if issue in told:
                continue
            told.add(issue)
            yield lines.node_line(style, lead, drawing.issues[issue])
            inner = [other for other in dict.fromkeys(below[issue]) if other not in told]
            pending.extend(
                (other, *lines.branch(style, under, last=place == len(inner) - 1))
                for place, other in reversed(list(enumerate(inner)))
            )


# -- Languages ---------------------------------------------------------------------------------------------------
def dot(drawing: Drawing, name: str = "issues") -> Iterator[str]:
    """A drawing as Graphviz's DOT."""
    yield f"digraph {_dot_quoted(name)} {{"
    yield "  rankdir=LR;"
    yield "  node [shape=box, style=rounded];"
    for issue, document in drawing.issues.items():
        status = lines.text_of(document, "status")
        label = f"{neutralise(issue)}\n{lines.text_of(document, 'title')}\nP{document.get('priority', '-')} {status}"
        yield f"  {_dot_quoted(issue)} [label={_dot_quoted(label)}];"
    for edge in drawing.edges:
        look = "" if edge.type == BLOCKS else f" [label={_dot_quoted(edge.type)}, style=dashed]"
        yield f"  {_dot_quoted(edge.source)} -> {_dot_quoted(edge.target)}{look};"
    yield "}"


def _dot_quoted(text: str) -> str:
    """Text in DOT's quotes: only quotes and backslashes mean something there, and line ends are made of ours."""
    safe = [neutralise(line).replace("\\", "\\\\").replace('"', '\\"') for line in text.split("\n")]
    return '"' + "\\n".join(safe) + '"'


def mermaid(drawing: Drawing) -> Iterator[str]:
    """A drawing as a Mermaid flowchart."""
    yield "flowchart LR"
    names = {issue: f"n{number}" for number, issue in enumerate(drawing.issues)}
    for issue, document in drawing.issues.items():
        told = " ".join(filter(None, (issue, str(document.get("title", "")), f"({document.get('status', '')})")))
        yield f'  {names[issue]}["{mermaid_escaped(told)}"]'
    for edge in drawing.edges:
        yield f'  {names[edge.source]} -->|"{mermaid_escaped(edge.type)}"| {names[edge.target]}'


def mermaid_escaped(text: str) -> str:
    """Text that can stand in quotes: what Mermaid or HTML would read as markup as numbered entities."""
    return "".join(f"#{ord(letter)};" if letter in '#"`<>&\\' else letter for letter in neutralise(text))


def pairs(drawing: Drawing) -> Iterator[str]:
    """A line for each edge with the ids of its two ends, as the program `digraph` reads them."""
    for edge in drawing.edges:
        yield f"{neutralise(edge.source)} {neutralise(edge.target)}"
