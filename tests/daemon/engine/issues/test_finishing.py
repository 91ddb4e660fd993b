"""A molecule is closed with the last of its steps, however that is closed; what is none stays open."""

from typing import Any

import pytest

from moot_protocol.errors import Code
from moot_protocol.requests.actions import EpicStatus, Undo
from moot_protocol.requests.issues import Close, Delete, Edge, IssueFields, Script, Update
from moot_testkit.towns.engine import Desk, exchange, town_of

MOLECULE: dict[str, Any] = {"issue_type": "epic", "labels": ("molecule",)}


@pytest.fixture
def desk() -> Desk:
    return Desk().found()


def poured(desk: Desk, name: str = "mt-mol", steps: int = 2, **root: Any) -> list[str]:
    """A root with steps below it."""
    desk.create(name, **(root or MOLECULE))
    names = [f"{name}-{number}" for number in range(1, steps + 1)]
    for step in names:
        desk.create(step, parent=name, ephemeral=bool(root.get("ephemeral")))
    return names


def close(desk: Desk, name: str, **fields: Any) -> Any:
    return desk.do(Close(actor="alice", id=name, **fields))


def status(desk: Desk, name: str = "mt-mol") -> str:
    return str(desk.show(name)["status"])


@pytest.mark.parametrize(
    "root",
    [
        MOLECULE,
        {"issue_type": "epic", "labels": ("template",)},
        {"issue_type": "molecule"},
        {"issue_type": "epic", "ephemeral": True},
        {"issue_type": "task", "ephemeral": True},
    ],
)
def test_the_last_step_closes_the_root(desk: Desk, root: dict[str, Any]) -> None:
    one, other = poured(desk, **root)
    desk.create("mt-after", edges=(Edge("mt-mol"),))
    assert "_finished" not in close(desk, one)
    assert status(desk) == "open"
    answer = close(desk, other, reason="done", session="s-1")
    assert (answer["id"], answer["_finished"], answer["_unblocked"]) == (other, ["mt-mol"], ["mt-after"])
    shown = desk.show("mt-mol")
    assert (shown["status"], shown["close_reason"], shown["closed_by_session"]) == (
        "closed", "all steps complete", "s-1",
    )  # fmt: skip
    assert shown["closed_at"] == desk.show(other)["closed_at"]


@pytest.mark.parametrize("root", [{"issue_type": "epic"}, {"issue_type": "task", "labels": ("molecule",)}])
def test_what_is_no_molecule_stays_open(desk: Desk, root: dict[str, Any]) -> None:
    for step in poured(desk, **root):
        answer = close(desk, step)
    assert ("_finished" in answer, status(desk)) == (False, "open")


def test_an_update_that_closes_the_last_step_closes_the_root(desk: Desk) -> None:
    one, other = poured(desk)
    close(desk, one)
    assert "_finished" not in desk.update(other, priority=1)
    answer = desk.do(Update(actor="alice", id=other, fields=IssueFields(status="closed")))
    assert (answer["_finished"], status(desk)) == (["mt-mol"], "closed")


def test_a_script_that_closes_all_steps_closes_the_root_once(desk: Desk) -> None:
    steps = tuple({"method": "close", "params": {"id": name}} for name in poured(desk))
    answers = desk.do(Script(actor="alice", steps=steps))
    assert [each.get("_finished") for each in answers] == [None, ["mt-mol"]]
    desk.do(Script(actor="alice", steps=tuple({"method": "reopen", "params": step["params"]} for step in steps)))
    assert "_finished" not in close(desk, "mt-mol-1")


def test_a_trial_closes_nothing(desk: Desk) -> None:
    (step,) = poured(desk, steps=1)
    assert close(desk, step, dry_run=True)["_finished"] == ["mt-mol"]
    assert (status(desk, step), status(desk)) == ("open", "open")


def test_steps_are_what_is_below_at_any_distance(desk: Desk) -> None:
    """Where what stands between is closed before what is below it, the root waits for that, too."""
    one, part = poured(desk)
    desk.create("mt-below", parent=part)
    for name in (one, part):
        assert "_finished" not in close(desk, name)
    assert close(desk, "mt-below")["_finished"] == ["mt-mol"]


def test_what_only_stands_between_is_closed_by_hand(desk: Desk) -> None:
    (part,) = poured(desk, steps=1, issue_type="epic", ephemeral=True)
    desk.create("mt-below", parent=part, ephemeral=True)
    assert "_finished" not in close(desk, "mt-below")
    assert status(desk, part) == "open"
    assert close(desk, part)["_finished"] == ["mt-mol"]


def test_a_molecule_in_a_molecule_closes_both(desk: Desk) -> None:
    poured(desk, steps=0, issue_type="molecule")
    desk.create("mt-inner", parent="mt-mol", **MOLECULE)
    desk.create("mt-step", parent="mt-inner")
    assert close(desk, "mt-step")["_finished"] == ["mt-inner", "mt-mol"]


def test_the_one_inside_does_not_close_a_molecule_that_has_more_to_do(desk: Desk) -> None:
    poured(desk, steps=1)
    desk.create("mt-inner", parent="mt-mol", **MOLECULE)
    desk.create("mt-step", parent="mt-inner")
    assert close(desk, "mt-step")["_finished"] == ["mt-inner"]
    assert close(desk, "mt-mol-1")["_finished"] == ["mt-mol"]


def test_deleted_steps_are_no_steps(desk: Desk) -> None:
    one, other = poured(desk)
    desk.do(Delete(actor="alice", id=one))
    assert close(desk, other)["_finished"] == ["mt-mol"]


@pytest.mark.parametrize("kept", [{"status": "pinned"}, {"pinned": True}])
def test_a_pinned_root_stays(desk: Desk, kept: dict[str, Any]) -> None:
    (step,) = poured(desk, steps=1)
    before = desk.update("mt-mol", **kept)["status"]
    assert "_finished" not in close(desk, step)
    assert status(desk) == before


def test_a_root_that_something_open_blocks_stays(desk: Desk) -> None:
    desk.create("mt-first")
    (step,) = poured(desk, steps=1, edges=(Edge("mt-first"),), **MOLECULE)
    assert "_finished" not in close(desk, step, force=True)
    assert desk.refusal(Close(actor="alice", id="mt-mol")) is Code.CONFLICT


def test_parents_in_a_circle_are_looked_at_once() -> None:
    """Two machines can make one: each of two molecules is part of the other."""
    one, other = town_of("one", "two")
    for name in ("mt-a", "mt-b"):
        one.create(name, **MOLECULE)
    one.create("mt-step", parent="mt-a")
    exchange(one, other)
    one.update("mt-a", parent="mt-b")
    other.update("mt-b", parent="mt-a")
    exchange(one, other)
    close(one, "mt-b", force=True)
    assert close(one, "mt-step")["_finished"] == ["mt-a"]


def test_undoing_the_close_opens_both_again(desk: Desk) -> None:
    (step,) = poured(desk, steps=1)
    desk.clock.advance(1000)
    close(desk, step)
    desk.clock.advance(1000)
    desk.do(Undo(actor="alice"))
    assert (status(desk, step), status(desk)) == ("open", "open")
    assert "close_reason" not in desk.show("mt-mol")


@pytest.mark.parametrize("undone", ["mt-mol-1", "mt-mol-2"])
def test_undoing_the_close_of_one_step_opens_the_root_too(desk: Desk, undone: str) -> None:
    for step in poured(desk):
        desk.clock.advance(1000)
        close(desk, step)
    desk.clock.advance(1000)
    answer = desk.do(Undo(actor="alice", id=undone))
    assert (status(desk, undone), status(desk)) == ("open", "open")
    assert {"id": "mt-mol", "field": "status", "from": "closed", "to": "open"} in answer["changes"]
    assert [shown["id"] for shown in answer["issues"]] == [undone, "mt-mol"]
    assert close(desk, undone)["_finished"] == ["mt-mol"]


def test_undoing_the_close_of_a_step_leaves_a_root_closed_that_somebody_closed(desk: Desk) -> None:
    one, _ = poured(desk)
    desk.clock.advance(1000)
    close(desk, one)
    close(desk, "mt-mol", reason="given up")
    desk.clock.advance(1000)
    desk.do(Undo(actor="alice", id=one))
    assert (status(desk, one), status(desk)) == ("open", "closed")


@pytest.mark.parametrize("root", [MOLECULE, {"issue_type": "epic", "ephemeral": True}])
def test_the_last_two_steps_closed_unseen_of_one_another_leave_the_root_to_be_found(root: dict[str, Any]) -> None:
    one, other = town_of("one", "two")
    first, second = poured(one, **root)
    exchange(one, other)
    assert "_finished" not in close(one, first)
    assert "_finished" not in close(other, second)
    exchange(one, other)
    assert (status(one), status(other)) == ("open", "open")
    (told,) = one.ask(EpicStatus())
    assert (told["epic"]["id"], told["eligible_for_close"]) == ("mt-mol", True)
    assert close(one, "mt-mol")["status"] == "closed"


def test_a_molecule_of_another_project_stays_open() -> None:
    """Who may close a step here may have no say there: a client in a sandbox writes in one project."""
    desk = Desk().found()
    desk.create("ot-mol", project="other", **MOLECULE)
    desk.create("mt-step", parent="ot-mol")
    assert "_finished" not in close(desk, "mt-step")
    assert status(desk, "ot-mol") == "open"
