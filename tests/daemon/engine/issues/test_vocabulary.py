"""Statuses and types of a project's own: which may be written, which lists show them."""

from typing import Any

import pytest

from moot_protocol.errors import Code
from moot_protocol.requests.issues import Create, IssueFields, ListIssues
from moot_protocol.requests.listing import Filter
from moot_protocol.requests.memories import SetSetting
from moot_testkit.towns.engine import Desk, exchange, ids_of, town_of

STATUSES = "qa:active,review:wip,parked:frozen,shipped:done,bare"


@pytest.fixture
def desk() -> Desk:
    desk = Desk().found()
    desk.create("mt-a")
    return desk


def say(desk: Desk, key: str, value: str | None, project: str = "mt") -> None:
    desk.do(SetSetting(actor="alice", project=project, key=key, value=value))


def listed(desk: Desk, *statuses: str, **parts: Any) -> list[str]:
    return ids_of(desk.ask(ListIssues(filter=Filter(statuses=statuses), **parts)).issues)


def with_status(desk: Desk, *names: str) -> None:
    for name in names:
        desk.create(f"mt-{name}", status=name)


def test_a_status_and_a_type_have_to_be_set_before_they_can_be_given(desk: Desk) -> None:
    for fields in (IssueFields(title="x", status="review"), IssueFields(title="x", issue_type="ticket")):
        assert desk.refusal(Create(actor="alice", project="mt", fields=fields)) is Code.INVALID
    say(desk, "status.custom", STATUSES)
    say(desk, "types.custom", "ticket")
    assert desk.update("mt-a", status="review", issue_type="ticket")["status"] == "review"
    assert listed(desk, "review") == ["mt-a"]


def test_what_another_project_has_is_not_this_ones_and_what_the_town_has_is(desk: Desk) -> None:
    say(desk, "types.custom", "ticket", "other")
    refused = Create(actor="alice", project="mt", fields=IssueFields(title="x", issue_type="ticket"))
    assert desk.refusal(refused) is Code.INVALID
    say(desk, "types.custom", "ticket", "")
    assert desk.create("mt-b", issue_type="ticket")["issue_type"] == "ticket"


def test_lists_leave_out_what_is_done_or_frozen_unless_asked_for(desk: Desk) -> None:
    say(desk, "status.custom", STATUSES)
    with_status(desk, "qa", "review", "parked", "shipped", "bare")
    assert sorted(listed(desk)) == ["mt-a", "mt-bare", "mt-qa", "mt-review"]
    assert sorted(listed(desk, "parked", "shipped")) == ["mt-parked", "mt-shipped"]
    assert len(listed(desk, all=True)) == 6


def test_ready_is_what_is_open_or_active_and_nothing_blocks(desk: Desk) -> None:
    say(desk, "status.custom", STATUSES)
    with_status(desk, "qa", "review", "parked", "shipped", "bare")
    assert sorted(desk.ready()) == ["mt-a", "mt-qa"]
    desk.link("mt-qa", "mt-shipped")  # done by its name only: what is closed has status `closed`
    assert desk.ready() == ["mt-a"]


def test_a_setting_changes_no_view_and_taken_away_leaves_issues_as_they_are(desk: Desk) -> None:
    say(desk, "status.custom", STATUSES)
    with_status(desk, "qa")
    before = desk.index(b"")
    say(desk, "status.custom", None)
    assert desk.index(b"") == before
    assert desk.ready() == ["mt-a"]
    assert sorted(listed(desk)) == ["mt-a", "mt-qa"]
    assert desk.refusal(Create(actor="a", project="mt", fields=IssueFields(title="x", status="qa"))) is Code.INVALID


def test_another_machine_of_the_town_has_the_same(desk: Desk) -> None:
    first, second = town_of("first", "second")
    say(first, "types.custom", "ticket")
    exchange(first, second)
    assert second.create("mt-b", issue_type="ticket")["issue_type"] == "ticket"


def test_the_statuses_of_every_project_keep_their_meaning(desk: Desk) -> None:
    say(desk, "status.custom", "open:frozen,closed:active")
    desk.create("mt-c", status="closed")
    assert listed(desk) == desk.ready() == ["mt-a"]
