"""The words in which writing commands say what they did."""

from argparse import Namespace
from typing import Any

from moot.console.command import Context
from moot.console.lines.confirm import (
    UNCHANGED,
    by_project,
    confirmed,
    finished_among,
    finished_lines,
    is_unchanged,
    naming,
    nothing_to_do,
    unchanged_among,
)
from moot_testkit.clients.canned_api import NOW_MS, CannedApi
from moot_testkit.clients.terminal import FACTS, RecordingTerminal, at_terminal


def context(terminal: RecordingTerminal, **given: Any) -> Context:
    return Context(CannedApi(), terminal, Namespace(**given), "ada", "demo", json=False, now_ms=NOW_MS)


def test_a_confirmation_begins_with_a_mark_that_is_plain_where_no_terminal_is() -> None:
    assert confirmed(context(RecordingTerminal(FACTS)), "Closed bd-a1b2") == "✓ Closed bd-a1b2"


def test_at_a_terminal_the_mark_is_coloured_and_the_words_are_the_same() -> None:
    line = confirmed(context(RecordingTerminal(at_terminal())), "Closed bd-a1b2")
    assert "\x1b[32m" in line
    assert line.endswith(" Closed bd-a1b2")


def test_where_there_was_nothing_to_do_the_answer_is_marked_and_the_line_bears_no_mark_of_success() -> None:
    assert is_unchanged({"id": "bd-a1b2", UNCHANGED: True})
    assert not is_unchanged({"id": "bd-a1b2"})
    assert nothing_to_do("bd-a1b2 is closed already") == "Nothing to do: bd-a1b2 is closed already"


def test_one_document_about_several_names_those_that_were_so_already() -> None:
    was_so, changed = {"id": "bd-a1b2", UNCHANGED: True}, {"id": "bd-c3d4"}
    assert unchanged_among([changed]) == {}
    assert unchanged_among([was_so]) == {UNCHANGED: True}
    assert unchanged_among([was_so, changed]) == {UNCHANGED: ["bd-a1b2"]}


def test_an_issue_is_named_by_its_whole_id_and_title() -> None:
    assert naming({"id": "bd-a1b2", "title": "Mend the roof"}) == "bd-a1b2 — Mend the roof"
    assert naming({"id": "bd-a1b2"}) == "bd-a1b2"


def test_hostile_titles_are_neutralised() -> None:
    assert "\x1b" not in naming({"id": "bd-a1b2", "title": "calm \x1b[2J"})


def test_issues_are_counted_by_project_on_one_line_if_at_all() -> None:
    assert by_project({"demo": 1200, "di\x1bary": 1}) == ["  By project: demo 1,200, di^[ary 1"]
    assert by_project({}) == []


def test_what_was_closed_with_its_last_step_is_told_in_a_line_each_and_by_its_id() -> None:
    answers: list[dict[str, Any]] = [{"id": "bd-1"}, {"id": "bd-2", "_finished": ["bd-mol", "bd\x1b"]}]
    told = finished_lines(context(RecordingTerminal(FACTS)), answers)
    assert list(told) == ["✓ Auto-closed completed molecule bd-mol", "✓ Auto-closed completed molecule bd^["]
    assert finished_among(answers) == {"_finished": ["bd-mol", "bd\x1b"]}
    assert finished_among(answers[:1]) == {}


def test_a_trial_says_what_would_be_closed() -> None:
    told = finished_lines(context(RecordingTerminal(FACTS), dry_run=True), [{"_finished": ["bd-mol"]}])
    assert list(told) == ["✓ Would auto-close completed molecule bd-mol"]
