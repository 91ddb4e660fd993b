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


def test_machines_that_came_with_the_same_ticket_are_told_with_what_to_do_about_them() -> None:
    plane = {"plane": "shared", "n": 7, "epoch": "ab", "no_epoch": "", "same_ticket": ["S" * 43, f"-{'U' * 42}"]}
    done = {"replica": "R" * 43, "planes": [plane]}
    ran = run_console("replica retire RRRR", {"retire_replica": done})
    assert ran.out.splitlines()[1:] == ["  came with the same ticket: SSSSSSSSSSSS, -UUUUUUUUUUU"]
    assert "`moot replica retire -- KEY` each of those that you don't know" in ran.err
    assert run_console("replica retire RRRR --json", {"retire_replica": done}).document == done
    alone = {"replica": "R" * 43, "planes": [plane | {"same_ticket": []}]}
    ran = run_console("replica retire RRRR", {"retire_replica": alone})
    assert "ticket" not in ran.out + ran.err


def test_where_no_new_key_could_be_made_it_is_said_why() -> None:
    plane = {"plane": "shared", "n": 7, "epoch": "", "no_epoch": "too many count there", "same_ticket": []}
    ran = run_console("replica retire RRRR", {"retire_replica": {"replica": "R" * 43, "planes": [plane]}})
    assert ran.code == 0
    assert ran.out == "✓ Retired RRRRRRRRRRRR on plane shared at its event 7\n"
    assert "No new key yet: too many count there" in ran.err
    assert "An admin" not in ran.err
