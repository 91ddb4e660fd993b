"""activity: each event in the shape and words of earlier releases of Beads, the latest ones, filtered."""

import json
from typing import Any

import pytest

from moot.console.commands.lists.activity import COMMANDS
from moot_protocol.requests.machine import Events
from moot_testkit.clients.canned_api import NOW_MS, CannedApi, InTurn, Ran, run


def event(entity: str, minutes: int, **fields: Any) -> dict[str, Any]:
    changes = [{"field": name, "value": value} for name, value in fields.items()]
    return {"entity": entity, "actor": "bob\x1b[2J", "at": NOW_MS - minutes * 60_000, "changes": changes}


EVENTS = [
    event("bd-a", 90, project="bd", title="A", status="open"),
    event("bd-a", 30, status="in_progress", assignee="bob"),
    event("bd-b", 20, comments=["x"]),
    event("bd-a", 10, status="closed"),
    event("bd-a", 5, deleted={"by": "bob"}),
    event("bd-b", 1, priority=0),
]


def activity(argv: str = "") -> Ran:
    pages = InTurn([{"next": 6}, {"events": EVENTS, "next": 6}])
    return run(COMMANDS, f"activity {argv}", CannedApi(events=pages))


def test_each_event_is_told_by_its_kind() -> None:
    told = json.loads(activity("--json").out)
    assert [each["type"] for each in told] == ["create", "status", "comment", "status", "delete", "update"]
    assert [each["symbol"] for each in told] == ["+", "→", "💬", "✓", "⊘", "→"]
    assert told[1] == {
        "timestamp": "2026-01-31T11:30:00.000Z", "type": "status", "issue_id": "bd-a", "symbol": "→",
        "message": "bd-a started · @bob\x1b[2J", "new_status": "in_progress", "actor": "bob\x1b[2J", "action": "status",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("argv", "count"), [("--limit 2", 2), ("--mol bd-b", 2), ("--since 15m", 3), ("--type status", 2), ("--limit 0", 6)]
)
def test_what_is_wanted_is_told(argv: str, count: int) -> None:
    assert len(json.loads(activity(f"{argv} --json").out)) == count
    assert len(activity(argv).out.splitlines()) == count


def test_lines_are_safe_to_print_and_nothing_is_told_of_nothing() -> None:
    assert activity("--limit 1").out == "[2026-01-31 11:59] → bd-b updated · @bob^[[2J\n"
    assert activity("--mol no").err == "No recent activity\n"


def test_only_the_latest_are_looked_at() -> None:
    api = CannedApi(events=InTurn([{"next": 9_000}, {"events": [], "next": 9_000}]))
    assert run(COMMANDS, "activity", api).asked == [Events(since=None), Events(since=4_000, kind="issue")]
