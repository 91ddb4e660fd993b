"""A mirror of a large file: how soon a changed line is an event, with the real daemon and the real file system."""

import json
import os
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

from measure import Row, micro
from served import Daemon, running
from world import PROJECT, issue_lines

from moot.rpc import Client
from moot_protocol.requests.machine import Events

ISSUES = 10_000
RUNS = 12
PATIENCE_MS = 30_000


def bench_mirror() -> list[Row]:
    """One line of 10,000 is changed, again and again: from the write's end until the event is in the log."""
    with running() as daemon, daemon.client() as client:
        file = _adopted(daemon)
        took, counts = [], []
        for run in range(RUNS):
            since = int(client.call(Events(since=None))["next"])
            _change(file, run)
            began = time.perf_counter()
            counts.append(_events(client, since))
            took.append(time.perf_counter() - began)
        _check_single(counts)
        shown = f"the first {micro(took[0])}"
        what = f"one line of {ISSUES:,} in a mirror becomes an event"
        return [
            Row(what, micro(statistics.median(took)), shown, statistics.median(took), 1, "s"),
            Row("  the slowest", micro(max(took)), f"of {RUNS}", max(took), 1, "s"),
        ]


def _adopted(daemon: Daemon) -> Path:
    """A project's file that has become a mirror, and is at rest."""
    folder = daemon.home / "project"
    file = folder / ".beads" / "issues.jsonl"
    file.parent.mkdir()
    file.write_bytes(b"".join(line + b"\n" for line in issue_lines(ISSUES)))
    for words in (("init", "--prefix", PROJECT, "--mirror"), ("mirror", "sync")):
        subprocess.run(
            [daemon.bin / "moot", *words], env=daemon.environment, cwd=folder, check=True, capture_output=True
        )
    return file


def _change(file: Path, run: int) -> None:
    """Change the title of one issue, as an editor does: a new file takes the old one's place."""
    lines = file.read_bytes().splitlines(keepends=True)
    at = (run * 797) % len(lines)
    issue: dict[str, Any] = json.loads(lines[at])
    issue["title"] = f"Changed {run}"
    lines[at] = json.dumps(issue, separators=(",", ":")).encode() + b"\n"
    new = file.with_suffix(".new")
    new.write_bytes(b"".join(lines))
    os.replace(new, file)  # noqa: PTH105 - as short as it can be


def _events(client: Client, since: int) -> int:
    """Wait for news and give how many events they are."""
    page = client.call(Events(since=since, kind="issue", wait_ms=PATIENCE_MS), deadline_ms=2 * PATIENCE_MS)
    return len(page["events"])


def _check_single(counts: list[int]) -> None:
    if any(count != 1 for count in counts):
        raise SystemExit(f"a changed line was not one event: {counts}")
