"""Three states of a Beads file merged by issue and field: both sides' changes are there, and the result is JSON."""

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.mirrors.merging import Disagreement, Merged, merge
from moot_testkit.laws.merge_files import merged_file
from moot_testkit.laws.merges import read_case

REAL = sorted(path for path in (Path(__file__).parents[2] / "data" / "merges").iterdir() if path.is_dir())
T0, T1, T2 = (f"2026-01-0{day}T00:00:00Z" for day in (1, 2, 3))
BASE = {"id": "a", "title": "A", "status": "open", "priority": 2, "updated_at": T0}


def file(*issues: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(issue).encode() + b"\n" for issue in issues)


def merged(ours: dict[str, Any] | None, theirs: dict[str, Any] | None, base: dict[str, Any] | None = BASE) -> Merged:
    """Changes of both sides to one issue; None for one whose line is gone."""
    sides = [file(*([] if side is None else [{**(base or {"id": "a"}), **side}])) for side in (ours, theirs)]
    return merge(file(*([] if base is None else [base])), *sides)


def shown(found: Merged) -> dict[str, Any]:
    (line,) = found.content.splitlines()
    issue: dict[str, Any] = json.loads(line)
    return issue


# -- Real merges -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("folder", REAL, ids=lambda path: path.name)
def test_a_real_merge_loses_nothing_and_asks_only_where_a_merge_by_lines_does(folder: Path) -> None:
    found, outcome = merged_file(read_case(folder))
    assert outcome.failures == []
    assert found.is_clean or outcome.line_conflicts


# -- Fields ------------------------------------------------------------------------------------------------------
def test_different_fields_of_one_issue_come_together() -> None:
    found = merged({"title": "Ours", "updated_at": T1}, {"priority": 0, "updated_at": T2})
    assert found.is_clean
    assert shown(found) == BASE | {"title": "Ours", "priority": 0, "updated_at": T2}


def test_a_side_that_alone_changed_an_issue_has_its_bytes() -> None:
    odd = b'{"status" : "open","id":"a" , "zz":1.0}\n'
    base = file(BASE, {"id": "b"})
    assert merge(base, odd + file({"id": "b"}), base).content == odd + file({"id": "b"})
    assert merge(base, base, odd + file({"id": "b"})).content == odd + file({"id": "b"})


def test_where_both_changed_a_field_the_newer_is_shown_and_both_are_listed() -> None:
    found = merged({"title": "Ours", "updated_at": T2}, {"title": "Theirs", "updated_at": T1})
    assert shown(found)["title"] == "Ours"
    assert found.disagreements == [Disagreement("a", "title", "Ours", "Theirs")]
    assert (
        shown(merged({"title": "Ours", "updated_at": T1}, {"title": "Theirs", "updated_at": T2}))["title"] == "Theirs"
    )


def test_elements_of_sets_come_together_and_removals_count() -> None:
    more = [{"depends_on_id": name, "type": "blocks"} for name in "bc"]
    base = BASE | {"labels": ["x", "y"], "dependencies": more[:1]}
    found = merged({"labels": ["y", "z"], "dependencies": more}, {"labels": ["x", "y", "w"], "dependencies": []}, base)
    assert found.is_clean
    assert sorted(shown(found)["labels"]) == ["w", "y", "z"]
    assert shown(found)["dependencies"] == more[1:]


def test_an_element_that_one_side_changed_is_as_that_side_has_it_though_the_other_removed_it() -> None:
    edge = {"depends_on_id": "b", "type": "blocks"}
    base, changed = BASE | {"dependencies": [edge]}, [edge | {"metadata": "why"}]
    others: list[dict[str, Any]] = [{"title": "Ours"}, {"dependencies": []}]
    for other in others:
        for ours, theirs in permutations([other, {"dependencies": changed}]):
            found = merged(ours, theirs, base)
            assert (found.is_clean, shown(found)["dependencies"]) == (True, changed)


def test_an_entry_of_metadata_that_one_side_changed_stays_though_the_other_removed_it() -> None:
    sides: list[dict[str, Any]] = [{"metadata": {"a": 2}}, {"metadata": {}}]
    for ours, theirs in permutations(sides):
        found = merged(ours, theirs, BASE | {"metadata": {"a": 1}})
        assert (found.is_clean, shown(found)["metadata"]) == (True, {"a": 2})


def test_a_field_that_is_null_on_both_sides_stays_so() -> None:
    found = merged({"title": "Ours"}, {"priority": 0}, BASE | {"assignee": None})
    assert shown(found) == BASE | {"assignee": None, "title": "Ours", "priority": 0}


def test_metadata_comes_together_by_name() -> None:
    base = BASE | {"metadata": {"a": 1, "b": 1}}
    found = merged({"metadata": {"a": 2, "b": 1}}, {"metadata": {"a": 1}}, base)
    assert (found.is_clean, shown(found)["metadata"]) == (True, {"a": 2})
    found = merged({"metadata": {"a": 2, "b": 1}}, {"metadata": {"a": 3, "b": 1}}, base)
    assert [each.field for each in found.disagreements] == ["metadata.a"]


def test_texts_merge_by_lines_and_disagree_where_they_touch() -> None:
    base = BASE | {"notes": "one\ntwo\nthree"}
    found = merged({"notes": "ONE\ntwo\nthree"}, {"notes": "one\ntwo\nTHREE"}, base)
    assert (found.is_clean, shown(found)["notes"]) == (True, "ONE\ntwo\nTHREE")
    assert not merged({"notes": "one\nTWO\nthree"}, {"notes": "one\n2\nthree"}, base).is_clean


def test_the_first_claimer_keeps_an_issue_as_in_the_log() -> None:
    found = merged({"assignee": "ada", "updated_at": T2}, {"assignee": "bo", "updated_at": T1})
    assert (found.is_clean, shown(found)["assignee"]) == (True, "bo")


def test_what_goes_with_a_status_goes_with_the_one_that_is_shown() -> None:
    closed = {"status": "closed", "closed_at": T1, "close_reason": "done", "updated_at": T1}
    found = merged({"status": "in_progress", "updated_at": T2}, closed)
    assert (shown(found)["status"], "closed_at" in shown(found), "close_reason" in shown(found)) == (
        "in_progress",
        False,
        False,
    )
    assert shown(merged({"title": "New", "updated_at": T2}, closed))["closed_at"] == T1


def test_what_goes_with_closing_stays_where_a_side_has_it_that_is_not_closed() -> None:
    found = merged({"status": "in_progress"}, {"title": "New"}, BASE | {"close_reason": "earlier"})
    assert (shown(found)["status"], shown(found)["close_reason"]) == ("in_progress", "earlier")


def test_zero_that_was_left_out_is_no_change_of_priority() -> None:
    base = BASE | {"priority": 0}
    ours = {name: value for name, value in base.items() if name != "priority"} | {"title": "New"}
    found = merge(file(base), file(ours), file(base | {"priority": 1}))
    assert (found.is_clean, shown(found)["priority"]) == (True, 1)


# -- Issues that come and go -------------------------------------------------------------------------------------
def test_new_issues_of_both_sides_stand_in_order_of_id() -> None:
    found = merge(file(BASE), file(BASE, {"id": "c"}), file(BASE, {"id": "b"}))
    assert [json.loads(line)["id"] for line in found.content.splitlines()] == ["a", "b", "c"]


def test_the_end_of_the_file_is_as_on_our_side() -> None:
    ours, theirs = file(BASE | {"title": "Ours"}), file(BASE | {"priority": 0})
    assert merge(file(BASE), ours, theirs).content.endswith(b"}\n")
    assert merge(file(BASE), ours.rstrip(), theirs).content.endswith(b"}")


def test_the_order_of_our_side_stays() -> None:
    ours = file({"id": "c"}, {"id": "a"}, {"id": "b", "x": 1})
    assert (
        merge(file({"id": "a"}, {"id": "b"}, {"id": "c"}), ours, file({"id": "a"}, {"id": "b"}, {"id": "c"})).content
        == ours
    )


def test_a_line_that_one_side_took_away_is_gone_unless_the_other_changed_it() -> None:
    assert merged(None, {}).content == b""
    assert merged(None, {"updated_at": T2}).content == b""
    found = merged(None, {"title": "Changed"})
    assert (shown(found)["title"], found.disagreements) == ("Changed", [Disagreement("a", "deleted", True, False)])


def test_a_tombstone_beside_an_edit_is_listed_and_beside_none_is_not() -> None:
    tombstone = {"status": "tombstone", "deleted_at": T1, "updated_at": T1}
    assert merged(tombstone, {"updated_at": T2, "content_hash": "other"}).is_clean
    found = merged(tombstone, {"title": "Changed", "updated_at": T2})
    assert [each.field for each in found.disagreements] == ["deleted"]
    assert merged(None, tombstone).is_clean
    assert merged(tombstone, tombstone | {"deleted_at": T2}).is_clean


def test_a_tombstone_beside_a_later_close_leaves_nothing_of_itself_but_the_question() -> None:
    tombstone = {"status": "tombstone", "deleted_at": T1, "deleted_by": "ann", "updated_at": T1}
    closed = {"status": "closed", "closed_at": T2, "updated_at": T2}
    found = merged(tombstone, closed)
    assert shown(found) == BASE | closed
    assert [each.field for each in found.disagreements] == ["deleted"]


def test_an_issue_that_one_side_took_out_of_its_grave_is_alive_without_a_question() -> None:
    tombstone = BASE | {"status": "tombstone", "deleted_at": T0}
    found = merged({"status": "open", "updated_at": T2}, {"deleted_by": "ann", "updated_at": T1}, tombstone)
    assert found.is_clean
    assert shown(found) == BASE | {"updated_at": T2}


def test_one_issue_made_on_both_sides_is_one() -> None:
    found = merged({"title": "A", "x": 1}, {"title": "A", "y": 2}, None)
    assert (found.is_clean, shown(found)) == (True, {"id": "a", "title": "A", "x": 1, "y": 2})


def test_memories_and_other_objects_are_kept() -> None:
    one, other = ({"_type": "memory", "key": key, "value": "v"} for key in "kl")
    found = merge(b"", file(one, BASE), file({"strange": 1}, other, BASE))
    assert found.is_clean
    assert set(found.content.splitlines(keepends=True)) == {file(each) for each in (one, other, {"strange": 1}, BASE)}


# -- What can't be read ------------------------------------------------------------------------------------------
def test_lines_that_cant_be_read_are_left_out_and_told_unless_they_were_there_before() -> None:
    bad = b'{"id": "b"\n'
    found = merge(file(BASE), file(BASE) + bad, file(BASE))
    assert (found.content, [(each.is_ours, each.line) for each in found.unread]) == (file(BASE), [(True, 2)])
    taken_away = merge(file(BASE) + bad, file(BASE) + bad, file(BASE))
    assert (taken_away.is_clean, taken_away.known) == (True, [])
    there = merge(file(BASE) + bad, file(BASE) + bad, file(BASE) + bad)
    assert (there.is_clean, [(each.is_ours, each.line) for each in there.known]) == (True, [(True, 2)])


def test_what_a_side_lacks_that_has_lines_which_cant_be_read_stays() -> None:
    found = merge(file(BASE, {"id": "b"}), file(BASE, {"id": "b"}), b"<<<<<<< x\n" + file(BASE))
    assert found.content == file(BASE, {"id": "b"})
    assert not found.is_clean


values = st.sampled_from(["x", "", None, 0, 1.0, True, ["x"], [["y"]], {"k": 1}, "closed", "tombstone", T1, "\ud800"])
fields = st.sampled_from(
    [
        "title",
        "status",
        "labels",
        "dependencies",
        "comments",
        "metadata",
        "notes",
        "updated_at",
        "closed_at",
        "zz",
        "assignee",
        "compaction_level",
    ]
)
issues = st.dictionaries(fields, values, max_size=5)
files = st.lists(
    st.builds(lambda name, issue: json.dumps({"id": name, **issue}).encode(), st.sampled_from("abc"), issues)
    | st.sampled_from([b"<<<<<<< x", b"{", b"", b'{"_type":"memory","key":"k"}', b"null", b"\xff"]),
    max_size=5,
).map(b"\n".join)  # fmt: skip


@given(files, files, files)
def test_whatever_comes_the_result_is_lines_of_json_and_sides_may_change_places(
    base: bytes, ours: bytes, theirs: bytes
) -> None:
    found = merge(base, ours, theirs)
    assert all(isinstance(json.loads(line), dict) for line in found.content.splitlines() if line)
    assert merge(base, theirs, ours).is_clean == found.is_clean


@given(files, files)
def test_a_side_that_changed_nothing_leaves_the_other_as_it_is(base: bytes, theirs: bytes) -> None:
    found = merge(base, base, theirs)
    assert found.disagreements == []
    own = merge(base, theirs, base)
    assert sorted(found.content.split()) == sorted(own.content.split())
