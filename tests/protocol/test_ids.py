"""Ids come from 60 random bits, are safe to type and to print, and the text forms of keys are exact."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import RefusedError
from moot_protocol.ids import (
    CROCKFORD,
    ID_ENTROPY_BYTES,
    base32,
    chars_shown,
    check_prefix,
    entity_problem,
    issue_id,
    key_begins,
    key_from_text,
    key_text,
    key_word,
    line_problem,
)
from moot_protocol.limits import ENTITY_BYTES, ID_PREFIX_CHARS, KEY_BYTES
from moot_testkit.bytes.strategies import hashes

entropies = st.binary(min_size=ID_ENTROPY_BYTES, max_size=ID_ENTROPY_BYTES)
LOW_60_BITS = 2**60 - 1


def test_the_alphabet_is_crockfords_in_lower_case() -> None:
    assert "0123456789ABCDEFGHJKMNPQRSTVWXYZ".lower() == CROCKFORD
    assert not set(CROCKFORD) & set("ilou")


@given(entropies)
def test_an_id_is_its_prefix_and_twelve_characters(entropy: bytes) -> None:
    prefix, _, random = issue_id("mo", entropy).partition("-")
    assert prefix == "mo"
    assert len(random) == 12
    assert set(random) <= set(CROCKFORD)
    assert entity_problem(f"mo-{random}") is None


@given(entropies)
def test_all_of_60_bits_stand_in_an_id(entropy: bytes) -> None:
    number = 0
    for character in issue_id("mo", entropy)[-12:]:
        number = number * 32 + CROCKFORD.index(character)
    assert number == int.from_bytes(entropy, "big") & LOW_60_BITS


@given(entropies, st.integers(0, 59))
def test_each_of_the_60_bits_makes_another_id(entropy: bytes, bit: int) -> None:
    other = (int.from_bytes(entropy, "big") ^ 1 << bit).to_bytes(8, "big")
    assert issue_id("mo", entropy) != issue_id("mo", other)


def test_base32_takes_the_lowest_bits() -> None:
    assert base32(b"\x00\x1f", 2) == "0z"
    assert base32(b"\xff\x20", 2) == "s0"
    assert base32(b"\x03\xff", 1) == "z"


@pytest.mark.parametrize("prefix", ["a", "A", "7", "bd", "my-app", "my_app.2", "a" * ID_PREFIX_CHARS, "a..b", "Moot-2"])
def test_a_prefix_of_letters_digits_dots_hyphens_and_underscores_is_taken(prefix: str) -> None:
    assert check_prefix(prefix) == prefix


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "-a",
        "a-",
        ".a",
        "a.",
        "_a",
        "a_",
        "a b",
        "a/b",
        "a$b",
        "a\n",
        "\na",
        "a" * (ID_PREFIX_CHARS + 1),
        "é",
        "a\0b",
    ],
    ids=repr,
)
def test_any_other_prefix_is_refused(prefix: str) -> None:
    with pytest.raises(RefusedError) as caught:
        check_prefix(prefix)
    assert str(ID_PREFIX_CHARS) in caught.value.hint


@pytest.mark.parametrize("prefix", ["\u212a", "a\u017fb", "\u0131", "\u0130x"], ids=ascii)
def test_letters_that_only_fold_to_ascii_are_refused_in_prefixes(prefix: str) -> None:
    with pytest.raises(RefusedError):
        check_prefix(prefix)


@pytest.mark.parametrize(
    ("issue", "chars", "shown"),
    [
        ("bd-a1b2c3", 7, "bd-a1b2"),
        ("bd-a1b2c3.12", 7, "bd-a1b2"),
        ("bd-a1b2c3.12", 9, "bd-a1b2c3.12"),
        ("bd-a1b2c3.12", 10, "bd-a1b2c3.12"),
        ("bd-a1b2c3.12", 11, "bd-a1b2c3.12"),
        ("bd-a1b2.1.2", 9, "bd-a1b2.1.2"),
        ("my.site-a1b2c3", 12, "my.site-a1b2"),
        ("a1b2c3", 4, "a1b2"),
        ("a1b2.3", 4, "a1b2.3"),
        ("bd-a1b2", 40, "bd-a1b2"),
    ],
)
def test_an_id_is_cut_so_that_a_childs_looks_whole(issue: str, chars: int, shown: str) -> None:
    assert issue[: chars_shown(issue, chars)] == shown
    assert chars_shown(issue, chars) <= len(issue)


@pytest.mark.parametrize(
    "entity", ["mo-0123456789ab", "bd-a1b2.3", "x", "a" * ENTITY_BYTES, "é" * (ENTITY_BYTES // 2), "a b", "\xa0", "😀"]
)
def test_imported_ids_may_be_any_text_without_control_characters(entity: str) -> None:
    assert entity_problem(entity) is None


@pytest.mark.parametrize(
    "entity",
    ["", "a" * (ENTITY_BYTES + 1), "é" * (ENTITY_BYTES // 2) + "a", "a\nb", "\0", "a\x1b[31m", "\x7f", "a\x85", "é\n"],
    ids=repr,
)
def test_ids_that_are_empty_too_long_or_hold_control_characters_are_refused(entity: str) -> None:
    assert entity_problem(entity) is not None


@pytest.mark.parametrize("entity", ["\udc80", "a\ud800", "é\udfff"], ids=ascii)
def test_ids_that_utf8_cant_hold_are_refused(entity: str) -> None:
    assert entity_problem(entity) is not None


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=200))
def test_which_ids_are_refused_is_exactly_said(entity: str) -> None:
    control = any(ord(character) < 0x20 or 0x7F <= ord(character) <= 0x9F for character in entity)
    assert (entity_problem(entity) is None) == (bool(entity) and not control and len(entity.encode()) <= ENTITY_BYTES)


@given(hashes)
def test_a_key_comes_back_from_its_text(key: bytes) -> None:
    text = key_text(key)
    assert key_from_text(text) == key
    assert len(text) == 43 <= KEY_BYTES
    assert not set(text) & set("+/=")


URLSAFE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@given(hashes, st.integers(0, 42), st.one_of(st.characters(), st.sampled_from(URLSAFE + "+/=")))
def test_no_two_texts_name_one_key(key: bytes, at: int, character: str) -> None:
    text = key_text(key)
    other = text[:at] + character + text[at + 1 :]
    found = key_from_text(other)
    assert (found == key) == (other == text)
    # The last stands for four bits and two zeros.
    assert (found is not None) == (character in (URLSAFE[::4] if at == 42 else URLSAFE))


@pytest.mark.parametrize(
    "text", ["", "a", "=" * 43, "A" * 42, "A" * 44, "+" * 43, "/" * 43, "é" * 43, "A" * 42 + "B", " " * 43]
)
def test_other_texts_name_no_key(text: str) -> None:
    assert key_from_text(text) is None


@given(st.text(max_size=50))
def test_any_text_names_a_key_or_none(text: str) -> None:
    key = key_from_text(text)
    assert key is None or key_text(key) == text


@given(hashes, hashes)
def test_a_key_is_meant_by_its_beginning_from_four_characters_on(key: bytes, other: bytes) -> None:
    text = key_text(key)
    assert [key_begins(key, text[:chars]) for chars in range(44)] == [False] * 4 + [True] * 40
    assert not key_begins(key, text + "!")
    assert key_begins(other, text) == (other == key)


def test_a_name_on_one_line_has_no_line_breaks_and_no_control_characters() -> None:
    assert line_problem("Ada Łovelace 🚀") is None
    assert all(line_problem(f"a{c}b") for c in ("\n", "\r", "\t", "\x1b", "\x85", "\ud800"))


def test_a_key_that_would_be_taken_for_flags_goes_behind_two_dashes() -> None:
    assert [key_word(key) for key in ("AbCd", "-bCd", "--Cd")] == ["AbCd", "-- -bCd", "-- --Cd"]
