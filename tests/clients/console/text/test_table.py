"""Aligned columns: they fit, they line up, and no line ends in spaces."""

import subprocess
import sys

from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth, wcwidth

from moot.console.text import table
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style
from moot.console.text.table import aligned, cut, width_of

COLOURED = Style(terminal=True, colour=True, width=80)
TEXTS = st.text(max_size=30).map(neutralise)
ROWS = st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(TEXTS, min_size=n, max_size=n), min_size=1, max_size=6))


def test_columns_line_up_and_the_title_is_cut() -> None:
    rows = [("bd-a1b2", "bug", "Login fails when the clock is ahead"), ("bd-77", "feature", "Short")]
    assert aligned(rows, width=36) == [
        "bd-a1b2  bug      Login fails when…",
        "bd-77    feature  Short",
    ]


def test_every_character_that_is_known_without_tables_takes_one_cell() -> None:
    known = [chr(code) for code in range(0x110000) if table._ONE_CELL_EACH.fullmatch(chr(code))]
    assert {"é", "ß", "λ", "я", "…", "→", "─", "✓"} < set(known)
    assert [character for character in known if wcwidth(character) != 1] == []


def test_ordinary_texts_load_no_tables() -> None:
    script = "import sys; from moot.console.text.table import cut, width_of; assert width_of('Überprüfen → ✓…') == 15; "
    script += "assert cut('naïve café', 6) == 'naïve…'; print('wcwidth' in sys.modules, width_of('漢'))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "2"]


def test_wide_characters_take_two_cells() -> None:
    rows = [("検索", "x"), ("ab", "y"), ("🚀", "z")]
    assert aligned(rows, width=80) == ["検索  x", "ab    y", "🚀    z"]


def test_wide_characters_fill_the_room_there_is_and_are_never_halved() -> None:
    assert cut("漢字漢字", 5) == "漢字…"
    assert cut("漢字漢字", 6) == "漢字…"
    assert cut("漢字漢字", 7) == "漢字漢…"


def test_colours_take_no_room() -> None:
    lines = aligned([(COLOURED.heading("ab"), "x"), ("abcd", "y")], width=80)
    assert lines == ["\x1b[1mab\x1b[0m    x", "abcd  y"]


def test_a_column_that_is_empty_everywhere_takes_none() -> None:
    assert aligned([("a", "", "x"), ("b", "", "y")], width=80) == ["a  x", "b  y"]


def test_any_column_can_be_the_one_that_is_cut() -> None:
    assert aligned([("x" * 40, "tail")], width=30, flexible=0) == ["x" * 23 + "…  tail"]


def test_no_rows_make_no_lines() -> None:
    assert aligned([], width=80) == []


def test_the_title_keeps_some_room_on_a_very_narrow_terminal() -> None:
    assert aligned([("x" * 30, "a title that is long")], width=20) == ["x" * 30 + "  a title that is…"]


@given(ROWS, st.integers(80, 200))
def test_no_line_is_wider_than_the_terminal_or_ends_in_a_space(rows: list[list[str]], width: int) -> None:
    rows = [[*(cell[:8] for cell in row[:-1]), row[-1]] for row in rows]
    for line in aligned(rows, width=width):
        assert width_of(line) <= width
        assert not line.endswith(" ")


@given(TEXTS, st.integers(0, 40))
def test_a_cut_text_fits_and_says_that_it_was_cut(text: str, width: int) -> None:
    shown = cut(text, width)
    assert wcswidth(shown) <= width
    assert shown == text or not width or shown.endswith("…")


@given(TEXTS)
def test_a_text_that_fits_is_not_cut(text: str) -> None:
    assert cut(text, width_of(text)) == text
