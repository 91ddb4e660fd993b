"""Colours and short ids, as the terminal at hand wants them."""

import pytest

from moot.console.text.style import Style, style_of, unpainted
from moot_testkit.clients.terminal import FACTS, at_terminal, without_colours

COLOURED = Style(terminal=True, colour=True, width=80)
COLOURLESS = Style(terminal=True, colour=False, width=80)
PLAIN = Style(terminal=False, colour=False, width=80)


def test_a_terminal_gets_colours_and_a_pipe_none() -> None:
    assert style_of(at_terminal(100)) == Style(terminal=True, colour=True, width=100)
    assert style_of(FACTS) == PLAIN


def test_no_color_and_a_dumb_terminal_are_honoured() -> None:
    assert style_of(without_colours(at_terminal())) == COLOURLESS
    assert style_of(at_terminal(TERM="dumb")) == COLOURLESS


def test_an_empty_no_color_means_nothing() -> None:
    assert style_of(at_terminal(NO_COLOR="")).colour


def test_plain_output_can_be_asked_for_at_a_terminal() -> None:
    assert style_of(at_terminal(), plain=True) == PLAIN


def test_a_terminal_without_a_width_is_given_one() -> None:
    assert style_of(at_terminal(0)).width == 20


def test_the_part_of_an_id_that_has_to_be_typed_stands_out() -> None:
    assert COLOURED.issue_id("bd-a1b2c3d4e5f6", 7, 9) == "\x1b[1mbd-a1b2\x1b[0m\x1b[2mc3\x1b[0m"
    assert COLOURLESS.issue_id("bd-a1b2c3d4e5f6", 7, 9) == "bd-a1b2c3"
    assert PLAIN.issue_id("bd-a1b2c3d4e5f6", 7) == "bd-a1b2"


def test_an_id_is_never_cut_below_what_makes_it_unique() -> None:
    assert PLAIN.issue_id("bd-a1b2c3d4e5f6", 8, 4) == "bd-a1b2c"
    assert PLAIN.issue_id("bd-a1b2", 0) == "bd-a1b2"
    assert PLAIN.issue_id("bd-a1b2", 40, 40) == "bd-a1b2"


def test_the_id_of_a_child_is_never_cut_at_its_dot_or_behind_it() -> None:
    assert [PLAIN.issue_id("bd-a1b2c3.12", 7, shown) for shown in (0, 8, 9, 10, 11)] == [
        "bd-a1b2", "bd-a1b2c", *["bd-a1b2c3.12"] * 3,
    ]  # fmt: skip
    assert COLOURED.issue_id("bd-a1b2c3.12", 7, 10) == "\x1b[1mbd-a1b2\x1b[0m\x1b[2mc3.12\x1b[0m"


@pytest.mark.parametrize(("priority", "shown"), [(0, "P0"), (4, "P4"), (None, "P-"), (True, "P-"), (17, "P17")])
def test_priorities_are_shown_whatever_they_are(priority: object, shown: str) -> None:
    assert PLAIN.priority(priority) == shown
    assert unpainted(COLOURED.priority(priority)) == shown


def test_a_status_is_a_mark_at_a_terminal_and_a_word_elsewhere() -> None:
    assert COLOURLESS.mark("closed") == "\u2713"
    assert COLOURLESS.mark("in-review") == "\u00b7"
    assert PLAIN.mark("closed") == "closed"


def test_nothing_is_painted_without_colours() -> None:
    for paint in (COLOURLESS.heading, COLOURLESS.faint, COLOURLESS.alarm, COLOURLESS.status, COLOURLESS.issue_type):
        assert paint("bug") == "bug"


def test_what_is_painted_can_be_unpainted() -> None:
    assert COLOURED.alarm("x") != "x"
    assert unpainted(COLOURED.alarm("x") + COLOURED.status("closed")) == "xclosed"
