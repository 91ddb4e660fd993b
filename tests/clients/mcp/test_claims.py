"""The claims of a session: kept while it lives, and their loss told once."""

import asyncio
from typing import Any

import pytest

from moot.mcp.claims import Claims
from moot_protocol.errors import Code, RefusedError
from moot_protocol.limits import CLAIMS_WATCHED
from moot_protocol.requests.claims import ClaimsTold, Heartbeat
from moot_testkit.clients.agents import CannedCaller
from moot_testkit.clients.canned_api import InTurn

RENEWED = [{"id": "demo-1", "renewed": True}]
LOST = RefusedError("it is bob's", code=Code.LOST_RACE)


async def test_a_claim_is_renewed_until_it_is_anothers() -> None:
    caller = CannedCaller(heartbeat=InTurn([RENEWED, RENEWED, LOST]))
    async with asyncio.TaskGroup() as tasks:
        Claims(caller, "ada", tasks).keep("demo-1", 0.001)
    assert caller.asked == [Heartbeat(actor="ada", id="demo-1")] * 3
    assert len(set(caller.keys)) == 3


async def test_the_end_of_the_session_ends_it() -> None:
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        claims = Claims(CannedCaller(), "ada", tasks)
        claims.keep("demo-1", 3600)
        claims.keep("demo-2", 3600)
        await asyncio.sleep(0)
        claims.close()


async def test_a_claim_made_anew_is_renewed_by_the_new_time() -> None:
    caller = CannedCaller(heartbeat=InTurn([RENEWED, LOST]))
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        claims = Claims(caller, "ada", tasks)
        claims.keep("demo-1", 3600)
        claims.keep("demo-1", 0.001)
    assert len(caller.asked) == 2


async def test_so_many_are_kept_and_one_that_is_over_makes_room() -> None:
    caller = CannedCaller(heartbeat=LOST)
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        claims = Claims(caller, "ada", tasks)
        for number in range(CLAIMS_WATCHED):
            claims.check_room()
            claims.keep(f"demo-{number}", 3600 if number else 0.001)
        with pytest.raises(RefusedError, match="keeps 256 claims"):
            claims.check_room()
        (over,) = [task for task in asyncio.all_tasks() if task.get_name() == "mcp.claim.demo-0"]
        await asyncio.wait([over])
        claims.check_room()
        claims.close()


@pytest.mark.parametrize(
    ("known", "asked"),
    [
        ({}, []),
        ({"lost": [{"id": "demo-1", "holder": "bob"}]}, [ClaimsTold(actor="ada", ids=("demo-1",))]),
        ({"lost": [], "due": 1}, [Heartbeat(actor="ada")]),
    ],
)
async def test_what_is_lost_is_told_and_what_is_due_renewed(known: dict[str, Any], asked: list[Any]) -> None:
    caller = CannedCaller(claims_told={}, heartbeat=[])
    async with asyncio.TaskGroup() as tasks:
        assert await Claims(caller, "ada", tasks).attend(known) == known.get("lost", [])
    assert caller.asked == asked


async def test_a_claim_is_renewed_though_a_loss_could_not_be_noted() -> None:
    caller = CannedCaller(claims_told=RefusedError("full", code=Code.BUSY), heartbeat=RefusedError("full"))
    lost = [{"id": "demo-1", "holder": "bob"}]
    async with asyncio.TaskGroup() as tasks:
        assert await Claims(caller, "ada", tasks).attend({"lost": lost, "due": 1}) == lost
    assert caller.asked == [ClaimsTold(actor="ada", ids=("demo-1",)), Heartbeat(actor="ada")]


async def test_what_cannot_be_noted_now_is_told_all_the_same() -> None:
    lost = [{"id": "demo-1", "holder": "bob"}]
    caller = CannedCaller(claims_told=RefusedError("full", code=Code.BUSY))
    async with asyncio.TaskGroup() as tasks:
        assert await Claims(caller, "ada", tasks).attend({"lost": lost}) == lost
