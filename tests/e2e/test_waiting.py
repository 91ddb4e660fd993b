"""Commands that wait, however many, keep nobody out: not other commands, and not what ends them or the daemon."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from moot_protocol.limits import RPC_CONSOLES
from moot_testkit.machines.machine import BIN, Machine

BUSY = 75
TOO_MANY = RPC_CONSOLES // 4
PATIENCE = 30


@contextmanager
def waiting(town: Machine, *command: str) -> Iterator[Sequence["subprocess.Popen[str]"]]:
    """As many processes of a command that waits as there are places, each reading from a pipe that stays open."""
    processes = [
        subprocess.Popen(
            [BIN / "moot", *command], cwd=town.folder, env=town.environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )
        for _ in range(RPC_CONSOLES)
    ]  # fmt: skip
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def ended(processes: Sequence["subprocess.Popen[str]"]) -> list[int]:
    """The exit codes of those that have ended, once as many have as there is no room for to wait."""
    end = time.monotonic() + PATIENCE
    while sum(process.poll() is not None for process in processes) < TOO_MANY and time.monotonic() < end:
        time.sleep(0.05)
    return [process.returncode for process in processes if process.returncode is not None]


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until something holds that others bring about."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.05)


def connections(town: Machine) -> int:
    """How many clients are connected with the daemon."""
    ends = [line.split()[-1] for line in Path("/proc/net/unix").read_text().splitlines()]
    return ends.count(str(town.socket)) - 1  # the one that listens


def test_of_too_many_that_wait_for_an_issue_some_are_told_so_and_it_can_be_closed(town: Machine) -> None:
    issue = town.ok("q", "Waited for").strip()
    with waiting(town, "wait", issue, "--status", "closed", "--json") as processes:
        assert ended(processes) == [BUSY] * TOO_MANY
        assert town.json("list")
        town.ok("close", issue)
        told = [json.loads(process.communicate(timeout=PATIENCE)[0]) for process in processes]
    assert sum(each.get("status") == "closed" for each in told) == RPC_CONSOLES - TOO_MANY


def test_while_too_many_follow_the_log_the_daemon_is_told_to_start_anew(town: Machine) -> None:
    with waiting(town, "events", "--follow") as processes:
        assert ended(processes) == [BUSY] * TOO_MANY
        town.ok("daemon", "status")
        town.ok("daemon", "restart")
        assert town.json("list") == []


def test_while_too_many_wait_for_input_that_does_not_come_others_are_served(town: Machine) -> None:
    issue = town.ok("q", "Commented on").strip()
    with waiting(town, "comment", issue, "-"):
        wait_until(lambda: connections(town) >= RPC_CONSOLES)
        wait_until(lambda: town.run("close", issue).returncode == 0)  # refused until it is seen that they wait
        town.ok("daemon", "stop")
