"""Rows are remembered by the record they were made of, and only so many of them."""

from collections.abc import Callable
from functools import partial

from mootd.engine.views.known_rows import ROWS_KEPT, KnownRows


def test_a_row_is_known_by_its_issue_and_the_bytes_of_its_record() -> None:
    rows: KnownRows[str] = KnownRows()
    rows.keep(7, b"record", "row")
    assert rows.get(7, b"record") == "row"
    assert rows.get(7, b"changed") is None
    assert rows.get(8, b"record") is None


def test_no_more_rows_are_remembered_than_the_limit_and_the_newest_is_among_them() -> None:
    rows: KnownRows[int] = KnownRows()
    for number in range(ROWS_KEPT + 1):
        rows.keep(number, b"", number)
    known = [number for number in range(ROWS_KEPT + 1) if rows.get(number, b"") is not None]
    assert 0 < len(known) <= ROWS_KEPT
    assert known[-1] == ROWS_KEPT


def within(name: str) -> Callable[[], str]:
    return lambda: name


def test_short_ids_are_remembered_for_one_length_of_the_log() -> None:
    rows: KnownRows[str] = KnownRows()
    rows.short_ids(b"1", within("here")).chars["mt-abcd"] = 7
    assert rows.short_ids(b"1", within("here")).chars == {"mt-abcd": 7}
    assert rows.short_ids(b"2", within("here")).chars == {}
    assert rows.short_ids(b"1", within("here")).chars == {}


def test_how_short_ids_were_is_at_hand_in_a_longer_log_of_the_same_scope_alone() -> None:
    rows: KnownRows[str] = KnownRows()
    rows.short_ids(b"1", within("here")).chars["mt-abcd"] = 7
    assert rows.short_ids(b"2", within("here")).before == {"mt-abcd": 7}
    rows.short_ids(b"2", within("here")).chars["mt-abcd"] = 8
    assert rows.short_ids(b"3", within("there")).before == {}
    rows.short_ids(b"3", within("there")).chars["mt-abcd"] = 9
    assert rows.short_ids(b"2", within("there")).before == {}


def test_how_short_ids_were_is_not_told_where_some_may_have_gone() -> None:
    rows: KnownRows[str] = KnownRows()
    rows.short_ids(b"1", lambda: None).chars["mt-abcd"] = 7
    assert rows.short_ids(b"2", lambda: None).before == {}


def test_what_ids_are_told_apart_in_is_asked_for_once_at_each_length_of_the_log() -> None:
    rows: KnownRows[str] = KnownRows()
    asked: list[bytes] = []
    for arrivals in (b"1", b"1", b"2", b"2"):
        rows.short_ids(arrivals, partial(asked.append, arrivals))
    assert asked == [b"1", b"2"]


def test_no_more_short_ids_are_remembered_than_the_limit() -> None:
    rows: KnownRows[str] = KnownRows()
    rows.short_ids(b"1", within("here")).chars.update({str(number): 4 for number in range(ROWS_KEPT)})
    assert rows.short_ids(b"1", within("here")).chars == {}
