"""Progress: only of what takes long, and only to a terminal."""

import pytest

from moot.console.terminal import Facts
from moot_testkit.clients.console import in_turn, run_console, ticking
from moot_testkit.clients.terminal import FACTS, at_terminal

STRETCHES = [
    {"done": False, "cursor": "a", "progress": [1000, 4000]},
    {"done": False, "cursor": "b", "progress": [2000, 4000]},
    {"done": True, "cursor": "", "progress": [4000, 4000], "batches": 40, "events": 4000},
]


def test_progress_is_shown_at_a_terminal_once_a_command_has_taken_a_second() -> None:
    ran = run_console("fsck", {"fsck": in_turn(*STRETCHES)}, facts=at_terminal(), seconds=ticking(0.6))
    assert "1,000" not in ran.err
    assert "verifying: 2,000 of 4,000 (50 %) batches" in ran.err
    assert ran.err.endswith("\r\x1b[K")


@pytest.mark.parametrize(("facts", "step"), [(FACTS, 9.0), (at_terminal(), 0.001)], ids=["no terminal", "fast"])
def test_progress_is_not_shown_elsewhere_nor_earlier(facts: Facts, step: float) -> None:
    ran = run_console("fsck", {"fsck": in_turn(*STRETCHES)}, facts=facts, seconds=ticking(step))
    assert ran.err == ""


def test_quiet_silences_it() -> None:
    ran = run_console("fsck -q", {"fsck": in_turn(*STRETCHES)}, facts=at_terminal(), seconds=ticking(9.0))
    assert ran.err == ""


def test_two_reports_are_a_tenth_of_a_second_apart() -> None:
    stretches = [{"done": False, "cursor": "a", "progress": [place, 100]} for place in range(50)]
    ran = run_console("fsck", {"fsck": in_turn(*stretches, STRETCHES[-1])}, facts=at_terminal(), seconds=ticking(0.04))
    assert ran.err.count("verifying") == 9
