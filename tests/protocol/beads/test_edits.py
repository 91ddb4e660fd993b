"""What a changed line writes: its differences and nothing else, over what is seen, so that edits made apart merge."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.beads.edits import edits
from moot_protocol.beads.lines import ImportedIssue, parse_line
from moot_protocol.beads.writes import Events, writes_for_new
from moot_protocol.clock import from_ms
from moot_protocol.issues.issue import IssueReading, new_comment, read_issue
from moot_protocol.issues.issue_document import document
from moot_protocol.limits import OVER_PER_KEY
from moot_protocol.log.event import Write
from moot_protocol.merge.deletion import deletion, seen_by, seen_in, sighted
from moot_testkit.naive.entity_map import EntityMap

LOCAL, OTHER = b"l" * 32, b"o" * 32
NOON = 1_767_225_600_000
EARLY, LATE, LATER = "2025-01-01T00:00:00Z", "2025-02-01T00:00:00Z", "2025-03-01T00:00:00Z"
LINE: dict[str, Any] = {
    "id": "bd-1", "title": "A title", "status": "open", "priority": 1, "issue_type": "task", "updated_at": EARLY,
}  # fmt: skip


def parse(line: dict[str, Any]) -> ImportedIssue:
    imported = parse_line(json.dumps(line).encode(), 1)
    assert isinstance(imported, ImportedIssue)
    return imported


class Edited(EntityMap):
    """An issue that a line made, and that changed lines change; one event a second."""

    def __init__(self, **fields: Any) -> None:
        super().__init__()
        self.base = LINE
        self.base = self.line(**fields)
        self.seconds = 0
        self.take(writes_for_new(parse(self.base), "bd"))

    def take(self, events: Events, author: bytes = LOCAL) -> Events:
        for writes in events:
            self.seconds += 1
            assert len({write.key for write in writes}) == len(writes)
            self.apply(author, from_ms(NOON + 1000 * self.seconds), sighted(writes, self.live), "editor")
        return events

    def write(self, *writes: Write) -> None:
        """What somebody else wrote."""
        self.take([list(writes)], OTHER)

    def plan(self, **fields: Any) -> Events:
        """What a line would write in which these fields are new; None takes a field away."""
        return edits(parse(self.base), parse(self.line(**fields)), self.live, self.dot_of)

    def line(self, **fields: Any) -> dict[str, Any]:
        return {name: value for name, value in (self.base | fields).items() if value is not None}

    def edit(self, **fields: Any) -> list[Write]:
        return [write for writes in self.take(self.plan(**fields)) for write in writes]

    def read(self) -> IssueReading:
        return read_issue("bd-1", self.live, self.created_hlc, self.updated_hlc, self.lineage_of)

    def shown(self) -> dict[str, Any]:
        return document(self.read(), exact=True)

    def values(self, key: str) -> list[Any]:
        return [sibling.value for sibling in self.live.get(key, ())]


def keys(writes: list[Write]) -> set[str]:
    return {write.key for write in writes}


# -- Lines -------------------------------------------------------------------------------------------------------
TIMES = st.sampled_from([EARLY, LATE, LATER])
DEPENDENCIES = [
    {"issue_id": "bd-1", "depends_on_id": to, "type": kind, "created_at": EARLY}
    for to in ("bd-2", "bd-3")
    for kind in ("blocks", "related")
]
COMMENTS: list[dict[str, Any]] = [
    {"id": 1, "author": "ann", "text": "one", "created_at": EARLY},
    {"id": 2, "author": "bob", "text": "two", "created_at": LATE},
    {"author": "ann", "text": "no id", "created_at": LATE},
]
FIELDS = st.fixed_dictionaries(
    {
        "title": st.sampled_from(["A title", "Another", "x" * 501, ""]),
        "priority": st.integers(0, 4) | st.sampled_from([-1, 9, 10, "high"]),
        "updated_at": TIMES,
    },
    optional={
        "description": st.sampled_from(["text", "other\ntext", ""]),
        "assignee": st.sampled_from(["ann", "bob"]),
        "closed_at": TIMES,
        "labels": st.lists(st.sampled_from(["red", "blue", "green"]), unique=True),
        "dependencies": st.lists(st.sampled_from(DEPENDENCIES), unique_by=str),
        "comments": st.lists(st.sampled_from(COMMENTS), unique_by=str),
        "metadata": st.dictionaries(st.sampled_from("ab"), st.integers(0, 2)),
        "size": st.integers(0, 2),
        "pinned": st.just(True),
    },
)
STATES = st.one_of(
    st.just({"status": "open"}), st.just({"status": "closed"}),
    st.fixed_dictionaries({"status": st.just("tombstone")}, optional={"deleted_by": st.sampled_from(["ann", "bob"])}),
)  # fmt: skip
LINES = st.builds(lambda fields, state: {"id": "bd-1", "issue_type": "task"} | fields | state, FIELDS, STATES)


def plain(shown: dict[str, Any]) -> dict[str, Any]:
    """A document whose sets compare without regard to order."""
    sets = {name: sorted(map(str, shown[name])) for name in ("labels", "dependencies", "comments") if name in shown}
    return shown | sets


@given(LINES, LINES)
def test_an_issue_that_was_its_line_is_its_line_again_after_an_edit(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    issue, expected = EntityMap(), EntityMap()
    shown = []
    for entity, line in ((issue, before), (expected, after)):
        for writes in writes_for_new(parse(line), "bd"):
            entity.apply(LOCAL, from_ms(NOON), writes, "editor")
    for writes in edits(parse(before), parse(after), issue.live, issue.dot_of):
        issue.apply(LOCAL, from_ms(NOON + 1000), writes, "editor")
    for entity in (issue, expected):
        reading = read_issue("bd-1", entity.live, entity.created_hlc, entity.updated_hlc, entity.lineage_of)
        assert not reading.conflicts
        shown.append(plain(document(reading, exact=True)))
    assert {**shown[0], "updated_at": ""} == {**shown[1], "updated_at": "", "status": shown[0]["status"]}
    assert shown[0]["status"] == after["status"]
    if after["updated_at"] != before["updated_at"]:
        assert shown[0]["updated_at"] == after["updated_at"]


@given(LINES)
def test_a_line_that_did_not_change_writes_nothing(line: dict[str, Any]) -> None:
    issue = Edited()
    assert edits(parse(line), parse(line), issue.live, issue.dot_of) == []


@given(LINES, LINES)
def test_an_edit_that_is_here_already_writes_no_field_again(before: dict[str, Any], after: dict[str, Any]) -> None:
    issue = EntityMap()
    for writes in writes_for_new(parse(after), "bd"):
        issue.apply(LOCAL, from_ms(NOON), writes, "editor")
    planned = {write.key for writes in edits(parse(before), parse(after), issue.live, issue.dot_of) for write in writes}
    assert planned <= {"status"} if before["status"] == "tombstone" else not planned


# -- Registers ---------------------------------------------------------------------------------------------------
def test_a_field_that_differs_is_written_over_all_siblings_seen_here() -> None:
    issue = Edited()
    issue.write(Write("title", "Theirs"))
    assert issue.read().conflicts == ["title"]
    assert keys(issue.edit(title="Mine")) == {"title"}
    assert issue.values("title") == ["Mine"]


def test_a_field_equal_in_both_states_is_left_alone_whatever_is_here_now() -> None:
    issue = Edited(assignee="ann")
    issue.write(Write("assignee", "bob", [issue.dot_of("assignee", issue.live["assignee"][0])]))
    issue.edit(priority=3)
    assert issue.shown()["assignee"] == "bob"


def test_a_field_that_is_gone_is_cleared() -> None:
    issue = Edited(assignee="ann", description="text")
    issue.edit(assignee=None, description=None)
    assert not {"assignee", "description"} & issue.shown().keys()


def test_a_priority_that_is_gone_is_zero_since_zeros_may_be_left_out() -> None:
    issue = Edited()
    issue.edit(priority=None)
    assert issue.shown()["priority"] == 0
    assert Edited(priority=0).plan(priority=None) == []
    assert Edited(priority=None).edit(priority=0)[0] == Write("priority", 0, [])


def test_an_odd_priority_is_kept_as_it_is_and_no_zero() -> None:
    issue = Edited()
    issue.edit(priority="high")
    assert issue.shown()["priority"] == "high"


def test_a_value_that_cannot_be_stored_changes_nothing() -> None:
    issue = Edited(labels=["red", "blue"], size=1, notes="text")
    assert issue.plan(title="half \ud800", labels=["red", "x" * 101], size=float("nan"), notes="x" * 70_000) == []
    (kept,) = issue.plan(title="half \ud800", priority=3)
    assert keys(kept) == {"priority"}


def test_an_odd_priority_comes_in_and_goes_with_what_is_shown_for_it() -> None:
    issue = Edited()
    issue.edit(priority=9)
    assert (issue.shown()["priority"], issue.read().values["priority"]) == (9, 4)
    issue.write(Write("priority", 1, issue.over("priority")))
    assert issue.shown()["priority"] == 1
    issue.edit(priority=9)
    assert (issue.shown()["priority"], issue.read().values["priority"]) == (9, 4)
    issue.base = issue.line(priority=9)
    issue.edit(priority=4)
    assert (issue.shown()["priority"], issue.values("extra")) == (4, [])
    assert issue.plan(priority=4) == []


def test_updated_at_is_written_last_and_never_over_a_later_one() -> None:
    issue = Edited()
    issue.write(Write("updated_at", LATER))
    events = issue.plan(description="text", title="New", updated_at=LATE)
    assert [write.key for write in events[-1]][-1] == "updated_at"
    issue.take(events)
    assert sorted(issue.values("updated_at")) == [LATE, LATER]
    assert issue.shown()["updated_at"] == LATER


# -- Sets --------------------------------------------------------------------------------------------------------
def test_only_what_a_line_adds_and_removes_changes_in_a_set() -> None:
    issue = Edited(labels=["red", "blue"], metadata={"a": 1, "b": 2}, size=1)
    issue.write(Write("labels", "theirs"))
    issue.edit(labels=["blue", "green"], metadata={"b": 3, "c": 4}, size=None)
    shown = issue.shown()
    assert shown["labels"] == ["blue", "green", "theirs"]
    assert shown["metadata"] == {"b": 3, "c": 4}
    assert "size" not in shown


def test_an_element_removed_here_and_untouched_in_the_line_stays_removed() -> None:
    issue = Edited(labels=["red", "blue"])
    issue.write(Write("labels", None, [issue.dot_of("labels", issue.live["labels"][0])], removes=True))
    issue.edit(labels=["red", "blue", "green"])
    assert issue.shown()["labels"] == ["blue", "green"]


def test_an_element_that_was_added_here_too_is_not_added_twice() -> None:
    issue = Edited()
    issue.write(Write("labels", "red"), Write("edges", ["bd-2", "blocks", None, None, {}]))
    assert issue.plan(labels=["red"], dependencies=DEPENDENCIES[:1]) == []


def test_an_entry_that_was_added_here_too_is_written_over() -> None:
    issue = Edited()
    issue.write(Write("metadata", ["a", "5"]), Write("extra", ["size", "5"]))
    issue.edit(metadata={"a": 1}, size=1)
    assert (issue.values("metadata"), issue.values("extra")) == ([["a", "1"]], [["size", "1"]])


def test_a_dependency_whose_details_changed_is_replaced() -> None:
    issue = Edited(dependencies=DEPENDENCIES[:2])
    changed = DEPENDENCIES[0] | {"created_at": LATE}
    issue.edit(dependencies=[changed, DEPENDENCIES[1]])
    assert sorted(issue.shown()["dependencies"], key=str) == sorted([changed, DEPENDENCIES[1]], key=str)
    assert len(issue.values("edges")) == 2


def test_a_comment_made_here_is_known_by_its_exported_id_and_removed_with_its_line() -> None:
    issue = Edited()
    issue.write(Write("comments", new_comment("Made here")))
    issue.base = issue.shown()
    assert issue.plan() == []
    issue.edit(comments=None)
    assert "comments" not in issue.shown()


def test_a_comment_of_a_file_without_ids_is_known_by_what_it_says() -> None:
    issue = Edited(comments=COMMENTS[:2])
    without = [{name: value for name, value in comment.items() if name != "id"} for comment in COMMENTS[:2]]
    issue.base = issue.line(comments=without)
    issue.edit(comments=without[1:])
    assert [comment["text"] for comment in issue.shown()["comments"]] == ["two"]


def test_a_removal_names_no_more_writes_than_one_change_can() -> None:
    issue = Edited(labels=["red"])
    for _ in range(OVER_PER_KEY):
        issue.write(Write("labels", "red"))
    removals = issue.edit(labels=None)
    assert [len(write.over) for write in removals if write.removes] == [OVER_PER_KEY, 1]
    assert "labels" not in issue.shown()


# -- Deletion ----------------------------------------------------------------------------------------------------
def test_a_line_that_became_a_tombstone_deletes_and_one_that_is_none_any_more_brings_back() -> None:
    issue = Edited(description="text")
    issue.edit(status="tombstone", deleted_by="ann", deleted_at=LATE)
    assert (issue.shown()["status"], issue.shown()["deleted_by"]) == ("tombstone", "ann")
    issue.base = issue.line(status="tombstone", deleted_by="ann", deleted_at=LATE)
    issue.edit(status="closed", deleted_by=None, deleted_at=None)
    assert (issue.shown()["status"], issue.shown()["description"]) == ("closed", "text")
    assert "deleted_by" not in issue.shown()


def test_a_tombstone_leaves_the_status_as_it_was() -> None:
    issue = Edited(status="closed")
    issue.edit(status="tombstone")
    assert issue.values("status") == ["closed"]


@pytest.mark.parametrize("deleted_first", [True, False])
def test_an_edit_and_a_deletion_without_sight_of_each_other_are_in_conflict(deleted_first: bool) -> None:
    issue = Edited()
    edit = issue.plan(title="New")
    tombstone = [[Write("deleted", deletion("ann", "done", NOON, seen_in(issue.live)))]]
    for events, author in [(tombstone, OTHER), (edit, LOCAL)][:: 1 if deleted_first else -1]:
        issue.take(events, author)
    assert issue.read().conflicts == ["deleted"]
    assert issue.values("title") == ["New"]


def test_edits_of_two_sides_are_in_no_conflict_and_a_deletion_that_saw_them_settles_all() -> None:
    issue = Edited()
    plans = [issue.plan(title="New"), issue.plan(priority=4)]
    issue.take(plans[0])
    issue.take(plans[1], OTHER)
    assert issue.read().conflicts == []
    issue.base = issue.line(title="New", priority=4)
    issue.edit(status="tombstone")
    assert issue.read().conflicts == []
    assert issue.shown()["status"] == "tombstone"


def test_a_deletion_comes_after_all_other_changes_of_its_line_and_tells_what_was_seen() -> None:
    issue = Edited(notes="text")
    planned = issue.plan(status="tombstone", title="New", notes="other", labels=["red", "blue"], updated_at=LATE)
    assert [write.key for write in planned[-1]] == ["deleted", "updated_at"]
    issue.take(planned)
    assert seen_by(issue.values("deleted")[0])
    assert issue.read().conflicts == []
    issue.write(Write("labels", "theirs"))
    assert issue.read().conflicts == ["deleted"]


def test_a_tombstone_that_changes_is_a_deletion_made_anew() -> None:
    issue = Edited()
    issue.base = issue.base | {"status": "tombstone"}
    issue.take([[Write("deleted", deletion("ann", "", NOON, seen_in(issue.live)))]])
    issue.edit(title="New")
    assert issue.values("title") == ["New"]
    assert issue.read().conflicts == []


def test_a_deletion_in_conflict_stays_so_when_its_tombstone_changes() -> None:
    issue = Edited()
    issue.take([[Write("deleted", deletion("ann", "", NOON, seen_in(issue.live)))]])
    issue.write(Write("labels", "theirs"))
    issue.base = issue.base | {"status": "tombstone"}
    issue.edit(title="New")
    assert issue.read().conflicts == ["deleted"]


def test_a_line_that_only_says_when_it_was_updated_is_no_edit() -> None:
    assert [[write.key for write in writes] for writes in Edited().plan(updated_at=LATE)] == [["updated_at"]]
