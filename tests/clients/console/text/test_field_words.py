"""Values of the log in words."""

from typing import Any

import pytest

from moot.console.text.field_words import field_words
from moot_testkit.clients.canned_api import NOW_MS


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("edges", ["demo-2", "blocks", None, None, {}], "depends on demo-2 (blocks)"),
        ("edges", ["demo-2", "parent-child", None, None, {}], "child of demo-2"),
        ("comments", ["hello world", None, None, None, {}], "hello world"),
        ("comments", ["imported", "Bob", "2025-01-01T00:00:00Z", 7, {}], "imported (by Bob)"),
        ("leases", ["Ada", 1_800_000, NOW_MS], "held by Ada until 2026-01-31T12:00:00.000Z"),
        ("extra", ["priority", "9"], "priority = 9"),
        ("metadata", ["note", '"n"'], 'note = "n"'),
        ("deleted", ["Ada", "twice", NOW_MS, None, ""], "by Ada: twice"),
        ("deleted", ["Ada", "", NOW_MS, None, ""], "by Ada"),
        ("deleted", "", "no"),
        ("closed_at", NOW_MS, "2026-01-31T12:00:00.000Z"),
    ],
)
def test_what_the_log_keeps_is_told_in_words(field: str, value: Any, told: str) -> None:
    assert field_words(field, value) == told


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("title", "T"), ("labels", "red"), ("edges", []), ("edges", ["demo-2", 7]), ("comments", [None]),
        ("leases", ["Ada", 1]), ("leases", ["Ada", 1, "x"]), ("extra", ["a"]), ("metadata", {"a": 1}),
        ("deleted", ["Ada"]), ("estimated_minutes", 9), (None, 9),
    ],
)  # fmt: skip
def test_what_is_of_another_shape_is_told_as_it_is(field: Any, value: Any) -> None:
    assert field_words(field, value) is None
