"""duplicates, find-duplicates, duplicate and supersede: what they ask of the daemon, and what they print."""

import json
from typing import Any

import pytest

from moot.console.commands.lists.duplicates import COMMANDS
from moot_protocol.errors import RefusedError
from moot_protocol.requests.issues import Script
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.queries import Duplicates, Similar
from moot_testkit.clients.canned_api import CannedApi, Ran, run


def member(name: str, **parts: Any) -> dict[str, Any]:
    return {
        "id": name, "title": "Same\x1b", "status": "open", "priority": 2, "references": 1, "dependents": 1,
        "dependencies": 0, "weight": 3, "is_merge_target": False, "children": [],
    } | parts  # fmt: skip


GROUP = {
    "title": "Same\x1b",
    "issues": [member("bd-1", is_merge_target=True), member("bd-2", children=["bd-9", "bd-1"])],
    "suggested_target": "bd-1",
    "suggested_sources": ["bd-2"],
}
PAIR = {
    "issue_a_id": "bd-1", "issue_b_id": "bd-2", "issue_a_title": "One\x07", "issue_b_title": "Two",
    "similarity": 0.75, "method": "mechanical",
}  # fmt: skip
NEW, OLD, CLOSED_BEFORE = {"created": True}, {"created": False}, {"_unchanged": True}
"""What adding an edge, and closing, answer."""
SIMILAR = {"pairs": [PAIR], "found": 1, "compared": 1, "complete": True}


def tried(argv: str, **answers: Any) -> Ran:
    canned = {"duplicates": [GROUP], "similar": SIMILAR, "script": [NEW, {}], "resolve_ids": ["bd-a", "bd-z"]}
    return run(COMMANDS, argv, CannedApi(**canned | answers))


def steps(ran: Ran) -> list[tuple[str, dict[str, Any]]]:
    script = ran.asked[-1]
    assert isinstance(script, Script)
    return [(step["method"], step["params"]) for step in script.steps]


# -- duplicates --------------------------------------------------------------------------------------------------
def test_groups_are_shown_with_the_issue_that_would_stay() -> None:
    ran = tried("duplicates")
    assert ran.out.splitlines() == [
        "Found 1 duplicate group:",
        "Group 1: Same^[",
        "→ bd-1 (open, P2, weight=3, 1 refs)",
        "  bd-2 (open, P2, weight=3, 1 refs)",
        "--auto-merge closes all but the one marked → and links them to it",
    ]
    assert ran.asked == [Duplicates(projects=("bd",))]


def test_where_there_are_none_it_is_said() -> None:
    assert tried("duplicates", duplicates=[]).out == "No duplicates found!\n"
    assert json.loads(tried("duplicates --json", duplicates=[]).out) == {"duplicate_groups": 0, "groups": []}


def test_merging_moves_children_closes_and_links_in_one_commit() -> None:
    ran = tried("duplicates --auto-merge")
    assert steps(ran) == [
        ("update", {"id": "bd-9", "fields": {}, "parent": "bd-1"}),
        ("close", {"id": "bd-2", "reason": "Duplicate of bd-1", "force": True}),
        ("add_edge", {"id": "bd-2", "edge": {"to": "bd-1", "type": "related"}}),
    ]
    assert ran.out.endswith("✓ Merged 1 group\n")


def test_merging_can_be_tried_out() -> None:
    ran = tried("duplicates --auto-merge --dry-run --json")
    assert getattr(ran.asked[-1], "dry_run", False)
    (result,) = json.loads(ran.out)["merge_results"]
    assert result == {
        "target": "bd-1", "sources": ["bd-2"], "closed": ["bd-2"], "linked": ["bd-2"], "reparented": ["bd-9"],
        "errors": [],
    }  # fmt: skip
    asked = tried("duplicates --dry-run")
    assert len(asked.asked) == 1
    assert "would merge 1 group" in asked.out


def test_json_suggests_what_to_do() -> None:
    (group,) = json.loads(tried("duplicates --json").out)["groups"]
    assert group["suggested_action"] == "moot duplicate bd-2 --of bd-1"
    assert group["note"] == "Duplicate: bd-2 (same content as bd-1)"


# -- find-duplicates ---------------------------------------------------------------------------------------------
def test_pairs_are_shown_with_how_alike_they_are() -> None:
    ran = tried("find-duplicates --threshold 0.4 -s open -n 5")
    assert ran.out.splitlines() == [
        "Found 1 potential duplicate pair (threshold: 40%):", "Pair 1 (75% similar):", "  bd-1 One^G", "  bd-2 Two",
    ]  # fmt: skip
    wanted = Filter(projects=("bd",), statuses=("open",))
    assert ran.asked == [Similar(threshold=0.4, filter=wanted, limit=5)]


def test_pairs_as_json_are_counted() -> None:
    document = json.loads(tried("find-dups --json").out)
    assert document == {"pairs": [PAIR], "count": 1, "method": "mechanical", "threshold": 0.5}


def test_what_was_left_out_is_told_beside_the_output() -> None:
    none = {"pairs": [], "found": 3, "compared": 9, "complete": False}
    ran = tried("find-duplicates", similar=none)
    assert ran.out == "No similar issues found (threshold: 50%)\n"
    assert "0 of 3 pairs shown" in ran.err
    assert "not every pair was compared" in ran.err


# -- duplicate, supersede ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("argv", "edge_type", "reason", "told", "document"),
    [
        (
            "duplicate a --of z", "duplicates", "Duplicate of bd-z", "✓ Marked bd-a as duplicate of bd-z (closed)\n",
            {"duplicate": "bd-a", "canonical": "bd-z", "status": "closed"},
        ),
        (
            "supersede a --with z", "supersedes", "Superseded by bd-z",
            "✓ Marked bd-a as superseded by bd-z (closed)\n",
            {"superseded": "bd-a", "replacement": "bd-z", "status": "closed"},
        ),
    ],
)  # fmt: skip
def test_who_gives_way_is_linked_and_closed_together(
    argv: str, edge_type: str, reason: str, told: str, document: dict[str, str]
) -> None:
    ran = tried(argv)
    assert steps(ran) == [
        ("add_edge", {"id": "bd-a", "edge": {"to": "bd-z", "type": edge_type}}),
        ("close", {"id": "bd-a", "reason": reason, "force": True}),
    ]
    assert ran.out == told
    assert json.loads(tried(f"{argv} --json").out) == document
    dry = tried(f"{argv} --dry-run")
    assert getattr(dry.asked[-1], "dry_run", False)
    assert "Would mark" in dry.out


def test_who_gives_way_and_so_completes_a_molecule_tells_so() -> None:
    answers = [NEW, {"_finished": ["bd-mol"]}]
    assert tried("duplicate a --of z", script=answers).out.splitlines()[1:] == [
        "✓ Auto-closed completed molecule bd-mol"
    ]
    assert json.loads(tried("duplicate a --of z --json", script=answers).out)["_finished"] == ["bd-mol"]


def test_nothing_gives_way_to_itself() -> None:
    with pytest.raises(RefusedError, match="itself"):
        tried("duplicate a --of b", resolve_ids=["bd-a", "bd-a"])


def test_several_give_way_together() -> None:
    ran = tried("duplicate a b --of z --json", resolve_ids=["bd-a", "bd-b", "bd-z"], script=[NEW, {}, NEW, {}])
    assert [each["duplicate"] for each in json.loads(ran.out)] == ["bd-a", "bd-b"]
    assert len(steps(ran)) == 4


def test_what_has_given_way_already_is_told_as_such() -> None:
    again = {"script": [OLD, CLOSED_BEFORE]}
    told = "Nothing to do: bd-a is marked as duplicate of bd-z and closed already\n"
    assert tried("duplicate a --of z", **again).out == told
    document = {"superseded": "bd-a", "replacement": "bd-z", "status": "closed", "_unchanged": True}
    assert json.loads(tried("supersede a --with z --json", **again).out) == document


@pytest.mark.parametrize("script", [[OLD, {}], [NEW, CLOSED_BEFORE]])
def test_what_was_only_linked_or_only_closed_is_marked_now(script: list[dict[str, bool]]) -> None:
    assert tried("duplicate a --of z", script=script).out == "✓ Marked bd-a as duplicate of bd-z (closed)\n"


def test_of_several_each_says_for_itself_whether_anything_was_done() -> None:
    both = {"resolve_ids": ["bd-a", "bd-b", "bd-z"], "script": [OLD, CLOSED_BEFORE, NEW, {}]}
    first, second = json.loads(tried("duplicate a b --of z --json", **both).out)
    assert (first["_unchanged"], "_unchanged" in second) == (True, False)
