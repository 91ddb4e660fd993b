"""Times in people's words: Saturday 2026-01-31, 12:00 UTC is now."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot.console.text import when
from moot_protocol.errors import Code, RefusedError
from moot_testkit.clients.canned_api import NOW_MS

LAST_MS = 253_402_300_799_999


def parsed(text: str) -> str:
    return when.rfc3339(when.parse(text, NOW_MS))


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", "2026-01-31T12:00:00Z"),
        ("+6h", "2026-01-31T18:00:00Z"),
        ("+90min", "2026-01-31T13:30:00Z"),
        ("+2d", "2026-02-02T12:00:00Z"),
        ("-1w", "2026-01-24T12:00:00Z"),
        ("+1m", "2026-02-28T12:00:00Z"),
        ("+2y", "2028-01-31T12:00:00Z"),
        ("-3mo", "2025-10-31T12:00:00Z"),
        ("3d ago", "2026-01-28T12:00:00Z"),
        ("2 hours ago", "2026-01-31T10:00:00Z"),
        ("1 month ago", "2025-12-31T12:00:00Z"),
        ("in 3 days", "2026-02-03T12:00:00Z"),
        ("today", "2026-01-31T00:00:00Z"),
        ("  Tomorrow ", "2026-02-01T00:00:00Z"),
        ("yesterday", "2026-01-30T00:00:00Z"),
        ("next week", "2026-02-07T00:00:00Z"),
        ("next monday", "2026-02-02T00:00:00Z"),
        ("sunday", "2026-02-01T00:00:00Z"),
        ("next saturday", "2026-02-07T00:00:00Z"),
        ("2026-01-31", "2026-01-31T00:00:00Z"),
        ("2026-01-31 10:05", "2026-01-31T10:05:00Z"),
        ("2026-01-31T10:05:06Z", "2026-01-31T10:05:06Z"),
        ("2026-01-31t10:05:06.789123456-08:00", "2026-01-31T18:05:06.789Z"),
    ],
)
def test_words_mean_an_instant(text: str, meant: str) -> None:
    assert parsed(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "", "soon", "2d", "+2d ago", "+2x", "2026-02-30", "2026-13-01", "20260131", "2026-W05", "1969-12-31", "-90y",
        "+999999y", "+999999w", "next", "2026-01-31T25:00", "2026-01-31T10:05:06+99:00", "٣d ago",
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_with_examples(text: str) -> None:
    with pytest.raises(RefusedError) as refused:
        when.parse(text, NOW_MS)
    assert refused.value.code is Code.USAGE
    assert "tomorrow" in refused.value.hint


@pytest.mark.parametrize("text", ["1969-12-31", "1969-12-31T23:59:59.999Z", "-90y", "1970-01-01T00:00:00+01:00"])
def test_what_lies_before_1970_is_understood_and_refused_as_such(text: str) -> None:
    with pytest.raises(RefusedError, match="lies before 1970") as refused:
        when.parse(text, NOW_MS)
    assert text in refused.value.message
    assert refused.value.code is Code.USAGE


def outcome(text: str, now_ms: int) -> int | Code:
    try:
        return when.parse(text, now_ms)
    except RefusedError as refused:
        return refused.code


@given(st.text(max_size=30) | st.from_regex(r"[+-]?[0-9]{1,9} ?[a-z]{1,3}( ago)?"), st.integers(0, LAST_MS))
def test_any_text_is_an_instant_or_refused(text: str, now_ms: int) -> None:
    meant = outcome(text, now_ms)
    assert meant is Code.USAGE or (isinstance(meant, int) and 0 <= meant <= LAST_MS)


@given(st.integers(0, LAST_MS))
def test_an_instant_that_was_written_is_read_back(ms: int) -> None:
    assert when.parse(when.rfc3339(ms), NOW_MS) == ms
    assert when.instant(when.rfc3339(ms)) == ms


def test_a_time_that_no_document_can_hold_is_the_nearest_that_one_can() -> None:
    assert when.rfc3339(2**48 - 1) == "9999-12-31T23:59:59.999Z"
    assert when.rfc3339(-(2**48)) == "0001-01-01T00:00:00Z"


@pytest.mark.parametrize(
    "value", [None, "", "soon", True, 1.5, [], "2026-99-99T00:00:00Z", "0001-01-01T00:00:00+23:59"]
)
def test_a_document_may_hold_something_else_than_a_time(value: object) -> None:
    assert when.instant(value) is None


def test_a_document_may_hold_a_time_as_milliseconds() -> None:
    assert when.instant(NOW_MS) == NOW_MS


SECOND, HOUR, DAY = 1000, 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("back", "told"),
    [
        (0, "just now"),
        (59 * SECOND, "just now"),
        (60 * SECOND, "1min ago"),
        (3 * HOUR + 59, "3h ago"),
        (47 * HOUR, "1d ago"),
        (13 * DAY, "1w ago"),
        (45 * DAY, "1mo ago"),
        (800 * DAY, "2y ago"),
        (-2 * DAY, "in 2d"),
    ],
)
def test_ages_are_told_in_one_unit(back: int, told: str) -> None:
    assert when.age(NOW_MS - back, NOW_MS) == told


@pytest.mark.parametrize(
    ("span", "told"),
    [
        (0, "0min"),
        (-5, "0min"),
        (12 * 60 * SECOND, "12min"),
        (90 * 60 * SECOND, "1h 30min"),
        (3 * DAY + 4 * HOUR, "3d 4h"),
        (3 * DAY + 5 * 60 * SECOND, "3d"),
        (8 * DAY, "1w 1d"),
    ],
)
def test_spans_are_told_in_two_units(span: int, told: str) -> None:
    assert when.lasted(span) == told


def test_dates_are_told_to_the_minute() -> None:
    assert when.short_date(NOW_MS) == "2026-01-31 12:00"


def test_a_date_that_no_calendar_holds_is_told_as_a_number() -> None:
    assert when.short_date(10**18) == "@1000000000000000000ms"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("24h", "2026-02-01T12:00:00Z"),
        (" 7 Days ", "2026-02-07T12:00:00Z"),
        ("+2d", "2026-02-02T12:00:00Z"),
        ("tomorrow", "2026-02-01T00:00:00Z"),
        ("2026-03-01", "2026-03-01T00:00:00Z"),
    ],
)
def test_where_only_what_lies_ahead_makes_sense_an_amount_needs_no_sign(text: str, meant: str) -> None:
    assert when.rfc3339(when.parse_ahead(text, NOW_MS)) == meant


@pytest.mark.parametrize("text", ["now", "0d", "3d ago", "yesterday", "2026-01-31", "soon", "24", "7x", ""])
def test_what_does_not_lie_ahead_is_refused_there(text: str) -> None:
    with pytest.raises(RefusedError) as refused:
        when.parse_ahead(text, NOW_MS)
    assert refused.value.code is Code.USAGE


@pytest.mark.parametrize("text", ["30m", "+30m", "in 30 M", " 30 m "])
def test_where_a_secret_s_time_is_meant_an_m_is_refused_with_both_that_it_may_mean(text: str) -> None:
    with pytest.raises(RefusedError, match="minutes or months") as refused:
        when.parse_ahead(text, NOW_MS)
    assert (refused.value.code, refused.value.hint) == (Code.USAGE, "write 30min or 30mo")
    assert when.rfc3339(when.parse_ahead("30min", NOW_MS)) == "2026-01-31T12:30:00Z"
    assert when.rfc3339(when.parse_ahead("2mo", NOW_MS)) == "2026-03-31T12:00:00Z"


@pytest.mark.parametrize("text", ["24h", "30min", "7d", "tomorrow"])
def test_what_is_told_to_fit_there_does(text: str) -> None:
    assert text in when.AHEAD.split(", ")
    assert when.parse_ahead(text, NOW_MS) > NOW_MS


@pytest.mark.parametrize("text", ["1s", "7x", " 5 parsecs ", "never"])
def test_an_amount_that_is_not_understood_is_named_as_it_was_typed(text: str) -> None:
    with pytest.raises(RefusedError) as refused:
        when.parse_ahead(text, NOW_MS)
    assert refused.value.message == f"{text!r} is no time that I understand"
    assert refused.value.hint == f"write one of: {when.AHEAD}"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("3d", "2026-02-03T12:00:00Z"),
        ("1w", "2026-02-07T12:00:00Z"),
        ("12h", "2026-02-01T00:00:00Z"),
        (" 2 Weeks ", "2026-02-14T12:00:00Z"),
        ("-3d", "2026-01-28T12:00:00Z"),
        ("3d ago", "2026-01-28T12:00:00Z"),
        ("tomorrow", "2026-02-01T00:00:00Z"),
    ],
)
def test_of_a_due_time_hours_days_and_weeks_need_no_sign_and_it_may_have_passed(text: str, meant: str) -> None:
    assert when.rfc3339(when.parse_due(text, NOW_MS)) == meant


@pytest.mark.parametrize("text", ["3m", "30min", "1y", "3", "d", "99999999999999999999d"])
def test_an_amount_without_a_sign_that_could_mean_something_else_is_no_due_time(text: str) -> None:
    with pytest.raises(RefusedError) as refused:
        when.parse_due(text, NOW_MS)
    assert refused.value.message == f"{text!r} is no time that I understand"
