"""A sieve lets through every record that may match, and keeps back most others."""

import re

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.requests.listing import Filter
from mootd.engine.listing.sieve import sieve_of

LETTERS = st.sampled_from("aAsSkKfiFltjhwy\u212aßﬁﬂſİŉẞé-1 ")


@given(st.text(LETTERS, max_size=6), st.text(LETTERS, min_size=1, max_size=3))
def test_a_title_that_matches_is_let_through(title: str, part: str) -> None:
    sieve = sieve_of(Filter(title_contains=part))
    if sieve is not None and part.casefold() in title.casefold():
        assert sieve(msgspec.msgpack.encode([1, "issue", title]))


def test_every_character_that_folds_to_an_ascii_letter_is_known() -> None:
    sieve = sieve_of(Filter(title_contains="zzz"))
    assert sieve is not None
    others = (chr(code) for code in range(0x80, 0x11_0000) if not 0xD800 <= code < 0xE000)
    folded = [char for char in others if char.casefold() != char and re.search("[a-z]", char.casefold())]
    assert len(folded) >= 19
    for char in folded:
        assert sieve(char.encode()), char


def test_what_has_neither_the_title_nor_the_type_is_kept_back() -> None:
    sieve = sieve_of(Filter(title_or_id="Needle", types=("epic", "bug")))
    assert sieve is not None
    assert sieve(b"..bug..a neeDle in a haystack")
    assert not sieve(b"..bug..a pin in a haystack")
    assert not sieve(b"..chore..a needle in a haystack")


def test_there_is_none_where_it_would_tell_nothing() -> None:
    assert sieve_of(Filter()) is None
    assert sieve_of(Filter(types=("task",))) is None
    assert sieve_of(Filter(title_contains="ärger")) is None
