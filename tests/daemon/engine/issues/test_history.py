"""An issue through time: its events as people read them, and how it was."""

import pytest

from moot_protocol.errors import Code
from moot_protocol.ids import key_text
from moot_protocol.requests.actions import Erase
from moot_protocol.requests.issues import Close, Delete, History, RemoveEdge, Show
from moot_protocol.requests.machine import Events
from moot_testkit.bytes.feeds import stripped
from moot_testkit.towns.engine import START_MS, Desk, exchange, town_of


@pytest.fixture
def desk() -> Desk:
    made = Desk().found()
    made.create("mt-1", "First", labels=("red",))
    made.clock.advance(1000)
    made.update("mt-1", actor="bob", title="Second", description="Long")
    made.clock.advance(1000)
    return made


def test_events_come_newest_first_with_who_when_and_what(desk: Desk) -> None:
    events = desk.ask(History(id="mt-1"))
    assert [event["at"] for event in events] == [START_MS + 1000, START_MS + 1000, START_MS]
    assert [event["actor"] for event in events] == ["bob", "bob", "alice"]
    first = {change["field"]: change["value"] for change in events[-1]["changes"]}
    assert (first["title"], first["labels"], first["project"]) == ("First", "red", "mt")
    assert {change["field"] for event in events[:2] for change in event["changes"]} == {"title", "description"}
    assert len({(event["author"], event["n"]) for event in events}) == 3
    assert events[0]["kind"] == "issue"


def test_a_limit_shows_the_newest_and_none_shows_all(desk: Desk) -> None:
    events = desk.ask(History(id="mt-1", limit=0))
    assert len(events) == 3
    assert desk.ask(History(id="mt-1", limit=1)) == desk.ask(History(id="mt-1"))[:1]


def test_a_removal_tells_what_was_taken_out(desk: Desk) -> None:
    desk.update("mt-1", remove_labels=("red",))
    desk.create("mt-2")
    desk.link("mt-1", "mt-2")
    desk.do(RemoveEdge(actor="a", id="mt-1", to="mt-2"))
    edge, _, label = (event["changes"][0] for event in desk.ask(History(id="mt-1", limit=3)))
    assert label == {"field": "labels", "removed": "red"}
    assert (edge["field"], edge["removed"][:2]) == ("edges", ["mt-2", "blocks"])


def test_events_of_others_stand_in_the_order_of_their_times() -> None:
    one, two = town_of("one", "two")
    one.create("mt-1")
    exchange(one, two)
    one.clock.advance(5)
    two.update("mt-1", actor="bob", title="Earlier")
    one.clock.advance(5)
    one.update("mt-1", actor="alice", title="Later")
    exchange(one, two)
    for desk in (one, two):
        assert [event["actor"] for event in desk.ask(History(id="mt-1"))] == ["alice", "bob", "alice"]


def test_an_issue_is_shown_as_it_was(desk: Desk) -> None:
    desk.do(Close(actor="bob", id="mt-1"))
    then = desk.show("mt-1", as_of=START_MS)
    assert (then["title"], then["status"], then["labels"]) == ("First", "open", ["red"])
    assert "description" not in then
    between = desk.show("mt-1", as_of=START_MS + 1000)
    assert (between["title"], between["description"], between["status"]) == ("Second", "Long", "open")
    assert desk.show("mt-1", as_of=START_MS + 2000)["status"] == "closed"


def test_before_it_was_there_it_is_not_found_and_before_its_deletion_it_is_whole(desk: Desk) -> None:
    assert desk.refusal(Show(ids=("mt-1",), as_of=START_MS - 1)) is Code.NOT_FOUND
    desk.do(Delete(actor="bob", id="mt-1"))
    assert desk.show("mt-1", as_of=START_MS + 1000)["status"] == "open"
    assert desk.show("mt-1", as_of=START_MS + 2000)["status"] == "tombstone"


def test_values_that_are_bytes_or_missing_are_told_plainly(desk: Desk) -> None:
    changes = [each["changes"] for each in desk.ask(Events(kind="certificate"))["events"]]
    assert all(isinstance(change["value"], list) for each in changes for change in each)


def test_events_without_their_values_say_so() -> None:
    one, two = town_of("one", "two")
    one.create("mt-1")
    two.receive(stripped(batch) for batch in one.batches() if batch.header.first > 1)
    (event,) = two.ask(History(id="mt-1"))
    assert all(change["missing"] for change in event["changes"])


def test_a_value_that_was_erased_says_by_whom_and_when(desk: Desk) -> None:
    desk.do(Erase(actor="eve", id="mt-1", fields=("description",)))
    changes = [change for event in desk.ask(History(id="mt-1")) for change in event["changes"]]
    by = {"actor": "eve", "author": key_text(desk.replica.id), "at": START_MS + 2000}
    absent = [change for change in changes if change.get("missing")]
    assert absent == [{"field": "description", "missing": True, "erased": True, "erased_by": by}]
    told = [change for event in desk.ask(Events(kind="issue", since=0))["events"] for change in event["changes"]]
    assert [change for change in told if change.get("missing")] == absent
