"""Hand-offs are comments, and come back as data, newest first."""

import pytest

from moot_protocol.errors import Code
from moot_protocol.requests.claims import Handoffs, WriteHandoff
from moot_protocol.requests.issues import AddComment
from moot_testkit.towns.engine import Desk, exchange, imported, town_of


@pytest.fixture
def desk() -> Desk:
    made = Desk().found()
    made.create("mt-one")
    return made


def test_what_is_left_is_a_comment_for_people_and_data_for_programs(desk: Desk) -> None:
    left = desk.do(WriteHandoff(actor="alice", id="mt-one", decisions=(" LMDB ", ""), next="Go on", head="1a2b"))
    (comment,) = desk.show("mt-one")["comments"]
    assert comment["text"] == "Handoff at 1a2b\nDecided: LMDB\nNext: Go on"
    assert left == {
        "issue_id": "mt-one", "id": comment["id"], "author": "alice", "created_at": comment["created_at"],
        "decisions": ("LMDB",), "next": "Go on", "head": "1a2b",
    }  # fmt: skip


def test_the_newest_comes_first_and_other_comments_are_none(desk: Desk) -> None:
    for number in (1, 2):
        desk.clock.advance(1)
        desk.do(WriteHandoff(actor="alice", id="mt-one", next=f"step {number}"))
        desk.do(AddComment(actor="alice", id="mt-one", text="Handoff"))
    assert [each["next"] for each in desk.ask(Handoffs(id="mt-one"))] == ["step 2", "step 1"]


def test_the_answer_is_what_was_handed_over_though_the_issue_has_an_imported_one_of_a_later_time(desk: Desk) -> None:
    later = {"text": "x", "created_at": "2099-01-01T00:00:00Z", "handoff": {"next": "imported"}}
    imported(desk, {"id": "mt-two", "comments": [later]})
    left = desk.do(WriteHandoff(actor="alice", id="mt-two", next="mine"))
    assert left["next"] == "mine"
    assert [each["next"] for each in desk.ask(Handoffs(id="mt-two"))] == ["imported", "mine"]


def test_two_who_hand_over_at_once_are_both_heard() -> None:
    one, two = town_of("one", "two")
    one.create("mt-one")
    exchange(one, two)
    one.do(WriteHandoff(actor="alice", id="mt-one", next="a"))
    two.do(WriteHandoff(actor="bob", id="mt-one", next="b"))
    exchange(one, two)
    assert {each["next"] for each in two.ask(Handoffs(id="mt-one"))} == {"a", "b"}


def test_nothing_and_too_much_are_refused(desk: Desk) -> None:
    assert desk.refusal(WriteHandoff(actor="alice", id="mt-one", decisions=(" ",), head="1a2b")) is Code.USAGE
    assert desk.refusal(WriteHandoff(actor="alice", id="mt-one", next="x" * 40_000)) is Code.LIMIT
