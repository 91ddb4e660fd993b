"""Differences between two states of a file: written once, reported where they can't be, merged with what others did."""

import json
from typing import Any

import pytest

from moot_protocol.beads.pairs import LinePair, Pairing
from moot_protocol.errors import Code, MootError, RefusedError
from moot_protocol.log.event import Draft, Event
from moot_protocol.requests.actions import Erase
from moot_protocol.requests.issues import Conflicts, Delete, Undelete
from moot_protocol.requests.transfer import Export, ImportEdits
from moot_testkit.towns.engine import PROJECT, Desk, counts, exchange, town_of
from moot_testkit.towns.town import make_api
from mootd.engine.issues.editor import append
from mootd.engine.unit import Unit

OLD, NEW = "2023-01-01T00:00:00Z", "2023-02-01T00:00:00Z"
NOTHING = {"created": 0, "updated": 0, "deleted": 0, "missing": 0, "unchanged": 0, "skipped": 0, "problems": []}
BASE = ({"id": "mt-1", "title": "One", "labels": ["red"]}, {"id": "mt-2", "title": "Two", "updated_at": OLD})


def lines(*issues: dict[str, Any] | bytes) -> list[bytes]:
    """Lines of a file."""
    return [issue if isinstance(issue, bytes) else json.dumps(issue).encode() for issue in issues]


def start(desk: Desk, *issues: dict[str, Any]) -> None:
    """Take a file in as it is at first: the differences to an empty one."""
    answer = edit(desk, (), issues or BASE)
    assert counts(answer) == {"created": len(issues or BASE)}


def edit(desk: Desk, base: Any, file: Any, **options: Any) -> dict[str, Any]:
    """Take in the differences between two states."""
    pairs = tuple(Pairing(lines(*base), lines(*file)))
    return desk.do(ImportEdits(actor="carol", project=PROJECT, pairs=pairs, **options))


def problems(answer: dict[str, Any]) -> list[tuple[bool, int, str]]:
    """Whether it is in the base, line and id of each problem, in the order told."""
    return [(problem.get("base", False), problem["line"], problem["id"]) for problem in answer["problems"]]


def exported(desk: Desk) -> dict[str, dict[str, Any]]:
    """All lines of the export by id."""
    return {issue["id"]: issue for issue in map(json.loads, desk.ask(Export())["lines"])}


# -- What is written ---------------------------------------------------------------------------------------------
def test_changed_lines_are_written_and_new_ones_created(desk: Desk) -> None:
    start(desk)
    changed = BASE[0] | {"title": "First", "labels": ["blue"]}
    answer = edit(desk, BASE, (changed, BASE[1], {"id": "mt-3", "title": "Three"}))
    assert answer == NOTHING | {"created": 1, "updated": 1}
    shown = exported(desk)
    assert (shown["mt-1"]["title"], shown["mt-1"]["labels"]) == ("First", ["blue"])
    assert shown["mt-2"]["updated_at"] == OLD
    assert shown["mt-3"]["title"] == "Three"


def test_differences_that_are_here_already_are_unchanged_and_write_nothing(desk: Desk) -> None:
    start(desk)
    after = (BASE[0] | {"title": "First"}, BASE[1], {"id": "mt-3", "title": "Three"})
    edit(desk, BASE, after)
    length = desk.log_length()
    assert edit(desk, after, after) == NOTHING
    assert counts(edit(desk, BASE, after)) == {"unchanged": 2}
    assert counts(edit(desk, BASE[1:], after)) == {"unchanged": 2}
    assert desk.log_length() == length


def test_a_changed_line_of_an_issue_that_is_not_here_creates_it_whole(desk: Desk) -> None:
    answer = edit(desk, BASE, (BASE[0] | {"priority": 1},))
    assert counts(answer) == {"created": 1}
    assert exported(desk)["mt-1"] | {"title": "One", "labels": ["red"], "priority": 1} == exported(desk)["mt-1"]


def test_a_new_line_of_an_issue_that_is_here_is_taken_in_as_by_an_import(desk: Desk) -> None:
    start(desk)
    answer = edit(
        desk, (), (BASE[0] | {"labels": ["blue"]}, BASE[1] | {"title": "Old", "updated_at": "2022-01-01T00:00:00Z"})
    )
    assert counts(answer) == {"updated": 1, "skipped": 1}
    assert problems(answer) == [(False, 2, "mt-2")]
    assert exported(desk)["mt-1"]["labels"] == ["blue", "red"]


def test_a_dry_run_answers_the_same_and_writes_nothing(desk: Desk) -> None:
    start(desk)
    before, length = exported(desk), desk.log_length()
    after = (BASE[1] | {"title": "Second"}, {"id": "mt-3"})
    answer = edit(desk, BASE, after, delete_missing=True, dry_run=True)
    assert (exported(desk), desk.log_length()) == (before, length)
    assert answer == edit(desk, BASE, after, delete_missing=True)


def test_differences_are_taken_in_once_under_a_key() -> None:
    api = make_api()
    pairs = tuple(Pairing([], lines(*BASE)))
    request = ImportEdits(actor="carol", project=PROJECT, pairs=pairs)
    first = api.call(request, key="k")
    assert counts(first) == {"created": 2}
    assert api.call(request, key="k") == first
    assert counts(api.call(request, key="another")) == {"unchanged": 2}


# -- Deletion ----------------------------------------------------------------------------------------------------
def test_a_line_that_is_gone_is_reported_and_its_issue_stays(desk: Desk) -> None:
    start(desk)
    length = desk.log_length()
    answer = edit(desk, BASE, BASE[1:])
    assert (counts(answer), problems(answer)) == ({"missing": 1}, [(True, 1, "mt-1")])
    assert desk.log_length() == length


def test_a_line_that_is_gone_deletes_its_issue_if_asked_for_and_only_once(desk: Desk) -> None:
    start(desk)
    assert edit(desk, BASE, BASE[1:], delete_missing=True) == NOTHING | {"deleted": 1}
    assert exported(desk)["mt-1"]["status"] == "tombstone"
    assert edit(desk, BASE, BASE[1:], delete_missing=True) == NOTHING | {"unchanged": 1}


def test_a_tombstone_or_an_issue_never_here_whose_line_is_gone_is_nothing_to_tell(desk: Desk) -> None:
    tombstone = BASE[0] | {"status": "tombstone"}
    start(desk, tombstone)
    assert edit(desk, (tombstone, BASE[1]), ()) == NOTHING | {"unchanged": 1}


def test_an_issue_brought_back_here_stays_though_its_tombstone_is_gone_from_the_file(desk: Desk) -> None:
    tombstone = BASE[0] | {"status": "tombstone"}
    start(desk, tombstone)
    desk.do(Undelete(actor="alice", id="mt-1"))
    assert edit(desk, (tombstone,), (), delete_missing=True) == NOTHING | {"unchanged": 1}
    assert exported(desk)["mt-1"]["status"] == "open"


def test_a_line_that_became_a_tombstone_deletes_and_back_again_undeletes(desk: Desk) -> None:
    start(desk)
    tombstone = BASE[0] | {"status": "tombstone", "deleted_by": "ann"}
    assert counts(edit(desk, BASE, (tombstone, BASE[1]))) == {"deleted": 1}
    assert exported(desk)["mt-1"]["status"] == "tombstone"
    assert counts(edit(desk, (tombstone, BASE[1]), BASE)) == {"updated": 1}
    assert exported(desk)["mt-1"]["status"] == "open"


def test_an_edit_of_what_was_deleted_here_stays_in_the_record_and_is_told(desk: Desk) -> None:
    start(desk)
    desk.do(Delete(actor="alice", id="mt-1"))
    answer = edit(desk, BASE, (BASE[0] | {"title": "First"}, BASE[1]))
    assert (counts(answer), problems(answer)) == ({"updated": 1}, [(False, 1, "mt-1")])
    assert [found["field"] for found in desk.ask(Conflicts(id="mt-1"))] == ["deleted"]


def test_a_deletion_and_an_edit_on_two_machines_are_in_conflict_on_both() -> None:
    desks = town_of("ann", "bob")
    start(desks[0])
    exchange(*desks)
    edit(desks[0], BASE, BASE[1:], delete_missing=True)
    edit(desks[1], BASE, (BASE[0] | {"title": "First"}, BASE[1]))
    exchange(*desks)
    assert desks[0].digest() == desks[1].digest()
    for desk in desks:
        assert [found["field"] for found in desk.ask(Conflicts(id="mt-1"))] == ["deleted"]


def test_the_same_line_gone_on_two_machines_is_no_conflict() -> None:
    desks = town_of("ann", "bob")
    start(desks[0])
    exchange(*desks)
    for desk in desks:
        desk.clock.advance(5)
        edit(desk, BASE, BASE[1:], delete_missing=True)
    exchange(*desks)
    assert desks[0].ask(Conflicts(id="mt-1")) == []
    assert exported(desks[0])["mt-1"]["status"] == "tombstone"


# -- What was erased ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("changed_at", [{}, {"updated_at": "2030-01-01T00:00:00Z"}])
def test_of_an_issue_with_erasures_a_line_of_no_time_or_one_to_come_is_left_out_and_told(
    desk: Desk, changed_at: dict[str, str]
) -> None:
    given = {"id": "mt-1", "title": "kumquat", "labels": ["red"], **changed_at}
    start(desk, given, BASE[1])
    desk.do(Erase(actor="eve", id="mt-1"))
    here, length = exported(desk)["mt-1"], desk.log_length()
    answer = edit(desk, (here, BASE[1]), (given, BASE[1] | {"title": "Second"}))
    assert (counts(answer), problems(answer)) == ({"updated": 1, "skipped": 1}, [(False, 1, "mt-1")])
    assert "erased here" in answer["problems"][0]["problem"]
    assert (exported(desk)["mt-1"], desk.log_length()) == (here, length + 1)


def test_what_is_written_by_hand_into_the_line_of_an_issue_with_erasures_goes_in(desk: Desk) -> None:
    start(desk)
    desk.do(Erase(actor="eve", id="mt-1"))
    here = exported(desk)["mt-1"]
    assert counts(edit(desk, (here,), (here | {"title": "Anew"},))) == {"updated": 1}
    assert exported(desk)["mt-1"]["title"] == "Anew"


# -- What is odd -------------------------------------------------------------------------------------------------
def test_what_cannot_be_stored_of_a_line_is_told_and_the_rest_goes_in(desk: Desk) -> None:
    start(desk)
    new = {"id": "mt-3", "title": "New", "labels": [""]}
    answer = edit(desk, BASE, (BASE[0] | {"title": "\ud800", "priority": 0}, BASE[1], new))
    assert counts(answer) == {"created": 1, "updated": 1}
    assert problems(answer) == [(False, 1, "mt-1"), (False, 3, "mt-3")]
    assert (exported(desk)["mt-1"]["title"], exported(desk)["mt-1"]["priority"]) == ("One", 0)


def test_a_time_long_to_come_is_kept_and_told_of_a_changed_line_and_of_a_new_one(desk: Desk) -> None:
    start(desk)
    later = {"updated_at": "2099-01-01T00:00:00Z"}
    answer = edit(desk, BASE, (BASE[0] | later, BASE[1], {"id": "mt-3", "title": "New"} | later))
    assert (counts(answer), problems(answer)) == (
        {"created": 1, "updated": 1},
        [(False, 1, "mt-1"), (False, 3, "mt-3")],
    )
    assert all(problem["kept"] for problem in answer["problems"])


def test_lines_that_are_no_issues_are_told_by_file_and_number_and_delete_nothing(desk: Desk) -> None:
    start(desk)
    pairs = (
        LinePair(1, lines(BASE[0])[0], 4, b"<<<<<<< HEAD"),
        LinePair(7, b"[]", 5, lines({"id": "mt-3", "title": "New"})[0]),
        LinePair(0, b"", 6, b'{"id": ""}'),
    )
    answer = desk.do(ImportEdits(actor="carol", project=PROJECT, pairs=pairs, delete_missing=True))
    assert (counts(answer), problems(answer)) == ({"created": 1}, [(True, 7, ""), (False, 4, ""), (False, 6, "")])


def test_a_line_that_is_refused_is_skipped_and_told(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    start(desk)
    refuse(monkeypatch, "mt-1", Code.INVALID)
    answer = edit(desk, BASE, (BASE[0] | {"title": "First"}, BASE[1] | {"title": "Second"}))
    assert (counts(answer), problems(answer)) == ({"updated": 1, "skipped": 1}, [(False, 1, "mt-1")])
    assert answer["problems"][0]["refused"]


@pytest.mark.parametrize(("name", "kind"), [("mt-1", RefusedError), ("mt-2", MootError)])
def test_what_keeps_this_replica_from_writing_is_one_error_and_nothing_is_written(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str, kind: type[MootError]
) -> None:
    start(desk)
    before = desk.tables()
    refuse(monkeypatch, name, Code.CLOCK_AHEAD)
    with pytest.raises(MootError, match="not by me") as raised:
        edit(desk, BASE, (BASE[0] | {"title": "First"}, BASE[1] | {"title": "Second"}))
    assert (type(raised.value), raised.value.code) == (kind, Code.CLOCK_AHEAD)
    assert desk.tables() == before


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, code: Code) -> None:
    """Have every event about an issue refused."""

    def refusing(unit: Unit, plane: int, draft: Draft) -> Event:
        if draft.entity == name:
            raise RefusedError("not by me", code=code)
        return append(unit, plane, draft)

    monkeypatch.setattr("mootd.engine.issues.edits.append", refusing)


def test_odd_values_of_changed_lines_are_told_as_those_of_new_ones(desk: Desk) -> None:
    start(desk)
    odd = {"status": "waiting", "issue_type": "", "labels": ["red "]}
    new = {"id": "mt-3", "title": "New", **odd}
    answer = edit(desk, BASE, (BASE[0] | odd, BASE[1], new))
    assert all(problem["kept"] for problem in answer["problems"])
    told = [problem["problem"] for problem in answer["problems"]]
    assert sorted(told[:3]) == sorted(told[3:])
    assert {each.partition(" ")[0] for each in told[:3]} == {"label", "status", "issue_type"}


def test_an_import_and_the_differences_of_its_own_export_agree(desk: Desk) -> None:
    start(desk)
    before = desk.ask(Export())["lines"]
    desk.update("mt-1", title="First", add_labels=("blue",))
    after = desk.ask(Export())["lines"]
    other = Desk("other").found()
    assert counts(edit(other, (), tuple(map(str.encode, before)))) == {"created": 2}
    edit(other, tuple(map(str.encode, before)), tuple(map(str.encode, after)))
    assert exported(other) == exported(desk)
