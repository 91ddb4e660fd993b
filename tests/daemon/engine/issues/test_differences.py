"""What changed between two times: issues that came, went or were changed, and which of their fields."""

from typing import Any

import pytest

from moot_protocol.errors import Code
from moot_protocol.requests.actions import Diff
from moot_protocol.requests.issues import Close, Delete, Undelete
from moot_testkit.towns.engine import START_MS, Desk
from mootd.engine.issues import differences

STEP_MS = 1000


@pytest.fixture
def desk() -> Desk:
    """At 0 s mt-a and mt-b come; at 1 s mt-a is changed; at 2 s mt-c comes and mt-b goes; at 3 s mt-b is back."""
    desk = Desk().found()
    desk.create("mt-a", "Before")
    desk.create("mt-b")
    desk.clock.advance(STEP_MS)
    desk.update("mt-a", title="After", priority=0)
    desk.do(Close(actor="alice", id="mt-a"))
    desk.clock.advance(STEP_MS)
    desk.create("ot-c", project="ot")
    desk.do(Delete(actor="alice", id="mt-b"))
    desk.clock.advance(STEP_MS)
    desk.do(Undelete(actor="alice", id="mt-b"))
    return desk


def diff(desk: Desk, before: float, after: float, **parts: Any) -> list[tuple[str, str]]:
    return [(each["issue_id"], each["diff_type"]) for each in whole(desk, before, after, **parts)]


def whole(desk: Desk, before: float, after: float, **parts: Any) -> list[dict[str, Any]]:
    times = (START_MS + int(before * STEP_MS), START_MS + int(after * STEP_MS))
    return desk.ask(Diff(before=times[0], after=times[1], **parts))


def test_issues_come_are_changed_and_go(desk: Desk) -> None:
    assert diff(desk, -1, 0.5) == [("mt-a", "added"), ("mt-b", "added")]
    assert diff(desk, 0.5, 1.5) == [("mt-a", "modified")]
    assert diff(desk, 1.5, 2.5) == [("mt-b", "removed"), ("ot-c", "added")]
    assert diff(desk, 2.5, 3.5) == [("mt-b", "added")]
    assert diff(desk, 1.5, 1.6) == []


def test_what_came_back_as_it_was_is_no_difference(desk: Desk) -> None:
    assert diff(desk, 1.5, 3.5) == [("ot-c", "added")]


def test_a_change_tells_its_fields_with_both_values(desk: Desk) -> None:
    (found,) = whole(desk, 0.5, 1.5)
    changes = {change["field"]: (change["from"], change["to"]) for change in found["changes"]}
    assert changes.pop("closed_at")[0] is None
    assert changes == {"title": ("Before", "After"), "priority": (2, 0), "status": ("open", "closed")}
    assert (found["old_value"]["title"], found["new_value"]["title"]) == ("Before", "After")


def test_only_some_issues_can_be_asked_for(desk: Desk) -> None:
    assert diff(desk, -1, 9, ids=("mt-b",)) == [("mt-b", "added")]
    assert diff(desk, -1, 9, projects=("ot",)) == [("ot-c", "added")]
    assert desk.refusal(Diff(before=0, after=1, ids=("mt-none",))) is Code.NOT_FOUND


def test_times_come_in_their_order(desk: Desk) -> None:
    assert desk.refusal(Diff(before=2, after=1)) is Code.INVALID


def test_what_only_follows_from_other_changes_is_none_itself() -> None:
    old = {"title": "a", "updated_at": "1", "_missing": ["notes"], "_erased": []}
    new = {"title": "a", "updated_at": "2", "_missing": [], "_erased": ["notes"]}
    assert differences._changes(old, new) == []
