"""What parts of filters, orders and totals mean, whoever holds the issues."""

from typing import Any

import pytest

from moot_protocol.listing import Filter
from moot_protocol.matching import has_metadata, hybrid_key, id_begins, lead_time_hours, like
from moot_protocol.time_units import HOUR_MS


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("tech-*", "tech-debt", True), ("*", "", True), ("v?", "v1", True), ("v?", "v12", False),
        ("a*b*c", "axxbyybc", True), ("a*b*c", "axxbyyb", False), ("a*ab", "aab", True), ("*a*b", "ab", True),
        ("x.y", "xzy", False), ("a**b", "ab", True), ("*aab*", "aaab", True), ("", "", True), ("a*", "ba", False),
    ],
)  # fmt: skip
def test_a_pattern_has_signs_for_anything_and_for_one_character(pattern: str, text: str, fits: bool) -> None:
    assert bool(like(pattern)(text)) is fits


def test_no_pattern_is_slow() -> None:
    assert not like("a*" * 50 + "b")("a" * 1000)


@pytest.mark.parametrize(
    ("typed", "begins"), [("mt-ab", True), ("abc", True), ("mt-my-ab", False), ("bc", False), ("my", False), ("", True)]
)
def test_an_id_begins_with_its_prefix_or_behind_it(typed: str, begins: bool) -> None:
    assert id_begins("mt-abc", typed) is begins


@pytest.mark.parametrize(
    ("entries", "fits"),
    [
        ({"size": 3, "name": "x"}, True), ({"size": "3", "name": None}, True), ({"size": 4, "name": "x"}, False),
        ({"size": 3}, False), ({"name": "x"}, False), ({}, False), ([3, "x"], False), ("size name", False),
    ],
)  # fmt: skip
def test_metadata_has_every_entry_that_is_named_with_its_value_as_text(entries: Any, fits: bool) -> None:
    assert has_metadata(Filter(metadata={"size": "3"}, has_metadata=("name",)), entries) is fits


def test_values_of_metadata_that_are_no_texts_are_compared_in_canonical_form() -> None:
    entries = {"list": [1, {"b": 2, "a": True}]}
    assert has_metadata(Filter(metadata={"list": '[1,{"a":true,"b":2}]'}), entries)


def test_in_the_hybrid_order_issues_of_two_days_come_by_priority_and_then_the_oldest() -> None:
    now_ms = 1_000 * HOUR_MS
    ages = {"new-2": (1, 2), "old-0": (48, 0), "new-0": (47, 0), "newer-0": (2, 0), "older-3": (72, 3), "b": (47, 0)}
    keys = {name: hybrid_key(now_ms - hours * HOUR_MS, level, name, now_ms) for name, (hours, level) in ages.items()}
    assert sorted(keys, key=lambda name: keys[name]) == ["newer-0", "b", "new-0", "new-2", "older-3", "old-0"]


@pytest.mark.parametrize(("lead_ms", "hours"), [([], 0.0), ([HOUR_MS], 1.0), ([HOUR_MS, HOUR_MS // 6], 0.58)])
def test_lead_time_is_an_average_in_hours_to_two_places(lead_ms: list[int], hours: float) -> None:
    assert lead_time_hours(lead_ms) == hours
