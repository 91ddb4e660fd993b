"""What it takes to bring a copy into step, decided from what stands there and what this town wrote last."""

from typing import Any

from moot_protocol.merge.register import Sibling
from mootd.engine.issues.copies import Copy, followed

THEIRS = Sibling("theirs", 7, b"b" * 32, 1, "bob", b"")


def copy(shown: dict[str, Any], *, theirs: tuple[str, ...] = (), **parts: Any) -> Copy:
    given = {"written": {}, "labels": {}, "comments": frozenset()} | parts
    foreign = {field: [THEIRS._replace(value=shown.get(field))] for field in theirs}
    return Copy(("title", "status", "labels", "comments", "notes"), {"status": "open"} | shown, foreign, **given)


def test_a_copy_that_isn_t_there_yet_gets_all() -> None:
    made = followed(Copy.empty(("title", "status", "labels")), {"title": "A", "status": "open", "labels": ["x"]})
    assert (made.values, made.add_labels) == ({"title": "A", "status": "open"}, ["x"])


def test_what_is_in_step_needs_nothing() -> None:
    assert followed(copy({"title": "A"}), {"title": "A", "status": "open"}).is_empty


def test_a_field_that_its_source_has_no_more_is_cleared() -> None:
    assert followed(copy({"title": "A", "notes": "old"}), {"title": "A"}).values == {"notes": None}


def test_what_another_town_wrote_stands_until_the_source_changes() -> None:
    stands = copy({"title": "theirs"}, theirs=("title",), written={"title": "A"})
    made = followed(stands, {"title": "A"})
    assert (made.values, [each.field for each in made.suggestions]) == ({}, ["title"])
    assert followed(stands, {"title": "B"}).values == {"title": "B"}


def test_what_another_town_filled_in_where_nothing_was_is_a_suggestion() -> None:
    made = followed(copy({"notes": "theirs"}, theirs=("notes",)), {})
    assert (made.values, made.suggestions[0].there) == ({}, "theirs")


def test_a_label_that_another_town_took_out_isn_t_added_again_unless_the_source_loses_it_between() -> None:
    assert followed(copy({}, labels={"x": True}), {"labels": ["x"]}).suggestions[0].here == "x"
    assert followed(copy({}, labels={"x": False}), {"labels": ["x"]}).add_labels == ["x"]


def test_a_label_that_this_town_added_is_taken_out_and_others_stay() -> None:
    made = followed(copy({"labels": ["x"]}), {})
    assert made.remove_labels == ["x"]
    made = followed(copy({"labels": ["x"]})._replace(foreign={"labels": [THEIRS._replace(value="x")]}), {})
    assert (made.remove_labels, made.suggestions[0].there) == ([], "x")


def test_what_an_earlier_rule_let_out_is_taken_out_and_what_anybody_wrote_there_since_stays() -> None:
    stands = copy({"notes": "a", "labels": ["x", "y"], "title": "A"}, let_out=frozenset({"notes", "labels:x"}))
    made = followed(stands, {}, {"notes", "labels", "title", "status"})
    assert (made.values, made.remove_labels, made.suggestions) == ({"notes": None}, ["x"], [])
    theirs = stands._replace(foreign={field: [THEIRS._replace(value="x")] for field in ("notes", "labels")})
    assert followed(theirs, {}, {"notes", "labels", "title", "status"}).is_empty
    cleared = copy({"status": "open"}, let_out=frozenset({"status", "notes"}))
    assert followed(cleared, {}, {"notes", "labels", "title", "status"}).is_empty


def test_imported_comments_without_an_id_are_added_once_by_what_they_say() -> None:
    first, second = {"author": "a", "text": "x"}, {"author": "a", "text": "y", "created_at": "2026-01-01T00:00:00Z"}
    made = followed(copy({}, comments=frozenset({("a", None, "x")})), {"comments": [first, second]})
    assert made.comments == [second]


def test_comments_are_added_once() -> None:
    wanted = {"comments": [{"id": "1", "text": "a"}, {"id": "2", "text": "b"}, {"id": "3", "text": "c"}]}
    made = followed(copy({"comments": [{"id": "1"}]}, comments=frozenset({"2"})), wanted)
    assert [each["id"] for each in made.comments] == ["3"]


def test_a_deleted_copy_is_left_alone() -> None:
    made = followed(copy({"status": "tombstone"}), {"title": "A"})
    assert (made.is_empty, made.suggestions[0].field) == (True, "deleted")
