"""The recovery key as words for paper."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.errors import Code, RefusedError
from mootd.edges.entropy import SeededEntropy
from mootd.edges.recovery import new_recovery_seed, recovery_seed, recovery_words

ZEROS = "abandon " * 23 + "art"
"""The words of 32 zero bytes, from the test vectors of BIP-39."""
SEVENS = "legal winner thank year wave sausage worth useful " * 2 + "legal winner thank year wave sausage worth title"
"""Those of 32 times 0x7f, from the same."""


def refused(words: str) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        recovery_seed(words)
    assert caught.value.code is Code.INVALID
    return caught.value


def test_words_are_those_of_the_standard() -> None:
    assert recovery_words(bytes(32)) == ZEROS
    assert recovery_words(b"\x7f" * 32) == SEVENS


@given(st.binary(min_size=32, max_size=32))
def test_words_lead_back_to_the_seed(seed: bytes) -> None:
    assert recovery_seed(recovery_words(seed)) == seed


def test_capitals_and_white_space_do_not_matter() -> None:
    assert recovery_seed("  " + SEVENS.upper().replace(" ", "\n\t ") + "\n") == b"\x7f" * 32


def test_the_file_that_a_town_got_its_words_in_may_be_given_as_it_is() -> None:
    words = SEVENS.split()
    rows = ["    " + " ".join(words[at : at + 6]) for at in range(0, 24, 6)]
    about = "Recovery words of your town. Nothing else keeps them; delete this file once they are on paper:"
    assert recovery_seed("\n".join([about, "", *rows, "", "Write them on paper."])) == b"\x7f" * 32
    assert "this has" in refused("\n".join([about, *rows[1:]])).message


def test_a_new_seed_comes_from_the_entropy_given() -> None:
    assert new_recovery_seed(SeededEntropy(1)) == SeededEntropy(1).bytes(32)


@pytest.mark.parametrize("words", ["", "abandon", "abandon " * 11 + "about", ZEROS + " abandon"])
def test_another_number_of_words_is_refused(words: str) -> None:
    assert f"this has {len(words.split())}" in refused(words).message


def test_a_word_that_is_not_in_the_list_is_refused_by_its_place_and_not_repeated() -> None:
    words = SEVENS.split()
    words[2], words[23] = "thnak", "tittle"
    error = refused(" ".join(words))
    assert "number 3, 24" in error.message
    assert not any(word in error.message + error.hint for word in ("thnak", "tittle", "winner"))


def test_two_words_that_changed_places_are_noticed() -> None:
    words = SEVENS.split()
    words[0], words[1] = words[1], words[0]
    error = refused(" ".join(words))
    assert "out of order" in error.message
    assert "winner" not in error.message


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_seed_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(RefusedError, match=f"this has {length}"):
        recovery_words(bytes(length))
