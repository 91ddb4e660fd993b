"""Graphs as text, DOT and Mermaid: layers, cycles, and foreign text that stays text."""

from itertools import chain
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from moot.console.lines import graph_drawing
from moot.console.lines.graph_drawing import Drawing, components, drawing_of, layout
from moot.console.text.style import Style
from moot_protocol.requests.listing import IssueDoc

PIPE = Style(terminal=False, colour=False, width=80)
EVIL = 'Evil \x1b[31m"red"\\ `x`\n<b>'


def issue(name: str, *needs: str, title: str = "", **parts: Any) -> IssueDoc:
    edges = [{"issue_id": name, "depends_on_id": other, "type": parts.get("edge", "blocks")} for other in needs]
    return {
        "id": name, "title": title or name.upper(), "status": "open", "priority": 2, "issue_type": "task",
        "dependencies": edges,
    } | {key: value for key, value in parts.items() if key != "edge"}  # fmt: skip


def drawn(*issues: IssueDoc) -> Drawing:
    return drawing_of(issues[0]["id"], issues)


# -- Layers ------------------------------------------------------------------------------------------------------
def test_an_issue_stands_after_all_that_it_waits_for() -> None:
    drawing = drawn(issue("d", "b", "c"), issue("c", "a"), issue("b", "c"), issue("a"))
    assert drawing.layers == [["a"], ["c"], ["b"], ["d"]]


def test_edges_that_lead_outside_and_other_types_make_no_layers() -> None:
    drawing = drawn(issue("a", "elsewhere"), issue("b", "a", edge="parent-child"))
    assert drawing.layers == [["a", "b"]]
    assert [edge.type for edge in drawing.edges] == ["parent-child"]


def test_a_cycle_hides_nothing() -> None:
    drawing = drawn(issue("a", "b"), issue("b", "a"), issue("c", "b"), issue("d"))
    assert sorted(chain.from_iterable(drawing.layers)) == ["a", "b", "c", "d"]


GRAPHS = st.dictionaries(
    st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdefgh"), max_size=3), min_size=1, max_size=6
)


@given(GRAPHS)
def test_every_drawing_has_every_issue_once(graph: dict[str, list[str]]) -> None:
    issues = [issue(name, *needs) for name, needs in graph.items()]
    drawing = drawn(*issues)
    assert sorted(chain.from_iterable(drawing.layers)) == sorted(graph)
    told = list(graph_drawing.compact(PIPE, drawing))
    assert sorted(line.split()[0] for line in told) == sorted(graph)
    assert sum(map(len, components(issues))) == len(graph)
    names = [line.split()[0] for line in graph_drawing.layered(PIPE, drawing) if line.startswith("  ")]
    assert sorted(names) == sorted(graph)


def test_parts_that_hang_together_come_largest_first_led_by_an_epic() -> None:
    issues = [issue("x", priority=0), issue("a", "c"), issue("b", priority=1), issue("c", issue_type="epic")]
    assert [[each["id"] for each in part] for part in components(issues)] == [["c", "a"], ["x"], ["b"]]


def test_a_layout_tells_layers_places_and_needs() -> None:
    found = layout(drawn(issue("b", "a"), issue("a")))
    assert (found["Layers"], found["MaxLayer"], found["RootID"]) == ([["a"], ["b"]], 1, "b")
    assert {name: node["Layer"] for name, node in found["Nodes"].items()} == {"a": 0, "b": 1}
    assert found["Nodes"]["b"]["DependsOn"] == ["a"]


# -- Text --------------------------------------------------------------------------------------------------------
def test_layers_as_lines_tell_what_each_needs() -> None:
    assert list(graph_drawing.layered(PIPE, drawn(issue("b", "a"), issue("a", title=EVIL)))) == [
        "Layer 0 (needs nothing here)",
        '  a P2 task open Evil ^[[31m"red"\\ `x`⏎<b>',
        "Layer 1",
        "  b P2 task open B (needs a)",
    ]


def test_boxes_are_of_one_width_whatever_is_in_them() -> None:
    told = list(graph_drawing.boxes(PIPE, drawn(issue("a", "b", title="検索 🚀 " * 20), issue("b", assignee="eve"))))
    assert told[1:6] == [
        "  ┌────────────────────────────────────────────┐",
        "  │ b                                          │",
        "  │ B                                          │",
        "  │ P2 task open @eve                          │",
        "  └────────────────────────────────────────────┘",
    ]
    assert told[-2] == "  │ needs b                                    │"


def test_a_compact_graph_puts_what_waits_below_what_it_waits_for() -> None:
    drawing = drawn(issue("c", "a", edge="parent-child"), issue("b", "a"), issue("a"))
    assert list(graph_drawing.compact(PIPE, drawing)) == [
        "a P2 task open A", "  c P2 task open C", "  b P2 task open B"
    ]  # fmt: skip


# -- Languages ---------------------------------------------------------------------------------------------------
def test_dot_quotes_what_others_wrote() -> None:
    drawing = drawn(issue("a", "b", title=EVIL), issue("b"), issue("c", "b", edge='x"y'))
    assert list(graph_drawing.dot(drawing)) == [
        'digraph "issues" {',
        "  rankdir=LR;",
        "  node [shape=box, style=rounded];",
        '  "a" [label="a\\nEvil ^[[31m\\"red\\"\\\\ `x`⏎<b>\\nP2 open"];',
        '  "b" [label="b\\nB\\nP2 open"];',
        '  "c" [label="c\\nC\\nP2 open"];',
        '  "a" -> "b";',
        '  "c" -> "b" [label="x\\"y", style=dashed];',
        "}",
    ]


def test_mermaid_escapes_what_others_wrote() -> None:
    drawing = drawn(issue("a", "b", title=EVIL), issue("b"))
    assert list(graph_drawing.mermaid(drawing)) == [
        "flowchart LR",
        '  n0["a Evil ^[[31m#34;red#34;#92; #96;x#96;⏎#60;b#62; (open)"]',
        '  n1["b B (open)"]',
        '  n0 -->|"blocks"| n1',
    ]


def test_pairs_are_lines_of_two_ids() -> None:
    assert list(graph_drawing.pairs(drawn(issue("a", "b"), issue("b")))) == ["a b"]
