"""A stream as lines, however it is cut, and told from one document."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot.console.text.json_lines import CountedLines, no_document, split_lines
from moot_protocol.errors import Code, RefusedError


@given(st.lists(st.binary(max_size=12).map(lambda line: line.replace(b"\n", b"")), max_size=8), st.integers(1, 7))
def test_lines_are_the_same_however_a_stream_is_cut(lines: list[bytes], size: int) -> None:
    stream = b"".join(line + b"\n" for line in lines)
    chunks = [stream[place : place + size] for place in range(0, len(stream), size)]
    expected = [line if len(line) <= 8 else None for line in lines]
    assert list(split_lines(chunks, most=8)) == expected


def test_a_last_line_without_an_end_counts_and_an_empty_rest_does_not() -> None:
    assert list(split_lines([b"a\nb"])) == [b"a", b"b"]
    assert list(split_lines([b"a\n"])) == [b"a"]
    assert list(split_lines([b"\n\na\n"])) == [b"", b"", b"a"]
    assert list(split_lines([b"toolong"], most=3)) == [None]
    assert list(split_lines([])) == []


def test_lines_are_counted_as_they_are_taken_and_the_rest_where_it_is_asked_for() -> None:
    lines = CountedLines(iter([b"a", None, b"b", b"c"]))
    taken = iter(lines)
    assert [next(taken), next(taken)] == [b"a", None]
    assert lines.all() == 4
    assert list(taken) == []


@pytest.mark.parametrize(
    ("stream", "parts"),
    [
        (b'[{"id":"a"},{"id":"b"}]', ".[]"),
        (b'\xef\xbb\xbf[\n{"id":"a"},\n{"id":"b"}\n]\n', ".[]"),
        (b'[{"id":"a"},\n{"id":"b"}]\n', ".[]"),
        (b'\n\n{\n  "id": "a"\n}\n{\n', "."),
    ],
)
@pytest.mark.parametrize("size", [3, 1 << 20])
def test_one_document_is_refused_with_what_makes_lines_of_it(stream: bytes, parts: str, size: int) -> None:
    chunks = [stream[place : place + size] for place in range(0, len(stream), size)]
    with pytest.raises(RefusedError, match="f is one JSON document") as refused:
        list(no_document(chunks, "f"))
    assert refused.value.code is Code.INVALID
    assert f"jq -c '{parts}' FILE" in refused.value.hint


def test_one_document_on_one_endless_line_is_refused_before_all_of_it_is_read() -> None:
    chunks = iter([b'[{"id": "', *[b"x" * 10_000] * 20])
    with pytest.raises(RefusedError):
        list(no_document(chunks, "f"))
    assert len(list(chunks)) > 10


@pytest.mark.parametrize(
    "stream",
    [b"", b"\n", b'{"id":"a"}', b'{"id":"a"}\n{', b"[1, 2]", b"[]", b'[{"id":"a"}]\n{"id":"b"}\n', b'[{"\n{"id":"b"}\n',
     b"<<<<<<< HEAD\n{", b'{"id":"a"'],
)  # fmt: skip
@pytest.mark.parametrize("size", [1, 1 << 20])
def test_lines_go_through_as_they_are_and_what_is_wrong_with_them_is_told_line_by_line(
    stream: bytes, size: int
) -> None:
    chunks = [stream[place : place + size] for place in range(0, len(stream), size)]
    assert b"".join(no_document(chunks, "f")) == stream
