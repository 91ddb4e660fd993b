"""What imported lines write: nothing lost on the way in and out, nothing written twice."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol import limits
from moot_protocol.beads.lines import TEXTS, ImportedIssue, export_line, parse_line
from moot_protocol.beads.writes import Events, differences, is_older, values_for_new, writes_for_new
from moot_protocol.clock import from_ms
from moot_protocol.issues.issue import IssueReading, new_comment, new_edge, read_issue
from moot_protocol.issues.issue_document import document
from moot_protocol.log.event import Draft, Write, build_event
from moot_protocol.merge.deletion import deletion, seen_by, seen_in, sighted
from moot_protocol.merge.kinds import ISSUE
from moot_testkit.naive.entity_map import EntityMap

EXCERPT = Path(__file__).parents[2] / "data" / "beads-excerpt.jsonl"
REAL = Path(os.environ["MOOT_DATA"]) / "beads-3077.jsonl" if "MOOT_DATA" in os.environ else EXCERPT
LOCAL, OTHER = b"l" * 32, b"o" * 32
NOON = 1_767_225_600_000


class Imported(EntityMap):
    """An issue that lines are imported into, one event a second."""

    def __init__(self, line: dict[str, Any]) -> None:
        super().__init__()
        self.entity = line["id"]
        self.seconds = 0
        self.take(writes_for_new(parse(line), "bd"))

    def take(self, events: Events, author: bytes = LOCAL) -> Events:
        for writes in events:
            self.seconds += 1
            self.apply(author, from_ms(NOON + 1000 * self.seconds), sighted(writes, self.live), "importer")
            fits_an_event(self.entity, writes)
        return events

    def again(self, line: dict[str, Any]) -> Events:
        """Import a line into the issue that exists, and give what was written."""
        return self.take(differences(parse(line), self.live, self.read(), self.dot_of))

    def read(self) -> IssueReading:
        return read_issue(self.entity, self.live, self.created_hlc, self.updated_hlc, self.lineage_of)

    def export(self) -> dict[str, Any]:
        exported: dict[str, Any] = json.loads(export_line(document(self.read(), exact=True)))
        return exported


def parse(line: dict[str, Any]) -> ImportedIssue:
    imported = parse_line(json.dumps(line).encode(), 1)
    assert isinstance(imported, ImportedIssue)
    assert all(problem.is_kept for problem in imported.problems)
    return imported


def fits_an_event(entity: str, writes: list[Write]) -> None:
    """An event refuses what is too large, and a key that stands in it twice."""
    build_event(1, Draft(ISSUE, entity, "a" * limits.ACTOR_BYTES, writes), 1, bytes(16), {LOCAL: 0})


def comparable(line: dict[str, Any]) -> str:
    """A line as a JSON value whose lists of elements are sets; tells 1 from 1.0."""
    sets = {name: line.get(name) for name in ("labels", "dependencies", "comments")}
    sorted_sets = {
        name: sorted({json.dumps(x, sort_keys=True) for x in v}) for name, v in sets.items() if isinstance(v, list)
    }
    return json.dumps(line | sorted_sets, sort_keys=True)


# -- Lossless ------------------------------------------------------------------------------------------------------
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
names = st.sampled_from(["alice", "bob/claude", "Ζωή", "a b"])
times = st.sampled_from(
    [
        "2025-11-02T21:58:07.295058-08:00",
        "2026-01-14T21:49:59.22607123Z",
        "0001-01-01T00:00:00Z",
        "2026-06-30T23:59:60Z",
    ]
)
ODD: list[Any] = [
    None, "", "text", "2025-11-02", False, True, 0, 1, 7, -1, 2**63, 2**64, 10**30, 1.0, -0.0, 1e300, 0.1, [], {}, [[]],
    "tombstone", "closed", [None, "x"], [{"a": 1.0}], {"b": [1, True]}, {"": {}}, "\U0001f600", "2026-01-01T00:00:00Z",
]  # fmt: skip
odd: st.SearchStrategy[Any] = st.sampled_from(ODD)
ids = st.from_regex(r"bd-[a-z0-9]{2,5}(\.\d)?", fullmatch=True)
flags = st.booleans()


def some(
    required: dict[str, st.SearchStrategy[Any]], optional: dict[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(required, optional=optional)


edges = some({"depends_on_id": ids | st.just("bd-1"), "type": st.sampled_from(["blocks", "parent-child", "odd one"])}, {
    "created_at": times | odd, "created_by": names | odd, "metadata": st.just("{}") | odd, "thread_id": odd,
})  # fmt: skip
comments = some({"text": texts}, {
    "id": st.integers(0, 9) | names | odd, "author": names | odd, "created_at": times | odd, "edited": odd,
})  # fmt: skip
REQUIRED: dict[str, st.SearchStrategy[Any]] = {
    "id": st.just("bd-1"), "title": texts | odd | st.sampled_from(["  ", "é" * 501, "é" * 500 + "x"]),
    "status": st.sampled_from(["open", "closed", "tombstone", "odd"]) | odd,
    "priority": st.integers(0, 4) | odd, "issue_type": names | odd, "created_at": times | odd,
    "updated_at": times | odd,
}  # fmt: skip
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(
        ["description", "design", "acceptance_criteria", "notes", "spec_id", "assignee", "owner"], texts | odd
    ),
    **dict.fromkeys(["created_by", "close_reason", "closed_by_session", "external_ref", "sender"], texts | odd),
    **dict.fromkeys(["started_at", "closed_at", "due_at", "defer_until", "deleted_at"], times | odd),
    **dict.fromkeys(["estimated_minutes", "compaction_level", "ephemeral", "pinned"], flags | odd),
    **dict.fromkeys(
        ["deleted_by", "delete_reason", "original_type", "project", "edges", "deleted", "extra"], texts | odd
    ),
    "labels": st.lists(texts.filter(bool) | st.sampled_from(["a\x01", "a\nb"]), max_size=4)
    | odd.filter(lambda value: not isinstance(value, list)),
    "dependencies": st.lists(edges, max_size=4, unique_by=lambda edge: (edge["depends_on_id"], edge["type"])),
    "comments": st.lists(comments, max_size=3),
    "metadata": st.dictionaries(texts, odd, max_size=4) | odd,
}


def with_issue_id(line: dict[str, Any]) -> dict[str, Any]:
    """Elements name their issue, as Beads always does."""
    for name in ("dependencies", "comments"):
        line.get(name, []).sort(key=repr)
        for element in line.get(name, []):
            element["issue_id"] = line["id"]
    return line


lines: st.SearchStrategy[dict[str, Any]] = some(REQUIRED, OPTIONAL).map(with_issue_id)


@given(lines)
def test_any_line_comes_out_as_it_went_in(line: dict[str, Any]) -> None:
    assert comparable(Imported(line).export()) == comparable(line)


@given(lines)
def test_importing_a_line_twice_writes_nothing(line: dict[str, Any]) -> None:
    assert Imported(line).again(line) == []


@given(lines)
def test_importing_what_was_exported_writes_nothing(line: dict[str, Any]) -> None:
    issue = Imported(line)
    assert issue.again(issue.export()) == []


def test_a_value_kept_without_its_stand_in_gets_one_when_its_line_comes_again() -> None:
    issue = Imported({"id": "bd-1", "title": "A title"})
    issue.take([[Write("extra", ["priority", "9"])]])
    assert keys(issue.again({"id": "bd-1", "title": "A title", "priority": 9})) == [["extra", "priority"]]
    assert (document(issue.read())["priority"], issue.export()["priority"]) == (4, 9)


def test_a_line_without_a_title_is_not_another_once_it_was_exported() -> None:
    issue = Imported({"id": "bd-1", "priority": 2})
    assert issue.export()["title"] == ""
    assert issue.again(issue.export()) == []


def test_a_stand_in_that_a_file_says_by_itself_is_no_stand_in_any_more() -> None:
    issue = Imported(LINE | {"priority": 9})
    issue.again(LINE | {"priority": 4})
    assert issue.export()["priority"] == 4
    issue.again(LINE | {"priority": 9})
    assert issue.export()["priority"] == 9


@given(lines, lines)
def test_a_changed_line_is_written_once_and_shows(before: dict[str, Any], after: dict[str, Any]) -> None:
    issue = Imported(before)
    issue.again(after)
    assert issue.again(after) == []
    kept = ("labels", "dependencies", "comments", "metadata", "updated_at")
    shown = issue.export()
    for name in after.keys() - kept:
        assert comparable({name: shown.get(name)}) == comparable({name: after[name]})


@given(lines)
def test_every_line_makes_events_that_fit_and_the_last_says_when_it_was_updated(line: dict[str, Any]) -> None:
    imported = parse(line)
    events = writes_for_new(imported, "bd")
    assert ("updated_at" in imported.registers) == ("updated_at" in [write.key for write in events[-1]])
    for writes in events:
        keys = [write.key for write in writes]
        assert len(set(keys)) == len(keys)
        for alone in {*TEXTS, "comments"} & set(keys):
            assert set(keys) <= {alone, "updated_at"}


@given(lines)
def test_the_short_way_of_common_lines_writes_what_the_long_one_does(line: dict[str, Any]) -> None:
    imported = parse(line)
    long = [{write.key: write.value for write in writes} for writes in writes_for_new(imported, "bd")]
    assert values_for_new(imported, "bd") == long


def test_real_lines_come_out_as_they_went_in_and_write_nothing_twice() -> None:
    count = 0
    for line in REAL.read_bytes().splitlines():
        data = json.loads(line)
        issue = Imported(data)
        assert comparable(issue.export()) == comparable(data)
        assert issue.again(data) == []
        count += 1
    assert count >= 200


def test_the_excerpt_has_every_kind_of_line() -> None:
    data = [json.loads(line) for line in EXCERPT.read_bytes().splitlines()]
    assert {issue["status"] for issue in data} >= {"open", "closed", "hooked", "tombstone"}
    assert {issue["issue_type"] for issue in data} >= {"task", "bug", "feature", "epic", "chore", "molecule", "event"}
    kinds = {edge["type"] for issue in data for edge in issue.get("dependencies", [])}
    assert kinds >= {"blocks", "parent-child", "discovered-from", "related", "relates-to", "supersedes", "duplicates"}
    assert any("." in issue["id"] for issue in data)


def test_a_dependency_that_names_another_issue_as_its_own_comes_out_so() -> None:
    line = LINE | {"dependencies": [EDGE | {"issue_id": "bd-other"}], "comments": [COMMENT | {"issue_id": 5}]}
    assert Imported(line).export() == line


# -- Events of a new issue ---------------------------------------------------------------------------------------
LINE: dict[str, Any] = {
    "id": "bd-1", "title": "A title", "status": "open", "priority": 1, "issue_type": "bug",
    "created_at": "2025-11-02T21:58:07.295058-08:00", "updated_at": "2025-11-03T20:56:22.700641-08:00",
}  # fmt: skip
EDGE = {
    "issue_id": "bd-1",
    "depends_on_id": "bd-2",
    "type": "blocks",
    "created_at": LINE["created_at"],
    "created_by": "a",
}
COMMENT = {"id": "c1", "issue_id": "bd-1", "author": "bob", "text": "c", "created_at": LINE["created_at"]}


def keys(events: Events) -> list[list[str]]:
    return [[write.key for write in writes] for writes in events]


def test_an_issue_with_one_label_and_one_dependency_is_one_event() -> None:
    events = writes_for_new(parse(LINE | {"labels": ["x"], "dependencies": [EDGE], "sender": "s"}), "bd")
    assert [sorted(written) for written in keys(events)] == [
        sorted(["project", *(LINE.keys() - {"id"}), "labels", "edges", "extra"])
    ]


def test_free_text_and_further_elements_follow() -> None:
    line = LINE | {
        "description": "d",
        "comments": [COMMENT],
        "labels": ["x", "y"],
        "metadata": {"a": 1, "b": 2, "c": 3},
    }
    assert keys(writes_for_new(parse(line), "bd"))[1:] == [
        ["description"], ["comments"], ["labels", "metadata"], ["metadata", "updated_at"],
    ]  # fmt: skip


def test_the_largest_line_makes_events_that_fit() -> None:
    long = "x" * limits.TEXT_BYTES
    line = LINE | dict.fromkeys([*TEXTS, "close_reason", "spec_id", "external_ref"], long)
    line |= {
        "labels": ["é" * limits.LABEL_CHARS] * 2,
        "metadata": {"a": "x" * 900, "b": long[:-2]},
        "sender": long[:-2],
    }
    line |= {"dependencies": [EDGE | {"metadata": "x" * 900}], "title": "é" * limits.TITLE_CHARS, "x": "x" * 900}
    line |= {"comments": [COMMENT | {"text": long}], "id": "é" * (limits.ENTITY_BYTES // 2), "status": "closed"}
    issue = Imported(with_issue_id(line))
    assert comparable(issue.export()) == comparable(line)
    assert issue.again(line) == []


def test_many_fields_below_the_limit_make_events_that_fit() -> None:
    names = ["spec_id", "close_reason", "closed_by_session", "external_ref"]
    issue = Imported(LINE | dict.fromkeys(names, "é" * 10_000))
    assert issue.export() == LINE | dict.fromkeys(names, "é" * 10_000)


def test_large_elements_stand_alone() -> None:
    long = "x" * 30_000
    line = LINE | {
        "metadata": {"a": long},
        "sender": long,
        "dependencies": [EDGE | {"metadata": long}],
        "labels": ["x"],
    }
    assert keys(writes_for_new(parse(line), "bd"))[1:] == [["edges"], ["metadata"], ["extra", "updated_at"]]


# -- Differences ---------------------------------------------------------------------------------------------------
def test_only_what_differs_is_written_over_what_is_live() -> None:
    issue = Imported(LINE | {"description": "d"})
    later = "2026-02-01T00:00:00Z"
    seen = issue.over("title")
    events = issue.again(LINE | {"title": "Better", "updated_at": later})
    assert keys(events) == [["title", "updated_at"]]
    assert events[0][0] == Write("title", "Better", seen)
    assert issue.export() == LINE | {"title": "Better", "description": "d", "updated_at": later}


def test_a_change_is_written_over_every_sibling() -> None:
    issue = Imported(LINE)
    issue.apply(OTHER, from_ms(NOON), [Write("title", "Theirs")])
    issue.again(LINE | {"title": "Settled", "updated_at": "2026-02-01T00:00:00Z"})
    assert [sibling.value for sibling in issue.live["title"]] == ["Settled"]


def test_elements_missing_here_are_added_and_none_is_removed() -> None:
    issue = Imported(
        LINE | {"labels": ["x"], "dependencies": [EDGE], "comments": [COMMENT], "metadata": {"a": 1, "b": 2}}
    )
    added = {"labels": ["y"], "comments": [COMMENT | {"id": "c2"}], "metadata": {"b": 3}}
    issue.again(LINE | added | {"dependencies": [EDGE | {"type": "related"}]})
    shown = issue.export()
    assert shown["labels"] == ["x", "y"]
    assert [edge["type"] for edge in shown["dependencies"]] == ["blocks", "related"]
    assert [comment["id"] for comment in shown["comments"]] == ["c1", "c2"]
    assert shown["metadata"] == {"a": 1, "b": 3}
    assert shown["updated_at"] == LINE["updated_at"]
    assert len(issue.live["metadata"]) == 2


def test_a_comment_whose_text_was_changed_elsewhere_is_added_beside() -> None:
    issue = Imported(LINE | {"comments": [COMMENT]})
    issue.again(LINE | {"comments": [COMMENT | {"text": "changed"}]})
    assert [comment["text"] for comment in issue.export()["comments"]] == ["c", "changed"]


def test_a_comment_whose_id_became_text_is_the_same_comment() -> None:
    issue = Imported(LINE | {"comments": [COMMENT | {"id": 5}]})
    assert issue.again(LINE | {"comments": [COMMENT | {"id": "5"}]}) == []


def test_an_empty_list_leaves_the_elements_here_alone() -> None:
    issue = Imported(LINE | {"labels": ["x"], "dependencies": [EDGE], "comments": [COMMENT], "metadata": {"a": 1}})
    assert issue.again(LINE | {"labels": [], "dependencies": [], "comments": [], "metadata": {}}) == []


def test_an_empty_value_clears_and_is_exported_as_it_came() -> None:
    issue = Imported(LINE | {"assignee": "alice", "pinned": True})
    cleared = LINE | {"assignee": "", "pinned": False}
    issue.again(cleared)
    assert issue.export() == cleared
    assert issue.again(cleared) == []


def test_a_value_takes_the_place_of_an_odd_one_even_where_it_is_the_default() -> None:
    issue = Imported(LINE | {"status": None, "priority": "high"})
    issue.again(LINE | {"priority": 2})
    assert issue.export() == LINE | {"priority": 2}


def test_a_tombstone_deletes_and_a_line_with_a_status_brings_back() -> None:
    said = {"deleted_at": LINE["updated_at"], "deleted_by": "bob", "delete_reason": "why", "original_type": "bug"}
    issue = Imported(LINE)
    assert keys(issue.again(LINE | said | {"status": "tombstone"})) == [["deleted", "updated_at"]]
    assert issue.export() == LINE | said | {"status": "tombstone"}
    issue.again(LINE)
    assert issue.export() == LINE


def test_a_tombstone_of_a_file_tells_nothing_of_what_was_seen() -> None:
    issue = Imported(LINE)
    issue.again(LINE | {"status": "tombstone"})
    issue.take([[Write("labels", "theirs")]], OTHER)
    assert issue.read().conflicts == []


@pytest.mark.parametrize("said", [{"title": "New"}, {"delete_reason": "more"}, {"title": "New", "deleted_by": "bob"}])
def test_a_newer_tombstone_of_what_was_deleted_here_is_a_deletion_made_anew(said: dict[str, str]) -> None:
    issue = Imported(LINE)
    issue.take([[Write("deleted", deletion("alice", "why", NOON, seen_in(issue.live)))]])
    issue.again(LINE | {"status": "tombstone", "updated_at": "2027-01-01T00:00:00Z"} | said)
    (deleted,) = issue.live["deleted"]
    assert seen_by(deleted.value)
    assert issue.read().conflicts == []
    assert said.items() <= issue.export().items()


def test_an_older_line_that_differs_only_in_its_time_writes_nothing() -> None:
    assert Imported(LINE).again(LINE | {"updated_at": "2025-01-01T00:00:00Z"}) == []


def native(change: Callable[[Imported], None]) -> Imported:
    issue = Imported(LINE)
    change(issue)
    return issue


@pytest.mark.parametrize(
    "writes",
    [
        [Write("labels", "x"), Write("edges", new_edge("bd-9", "blocks")), Write("comments", new_comment("c"))],
        [Write("deleted", deletion("alice", "why", NOON))],
        [Write("due_at", NOON), Write("started_at", NOON)],
    ],
)
def test_importing_what_was_exported_here_writes_nothing(writes: list[Write]) -> None:
    issue = Imported(LINE)
    issue.take([writes])
    assert issue.again(issue.export()) == []


def test_the_issue_made_here_and_exported_is_the_same_elsewhere() -> None:
    here = EntityMap()
    here.apply(LOCAL, from_ms(NOON), [Write("title", "Made here"), Write("comments", new_comment("c"))], "alice")
    line = document(read_issue("bd-1", here.live, here.created_hlc, here.updated_hlc), exact=True)
    assert Imported(line).export() == line


def test_an_erased_text_is_written_again_only_by_a_newer_line() -> None:
    line = LINE | {"description": "secret", "comments": [COMMENT]}
    issue = Imported(line)
    issue.erase("description")
    issue.erase("comments")
    assert issue.again(line) == []
    assert keys(issue.again(line | {"updated_at": "2026-02-01T00:00:00Z"})) == [
        ["description"],
        ["comments", "updated_at"],
    ]


@pytest.mark.parametrize(
    ("updated_at", "older"),
    [
        ("2025-11-03T20:56:22.700640999-08:00", True),
        ("2025-11-03T23:00:00+08:00", True),
        ("2025-11-03T20:56:22.700641-08:00", False),
        ("2025-11-04T04:56:22.700641Z", False),
        ("2026-01-01T00:00:00Z", False),
        ("someday", False),
    ],
)
def test_a_line_is_older_by_instant_and_not_by_text(updated_at: str, older: bool) -> None:
    assert is_older(parse(LINE | {"updated_at": updated_at}), LINE["updated_at"]) is older


class Compared(str):
    """Text that counts how often any of its kind is compared."""

    __slots__ = ()
    compared = 0
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        Compared.compared += 1
        return str.__eq__(self, other)


class LookedThrough(list[Any]):
    """A list that counts how often it is gone through."""

    looks = 0

    def __iter__(self) -> Iterator[Any]:
        LookedThrough.looks += 1
        return super().__iter__()


def test_labels_are_looked_for_without_comparing_each_with_all() -> None:
    labels = [f"label-{number}" for number in range(500)]
    issue = Imported({"id": "bd-1", "labels": labels})
    line = parse({"id": "bd-1", "labels": [*labels, "new"]})
    line = line._replace(labels=list(map(Compared, line.labels)))
    Compared.compared = 0
    assert differences(line, issue.live, issue.read(), issue.dot_of) == [[Write("labels", "new")]]
    assert Compared.compared < 20 * len(labels)


def test_entries_of_metadata_take_the_place_of_what_is_live_under_their_names_found_in_a_few_looks() -> None:
    metadata = {f"name-{number}": 1 for number in range(100)}
    issue = Imported({"id": "bd-1", "metadata": metadata})
    line = parse({"id": "bd-1", "metadata": dict.fromkeys(metadata, 2)})
    live = {**issue.live, "metadata": LookedThrough(issue.live["metadata"])}
    LookedThrough.looks = 0
    written = [write for writes in differences(line, live, issue.read(), issue.dot_of) for write in writes]
    assert LookedThrough.looks < 5
    dots = {sibling.value[0]: issue.dot_of("metadata", sibling) for sibling in issue.live["metadata"]}
    assert {write.value[0]: write.over for write in written} == {name: [dots[name]] for name in metadata}
