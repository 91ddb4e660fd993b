"""Several issues in one file: Markdown with a heading for each, or a graph as JSON. Read whole before anything is made.

Markdown: `## Title` begins an issue, `### Section` one of its parts; headings inside fenced code are none. What stands
before the first section is the description, and so is any section that means nothing here, heading included, so that no
word of a file is lost.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import UNSET

from moot.console.arguments.issue_fields import TYPE_ALIASES
from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues.edge_types import BLOCKS
from moot_protocol.issues.issue import DEFAULT_PRIORITY, DEFAULT_TYPE
from moot_protocol.requests.base import Mutation
from moot_protocol.requests.issues import AddEdge, Create, Edge, IssueFields

_TITLE: Final = re.compile(r"##\s(.+)")
_SECTION: Final = re.compile(r"###\s(.+)")
_LABEL: Final = re.compile(r'"((?:[^"\n]|"")*)"(?=[\s,]|\Z)|([^\s,]+)')
_FENCE: Final = re.compile(r"\s{0,3}(```+|~~~+)")
_TEXTS: Final = {
    "description": "description", "design": "design", "acceptance criteria": "acceptance_criteria",
    "acceptance": "acceptance_criteria", "notes": "notes",
}  # fmt: skip
"""Section → field, of those that hold text."""


class Planned(NamedTuple):
    """An issue to be made."""

    fields: IssueFields
    labels: tuple[str, ...] = ()
    edges: tuple[Edge, ...] = ()


# -- Markdown ----------------------------------------------------------------------------------------------------
def from_markdown(text: str) -> list[Planned]:
    """The issues of a Markdown file.

    Raises:
        RefusedError: `usage`: there is none, or a section can't be read; names the line.
    """
    found = [_planned(title, number, sections) for number, title, sections in _parts(text)]
    if not found:
        raise RefusedError("no issues found", code=Code.USAGE, hint="a line `## Title` begins an issue")
    return found


def _parts(text: str) -> Iterator[tuple[int, str, list[tuple[str, list[str]]]]]:
    """Each issue: its line, its title, and its sections with their lines; the first is what stands before them."""
    current: tuple[int, str, list[tuple[str, list[str]]]] | None = None
    fence = ""
    for number, line in enumerate(text.splitlines(), start=1):
        mark = _FENCE.match(line)
        if mark and (not fence or mark[1].startswith(fence)):
            fence = "" if fence else mark[1]
        title, section = (None, None) if fence else (_TITLE.fullmatch(line), _SECTION.fullmatch(line))
        if title:
            if current:
                yield current
            current = (number, title[1].strip(), [("", [])])
        elif current and section:
            current[2].append((section[1].strip(), []))
        elif current:
            current[2][-1][1].append(line)
    if current:
        yield current


def _planned(title: str, number: int, sections: Sequence[tuple[str, list[str]]]) -> Planned:
    fields = IssueFields(title=title, priority=DEFAULT_PRIORITY, issue_type=DEFAULT_TYPE)
    labels: tuple[str, ...] = ()
    edges: tuple[Edge, ...] = ()
    description: list[str] = []
    for name, lines in sections:
        content, key = "\n".join(lines).strip(), name.lower()
        if key in ("", "description"):
            description.append(content)
        elif key in _TEXTS:
            setattr(fields, _TEXTS[key], content)
        elif key == "priority" and content:
            fields.priority = _priority(content, title, number)
        elif key == "type" and content:
            fields.issue_type = TYPE_ALIASES.get(content.lower(), content.lower())
        elif key == "assignee":
            fields.assignee = content
        elif key == "labels":
            labels = _labels(content)
        elif key in ("dependencies", "deps"):
            edges = tuple(map(_edge, _words(content)))
        elif key not in ("priority", "type"):
            description.append(f"### {name}\n\n{content}")
    text = "\n\n".join(filter(None, description))
    fields.description = text or UNSET
    return Planned(fields, labels, edges)


def _priority(text: str, title: str, number: int) -> int:
    digits = text.upper().removeprefix("P")
    if digits not in {"0", "1", "2", "3", "4"}:
        raise RefusedError(f"line {number}: {text!r} is no priority of {title!r}", code=Code.USAGE, hint="use 0 to 4")
    return int(digits)


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in re.split(r"[\s,]+", text) if word))


def _labels(text: str) -> tuple[str, ...]:
    """Labels with commas or blanks between them; one in double quotes may hold both, two quotes inside for one."""
    found = (quoted.replace('""', '"').strip() or plain for quoted, plain in _LABEL.findall(text))
    return tuple(dict.fromkeys(label for label in found if label))


def _edge(text: str) -> Edge:
    kind, colon, target = text.partition(":")
    return Edge(to=text) if not colon or kind == "external" else Edge(to=target, type=kind)


# -- Graphs ------------------------------------------------------------------------------------------------------
class PlannedDep(msgspec.Struct):
    """What a node of a plan depends on: another's key, or an id."""

    target: str
    type: str = BLOCKS


class PlannedEdge(msgspec.Struct):
    """An edge of a plan. Its ends are keys of nodes or ids of issues that are there."""

    from_key: str = ""
    from_id: str = ""
    to_key: str = ""
    to_id: str = ""
    type: str = BLOCKS
    gate: str = ""
    spawner_key: str = ""
    spawner_id: str = ""


class PlannedNode(msgspec.Struct):
    """An issue of a plan, its fields by the names that documents have."""

    key: str
    title: str
    id: str = ""
    type: str = DEFAULT_TYPE
    status: str | msgspec.UnsetType = UNSET
    description: str | msgspec.UnsetType = UNSET
    design: str | msgspec.UnsetType = UNSET
    acceptance_criteria: str | msgspec.UnsetType = UNSET
    notes: str | msgspec.UnsetType = UNSET
    spec_id: str | msgspec.UnsetType = UNSET
    external_ref: str | msgspec.UnsetType = UNSET
    assignee: str | msgspec.UnsetType = UNSET
    assign_after_create: bool = False
    """Of no matter here: all of a plan is made at once."""
    owner: str | msgspec.UnsetType = UNSET
    priority: int = DEFAULT_PRIORITY
    estimate: int | msgspec.UnsetType = UNSET
    estimated_minutes: int | msgspec.UnsetType = UNSET
    due_at: str | msgspec.UnsetType = UNSET
    defer_until: str | msgspec.UnsetType = UNSET
    labels: list[str] = []
    metadata: dict[str, Any] = {}
    parent: str = ""
    parent_key: str = ""
    parent_id: str = ""
    deps: list[PlannedDep] = []
    ephemeral: bool = False
    pinned: bool = False
    mol_type: str = ""


class Plan(msgspec.Struct):
    """A graph of issues to be made."""

    nodes: list[PlannedNode]
    edges: list[PlannedEdge] = []
    commit_message: str = ""
    """Of no matter here: events tell what was done."""


_COPIED: Final = (
    "title", "status", "description", "design", "acceptance_criteria", "notes", "spec_id", "external_ref", "assignee",
    "owner", "priority", "due_at", "defer_until",
)  # fmt: skip
_REFUSED: Final = frozenset({"metadata_refs", "no_history", "storage_class", "wisp_type", "thread_id", "event_kind"})
"""What `bd` knows and Moot can't carry: a plan that asks for it is refused rather than made without it."""


def plan_of(data: str) -> tuple[Plan, list[str]]:
    """A plan from JSON, and what it holds that means nothing, such as `nodes[0].titel`.

    Raises:
        RefusedError: `usage`: no plan, or one that asks for what there isn't; names the place; `invalid`: it is
            nested too deeply.
    """
    try:
        plan = msgspec.json.decode(data, type=Plan)
        raw = msgspec.json.decode(data)
    except msgspec.DecodeError as error:  # a ValidationError too, which names the place
        raise RefusedError(
            f"this is no plan: {error}", code=Code.USAGE, hint='it begins {"nodes": [{"key": …'
        ) from error
    except RecursionError as error:
        raise RefusedError("this plan is nested too deeply to be read") from error
    unknown = list(_unknown(raw, Plan, ""))
    for number, node in enumerate(raw["nodes"]):
        unknown += _unknown(node, PlannedNode, f"nodes[{number}].")
    for number, edge in enumerate(raw.get("edges", ())):
        unknown += _unknown(edge, PlannedEdge, f"edges[{number}].")
    refused = [place for place in unknown if place.rpartition(".")[2] in _REFUSED]
    if refused:
        raise RefusedError(f"{', '.join(refused)}: there is no such thing here", code=Code.USAGE)
    keys = [node.key for node in plan.nodes]
    if len(set(keys)) < len(keys):
        raise RefusedError("two nodes have the same key", code=Code.USAGE)
    return plan, unknown


def _unknown(raw: Mapping[str, Any], shape: type[msgspec.Struct], place: str) -> Iterator[str]:
    yield from (f"{place}{name}" for name in raw if name not in shape.__struct_fields__)


class Maker(NamedTuple):
    """For whom and where a plan is made."""

    actor: str
    project: str
    plane: str
    dry_run: bool


def steps_of(plan: Plan, maker: Maker) -> tuple[list[str], list[tuple[str, Mutation[Any]]]]:
    """The keys of a plan's nodes in the order in which they are made, and all steps, those that make them first.

    Raises:
        RefusedError: `usage`: a key that no node has, or parents that go round in a circle.
    """
    order = _parents_first(plan.nodes)
    names = {node.key: f"${number}" for number, node in enumerate(order, start=1)}
    steps: list[tuple[str, Mutation[Any]]] = [(node.key, _create(node, maker, names)) for node in order]
    for source, edge in _edges(plan, names):
        steps.append((f"{source} → {edge.to}", AddEdge(actor=maker.actor, dry_run=maker.dry_run, id=source, edge=edge)))
    return [node.key for node in order], steps


def _parents_first(nodes: Sequence[PlannedNode]) -> list[PlannedNode]:
    left = {node.key: node for node in nodes}
    order: list[PlannedNode] = []
    while left:
        free = [node for node in left.values() if _parent_key(node) not in left]
        if not free:
            raise RefusedError(f"the parents of {', '.join(sorted(left))} go round in a circle", code=Code.USAGE)
        order += free
        for node in free:
            del left[node.key]
    return order


def _parent_key(node: PlannedNode) -> str:
    return node.parent_key or node.parent


def _create(node: PlannedNode, maker: Maker, names: Mapping[str, str]) -> Create:
    fields = IssueFields(**{name: getattr(node, name) for name in _COPIED})
    fields.issue_type = TYPE_ALIASES.get(node.type, node.type)
    fields.estimated_minutes = node.estimate if node.estimated_minutes is UNSET else node.estimated_minutes
    if node.ephemeral:
        fields.ephemeral = True
    if node.pinned:
        fields.pinned = True
    key = _parent_key(node)
    return Create(
        actor=maker.actor,
        dry_run=maker.dry_run,
        project=maker.project,
        plane=maker.plane,
        fields=fields,
        id=node.id,
        labels=tuple(node.labels),
        parent=_named(key, names) if key else node.parent_id,
        metadata=node.metadata | ({"mol_type": node.mol_type} if node.mol_type else {}),
        inherit_labels=False,
    )


def _named(key: str, names: Mapping[str, str]) -> str:
    if key not in names:
        raise RefusedError(f"no node has the key {key!r}", code=Code.USAGE)
    return names[key]


def _edges(plan: Plan, names: Mapping[str, str]) -> Iterator[tuple[str, Edge]]:
    for node in plan.nodes:
        for dep in node.deps:
            yield names[node.key], Edge(to=names.get(dep.target, dep.target), type=dep.type)
    for edge in plan.edges:
        source = _named(edge.from_key, names) if edge.from_key else edge.from_id
        target = _end(edge.to_key or edge.spawner_key, edge.to_id or edge.spawner_id, names)
        if not (source and target):
            raise RefusedError("an edge needs two ends", code=Code.USAGE, hint="from_key or from_id, to_key or to_id")
        gate = msgspec.json.encode({"gate": edge.gate}).decode() if edge.gate else ""
        yield source, Edge(to=target, type=edge.type, metadata=gate)


def _end(key: str, issue: str, names: Mapping[str, str]) -> str:
    return _named(key, names) if key else issue
