"""Setting a dimension of an issue's state: one label of it, and an event that tells of the change."""

from typing import Any

import pytest

from moot_protocol.errors import Code
from moot_protocol.requests.actions import SetState
from moot_protocol.requests.issues import Children
from moot_testkit.towns.engine import Desk, exchange, town_of


@pytest.fixture
def desk() -> Desk:
    desk = Desk().found()
    desk.create("mt-1", labels=("ui", "model:x"))
    return desk


def set_state(desk: Desk, dimension: str = "mode", value: str = "bad", **parts: Any) -> dict[str, Any]:
    return desk.do(SetState(actor="bob", id="mt-1", dimension=dimension, value=value, **parts))


def labels(desk: Desk) -> list[str]:
    return list(desk.show("mt-1")["labels"])


def test_a_value_takes_the_place_of_the_one_before_and_other_labels_stay(desk: Desk) -> None:
    assert set_state(desk)["old_value"] is None
    done = set_state(desk, value="good")
    assert labels(desk) == ["mode:good", "model:x", "ui"]
    assert (done["issue_id"], done["old_value"], done["new_value"], done["changed"]) == ("mt-1", "bad", "good", True)


def test_each_change_is_a_closed_event_below_the_issue(desk: Desk) -> None:
    first = set_state(desk)
    desk.clock.advance(1)
    second = set_state(desk, value="good", reason="Restarted")
    shown = desk.show(second["event_id"])
    assert (shown["title"], shown["issue_type"], shown["status"]) == ("State change: mode → good", "event", "closed")
    assert shown["description"] == "Changed mode from bad to good\n\nReason: Restarted"
    assert "labels" not in shown
    assert desk.show(first["event_id"])["description"] == "Set mode to bad"
    below = {issue["id"] for issue in desk.ask(Children(id="mt-1")).issues}
    assert below == {first["event_id"], second["event_id"]}


def test_the_same_value_changes_nothing(desk: Desk) -> None:
    set_state(desk)
    before = desk.digest()
    done = set_state(desk)
    assert (done["changed"], "event_id" in done) == (False, False)
    assert desk.digest() == before


def test_values_set_at_once_on_two_machines_are_one_again_after_the_next() -> None:
    here, there = town_of("here", "there")
    here.create("mt-1")
    exchange(here, there)
    set_state(here, value="bad")
    set_state(there, value="worse")
    exchange(here, there)
    assert labels(here) == labels(there) == ["mode:bad", "mode:worse"]
    set_state(here, value="worse")
    assert labels(here) == ["mode:worse"]


@pytest.mark.parametrize(("dimension", "value"), [("", "x"), ("a:b", "x"), ("mode", ""), ("mode", "x" * 100)])
def test_what_is_no_state_is_refused(desk: Desk, dimension: str, value: str) -> None:
    refused = desk.refusal(SetState(actor="bob", id="mt-1", dimension=dimension, value=value))
    assert refused is Code.INVALID
