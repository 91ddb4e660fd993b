"""Exit codes."""

import pytest

from moot.console.exits import as_seen, exit_code
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


def test_called_as_bd_every_failure_is_one() -> None:
    assert [as_seen(code, "bd") for code in (0, 1, 2, 69, 75)] == [0, 1, 1, 1, 1]
    assert as_seen(75, "moot") == 75
