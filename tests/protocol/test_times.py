"""Stored times: milliseconds or RFC 3339 text, compared as instants and shown as they came."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.times import format_ms, instant_ms, instant_ns, is_time, ns_below_ms, show_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
moments = st.builds(
    lambda us, offset: (EPOCH + timedelta(microseconds=us)).astimezone(offset),
    st.integers(-62_135_000_000_000_000, 253_402_000_000_000_000),
    offsets,
)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1969-12-31T16:00:00-08:00", 0),
        ("1970-01-01T00:00:00.1234567899Z", 123_456_789),
        ("1970-01-01t00:00:01z", 1_000_000_000),
        ("1970-01-01T00:00:60Z", 60_000_000_000),
        ("0001-01-01T00:00:00Z", -62_135_596_800_000_000_000),
        ("0001-01-01T00:00:00+23:59", -62_135_596_800_000_000_000 - 86_340_000_000_000),
        ("2000-02-29T00:00:00Z", 951_782_400_000_000_000),
    ],
)
def test_rfc_3339_text_is_an_exact_instant(text: str, ns: int) -> None:
    assert instant_ns(text) == ns
    assert instant_ms(text) == ns // 1_000_000
    assert is_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2026-01-08", "2026-01-08T21:32:38", "2026-01-08 21:32:38Z", "2026-13-01T00:00:00Z",
        "2026-02-30T00:00:00Z", "2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z",
        "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00,5Z", "2026-01-01T00:00:00+0800", "2026-01-01T00:00:00+24:00",
        "2026-01-01T00:00:00+08:60", "0000-01-01T00:00:00Z", "2026-01-01T00:00:00Z\n", "\u0662026-01-01T00:00:00Z",
        "2026-01-01T00:00:00." + "0" * 41 + "Z",
    ],
)  # fmt: skip
def test_what_is_no_rfc_3339_time_is_no_instant(text: str) -> None:
    assert instant_ns(text) is None
    assert instant_ms(text) is None
    assert not is_time(text)


@given(st.none() | st.booleans() | st.floats() | st.binary() | st.text() | st.lists(st.integers()))
def test_no_value_of_any_other_type_is_a_time(value: object) -> None:
    assert instant_ns(value) is None
    assert instant_ms(value) is None


@given(moments)
def test_the_instant_of_a_text_is_the_moment_it_was_written_from(moment: datetime) -> None:
    us = (moment - EPOCH) // timedelta(microseconds=1)
    assert instant_ns(moment.isoformat()) == us * 1000
    assert instant_ms(moment.isoformat()) == us // 1000


@given(
    st.from_regex(
        r"(19[67]\d|2[012]\d\d)-[01]\d-[0-3]\dT[0-2]\d:[0-6]\d:[0-6]\d(\.\d{1,12})?(Z|[+-][0-2]\d:[0-6]\d)",
        fullmatch=True,
    )
)
def test_both_ways_of_reading_a_time_agree_on_what_is_one_and_on_its_millisecond(text: str) -> None:
    ns = instant_ns(text)
    assert instant_ms(text) == (None if ns is None else ns // 1_000_000)
    assert is_time(text) == (ns is not None)
    assert ns_below_ms(text) == (0 if ns is None else ns % 1_000_000)


@pytest.mark.parametrize(
    ("fraction", "below"),
    [("", 0), (".1", 0), (".123", 0), (".1234", 400_000), (".123456789", 456_789), (".1230000019", 1)],
)
@pytest.mark.parametrize("zone", ["Z", "+01:00", "-09:30"])
def test_what_a_text_tells_below_the_millisecond_is_read_to_the_nanosecond(
    fraction: str, below: int, zone: str
) -> None:
    assert ns_below_ms(f"2026-01-08T21:32:38{fraction}{zone}") == below


@pytest.mark.parametrize("value", [1_769_860_800_123, None, "2026-01-08T21:32:61.1234567Z", "x" * 19 + ".1234567Z"])
def test_whole_milliseconds_and_what_is_no_time_have_nothing_below_them(value: object) -> None:
    assert ns_below_ms(value) == 0


@given(st.integers(-62_135_596_800_000, 253_402_300_799_999))
def test_formatted_milliseconds_read_back_as_themselves(ms: int) -> None:
    text = format_ms(ms)
    assert instant_ms(text) == ms
    assert len(text) == len("2026-01-08T21:32:38.528Z")


@given(st.integers())
def test_any_number_can_be_shown_as_a_time(ms: int) -> None:
    assert is_time(format_ms(ms))


def test_a_time_beyond_year_9999_shows_as_the_last_that_can_be_written() -> None:
    assert format_ms(2**48 - 1) == "9999-12-31T23:59:59.999Z"
    assert format_ms(-(2**63)) == "0001-01-01T00:00:00.000Z"


@given(st.text())
def test_an_imported_time_is_shown_exactly_as_it_came(text: str) -> None:
    assert show_time(text) == text


def test_a_time_written_here_is_shown_in_utc_with_milliseconds() -> None:
    assert show_time(1_000) == "1970-01-01T00:00:01.000Z"
