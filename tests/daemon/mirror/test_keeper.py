"""A mirror at work: what the file says goes into the log, what the log says into the file, and nothing goes round."""

import itertools
import os
from collections.abc import Callable

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.issues import Create, Delete, InitProject, IssueFields, Update
from moot_testkit.towns.mirroring import NEW, OLD, Mirrored, content, line, name
from moot_testkit.towns.town import make_api
from mootd.engine.machine.mirrors import drop_mirror
from mootd.engine.stored import layout
from mootd.mirror import keeper as keeper_module
from mootd.mirror.intake import NEVER_CUT
from mootd.mirror.keeper import FILE_QUIET_MS, LOOK_MS, RETRY_MS, WRITE_LATEST_MS, WRITE_QUIET_MS
from mootd.store.port import Table

MANY = 10_000 if os.environ.get("MOOT_SCALE") == "ci" else 300
THREE = (line(1), line(2), line(3))
CHANGED = line(2, "Changed", updated_at=NEW)


@pytest.fixture
def mirrored() -> Mirrored:
    return Mirrored(content(*THREE))


def another_project(mirrored: Mirrored) -> Callable[[], object]:
    """Another project of the same plane; gives what changes an issue there, by one event each time."""
    call = mirrored.api.call
    call(InitProject(actor="ada", prefix="other"))
    theirs = call(Create(actor="ada", project="other", fields=IssueFields(title="Theirs")))["id"]
    titles = map(str, itertools.count())
    return lambda: call(Update(actor="ada", id=theirs, fields=IssueFields(title=next(titles))))


# -- From the file -----------------------------------------------------------------------------------------------
def test_a_changed_line_is_one_event(mirrored: Mirrored) -> None:
    before = mirrored.events
    mirrored.shows(line(1), CHANGED, line(3))
    assert (mirrored.events - before, mirrored.title(2)) == (1, "Changed")


def test_of_many_issues_one_changed_line_is_one_event() -> None:
    lines = [line(number) for number in range(1, MANY + 1)]
    large = Mirrored(content(*lines))
    before = large.events
    lines[200] = line(201, "Changed", updated_at=NEW)
    large.shows(*lines)
    assert (large.events - before, large.title(201)) == (1, "Changed")


def test_the_actor_is_whom_the_line_names_and_else_the_mirror(mirrored: Mirrored) -> None:
    before = len(mirrored.who())
    mirrored.shows(line(1), CHANGED, line(3, "By bo", updated_at=NEW, updated_by="bo"), line(4, created_by="cy"))
    assert sorted(set(mirrored.who()[before:])) == ["bo", "cy", "mirror"]


def test_a_file_that_still_changes_is_left_to_itself(mirrored: Mirrored) -> None:
    before = mirrored.events
    mirrored.file.write(content(line(1)))
    assert mirrored.step() == FILE_QUIET_MS
    mirrored.file.write(content(line(1), CHANGED, line(3)))
    assert mirrored.step(FILE_QUIET_MS) == FILE_QUIET_MS
    assert mirrored.events == before
    mirrored.step(FILE_QUIET_MS)
    assert mirrored.events == before + 1


def test_a_file_that_changes_while_it_is_read_is_read_again(mirrored: Mirrored) -> None:
    def meanwhile() -> None:
        mirrored.file.after_read = lambda: None
        mirrored.file.write(content(*THREE))

    before = mirrored.events
    mirrored.file.after_read = meanwhile
    mirrored.shows(line(1), CHANGED, line(3))
    mirrored.quiet()
    assert (mirrored.events, mirrored.title(2)) == (before, "Issue 2")


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (content(line(1), CHANGED) + line(3)[:40], "half written"),
        (content(line(1), line(2)[:30], line(3)), "half written"),
        (content(line(1), b"<<<<<<< HEAD", CHANGED, b"=======", line(2), b">>>>>>> other", line(3)), "conflict marker"),
    ],
)
def test_a_half_written_file_and_a_conflict_are_refused_until_they_are_gone(
    mirrored: Mirrored, held: bytes, words: str
) -> None:
    before = mirrored.events
    mirrored.file.write(held)
    mirrored.retitle(1, "Mine")
    mirrored.quiet()
    assert words in mirrored.row.problem
    assert (mirrored.file.content, mirrored.events) == (held, before + 1)
    mirrored.shows(line(1), CHANGED, line(3))
    assert (mirrored.row.problem, mirrored.title(2)) == ("", "Changed")
    mirrored.quiet()
    assert b'"title":"Mine"' in mirrored.lines[0]


@pytest.mark.parametrize("held", [b"# Notes\n\nbuy milk\n", b"notes", b'{\n  "name": "other"\n}\n', b"\x00\x01\xff"])
def test_a_file_that_another_program_put_in_its_place_is_not_called_half_written(
    mirrored: Mirrored, held: bytes
) -> None:
    before = mirrored.events
    mirrored.file.write(held)
    mirrored.quiet()
    assert mirrored.row.problem.startswith("it was replaced: not a single line of it is an issue")
    assert (mirrored.file.content, mirrored.events) == (held, before)
    mirrored.shows(*THREE)
    assert mirrored.row.problem == ""


@pytest.mark.parametrize("held", [line(1)[:30], CHANGED + b"\n" + line(3)[:30]])
def test_a_file_whose_last_line_alone_is_cut_is_half_written_though_none_of_its_lines_was_there(
    mirrored: Mirrored, held: bytes
) -> None:
    mirrored.file.write(held)
    mirrored.quiet()
    assert "half written" in mirrored.row.problem


def test_a_bad_line_that_was_there_before_keeps_nothing_up_and_stays() -> None:
    bad = b'{"id": "demo-00'
    mirrored = Mirrored(content(line(1), bad, line(2)))
    mirrored.shows(line(1), bad, CHANGED)
    assert (mirrored.row.problem, mirrored.title(2)) == ("", "Changed")
    mirrored.retitle(1, "Mine")
    mirrored.quiet()
    assert mirrored.lines[1:] == [bad, CHANGED]


def test_a_line_that_is_gone_deletes_nothing_and_is_told(mirrored: Mirrored) -> None:
    before = mirrored.events
    mirrored.shows(line(1), line(3))
    mirrored.quiet()
    assert (mirrored.events, mirrored.row.missing) == (before, (name(2),))
    assert (mirrored.lines, mirrored.row.is_behind) == ([line(1), line(3)], False)
    mirrored.keeper.sync(full=False, delete_missing=True)
    assert (mirrored.show(2)["status"], mirrored.row.missing) == ("tombstone", ())


def test_a_line_that_comes_back_is_missed_no_more(mirrored: Mirrored) -> None:
    mirrored.shows(line(1), line(3))
    mirrored.shows(line(1), line(2), line(3), line(4))
    assert mirrored.row.missing == ()


def test_a_file_that_is_gone_is_told_and_not_made_again(mirrored: Mirrored) -> None:
    mirrored.file.write(None)
    mirrored.retitle(1, "Mine")
    mirrored.quiet()
    assert mirrored.row.problem.startswith("the file is gone")
    assert "`moot mirror on` there" in mirrored.row.problem
    assert mirrored.file.content is None
    mirrored.shows(*THREE)
    mirrored.quiet()
    assert (mirrored.row.problem, b'"title":"Mine"' in mirrored.lines[0]) == ("", True)


def test_a_line_that_cant_be_stored_whole_is_told_and_stays(mirrored: Mirrored) -> None:
    mirrored.shows(line(1), line(2, "x" * 62_000, updated_at=NEW), line(3))
    assert mirrored.row.left_out == 1
    mirrored.quiet()
    assert mirrored.lines[1] == line(2, "x" * 62_000, updated_at=NEW)


def test_a_line_that_is_kept_whole_but_shown_otherwise_stays_and_nothing_of_it_is_left_out(mirrored: Mirrored) -> None:
    odd = line(2, "x" * 600, priority=9, updated_at=NEW)
    mirrored.shows(line(1), odd, line(3))
    mirrored.quiet()
    assert (mirrored.row.left_out, mirrored.title(2), mirrored.lines[1]) == (0, "x" * 500, odd)


def test_where_this_replica_cant_write_the_file_waits_until_it_can(mirrored: Mirrored) -> None:
    member = mirrored.api.member
    member.commit(lambda unit: unit.transaction.put(Table.META, layout.COPIED, b"x"))
    mirrored.shows(line(1), CHANGED, line(3))
    assert "can't write" in mirrored.row.problem
    member.commit(lambda unit: unit.transaction.delete(Table.META, layout.COPIED))
    mirrored.step(LOOK_MS)
    assert (mirrored.row.problem, mirrored.title(2)) == ("", "Changed")


def test_a_link_in_its_place_is_refused(mirrored: Mirrored) -> None:
    mirrored.file.is_link = True
    mirrored.step()
    assert "link" in mirrored.row.problem


# -- Back to the file --------------------------------------------------------------------------------------------
def test_own_changes_are_written_after_five_quiet_seconds_and_nothing_else_is_touched(mirrored: Mirrored) -> None:
    mirrored.retitle(2, "Mine")
    mirrored.create(0, "New")
    assert mirrored.step() == WRITE_QUIET_MS
    mirrored.step(WRITE_QUIET_MS - 1)
    assert mirrored.lines == list(THREE)
    mirrored.step(1)
    assert mirrored.lines[1::2] == [line(1), line(3)]
    assert [b'"title":"New"' in mirrored.lines[0], b'"x_rank":2' in mirrored.lines[2]] == [True, True]


def test_what_never_gets_quiet_is_written_within_a_minute(mirrored: Mirrored) -> None:
    for count in range(WRITE_LATEST_MS // 4000 + 2):
        mirrored.retitle(2, f"Mine {count}")
        mirrored.step(4000)
    assert b"Mine" in mirrored.lines[1]


def test_another_project_that_never_gets_quiet_keeps_nothing_waiting(mirrored: Mirrored) -> None:
    elsewhere = another_project(mirrored)
    mirrored.retitle(2, "Mine")
    for _ in range(WRITE_QUIET_MS // 1000):
        mirrored.step(1000)
        elsewhere()
        assert mirrored.keeper.waiting == 1
    mirrored.step(1000)
    assert b"Mine" in mirrored.lines[1]


def test_what_another_project_does_is_nothing_to_write_and_is_looked_at_once(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "PASSED_OVER", 4)
    elsewhere, before = another_project(mirrored), mirrored.row
    noted = set()
    for _ in range(8):
        elsewhere()
        mirrored.quiet()
        noted.add(mirrored.row.arrival)
    assert (mirrored.keeper.waiting, len(noted)) == (0, 3)
    assert mirrored.row.newest_arrival == max(noted) > mirrored.events - 4
    assert (mirrored.row.current, mirrored.row.changed_ms) == (before.current, before.changed_ms)
    mirrored.retitle(2, "Mine")
    mirrored.restart()
    mirrored.quiet()
    assert b"Mine" in mirrored.lines[1]


def test_own_writes_bring_no_events_and_are_not_repeated(mirrored: Mirrored) -> None:
    mirrored.retitle(2, "Mine")
    mirrored.quiet()
    written, before = mirrored.file.content, mirrored.events
    mirrored.quiet()
    mirrored.restart()
    mirrored.quiet()
    assert (mirrored.file.content, mirrored.events) == (written, before)


def test_what_came_from_the_file_is_not_written_back(mirrored: Mirrored) -> None:
    mirrored.shows(line(3, "Now first", updated_at=NEW), line(1), CHANGED)
    before = mirrored.file.stamp()
    mirrored.quiet()
    assert mirrored.file.stamp() == before


def test_a_change_here_and_one_in_the_file_come_together(mirrored: Mirrored) -> None:
    mirrored.retitle(2, "Mine")
    mirrored.shows(line(1), line(2, priority=0, updated_at=NEW), line(3))
    mirrored.quiet()
    shown = mirrored.show(2)
    assert (shown["title"], shown["priority"]) == ("Mine", 0)
    assert b'"title":"Mine"' in mirrored.lines[1]
    assert b'"priority":0' in mirrored.lines[1]


def test_a_file_that_changes_just_before_it_is_replaced_is_taken_in_first(mirrored: Mirrored) -> None:
    def meanwhile() -> None:
        mirrored.file.before_replace = lambda: None
        mirrored.file.write(content(line(1), line(2), line(3, "Theirs", updated_at=NEW)))

    mirrored.retitle(2, "Mine")
    mirrored.file.before_replace = meanwhile
    mirrored.quiet()
    mirrored.quiet()
    assert mirrored.title(3) == "Theirs"
    assert b'"title":"Mine"' in mirrored.lines[1]
    assert mirrored.lines[2] == line(3, "Theirs", updated_at=NEW)


def test_a_read_only_folder_is_told_and_tried_again_and_still_read(mirrored: Mirrored) -> None:
    mirrored.file.is_read_only = True
    mirrored.retitle(2, "Mine")
    mirrored.quiet()
    assert "can't be written" in mirrored.row.problem
    mirrored.shows(line(1, "Theirs", updated_at=NEW), line(2), line(3))
    assert mirrored.title(1) == "Theirs"
    mirrored.file.is_read_only = False
    mirrored.step(RETRY_MS)
    mirrored.step(RETRY_MS)
    assert (mirrored.row.problem, b'"title":"Mine"' in mirrored.lines[1]) == ("", True)


def test_what_an_earlier_release_noted_of_a_file_it_could_not_write_holds_nothing_up(mirrored: Mirrored) -> None:
    mirrored.put(problem="it can't be written: read-only folder")
    mirrored.retitle(2, "Mine")
    mirrored.restart()
    mirrored.quiet()
    assert (mirrored.row.problem, b'"title":"Mine"' in mirrored.lines[1]) == ("", True)


def test_whether_a_problem_is_one_of_writing_is_no_matter_of_its_words(mirrored: Mirrored) -> None:
    mirrored.retitle(2, "Mine")
    mirrored.put(problem="it can't be written: it is half a file")
    mirrored.step(WRITE_QUIET_MS)
    mirrored.step(WRITE_QUIET_MS)
    assert b'"title":"Mine"' not in mirrored.lines[1]
    mirrored.put(problem="the disk is full", is_unwritten=True)
    mirrored.step(RETRY_MS)
    assert (mirrored.row.problem, b'"title":"Mine"' in mirrored.lines[1]) == ("", True)


def test_writing_that_failed_is_tried_again_though_nothing_else_happens(mirrored: Mirrored) -> None:
    mirrored.file.is_read_only = True
    mirrored.retitle(2, "Mine")
    mirrored.quiet()
    mirrored.file.is_read_only = False
    mirrored.step(RETRY_MS)
    assert (mirrored.row.problem, b'"title":"Mine"' in mirrored.lines[1]) == ("", True)


def test_a_deleted_issue_becomes_a_tombstone_and_one_without_a_line_stays_without(mirrored: Mirrored) -> None:
    mirrored.create(4, "Short-lived")
    for number in (2, 4):
        mirrored.api.call(Delete(actor="ada", id=name(number)))
    mirrored.quiet()
    assert [b"tombstone" in each for each in mirrored.lines] == [False, True, False]


# -- Doubts ------------------------------------------------------------------------------------------------------
def test_when_over_half_of_the_issues_are_gone_it_asks_and_neither_side_follows(mirrored: Mirrored) -> None:
    before = mirrored.events
    mirrored.shows(line(2))
    mirrored.retitle(1, "Mine")
    mirrored.quiet()
    assert mirrored.row.doubt is not None
    assert (mirrored.row.doubt.gone, mirrored.row.doubt.total) == (2, 3)
    assert (mirrored.lines, mirrored.events) == ([line(2)], before + 1)


def test_half_of_the_issues_gone_is_no_doubt() -> None:
    mirrored = Mirrored(content(line(1), line(2)))
    mirrored.shows(line(1))
    assert mirrored.row.doubt is None


def test_when_over_half_went_back_to_an_older_state_it_asks(mirrored: Mirrored) -> None:
    newer = [line(number, "Newer", updated_at=NEW) for number in (1, 2, 3)]
    mirrored.shows(*newer)
    mirrored.shows(*(line(number, "Made up", updated_at=OLD) for number in (1, 2, 3)))
    assert mirrored.row.doubt is not None
    assert mirrored.row.doubt.reverted == 3
    assert mirrored.title(1) == "Newer"


def test_a_question_is_withdrawn_when_the_file_comes_back(mirrored: Mirrored) -> None:
    mirrored.shows()
    assert mirrored.row.doubt is not None
    mirrored.shows(*THREE)
    assert mirrored.row.doubt is None


def test_accepting_takes_the_file_for_right_and_deletes_what_is_gone(mirrored: Mirrored) -> None:
    mirrored.shows(CHANGED)
    mirrored.keeper.resume(accept=True)
    assert [mirrored.show(number)["status"] for number in (1, 2, 3)] == ["tombstone", "open", "tombstone"]
    assert (mirrored.title(2), mirrored.row.doubt) == ("Changed", None)
    mirrored.quiet()
    assert mirrored.lines == [CHANGED]


def test_discarding_writes_the_file_anew_with_what_was_done_here_since(mirrored: Mirrored) -> None:
    mirrored.shows(CHANGED)
    mirrored.retitle(1, "Mine")
    before = mirrored.events
    mirrored.keeper.resume(accept=False)
    assert (mirrored.events, mirrored.row.doubt) == (before, None)
    assert mirrored.lines[1:] == [line(2), line(3)]
    assert b'"title":"Mine"' in mirrored.lines[0]
    mirrored.quiet()
    assert mirrored.events == before


def test_what_can_not_be_read_can_not_be_accepted(mirrored: Mirrored) -> None:
    mirrored.shows()
    mirrored.file.write(b"<<<<<<< HEAD\n")
    with pytest.raises(RefusedError, match="conflict marker") as refused:
        mirrored.keeper.resume(accept=True)
    assert (refused.value.code, mirrored.row.doubt is None) == (Code.CONFLICT, False)
    mirrored.keeper.resume(accept=False)
    assert (mirrored.lines, mirrored.row.problem) == (list(THREE), "")


README = b"# A title\n\nSome words.\n"


def test_a_file_that_became_something_else_is_told_and_nothing_is_written_into_it(mirrored: Mirrored) -> None:
    mirrored.file.write(README)
    mirrored.quiet()
    mirrored.retitle(1, "Mine")
    mirrored.quiet()
    assert mirrored.row.problem.startswith("it was replaced: ")
    with pytest.raises(RefusedError):
        mirrored.keeper.resume(accept=False)
    assert mirrored.file.content == README


def test_discarding_does_not_write_over_a_file_that_became_something_else_while_it_was_asked_about(
    mirrored: Mirrored,
) -> None:
    mirrored.shows()
    mirrored.file.write(README)
    with pytest.raises(RefusedError, match="not a single line of it is an issue") as refused:
        mirrored.keeper.resume(accept=False)
    assert (refused.value.code, "mirror off" in refused.value.hint) == (Code.DENIED, True)
    assert mirrored.file.content == README


def test_nothing_is_written_into_something_else_though_it_was_adopted_by_an_earlier_release(
    mirrored: Mirrored, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper_module, "problem_of_change", lambda *_: None)
    monkeypatch.setattr(keeper_module, "doubt_of", lambda *_: None)
    mirrored.file.write(README)
    mirrored.quiet()
    mirrored.retitle(1, "Mine")
    mirrored.quiet()
    assert mirrored.file.content == README
    assert "it can't be written: not a single line" in mirrored.row.problem


def test_there_is_nothing_to_answer_where_nothing_is_asked(mirrored: Mirrored) -> None:
    with pytest.raises(RefusedError) as refused:
        mirrored.keeper.resume(accept=True)
    assert refused.value.code is Code.CONFLICT


# -- Restarts and others -----------------------------------------------------------------------------------------
def test_what_was_written_before_a_crash_is_known_afterwards(mirrored: Mirrored) -> None:
    before = mirrored.row
    mirrored.retitle(2, "Mine")
    mirrored.quiet()
    # As if the process had died between the rename and the note of it.
    mirrored.put(current=before.current, newest=before.newest, arrival=before.arrival, writing=mirrored.row.current,
                 writing_arrival=mirrored.row.arrival)  # fmt: skip
    events = mirrored.events
    mirrored.restart()
    mirrored.quiet()
    assert (mirrored.events, mirrored.row.is_behind, mirrored.row.writing) == (events, False, 0)


def test_what_changed_while_nobody_looked_is_found_after_a_restart(mirrored: Mirrored) -> None:
    mirrored.retitle(3, "Mine")
    mirrored.file.write(content(line(1), CHANGED, line(3)))
    mirrored.restart()
    mirrored.quiet()
    assert mirrored.title(2) == "Changed"
    assert b'"title":"Mine"' in mirrored.lines[2]


def test_where_the_whole_file_is_to_be_compared_a_sync_by_hand_compares_it_whole(mirrored: Mirrored) -> None:
    mirrored.retitle(3, "Not told of")
    mirrored.put(cuts=NEVER_CUT, arrival=mirrored.api.member.replica.arrival)
    mirrored.restart()
    mirrored.retitle(1, "Due")
    mirrored.keeper.sync(full=False, delete_missing=False)
    assert b'"title":"Due"' in mirrored.lines[0]
    assert b'"title":"Not told of"' in mirrored.lines[2]


def test_two_mirrors_of_one_project_follow_one_another_and_come_to_rest() -> None:
    api = make_api()
    one = Mirrored(content(*THREE), api, "one.jsonl")
    other = Mirrored(content(*THREE), api, "other.jsonl")
    before = one.events
    one.shows(line(1), CHANGED, line(3))
    for _ in range(3):
        one.quiet()
        other.quiet()
    assert one.events == before + 1
    assert one.lines == [line(1), CHANGED, line(3)]
    assert b'"title":"Changed"' in other.lines[1]
    assert (other.lines[0], other.lines[2]) == (line(1), line(3))


def test_a_mirror_that_is_off_is_left_alone(mirrored: Mirrored) -> None:
    row = mirrored.row
    mirrored.api.member.commit(lambda unit: drop_mirror(unit, row))
    mirrored.file.write(content(CHANGED))
    assert mirrored.step() == LOOK_MS
    with pytest.raises(RefusedError) as refused:
        mirrored.keeper.sync(full=False, delete_missing=False)
    assert refused.value.code is Code.NOT_FOUND
