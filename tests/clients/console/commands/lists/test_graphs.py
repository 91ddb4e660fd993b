"""graph and graph check: what they ask of the daemon, and what they print."""

import json
from typing import Any

import pytest

from moot.console.commands.lists.graphs import COMMANDS
from moot_protocol.errors import RefusedError
from moot_protocol.requests.actions import Graph
from moot_testkit.clients.canned_api import CannedApi, Ran, run
from moot_testkit.clients.console import issue

ONE = issue(1, title="Evil\x1b", _short=9)
TWO = issue(2, dependencies=[{"depends_on_id": ONE["id"], "type": "blocks"}])
ALONE = issue(3, priority=0)
FOUND = {"root": TWO["id"], "issues": [TWO, ONE], "cut": False}
CYCLE = [{"issue_id": "a", "depends_on_id": "b", "type": "blocks", "cycle": ["a", "b\x07"]}]


def tried(argv: str, found: dict[str, Any] = FOUND, cycles: Any = ()) -> Ran:
    return run(COMMANDS, argv, CannedApi(graph=found, cycles=list(cycles)))


def test_a_graph_is_that_of_an_issue_or_of_all() -> None:
    assert tried("graph x --plane team").asked == [Graph(id="x", plane="team")]
    assert tried("graph --all").asked == [Graph(scope="open", projects=("bd",))]
    for argv in ("graph", "graph x --all"):
        with pytest.raises(RefusedError, match="--all"):
            tried(argv)


def test_a_project_is_named_for_the_graph_of_all_only() -> None:
    assert tried("graph --all --project gt").asked == [Graph(scope="open", projects=("gt",))]
    with pytest.raises(RefusedError, match="--project goes with --all"):
        tried("graph x --project gt")


def test_without_a_shape_it_is_drawn_in_layers() -> None:
    assert tried("graph x").out.splitlines() == [
        "Layer 0 (needs nothing here)",
        "  bd-000000 P2 task open Evil^[",
        "Layer 1",
        "  bd-000000000002 P2 task open Issue 2 (needs bd-000000000001)",
    ]


@pytest.mark.parametrize(
    ("shape", "first"),
    [
        ("compact", "bd-000000 P2 task open Evil^["),
        ("box", "Layer 0 (needs nothing here)"),
        ("dot", 'digraph "issues" {'),
        ("mermaid", "flowchart LR"),
    ],
)
def test_other_shapes_can_be_asked_for(shape: str, first: str) -> None:
    assert tried(f"graph x --{shape}").out.splitlines()[0] == first


def test_all_issues_come_in_parts_and_as_one_document_of_a_language() -> None:
    every = {"root": "", "issues": [ALONE, TWO, ONE], "cut": True}
    ran = tried("graph --all --compact", every)
    assert ran.out.splitlines() == [
        "bd-000000 P2 task open Evil^[",
        "  bd-000000000002 P2 task open Issue 2",
        "",
        "bd-000000000003 P0 task open Issue 3",
    ]
    assert ran.err == "only 3 issues are shown: there are more\n"
    assert tried("graph --all --dot", every).out.count("digraph") == 1
    assert [part["root"]["id"] for part in json.loads(tried("graph --all --json", every).out)] == [
        ONE["id"], ALONE["id"]
    ]  # fmt: skip


def test_where_nothing_is_open_it_is_said() -> None:
    none = {"root": "", "issues": [], "cut": False}
    assert tried("graph --all", none).err == "no open issues\n"
    assert json.loads(tried("graph --all --json", none).out) == []


def test_json_has_issues_and_layout() -> None:
    document = json.loads(tried("graph x --json").out)
    assert document["root"]["id"] == TWO["id"]
    assert document["layout"]["Layers"] == [[ONE["id"]], [TWO["id"]]]
    assert "_short" not in json.dumps(document)


def test_checking_a_graph_tells_cycles_and_ends_with_1() -> None:
    ran = tried("graph check", cycles=CYCLE)
    assert (ran.code, ran.out) == (1, "a → b^G → a\n")
    document = json.loads(tried("graph check --json", cycles=CYCLE).out)
    assert document == {"clean": False, "cycles": [["a", "b\x07"]], "summary": {"cycle_count": 1}}
    clean = tried("graph check")
    assert (clean.code, clean.out) == (0, "✓ No dependency cycles\n")
