"""What somebody is told who types a command of Beads that is not here."""

import pytest

from moot.console.main import GRAMMAR
from moot.console.notices import not_here
from moot.console.notices.not_here import NOT_HERE, refusal
from moot_testkit.clients.console import run_console
from moot_testkit.clients.terminal import FACTS

BD = FACTS._replace(program="bd")


@pytest.mark.parametrize(
    ("argv", "name"),
    [
        ("jira sync --push", "jira sync"), ("jira", "jira"), ("dolt remote add origin url", "dolt remote add"),
        ("agent state x running", "agent"), ("help ship", "ship"), ("--json worktree list", "worktree list"),
    ],
)  # fmt: skip
def test_the_longest_name_that_was_typed_is_explained_and_flags_dont_matter(argv: str, name: str) -> None:
    ran = run_console(argv, facts=BD)
    assert (ran.code, ran.asked) == (1, [])
    assert ran.err.startswith(f"Error: `{name}` is not here: ")


def test_the_hint_says_what_to_type_instead_as_the_program_is_called() -> None:
    assert "Hint: `bd context`\n" in run_console("worktree info", facts=BD).err
    assert "Hint: `moot context`\n" in run_console("worktree info").err


def test_callers_find_the_words_by_which_they_do_without_a_database() -> None:
    said = run_console(["sql", "--json", "select 1"], facts=BD).document["error"]
    assert all(words in said for words in ("bd sql", "not yet supported", "embedded mode"))


def test_what_beads_has_not_either_is_no_command_of_anybodys() -> None:
    assert refusal(["frobnicate"]) is None
    assert run_console("frobnicate", facts=BD).err.startswith("Error: unknown command 'frobnicate'")


@pytest.mark.parametrize("argv", ["completion tcsh", "federation frobnicate"])
def test_a_mistyped_command_of_a_group_that_is_here_is_not_said_to_be_elsewhere(argv: str) -> None:
    told, hint = run_console(argv).err.splitlines()
    assert told.startswith(f"Error: unknown command '{argv}'")
    assert hint == f"Hint: `moot help {argv.partition(' ')[0]}` lists them"


def test_no_group_that_is_here_in_part_is_explained_as_a_whole() -> None:
    groups = {name.split(" ")[0] for name in GRAMMAR._names if " " in name}
    assert not_here._GROUPS.keys() & groups == set()


def test_no_command_stands_in_both() -> None:
    assert NOT_HERE.keys() & GRAMMAR._names.keys() == set()
