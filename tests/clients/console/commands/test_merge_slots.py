"""merge-slot: what is asked of the daemon, and what is printed."""

import json
from typing import Any

import pytest

from moot.console.commands.merge_slots import COMMANDS
from moot_protocol.claim_requests import Unclaim
from moot_protocol.errors import Code, RefusedError
from moot_protocol.gate_requests import Await
from moot_protocol.requests import Create, Script, Update
from moot_testkit.canned_api import CannedApi, InTurn, Ran, run

FREE: dict[str, Any] = {"id": "bd-merge-slot"}
HELD = FREE | {"assignee": "bob", "waiters": ["carol"]}
LOST = RefusedError("bob has it", code=Code.LOST_RACE)


def tried(argv: str, **answers: Any) -> Ran:
    return run(
        COMMANDS, f"merge-slot {argv}", CannedApi(**{"show": [FREE], "update": HELD | {"assignee": "alice"}} | answers)
    )


def test_there_is_one_a_project_outside_of_all_lists_of_work() -> None:
    ran = tried("create", create=FREE)
    (asked,) = ran.asked
    assert isinstance(asked, Create)
    assert (asked.id, asked.fields.pinned, asked.labels) == ("bd-merge-slot", True, ("gt:slot",))
    assert ran.out == "✓ Created merge slot bd-merge-slot\n"
    again = tried("create --json", create=RefusedError("there", code=Code.EXISTS), show=[HELD])
    assert json.loads(again.out) == {
        "id": "bd-merge-slot", "available": False, "holder": "bob", "waiters": ["carol"], "created": False
    }  # fmt: skip


def test_it_tells_who_has_it_and_who_waits() -> None:
    assert tried("check").out == "bd-merge-slot is free\n"
    assert tried("check", show=[HELD]).out == "bd-merge-slot is held by bob; waiting: carol\n"
    with pytest.raises(RefusedError) as missing:
        tried("check", show=RefusedError("no issue", code=Code.NOT_FOUND))
    assert "merge-slot create" in missing.value.hint


def test_taking_it_is_a_claim() -> None:
    ran = tried("acquire --ttl 10m --json")
    assert ran.asked[1:] == [Update(actor="alice", id="bd-merge-slot", claim=True, ttl_ms=600_000)]
    assert (ran.code, json.loads(ran.out)["acquired"]) == (0, True)


def test_who_waited_waits_no_more() -> None:
    ran = tried("acquire --holder carol", show=[HELD | {"assignee": None}], script=[FREE, FREE | {"assignee": "carol"}])
    script = ran.asked[1]
    assert isinstance(script, Script)
    assert [step["method"] for step in script.steps] == ["update", "await"]
    assert ran.out == "✓ carol holds bd-merge-slot\n"


def test_who_loses_is_told_who_has_it_and_can_stand_in_line() -> None:
    ran = tried("acquire", show=[HELD], update=LOST)
    assert (ran.code, ran.out) == (5, "bd-merge-slot is held by bob\n")
    ran = tried(
        "acquire --wait", show=InTurn([[HELD]]), update=LOST, **{"await": HELD | {"waiters": ["carol", "alice"]}}
    )
    assert ran.asked[-1] == Await(actor="alice", id="bd-merge-slot", waiter="alice")
    assert (ran.code, ran.out) == (5, "bd-merge-slot is held by bob; alice is number 2 in line\n")
    with pytest.raises(RefusedError, match="broken"):
        tried("acquire", update=RefusedError("broken"))


def test_only_its_holder_gives_it_back_and_the_next_in_line_is_named() -> None:
    ran = tried("release", unclaim=FREE | {"waiters": ["carol"]})
    assert ran.asked[1] == Unclaim(actor="alice", id="bd-merge-slot", if_holder="alice")
    assert ran.out == "✓ alice released bd-merge-slot; next in line is carol\n"
    assert json.loads(tried("release --json", unclaim=FREE).out)["next"] is None
