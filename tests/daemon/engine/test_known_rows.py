"""Rows are remembered by the record they were made of, and only so many of them."""

from mootd.engine.known_rows import ROWS_KEPT, KnownRows


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


def test_short_ids_are_remembered_for_one_length_of_the_log() -> None:
    rows: KnownRows[str] = KnownRows()
    rows.short_ids(b"1")["mt-abcd"] = 7
    assert rows.short_ids(b"1") == {"mt-abcd": 7}
    assert rows.short_ids(b"2") == {}
    assert rows.short_ids(b"1") == {}


def test_no_more_short_ids_are_remembered_than_the_limit() -> None:
    rows: KnownRows[str] = KnownRows()
    rows.short_ids(b"1").update({str(number): 4 for number in range(ROWS_KEPT)})
    assert rows.short_ids(b"1") == {}
