"""Subscriptions: who is told of what, once, and that a daemon which goes away is waited for."""

import asyncio
from contextlib import suppress
from typing import Any

from moot.mcp.resources import ANY, READY
from moot.mcp.watching import FIRST_PAUSE, Watch
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.machine import Events
from moot_testkit.clients.agents import CannedCaller
from moot_testkit.clients.canned_api import InTurn

END = asyncio.CancelledError


def news(position: int, *entities: str) -> dict[str, Any]:
    return {"events": [{"entity": entity} for entity in entities], "next": position, "first": 1}


async def told(
    *looks: Any, subscribe: dict[str, list[str]], unsubscribe: tuple[str, ...] = ()
) -> tuple[list[str], Any]:
    """What is told when the log is looked at so often and then no more; and what was asked, and waited."""
    caller = CannedCaller(events=InTurn([news(7), *looks]))
    heard: list[str] = []
    pauses: list[float] = []

    async def hear(uri: str) -> None:
        heard.append(uri)

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    watch = Watch(caller, hear, pause)
    firsts = [await watch.subscribe(entity, uri) for entity, uris in subscribe.items() for uri in uris]
    assert firsts == [True] + [False] * (len(firsts) - 1)
    for uri in unsubscribe:
        watch.unsubscribe(uri)
    with suppress(IndexError):  # no look is left
        await watch.follow()
    return heard, (caller.asked, pauses)


async def test_a_burst_of_events_of_an_issue_is_told_once_to_each_uri_that_names_it() -> None:
    heard, _ = await told(news(9, "demo-1", "demo-1", "demo-2"), subscribe={"demo-1": ["a", "b"], "demo-3": ["c"]})
    assert heard == ["a", "b"]


async def test_the_list_of_what_is_ready_may_change_with_any_issue() -> None:
    heard, _ = await told(news(9, "demo-5"), news(9), subscribe={ANY: [READY]})
    assert heard == [READY]


async def test_the_log_is_followed_from_where_it_stood_when_the_first_subscribed() -> None:
    _, (asked, _) = await told(news(9, "demo-1"), news(11), subscribe={"demo-1": ["a"]})
    assert [request.since for request in asked if isinstance(request, Events)] == [None, 7, 9, 11]


async def test_who_unsubscribed_is_told_nothing() -> None:
    heard, _ = await told(news(9, "demo-1"), subscribe={"demo-1": ["a", "b"]}, unsubscribe=("a", "unknown"))
    assert heard == ["b"]


async def test_a_daemon_that_goes_away_is_waited_for_longer_each_time_and_nothing_is_missed() -> None:
    gone = RefusedError("gone", code=Code.UNREACHABLE)
    heard, (asked, pauses) = await told(gone, gone, news(9, "demo-1"), gone, subscribe={"demo-1": ["a"]})
    assert heard == ["a"]
    assert pauses == [FIRST_PAUSE, 2 * FIRST_PAUSE, FIRST_PAUSE]
    assert [request.since for request in asked if isinstance(request, Events)] == [None, 7, 7, 7, 9, 9]
