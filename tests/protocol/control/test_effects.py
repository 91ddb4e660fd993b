"""What a command asks of its client's side: the words of it, and what is made of the answers."""

from collections.abc import Iterator
from typing import Any

import pytest

from moot_protocol.control.effects import FAILURES, NO_FOLDERS, ONLY_NEW, ONLY_ORDINARY, STDIN, Effects, refusal
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import RPC_CHUNK_BYTES


class Side:
    """A client's side that notes what it is asked and gives answers laid ready, then empty ones."""

    def __init__(self, *answers: bytes) -> None:
        self.asked: list[list[Any]] = []
        self._answers = list(answers)
        self.effects = Effects(self._ask, lambda effect, handle: self.asked.append([effect, handle]))

    def _ask(self, effect: str, *details: int | str | bytes) -> bytes:
        self.asked.append([effect, *details])
        return self._answers.pop(0) if self._answers else b""


# -- What is asked -----------------------------------------------------------------------------------------------
def test_a_file_is_opened_at_once_and_read_to_its_end() -> None:
    side = Side(b"one", b"two")
    chunks = side.effects.read_file("f")
    assert side.asked == [["read", 1, "f"]]
    assert list(chunks) == [b"one", b"two"]
    assert side.asked[1:] == [["more", 1], ["more", 1]]


def test_a_file_that_nobody_has_named_is_asked_for_by_a_handle_that_says_so() -> None:
    side = Side(b"one", b"two")
    assert list(side.effects.read_file("f", ordinary=True)) == [b"one", b"two"]
    assert side.asked == [["read", ONLY_ORDINARY | 1, "f"], *[["more", ONLY_ORDINARY | 1]] * 2]


def test_a_file_that_is_not_read_to_its_end_is_dropped() -> None:
    side = Side(b"one", b"two")
    chunks = side.effects.read_file("f")
    assert next(chunks) == b"one"
    del chunks
    assert side.asked == [["read", 1, "f"], ["drop", 1]]


def test_standard_input_is_a_file_that_is_open() -> None:
    side = Side(b"typed")
    assert list(side.effects.stdin()) == [b"typed"]
    assert side.asked == [["more", STDIN]] * 2


def test_every_file_has_a_handle_of_its_own() -> None:
    side = Side()
    side.effects.read_file("a")
    side.effects.write_file("b", [])
    side.effects.read_file("c")
    assert side.asked == [["read", 1, "a"], ["write", 2, "b", 0o644, 0], ["commit", 2], ["read", 3, "c"]]


@pytest.mark.parametrize(
    ("how", "flags"),
    [
        ({}, 0),
        ({"exclusive": True}, ONLY_NEW),
        ({"parents": False}, NO_FOLDERS),
        ({"exclusive": True, "parents": False}, ONLY_NEW | NO_FOLDERS),
    ],
)
def test_what_may_be_there_and_has_to_be_is_asked_by_flags(how: dict[str, bool], flags: int) -> None:
    side = Side()
    side.effects.write_file("f", [b"x"], mode=0o600, **how)
    assert side.asked == [["write", 1, "f", 0o600, flags], ["chunk", 1, b"x"], ["commit", 1]]


def test_content_goes_in_pieces_that_are_neither_tiny_nor_too_large() -> None:
    side = Side()
    side.effects.write_file("f", [b"a" * 10, b"b" * RPC_CHUNK_BYTES, b"c"])
    assert [len(asked[2]) for asked in side.asked if asked[0] == "chunk"] == [RPC_CHUNK_BYTES, 10, 1]


def test_a_file_whose_content_fails_to_come_is_dropped_and_never_put_in_place() -> None:
    def content() -> Iterator[bytes]:
        yield bytes(RPC_CHUNK_BYTES)
        raise RefusedError("lost it")

    side = Side()
    with pytest.raises(RefusedError, match="lost it"):
        side.effects.write_file("f", content())
    assert [asked[0] for asked in side.asked] == ["write", "chunk", "drop"]


def test_permissions_are_told_in_octal_digits() -> None:
    assert Side(b"755").effects.file_mode("f") == 0o755


def test_the_names_in_a_folder_are_told_sorted_and_an_empty_one_has_none() -> None:
    assert Side("ü\0b\0a".encode()).effects.names_in("f") == ["a", "b", "ü"]
    assert Side(b"").effects.names_in("f") == []


def test_the_rest_is_asked_by_name() -> None:
    side = Side(b"", "ü".encode(), b"abc\tFix it", b"main\n")
    side.effects.remove_file("f")
    assert side.effects.edit("old") == "ü"
    assert side.effects.git_log(7) == "abc\tFix it"
    assert side.effects.ask_tool("git-branch") == "main\n"
    assert side.asked == [["remove", "f"], ["edit", "old"], ["git-log", 7], ["tool", "git-branch", ""]]


def test_edited_text_must_be_utf8() -> None:
    with pytest.raises(RefusedError, match="not UTF-8"):
        Side(b"\xff").effects.edit("old")


# -- What a failure is -------------------------------------------------------------------------------------------
def test_a_failure_has_the_code_and_the_words_that_it_came_with() -> None:
    assert set(FAILURES) == {"not_found", "exists", "denied"}
    for name, code in FAILURES.items():
        assert (refusal(b"f: why", name).code, refusal(b"f: why", name).message) == (code, "f: why")


@pytest.mark.parametrize("code", ["", "cancelled", "internal", "of a later release"])
def test_without_a_code_or_with_one_that_no_effect_fails_with_it_is_invalid(code: str) -> None:
    assert refusal(b"why \xff", code).code is Code.INVALID
    assert refusal(b"why \xff", code).message == "why \N{REPLACEMENT CHARACTER}"
