"""Pairs of lines: by id and whatever the order, equal ones left out, odd ones told by number, little held at once."""

import json
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.beads.pairs import LinePair, Pairing
from moot_protocol.errors import Code, RefusedError

DEEP = b'{"id": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def line(name: str, title: str = "") -> bytes:
    return json.dumps({"id": name, "title": title}).encode()


def told(pairing: Pairing) -> list[tuple[bool, int, str]]:
    """File, line and id of each problem."""
    return [(found.in_base, found.problem.line, found.problem.id) for found in pairing.problems]


FILES = st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from(["", "old", "new"]))


@given(FILES, FILES, st.randoms())
def test_every_difference_is_one_pair_whatever_the_order_of_the_lines(
    base: dict[str, str], file: dict[str, str], random: Random
) -> None:
    sides = []
    for issues in (base, file):
        lines = [line(name, title) for name, title in issues.items()]
        random.shuffle(lines)
        sides.append(lines)
    pairing = Pairing(sides[0], sides[1])
    found = set(pairing)
    expected = set()
    for name in base.keys() | file.keys():
        before, after = (line(name, issues[name]) if name in issues else b"" for issues in (base, file))
        if before != after:
            numbers = [side.index(each) + 1 if each else 0 for side, each in zip(sides, (before, after), strict=True)]
            expected.add(LinePair(numbers[0], before, numbers[1], after))
    assert found == expected
    assert pairing.equal == sum(base.get(name) == title for name, title in file.items())
    assert pairing.problems == []
    assert pairing.is_whole


def test_new_lines_come_after_changed_ones_and_missing_ones_last() -> None:
    pairing = Pairing([line("a"), line("b"), line("c")], [line("new"), line("b", "x"), line("c")])
    assert [(pair.base_number, pair.number) for pair in pairing] == [(2, 2), (0, 1), (1, 0)]


def test_of_an_id_that_stands_twice_the_first_line_counts_in_each_file() -> None:
    pairing = Pairing([line("a", "1"), line("a", "2")], [b"", line("a", "1"), line("a", "3"), line("a", "2")])
    assert list(pairing) == []
    assert told(pairing) == [(True, 2, "a"), (False, 3, "a"), (False, 4, "a")]


@pytest.mark.parametrize(
    "bad", [b"<<<<<<< HEAD", b'{"id": "a", "ti', b"[1]", b'{"title": "no id"}', b"\xff", DEEP, None]
)
def test_a_line_that_is_no_issue_is_told_by_file_and_number(bad: bytes | None) -> None:
    pairing = Pairing([bad, line("a")], [line("a"), b"  ", bad])
    assert list(pairing) == []
    assert told(pairing) == [(True, 1, ""), (False, 3, "")]


def test_a_file_is_whole_only_if_all_its_own_lines_could_be_read() -> None:
    torn = Pairing([line("a")], [line("a")[:-3]])
    assert [pair.number for pair in torn] == [0]
    assert not torn.is_whole
    torn_before = Pairing([line("a")[:-3]], [line("a")])
    assert [pair.base_number for pair in torn_before] == [0]
    assert torn_before.is_whole


def test_a_line_with_numbers_that_only_some_decoders_read_has_its_id() -> None:
    odd = b'{"id": "a", "size": NaN}'
    assert list(Pairing([line("a")], [odd])) == [LinePair(1, line("a"), 1, odd)]


def test_files_in_step_hold_next_to_nothing_and_files_out_of_step_are_refused() -> None:
    def lines(numbers: range) -> Iterator[bytes]:
        return (line(f"bd-{number}") for number in numbers)

    assert list(Pairing(lines(range(1000)), lines(range(1000)), held_bytes=100)) == []
    with pytest.raises(RefusedError) as refused:
        list(Pairing(lines(range(1000)), lines(range(1000, 0, -1)), held_bytes=100))
    assert refused.value.code is Code.LIMIT
