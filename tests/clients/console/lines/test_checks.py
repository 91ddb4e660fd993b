"""Checks as lines: `doctor` and `remote test` show them alike."""

import pytest

from moot_testkit.clients.console import run_console
from moot_testkit.clients.terminal import at_terminal

CHECKS = [
    {"check": "clock", "ok": True, "detail": "agrees", "hint": "not to be seen"},
    {"check": "\x1b[2Jfoul", "ok": False, "detail": "\u202egone", "hint": "\x07ring"},
]


@pytest.mark.parametrize(
    ("argv", "answers"),
    [
        ("doctor", {"doctor": CHECKS}),
        ("remote test o", {"check_remote": {"name": "o", "ok": False, "checks": CHECKS}}),
    ],
)
def test_what_failed_is_marked_with_its_hint_below_and_counted(argv: str, answers: dict[str, object]) -> None:
    ran = run_console(argv, answers)
    assert ran.out.splitlines() == [
        "✓ clock: agrees",
        "✗ ^[[2Jfoul: <U+202E>gone",
        "  ^Gring",
        "1 of 2 checks failed",
    ]


def test_at_a_terminal_lines_that_are_too_long_are_folded_below_their_beginning_and_paths_stay_whole() -> None:
    path = f"/home/{'a' * 40}"
    told = {"check": "the folder is private", "ok": False, "detail": f"{path} is open to others", "hint": f"see {path}"}
    ran = run_console("doctor", {"doctor": [told]}, facts=at_terminal(40, NO_COLOR="1"))
    assert ran.out.splitlines()[:-1] == [
        "✗ the folder is private:",
        f"    {path}",
        "    is open to others",
        "  see",
        f"    {path}",
    ]
