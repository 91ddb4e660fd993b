"""A plain line is told by its names, and says and writes just what the ordinary reading of it does."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol import limits
from moot_protocol.beads import plain
from moot_protocol.beads.lines import ImportedIssue, parse_line
from moot_protocol.beads.plain import PlainEvents, PlainLine, events_for_new, read_line
from moot_protocol.beads.writes import SHORTS_CHARS, writes_for_new
from moot_protocol.issues.issue import SHAPES
from moot_protocol.log.event import plain_shape

EXCERPT = Path(__file__).parents[2] / "data" / "beads-excerpt.jsonl"
REAL = Path(os.environ["MOOT_DATA"]) / "beads-3077.jsonl" if "MOOT_DATA" in os.environ else EXCERPT
NOON = "2025-01-01T12:00:00Z"
PLAIN: dict[str, Any] = {
    "id": "bd-1", "title": "é" * 500, "status": "open", "priority": 4, "issue_type": "task", "created_at": NOON,
    "description": "long", "updated_at": "2025-01-31T12:00:00.123456789+01:00",
}  # fmt: skip

odd_values = st.sampled_from(
    [
        None, "", " ", "a\nb", "waiting", "bug", [{"text": ""}], -1, 0, 1, 5, 2**64, True, False, 1.5,
        "é" * 64, "x" * 256, "x" * 501, "x" * SHORTS_CHARS, "tombstone", "closed", NOON, "2025-02-29T12:00:00Z",
        "\ud800", [], ["red"], {"a": 1}, [{"depends_on_id": "bd-2", "type": "blocks"}], "x" * (limits.TEXT_BYTES + 1),
    ]
)  # fmt: skip
names = st.sampled_from(
    [*SHAPES, "labels", "dependencies", "comments", "metadata", "deleted_at", "project", "extra", "x"]
)
lines = st.dictionaries(names, odd_values, max_size=4).map(lambda odd: PLAIN | odd)


def packed(line: dict[str, Any]) -> bytes:
    return json.dumps(line).encode()


def as_written(imported: ImportedIssue) -> PlainEvents:
    """What the ordinary reading of a line writes."""
    events: PlainEvents = []
    for writes in writes_for_new(imported, "bd"):
        values = {write.key: write.value for write in writes}
        shape = plain_shape(tuple(values))
        events.append((shape, [values[key] for key in shape.keys]))
    return events


def means_the_same(line: bytes) -> bool:
    """Whether a line is plain; either way it must say and write what its ordinary reading does."""
    imported, found = parse_line(line, 7), read_line(line, 7)
    if isinstance(found, PlainLine):
        assert isinstance(imported, ImportedIssue)
        assert not imported.problems
        assert (found.id, found.line, found.imported()) == (imported.id, 7, imported)
    else:
        assert found == imported
    if isinstance(imported, ImportedIssue) and isinstance(found, PlainLine | ImportedIssue):
        made = [(shape, list(values)) for shape, values in events_for_new(found, "bd")]
        assert made == as_written(imported)
    return isinstance(found, PlainLine)


@given(lines)
def test_any_line_says_and_writes_what_its_ordinary_reading_does(line: dict[str, Any]) -> None:
    means_the_same(packed(line))


def test_most_real_lines_are_plain() -> None:
    plain = [means_the_same(line) for line in REAL.read_bytes().splitlines()]
    assert sum(plain) > len(plain) / 3


def test_what_is_no_issue_is_what_its_ordinary_reading_says() -> None:
    for line in (b"", b"=======", b"{", b"[]", b'{"title": "x"}', b'{"id": ""}', b'{"id": "bd-1"}', b"\xff"):
        means_the_same(line)


@pytest.mark.parametrize(
    ("name", "value", "is_plain"),
    [
        ("notes", "more", True), ("estimated_minutes", 30, True), ("pinned", True, True), ("assignee", "é" * 63, True),
        ("assignee", "é" * 64, False), ("title", "x" * 501, False), ("title", "\ud800", False), ("title", "", False),
        ("title", 1, False), ("priority", 5, False), ("pinned", False, False), ("status", "tombstone", False),
        ("closed_at", NOON, False), ("created_at", "2025-02-29T12:00:00Z", False), ("created_at", 0, False),
        ("close_reason", "x" * SHORTS_CHARS, False), ("labels", ["red"], False), ("x", "unknown", False),
        ("title", " \n", False), ("title", " x ", True), ("assignee", "a\nb", False), ("owner", "a\nb", True),
        ("estimated_minutes", -1, False), ("estimated_minutes", 0, True), ("estimated_minutes", 2**64, False),
        ("estimated_minutes", True, False), ("compaction_level", -1, True), ("status", "waiting", False),
        ("status", "hooked", True), ("issue_type", "wisp", False), ("issue_type", "epic", True), ("status", [], False),
        ("project", "mt", False), ("deleted_by", "alice", False), ("id", "b d", False),
    ],
)  # fmt: skip
def test_a_line_is_plain_if_nothing_about_it_is_in_doubt(name: str, value: Any, *, is_plain: bool) -> None:
    assert means_the_same(packed(PLAIN))
    assert means_the_same(packed(PLAIN | {name: value})) is is_plain


def test_a_closed_line_says_when_and_many_long_fields_stand_in_several_events() -> None:
    assert means_the_same(packed(PLAIN | {"status": "closed", "closed_at": NOON}))
    assert not means_the_same(packed(PLAIN | {"closed_at": NOON}))
    long = dict.fromkeys(("close_reason", "external_ref"), "x" * (SHORTS_CHARS // 2))
    assert not means_the_same(packed(PLAIN | long))
    assert means_the_same(packed(PLAIN | {"close_reason": long["close_reason"]}))


def test_few_and_short_sets_of_names_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "_plans", {})
    read_line(packed(PLAIN | {"x" * 1024: 1}), 1)
    assert not plain._plans
    for number in range(300):
        read_line(packed(PLAIN | {f"x{number}": 1}), 1)
    assert len(plain._plans) == 256
