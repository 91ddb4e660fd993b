"""Nudges are told once, on standard error, and those of other towns without their text."""

from moot_protocol.errors import RefusedError
from moot_protocol.requests.mail import NudgesTold
from moot_testkit.clients.console import PROJECT, run_console

OWN = {"id": "n1", "actor": "ann", "text": "look\x07"}
FOREIGN = {"id": "n2", "actor": "bob", "text": "", "_origin": {"town": "abcd", "town_name": "rivertown"}}
KNOWN = {"project": PROJECT, "folder": "/", "nudges": [OWN, FOREIGN]}


def test_the_next_command_tells_them_and_notes_that_it_did() -> None:
    ran = run_console("mail inbox --actor bob", {"workspace_info": KNOWN, "nudges_told": {"told": 2}, "mail": []})
    assert ran.asked[0] == NudgesTold(actor="bob", ids=("n1", "n2"))
    assert ran.err.splitlines()[:2] == [
        "Nudge from ann: look^G",
        "Nudge from bob from rivertown: `moot mail read n2` shows it",
    ]


def test_that_it_can_t_be_noted_makes_no_command_fail() -> None:
    answers = {"workspace_info": KNOWN, "nudges_told": RefusedError("no"), "mail": []}
    assert run_console("mail inbox", answers).code == 0


def test_where_nothing_but_output_is_wanted_they_wait() -> None:
    for flag in ("--quiet", "--readonly"):
        ran = run_console(f"mail inbox {flag}", {"workspace_info": KNOWN, "mail": []})
        assert "Nudge" not in ran.err
