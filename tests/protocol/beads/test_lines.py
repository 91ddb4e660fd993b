"""Lines of Beads files: what is taken in, what is reported, and what comes out again."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol import limits
from moot_protocol.beads.line_problem import LineProblem
from moot_protocol.beads.lines import ImportedIssue, export_line, parse_line, sort_fields
from moot_protocol.issues.issue import stand_in

LINE = {
    "id": "bd-1", "title": "A title", "description": "text", "status": "closed", "priority": 1, "issue_type": "bug",
    "created_at": "2025-11-02T21:58:07.295058-08:00", "updated_at": "2025-11-03T20:56:22.700641-08:00",
    "closed_at": "2025-11-03T20:56:22.700641-08:00",
}  # fmt: skip


def parse(**fields: Any) -> ImportedIssue:
    parsed = parse_line(json.dumps(LINE | fields).encode(), 7)
    assert isinstance(parsed, ImportedIssue)
    return parsed


def problem_of(line: bytes) -> str:
    parsed = parse_line(line, 7)
    assert isinstance(parsed, LineProblem)
    assert parsed.line == 7
    return parsed.problem


# -- Whole lines ---------------------------------------------------------------------------------------------------
def test_a_line_is_sorted_by_how_its_fields_are_kept() -> None:
    imported = parse()
    assert imported.registers == {name: value for name, value in LINE.items() if name not in ("id", "description")}
    assert imported.texts == {"description": "text"}
    assert not imported.extra
    assert not imported.problems


@pytest.mark.parametrize("line", [b"", b"\n", b"  \r\n", b"\xef\xbb\xbf\n"])
def test_an_empty_line_is_nothing(line: bytes) -> None:
    assert parse_line(line, 1) is None


def test_a_byte_order_mark_and_line_ends_are_no_part_of_the_issue() -> None:
    assert parse_line(b"\xef\xbb\xbf" + json.dumps(LINE).encode() + b"\r\n", 7) == parse()


@pytest.mark.parametrize("line", [b"<<<<<<< HEAD", b"=======", b">>>>>>> theirs\n", b"||||||| base"])
def test_a_conflict_marker_is_called_one(line: bytes) -> None:
    assert "conflict marker" in problem_of(line)


@pytest.mark.parametrize(
    ("line", "word"),
    [
        (json.dumps(LINE).encode()[:-20], "cut short"),
        (b'{"id":"x', "Unterminated string starting at character 7"),
        (b'{"id":"bd-1"} {"id":"bd-2"}', "cut short"),
        (b"no JSON", "no JSON"),
        (b'{"id":"bd-\xff"}', "UTF-8"),
        (b"[1,2]", "no JSON object"),
        (b'{"title":"x"}', "no id"),
        (b'{"_type":"memory","key":"k","value":"v"}', "memory"),
        (b'{"id":5}', "no text"),
        (b'{"id":""}', "empty id"),
        (b'{"id":"a\\u0000b"}', "control characters"),
        (b'{"id":"\\ud800"}', "no character"),
        (b'{"id":"' + b"x" * 193 + b'"}', "192 bytes"),
        (b'{"id":"bd-1","deep":' + b"[" * 200_000 + b"]" * 200_000 + b"}", "nested"),
    ],
)
def test_a_line_that_holds_no_issue_is_reported_in_words(line: bytes, word: str) -> None:
    assert word in problem_of(line)


@pytest.mark.parametrize(
    ("line", "is_memory"),
    [
        (b'{"_type":"memory","key":"k","value":"v"}', True),
        (b'{"_type":"memory","id":5}', False),
        (b'{"_type":"other","key":"k"}', False),
        (b'{"_type":"memory","key":"k', False),
        (b'"a memory"', False),
    ],
)
def test_a_whole_line_of_a_memory_is_marked_as_one(line: bytes, is_memory: bool) -> None:
    parsed = parse_line(line, 1)
    assert isinstance(parsed, LineProblem)
    assert parsed.is_memory == is_memory


@given(st.binary())
def test_every_line_is_an_issue_a_problem_or_nothing(line: bytes) -> None:
    assert isinstance(parse_line(line, 1), ImportedIssue | LineProblem | None)


# -- Fields that fit ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("status", ["open", "hooked", "waiting-for-review", "ünüsual"])
def test_any_status_and_type_is_taken(status: str) -> None:
    imported = parse(status=status, issue_type=status)
    assert (imported.registers["status"], imported.registers["issue_type"]) == (status, status)


def test_elements_are_taken_apart_and_what_they_leave_out_is_empty() -> None:
    edge = {"issue_id": "bd-1", "depends_on_id": "bd-2", "type": "blocks", "created_at": LINE["created_at"]}
    comment = {"id": 3, "issue_id": "bd-1", "author": "bob", "text": "c", "created_at": LINE["created_at"], "x": 1.0}
    imported = parse(
        labels=["b", "a", "b"], dependencies=[edge | {"metadata": "{}"}], comments=[comment], metadata={"k": {}}
    )
    assert imported.labels == ["b", "a"]
    assert imported.edges == [["bd-2", "blocks", LINE["created_at"], "", {"metadata": '"{}"'}]]
    assert imported.comments == [["c", "bob", LINE["created_at"], 3, {"x": "1.0"}]]
    assert imported.metadata == {"k": "{}"}
    assert not imported.extra
    assert not imported.problems


def test_a_tombstone_says_who_deleted_when_and_why() -> None:
    said = {"deleted_at": LINE["updated_at"], "deleted_by": "bob", "delete_reason": "why", "original_type": "bug"}
    imported = parse(status="tombstone", **said)
    assert imported.deleted == said
    assert "status" not in imported.registers


def test_words_of_a_deletion_on_a_line_that_is_no_tombstone_are_kept_aside() -> None:
    imported = parse(deleted_by="bob")
    assert imported.deleted is None
    assert imported.extra == {"deleted_by": '"bob"'}


# -- Fields that don't ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sender", "s"), ("validations", [{"a": 1.0}]), ("content_hash", 10**30), ("dependency_count", 0),
        ("title", None), ("title", ""), ("assignee", ""), ("status", 5), ("priority", "high"), ("priority", 1.0),
        ("priority", 7), ("priority", True), ("estimated_minutes", 2**64), ("estimated_minutes", 30.0),
        ("created_at", "yesterday"), ("updated_at", 1_700_000_000), ("due_at", None), ("pinned", False),
        ("ephemeral", "yes"), ("labels", []), ("labels", None), ("labels", "a,b"), ("dependencies", {}),
        ("comments", []), ("metadata", {}), ("metadata", [1]), ("metadata", "{}"), ("original_type", ""),
    ],
)  # fmt: skip
def test_unknown_empty_and_odd_values_are_kept_as_json(name: str, value: Any) -> None:
    imported = parse(**{name: value})
    assert repr(json.loads(imported.extra[name])) == repr(value)
    assert imported.registers.get(name) == stand_in(name, value)
    assert all(problem.is_kept for problem in imported.problems)
    assert not imported.left_out


def test_what_is_shown_otherwise_than_it_was_meant_is_told_by_its_line() -> None:
    imported = parse(id="b d", priority=9, created_at="yesterday-ish", labels="a", title="", assignee="", pinned=False)
    assert [(problem.line, problem.id) for problem in imported.problems] == [(7, "b d")] * 5
    told = [problem.problem for problem in imported.problems]
    assert [problem.split()[0] for problem in told] == ["its", "no", "priority", "created_at", "labels"]
    assert told[2] == "priority 9 is none of 0 to 4: kept, shown as P4"


def test_what_no_command_gives_is_told_by_its_line_and_kept_as_it_stands() -> None:
    comment, edge = {"author": "bob", "text": " "}, {"depends_on_id": "bd-1", "type": "blocks"}
    imported = parse(
        title="  ",
        assignee="a\nb",
        estimated_minutes=-5,
        labels=["a", "b\x01", "b\x01"],
        dependencies=[edge, edge, edge | {"depends_on_id": "bd-2"}],
        comments=[comment, {"text": "c"}, comment],
    )
    assert all(problem.is_kept and (problem.line, problem.id) == (7, "bd-1") for problem in imported.problems)
    told = [" ".join(problem.problem.split()[:2]) for problem in imported.problems]
    assert sorted(told) == [
        "assignee \"a\\nb\"", "comment 1", "depends on", "estimated_minutes -5", "label 2", "title \"",
    ]  # fmt: skip
    registers = imported.registers
    assert (registers["title"], registers["assignee"], registers["estimated_minutes"]) == ("  ", "a\nb", -5)
    assert (imported.labels, [edge[0] for edge in imported.edges]) == (["a", "b\x01"], ["bd-1", "bd-2"])
    assert [comment[0] for comment in imported.comments] == [" ", "c"]
    assert not imported.extra


def test_names_in_any_script_and_with_any_blanks_are_not_odd() -> None:
    assert not parse(title="é", assignee="Ζωή a\xa0b", labels=["é", "a\xa0b"], estimated_minutes=0).problems


def test_what_is_left_out_is_not_told_as_kept() -> None:
    big = {"a": "x" * 40_000, "b": "x" * 40_000}
    imported = parse(
        dependencies=[{"depends_on_id": "bd-1", "type": "blocks"} | big],
        comments=[{"text": ""} | big],
        labels=["x\n" * 60],
    )
    assert [problem.is_kept for problem in imported.problems] == [False] * 3


def test_a_title_that_is_too_long_is_kept_whole_beside_its_beginning() -> None:
    title = "é" * limits.TITLE_CHARS + "x"
    imported = parse(title=title)
    assert imported.registers["title"] == title[:-1]
    assert json.loads(imported.extra["title"]) == title
    assert "its first 500 characters are shown" in imported.problems[0].problem


@pytest.mark.parametrize(
    ("title", "shown", "words"),
    [
        ("x" * (limits.TEXT_BYTES + 1), "x" * limits.TITLE_CHARS, "its first 500 characters are shown"),
        ("half \ud83d", "half \ufffd", "shown with \ufffd for it"),
    ],
)
def test_a_title_that_cannot_be_stored_is_shown_as_far_as_it_can_be(title: str, shown: str, words: str) -> None:
    imported = parse(title=title)
    assert (imported.registers["title"], imported.extra, imported.left_out) == (shown, {}, {"title"})
    assert not imported.problems[0].is_kept
    assert "left out" in imported.problems[0].problem
    assert words in imported.problems[0].problem


def test_closed_at_of_an_issue_that_is_not_closed_is_kept_as_json() -> None:
    assert "closed_at" in parse(status="open").extra


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("description", "é" * (limits.TEXT_BYTES // 2 + 1)),
        ("close_reason", "x" * (limits.TEXT_BYTES + 1)),
        ("assignee", "x" * (limits.NAME_BYTES + 1)),
        ("notes", "half \ud83d"),
        ("sender", ["\udfff"]),
        ("sender", "x" * limits.TEXT_BYTES),
        ("x" * (limits.NAME_BYTES + 1), 1),
        ("\ud800", 1),
        ("validations", json.loads("[" * 70 + "]" * 70)),
        ("metadata", {"a": "\ud800"}),
        ("labels", ["x" * (limits.LABEL_CHARS + 1)]),
        ("labels", [""]),
        ("labels", [5]),
        ("dependencies", ["bd-2"]),
        ("dependencies", [{"depends_on_id": "bd-2"}]),
        ("dependencies", [{"depends_on_id": "", "type": "blocks"}]),
        ("dependencies", [{"depends_on_id": "\ud800", "type": "blocks"}]),
        ("dependencies", [{"depends_on_id": "bd-2", "type": "x" * (limits.EDGE_TYPE_CHARS + 1)}]),
        ("dependencies", [{"depends_on_id": "bd-2", "type": "blocks", "a": "x" * 40_000, "b": "x" * 40_000}]),
        ("comments", [{"author": "bob"}]),
        ("comments", [{"text": "x" * (limits.TEXT_BYTES + 1)}]),
        ("comments", [{"text": "x" * 40_000, "more": "x" * 40_000}]),
    ],
)
def test_what_cannot_be_stored_is_left_out_by_name_and_the_rest_goes_in(name: str, value: Any) -> None:
    imported = parse(**{name: value})
    assert [(problem.line, problem.id) for problem in imported.problems] == [(7, "bd-1")]
    assert "left out" in imported.problems[0].problem
    without = parse(**{name: None})._replace(extra={})
    assert imported._replace(extra={}, problems=[]) == without._replace(problems=[], left_out={name})
    assert imported.problems[0].problem.encode()


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "9" * 5000])
def test_a_number_out_of_range_is_left_out_by_name(number: str) -> None:
    line = json.dumps(LINE)[:-1] + f', "estimated_minutes": {number}, "sender": [{number}], "size": 1}}'
    imported = parse_line(line.encode(), 7)
    assert isinstance(imported, ImportedIssue)
    assert [problem.problem.split()[0] for problem in imported.problems] == ["'estimated_minutes'", "'sender'"]
    assert imported.extra == {"size": "1"}


def test_the_other_elements_of_a_list_go_in() -> None:
    imported = parse(labels=["a", None, "b"])
    assert imported.labels == ["a", "b"]
    assert [problem.problem for problem in imported.problems] == ["label 2 left out: no text, or none in it"]


def test_a_second_dependency_of_its_type_is_reported_unless_it_is_the_same() -> None:
    edge = {"depends_on_id": "bd-2", "type": "blocks"}
    assert not parse(dependencies=[edge, edge]).problems
    assert parse(dependencies=[edge, edge | {"created_by": "bob"}]).problems


def test_the_largest_fields_go_in() -> None:
    imported = parse(title="é" * limits.TITLE_CHARS, notes="x" * limits.TEXT_BYTES, labels=["é" * limits.LABEL_CHARS])
    assert not imported.problems


# -- Export --------------------------------------------------------------------------------------------------------
def test_an_exported_line_is_compact_utf_8_on_one_line() -> None:
    assert (
        export_line({"id": "bd-1", "title": "é\n\u2028", "n": 1.0})
        == '{"id":"bd-1","title":"é\\n\u2028","n":1.0}'.encode()
    )


class Counted(str):
    """Text that counts how often any of its kind is compared."""

    __slots__ = ()
    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Counted.compared += 1
        return str.__eq__(self, other)


def test_labels_and_comments_of_a_line_are_told_apart_without_comparing_each_with_all() -> None:
    many = 500
    names = [Counted(f"label-{number}") for number in range(many)]
    comments = [{"text": Counted(f"text-{number}")} for number in range(many)]
    Counted.compared = 0
    read = sort_fields({"id": "mt-1", "labels": [*names, "label-7"], "comments": [*comments, comments[7]]}, 1)
    assert (len(read.labels), len(read.comments)) == (many, many)
    assert Counted.compared < 20 * many


def test_a_comment_counts_once_whatever_the_order_of_its_further_names() -> None:
    told = b'{"text": "t", "x": 1, "y": 2}, {"y": 2, "x": 1, "text": "t"}, {"text": "t", "x": 2}'
    held = b'{"id": "a", "comments": [%s]}' % told
    read = parse_line(held, 1)
    assert isinstance(read, ImportedIssue)
    assert [comment[-1] for comment in read.comments] == [{"x": "1", "y": "2"}, {"x": "2"}]
