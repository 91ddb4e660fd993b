"""Adopting a file: imported whole, or recognised as the same file on another branch; and its lines in portions."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Create, IssueFields, Show, Update
from moot_protocol.time_units import DAY_MS
from moot_testkit.towns.mirroring import FILE, FOLDER, NEW, Mirrored, before_commit, content, line, name
from moot_testkit.towns.town import PROJECT, Api, make_api
from mootd.engine.issues.mirroring import issues_of, others_of
from mootd.engine.machine.mirrors import MirrorRow, read_mirror
from mootd.engine.unit import Unit
from mootd.mirror import intake
from mootd.mirror.intake import NAMED, adopt

THREE = (line(1), line(2), line(3))


def api_of_later() -> Api:
    """A service whose clock shows a time after all that files here name."""
    api = make_api()
    api.clock.advance(4 * 365 * DAY_MS)
    return api


def test_a_file_is_imported_whole_and_stays_as_it_is() -> None:
    mirrored = Mirrored(content(*THREE), api_of_later())
    assert mirrored.adopted.document() == {
        "created": 3, "updated": 0, "deleted": 0, "unchanged": 0, "skipped": 0, "left_alone": 0, "left_alone_ids": [],
        "problems": [],
    }  # fmt: skip
    assert mirrored.file.content == content(*THREE)
    assert not mirrored.is_to_compare


def test_a_real_file_stays_byte_for_byte_when_all_of_it_is_compared_with_the_log() -> None:
    held = (Path(__file__).parents[2] / "data" / "beads-excerpt.jsonl").read_bytes()
    mirrored = Mirrored(held, api_of_later())
    mirrored.keeper.sync(full=True, delete_missing=False)
    assert (mirrored.adopted.problems, mirrored.file.content) == ([], held)


def test_issues_that_the_project_had_before_come_into_the_file() -> None:
    api = make_api()
    first = Mirrored(content(line(2)), api, "first.jsonl")
    first.create(1, "Here before")
    mirrored = Mirrored(content(*(line(number) for number in range(10, 15))), api)
    assert mirrored.is_to_compare
    assert len(mirrored.lines) == 7
    assert b"Here before" in mirrored.lines[0]


def test_what_a_file_says_of_a_known_issue_is_taken_in_if_it_is_newer() -> None:
    api = make_api()
    first = Mirrored(content(line(1), line(2)), api, "first.jsonl")
    first.retitle(2, "Here")
    other = [line(1, "Newer", updated_at="2027-01-01T00:00:00Z"), line(9), line(8), line(7)]
    mirrored = Mirrored(content(*other), api)
    assert (mirrored.adopted.counts["updated"], mirrored.adopted.counts["created"]) == (1, 3)
    assert (mirrored.title(1), mirrored.title(2)) == ("Newer", "Here")


def test_issues_that_belong_to_other_projects_are_told_by_these_and_stay_there_as_they_are() -> None:
    api = make_api()
    first = Mirrored(content(line(1), line(2)), api, "first.jsonl")
    row = replace(first.row, project="other", file="second.jsonl")
    lines = content(line(1, "Taken over", updated_at="2027-01-01T00:00:00Z"), line(2), line(3))
    tally = adopt(api.member.commit, api.member.replica, row, lines)
    told = tally.document()
    assert (told["other_projects"], told["left_alone"], told["left_alone_ids"]) == ({"demo": 2}, 2, [name(1), name(2)])
    assert (told["created"], told["updated"], told["unchanged"], first.title(1)) == (1, 0, 0, "Issue 1")
    with api.member.replica.read() as reader:
        kept = read_mirror(reader, FOLDER, "second.jsonl")
        named = {name(number) for number in (1, 3, 9)}
        assert others_of(issues_of(api.member.replica, reader, row.plane), "other", named) == {name(1): PROJECT}
    assert kept is not None
    assert (kept.left_alone, kept.left_alone_ids, kept.left_out) == (2, (name(1), name(2)), 0)


def test_of_many_lines_of_other_projects_issues_some_are_named() -> None:
    api = make_api()
    held = content(*(line(number) for number in range(1, 10)))
    row = replace(Mirrored(held, api, "first.jsonl").row, project="other", file="second.jsonl")
    told = adopt(api.member.commit, api.member.replica, row, held).document()
    some = [name(number) for number in range(1, NAMED + 1)]
    assert (told["left_alone"], told["left_alone_ids"]) == (9, some)
    with api.member.replica.read() as reader:
        kept = read_mirror(reader, FOLDER, "second.jsonl")
    assert kept is not None
    assert (kept.left_alone, kept.left_alone_ids) == (9, tuple(some))


def test_a_second_work_trees_lines_of_other_projects_issues_are_not_called_unchanged() -> None:
    api = make_api()
    Mirrored(content(line(9)), api, "first.jsonl")
    row = replace(Mirrored(content(), api, "second.jsonl").row, project="other")
    for file, held in (("third.jsonl", (line(9), line(3))), ("fourth.jsonl", (line(9), line(3), line(4)))):
        told = adopt(api.member.commit, api.member.replica, replace(row, file=file), content(*held)).document()
    assert (told["created"], told["unchanged"], told["other_projects"]) == (1, 1, {"demo": 1})


def test_a_state_that_another_mirror_knows_brings_nothing() -> None:
    api = make_api()
    first = Mirrored(content(*THREE), api, "first.jsonl")
    first.shows(line(1), line(2, "Changed", updated_at=NEW), line(3))
    before = first.events
    second = Mirrored(content(*THREE), api, "second.jsonl")
    assert (second.events, second.lines) == (before, list(THREE))
    assert (second.adopted.counts["unchanged"], second.adopted.counts["updated"]) == (3, 0)
    assert "other_projects" not in second.adopted.document()


def test_the_same_file_on_another_branch_brings_what_differs() -> None:
    api = make_api()
    first = Mirrored(content(*THREE), api, "first.jsonl")
    first.shows(line(1), line(2, "Changed", updated_at=NEW), line(3))
    before = first.events
    second = Mirrored(content(*THREE, line(4)), api, "second.jsonl")
    assert (second.adopted.counts["created"], second.title(2)) == (1, "Changed")
    assert second.events == before + 1


@pytest.mark.parametrize("held", [content(line(1), b"<<<<<<< HEAD"), content(line(1)) + b'{"id":"de'])
def test_a_file_in_the_middle_of_something_is_refused(held: bytes) -> None:
    with pytest.raises(RefusedError) as refused:
        Mirrored(held)
    assert refused.value.code is Code.CONFLICT


def test_bad_lines_are_reported_and_stay() -> None:
    mirrored = Mirrored(content(line(1, "x" * 600), b'{"id":"de', line(2)), api_of_later())
    assert [problem["line"] for problem in mirrored.adopted.problems] == [1, 2]
    assert mirrored.lines[1] == b'{"id":"de'


def test_what_is_kept_though_it_is_shown_otherwise_counts_as_taken_in() -> None:
    mirrored = Mirrored(content(line(1, priority=9), line(2, labels=[5])), api_of_later())
    assert [each["line"] for each in mirrored.adopted.problems] == [1, 2]
    assert mirrored.row.left_out == 1


def test_an_empty_file_gets_all_that_the_project_holds() -> None:
    api = make_api()
    Mirrored(content(*THREE), api, "first.jsonl")
    assert [name(number).encode() in each for number, each in enumerate(Mirrored(b"", api).lines, 1)] == [True] * 3


def test_many_lines_go_in_several_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "PAIRS_AT_ONCE", 2)
    mirrored = Mirrored(content(*(line(number) for number in range(1, 6))))
    assert mirrored.adopted.counts["created"] == 5


# -- What others write meanwhile ---------------------------------------------------------------------------------
FIVE = tuple(line(number) for number in range(1, 6))
COMMITS = 4
"""Transactions in which five lines are adopted, two in each, and then the version noted."""


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    """A machine that takes two lines in one transaction."""
    monkeypatch.setattr(intake, "PAIRS_AT_ONCE", 2)
    return make_api()


def make(api: Api, number: int, title: str) -> object:
    """Somebody makes an issue."""
    return api.call(Create(actor="eve", project=PROJECT, id=name(number), fields=IssueFields(title=title)))


@pytest.mark.parametrize("number", range(COMMITS))
def test_an_issue_made_while_a_file_is_adopted_comes_into_it_and_the_rest_stays(
    api: Api, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    before_commit(api, monkeypatch, number, lambda: make(api, 9, "Meanwhile"))
    mirrored = Mirrored(content(*FIVE), api)
    assert (mirrored.lines[:-1], b'"title":"Meanwhile"' in mirrored.lines[-1]) == (list(FIVE), True)


def test_an_issue_made_before_its_line_is_taken_in_is_shown_as_whichever_is_newer(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = line(4, updated_at="2020-01-01T00:00:00Z"), line(5, "Newer", updated_at="2027-01-01T00:00:00Z")
    before_commit(api, monkeypatch, 1, lambda: [make(api, *each) for each in ((4, "Mine"), (5, "Older"))])
    mirrored = Mirrored(content(*FIVE[:3], older, newer), api)
    assert (mirrored.title(4), b'"title":"Mine"' in mirrored.lines[3]) == ("Mine", True)
    assert (mirrored.title(5), b'"title":"Newer"' in mirrored.lines[4]) == ("Newer", True)


@pytest.mark.parametrize("number", range(1, COMMITS))
def test_what_changes_in_an_issue_after_its_line_was_taken_in_comes_into_the_file(
    api: Api, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    change = Update(actor="eve", id=name(1), fields=IssueFields(title="Mine"))
    before_commit(api, monkeypatch, number, lambda: api.call(change))
    mirrored = Mirrored(content(*FIVE), api)
    assert (b'"title":"Mine"' in mirrored.lines[0], mirrored.lines[1:]) == (True, list(FIVE[1:]))


def adopted(api: Api, held: bytes) -> MirrorRow:
    """The row of a file that was just adopted, before anything follows."""
    replica = api.member.replica
    row = MirrorRow(folder=FOLDER, file=FILE, workspace="w1", project=PROJECT, plane=replica.ledger.id)
    adopt(api.member.commit, replica, row, held)
    with replica.read() as reader:
        found = read_mirror(reader, FOLDER, FILE)
    assert found is not None
    return found


def test_where_nobody_else_wrote_nothing_is_looked_at_again(api: Api) -> None:
    row = adopted(api, content(*FIVE))
    assert (row.arrival, row.newest_arrival) == (api.member.replica.arrival,) * 2


def test_after_a_cut_meanwhile_the_whole_file_is_to_be_compared(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(unit: Unit) -> None:
        unit.cuts += 1

    real = api.member.commit
    before_commit(api, monkeypatch, 1, lambda: real(cut))
    assert adopted(api, content(*FIVE)).cuts != api.member.replica.cuts


# -- A second work tree ------------------------------------------------------------------------------------------
NEWER = (line(1), line(2, "Changed", updated_at=NEW), line(3))


@pytest.mark.parametrize("held", [THREE, (*THREE, line(4))])
def test_a_second_work_tree_on_an_older_branch_is_behind_until_it_has_what_is_newer(held: tuple[bytes, ...]) -> None:
    api = make_api()
    first = Mirrored(content(*THREE), api, "first.jsonl")
    first.shows(*NEWER)
    first.retitle(3, "Waits")
    second = Mirrored(content(*held), api, "second.jsonl")
    assert (second.row.is_behind, second.lines) == (True, list(held))
    second.shows(*NEWER, *held[3:])
    second.quiet()
    assert (second.row.is_behind, b'"title":"Waits"' in second.lines[2]) == (False, True)


def test_a_second_work_tree_that_was_never_seen_reverts_nothing() -> None:
    api = make_api()
    first = Mirrored(content(*NEWER), api, "first.jsonl")
    second = Mirrored(content(*THREE), api, "second.jsonl")
    assert (first.title(2), second.row.is_behind, second.row.older) == ("Changed", True, 1)


def test_a_second_work_tree_on_the_same_branch_gets_what_the_first_waits_for() -> None:
    api = make_api()
    first = Mirrored(content(*THREE), api, "first.jsonl")
    first.retitle(3, "Waits")
    second = Mirrored(content(*THREE), api, "second.jsonl")
    assert (second.row.is_behind, b'"title":"Waits"' in second.lines[2]) == (False, True)


def test_lines_that_are_equal_or_older_than_what_is_known_count_as_unchanged() -> None:
    api = make_api()
    first = Mirrored(content(*THREE), api, "first.jsonl")
    first.shows(line(1), line(2, "Changed", updated_at=NEW), line(3))
    second = Mirrored(content(line(1), line(2, "Older", updated_at="2025-01-01T00:00:00Z"), line(3)), api, "b.jsonl")
    assert (second.adopted.counts["unchanged"], second.adopted.counts["updated"], second.row.older) == (3, 0, 1)


@pytest.mark.parametrize("odd", ['demo-"x', "demo-\\u0041", "demo-\\b", "demo-ä"])
def test_a_missing_issue_is_deleted_whatever_its_id_holds(odd: str) -> None:
    innocent = line(1, id="demo-A")
    mirrored = Mirrored(content(innocent, line(2, id=odd), line(3)))
    mirrored.shows(innocent, line(3))
    mirrored.keeper.sync(full=False, delete_missing=True)
    shown = mirrored.api.call(Show(ids=(odd, "demo-A")))
    assert [issue["status"] for issue in shown] == ["tombstone", "open"]
