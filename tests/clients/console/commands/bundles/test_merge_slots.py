"""merge-slot: what is asked of the daemon, and what is printed."""

import json
from typing import Any

import pytest

from moot.console.commands.bundles.merge_slots import COMMANDS
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.claims import Unclaim
from moot_protocol.requests.gates import Await
from moot_protocol.requests.issues import Create, Script, Update
from moot_testkit.clients.canned_api import CannedApi, InTurn, Ran, run
from moot_testkit.clients.console import run_console
from moot_testkit.clients.terminal import FACTS

FREE: dict[str, Any] = {"id": "bd-merge-slot"}
HELD = FREE | {"status": "in_progress", "assignee": "bob", "waiters": ["carol"]}
BD = FACTS._replace(program="bd")
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
    assert ran.out == "✓ Created merge slot: bd-merge-slot\n"
    again = tried("create --json", create=RefusedError("there", code=Code.EXISTS), show=[HELD])
    assert json.loads(again.out) == {
        "id": "bd-merge-slot", "available": False, "status": "in_progress", "holder": "bob", "waiters": ["carol"],
        "created": False, "_unchanged": True,
    }  # fmt: skip
    told = tried("create", create=RefusedError("there", code=Code.EXISTS)).out
    assert told == "Nothing to do: merge slot already exists: bd-merge-slot\n"


def test_it_tells_who_has_it_and_who_waits() -> None:
    assert tried("check").out == "Merge slot available: bd-merge-slot\n"
    assert tried("check", show=[HELD]).out == "Merge slot held: bd-merge-slot\n  Holder: bob; waiting: carol\n"
    with pytest.raises(RefusedError) as missing:
        tried("check", show=RefusedError("no issue", code=Code.NOT_FOUND))
    assert "merge-slot create" in missing.value.hint


def test_as_bd_one_that_is_not_there_is_an_answer_and_no_failure() -> None:
    answers = {"show": RefusedError("no issue", code=Code.NOT_FOUND)}
    ran = run_console("merge-slot check --json", answers, facts=BD)
    assert (ran.code, ran.document) == (0, {"id": "bd-merge-slot", "available": False, "error": "not found"})
    assert run_console("merge-slot check", answers, facts=BD).out.startswith("Merge slot not found: bd-merge-slot")


def test_taking_it_is_a_claim() -> None:
    ran = tried("acquire --ttl 10m --json")
    assert ran.asked[1:] == [Update(actor="alice", id="bd-merge-slot", claim=True, ttl_ms=600_000)]
    assert (ran.code, json.loads(ran.out)["acquired"]) == (0, True)


def test_who_has_it_already_is_told_so() -> None:
    mine = HELD | {"assignee": "alice", "waiters": []}
    again = {"show": [mine], "update": mine | {"_unchanged": True}}
    assert tried("acquire", **again).out == "Nothing to do: alice holds merge slot bd-merge-slot already\n"
    document = json.loads(tried("acquire --json", **again).out)
    assert (document["acquired"], document["_unchanged"]) == (True, True)


def test_who_stands_in_line_already_is_told_so() -> None:
    again = {"await": HELD | {"waiters": ["carol", "alice"], "_unchanged": True}}
    ran = tried("acquire --wait", show=[HELD], update=LOST, **again)
    assert (ran.code, ran.out) == (5, "Slot held by: bob, in the waiters queue already (position 2)\n")
    document = json.loads(tried("acquire --wait --json", show=[HELD], update=LOST, **again).out)
    assert (document["waiting"], document["position"], document["_unchanged"]) == (True, 2, True)


def test_who_waited_waits_no_more() -> None:
    ran = tried("acquire --holder carol", show=[HELD | {"assignee": None}], script=[FREE, FREE | {"assignee": "carol"}])
    script = ran.asked[1]
    assert isinstance(script, Script)
    assert [step["method"] for step in script.steps] == ["update", "await"]
    assert ran.out == "✓ Acquired merge slot: bd-merge-slot\n  Holder: carol\n"


def test_who_loses_is_told_who_has_it_and_can_stand_in_line() -> None:
    ran = tried("acquire", show=[HELD], update=LOST)
    assert (ran.code, ran.out) == (5, "Slot held by: bob\n")
    ran = tried(
        "acquire --wait", show=InTurn([[HELD]]), update=LOST, **{"await": HELD | {"waiters": ["carol", "alice"]}}
    )
    assert ran.asked[-1] == Await(actor="alice", id="bd-merge-slot", waiter="alice")
    assert (ran.code, ran.out) == (5, "Slot held by: bob, added to waiters queue (position 2)\n")
    with pytest.raises(RefusedError, match="broken"):
        tried("acquire", update=RefusedError("broken"))


def test_only_its_holder_gives_it_back_and_the_next_in_line_is_named() -> None:
    ran = tried("release", unclaim=FREE | {"waiters": ["carol"]})
    assert ran.asked[1] == Unclaim(actor="alice", id="bd-merge-slot", if_holder="alice")
    assert ran.out == "✓ Released merge slot: bd-merge-slot\n  Next in queue: carol\n"
    assert json.loads(tried("release --json", unclaim=FREE).out)["next"] is None


def test_one_that_nobody_holds_is_not_given_back() -> None:
    free = {"show": [FREE | {"waiters": ["carol"]}], "unclaim": LOST}
    told = "Nothing to do: nobody holds merge slot bd-merge-slot\n  Next in queue: carol\n"
    assert tried("release", **free).out == told
    document = json.loads(tried("release --json", **free).out)
    assert (document["released"], document["previous_holder"], document["_unchanged"]) == (False, None, True)
    with pytest.raises(RefusedError, match="bob has it"):
        tried("release", show=[HELD], unclaim=LOST)
