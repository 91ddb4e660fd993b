"""Claiming the first of several issues that nobody else holds."""

from argparse import Namespace
from typing import Any

import pytest

from moot.console.claiming import claim_first
from moot.console.command import Context
from moot_protocol.errors import Code, RefusedError
from moot_protocol.listing import Page
from moot_protocol.requests import Update
from moot_testkit.canned_api import NOW_MS, CannedApi, InTurn
from moot_testkit.console import issue
from moot_testkit.terminal import RecordingTerminal

LOST = RefusedError("too late", code=Code.LOST_RACE)


def claimed(*issues: dict[str, Any], answers: list[Any]) -> tuple[Any, CannedApi]:
    api = CannedApi(update=InTurn(answers))
    context = Context(api, RecordingTerminal(), Namespace(), "alice", "bd", json=False, now_ms=NOW_MS)
    return claim_first(context, Page(issues=list(issues), total=None, truncated=False)), api


def test_what_others_hold_is_passed_over_and_what_is_ones_own_is_not() -> None:
    mine = issue(2, assignee="alice")
    got, api = claimed(issue(1, assignee="bob"), mine, answers=[mine])
    assert (got, api.asked) == (mine, [Update(id=mine["id"], actor="alice", claim=True)])


def test_who_is_too_late_goes_on_to_the_next() -> None:
    got, api = claimed(issue(1), issue(2), answers=[LOST, issue(2)])
    assert got == issue(2)
    assert len(api.asked) == 2
    assert claimed(issue(1), answers=[LOST])[0] is None
    assert claimed(answers=[])[0] is None


def test_any_other_failure_is_told() -> None:
    with pytest.raises(RefusedError, match="broken"):
        claimed(issue(1), answers=[RefusedError("broken")])
