"""The daemon is killed with -9 under load at random moments: what was acknowledged is there, whole, and replays."""

import os
import random
import signal
import subprocess
import threading

import pytest

from moot.rpc import Client
from moot_protocol.errors import MootError
from moot_protocol.requests.issues import Close, Create, IssueFields, ListIssues
from moot_protocol.requests.machine import Rebuild, Status
from moot_testkit.machines.machine import BIN, PROJECT, Machine, machine

KILLS = int(os.environ.get("MOOT_KILLS") or (100 if os.environ.get("MOOT_SCALE") == "ci" else 10))
WRITERS = 4
LABELS = ("one", "two", "three")


class Load:
    """Writers that create and close issues until the daemon dies under them."""

    def __init__(self, town: Machine, seed: int, kill_after: int) -> None:
        self._town = town
        self._seed = seed
        self._kill_after = kill_after
        self._reached = threading.Event()
        self.created: dict[str, str] = {}
        """Acknowledged issues, with their titles."""
        self.closed: set[str] = set()

    def run_until_killed(self, pid: int) -> None:
        threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]
        for thread in threads:
            thread.start()
        assert self._reached.wait(60)
        self._town.kill(pid)
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive()

    def _write(self, writer: int) -> None:
        dice = random.Random(f"{self._seed}/{writer}")
        try:
            with Client(self._town.socket) as client:
                for number in range(10_000):
                    self._one_write(client, dice, f"{self._seed}/{writer}/{number}")
        except MootError:
            return  # the daemon has died

    def _one_write(self, client: Client, dice: random.Random, title: str) -> None:
        if self.created and dice.random() < 0.3:
            issue = dice.choice(list(self.created))
            client.call(Close(actor="ada", id=issue))
            self.closed.add(issue)
        else:
            fields = IssueFields(title=title, description=title * 50)
            issue = client.call(Create(actor="ada", project=PROJECT, fields=fields, labels=LABELS))["id"]
            self.created[issue] = title
        if len(self.created) >= self._kill_after:
            self._reached.set()


def check_whole(town: Machine, created: dict[str, str], closed: set[str]) -> None:
    """Every acknowledged write is there, and no issue is half there."""
    with town.client() as client:
        issues = client.call(ListIssues(all=True, limit=0, texts=True)).issues
    by_id = {issue["id"]: issue for issue in issues}
    assert created.keys() <= by_id.keys()
    assert all(by_id[issue]["status"] == "closed" for issue in closed)
    for issue in issues:
        assert issue["description"] == issue["title"] * 50
        assert issue["labels"] == sorted(LABELS)
        assert ("closed_at" in issue) == (issue["status"] == "closed")


def check_replay(town: Machine) -> None:
    """Replaying the log reaches the digest that was served."""
    with town.client() as client:
        served = {plane["name"]: plane["digest"] for plane in client.call(Status())["planes"]}
        answer = client.call(Rebuild())
        while not answer["done"]:
            answer = client.call(Rebuild(cursor=answer["cursor"]))
    assert {plane["name"]: plane["before"] for plane in answer["planes"]} == served
    assert all(plane["before"] == plane["after"] for plane in answer["planes"])
    assert answer["mended"] == 0


@pytest.mark.timeout(60 + 15 * KILLS)
def test_no_acknowledged_write_is_lost_and_none_is_half_applied_when_the_daemon_is_killed() -> None:
    dice = random.Random(KILLS)
    created: dict[str, str] = {}
    closed: set[str] = set()
    with machine() as town:
        pid = town.start()
        town.found()
        for number in range(KILLS):
            load = Load(town, number, dice.randint(1, 60))
            load.run_until_killed(pid)
            created |= load.created
            closed |= load.closed
            pid = town.start()
            check_whole(town, created, closed)
            if number % 10 == 0 or number == KILLS - 1:
                check_replay(town)
        assert "✓" in town.ok("fsck")


def test_a_daemon_that_a_fault_ends_leaves_word_of_it_and_whoever_waited_is_told() -> None:
    with machine() as town:
        pid = town.start()
        town.found()
        waiting = subprocess.Popen(
            [BIN / "moot", "events", "--follow"],
            cwd=town.folder, env=town.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert waiting.stdout is not None
        assert waiting.stdout.readline()
        os.kill(pid, signal.SIGBUS)
        _, told = waiting.communicate(timeout=60)
        assert waiting.returncode == 69
        assert told.startswith("moot: the daemon has gone away: Bus error\n")
        assert "`moot daemon logs` shows where it ended" in told
        assert "Fatal Python error: Bus error" in town.log()
        assert town.ok("daemon", "start")
