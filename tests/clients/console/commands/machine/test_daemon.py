"""daemon run|start|stop|status, status, version: what is printed, how they end."""

from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_protocol.requests.machine import Ping, Status, Stop
from moot_protocol.requests.mirrors import WorkspaceMoved
from moot_testkit.clients.canned_api import NOW_MS
from moot_testkit.clients.console import Outcome, run_console
from moot_testkit.clients.terminal import FACTS, at_terminal

PONG = {
    "pid": 4711, "uptime_ms": 3_720_000, "version": "0.1.0", "protocol": 1, "data": "/home/alice/.moot",
    "config_file": "/home/alice/.config/moot/config.toml",
}  # fmt: skip
STATUS = {
    "version": "0.1.0", "protocol": 1, "data": "/d", "bytes": 5 * 1024 * 1024, "at_rest": "plaintext",
    "town": {"name": "rivertown", "key": "TTT"}, "replica": "RRR",
    "planes": [
        {"name": "ledger", "plane": "aa", "digest": "ab" * 32, "events": 4211, "issues": 3077, "feeds": 2,
         "frontier": []},
        {"name": "operational", "plane": "bb", "digest": "cd" * 32, "events": 1, "issues": 0, "feeds": 1,
         "frontier": []},
    ],
    "projects": [{"project": "bd", "folder": "/w/beads", "issues": 3077}],
    "conflicts": 0, "parked": 0, "jobs": [], "alarms": [],
}  # fmt: skip


@pytest.mark.parametrize("command", ["status", "start"])
def test_a_running_daemon_says_which_it_is(command: str) -> None:
    ran = run_console(f"daemon {command}", {"ping": PONG})
    assert ran.request == Ping()
    assert ran.out.splitlines() == [
        "The daemon runs as process 4711 since 1h 2min, version 0.1.0",
        "  data: /home/alice/.moot",
        "  config file: /home/alice/.config/moot/config.toml",
    ]


def test_daemon_status_as_json_has_pid_uptime_and_versions() -> None:
    document = run_console("daemon status --json", {"ping": PONG}).document
    assert document == {"running": True, "status": "healthy", "uptime_seconds": 3720.0} | PONG


def test_an_unreachable_daemon_exits_69() -> None:
    gone = RefusedError("no daemon answers", code=Code.UNREACHABLE, hint="`moot daemon start`", retryable=True)
    ran = run_console("daemon status --json", {"ping": gone})
    assert (ran.code, ran.document["error"]["code"]) == (69, "unreachable")


def test_a_second_daemon_is_refused() -> None:
    ran = run_console("daemon run", {"ping": PONG})
    assert ran.code == 5
    assert "4711" in ran.err


def test_daemon_stop_asks_it_to_end() -> None:
    ran = run_console("daemon stop", {"stop": {}})
    assert (ran.request, ran.code) == (Stop(), 0)


def test_version_names_the_program_as_it_was_called() -> None:
    assert run_console("version", {"ping": PONG}).out == "moot version 0.1.0 (protocol 1)\n"
    assert run_console("version --json", {"ping": PONG}).document == {"version": "0.1.0", "protocol": 1}


@pytest.mark.parametrize("argv", ["version", "--version", "-V"])
def test_called_as_bd_the_version_is_that_of_the_commands_it_follows(argv: str) -> None:
    ran = run_console(argv, {"ping": PONG}, facts=FACTS._replace(program="bd"))
    assert ran.out == "bd version 1.0.5 (moot 0.1.0 (protocol 1))\n"
    document = run_console("version --json", {"ping": PONG}, facts=FACTS._replace(program="bd")).document
    assert (document["version"], document["build"], document["moot_version"]) == ("1.0.5", "moot", "0.1.0")


# -- status ------------------------------------------------------------------------------------------------------
def status(facts: Any = FACTS, **changes: Any) -> Outcome:
    return run_console("status", {"status": STATUS | changes}, facts=facts)


def test_status_tells_of_deleted_issues_too_since_an_import_counts_them() -> None:
    ledger = {"name": "ledger", "digest": "ab" * 32, "events": 4212, "issues": 3077, "deleted": 346, "feeds": 2}
    told = "This replica holds 3,077 issues and 346 deleted in 4,212 events; all is well."
    assert status(planes=[ledger]).out.splitlines()[0] == told


def test_status_begins_with_one_sentence_and_goes_on_with_facts() -> None:
    lines = status().out.splitlines()
    assert lines[0] == "This replica holds 3,077 issues in 4,212 events; all is well."
    assert "town: rivertown TTT" in lines
    assert "plane ledger: 4,211 events of 2 feeds, digest abababababababab" in lines
    assert "project bd: 3,077 issues in /w/beads" in lines
    assert "data: /d, 5 MiB" in lines
    assert "at rest: plaintext" in lines


def test_status_of_a_bare_account_says_what_to_begin_with_and_not_that_all_is_well() -> None:
    bare: dict[str, Any] = {"town": None, "replica": None, "planes": [], "projects": []}
    out = status(**bare).out
    told = "Nothing is set up on this machine yet: `moot init` in a project's folder, or `moot join` with a ticket"
    assert out.splitlines()[0] == told
    assert "None" not in out
    alarm = {"code": "memory", "severity": "warning", "message": "little room", "hint": ""}
    assert status(**bare, alarms=[alarm]).out.splitlines()[0] == f"{told}; 1 warning to look at."


def test_status_at_a_terminal_is_aligned() -> None:
    lines = status(at_terminal(NO_COLOR="1")).out.splitlines()
    places = {line.index(text) for line in lines for text in ("4,211 events", "RRR", "plaintext") if text in line}
    assert len(places) == 1


def test_alarms_and_conflicts_come_right_after_the_sentence_which_counts_them() -> None:
    alarm = {"code": "fork", "severity": "high", "message": "a feed forked \x1b[0m", "hint": "`moot fsck` tells more"}
    lines = status(alarms=[alarm], conflicts=2).out.splitlines()
    assert lines[0].endswith("; 1 alarm and 2 conflicts to look at.")
    assert lines[1:4] == [
        "high: a feed forked ^[[0m",
        "  `moot fsck` tells more",
        "  `moot conflicts` lists what people disagree about",
    ]


def test_warnings_are_counted_as_such_beside_alarms() -> None:
    found = [
        {"code": "fork", "severity": "alarm", "message": "a feed forked", "hint": ""},
        {"code": "moved", "severity": "warning", "message": "it lies elsewhere", "hint": ""},
        {"code": "waiting", "severity": "warning", "message": "plane common waits", "hint": ""},
        {"code": "disk_full", "severity": "warning", "message": "little room", "hint": ""},
    ]
    assert status(alarms=found[1:2]).out.splitlines()[0].endswith("; 1 warning to look at.")
    told = "; 2 alarms and 2 warnings and 1 unreached remote and 1 waiting plane to look at."
    assert status(alarms=found, remotes=[REMOTE]).out.splitlines()[0].endswith(told)


def test_a_plane_that_waits_for_its_charter_is_told_with_what_to_do_and_not_as_all_is_well() -> None:
    alarm = {
        "code": "waiting",
        "severity": "warning",
        "message": "plane common waits",
        "hint": "run `moot sync --wait`",
    }
    plane = {"name": "common", "state": "waiting", "digest": "00" * 32, "events": 0, "issues": 0, "feeds": 0}
    lines = status(alarms=[alarm], planes=[plane]).out.splitlines()
    assert lines[0].endswith("; 1 waiting plane to look at.")
    assert lines[1:3] == ["warning: plane common waits", "  run `moot sync --wait`"]
    assert "plane common: waits for its charter; 0 events of 0 feeds, digest 0000000000000000" in lines


def test_work_under_way_and_what_is_parked_is_shown() -> None:
    out = status(jobs=[{"job": "rebuild", "done": 5, "total": 10}], parked=3).out
    assert "at work: rebuild: 5 of 10" in out
    assert "parked: 3 batches" in out


def test_status_as_json_is_the_daemons_answer() -> None:
    assert run_console("status --json", {"status": STATUS}).document == STATUS


REMOTE = {
    "name": "origin", "kind": "git", "url": "ssh://host/repo", "state": "waiting", "error": "no route",
    "last_ok_ms": NOW_MS - 7_200_000, "next_try_ms": 0, "queued": 12, "queued_bytes": 4096,
    "planes": [{"plane": "ledger", "mode": "auto"}],
    "alarms": [{"name": "refs/moot/x", "kind": "went_back", "detail": "\x1b[2J"}],
}  # fmt: skip


def test_status_tells_how_planes_are_exchanged_and_how_remotes_are() -> None:
    lines = status(remotes=[REMOTE]).out.splitlines()
    assert "plane ledger: 4,211 events of 2 feeds, digest abababababababab; origin auto" in lines
    assert "plane operational: 1 event of 1 feed, digest cdcdcdcdcdcdcdcd" in lines
    assert "remote origin: git, waiting, reached 2h ago, 12 queued (4 KiB); no route" in lines


def test_alarms_of_remotes_count_and_stand_with_the_others() -> None:
    lines = status(remotes=[REMOTE]).out.splitlines()
    assert lines[0].endswith("; 1 alarm and 1 unreached remote to look at.")
    assert lines[1] == "alarm: remote origin: refs/moot/x: went back (^[[2J)"


def test_without_remotes_status_says_nothing_of_them() -> None:
    assert status(remotes=[]).out == status().out
    assert "remote" not in status().out


def in_folders(*marked: str, argv: str = "status", known: str = "/w/beads") -> Outcome:
    """Ask for the status in /w/moved, with the workspace's file in some folders."""
    moved = {"moved": True, "from": known, "mirrors": [], "spool": False}
    told = {**STATUS, "projects": [{"project": "bd", "folder": known, "issues": 3077}] if known else []}
    answers = {"status": told, "workspace_info": {"project": "bd", "folder": known}, "workspace_moved": moved}
    files = {f"{folder}/.moot/workspace": b"w1\n" for folder in marked}
    return run_console(argv, answers, facts=FACTS._replace(folder="/w/moved/src"), files=files)


def test_status_in_a_folder_that_was_moved_notes_that_and_tells_it_as_it_is_then() -> None:
    ran = in_folders("/w/moved")
    assert ran.asked == [Status(), WorkspaceMoved(workspace="w1", folder="/w/moved"), Status()]
    assert "this project lies in /w/moved now; it was in /w/beads" in ran.err
    document = in_folders("/w/moved", argv="status --json").document
    assert document["projects"][0]["folder"] == "/w/beads"  # as the daemon answered


@pytest.mark.parametrize(
    ("marked", "known"),
    [(["/w/moved"], "/w/moved"), (["/w/beads", "/w/moved"], "/w/beads"), ([], "/w/beads"), (["/w/moved"], "")],
    ids=["where it is known", "in a copy", "in a linked work tree", "before there is any project"],
)
def test_status_asks_once_in_a_folder_that_was_not_moved(marked: list[str], known: str) -> None:
    assert in_folders(*marked, known=known).request == Status()


def test_the_one_daemon_is_told_as_bd_tells_of_many() -> None:
    (entry,) = run_console("daemons list --json", {"ping": PONG}).document
    assert (entry["pid"], entry["workspace_path"], entry["alive"]) == (4711, FACTS.folder, True)
    health = run_console("daemon health --json", {"ping": PONG}).document
    assert (health["total"], health["healthy"], health["daemons"][0]["status"]) == (1, 1, "healthy")
    assert run_console("daemon list", {"ping": PONG}).out.startswith("One daemon serves every folder: process 4711")


@pytest.mark.parametrize("argv", ["daemon", "daemon --status", "daemon --start --interval 5s --auto-commit"])
def test_flags_of_earlier_releases_tell_how_it_is(argv: str) -> None:
    assert run_console(f"{argv} --json", {"ping": PONG}).document["running"] is True
