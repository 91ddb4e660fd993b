"""close --continue: the next step of the molecule is begun by one, and only by one."""

from typing import Any

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.listing import Page
from moot_testkit.clients.console import Outcome, in_turn, issue, run_console

EPIC = issue(1, issue_type="epic")
PART = [{"depends_on_id": EPIC["id"], "type": "parent-child"}]
DONE = issue(2, dependencies=PART, status="closed")
NEXT, LAST = issue(3, dependencies=PART), issue(4, dependencies=PART)


def closing(flags: str = "", *, steps: Any = (DONE, NEXT, LAST), ready: Any = (NEXT, LAST), **answers: Any) -> Outcome:
    canned = {
        "close": DONE | {"_unblocked": []}, "show": in_turn([EPIC], [EPIC]), "update": NEXT | {"status": "in_progress"},
        "list": Page(issues=list(steps), total=None, truncated=False),
        "ready": Page(issues=list(ready), total=None, truncated=False),
    }  # fmt: skip
    return run_console(f"close x --continue {flags}", canned | answers)


def test_the_next_step_is_claimed() -> None:
    ran = closing("--json")
    claimed: Any = ran.asked[-1]
    assert (claimed.claim, claimed.id) == (True, NEXT["id"])
    went_on = ran.document["continue"]
    assert (went_on["next_step"]["status"], went_on["auto_advanced"]) == ("in_progress", True)
    assert (went_on["molecule_id"], ran.document["closed"][0]["id"]) == (EPIC["id"], DONE["id"])
    assert "Begun: " in closing().out


def test_it_may_only_be_told() -> None:
    ran = closing("--no-auto")
    assert f"Next ready: {NEXT['id']}" in ran.out
    assert all(type(request).__name__ != "Update" for request in ran.asked)


def test_who_loses_a_step_gets_the_one_after_it() -> None:
    lost = RefusedError("bob has it", code=Code.LOST_RACE)
    ran = closing("--json", update=in_turn(lost, LAST))
    assert ran.document["continue"]["next_step"]["id"] == LAST["id"]


def test_a_step_that_another_process_of_the_same_name_has_begun_is_not_begun_again() -> None:
    taken = NEXT | {"status": "in_progress", "_unchanged": True}
    ran = closing("--json", update=in_turn(taken, LAST | {"status": "in_progress"}))
    assert (ran.document["continue"]["next_step"]["id"], ran.document["continue"]["auto_advanced"]) == (
        LAST["id"],
        True,
    )
    assert "No ready steps" in closing(update=in_turn(taken, taken)).out


def test_nothing_is_begun_where_nothing_is_ready_or_all_is_done() -> None:
    assert "No ready steps" in closing(ready=()).out
    finished = closing("--json", steps=(DONE,)).document["continue"]
    assert (finished["molecule_complete"], "next_step" in finished) == (True, False)
    assert "complete" in closing(steps=(DONE,)).out


def test_what_is_part_of_nothing_is_closed_and_no_more() -> None:
    alone = issue(2, status="closed", _unblocked=[])
    assert closing("--json", close=alone).document == [{**alone}]


def test_it_goes_with_one_issue_only() -> None:
    ran = run_console("close x y --continue")
    assert (ran.code, "single issue" in ran.err, ran.asked) == (2, True, [])
