"""In which waves an epic's children can be done, what is in the way, and how far they are."""

from typing import Any

from moot.console.molecules.swarm_analysis import analysis, family_of, status

EPIC = {"id": "e", "title": "Epic", "issue_type": "epic", "status": "open"}


def child(name: str, *needs: str, **parts: Any) -> dict[str, Any]:
    edges = [{"depends_on_id": "e", "type": "parent-child"}]
    edges += [{"depends_on_id": other, "type": "blocks"} for other in needs]
    return {"id": name, "title": name.upper(), "status": "open", "priority": 1, "dependencies": edges} | parts


def analysed(*children: dict[str, Any]) -> dict[str, Any]:
    return analysis(family_of({"root": "e", "issues": [EPIC, *children], "cut": False}))


def told(*children: dict[str, Any]) -> dict[str, Any]:
    return status(family_of({"root": "e", "issues": [EPIC, *children], "cut": False}))


def test_each_wave_waits_for_the_ones_before_and_closed_issues_for_nobody() -> None:
    found = analysed(
        child("d", "b", "c"), child("c", "a"), child("b", "done"), child("a"), child("done", status="closed")
    )
    assert [front["issues"] for front in found["ready_fronts"]] == [["a", "b"], ["c"], ["d"]]
    assert found["ready_fronts"][0]["titles"] == ["A", "B"]
    assert (found["max_parallelism"], found["estimated_sessions"], found["closed_issues"]) == (2, 4, 1)
    assert found["swarmable"]
    assert {name: node["wave"] for name, node in found["issues"].items()} == {
        "a": 0,
        "b": 0,
        "c": 1,
        "d": 2,
        "done": -1,
    }
    assert found["issues"]["a"]["depended_on_by"] == ["c"]


def test_a_cycle_is_an_error_and_leaves_no_waves() -> None:
    found = analysed(child("a", "b"), child("b", "a"), child("c"))
    assert found["errors"] == ["Dependency cycle detected involving: a, b"]
    assert (found["swarmable"], found["ready_fronts"]) == (False, [])


def test_what_lies_outside_and_what_titles_make_doubtful_is_warned_of() -> None:
    found = analysed(
        child("a", "external:x:y", "z", title="Foundation"), child("b", title="Integration test"), child("c", "b")
    )
    assert found["warnings"] == [
        "a has external dependency: external:x:y",
        "a depends on z (outside epic)",
        "a (Foundation) has no dependents - should other issues depend on it?",
        "b (Integration test) has no dependencies - should it depend on implementation?",
    ]


def test_an_epic_without_children_is_warned_of() -> None:
    found = analysed()
    assert (found["warnings"], found["swarmable"], found["total_issues"]) == (["Epic has no children"], True, 0)
    assert told()["progress_percent"] == 0.0


def test_children_are_done_under_way_ready_or_blocked() -> None:
    found = told(
        child("d", status="closed", closed_at="2026-01-01T00:00:00Z"),
        child("a", status="in_progress", assignee="eve"),
        child("b", blocked_by=["x"]),
        child("c"),
    )
    assert found["completed"] == [{"id": "d", "title": "D", "closed_at": "2026-01-01T00:00:00Z"}]
    assert found["active"] == [{"id": "a", "title": "A", "assignee": "eve"}]
    assert found["blocked"] == [{"id": "b", "title": "B", "blocked_by": ["x"]}]
    assert [each["id"] for each in found["ready"]] == ["c"]
    assert (found["progress_percent"], found["ready_count"], found["blocked_count"]) == (25.0, 1, 1)
