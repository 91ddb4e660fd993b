"""search: what is searched for, and what is said where nothing is found."""

from typing import Any

import pytest

from moot_protocol.requests.listing import Page
from moot_testkit.clients.console import issue, run_console

EMPTY = Page(issues=[], total=0, truncated=False)
FOUND = Page(issues=[issue(1)], total=1, truncated=False)


def asked(argv: str) -> Any:
    """The only request of a command."""
    return run_console(argv, {"list": EMPTY}).request


def test_a_search_has_one_query() -> None:
    assert asked("search --query y").filter.title_or_id == "y"
    ran = run_console("search x --query y", {})
    assert (ran.code, "two queries" in ran.err) == (2, True)


def test_a_query_of_several_words_is_one_query() -> None:
    assert asked("search login fails").filter.title_or_id == "login fails"
    assert asked("search --query login").filter.title_or_id == "login"


CLOSED_NOTE = "Closed ones are found only with --status all\n"


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        ("search x", f"no issues match\n{CLOSED_NOTE}"), ("search x --status all", "no issues match\n"),
        ("search x --status open", "no issues match\n"), ("search x --json", ""), ("search x -q", "no issues match\n"),
    ],
)  # fmt: skip
def test_a_search_that_finds_nothing_says_how_closed_ones_are_found(argv: str, told: str) -> None:
    ran = run_console(argv, {"list": EMPTY})
    assert (ran.err, len(ran.asked)) == (told, 1)
    assert run_console(argv, {"list": FOUND}).err == ""
