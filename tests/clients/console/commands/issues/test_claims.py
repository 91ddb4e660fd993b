"""claim, unclaim, heartbeat: what they ask of the daemon, and what they print."""

import json
from argparse import ArgumentTypeError
from collections.abc import Iterator
from typing import Any

import pytest

from moot.console.commands.issues.claims import COMMANDS, seconds
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.claims import ClaimPeers, Heartbeat, Unclaim
from moot_protocol.requests.issues import Script, Update
from moot_testkit.clients.canned_api import CannedApi, InTurn, Ran, run
from moot_testkit.clients.console import issue, run_console

HELD = issue(1, assignee="alice", _claim={"holder": "alice", "expires_at": "2026-01-31T12:30:00Z", "ttl_seconds": 1800})
NAMED = "bd-000000000001 — Issue 1"


def tried(argv: str, **answers: Any) -> Ran:
    return run(COMMANDS, argv, CannedApi(**{"update": HELD, "unclaim": issue(1), "script": [HELD, issue(2)]} | answers))


# -- claim -------------------------------------------------------------------------------------------------------
def test_a_claim_is_an_update_with_its_end() -> None:
    ran = tried("claim x --ttl 30m")
    assert ran.asked == [Update(actor="alice", id="x", claim=True, ttl_ms=1_800_000)]
    assert ran.out == f"✓ Claimed {NAMED}, until 2026-01-31T12:30:00Z unless renewed\n"


def test_several_are_claimed_together() -> None:
    ran = tried("claim x y x")
    (script,) = ran.asked
    assert isinstance(script, Script)
    assert [step["params"]["id"] for step in script.steps] == ["x", "y"]
    assert ran.out.splitlines()[1] == "✓ Claimed bd-000000000002 — Issue 2"


def test_a_claim_of_what_is_ones_own_already_says_that_there_was_nothing_to_do() -> None:
    held = issue(1, assignee="alice") | {"_unchanged": True}
    assert tried("claim x", update=held).out == f"Nothing to do: {NAMED} is yours already\n"
    assert tried("claim x --dry-run", update=held).out == f"Nothing to do: {NAMED} is yours already\n"
    assert json.loads(tried("claim x --json", update=held).out) == [held]


def test_a_trial_is_said() -> None:
    assert tried("claim x --dry-run", update=issue(1)).out == f"✓ Would claim {NAMED}\n"
    with pytest.raises(RefusedError, match="contradict"):
        tried("claim x --dry-run --confirm 1")


# -- claim --confirm ---------------------------------------------------------------------------------------------
AGREES = {"replica": "r", "heard_ms": 1, "agrees": True}
SILENT = AGREES | {"agrees": False}


def confirming(*looks: dict[str, Any], flags: str = "") -> Any:
    """A claim that is confirmed, with what each look at the other machines gives; a second goes by with each."""
    ticks: Iterator[int] = iter(range(100))
    return run_console(
        f"claim x --confirm 2.5 --actor alice {flags}",
        {"update": HELD, "events": {"next": 7}, "claim_peers": InTurn(looks)},
        seconds=lambda: float(next(ticks)),
    )


def look(*peers: dict[str, Any], holder: str = "alice") -> dict[str, Any]:
    return {"holder": holder, "peers": list(peers)}


def test_it_is_confirmed_when_every_live_machine_agrees() -> None:
    ran = confirming(look(AGREES, SILENT), look(AGREES, AGREES))
    assert ran.code == 0
    assert ran.out.splitlines()[1] == "  Confirmed by 2 other machines"
    assert sum(isinstance(request, ClaimPeers) for request in ran.asked) == 2


def test_it_is_lost_when_another_was_first() -> None:
    ran = confirming(look(SILENT), look(AGREES, holder="bob\x1b"))
    assert (ran.code, ran.out) == (5, f"Lost: bob^[ has {NAMED}\n")
    document = confirming(look(holder="bob"), flags="--json").document
    assert document[0]["_confirmed"] == {"result": "lost", "holder": "bob", "agreed": 0, "silent": 0}


def test_machines_that_dont_answer_leave_it_open() -> None:
    ran = confirming(*[look(AGREES, SILENT)] * 4)
    assert ran.code == 0
    assert ran.out.splitlines()[1] == "  Not confirmed: 1 machine didn't answer in time and may have been first"


def test_where_nobody_is_heard_of_that_is_said_after_the_wait() -> None:
    ran = confirming(*[look()] * 4)
    assert ran.out.splitlines()[1] == "  Nobody else was heard of within the last three minutes"
    assert confirming(*[look()] * 4, flags="--json").document[0]["_confirmed"]["result"] == "nobody else heard of"


@pytest.mark.parametrize("text", ["0", "-1", "301", "x", "nan", "inf"])
def test_only_a_few_minutes_are_waited(text: str) -> None:
    assert seconds("0.5") == 0.5
    with pytest.raises(ArgumentTypeError, match=f"'{text}' is no number of seconds above 0 and up to 300"):
        seconds(text)


# -- unclaim -----------------------------------------------------------------------------------------------------
def test_giving_back_can_depend_on_who_holds_it() -> None:
    ran = tried("unclaim x --if-holder bob")
    assert ran.asked == [Unclaim(actor="alice", id="x", if_holder="bob")]
    assert ran.out == f"✓ Gave back {NAMED}\n"
    assert json.loads(tried("unclaim x --json").out) == [issue(1)]
    assert tried("unclaim x --dry-run").out == f"✓ Would give back {NAMED}\n"
    nobodys = issue(1) | {"_unchanged": True}
    assert tried("unclaim x", unclaim=nobodys).out == f"Nothing to do: nobody holds {NAMED}\n"
    with pytest.raises(RefusedError) as lost:
        tried("unclaim x", unclaim=RefusedError("no", code=Code.LOST_RACE))
    assert lost.value.code is Code.LOST_RACE


# -- heartbeat ---------------------------------------------------------------------------------------------------
def test_a_heartbeat_renews_named_claims_or_all() -> None:
    renewed = {"id": "bd-1", "expires_at": "2026-01-31T12:30:00Z", "renewed": True}
    ran = tried("heartbeat x y --ttl 1h", heartbeat=[renewed])
    assert ran.asked == [Heartbeat(actor="alice", id=name, ttl_ms=3_600_000) for name in ("x", "y")]
    assert ran.out.splitlines()[0] == "✓ Renewed bd-1, until 2026-01-31T12:30:00Z (30min)"
    every = tried("heartbeat", heartbeat=[renewed | {"renewed": False}])
    assert every.asked == [Heartbeat(actor="alice")]
    assert every.out == (
        "Nothing to do: bd-1 is yours until 2026-01-31T12:30:00Z (30min), too long to be renewed yet\n"
    )
    nothing = "Nothing to do: no claim of yours was made here that ends by itself\n"
    assert tried("heartbeat", heartbeat=[]).out == nothing
    assert json.loads(tried("heartbeat --json", heartbeat=[]).out) == []
