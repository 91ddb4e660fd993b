"""Parts of lines. Whole lists are told in commands/lists/test_lists.py, trees in commands/lists/test_graph.py."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot.console.lines.issues import (
    READY,
    count_rows,
    id_cells,
    issue_rows,
    node_line,
    origin_mark,
    parent_of,
    text_of,
)
from moot.console.text.safe_text import neutralise
from moot.console.text.style import Style
from moot.console.text.table import width_of
from moot_protocol.requests.listing import IssueDoc, Page

TERMINAL = Style(terminal=True, colour=False, width=40)
PLAIN = Style(terminal=False, colour=False, width=40)
ISSUE = {
    "id": "bd-a1b2c3",
    "title": "A title that is rather long",
    "status": "open",
    "priority": 1,
    "issue_type": "bug",
}


@pytest.mark.parametrize(
    ("value", "shown"),
    [("a\nb", "a⏎b"), (None, ""), (0, "0"), (False, "false"), (["a", "b\x07"], "a,b^G"), ([1], "[1]"), ({}, "{}")],
)
def test_any_value_of_a_field_fits_on_a_line(value: Any, shown: str) -> None:
    assert text_of({"field": value}, "field") == shown


def test_a_field_that_is_absent_is_empty() -> None:
    assert text_of({}, "field") == ""


def test_ids_are_whole_where_it_is_not_known_what_makes_them_unique() -> None:
    page = Page(issues=[ISSUE, ISSUE | {"id": "bd-a1b2zz"}], total=2, truncated=False)
    assert id_cells(PLAIN, page) == ["bd-a1b2c3", "bd-a1b2zz"]


def test_ids_of_one_table_are_cut_to_the_same_length() -> None:
    page = Page(issues=[ISSUE, ISSUE | {"id": "bd-zzzzzz"}], total=2, truncated=False, short=[8, 7])
    assert id_cells(TERMINAL, page) == ["bd-a1b2c", "bd-zzzzz"]
    assert id_cells(PLAIN, page) == ["bd-a1b2c", "bd-zzzz"]


def test_an_id_that_has_to_be_typed_whole_doesnt_lengthen_the_others() -> None:
    issues = [ISSUE, ISSUE | {"id": "bd-merge-slot"}, ISSUE | {"id": "bd-zzzzzz"}]
    page = Page(issues=issues, total=3, truncated=False, short=[6, 13, 7])
    assert id_cells(TERMINAL, page) == ["bd-a1b2", "bd-merge-slot", "bd-zzzz"]


def test_the_id_of_a_child_is_whole_among_ids_that_are_cut_at_its_dot_or_behind_it() -> None:
    child = ISSUE | {"id": "bd-a1b2c3d.12"}
    page = Page(issues=[child, ISSUE | {"id": "bd-long-zzzzzz"}], total=2, truncated=False, short=[7, 12])
    assert id_cells(TERMINAL, page) == ["bd-a1b2c3d.12", "bd-long-zzzz"]
    assert id_cells(PLAIN, page) == ["bd-a1b2", "bd-long-zzzz"]


def test_the_title_gives_way_to_the_note() -> None:
    line = node_line(TERMINAL._replace(width=46), "", ISSUE | {"_short": 7}, note="see above")
    assert line == "○ bd-a1b2 P1 bug A title that is… (see above)"
    assert width_of(line) <= 46
    assert node_line(PLAIN, "  ", ISSUE, note="x") == "  bd-a1b2c3 P1 bug open A title that is rather long (x)"


def test_numbers_are_aligned_at_a_terminal_only() -> None:
    assert count_rows(TERMINAL, [("7", "a"), ("10", "b")]) == [" 7  a", "10  b"]
    assert count_rows(PLAIN, [("7", "a"), ("10", "b")]) == ["7 a", "10 b"]


def test_the_parent_is_the_one_that_the_issue_names() -> None:
    edges = [{"depends_on_id": "bd-1", "type": "blocks"}, {"depends_on_id": "bd-2", "type": "parent-child"}]
    assert parent_of({"dependencies": edges}) == "bd-2"
    assert parent_of({"dependencies": edges[:1]}) == ""
    assert parent_of({}) == ""


ORIGIN = {"town": "abcdefghjkmn", "town_name": "River\ntown", "replica": "qrstvwxyz234", "fields": ["title"]}


def test_what_another_town_has_made_or_called_so_is_marked_with_that_town() -> None:
    assert origin_mark({}) == ""
    assert origin_mark({"_origin": [ORIGIN]}) == "from River⏎town"
    assert origin_mark({"_origin": [ORIGIN | {"fields": [], "created": True}]}) == "from River⏎town"
    assert origin_mark({"_origin": [ORIGIN | {"fields": ["notes"], "created": False}]}) == ""
    for name in ("", "abcdefghjkmnpqrst"):
        assert origin_mark({"_origin": ORIGIN | {"town_name": name}}) == "from abcdefghjkmn"


def test_the_mark_of_another_town_stands_before_the_title_which_can_t_pass_for_it() -> None:
    other = ISSUE | {"id": "bd-b", "_origin": [ORIGIN | {"town_name": "rivertown"}]}
    page = Page(issues=[ISSUE, other], total=2, truncated=False)
    assert issue_rows(PLAIN, page, READY) == [
        "bd-a1b2c3 P1 bug A title that is rather long",
        "bd-b P1 bug from rivertown A title that is rather long",
    ]
    assert node_line(PLAIN, "", other) == "bd-b P1 bug from rivertown open A title that is rather long"


def long_origin(name: str) -> IssueDoc:
    return ISSUE | {"_origin": [ORIGIN | {"town_name": name}]}


def test_at_a_terminal_the_origin_gives_way_before_the_title() -> None:
    style = Style(terminal=True, colour=False, width=80)
    name = "The friendly town of the hills beyond the river"
    page = Page(issues=[long_origin(name)], total=1, truncated=False)
    assert issue_rows(style, page, READY) == ["bd-a1b2c3  P1  bug  from The friend…  A title that is rather long"]
    assert node_line(style, "", long_origin(name)).endswith(" from The friend… A title that is rather long")
    [wide] = issue_rows(style._replace(width=200), page, READY)
    assert "from The friendly town of the hills bey…" in wide
    assert f"from {name} A title" in issue_rows(PLAIN, page, READY)[0]


def test_what_tells_towns_of_one_name_apart_is_not_cut() -> None:
    assert origin_mark(long_origin("The friendly town abcd"), 16) == "from The f… abcd"
    assert origin_mark(long_origin("The friendly town efgh"), 16) == "from The friend…"
    assert origin_mark(long_origin("hill abcd"), 16) == "from hill abcd"
    assert origin_mark({"_origin": [ORIGIN, ORIGIN | {"town_name": "hill"}]}, 16) == "from River⏎town…"


@given(st.text(max_size=40), st.integers(8, 60))
def test_no_origin_takes_more_room_than_it_may(name: str, most: int) -> None:
    assert width_of(origin_mark(long_origin(neutralise(name)), most)) <= most
