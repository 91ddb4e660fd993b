"""`docs/bd.md` can't claim what isn't so: each command and flag that it says to be here is known to the grammar."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

from moot.console import as_bd
from moot.console.grammar import CommandParser
from moot.console.main import GRAMMAR
from moot.console.notices.not_here import NOT_HERE
from moot_protocol.errors import RefusedError
from moot_protocol.issues.settings import KNOWN

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "bd.md").read_text(encoding="utf-8")
HERE = {"same", "better", "partly"}
VERDICTS = HERE | {"not yet", "not here"}
OF_THE_GRAMMAR = {"help"}
"""What is no command of its own."""


class Row(NamedTuple):
    """What the page says of one command."""

    command: str
    verdict: str
    flags: list[str]
    missing: list[str]
    remark: str


def flags_in(cell: str) -> list[str]:
    return re.findall(r"`(-[^`]+)`", cell)


def rows() -> list[Row]:
    found = []
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if (named := re.fullmatch(r"`bd ([a-z -]+)`", cells[0])) and len(cells) == 5:
            found.append(Row(named[1], cells[1], flags_in(cells[2]), flags_in(cells[3]), cells[4]))
    return found


ROWS = rows()


def parser_of(command: str) -> CommandParser:
    """The parser of a command as `bd` reads it; the test fails where there is none."""
    words = as_bd.NAMES.get(command, command).split(" ")
    try:
        found = GRAMMAR.read([*words, "--help"]).topic
        return GRAMMAR._parser(GRAMMAR._names[found])
    except (RefusedError, KeyError):
        pytest.fail(f"docs/bd.md says that `bd {command}` is here")


def test_the_page_has_a_row_for_each_command_of_bd() -> None:
    names = [row.command for row in ROWS]
    assert len(names) == len(set(names)) > 250
    assert {row.verdict for row in ROWS} <= VERDICTS


def test_what_is_said_to_be_here_is_here() -> None:
    rows = [row for row in ROWS if row.verdict in HERE and row.command not in OF_THE_GRAMMAR]
    assert rows
    known = {row.command: parser_of(row.command)._option_string_actions for row in rows}
    assert [f"bd {row.command} {flag}" for row in rows for flag in row.flags if flag not in known[row.command]] == []


def test_who_types_what_is_not_here_is_told_what_the_page_says() -> None:
    assert {row.command: row.remark for row in ROWS if row.verdict == "not here"} == NOT_HERE


def test_every_setting_that_is_checked_is_on_the_page() -> None:
    assert [key for key in KNOWN if f"| `{key}` |" not in PAGE] == []


def test_every_command_of_moots_that_the_page_points_to_exists() -> None:
    for words in set(re.findall(r"`moot ([a-z -]+?)(?: --?[a-z]+(?: [A-Z]+)?)*`", PAGE)):
        if words.startswith("help "):
            assert GRAMMAR.help(words.removeprefix("help "), "moot", 80)
        else:
            parser_of(words)
