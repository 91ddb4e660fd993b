"""Dependencies as lists, trees, charts and cycles."""

import json
from typing import Any

import pytest

from moot.console.commands.lists.graph import COMMANDS
from moot.console.terminal import Facts
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Cycles, Edges, EdgeTree, ListIssues
from moot_protocol.requests.listing import Filter, Page
from moot_testkit.clients.canned_api import CannedApi, InTurn, run
from moot_testkit.clients.terminal import FACTS, at_terminal, without_colours


def node(issue: str, edge: str = "blocks", *children: dict[str, Any], **more: Any) -> dict[str, Any]:
    known = {"title": f"Title of {issue}", "status": "open", "priority": 1, "issue_type": "task", "seen": False}
    return {"id": issue, "type": edge, **known, "children": list(children), **more}


TREE = node(
    "bd-a",
    "",
    node("bd-b", "blocks", node("bd-c", "related", status="closed"), title='Say "hi" <b>#1</b>\x1b[1m'),
    node("bd-c", seen=True, status="closed"),
    {"id": "external:gt:x", "type": "blocks", "children": []},
)
COLOURLESS = without_colours(at_terminal(60))


def tree(argv: str = "dep tree a", facts: Facts = FACTS) -> str:
    return run(COMMANDS, argv, CannedApi(edge_tree=TREE), facts).out


def test_a_tree_at_a_terminal() -> None:
    assert (
        tree(facts=COLOURLESS)
        == """\
○ bd-a P1 task Title of bd-a
├─ ○ bd-b P1 task Say "hi" <b>#1</b>^[[1m
│  └─ ✓ bd-c P1 task Title of bd-c (related)
├─ ✓ bd-c P1 task Title of bd-c (see above)
└─ external:gt:x (not here)
"""
    )


def test_a_tree_in_a_pipe_is_indented_only() -> None:
    assert (
        tree()
        == """\
bd-a P1 task open Title of bd-a
  bd-b P1 task open Say "hi" <b>#1</b>^[[1m
    bd-c P1 task closed Title of bd-c (related)
  bd-c P1 task closed Title of bd-c (see above)
  external:gt:x (not here)
"""
    )


def test_a_deep_tree_needs_no_deep_stack() -> None:
    deep = node("bd-0")
    for depth in range(1, 5000):
        deep = node(f"bd-{depth}", "blocks", deep)
    assert len(run(COMMANDS, "dep tree a", ShallowApi(deep)).out.splitlines()) == 5000


class ShallowApi(CannedApi):
    """Hands out a tree too deep to be copied."""

    def __init__(self, deep: dict[str, Any]) -> None:
        super().__init__()
        self._deep = deep

    def call(self, request: Any) -> Any:
        return self._deep


def test_a_chart_has_each_issue_once_and_nothing_that_mermaid_would_read_as_markup() -> None:
    assert (
        tree("dep tree a --format mermaid")
        == """\
flowchart TD
  n0["bd-a Title of bd-a (open)"]
  n1["bd-b Say #34;hi#34; #60;b#62;#35;1#60;/b#62;^[[1m (open)"]
  n2["bd-c Title of bd-c (closed)"]
  n3["external:gt:x"]
  n0 -->|"blocks"| n1
  n0 -->|"blocks"| n2
  n0 -->|"blocks"| n3
  n1 -->|"related"| n2
"""
    )


def test_arrows_of_a_chart_always_lead_to_what_is_waited_for() -> None:
    up = node("bd-a", "", node("bd-z"))
    api = CannedApi(edge_tree=InTurn([node("bd-a", "", node("bd-b")), up]))
    assert (
        run(COMMANDS, "dep tree a --direction both --format mermaid", api).out
        == """\
flowchart TD
  n0["bd-a Title of bd-a (open)"]
  n1["bd-b Title of bd-b (open)"]
  n2["bd-z Title of bd-z (open)"]
  n0 -->|"blocks"| n1
  n2 -->|"blocks"| n0
"""
    )


def test_a_chart_of_an_issue_without_dependencies_shows_the_issue() -> None:
    ran = run(COMMANDS, "dep tree a --format mermaid", CannedApi(edge_tree=node("bd-a", "")))
    assert ran.out == 'flowchart TD\n  n0["bd-a Title of bd-a (open)"]\n'


def test_a_tree_as_json_is_the_list_of_its_nodes() -> None:
    nodes = json.loads(tree("dep tree a --json -d 2"))
    assert [(n["id"], n["depth"], n["parent_id"], n["truncated"]) for n in nodes] == [
        ("bd-a", 0, "", False),
        ("bd-b", 1, "bd-a", False),
        ("bd-c", 2, "bd-b", True),
        ("bd-c", 1, "bd-a", False),
        ("external:gt:x", 1, "bd-a", False),
    ]
    assert nodes[2]["dependency_type"] == "related"
    assert "children" not in nodes[0]


def test_the_direction_and_depth_reach_the_daemon() -> None:
    api = CannedApi(edge_tree=TREE)
    run(COMMANDS, "dep tree a1b2 --direction both -d 3", api)
    assert api.asked == [
        EdgeTree(id="a1b2", direction="down", depth=3),
        EdgeTree(id="a1b2", direction="up", depth=3),
    ]
    run(COMMANDS, "dep tree a1b2 --reverse -d 3", api)
    assert api.asked[-1] == api.asked[1]


@pytest.mark.parametrize("argv", ["dep tree a -d -1", "dep tree a --direction left", "dep tree", "dep list"])
def test_a_call_that_makes_no_sense_asks_nothing(argv: str) -> None:
    api = CannedApi()
    with pytest.raises(RefusedError) as refused:
        run(COMMANDS, argv, api)
    assert (refused.value.code, api.asked) == (Code.USAGE, [])


EDGES = [
    {"id": "bd-x123456789", "title": "Broker", "status": "in_progress", "priority": 0, "issue_type": "task",
     "dependency_type": "blocks", "_short": 5},
    {"id": "bd-y1", "title": "Old", "status": "closed", "priority": 3, "issue_type": "bug",
     "dependency_type": "tracks"},
]  # fmt: skip


def test_a_list_of_dependencies_tells_the_kind_where_it_is_unusual() -> None:
    ran = run(COMMANDS, "dep list a1b2", CannedApi(edges=EDGES))
    assert ran.out == "  bd-x1 P0 task in_progress Broker\n  bd-y1 P3 bug closed Old (tracks)\n"


def test_a_list_of_dependencies_as_json_has_the_issues() -> None:
    api = CannedApi(edges=EDGES)
    ran = run(COMMANDS, "dep list a1b2 --direction up -t tracks --json", api)
    assert json.loads(ran.out) == [{k: v for k, v in edge.items() if k != "_short"} for edge in EDGES]
    assert api.asked == [Edges(id="a1b2", direction="up", type="tracks")]


def test_an_issue_without_dependencies_says_so_beside_the_output() -> None:
    ran = run(COMMANDS, "dep list a1b2", CannedApi(edges=[]))
    assert (ran.out, ran.err) == ("", "a1b2 depends on nothing\n")
    assert run(COMMANDS, "dep list a1b2 --direction up", CannedApi(edges=[])).err == "a1b2 is needed by nothing\n"


CYCLES = [{"issue_id": "bd-b", "depends_on_id": "bd-a", "type": "blocks", "cycle": ["bd-a", "bd-b"]}]


def test_a_cycle_tells_which_edge_does_not_count() -> None:
    ran = run(COMMANDS, "dep cycles", CannedApi(cycles=CYCLES))
    assert ran.out == "bd-a -> bd-b -> bd-a\n  does not count for readiness: bd-b blocks bd-a\n"
    assert ran.asked == [Cycles()]


def test_cycles_as_json_are_arrays_of_issues() -> None:
    a = {"id": "bd-a", "title": "A"}
    api = CannedApi(cycles=CYCLES, list=Page(issues=[a], total=1, truncated=False))
    assert json.loads(run(COMMANDS, "dep cycles --json", api).out) == [[a, {"id": "bd-b"}]]
    assert api.asked[1] == ListIssues(filter=Filter(ids=("bd-a", "bd-b")), all=True, limit=0)


def test_without_cycles_there_is_nothing_to_list() -> None:
    assert run(COMMANDS, "dep cycles", CannedApi(cycles=[])).err == "no cycles\n"
    assert run(COMMANDS, "dep cycles --json", CannedApi(cycles=[])).out == "[]\n"


# -- Ways through the graph --------------------------------------------------------------------------------------
def test_with_all_paths_an_issue_stands_below_each_that_leads_to_it() -> None:
    shared = node("bd-d", "blocks", node("bd-e"))
    diamond = node("bd-a", "", node("bd-b", "blocks", shared), node("bd-c", "blocks", node("bd-d", seen=True)))
    told = run(COMMANDS, "dep tree a --show-all-paths", CannedApi(edge_tree=diamond)).out
    assert [line.split()[0] for line in told.splitlines()] == ["bd-a", "bd-b", "bd-d", "bd-e", "bd-c", "bd-d", "bd-e"]
    assert "see above" not in told
    short = run(COMMANDS, "dep tree a --show-all-paths -d 2", CannedApi(edge_tree=diamond)).out
    assert "bd-e" not in short


def test_a_circle_ends_where_it_begins_and_too_many_ways_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    circle = node("bd-a", "", node("bd-b", "related", node("bd-a", "related", seen=True)))
    assert tree_of("--show-all-paths", circle).count("see above") == 1
    monkeypatch.setattr("moot.console.commands.lists.graph.NODES", 2)
    with pytest.raises(RefusedError, match="more than 2 nodes"):
        tree_of("--show-all-paths", circle)


def tree_of(argv: str, root: dict[str, Any]) -> str:
    return run(COMMANDS, f"dep tree a {argv}", CannedApi(edge_tree=root)).out


def test_only_ways_to_issues_of_a_status_are_told() -> None:
    told = tree_of("--status closed", TREE)
    assert [line.split()[0] for line in told.splitlines()] == ["bd-a", "bd-b", "bd-c", "bd-c"]
    assert len(tree_of("--status deferred,hooked", TREE).splitlines()) == 1
