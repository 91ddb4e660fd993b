"""The words that replace a town's key: to a person at a terminal, else into a file, and never lost."""

from argparse import Namespace
from typing import Any

import pytest

from moot.console.command import Context
from moot.console.notices.recovery_words import file_of, hand_over, without_words
from moot_testkit.clients.canned_api import NOW_MS, CannedApi
from moot_testkit.clients.terminal import FACTS, RecordingTerminal, at_terminal

WORDS = " ".join(f"word{n}" for n in range(24))
MADE = {"town": "abcdefghijkl", "recovery_words": WORDS}
FILE = "/home/alice/.config/moot/recovery-words-abcdefgh.txt"


def context(terminal: RecordingTerminal, *, json: bool = False, quiet: bool = False) -> Context:
    return Context(CannedApi(), terminal, Namespace(quiet=quiet), "alice", "", json, NOW_MS)


def at_home(facts: Any = FACTS) -> RecordingTerminal:
    return RecordingTerminal(facts._replace(environment={"HOME": "/home/alice"}))


def test_a_person_at_a_terminal_is_shown_them_in_four_lines() -> None:
    terminal = at_home(at_terminal())
    assert hand_over(context(terminal), MADE) == {}
    shown = [line for line in terminal.written.splitlines() if line.startswith("    word")]
    assert (len(shown), shown[3].split()[-1], terminal.files) == (4, "word23", {})


@pytest.mark.parametrize(("facts", "json", "quiet"), [(FACTS, False, False), (at_terminal(), True, False),
                                                      (at_terminal(), False, True)])  # fmt: skip
def test_else_they_lie_in_a_file_of_the_users_own_which_one_line_names(facts: Any, json: bool, quiet: bool) -> None:
    terminal = at_home(facts)
    assert hand_over(context(terminal, json=json, quiet=quiet), MADE) == {"recovery_words_file": FILE}
    assert terminal.modes == {FILE: 0o600}
    assert b"word23" in terminal.files[FILE]
    assert (terminal.written, terminal.complaints.count("\n"), FILE in terminal.complaints) == ("", 1, True)


def test_where_a_file_lies_already_they_are_told_rather_than_lost() -> None:
    terminal = at_home()
    terminal.files[FILE] = b"of before"
    assert hand_over(context(terminal), MADE) == {}
    assert "word23" in terminal.complaints
    assert terminal.files[FILE] == b"of before"


def test_where_no_home_is_known_they_are_told_rather_than_laid_where_the_work_is() -> None:
    terminal = RecordingTerminal(FACTS._replace(environment={}))
    assert hand_over(context(terminal), MADE) == {}
    assert ("word23" in terminal.complaints, terminal.files) == (True, {})


def test_without_words_nothing_happens_and_no_document_carries_them() -> None:
    terminal = at_home()
    assert hand_over(context(terminal), MADE | {"recovery_words": ""}) == {}
    assert (terminal.complaints, terminal.files) == ("", {})
    assert without_words(MADE) == {"town": "abcdefghijkl"}


def test_the_file_lies_in_the_configuration_folder_whatever_a_towns_name_holds() -> None:
    assert file_of({"XDG_CONFIG_HOME": "/c", "HOME": "/h"}, "../../x") == "/c/moot/recovery-words-x.txt"
