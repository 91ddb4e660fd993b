"""`neutralise`: whatever comes in, what goes out can neither act on a terminal nor stay unseen."""

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moot.console.text.safe_text import LONGEST, neutralise, shortened

ANY_TEXT = st.text(st.characters(exclude_categories=()))
NASTY = st.text(
    st.sampled_from("a1#\u2764\U0001f468\U0001f469 \t\r\n\x1b\x9b\u200d\ufe0f\ufe0e\u202e\u3164\U000e0041\ud800\u0301")
)
UNPRINTABLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(st.text())
def test_a_text_that_is_not_too_long_is_told_whole(text: str) -> None:
    assert shortened(text) == text


def test_of_a_text_that_is_too_long_begin_and_end_are_told() -> None:
    assert shortened("a" * LONGEST) == "a" * LONGEST
    told = shortened("begin" + "a" * LONGEST + "end")
    assert (len(told), told[:6], told[-4:], told.count("…")) == (LONGEST, "begina", "aend", 1)


@given(ANY_TEXT | NASTY, st.booleans())
@example("\ufe0f\u200d\ufe0f", False)
def test_the_result_holds_printable_characters_and_newlines_only(text: str, keep_newlines: bool) -> None:
    shown = neutralise(text, keep_newlines=keep_newlines)
    for character in shown.replace("\n", "") if keep_newlines else shown:
        assert character == " " or unicodedata.category(character) not in UNPRINTABLE | {"Zs"}
        assert not 0xFE00 <= ord(character) <= 0xFE0F
        assert not 0xE0000 <= ord(character) <= 0xE0FFF
        assert character not in "\u034f\u115f\u1160\u2800\u3164\uffa0\u180b"


@given(ANY_TEXT | NASTY, st.booleans())
def test_neutralising_again_changes_nothing(text: str, keep_newlines: bool) -> None:
    shown = neutralise(text, keep_newlines=keep_newlines)
    assert neutralise(shown, keep_newlines=keep_newlines) == shown


@given(st.text(st.characters(categories=["L", "N", "P"], exclude_characters="\u115f\u1160\u3164\uffa0")))
def test_letters_numbers_and_punctuation_of_any_script_stay_as_they_are(text: str) -> None:
    assert neutralise(text) == text


@given(ANY_TEXT)
def test_text_that_stays_on_one_line_has_no_line_end_of_any_kind(text: str) -> None:
    assert len(neutralise(text).splitlines()) <= 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("\x1b[31mred\x1b[0m", "^[[31mred^[[0m"),
        ("\x1b]8;;http://evil\x07link\x1b]8;;\x07", "^[]8;;http://evil^Glink^[]8;;^G"),
        ("\x9b2J", "<U+009B>2J"),
        ("a\x00b\x7f", "a^@b^?"),
        ("one\ntwo\r\nthree\rfour", "one\u23cetwo\u23cethree^Mfour"),
        ("a\tb", "a b"),
        ("user\u202etxt.exe", "user<U+202E>txt.exe"),
        ("\u2066isolated\u2069", "<U+2066>isolated<U+2069>"),
        ("zero\u200bwidth\ufeff", "zero<U+200B>width<U+FEFF>"),
        ("soft\u00adhyphen", "soft<U+00AD>hyphen"),
        ("hi\U000e0068\U000e0069", "hi<U+E0068><U+E0069>"),
        ("a\U000e0100b\ufe05", "a<U+E0100>b<U+FE05>"),
        ("line\u2028para\u2029next\x85", "line<U+2028>para<U+2029>next<U+0085>"),
        ("\ud83d", "<U+D83D>"),
        ("\u3164\u2800", "<U+3164><U+2800>"),
        ("no\u00a0break \u3000wide", "no break  wide"),
        ("\ue000", "<U+E000>"),
    ],
)
def test_what_would_act_or_hide_is_shown(text: str, shown: str) -> None:
    assert neutralise(text) == shown


def test_newlines_and_tabs_stay_readable_where_lines_are_kept() -> None:
    assert neutralise("a\r\n\tb\u202e\n\x1bc", keep_newlines=True) == "a\n    b<U+202E>\n^[c"


def test_ordinary_emoji_lose_what_joins_them_and_nothing_else() -> None:
    assert neutralise("\u26a0\ufe0f warn") == "\u26a0 warn"
    assert neutralise("1\ufe0f\u20e3") == "1\u20e3"
    assert neutralise("\U0001f468\u200d\U0001f469\u200d\U0001f467") == "\U0001f468\U0001f469\U0001f467"
    assert neutralise("\u2764\ufe0f\u200d\U0001f525") == "\u2764\U0001f525"


def test_selectors_and_joiners_that_carry_data_are_shown() -> None:
    assert neutralise("\u26a0\ufe0f\ufe0e\ufe0f") == "\u26a0<U+FE0E><U+FE0F>"
    assert neutralise("a\ufe0f") == "a<U+FE0F>"
    assert neutralise("\ufe0f") == "<U+FE0F>"
    assert neutralise("a\u200db") == "a<U+200D>b"
    assert neutralise("\u200d\U0001f469") == "<U+200D>\U0001f469"
