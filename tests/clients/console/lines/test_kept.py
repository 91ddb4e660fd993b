"""Memories and settings that were written apart, as lines and in `conflicts`."""

import pytest

from moot.console.lines.kept import VALUE_WIDTH, keys_in_conflict, others_of, settling, value_words, writer_words


def test_the_others_are_all_values_but_the_one_shown_whoever_wrote_that_as_well() -> None:
    values = [{"value": text, "actor": "ann", "n": n} for n, text in enumerate(("one", "two", "two", "", None))]
    assert [each["value"] for each in others_of({"key": "k", "text": "two", "values": values})] == ["one", "", None]
    assert [each["value"] for each in others_of({"key": "k", "value": "one", "values": values})][:2] == ["two", "two"]
    assert others_of({"key": "k", "text": "two"}) == []


def test_a_value_is_safe_and_on_its_line_no_longer_than_is_shown() -> None:
    assert value_words("a\n\x1b[2J") == "a⏎^[[2J"
    assert value_words("a\n\x1b[2J", whole=True) == "a\n^[[2J"
    assert len(value_words("x" * 300)) == VALUE_WIDTH
    assert value_words("x" * 300, whole=True) == "x" * 300
    assert (value_words(""), value_words(None)) == ("(taken away)", "(it isn't here)")


def test_a_writer_is_told_with_town_and_time_where_they_are_known() -> None:
    assert writer_words({"actor": "ann\x1b"}, 0) == "ann^["
    origin = {"town": "TTTTTTTTTTTT", "town_name": "hill", "replica": "R"}
    assert writer_words({"actor": "ann", "at": 1_000, "_origin": origin}, 1_000) == "ann from hill, just now"


@pytest.mark.parametrize(
    ("kind", "key", "of_town", "command"),
    [
        ("memory", "auth", False, "bd remember TEXT --key auth"),
        ("memory", "a b;c", False, "bd remember TEXT --key 'a b;c'"),
        ("setting", "kv.flag", False, "bd kv set flag VALUE"),
        ("setting", "custom.x", False, "bd config set custom.x VALUE"),
        ("setting", "custom.x", True, "bd config set custom.x VALUE --town"),
    ],
)
def test_what_settles_it_can_be_typed_as_it_stands(kind: str, key: str, of_town: bool, command: str) -> None:
    assert settling("bd", kind, key, of_town=of_town) == command


def test_only_those_in_conflict_are_named() -> None:
    found = [{"key": "kv.a", "conflict": True}, {"key": "b", "conflict": False}, {"key": "c\x1b", "conflict": True}]
    assert keys_in_conflict(found) == "a, c^["
