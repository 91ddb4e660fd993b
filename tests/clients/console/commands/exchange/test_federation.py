"""federation status, peers, pull and push: what they ask for, in which order, and what they say."""

from typing import Any

import pytest

from moot.console.commands.exchange.federation import review_lines
from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.exchange import Sync
from moot_protocol.requests.federation import FederationNews, FederationReview, FederationStatus
from moot_protocol.requests.machine import Events
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.console import in_turn, run_console
from moot_testkit.clients.terminal import FACTS

OURS = {
    "town": "k" * 43, "name": "Ours", "town_name": "Ours", "role": "admin", "state": "ok", "is_own": True,
    "replicas": 2, "last_seen_ms": 0,
}  # fmt: skip
THEIRS = OURS | {
    "town_name": "river\x07", "role": "writer", "is_own": False, "replicas": 1, "last_seen_ms": NOW_MS - 60_000
}  # fmt: skip
PLANE: dict[str, Any] = {
    "plane": "shared", "kind": "federation", "state": "ready", "towns": [OURS, THEIRS],
    "remotes": [{"remote": "hub", "mode": "manual", "ahead": 3}], "members": 2, "in_step": 1,
    "conflicts": ["bd-1"], "not_adopted": ["formula/ship"], "messages": 0,
}  # fmt: skip
DONE = {"done": True, "cursor": "c", "remotes": [{"remote": "hub", "error": ""}]}
UNREACHED = DONE | {"remotes": [{"remote": "hub", "error": "gone"}]}
LEAVING = [{"plane": "shared", "remote": "hub", "mode": "manual", "events": 3, "entities": [
    {"kind": "issue", "entity": "bd-1", "actors": ["ann"], "events": 2,
     "changes": [{"field": "title", "value": "A\x1b"}, {"field": "labels", "removed": True}]}]}]  # fmt: skip


def test_status_tells_of_towns_remotes_and_decisions() -> None:
    ran = run_console("federation status --plane shared", {"federation_status": [PLANE]})
    assert ran.request == FederationStatus(plane="shared")
    assert ran.out.splitlines() == [
        "shared federation",
        "  Ours admin 2 replicas this town",
        "  river^G writer 1 replica last seen 1min ago",
        "  remote hub manual lacks 3 events",
        "  1 of 2 other machines in step, as they last said",
        "  in conflict: bd-1",
        "  from other towns, not adopted: formula/ship",
    ]
    assert run_console("federation status --json", {"federation_status": [PLANE]}).document == [PLANE]
    assert run_console("federation status", {"federation_status": []}).err.startswith("no plane is shared")


def test_peers_are_the_other_towns() -> None:
    ran = run_console("federation peers", {"federation_status": [PLANE]})
    assert ran.out == "shared river^G writer 1 replica last seen 1min ago\n"
    ran = run_console("federation peers --json", {"federation_status": [PLANE]})
    assert ran.document == [{"plane": "shared"} | THEIRS]


def test_pull_waits_and_tells_what_came_and_what_to_do_with_it() -> None:
    news = [{"plane": "shared", "town": "abcd", "town_name": "river", "replica": "efgh", "events": 12,
             "entities": [{"kind": "issue", "entity": f"bd-{each}", "events": 1} for each in range(12)]}]  # fmt: skip
    answers = {"events": {"next": 7}, "federation_status": [PLANE], "federation_news": news,
               "sync": in_turn(DONE | {"done": False}, DONE)}  # fmt: skip
    ran = run_console("federation pull", answers)
    assert [each for each in ran.asked if not isinstance(each, Sync)] == [
        Events(since=None), FederationStatus(), FederationNews(since=7), FederationStatus(),
    ]  # fmt: skip
    assert [(each.plane, each.cursor) for each in ran.asked if isinstance(each, Sync)] == [
        ("shared", ""),
        ("shared", "c"),
    ]
    told = ran.out.splitlines()
    assert told[:2] == ["river on shared: 12 events", "  issue bd-0"]
    assert told[11:] == [
        "  and 2 more",
        "not adopted on shared: formula/ship (`moot doc adopt formula/ship --plane shared` accepts it)",
        "in conflict on shared: bd-1 (`moot conflicts`)",
    ]


def test_push_without_review_exchanges_at_once() -> None:
    ran = run_console("federation push", {"federation_status": [PLANE], "sync": DONE})
    assert (ran.code, ran.out) == (0, "✓ Sent; in step with 1 remote\n")
    ran = run_console("federation push", {"federation_status": [PLANE], "sync": UNREACHED})
    assert (ran.code, ran.out) == (69, "")
    assert ran.err.splitlines() == [
        "Error: hub can't be reached: gone",
        "Hint: what waits for it is kept and goes later; `moot remote test hub` tells more",
    ]
    assert run_console("federation push", {"federation_status": []}).code == 3


@pytest.mark.parametrize(("command", "keys"), [("pull", {"news", "planes", "remotes"}), ("push", {"remotes"})])
def test_as_json_a_remote_that_cannot_be_reached_is_told_as_any_failure(command: str, keys: set[str]) -> None:
    answers = {"events": {"next": 7}, "federation_status": [PLANE], "federation_news": [], "sync": UNREACHED}
    ran = run_console(f"federation {command} --json", answers)
    assert (ran.code, ran.err, set(ran.document)) == (69, "", keys | {"error"})
    assert ran.document["error"] == {
        "code": "unreachable",
        "message": "hub can't be reached: gone",
        "hint": "what waits for it is kept and goes later; `moot remote test hub` tells more",
        "retryable": True,
    }
    ran = run_console(f"federation {command} --json", answers, facts=FACTS._replace(program="bd"))
    assert ran.document["error"] == "hub can't be reached: gone"
    assert ran.err.startswith("Error: hub can't be reached: gone\n")
    ran = run_console(f"federation {command} --json", answers | {"sync": DONE})
    assert (ran.code, ran.err, set(ran.document)) == (0, "", keys)


UNOPENED = DONE | {"unopened": [{"remote": "hub", "plane": "shared", "frames": 2, "code": "unknown_epoch"}]}
NO_KEY = "2 frames of plane shared on hub can't be opened: the key isn't here yet"


@pytest.mark.parametrize("command", ["pull", "push"])
def test_frames_whose_key_is_missing_exit_75_and_nobody_is_said_to_be_in_step(command: str) -> None:
    answers = {"events": {"next": 7}, "federation_status": [PLANE], "federation_news": [], "sync": UNOPENED}
    ran = run_console(f"federation {command}", answers)
    assert ran.code == 75
    assert ran.err.splitlines()[0] == f"Error: {NO_KEY}"
    assert "Nothing new" not in ran.out
    assert "in step" not in ran.out
    ran = run_console(f"federation {command} --json", answers)
    assert (ran.code, ran.err, ran.document["error"]["code"]) == (75, "", "unknown_epoch")
    assert (ran.document["error"]["message"], ran.document["error"]["retryable"]) == (NO_KEY, True)


def test_planes_without_a_remote_are_left_out_and_named_and_where_none_has_one_the_daemon_says_why() -> None:
    off = PLANE | {"plane": "side", "remotes": [{"remote": "hub", "mode": "off", "ahead": 0}]}
    alone = PLANE | {"plane": "alone", "remotes": []}
    ran = run_console("federation push", {"federation_status": [off, PLANE, alone], "sync": DONE})
    assert [each.plane for each in ran.asked if isinstance(each, Sync)] == ["shared"]
    assert (ran.code, ran.out) == (0, "✓ Sent; in step with 1 remote\n")
    assert ran.err.splitlines() == [
        "Plane side has no remote to be exchanged with",
        "Plane alone has no remote to be exchanged with",
    ]
    refused = RefusedError("plane side has no remote to be exchanged with: hub off", code=Code.NOT_FOUND, hint="do")
    ran = run_console("federation push", {"federation_status": [off], "sync": refused})
    assert (ran.code, ran.err) == (3, f"Error: {refused.message}\nHint: do\n")


def test_review_shows_what_would_leave_and_sends_nothing_before_it_is_agreed_to() -> None:
    answers = {"federation_status": [PLANE], "federation_review": LEAVING}
    ran = run_console("federation push --review", answers, stdin=[b"n\n"])
    assert ran.asked == [FederationStatus(), FederationReview()]
    assert ran.code == 1
    assert ran.err.splitlines()[:5] == [
        "3 events of plane shared would go to hub:",
        "  issue bd-1 by ann",
        "    title: A^[",
        "    labels removed",
        "  and 1 event more",
    ]
    assert run_console("federation push --review", answers).code == 1
    ran = run_console("federation push --review --json", answers, stdin=[b"n\n"])
    assert (ran.code, ran.document["error"]["message"]) == (1, "nothing was sent: it wasn't agreed to")
    agreed = run_console("federation push --review", answers | {"sync": DONE}, stdin=[b"yes\n"])
    assert (agreed.code, type(agreed.asked[-1])) == (0, Sync)
    assert run_console("federation push --review --yes", answers | {"sync": DONE}).code == 0


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"field": "due_at", "value": 1_769_857_200_000}, "due_at: 2026-01-31T11:00:00.000Z"),
        ({"field": "edges", "value": ["bd-\x1b2", "blocks", 0, ""]}, "edges: depends on bd-^[2 (blocks)"),
        ({"field": "edges", "removed": ["bd-2", "parent-child", 0, ""]}, "edges removed: child of bd-2"),
        ({"field": "metadata", "value": ["team", '"web"']}, 'metadata: team = "web"'),
        ({"field": "deleted", "value": ["ann", "spam", "", 0]}, "deleted: by ann: spam"),
        ({"field": "deleted", "value": ""}, "deleted: no"),
        ({"field": "comments", "value": ["Seen\u202e", "ann", 0, ""]}, "comments: Seen<U+202E> (by ann)"),
        ({"field": "notes", "missing": True}, "notes: not held here"),
        ({"field": "notes", "missing": True, "erased": True}, "notes: (erased)"),
        ({"field": "description", "value": "x" * 500}, f"description: {'x' * 199}…"),
    ],
)
def test_review_tells_values_as_history_does(change: dict[str, Any], told: str) -> None:
    entity = {"kind": "issue", "entity": "bd-1", "actors": ["ann"], "events": 1, "changes": [change]}
    leaving = [{"plane": "shared", "remote": "hub", "mode": "manual", "events": 1, "entities": [entity]}]
    assert review_lines(leaving)[2:] == [f"    {told}"]


def test_review_tells_which_events_an_erasure_names() -> None:
    change = {"field": f"17.{'ab' * 8}", "value": None}
    entity = {"kind": "erase", "entity": "k" * 43, "actors": ["ann"], "events": 1, "changes": [change]}
    leaving = [{"plane": "shared", "remote": "hub", "mode": "manual", "events": 1, "entities": [entity]}]
    assert review_lines(leaving)[2:] == ["    erases event n=17"]


def test_review_says_where_it_comes_too_late() -> None:
    auto = PLANE | {"remotes": [{"remote": "hub", "mode": "auto", "ahead": 0}]}
    answers = {"federation_status": [auto], "federation_review": [], "sync": DONE}
    ran = run_console("federation push --review", answers)
    assert "Plane shared is exchanged by itself" in ran.err
    assert "Nothing would leave" in ran.err
