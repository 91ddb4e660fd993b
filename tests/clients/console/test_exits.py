"""Exit codes."""

import pytest

from moot import merge_file, thin
from moot.console import exits
from moot.console.documents import error_body
from moot.console.exits import INTERRUPTED, MEANINGS, PIPE, TRY_AGAIN, UNMERGED, as_seen, exit_code, told
from moot.console.main import GRAMMAR
from moot_protocol.errors import Code, MootError


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (Code.USAGE, 2),
        (Code.NOT_FOUND, 3),
        (Code.AMBIGUOUS, 3),
        (Code.DENIED, 4),
        (Code.CONFLICT, 5),
        (Code.LOST_RACE, 5),
        (Code.EXISTS, 5),
        (Code.UNREACHABLE, 69),
        (Code.TIMEOUT, 75),
        (Code.BUSY, 75),
        (Code.NOT_READY, 1),
        (Code.INVALID, 1),
        (Code.INTERNAL, 1),
        (Code.STORE_FULL, 1),
    ],
)
def test_each_kind_of_failure_has_its_number(code: Code, expected: int) -> None:
    assert exit_code(MootError("x", code=code)) == expected


def test_what_may_succeed_later_says_try_again_where_nothing_more_precise_is_known() -> None:
    assert exit_code(MootError("x", code=Code.STORE_FULL, retryable=True)) == 75
    assert exit_code(MootError("x", code=Code.LOST_RACE, retryable=True)) == 5


def test_what_is_not_ready_is_to_be_tried_again_only_where_waiting_helps() -> None:
    assert exit_code(MootError("x", code=Code.NOT_READY, retryable=True)) == TRY_AGAIN


def test_a_document_says_retryable_only_where_waiting_helps() -> None:
    for later in (False, True):
        body = error_body(MootError("x", code=Code.NOT_READY, retryable=later))
        assert body["retryable"] is later


def test_what_was_not_answered_in_time_is_retryable_only_where_it_says_so_itself() -> None:
    for later in (False, True):
        assert error_body(MootError("x", code=Code.TIMEOUT, retryable=later))["retryable"] is later


def test_every_exit_code_that_there_is_is_told_of() -> None:
    ends = {exit_code(MootError("x", code=code, retryable=later)) for code in Code for later in (False, True)}
    own = {0, thin.INTERRUPTED, merge_file.FAILED, *thin.EXITS.values()}
    assert set(MEANINGS) == ends | own
    assert all(exits._EXITS[Code(code)] == number for code, number in thin.EXITS.items() if code != "pipe")
    assert (thin.INTERRUPTED, merge_file.FAILED, thin.EXITS["pipe"]) == (INTERRUPTED, UNMERGED, PIPE)
    assert [int(number) for number, _ in told()] == sorted(MEANINGS)
    assert ("5", f"{MEANINGS[5]} (conflict, lost_race, exists, key_reused)") in told()


def test_help_tells_of_them() -> None:
    text = GRAMMAR.help("exit-codes", "moot", 80)
    assert all(f"\n  {number}" in text for number in MEANINGS)
    assert max(map(len, text.splitlines())) <= 80


def test_called_as_bd_every_failure_is_one() -> None:
    assert [as_seen(code, "bd") for code in (0, 1, 2, 69, 75)] == [0, 1, 1, 1, 1]
    assert as_seen(75, "moot") == 75
