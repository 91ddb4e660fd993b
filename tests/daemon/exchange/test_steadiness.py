"""Lines that break: counted in a row for each plane, until one lasts."""

from mootd.exchange.steadiness import BRIEF_S, MANY, STEADY_S, Steadiness


def test_lines_that_break_at_once_are_counted_until_one_lasts_a_little() -> None:
    lines = Steadiness()
    assert lines.brief == 0
    for _ in range(3):
        lines.broke(1, BRIEF_S - 1)
    lines.broke(2, 0)
    assert lines.brief == 3
    lines.broke(1, BRIEF_S)
    assert lines.brief == 1


def test_people_are_told_of_many_lines_in_a_row_that_were_no_good_however_long_each_lasted() -> None:
    lines = Steadiness()
    for _ in range(MANY - 1):
        lines.broke(1, STEADY_S - 1)
    assert lines.breaking() == {}
    lines.broke(1, 0)
    lines.broke(2, 0)
    assert lines.breaking() == {1: MANY}
    lines.broke(1, STEADY_S)
    assert lines.breaking() == {}


def test_a_line_that_goes_on_for_long_ends_what_is_told_without_breaking() -> None:
    lines = Steadiness()
    for _ in range(MANY):
        lines.broke(1, 0)
    lines.lasts(1, STEADY_S - 1)
    assert (lines.brief, lines.breaking()) == (MANY, {1: MANY})
    lines.lasts(2, STEADY_S)
    lines.lasts(1, STEADY_S)
    assert (lines.brief, lines.breaking()) == (0, {})
