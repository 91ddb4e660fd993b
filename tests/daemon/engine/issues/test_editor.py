"""A deletion comes last and tells what its writer saw; a change to a deleted issue writes its deletion anew."""

import pytest

from moot_protocol.log.event import Event
from moot_protocol.merge.deletion import DELETED
from moot_protocol.requests.issues import Delete
from moot_testkit.towns.engine import Desk
from mootd.engine.issues.editor import IssueEditor


@pytest.fixture
def desk() -> Desk:
    made = Desk().found()
    made.create("mt-1", "T")
    return made


def set_all(desk: Desk, **values: object) -> list[Event]:
    with desk.replica.transaction() as unit:
        editor = IssueEditor(unit, desk.replica.ledger.number, "mt-1", "alice")
        for key, value in values.items():
            editor.set(key, value)
        return editor.save()


def keys(events: list[Event]) -> list[list[str]]:
    return [[change.key for change in event.skeleton.changes] for event in events]


def test_a_change_to_an_issue_that_is_not_deleted_says_nothing_of_deletion(desk: Desk) -> None:
    assert keys(set_all(desk, title="U", description="d")) == [["title"], ["description"]]


def test_who_changes_a_deleted_issue_writes_its_deletion_anew_and_last(desk: Desk) -> None:
    desk.do(Delete(actor="bob", id="mt-1"))
    assert keys(set_all(desk, title="U", description="d")) == [["title"], ["description"], [DELETED]]
