"""A value of a conflict is chosen by its number in a list, or by a name that it has wherever it stands."""

from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.issues import picks
from moot_protocol.issues.picks import picked, value_name

VALUES: list[Any] = ["One", None, ["deleted", "", 5], "One"]


def test_a_number_counts_from_1() -> None:
    assert [picked(number, VALUES, "title") for number in (1, 2, 3, 4)] == [0, 1, 2, 3]


def test_a_name_is_of_the_value_and_not_of_its_place() -> None:
    assert picked(value_name("Two"), ["One", "Two"], "title") == 1
    assert picked(value_name("Two"), ["Two", "Three", "One"], "title") == 0
    assert [picked(value_name(value), VALUES, "title") for value in VALUES] == [0, 1, 2, 0]


def test_names_are_pinned_short_and_no_numbers() -> None:
    assert value_name("Two") == "v7cfe8d8f"


@pytest.mark.parametrize("number", [0, -1, 5])
def test_a_number_that_there_is_none_of_is_refused(number: int) -> None:
    with pytest.raises(RefusedError, match="title has 4") as caught:
        picked(number, VALUES, "title")
    assert caught.value.code is Code.INVALID


@pytest.mark.parametrize("name", [value_name("Two"), "", "v", "One"])
def test_a_value_that_is_not_among_them_any_more_is_refused_and_what_to_do_told(name: str) -> None:
    with pytest.raises(RefusedError, match="none of the values of title") as caught:
        picked(name, VALUES, "title")
    assert caught.value.code is Code.CONFLICT
    assert "moot conflicts" in caught.value.hint


def test_a_name_that_several_values_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picks, "NAME_DIGITS", 0)
    with pytest.raises(RefusedError) as caught:
        picked("v", VALUES, "title")
    assert caught.value.code is Code.AMBIGUOUS
