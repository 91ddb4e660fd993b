"""Hints name tools where one stands for a command, and else say where the command is to be had."""

import re
from pathlib import Path

import pytest

from moot.mcp.hints import _SAID, hint_of
from moot.mcp.tools import TOOLS

DAEMON = Path(__file__).resolve().parents[3] / "daemon" / "mootd"


@pytest.mark.parametrize(
    ("hint", "told"),
    [
        ("see `moot ready`", "find tells what is ready"),
        ("close those first, or add --force", "close those first, or take the dependency away: link with remove"),
        (
            "close those first, or `moot close` with --force",
            "close those first, or take the dependency away: link with remove",
        ),
        (
            "remove one of these dependencies first; `moot dep tree demo-1` shows them",
            "take one of these dependencies away first: link with remove; show tells what an issue depends on",
        ),
        ("see `moot dep list demo-1`", "show tells what demo-1 depends on"),
        ("`moot reopen demo-1` opens it again", "update demo-1 with status open opens it again"),
        ("`moot claim demo-1` takes it, if it is to be had", "claim demo-1 takes it, if it is to be had"),
    ],
)
def test_what_a_tool_stands_for_is_said_by_its_name(hint: str, told: str) -> None:
    assert hint_of(hint) == told


@pytest.mark.parametrize(
    ("hint", "told"),
    [
        (
            "`moot undelete demo-1` brings it back",
            "on the command line, where you have one: `moot undelete demo-1` brings it back",
        ),
        (
            "one of bug, task; `moot config set types.custom` adds your own",
            "one of bug, task; on the command line, where you have one: `moot config set types.custom` adds your own",
        ),
        ("run `moot init` there", "on the command line, where you have one: run `moot init` there"),
    ],
)
def test_what_no_tool_stands_for_is_said_to_be_for_the_command_line(hint: str, told: str) -> None:
    assert hint_of(hint) == told


def test_other_hints_stay_as_they_are() -> None:
    for hint in ("", "look again", "give any of title; or status", "there is -- none", "start it: moot daemon start"):
        assert hint_of(hint) == hint


def test_the_daemon_still_says_what_is_put_in_other_words_here() -> None:
    sources = re.sub(r"\{[^}\n]*\}", "X", "".join(path.read_text() for path in (DAEMON / "engine").rglob("*.py")))
    for said, told in _SAID:
        assert re.search(said.pattern.replace("or (add|`moot close` with)", "(add|`moot close` with)"), sources), told
        assert any(re.search(rf"\b{name}\b", told) for name in TOOLS)
