"""A mirrored file as lines: nothing of it is lost, moments in between are refused, mass changes are doubted."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.beads.pairs import LinePair
from moot_protocol.mirrors.lines import (
    MIRROR,
    actor_of,
    content_hash,
    differences,
    distance,
    doubt_of,
    id_of,
    joined,
    line_key,
    problem_of,
    split,
    strangeness,
)


def line(name: str, **fields: object) -> bytes:
    return json.dumps({"id": name, **fields}).encode()


@given(st.binary(max_size=200) | st.lists(st.sampled_from([b"", b"\r", b"x", line("a")])).map(b"\n".join))
def test_lines_put_together_again_are_the_file(content: bytes) -> None:
    assert joined(split(content)) == content


def test_versions_and_lines_are_told_apart() -> None:
    assert content_hash(b"a") != content_hash(b"b")
    assert len(content_hash(b"")) == 32
    assert line_key(b"a") != line_key(b"b")


@pytest.mark.parametrize(
    ("held", "name"),
    [
        (line("a-1"), "a-1"),
        (b"\xef\xbb\xbf" + line("a-1") + b"\r", "a-1"),
        (b"", None),
        (b"{", None),
        (b"[1]", None),
        (b'{"id":"a-1","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", None),
    ],
)
def test_a_line_is_known_by_its_issue(held: bytes, name: str | None) -> None:
    assert id_of(held) == name


# -- Refusing ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([line("a"), b"<<<<<<< HEAD"], "line 2 is a conflict marker"),
        ([b">>>>>>> other", line("a")], "line 1 is a conflict marker"),
        ([line("a")[:-3], line("b")], "line 1 can't be read"),
        ([line("a"), b'{"id":"b'], "line 2 can't be read"),
        ([b'{"title": "x"}'], "no id"),
        ([b'{"id":"a","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"], "nested too deeply"),
    ],
)
def test_a_state_with_a_line_that_cant_be_read_is_refused(lines: list[bytes], words: str) -> None:
    assert words in str(problem_of(lines, ()))


def test_lines_known_already_blank_ones_and_memories_are_no_problem() -> None:
    bad = b'{"id":"b'
    lines = [line("a"), bad, b"", b" ", b'{"_type":"memory","key":"k","value":"v"}']
    assert problem_of(lines, {bad}) is None


def test_of_a_file_met_first_markers_and_a_last_line_cut_short_are_refused() -> None:
    bad = b'{"id":"b'
    assert problem_of([bad, line("a"), b""], None) is None
    assert "line 2" in str(problem_of([line("a"), bad], None))
    assert "marker" in str(problem_of([b"<<<<<<< x", line("a"), b""], None))


README = [b"# A title", b"", b"Some words.", b"```"]
MEMORY = b'{"_type":"memory","key":"k","value":"v"}'


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (README, "not a single line of it is an issue (line 1: no JSON"),
        ([b"[core]", b"\tbare = false"], "not a single line"),
        ([b"{", b'  "name": "x"', b"}", b""], "not a single line"),
        ([b"1", b"[]", b'{"title": "x"}'], "not a single line"),
        ([*README, line("a"), line("b")], "3 of its 5 lines are none of issues (line 1:"),
    ],
)
def test_a_file_met_first_that_is_something_else_is_refused(lines: list[bytes], words: str) -> None:
    assert words in str(problem_of(lines, None))


@pytest.mark.parametrize(
    "lines", [[b""], [b"", b" "], [MEMORY], [b"{", line("a")], [b"{", MEMORY, line("a")], [b"<<<<<<< x"]]
)
def test_an_empty_file_and_one_of_which_half_is_issues_or_memories_is_none_that_is_something_else(
    lines: list[bytes],
) -> None:
    assert strangeness(lines) is None


def test_one_line_of_an_issue_is_enough_where_not_most_have_to_be() -> None:
    assert strangeness([*README, line("a")], most=False) is None
    assert strangeness(README, most=False)


# -- Differences and doubts --------------------------------------------------------------------------------------
def test_only_lines_that_differ_make_pairs_and_keep_their_numbers() -> None:
    base = [line("a"), line("b"), line("c"), b""]
    found = differences(base, [line("a"), line("c"), line("b", x=1), line("d"), b""])
    assert found.pairs == [LinePair(2, line("b"), 3, line("b", x=1)), LinePair(0, b"", 4, line("d"))]
    assert (found.total, found.gone) == (3, [])


def test_more_than_half_gone_is_doubtful_and_half_is_not() -> None:
    base = [line(name) for name in "abcd"]
    assert doubt_of(differences(base, base[:2]), ()) is None
    doubt = doubt_of(differences(base, base[:1]), ())
    assert doubt is not None
    assert (doubt.gone, doubt.reverted, doubt.total) == (3, 0, 4)


def test_more_than_half_back_in_an_earlier_state_is_doubtful() -> None:
    base = [line(name, updated_at="2026-02-01T00:00:00Z") for name in "abc"]
    older = [line(name, updated_at="2026-01-01T00:00:00Z") for name in "abc"]
    newer = [line(name, updated_at="2026-03-01T00:00:00Z") for name in "abc"]
    assert doubt_of(differences(base, newer), ()) is None
    assert doubt_of(differences(base, [older[0], *base[1:]]), ()) is None
    assert doubt_of(differences(base, older), ()) is not None
    assert doubt_of(differences(base, newer), set(map(line_key, newer))) is not None


def test_lines_of_an_earlier_time_are_older_and_bring_nothing() -> None:
    old, new = (line("a", updated_at=f"2026-0{month}-01T00:00:00Z") for month in (1, 2))
    back = differences([new, line("b")], [old, line("b", title="x")])
    assert [pair.line for pair in back.older] == [old]
    assert differences([old], [new]).older == differences([new], []).older == differences([], [old]).older == []
    # Beside no time, or one that is none, nothing is older.
    assert differences([new], [line("a", title="y")]).older == []
    assert differences([new], [line("a", updated_at=7)]).older == []


def test_the_distance_counts_lines_of_either_that_the_other_lacks() -> None:
    assert distance({b"a", b"b"}, {b"b", b"c", b"d"}) == 3


# -- Who ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("pair", "who"),
    [
        (LinePair(0, b"", 1, line("a", created_by="ada")), "ada"),
        (LinePair(1, line("a"), 1, line("a", created_by="ada")), MIRROR),
        (LinePair(1, line("a"), 1, line("a", updated_by="bo")), "bo"),
        (LinePair(1, line("a"), 1, line("a", status="tombstone", deleted_by="cy")), "cy"),
        (LinePair(0, b"", 1, line("a", created_by="x" * 11)), MIRROR),
        (LinePair(0, b"", 1, line("a", created_by=" ")), MIRROR),
        (LinePair(0, b"", 1, line("a", created_by=7)), MIRROR),
        (LinePair(1, line("a"), 0, b""), MIRROR),
    ],
)
def test_a_change_is_by_whom_its_line_names(pair: LinePair, who: str) -> None:
    assert actor_of(pair, 10) == who
