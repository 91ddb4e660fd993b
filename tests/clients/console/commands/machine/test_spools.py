"""`init --spool` and `spool status`: what is asked of the daemon, and what is told of it."""

from typing import Any

import pytest

from moot.console.commands.machine.spools import spool_words
from moot_protocol.requests.spools import CloseSpool, OpenSpool
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.console import run_console

SPOOL: dict[str, Any] = {
    "project": "demo", "workspace": "w1", "folder": "/work", "waiting": 3, "bytes": 2048, "oldest_ms": NOW_MS - 5_000,
    "refused": 0, "snapshot_ms": NOW_MS - 7_000, "problem": "", "hint": "",
}  # fmt: skip
OPENED = {"project": "bd", "folder": "/work/.moot/spool", "created": True}


def test_init_opens_a_spool_for_a_project_that_is_there() -> None:
    done = run_console("init --spool", {"open_spool": OPENED})
    (asked,) = (request for request in done.asked if isinstance(request, OpenSpool))
    assert (asked.workspace, asked.folder) == (done.terminal.facts.workspace, done.terminal.facts.folder)
    assert "Opened the spool: commands from sandboxes come through /work/.moot/spool" in done.out
    assert done.out.startswith("This is the project "), "and not that there is nothing to do"
    assert "The spool is open" in run_console("init --spool", {"open_spool": OPENED | {"created": False}}).out


def test_init_closes_it_again() -> None:
    done = run_console("init --no-spool", {"close_spool": {"project": "bd", "folder": "/f", "closed": True}})
    assert any(isinstance(request, CloseSpool) for request in done.asked)
    assert "no longer come through files" in done.out
    assert "Nothing to do" not in done.out
    assert "Nothing to do: this is the project" in run_console("init", {}).out
    assert "No spool was open" in run_console("init --no-spool", {"close_spool": {"closed": False}}).out


def test_a_document_tells_of_it_as_well() -> None:
    assert run_console("init --spool --json", {"open_spool": OPENED}).document["spool"] == OPENED
    assert "spool" not in run_console("init --json").document


def test_status_tells_how_full_and_how_old() -> None:
    done = run_console("spool status", {"status": {"spools": [SPOOL]}})
    assert done.out == "demo in /work: 3 of 1,000 commands wait, 2 KiB; the oldest for 5 s; snapshot 7 s old\n"
    assert run_console("spool status --json", {"status": {"spools": [SPOOL]}}).document == [SPOOL]
    assert "No spool is open" in run_console("spool status", {"status": {}}).out


def test_what_is_wrong_with_a_spool_is_told_with_what_mends_it() -> None:
    told = SPOOL | {"problem": "it is not there", "hint": "open it\x1b anew"}
    lines = run_console("spool status", {"status": {"spools": [told]}}).out.splitlines()
    assert lines[0].endswith("; it is not there")
    assert lines[1:] == ["  open it^[ anew"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"refused": 1}, "1 file refused"),
        ({"problem": "it is a\x1blink"}, "it is a"),
        ({"snapshot_ms": None}, "no snapshot yet"),
        ({"oldest_ms": NOW_MS - 7_200_000}, "the oldest for 2h"),
    ],
)
def test_what_is_unusual_is_told_safely(more: dict[str, Any], words: str) -> None:
    told = spool_words(SPOOL | more, NOW_MS)
    assert words in told
    assert "\x1b" not in told
