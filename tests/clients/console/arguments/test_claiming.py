"""Claiming the first ready issue: one request says it all."""

from argparse import Namespace
from typing import Any

from moot.console.arguments.claiming import claim_first
from moot.console.command import Context
from moot_protocol.requests.claims import ClaimReady
from moot_protocol.requests.listing import Filter
from moot_testkit.clients.canned_api import NOW_MS, CannedApi
from moot_testkit.clients.console import issue
from moot_testkit.clients.terminal import RecordingTerminal

PLACE = Filter(projects=("bd",))


def claimed(answer: Any, order: Namespace | None = None) -> tuple[Any, CannedApi]:
    api = CannedApi(claim_ready=answer)
    context = Context(api, RecordingTerminal(), Namespace(), "alice", "bd", json=False, now_ms=NOW_MS)
    return claim_first(context, PLACE, order), api


def test_the_daemon_chooses_so_that_nobody_comes_between() -> None:
    got, api = claimed(issue(2))
    assert (got, api.asked) == (issue(2), [ClaimReady(actor="alice", filter=PLACE)])
    assert claimed(None)[0] is None


def test_the_order_of_ready_is_passed_on() -> None:
    order = Namespace(sort="hybrid", include_deferred=True, include_ephemeral=False, ttl=5)
    _, api = claimed(None, order)
    assert api.asked == [ClaimReady(actor="alice", filter=PLACE, sort="hybrid", include_deferred=True, ttl_ms=5)]
