"""What can be told of an epic and its steps."""

from argparse import Namespace
from typing import Any

from moot.console.command import Context
from moot.console.lines.issues import parent_of
from moot.console.molecules.molecule import Molecule, roots_of, variables_of
from moot_protocol.requests.listing import Page
from moot_testkit.clients.canned_api import NOW_MS, CannedApi, InTurn
from moot_testkit.clients.console import issue
from moot_testkit.clients.terminal import RecordingTerminal

EPIC = issue(1, issue_type="epic", dependents=[issue(2)], _short=4, updated_at="2026-01-01T00:00:00Z")


def part(number: int, *needs: int, **fields: Any) -> dict[str, Any]:
    edges = [{"depends_on_id": EPIC["id"], "type": "parent-child"}]
    edges += [{"depends_on_id": issue(need)["id"], "type": "blocks"} for need in needs]
    return issue(number, dependencies=edges, **fields)


def context(**answers: Any) -> Context:
    return Context(CannedApi(**answers), RecordingTerminal(), Namespace(), "alice", "bd", json=True, now_ms=NOW_MS)


def molecule(*steps: dict[str, Any], ready: tuple[dict[str, Any], ...] = ()) -> Molecule:
    pages = {"list": Page(issues=list(steps), total=None, truncated=False)}
    pages["ready"] = Page(issues=list(ready), total=None, truncated=False)
    return Molecule(context(show=[EPIC], **pages), "x")


def test_steps_stand_in_the_formulas_order_and_what_came_later_behind_them() -> None:
    first, second, later = part(4, metadata={"source_order": 0}), part(3, metadata={"source_order": 1}), part(2)
    assert molecule(later, second, first).steps == [first, second, later]


def test_progress_tells_the_pace_where_two_steps_were_closed() -> None:
    closed = [part(n, status="closed", closed_at=f"2026-01-01T0{n}:00:00Z") for n in (2, 4)]
    progress = molecule(*closed, part(5), part(6)).progress()
    assert (progress["percent"], progress["rate_per_hour"], progress["eta_hours"]) == (50, 0.5, 4)
    assert "percent" not in molecule().progress()


def test_each_step_has_a_state() -> None:
    steps = [part(2, status="closed"), part(3, status="in_progress"), part(4, status="blocked"), part(5), part(6)]
    current = molecule(*steps, ready=(steps[1], steps[3])).current()
    assert [step["status"] for step in current["steps"]] == ["done", "current", "blocked", "ready", "pending"]
    assert (current["current_step"], current["next_step"]) == (steps[1], steps[3])


def test_steps_that_can_be_done_at_once_are_a_group() -> None:
    steps = [part(2), part(3), part(4, 2, 3), part(5, 4, status="closed")]
    analysis = molecule(*steps, ready=tuple(steps[:2])).parallel()
    two, three, four = (step["id"] for step in steps[:3])
    assert (analysis["parallel_groups"], analysis["ready_steps"]) == ({"group-1": [two, three]}, 2)
    info = analysis["steps"]
    assert (info[two]["can_parallel"], info[two]["blocks"], info[four]["blocked_by"]) == ([three], [four], [two, three])
    assert not info[four]["is_ready"]


def test_what_is_ready_is_told_with_its_group() -> None:
    steps = [part(2), part(3)]
    told = molecule(*steps, ready=tuple(steps)).ready_steps()
    assert (told["total_steps"], told["ready_steps"], told["steps"][0]["parallel_group"]) == (2, 2, "group-1")


def test_all_of_it_is_told_once() -> None:
    shown = molecule(part(2, title="Ask {{ who }}", description="{{who}} {{what}} {{1}}")).shown(parallel=True)
    assert (shown["variables"], shown["root"].keys() & {"dependents", "_short"}) == (["what", "who"], set())
    assert (len(shown["issues"]), len(shown["dependencies"]), shown["parallel"]["total_steps"]) == (2, 1, 1)


def test_variables_are_names_in_braces() -> None:
    assert variables_of([issue(title="{{b}} {{a}} {{b}}", notes="{a}")]) == ["a", "b"]


def test_the_topmost_issue_is_found_and_a_circle_of_parents_is_left() -> None:
    top, middle = issue(8), issue(7, dependencies=[{"depends_on_id": issue(8)["id"], "type": "parent-child"}])
    below = issue(6, dependencies=[{"depends_on_id": middle["id"], "type": "parent-child"}])
    assert (parent_of(below), parent_of(top)) == (middle["id"], "")
    found = roots_of(context(show=InTurn(([middle], [top]))), [below, issue(5)])
    assert found == {below["id"]: top}
    turned = issue(9, dependencies=[{"depends_on_id": issue(9)["id"], "type": "parent-child"}])
    assert roots_of(context(), [turned]) == {}
