"""Checks: clear refusals before anything is written."""

import pytest

from moot_protocol import limits
from moot_protocol.errors import Code
from moot_protocol.issues.settings import STATUSES, TYPES
from moot_protocol.requests.issues import Edge
from moot_testkit.refusals import refusal
from mootd.engine.issues import checks


@pytest.mark.parametrize("title", ["x", "x" * 500, "é" * 500, " indented"])
def test_a_title_has_one_to_five_hundred_characters(title: str) -> None:
    checks.check_title(title)


@pytest.mark.parametrize(
    ("title", "code"), [("", Code.INVALID), ("\t ", Code.INVALID), ("x" * 501, Code.LIMIT), ("a\ud800", Code.INVALID)]
)
def test_a_title_is_refused_if_empty_too_long_or_no_text(title: str, code: Code) -> None:
    error = refusal(lambda: checks.check_title(title))
    assert error.code is code


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("priority", -1), ("priority", 5), ("status", "tombstone"), ("issue_type", ""), ("estimated_minutes", -1),
        ("due_at", "2026-02-30T00:00:00Z"), ("defer_until", "soon"), ("owner", "\udfff"),
    ],
)  # fmt: skip
def test_a_value_that_a_field_cannot_have_is_refused(name: str, value: object) -> None:
    error = refusal(lambda: checks.check_fields({name: value}))
    assert error.code is Code.INVALID
    assert error.message


@pytest.mark.parametrize(
    ("assignee", "code"),
    [("x" * 256, Code.LIMIT), ("é" * 128, Code.LIMIT), ("a\nb", Code.INVALID), ("\x1b", Code.INVALID)],
)
def test_an_assignee_is_a_name_on_one_line_and_no_longer_than_an_actors(assignee: str, code: Code) -> None:
    error = refusal(lambda: checks.check_fields({"assignee": assignee}))
    assert (error.code, "assignee" in error.message, bool(error.hint)) == (code, True, True)
    checks.check_fields({"assignee": "é" * 127})


@pytest.mark.parametrize("label", ["a\nb", "a\x00b", "a\x7fb"])
def test_a_label_is_one_line(label: str) -> None:
    error = refusal(lambda: checks.check_label(label))
    assert (error.code, "line breaks" in error.message) == (Code.INVALID, True)
    checks.check_label("two words")


def test_fields_that_are_cleared_and_all_statuses_and_types_pass() -> None:
    checks.check_fields({"due_at": "", "assignee": "", "description": "", "priority": 0, "estimated_minutes": 0})
    for status in STATUSES:
        checks.check_fields({"status": status})
    for issue_type in TYPES:
        checks.check_fields({"issue_type": issue_type})


def test_long_texts_have_the_limit_of_texts_and_names_a_lower_one() -> None:
    checks.check_fields({"description": "x" * limits.TEXT_BYTES})
    assert refusal(lambda: checks.check_fields({"design": "é" * limits.TEXT_BYTES})).code is Code.LIMIT
    assert refusal(lambda: checks.check_fields({"owner": "x" * 4097})).code is Code.LIMIT


@pytest.mark.parametrize("label", ["", " x", "x ", "x" * 101, "\n", "\ud800"])
def test_a_label_has_no_white_space_at_its_ends_and_at_most_a_hundred_characters(label: str) -> None:
    checks.check_label("x" * 100)
    assert refusal(lambda: checks.check_label(label)).code is Code.INVALID


@pytest.mark.parametrize("edge_type", ["", "two words", "x" * 51, "a\nb"])
def test_a_dependency_has_any_word_as_its_type(edge_type: str) -> None:
    checks.check_edge(Edge("mt-1", "whatever"))
    assert refusal(lambda: checks.check_edge(Edge("mt-1", edge_type))).code is Code.INVALID


def test_the_metadata_of_a_dependency_is_small() -> None:
    checks.check_edge(Edge("mt-1", "blocks", "x" * 4096))
    assert refusal(lambda: checks.check_edge(Edge("mt-1", "blocks", "x" * 4097))).code is Code.LIMIT


def test_metadata_is_kept_as_canonical_json() -> None:
    assert checks.json_content("k", {"b": [1, 1.0, None], "a": "é"}) == '{"a":"é","b":[1,1.0,null]}'


@pytest.mark.parametrize("value", [float("inf"), "\ud800", {1, 2}, b"x"])
def test_metadata_that_is_no_json_is_refused(value: object) -> None:
    assert refusal(lambda: checks.json_content("k", value)).code is Code.INVALID


def test_metadata_is_bounded_in_name_and_size() -> None:
    assert refusal(lambda: checks.json_content("k" * 256, 1)).code is Code.LIMIT
    assert refusal(lambda: checks.json_content("k", "x" * limits.TEXT_BYTES)).code is Code.LIMIT


@pytest.mark.parametrize("actor", ["a\nb", "\x1b[2J", "a\x00"])
def test_who_acts_has_a_name_of_one_line(actor: str) -> None:
    assert refusal(lambda: checks.check_actor(actor)).code is Code.INVALID
    checks.check_actor("Ada Lovelace/agent-7 é")
