"""Undoing what settled a conflict: the values that disagreed are there again, side by side."""

from typing import Any

import pytest

from moot_protocol.requests.actions import Undo
from moot_protocol.requests.issues import Conflicts, Delete, IssueFields, Resolve, Update
from moot_testkit.towns.engine import Desk, exchange, town_of

TOLD = {"title", "description", "owner", "assignee", "metadata"}
DISAGREEING: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "a title": ("title", {"title": "Here"}, {"title": "There"}),
    "a text": ("description", {"description": "Here"}, {"description": "There"}),
    "one that was cleared": ("owner", {"owner": ""}, {"owner": "bob"}),
    "an entry of the metadata": ("metadata.k", {"set_metadata": {"k": 1}}, {"set_metadata": {"k": 2}}),
}


def tick(desk: Desk) -> None:
    desk.clock.advance(1000)


def told(desk: Desk) -> dict[str, Any]:
    """What an issue shows of the fields that are written here."""
    return {field: value for field, value in desk.show("mt-1").items() if field in TOLD}


def undo(desk: Desk) -> dict[str, Any]:
    tick(desk)
    answer = desk.do(Undo(actor="alice"))
    tick(desk)
    return answer


def disagreeing(what: str) -> tuple[Desk, Desk, str]:
    """Two machines on which a field is in conflict, and the field's name."""
    field, one, other = DISAGREEING[what]
    here, there = town_of("here", "there")
    here.create("mt-1", "Before", description="Before", owner="ada", metadata={"k": 0})
    exchange(here, there)
    tick(here)
    here.update("mt-1", **one)
    tick(there)
    there.update("mt-1", actor="bob", **other)
    exchange(here, there)
    tick(here)
    return here, there, field


def conflicts(desk: Desk) -> list[tuple[str, Any, list[Any]]]:
    """Each conflict: its field, what is shown, and its values."""
    found = desk.ask(Conflicts())
    return [(each["field"], each["shown"], [value["value"] for value in each["values"]]) for each in found]


@pytest.mark.parametrize("what", DISAGREEING)
@pytest.mark.parametrize("pick", [1, 2])
def test_undoing_a_settlement_brings_the_conflict_back_whichever_value_was_chosen(what: str, pick: int) -> None:
    here, there, field = disagreeing(what)
    before = conflicts(here)
    assert [each[0] for each in before] == [field]
    here.do(Resolve(actor="alice", id="mt-1", field=field, pick=pick))
    settled = told(here)
    for _ in range(2):
        answer = undo(here)
        assert conflicts(here) == before
        assert "_unchanged" not in answer
        assert [len(change["conflict"]) for change in answer["changes"]] == [2]
        undo(here)
        assert conflicts(here) == []
        assert told(here) == settled
    undo(here)
    exchange(here, there)
    assert conflicts(there) == before
    assert there.digest() == here.digest()
    assert not any(desk.records()["mt-1"].pending for desk in (here, there))


def who(desk: Desk) -> list[tuple[Any, str, Any]]:
    """Of each value in conflict who wrote it when, and who put it back."""
    (found,) = desk.ask(Conflicts())
    return [(each["actor"], each["at"], each.get("put_back_by")) for each in found["values"]]


@pytest.mark.parametrize("what", ["a title", "a text", "one that was cleared"])
def test_values_that_are_put_back_are_told_with_who_wrote_them_first(what: str) -> None:
    here, there, field = disagreeing(what)
    before = who(here)
    assert {back for _, _, back in before} == {None}
    here.do(Resolve(actor="alice", id="mt-1", field=field, pick=1))
    for _ in range(2):
        undo(here)
        assert who(here) == [(actor, at, "alice") for actor, at, _ in before]
        undo(here)
    undo(here)
    exchange(here, there)
    assert who(there) == who(here) == [(actor, at, "alice") for actor, at, _ in before]


@pytest.mark.parametrize("pick", [1, 2])
def test_a_deletion_that_is_put_back_is_told_with_who_deleted_first(pick: int) -> None:
    here, there = town_of("here", "there")
    here.create("mt-1", "Before")
    exchange(here, there)
    tick(here)
    tick(there)
    here.do(Delete(actor="bob", id="mt-1", reason="duplicate"))
    there.do(DELETIONS["an edit that no deletion saw"])
    exchange(here, there)
    tick(here)
    actor, at, _ = who(here)[1]
    here.do(Resolve(actor="alice", id="mt-1", field="deleted", pick=pick))
    undo(here)
    assert who(here)[1] == (actor, at, "alice")


DELETIONS: dict[str, Any] = {
    "an edit that no deletion saw": Update(actor="bob", id="mt-1", fields=IssueFields(title="There")),
    "two deletions": Delete(actor="bob", id="mt-1", reason="unwanted"),
}


@pytest.mark.parametrize("what", DELETIONS)
@pytest.mark.parametrize("pick", [1, 2])
def test_undoing_what_settled_whether_an_issue_is_deleted_brings_the_conflict_back(what: str, pick: int) -> None:
    here, there = town_of("here", "there")
    here.create("mt-1", "Before")
    exchange(here, there)
    tick(here)
    tick(there)
    here.do(Delete(actor="alice", id="mt-1", reason="duplicate"))
    there.do(DELETIONS[what])
    exchange(here, there)
    tick(here)
    before = told_apart(here)
    assert len(before) == 2
    here.do(Resolve(actor="alice", id="mt-1", field="deleted", pick=pick))
    settled = here.show("mt-1")["status"], here.show("mt-1").get("delete_reason")
    for _ in range(2):
        answer = undo(here)
        assert told_apart(here) == before
        assert "_unchanged" not in answer
        assert [len(change["conflict"]) for change in answer["changes"]] == [2]
        undo(here)
        assert conflicts(here) == []
        assert (here.show("mt-1")["status"], here.show("mt-1").get("delete_reason")) == settled
    undo(here)
    exchange(here, there)
    assert told_apart(there) == before
    assert there.digest() == here.digest()
    assert not any(desk.records()["mt-1"].pending for desk in (here, there))


def told_apart(desk: Desk) -> list[str]:
    """What is said of an issue's being deleted, in an order of its own: a deletion put back is later than an edit."""
    ((field, _, values),) = conflicts(desk)
    assert field == "deleted"
    return sorted(map(repr, values))


def test_undoing_the_undo_of_a_settlement_says_that_the_conflict_is_over() -> None:
    here, _, field = disagreeing("a title")
    here.do(Resolve(actor="alice", id="mt-1", field=field, pick=2))
    undo(here)
    assert undo(here)["changes"] == [{"id": "mt-1", "field": "title", "from": "There", "to": "There", "conflict": []}]


def test_a_text_that_was_merged_is_merged_again_and_no_conflict() -> None:
    here, there = town_of("here", "there")
    here.create("mt-1", description="one\ntwo\nthree\n")
    exchange(here, there)
    tick(here)
    here.update("mt-1", description="ONE\ntwo\nthree\n")
    there.update("mt-1", actor="bob", description="one\ntwo\nTHREE\n")
    exchange(here, there)
    merged = told(here)
    assert merged["description"] == "ONE\ntwo\nTHREE\n"
    tick(here)
    here.update("mt-1", description="other")
    answer = undo(here)
    assert (told(here), conflicts(here)) == (merged, [])
    assert answer["changes"] == [{"id": "mt-1", "field": "description", "from": "other", "to": "ONE\ntwo\nTHREE\n"}]


def test_who_claimed_first_has_it_again_though_another_claimed_later() -> None:
    here, there = town_of("here", "there")
    here.create("mt-1")
    exchange(here, there)
    here.update("mt-1", claim=True, actor="ada")
    tick(there)
    there.update("mt-1", claim=True, actor="bob")
    exchange(here, there)
    here.clock.advance(5000)
    here.update("mt-1", assignee="carol")
    undo(here)
    assert told(here)["assignee"] == "ada"
