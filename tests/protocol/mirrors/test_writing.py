"""What is written into a mirrored file: untouched lines keep bytes and places, new ones stand in order of id."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.mirrors.lines import joined, split
from moot_protocol.mirrors.writing import rewritten


def theirs(name: str, **fields: Any) -> bytes:
    """A line as somebody else's tool writes it."""
    return json.dumps(
        {"title": f"T {name}", "id": name, "status": "open", **fields}, separators=(" , ", " : ")
    ).encode()


def exported(name: str, **fields: Any) -> bytes:
    """The same as an export writes it."""
    return json.dumps({"id": name, "title": f"T {name}", "status": "open", **fields}).encode()


names = st.text("abc-1", min_size=1, max_size=4)


@given(st.lists(names, unique=True), st.sets(names), st.booleans())
def test_a_line_that_says_the_same_keeps_its_bytes_whatever_was_asked(
    there: list[str], asked: set[str], ends: bool
) -> None:
    lines = split(joined([theirs(name) for name in there]) + (b"\n" if ends else b""))
    wanted: dict[str, bytes | None] = {name: exported(name) for name in asked & set(there)}
    assert rewritten(lines, wanted) == lines


@given(st.lists(names, unique=True), st.sets(names))
def test_new_lines_stand_in_order_of_id_among_lines_in_order_of_id(there: list[str], new: set[str]) -> None:
    lines = split(b"".join(theirs(name) + b"\n" for name in sorted(there)))
    written = rewritten(lines, {name: exported(name) for name in new})
    ids = [json.loads(line)["id"] for line in written if line]
    assert ids == sorted({*there, *new})
    assert written[-1] == b""


def test_lines_in_another_order_stay_where_they_are() -> None:
    lines = [theirs("c"), b"not json", theirs("a"), b"", theirs("d"), b""]
    written = rewritten(lines, {"b": exported("b"), "a": exported("a", title="Changed")})
    assert written == [exported("b"), theirs("c"), b"not json", exported("a", title="Changed"), b"", theirs("d"), b""]


def test_a_file_without_a_last_line_end_gets_none() -> None:
    assert rewritten([theirs("a")], {"b": exported("b")}) == [theirs("a"), exported("b")]
    assert rewritten([b""], {"b": exported("b")}) == [exported("b"), b""]


def test_line_ends_stay_those_of_the_file() -> None:
    lines = [theirs("a") + b"\r", theirs("b") + b"\r", b""]
    written = rewritten(lines, {"b": exported("b", title="Changed"), "c": exported("c")})
    assert written == [theirs("a") + b"\r", exported("b", title="Changed") + b"\r", exported("c") + b"\r", b""]


def test_what_cant_be_stored_of_a_line_stays_in_it() -> None:
    long = "x" * 62_000
    written = rewritten([theirs("a", title=long)], {"a": exported("a", status="closed", title="")})
    assert json.loads(written[0])["title"] == long
    assert json.loads(written[0])["status"] == "closed"
    (kept,) = rewritten([theirs("a", title=long)], {"a": exported("a", title=long[:500])})
    assert kept == theirs("a", title=long)


def test_a_line_that_says_the_same_but_for_what_cant_be_stored_keeps_its_bytes() -> None:
    lines = [theirs("a", title="x" * 62_000)]
    assert rewritten(lines, {"a": exported("a", title="")}) == lines
    unfit = [b'{"id":"a","title":"A","status":"open","zz":NaN}']
    assert rewritten(unfit, {"a": exported("a", title="B")}) == [exported("a", title="B")]


def test_a_line_without_a_priority_says_the_most_urgent_one_and_keeps_its_bytes() -> None:
    line = b'{"id": "bd-1", "title": "T"}'
    exported = b'{"id":"bd-1","title":"T","priority":0}'
    assert rewritten([line], {"bd-1": exported}) == [line]
    assert rewritten([line], {"bd-1": exported.replace(b"0", b"2")}) == [exported.replace(b"0", b"2")]


def test_a_tombstone_takes_the_place_of_a_line_and_makes_none() -> None:
    gone = exported("a", status="tombstone", deleted_at="2026-01-01T00:00:00Z")
    assert rewritten([theirs("a"), b""], {"a": gone}) == [gone, b""]
    assert rewritten([theirs("b"), b""], {"a": gone}) == [theirs("b"), b""]


def test_an_issue_of_which_nothing_is_left_loses_its_line() -> None:
    assert rewritten([theirs("a"), theirs("b"), b""], {"a": None, "c": None}) == [theirs("b"), b""]


def test_of_an_id_that_stands_twice_the_first_line_counts() -> None:
    lines = [theirs("a"), theirs("a", title="second")]
    assert rewritten(lines, {"a": exported("a", title="Changed")}) == [exported("a", title="Changed"), lines[1]]
