"""Oddities of a file in words: what is told of a value that is kept, and of what nothing is."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.beads.odd import (
    Present,
    ahead_oddity,
    comment_oddity,
    edge_oddity,
    id_oddity,
    label_oddity,
    oddity,
    register_oddity,
    shown_instead,
    unknown_oddity,
)
from moot_protocol.time_units import DAY_MS
from moot_protocol.times import format_ms


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("priority", 9, "priority 9 is none of 0 to 4: kept, shown as P4"),
        ("priority", -3, "priority -3 is none of 0 to 4: kept, shown as P0"),
        ("priority", "high", 'priority "high" is none of 0 to 4: kept, shown as P2'),
        ("priority", None, "priority null is none of 0 to 4: kept, shown as P2"),
        ("created_at", "yesterday-ish", 'created_at "yesterday-ish" is no time: kept, the time of the import is shown'),
        ("due_at", "soon", 'due_at "soon" is no time: kept, not shown'),
        ("status", 5, "status 5 is no text: kept, shown as open"),
        ("assignee", False, "assignee false is no text: kept, not shown"),
        ("pinned", 1, "pinned 1 is neither true nor false: kept, not shown"),
        ("labels", "a", 'labels "a" is no list: kept, not shown'),
        ("metadata", ["x" * 60], f'metadata ["{"x" * 38}… is no object: kept, not shown'),
        ("title", "", "no title: kept, shown without one"),
        ("title", 5, "title 5 is no text: kept, not shown"),
        ("status", "", 'status "" is empty: kept, shown as open'),
        ("issue_type", "", 'issue_type "" is empty: kept, shown as task'),
        (
            "title",
            "x" * 700,
            "title of 700 characters where 500 are the limit: kept, its first 500 characters are shown",
        ),
    ],
)
def test_an_odd_value_is_told_with_what_is_shown_in_its_place(name: str, value: Any, words: str) -> None:
    assert oddity(name, value) == words


@pytest.mark.parametrize("name", ["assignee", "closed_at", "created_at", "labels", "comments", "metadata", "ephemeral"])
@pytest.mark.parametrize("value", [None, "", [], {}])
def test_what_says_nothing_is_not_odd(name: str, value: Any) -> None:
    assert oddity(name, value) == ""


def test_a_deleted_issue_needs_no_status() -> None:
    assert oddity("status", "", is_deleted=True) == ""


def test_neither_is_a_flag_that_is_not_set_nor_a_deleted_issue_without_a_title() -> None:
    assert oddity("pinned", False) == ""
    assert oddity("title", "", is_deleted=True) == ""


def test_half_a_character_of_a_title_is_shown_as_one_that_nobody_knows() -> None:
    assert shown_instead("title", "\ud800") == "shown with \ufffd for it"


def test_an_id_that_no_command_gives_is_odd() -> None:
    assert "spaces" in id_oddity("b d")
    assert id_oddity("b-d") == ""


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("title", " \t ", 'title " \\t " is blank, which no command gives: kept'),
        ("estimated_minutes", -5, "estimated_minutes -5 is negative, which no command gives: kept"),
        (
            "assignee",
            "a\nb",
            'assignee "a\\nb" has line breaks or other control characters, which no command gives: kept',
        ),
    ],
)
def test_what_is_shown_as_it_stands_is_odd_if_no_command_gives_it(name: str, value: Any, words: str) -> None:
    assert register_oddity(name, value) == words


@pytest.mark.parametrize(
    ("name", "value"),
    [("title", " x "), ("estimated_minutes", 0), ("compaction_level", -1), ("assignee", "a\xa0b"), ("owner", "a\nb")],
)
def test_what_a_command_could_give_is_not_odd(name: str, value: Any) -> None:
    assert register_oddity(name, value) == ""


def test_a_status_and_a_type_that_are_none_of_the_projects_say_what_adds_them() -> None:
    told = unknown_oddity("status", "waiting", "status.custom")
    assert told == 'status "waiting" is none of the project\'s: kept; `moot config set status.custom` adds your own'


def test_elements_that_no_command_makes_are_odd() -> None:
    assert label_oddity(2, "a\x01") == (
        'label 2 "a\\u0001" has line breaks or other control characters, which no command gives: kept'
    )
    assert label_oddity(1, " a") == 'label 1 " a" has white space at its ends, which no command gives: kept'
    assert edge_oddity("bd-1", "bd-1", "blocks") == (
        'depends on itself ("blocks"), which no command gives: kept, blocks nothing'
    )
    assert comment_oddity(3, "\n ") == "comment 3 is empty, which no command gives: kept"


def test_other_elements_are_not() -> None:
    assert (label_oddity(1, "a\xa0b"), edge_oddity("bd-1", "bd-2", "blocks"), comment_oddity(1, " c")) == ("", "", "")


# -- Times to come -----------------------------------------------------------------------------------------------
NOW_MS = 1_769_860_800_000  # 2026-01-31T12:00:00Z
PRESENT = Present.at(NOW_MS)
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, ""),
        ({"created_at": "2026-01-31T12:00:00Z", "updated_at": "2026-02-01T12:00:00Z"}, ""),
        ({"updated_at": "2026-02-01T12:00:00.001Z"}, "updated_at"),
        ({"updated_at": "2026-02-02T11:00:00+23:00"}, ""),
        ({"updated_at": "2026-01-31T13:01:00-23:00"}, "updated_at"),
        ({"updated_at": "2026-02-01t12:00:01z"}, "updated_at"),
        ({"created_at": "9999-12-31T23:59:59Z", "closed_at": "2026-02-03T00:00:00Z"}, "created_at, closed_at"),
        ({"due_at": "2030-01-01T00:00:00Z", "defer_until": "2030-01-01T00:00:00Z"}, ""),
    ],
)
def test_what_happened_more_than_a_day_ahead_is_told(fields: dict[str, str], told: str) -> None:
    assert ahead_oddity(fields, PRESENT) == (told and f"{told} more than a day ahead of this machine's clock: kept")


@given(st.integers(-2 * DAY_MS, 3 * DAY_MS), OFFSETS)
def test_no_offset_hides_a_time_to_come(later_ms: int, offset: int) -> None:
    local = format_ms(NOW_MS + later_ms + offset * 60_000).removesuffix("Z")
    sign, (hours, minutes) = "-" if offset < 0 else "+", divmod(abs(offset), 60)
    text = f"{local}{sign}{hours:02}:{minutes:02}"
    assert bool(ahead_oddity({"updated_at": text}, PRESENT)) is (later_ms > DAY_MS)
