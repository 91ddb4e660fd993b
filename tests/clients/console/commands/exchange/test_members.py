"""plane members, plane rotate-key, member remove: what is asked of the daemon and what is printed."""

from typing import Any

from moot.console.commands.exchange.members import NO_WAY_BACK, STILL_READS
from moot_protocol.requests.membership import Members, RemoveTown, RotatePlaneKey
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.console import run_console

MEMBER = {
    "plane": "shared", "replica": "R" * 43, "town": "T" * 43, "town_name": "hill", "role": "writer", "state": "ok",
    "n": 7, "last_seen_ms": NOW_MS - 300_000, "version": "", "is_here": False,
    "in_step_ms": 0, "frontier": "",
}  # fmt: skip
TOWN = {
    "plane": "shared", "town": "T" * 43, "name": "hill", "role": "admin", "depth": 1, "admitted_by": "",
    "state": "ok", "is_own": False, "replicas": 1, "members": [MEMBER],
}  # fmt: skip
PLANE = {"plane": "shared", "id": "1a", "kind": "federation", "epoch": "ab", "towns": [TOWN]}


def removed(**fields: Any) -> dict[str, Any]:
    planes = [{"plane": "shared", "replicas": ["R" * 43], "events": 1, "epoch": "ab"}]
    return {"town": "T" * 43, "name": "hill", "planes": planes, "dropped": []} | fields


def test_members_are_shown_by_town() -> None:
    ran = run_console("plane members shared", {"members": PLANE})
    assert ran.request == Members(plane="shared")
    assert ran.out.splitlines() == [
        f"hill {'T' * 43} admin depth 1 founder 1 replica",
        f"  {'R' * 43} hill writer n 7 seen 5min ago",
    ]
    assert run_console("plane members shared --json", {"members": PLANE}).document == PLANE


def test_a_new_epoch_is_told_with_whom_it_is_for() -> None:
    made = {"plane": "shared", "epoch": "ab12", "recipients": 3}
    ran = run_console("plane rotate-key shared", {"rotate_plane_key": made})
    assert ran.request == RotatePlaneKey(actor="unknown", plane="shared")
    assert ran.out == "✓ Plane shared has a new key: epoch ab12, wrapped for 3 recipients\n"


def test_a_removal_is_told_and_what_the_town_can_still_read() -> None:
    ran = run_console("member remove hill --plane shared", {"remove_town": removed()})
    assert ran.request == RemoveTown(actor="unknown", town="hill", plane="shared")
    assert ran.out.splitlines() == [
        "✓ Removed town hill TTTTTTTTTTTT from plane shared: 1 replica ended, 1 event of them stay",
        "  The plane has a new key: epoch ab",
    ]
    assert "keeps what it has" in ran.err
    assert "nothing else that is written from now on" in ran.err
    assert "No command takes this back" in ran.err


def test_a_removal_that_is_only_tried_says_what_it_would_do() -> None:
    ran = run_console("member remove hill --dry-run", {"remove_town": removed()})
    assert ran.request.dry_run
    told = ran.out.splitlines()
    assert told[:3] == [
        "Would remove town hill TTTTTTTTTTTT from plane shared and end 1 replica of it:",
        "  What it has written until now stays (1 event); nothing that it writes from then on counts",
        "  The plane would have a new key, which it doesn't get",
    ]
    assert told[3:] == [f"  {line}" for line in (*STILL_READS, NO_WAY_BACK)]
    assert ran.err == ""


def test_what_is_nowhere_else_goes_with_a_town_when_people_say_so() -> None:
    assert not run_console("member remove hill", {"remove_town": removed()}).request.drop
    assert run_console("member remove hill --drop", {"remove_town": removed()}).request.drop
    dropped = [{"plane": "shared", "replica": "R" * 43, "branches": [{"branch": "ab" * 32, "events": 2}], "waiting": 1}]
    for flags, word in (("--drop", "Dropped"), ("--drop --dry-run", "Would drop")):
        ran = run_console(f"member remove hill {flags}", {"remove_town": removed(dropped=dropped)})
        told = f"  {word} what is nowhere else, of RRRRRRRRRRRR on plane shared: 2 events of history abababab"
        assert f"{told} and 1 batch that waited for the clock" in ran.out


def test_a_removal_after_which_no_new_key_could_be_made_says_why() -> None:
    plane = {"plane": "shared", "replicas": ["R" * 43], "events": 1, "epoch": "", "no_epoch": "too many count there"}
    done = {"town": "T" * 43, "name": "hill", "planes": [plane], "dropped": []}
    ran = run_console("member remove hill", {"remove_town": done})
    assert "new key" not in ran.out
    assert "No new key yet: too many count there" in ran.err
