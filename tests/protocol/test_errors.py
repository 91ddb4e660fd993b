"""Errors carry a stable code, a sentence, and a hint that is no command to run blindly."""

import re

import pytest

from moot_protocol.errors import Code, MalformedError, MootError, RefusedError, defect

STABLE = {
    "too_large", "bad_version", "bad_structure", "not_canonical", "bad_hash", "bad_signature", "bad_key",
    "wrong_plane", "not_causal", "unknown_epoch", "bad_seal",
    "usage", "invalid", "not_found", "ambiguous", "exists", "denied", "conflict", "lost_race", "limit", "clock_ahead",
    "not_ready", "key_reused",
    "store_full", "store_read_only", "store_locked", "store_damaged", "unreachable", "timeout", "cancelled", "busy",
    "internal",
}  # fmt: skip


def test_codes_once_given_stay() -> None:
    assert {code.value for code in Code} >= STABLE


@pytest.mark.parametrize("code", Code)
def test_a_code_is_a_lower_case_word_that_stands_for_its_name(code: Code) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", code.value)
    assert code.value == code.name.lower()


@pytest.mark.parametrize(
    ("kind", "code"),
    [(MootError, Code.INTERNAL), (RefusedError, Code.INVALID), (MalformedError, Code.BAD_STRUCTURE)],
)
def test_each_kind_of_error_has_a_code_of_its_own_until_told_otherwise(kind: type[MootError], code: Code) -> None:
    assert kind("a sentence").code is code
    assert kind("a sentence", code=Code.LIMIT).code is Code.LIMIT


def test_an_error_keeps_what_it_was_told() -> None:
    error = RefusedError("the sentence", code=Code.BUSY, hint="wait a moment", retryable=True)
    assert (error.message, str(error), error.hint, error.retryable) == (
        "the sentence",
        "the sentence",
        "wait a moment",
        True,
    )
    assert (RefusedError("x").hint, RefusedError("x").retryable) == ("", False)


def test_refusals_and_malformed_bytes_are_told_apart() -> None:
    assert not issubclass(RefusedError, MalformedError)
    assert not issubclass(MalformedError, RefusedError)


def test_what_nobody_foresaw_is_told_in_the_words_of_where_it_came_up() -> None:
    told = defect(ValueError("x"), "it failed", hint="report it")
    assert (told.message, told.code, told.hint) == ("it failed", Code.INTERNAL, "report it")


@pytest.mark.parametrize("is_cause", [False, True])
def test_code_that_is_gone_is_no_defect(*, is_cause: bool) -> None:
    error: Exception = ModuleNotFoundError("No module named 'mootd.engine.erasure.erasing'")
    if is_cause:
        outer = ValueError("x")
        outer.__cause__ = error
        error = outer
    told = defect(error, "it failed", hint="report it")
    assert "replaced or removed" in told.message
    assert told.hint == "`moot daemon restart`"
