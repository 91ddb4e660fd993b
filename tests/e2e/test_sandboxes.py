"""Agents in sandboxes that really forbid Unix sockets work through the spool, and the daemon outside applies it."""

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable

import pytest

from moot.spool.files import SpoolFiles
from moot_protocol.requests.issues import Create, IssueFields, ListIssues, Show
from moot_protocol.spool.files import ANSWERS, COMMANDS, FOLDER, answer_name, seal_command
from moot_testkit.machines.machine import BIN, Machine, machine
from moot_testkit.machines.sandbox import Wrap, sandboxes

SANDBOXES = sandboxes()
LOOKS = 300
LOOK_S = 0.1


class Sandboxed:
    """A machine, and commands in one of its sandboxes."""

    def __init__(self, town: Machine, wrap: Wrap) -> None:
        self.town = town
        self._wrap = wrap
        self.spool = town.folder / FOLDER

    def run(self, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self._wrap([str(BIN / "moot"), *arguments], self.town.folder),
            cwd=self.town.folder,
            env=self.town.environment | variables,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def ok(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def applied(self) -> None:
        """Wait until the daemon has taken what waits and the snapshot shows it."""
        assert eventually(lambda: not list((self.spool / COMMANDS).iterdir()))
        issues = {issue["id"]: issue["updated_at"] for issue in self.town.json("list", "--all")}
        files = SpoolFiles(self.town.folder)
        assert eventually(lambda: {k: v["updated_at"] for k, v in files.snapshot().issues.items()} == issues)


def eventually(is_so: Callable[[], bool]) -> bool:
    tick = threading.Event()
    return any(is_so() or tick.wait(LOOK_S) for _ in range(LOOKS))


def test_an_agent_in_a_sandbox_finds_claims_and_finishes_work(own_town: Machine) -> None:
    town = own_town
    inside = Sandboxed(town, SANDBOXES["seccomp-socket"])
    refused = inside.run("ready")
    assert refused.returncode == 69
    assert "this sandbox forbids Unix sockets" in refused.stderr
    assert "moot init --spool" in refused.stderr
    town.ok("init", "--spool")
    outside = town.ok("q", "Made outside").strip()

    # Queued: told so, with the id that it will have.
    queued = inside.run("create", "Made inside", "-p", "0", "--json")
    document = json.loads(queued.stdout)
    assert queued.returncode == 0
    assert document["queued"]
    assert "Queued for the daemon" in queued.stderr
    made = document["id"]
    inside.applied()
    assert json.loads(town.ok("show", made, "--json"))[0]["title"] == "Made inside"

    # Read: from the snapshot, whose age is told.
    ready = inside.run("ready", "--json")
    assert [issue["id"] for issue in json.loads(ready.stdout)] == [made, outside]
    assert "read from the snapshot" in ready.stderr

    # Waited for: the daemon's own answer.
    claimed = json.loads(inside.ok("update", made, "--claim", "--json", "--wait=30"))[0]
    assert (claimed["status"], claimed["assignee"]) == ("in_progress", "ada")
    taken = inside.run("update", made, "--claim", "--wait", "30", "--actor", "bob")
    assert taken.returncode == 5
    assert "ada" in taken.stderr
    inside.ok("handoff", "write", made, "--next", "half way")
    assert "closed" in inside.ok("close", made, "--reason", "done", "--wait").lower()
    inside.applied()
    assert "half way" in inside.ok("show", made)
    with town.client() as client:
        (shown,) = client.call(Show(ids=(made,)))
    assert (shown["status"], shown["close_reason"]) == ("closed", "done")
    assert inside.run("status").returncode == 69

    # A claim that somebody outside took is told, once, with whatever command comes next.
    theirs = inside.ok("create", "Taken away", "--silent", "--wait").strip()
    inside.ok("claim", theirs, "--wait", "--actor", "eve")
    town.ok("--actor", "bob", "update", theirs, "--assignee", "bob")
    files = SpoolFiles(town.folder)
    assert eventually(lambda: files.snapshot().lost == (("eve", theirs, "bob"),))
    assert f"Lost claim: {theirs} is bob's, not yours" in inside.run("ready", "--actor", "eve").stderr
    assert eventually(lambda: files.snapshot().lost == ())
    assert "Lost claim" not in inside.run("ready", "--actor", "eve").stderr


def test_an_agent_reads_what_it_has_just_written_and_a_command_that_comes_again_is_done_once(town: Machine) -> None:
    town.ok("init", "--spool")
    inside = Sandboxed(town, SANDBOXES["seccomp-socket"])
    for number in range(3):
        create = ("create", f"Written {number}", "--silent", "--wait=30", "--request-id", f"write-{number}")
        made = inside.ok(*create).strip()
        assert inside.ok(*create).strip() == made
        shown = inside.run("show", made, "--json")
        assert (shown.returncode, json.loads(shown.stdout)[0]["title"]) == (0, f"Written {number}")
        assert "older than" not in shown.stderr
        inside.ok("close", made, "--wait=30")
        assert json.loads(inside.ok("show", made, "--json"))[0]["status"] == "closed"
    assert len([title for title in titles(town) if title.startswith("Written ")]) == 3


@pytest.mark.parametrize("name", sorted(SANDBOXES.keys() - {"seccomp-socket"}))
def test_other_sandboxes_are_worked_in_as_well(town: Machine, name: str) -> None:
    town.ok("init", "--spool")
    inside = Sandboxed(town, SANDBOXES[name])
    made = inside.ok("create", f"Made in {name}", "--silent", "--wait=30").strip()
    inside.applied()
    assert made in inside.ok("list", "--json")


def test_a_daemon_killed_between_write_and_answer_applies_once() -> None:
    with machine() as town:
        town.ok("init", "--prefix", "demo", "--spool")
        pid = town.start()
        files = SpoolFiles(town.folder)
        ms, command = time.time_ns() // 1_000_000, os.urandom(16)
        answer = files.path / ANSWERS / answer_name(command, awaited=True)
        (answer / "in the way").mkdir(parents=True)  # the write is committed, and can't be answered
        create = Create(actor="ada", project="demo", fields=IssueFields(title="Once"))
        files.put(ms, command, seal_command(files.token, command, ms, create, awaited=True))
        assert eventually(lambda: titles(town) == ["Once"])
        assert len(list((files.path / COMMANDS).iterdir())) == 1
        town.kill(pid)
        shutil.rmtree(answer)
        town.start()
        outcome = files.wait(command, LOOKS * LOOK_S)
        assert outcome is not None
        assert outcome.result["title"] == "Once"
        assert eventually(lambda: not list((files.path / COMMANDS).iterdir()))
        assert titles(town) == ["Once"]


def titles(town: Machine) -> list[str]:
    with town.client() as client:
        return [issue["title"] for issue in client.call(ListIssues(all=True, limit=0)).issues]
