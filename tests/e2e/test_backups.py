"""The drill of docs/security.md: a machine is lost, and goes on from its backup, with real daemons and a Git remote."""

import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from moot_protocol.requests.issues import Create, IssueFields
from moot_testkit.machines.machine import PROJECT, Machine, machine, town_of_two


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "remote.git"], check=True)
    return tmp_path / "remote.git"


def titles(on: Machine) -> set[str]:
    return {issue["title"] for issue in on.json("list", "--all", "--limit", "0")}


def restore(on: Machine, backup: Path) -> None:
    """What the page says to type, up to `moot salvage`."""
    on.ok("daemon", "stop")
    shutil.move(on.data, on.home / "moot-damaged")
    subprocess.run(["cp", "-a", backup, on.data], check=True)


def sync(*machines: Machine) -> None:
    for each in machines:
        each.ok("sync", "--wait")


def digests(*machines: Machine) -> list[dict[str, str]]:
    """The digest of the ledger on each machine."""
    return [next(p["digest"] for p in each.json("status")["planes"] if p["name"] == "ledger") for each in machines]


def alarms(on: Machine) -> list[str]:
    return [alarm["code"] for alarm in on.json("status")["alarms"]]


def test_a_machine_that_was_lost_goes_on_from_its_backup_and_forks_nothing(repository: Path, tmp_path: Path) -> None:
    with town_of_two("git", f"file://{repository}") as (one, two):
        two.ok("create", "before")
        two.ok("backup", str(tmp_path / "backup"))
        two.ok("create", "since, and sent")
        sync(two, one)
        two.ok("create", "since, and not sent")  # while nothing is exchanged
        old = two.json("status")["replica"]

        two.ok("backup", "--check", str(tmp_path / "backup"))
        restore(two, tmp_path / "backup")
        assert titles(two) == {"before"}
        assert "copied" in alarms(two)
        refused = two.run("create", "too early")
        assert (refused.returncode, "moot salvage" in refused.stderr) == (4, True)

        two.ok("salvage")
        ticket = one.ok("invite").splitlines()[-1]
        two.ok("join", "-", stdin=ticket)
        sync(two, one, two)
        two.ok("create", "after")
        sync(two, one, two)

        one.ok("replica", "retire", "--", old)  # a key may begin with a dash
        sync(one, two)
        two.ok("create", "at last")
        sync(two, one)

        assert {"before", "since, and sent", "after", "at last"} <= titles(one) == titles(two)
        assert digests(one)[0] == digests(two)[0]
        assert two.json("status")["replica"] != old
        for each in (one, two):
            assert each.json("fork", "list") == []
            assert alarms(each) == []
            each.ok("fsck")


def test_a_machine_without_others_keeps_its_keys(tmp_path: Path) -> None:
    with machine() as alone:
        alone.ok("init", "--prefix", PROJECT)
        alone.ok("create", "before")
        alone.ok("backup", str(tmp_path / "backup"))
        before = alone.json("status")
        restore(alone, tmp_path / "backup")
        alone.ok("salvage", "--moved")
        alone.ok("daemon", "restart")  # the last start's own warning of another folder ends with it
        alone.ok("create", "after")
        after = alone.json("status")
        assert (titles(alone), after["replica"], alarms(alone)) == ({"before", "after"}, before["replica"], [])
        alone.ok("fsck")
        assert alone.ok("doctor")


def test_a_backup_made_while_others_write_is_whole(own_town: Machine, tmp_path: Path) -> None:
    is_over = threading.Event()

    def write() -> None:
        with own_town.client() as client:
            while not is_over.is_set():
                client.call(
                    Create(actor="ada", project=PROJECT, fields=IssueFields(title="more", description="x" * 500))
                )

    own_town.start()
    writers = [threading.Thread(target=write) for _ in range(3)]
    for writer in writers:
        writer.start()
    try:
        made: list[Any] = [own_town.json("backup", str(tmp_path / str(number))) for number in range(5)]
    finally:
        is_over.set()
        for writer in writers:
            writer.join(60)
    counts = [backup["events"] for backup in made]
    assert counts == sorted(set(counts)), "nothing was written meanwhile"
    for number in range(5):
        own_town.ok("backup", "--check", str(tmp_path / str(number)))
