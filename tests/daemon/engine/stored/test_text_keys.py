"""Texts as parts of keys: none runs into another, and those that are short stand there as they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mootd.engine.stored.text_keys import TEXT_KEY_BYTES, text_in, text_key, through_text

HOSTILE = st.text(max_size=600) | st.sampled_from(["", "\0", "a\0", "\0a", "x" * 240, "x" * 241, "ÿ" * 300, "\ud800"])


@given(HOSTILE, HOSTILE)
def test_no_text_runs_into_another(one: str, other: str) -> None:
    mine, theirs = text_key(one), text_key(other)
    assert (mine == theirs) == (one == other)
    assert mine.index(b"\0") == len(mine) - 1, "so that none is the beginning of another"


@given(HOSTILE)
def test_a_text_is_read_back_or_not_at_all(text: str) -> None:
    assert text_in(text_key(text)) in {text, None}


@pytest.mark.parametrize("text", ["", "open", "größer", "\ud800", "x" * TEXT_KEY_BYTES])
def test_what_is_short_stands_there_as_it_is(text: str) -> None:
    assert text_in(text_key(text)) == text


@pytest.mark.parametrize("text", ["a\0b", "x" * (TEXT_KEY_BYTES + 1)])
def test_what_has_a_hash_in_its_place_is_not_read_back(text: str) -> None:
    assert text_in(text_key(text)) is None


@given(st.binary(max_size=4) | st.just(b"s\0\1"), HOSTILE, st.binary(max_size=20))
def test_the_end_of_a_text_is_found_in_a_key(before: bytes, text: str, behind: bytes) -> None:
    assert through_text(before + text_key(text) + behind, len(before)) == before + text_key(text)
