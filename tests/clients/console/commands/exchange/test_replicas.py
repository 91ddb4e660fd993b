"""replica list|retire: what is asked of the daemon and what is printed."""

from moot_protocol.requests.membership import Replicas, RetireReplica
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.console import run_console

REPLICA = {
    "plane": "shared", "replica": "R" * 43, "town": "T" * 43, "town_name": "hill", "role": "writer", "state": "ended",
    "n": 7, "last_seen_ms": NOW_MS - 300_000, "version": "", "is_here": False,
    "in_step_ms": 0, "frontier": "",
}  # fmt: skip


def test_replicas_are_listed_of_all_planes_or_of_one() -> None:
    ran = run_console("replica list --plane shared", {"replicas": [REPLICA]})
    assert ran.request == Replicas(plane="shared")
    assert ran.out == f"shared {'R' * 43} hill writer n 7 seen 5min ago removed\n"
    assert run_console("replica list --json", {"replicas": [REPLICA]}).document == [REPLICA]
    assert "moot init" in run_console("replica list", {"replicas": []}).err


def test_a_retired_machine_is_told_with_where_it_ends_and_the_new_key() -> None:
    done = {"replica": "R" * 43, "planes": [{"plane": "shared", "n": 7, "epoch": "ab"}]}
    ran = run_console("replica retire RRRR", {"retire_replica": done})
    assert ran.request == RetireReplica(actor="unknown", replica="RRRR")
    assert ran.out == "✓ Retired RRRRRRRRRRRR on plane shared at its event 7; new epoch ab\n"
    assert "keeps what it has, and what it wrote until now stays" in ran.err
    assert "No command takes this back" in ran.err
    assert "admin" not in ran.err


def test_what_is_nowhere_else_goes_with_it_when_people_say_so() -> None:
    done = {"replica": "R" * 43, "planes": [{"plane": "shared", "n": 7, "epoch": "ab"}]}
    assert run_console("replica retire RRRR --drop", {"retire_replica": done}).request.drop


def test_where_an_admin_has_to_change_the_key_it_is_said() -> None:
    done = {"replica": "R" * 43, "planes": [{"plane": "shared", "n": 7, "epoch": ""}]}
    ran = run_console("replica retire RRRR --plane shared", {"retire_replica": done})
    assert ran.request.plane == "shared"
    assert "until one does, nothing new is sent" in ran.err
    assert "epoch" not in ran.out
