"""A mirror of a file on branches: an older one stays what it is, and what is newer is not forgotten meanwhile."""

import json

import pytest
from msgspec import structs

from moot_protocol.issues.erasure import TITLE_ERASED
from moot_protocol.merge.kinds import ISSUE
from moot_protocol.requests.actions import Erase
from moot_testkit.towns.mirroring import NEW, OLD, Mirrored, before_commit, content, line, name
from moot_testkit.towns.town import make_api
from mootd.engine.erasure.erasing import append_erasures, said_under, written
from mootd.engine.exchange.cut import Place
from mootd.engine.machine.mirrors import MirrorRow
from mootd.engine.unit import Unit
from mootd.mirror import intake
from mootd.mirror.intake import NEVER_CUT

THREE = (line(1), line(2), line(3))
CHANGED = line(2, "Changed", updated_at=NEW)


@pytest.fixture
def mirrored() -> Mirrored:
    return Mirrored(content(*THREE))


def test_going_back_to_an_older_branch_and_forth_brings_no_events_and_leaves_both_files(mirrored: Mirrored) -> None:
    mirrored.shows(line(1), CHANGED, line(3), line(4))
    mirrored.quiet()
    before = mirrored.events
    mirrored.shows(*THREE)
    mirrored.quiet()
    assert (mirrored.events, mirrored.lines, mirrored.row.is_behind) == (before, list(THREE), True)
    mirrored.shows(line(1), CHANGED, line(3), line(4))
    mirrored.quiet()
    assert (mirrored.events, mirrored.row.is_behind, mirrored.title(2)) == (before, False, "Changed")


def test_on_an_older_branch_only_what_changes_there_is_written(mirrored: Mirrored) -> None:
    mirrored.shows(line(1), CHANGED, line(3), line(4))
    mirrored.shows(*THREE)
    mirrored.retitle(3, "Mine")
    mirrored.quiet()
    assert mirrored.lines[:2] == [line(1), line(2)]
    assert b'"title":"Mine"' in mirrored.lines[2]


def test_an_older_version_with_edits_brings_the_edits_alone(mirrored: Mirrored) -> None:
    newer = [line(1), CHANGED, line(3), *(line(number) for number in range(4, 12))]
    mirrored.shows(*newer)
    mirrored.quiet()
    before = mirrored.events
    mirrored.shows(line(1), line(2), line(3, "On the old branch", updated_at=NEW))
    assert (mirrored.events - before, mirrored.title(2), mirrored.title(3)) == (1, "Changed", "On the old branch")
    assert mirrored.row.missing == ()


@pytest.mark.parametrize("restarts", [False, True])
def test_what_waited_is_not_written_into_an_older_version_with_edits(mirrored: Mirrored, restarts: bool) -> None:
    mirrored.shows(line(1), CHANGED, line(3), *(line(number) for number in range(4, 12)))
    mirrored.quiet()
    mirrored.retitle(1, "Mine")
    mirrored.step()
    older = (line(1), line(2), line(3, "On the old branch", updated_at=NEW))
    mirrored.shows(*older)
    if restarts:
        mirrored.restart()
    mirrored.quiet()
    assert mirrored.lines == list(older)


def test_what_waits_outlives_a_change_of_the_file_and_a_restart(mirrored: Mirrored) -> None:
    mirrored.retitle(2, "Mine")
    mirrored.shows(line(1), line(2), line(3, "Theirs", updated_at=NEW))
    mirrored.restart()
    mirrored.quiet()
    assert b'"title":"Mine"' in mirrored.lines[1]


def test_what_waited_when_the_branch_was_left_is_written_on_the_way_back(mirrored: Mirrored) -> None:
    mirrored.shows(line(1), CHANGED, line(3))
    mirrored.quiet()
    mirrored.retitle(1, "Mine")
    mirrored.shows(*THREE)
    mirrored.quiet()
    assert mirrored.lines == list(THREE)
    mirrored.shows(line(1), CHANGED, line(3))
    mirrored.quiet()
    assert b'"title":"Mine"' in mirrored.lines[0]


def test_a_full_sync_brings_an_older_branch_to_what_the_project_holds(mirrored: Mirrored) -> None:
    mirrored.shows(line(1), CHANGED, line(3), line(4))
    mirrored.shows(*THREE)
    mirrored.keeper.sync(full=True, delete_missing=False)
    assert [b'"title":"Changed"' in mirrored.lines[1], len(mirrored.lines)] == [True, 4]
    assert not mirrored.row.is_behind


def test_an_older_branch_stays_one_while_only_a_part_of_it_is_written(mirrored: Mirrored) -> None:
    mirrored.shows(line(1), CHANGED, line(3), line(4))
    mirrored.shows(*THREE)
    for title in ("Mine", "Mine again"):
        mirrored.retitle(3, title)
        mirrored.quiet()
        assert (mirrored.lines[:2], mirrored.row.is_behind) == ([line(1), line(2)], True)
    mirrored.shows(line(1), CHANGED, line(3), line(4))
    mirrored.quiet()
    assert (mirrored.lines[:2], mirrored.row.is_behind) == ([line(1), CHANGED], False)
    assert b'"title":"Mine again"' in mirrored.lines[2]


def test_an_older_branch_stays_one_when_it_is_edited_and_a_full_sync_ends_that(mirrored: Mirrored) -> None:
    newer = [line(1), CHANGED, line(3), *(line(number) for number in range(4, 12))]
    mirrored.shows(*newer)
    for title in ("On the old branch", "Once more"):
        mirrored.shows(line(1), line(2), line(3, title, updated_at=NEW))
        mirrored.quiet()
        assert mirrored.row.is_behind
    mirrored.keeper.sync(full=True, delete_missing=False)
    assert b'"title":"Changed"' in mirrored.lines[1]
    assert (len(mirrored.lines), mirrored.row.is_behind) == (11, False)


def test_an_older_branch_that_was_given_all_that_is_newer_is_one_no_more(mirrored: Mirrored) -> None:
    mirrored.shows(line(1), CHANGED, line(3))
    mirrored.quiet()
    mirrored.retitle(1, "Waits for the newer branch")
    mirrored.shows(*THREE)
    mirrored.retitle(3, "Mine")
    mirrored.quiet()
    assert (mirrored.lines[:2], mirrored.row.is_behind) == ([line(1), line(2)], True)
    mirrored.retitle(2, "Changed again")
    mirrored.quiet()
    assert not mirrored.row.is_behind
    assert b'"title":"Waits for the newer branch"' in mirrored.lines[0]
    assert b'"title":"Changed again"' in mirrored.lines[1]


def test_a_merge_of_the_newer_branch_into_an_older_one_catches_up(mirrored: Mirrored) -> None:
    mirrored.shows(*THREE, line(4))
    mirrored.shows(line(1), CHANGED, line(3), line(4))
    mirrored.quiet()
    mirrored.retitle(4, "Waits for the newer branch")
    mirrored.shows(*THREE, line(4))
    for number in (1, 3):
        mirrored.retitle(number, "Mine")
    mirrored.quiet()
    before = mirrored.events
    mirrored.shows(mirrored.lines[0], CHANGED, mirrored.lines[2], line(4))
    assert (mirrored.events, mirrored.row.is_behind) == (before, False)
    mirrored.quiet()
    assert b'"title":"Waits for the newer branch"' in mirrored.lines[3]


@pytest.mark.parametrize("is_written_there", [False, True])
def test_what_changed_meanwhile_is_written_into_the_newer_branch_that_comes_back_with_edits(
    mirrored: Mirrored, is_written_there: bool
) -> None:
    newer = [line(1), CHANGED, line(3), *(line(number) for number in range(4, 12))]
    mirrored.shows(*newer)
    mirrored.quiet()
    mirrored.shows(*THREE)
    mirrored.retitle(1, "Mine")
    mirrored.step()
    if is_written_there:
        mirrored.quiet()
    mirrored.shows(line(1), CHANGED, line(3, "Stashed", updated_at=NEW), *newer[3:])
    mirrored.quiet()
    assert (b'"title":"Mine"' in mirrored.lines[0], mirrored.title(3)) == (True, "Stashed")
    assert not mirrored.row.is_behind


def test_discarding_on_an_older_branch_brings_the_file_to_what_the_project_holds(mirrored: Mirrored) -> None:
    mirrored.shows(line(1), CHANGED, line(3), line(4))
    mirrored.shows(*THREE)
    mirrored.shows(line(3, "Made up", updated_at=OLD))
    assert mirrored.row.doubt is not None
    mirrored.keeper.resume(accept=False)
    assert (b'"title":"Changed"' in mirrored.lines[1], len(mirrored.lines)) == (True, 4)
    assert not mirrored.row.is_behind


@pytest.mark.parametrize("full", [False, True])
def test_what_was_written_on_an_older_branch_before_a_crash_is_as_old_as_it_was(mirrored: Mirrored, full: bool) -> None:
    mirrored.shows(line(1), CHANGED, line(3), line(4))
    mirrored.shows(*THREE)
    noted: list[MirrorRow] = []
    mirrored.file.before_replace = lambda: noted.append(mirrored.row)
    mirrored.retitle(3, "Mine")
    mirrored.keeper.sync(full=full, delete_missing=False)
    written = mirrored.row
    # As if the process had died between the rename and the note of it.
    mirrored.put(**structs.asdict(noted[0]))
    mirrored.restart()
    mirrored.quiet()
    assert (mirrored.row.current, mirrored.row.is_behind, mirrored.row.writing) == (written.current, not full, 0)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_an_issue_made_while_an_older_branch_is_taken_in_comes_into_it(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    mirrored.shows(line(1), CHANGED, line(3), *(line(number) for number in range(4, 12)))
    mirrored.quiet()
    monkeypatch.setattr(intake, "PAIRS_AT_ONCE", 1)
    before_commit(mirrored.api, monkeypatch, number, lambda: mirrored.create(20, "Meanwhile"))
    mirrored.restart()
    mirrored.shows(line(1, "Changed on it", updated_at=NEW), line(2), line(3, "This one, too", updated_at=NEW))
    mirrored.quiet()
    assert (mirrored.row.is_behind, len(mirrored.lines)) == (True, 4)
    assert b'"title":"Meanwhile"' in mirrored.lines[3]


# -- States that nobody knows ------------------------------------------------------------------------------------
FIVE = (*(line(number) for number in range(1, 5)), line(5, "Newer", updated_at=NEW))


def test_a_branch_that_was_never_seen_reverts_nothing_and_stays_an_earlier_version() -> None:
    mirrored = Mirrored(content(*FIVE))
    before = mirrored.events
    mirrored.shows(*FIVE[:3], line(5))
    mirrored.retitle(1, "Mine")
    mirrored.quiet()
    assert (mirrored.events, mirrored.title(5)) == (before + 1, "Newer")
    assert (mirrored.row.is_behind, mirrored.row.older, mirrored.row.missing) == (True, 1, ())
    assert (mirrored.lines[1:], b'"title":"Mine"' in mirrored.lines[0]) == ([*FIVE[1:3], line(5)], True)
    mirrored.shows(*FIVE)
    assert (mirrored.row.is_behind, mirrored.row.older, mirrored.title(5)) == (False, 0, "Newer")
    mirrored.quiet()
    assert b'"title":"Mine"' in mirrored.lines[0]


def test_what_waits_is_not_written_into_a_branch_that_was_never_seen() -> None:
    mirrored = Mirrored(content(*FIVE))
    mirrored.retitle(1, "Mine")
    mirrored.step()
    mirrored.shows(*FIVE[:4], line(5))
    mirrored.quiet()
    assert mirrored.lines == [*FIVE[:4], line(5)]
    mirrored.shows(*FIVE)
    mirrored.quiet()
    assert b'"title":"Mine"' in mirrored.lines[0]


def test_edits_in_a_branch_that_was_never_seen_are_taken_in_without_what_is_older_there() -> None:
    mirrored = Mirrored(content(*FIVE))
    edited = line(1, "Edited", updated_at=NEW)
    mirrored.shows(edited, *FIVE[1:4], line(5))
    assert (mirrored.title(1), mirrored.title(5), mirrored.row.is_behind) == ("Edited", "Newer", True)
    mirrored.shows(edited, *FIVE[1:])
    assert (mirrored.row.is_behind, mirrored.row.older) == (False, 0)


@pytest.mark.parametrize("is_asked", [False, True])
def test_after_a_cut_an_earlier_version_stays_and_the_newest_is_compared_whole(
    mirrored: Mirrored, is_asked: bool
) -> None:
    newer = (line(1), CHANGED, line(3), line(4))
    mirrored.shows(*newer)
    mirrored.retitle(3, "Not told of")
    mirrored.shows(*THREE)
    mirrored.put(cuts=NEVER_CUT, newest_arrival=mirrored.api.member.replica.arrival)
    mirrored.restart()
    mirrored.quiet()
    assert mirrored.lines == list(THREE)
    mirrored.retitle(1, "Mine")
    if is_asked:
        mirrored.keeper.sync(full=False, delete_missing=False)
    mirrored.quiet()
    assert (b'"title":"Mine"' in mirrored.lines[0], mirrored.lines[1:]) == (True, list(THREE[1:]))
    mirrored.shows(*newer)
    mirrored.quiet()
    assert b'"title":"Not told of"' in mirrored.lines[2]


def test_a_work_tree_that_is_brought_to_what_another_one_wrote_is_in_step() -> None:
    api = make_api()
    one, other = Mirrored(content(*THREE), api, "one.jsonl"), Mirrored(content(*THREE), api, "other.jsonl")
    one.retitle(1, "Mine")
    one.keeper.sync(full=False, delete_missing=False)
    for lines, is_behind in ((one.lines, False), (THREE, True), (one.lines, False)):
        other.shows(*lines)
        assert other.row.is_behind is is_behind
    before = other.events
    other.quiet()
    assert (other.row.is_behind, other.lines, other.events) == (False, one.lines, before)


@pytest.mark.parametrize("changed_at", [{}, {"updated_at": "2099-01-01T00:00:00Z"}])
def test_a_state_from_before_an_erasure_does_not_bring_it_back_whatever_time_it_names(
    changed_at: dict[str, str],
) -> None:
    fields = {"id": name(2), "title": "kumquat", "description": "kumquat", **changed_at}
    held = content(line(1), json.dumps(fields).encode(), line(3))
    mirrored = Mirrored(held)
    mirrored.api.call(Erase(actor="eve", id=name(2)))
    mirrored.quiet()
    assert b"kumquat" not in b"".join(mirrored.lines)
    before = mirrored.events
    mirrored.file.write(held)
    mirrored.keeper.sync(full=False, delete_missing=False)
    assert (mirrored.events, mirrored.title(2), mirrored.row.left_out) == (before, TITLE_ERASED, 1)


def test_an_erasure_that_comes_without_a_write_to_the_issue_goes_into_the_file() -> None:
    mirrored = Mirrored(content(line(1), line(2, description="kumquat"), line(3)))
    member = mirrored.api.member

    def erase_alone(unit: Unit) -> None:
        plane = member.replica.ledger.number
        append_erasures(unit, plane, written(unit, plane, Place(ISSUE, name(2)), said_under("description")), "eve")

    member.commit(erase_alone)
    mirrored.quiet()
    assert b"kumquat" not in b"".join(mirrored.lines)
    assert (mirrored.lines[0], mirrored.lines[2]) == (line(1), line(3))
