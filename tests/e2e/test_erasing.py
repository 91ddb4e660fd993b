"""Erasing with real daemons and a Git remote: what was written is gone from both machines' stores, and stays gone."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from moot_testkit.machines.machine import PROJECT, Machine, machine, town_of_two
from mootd.store.lmdb_store import LmdbStore
from mootd.store.port import Table

HEARD = "kumquat marmalade"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", "--bare", tmp_path / "remote.git"], check=True)
    return tmp_path / "remote.git"


def sync(*machines: Machine) -> None:
    for each in machines:
        each.ok("sync", "--wait")


def stored(on: Machine) -> Iterator[bytes]:
    """Every value in a machine's store, whose daemon has been stopped."""
    (data,) = on.data.rglob("data.mdb")
    store = LmdbStore.open(data.parent, read_only=True)
    try:
        with store.read() as reader:
            for table in Table:
                yield from (value for _, value in reader.scan(table, b"\0"))
    finally:
        store.close()


def is_heard(on: Machine) -> bool:
    """Whether what was erased is in any file of a machine's data folder, as far as that can be reached."""
    on.ok("daemon", "stop")
    files = [path for path in on.data.rglob("*") if path.is_file() and path.suffix != ".mdb"]
    return any(HEARD.encode() in value for value in (*(path.read_bytes() for path in files), *stored(on)))


def make(on: Machine) -> str:
    """An issue that says it in several fields and versions."""
    issue = str(on.json("create", HEARD, "-d", HEARD, "-l", "ui", "-p", "1")["id"])
    on.ok("update", issue, "--notes", f"{HEARD} one")
    on.ok("update", issue, "--notes", f"{HEARD} two")
    on.ok("comment", issue, HEARD, "--request-id", "once")
    return issue


def begin_mirror(on: Machine) -> Path:
    """A project whose file follows it; the file."""
    file = on.folder / ".beads" / "issues.jsonl"
    file.parent.mkdir()
    file.touch()
    on.ok("init", "--prefix", PROJECT, "--mirror")
    return file


def shown(on: Machine, issue: str) -> Any:
    return on.json("show", issue)[0]


def test_what_is_erased_on_one_machine_is_gone_from_both(repository: Path) -> None:
    with town_of_two("git", f"file://{repository}") as (one, two):
        issue = make(one)
        one.ok("remember", HEARD, "--key", "fruit")
        sync(one, two)
        assert (shown(two, issue)["notes"], two.ok("recall", "fruit").strip()) == (f"{HEARD} two", HEARD)

        assert "Would erase" in two.ok("erase", issue)
        assert shown(two, issue)["title"] == HEARD
        two.ok("erase", issue, "--all", "--force")
        two.ok("forget", "fruit", "--erase")
        sync(two, one, two)

        for each in (one, two):
            assert (shown(each, issue)["title"], shown(each, issue)["priority"]) == ("(erased)", 1)
            assert HEARD not in each.ok("history", issue, "--json")
            assert "comments: (erased by ada, " in each.ok("history", issue)
            each.ok("fsck")
            each.ok("rebuild")
            each.ok("fsck")
        assert not is_heard(one)
        assert not is_heard(two)
        sync(one, two)
        assert shown(one, issue) == shown(two, issue)


def test_an_erasure_that_was_acknowledged_outlives_a_kill() -> None:
    with machine() as alone:
        alone.ok("init", "--prefix", PROJECT)
        issue = make(alone)
        assert is_heard(alone), "what is looked for would be seen"
        pid = alone.start()
        erased = alone.json("erase", issue, "--all", "--force")
        alone.kill(pid)
        assert erased["events"] == 5
        assert shown(alone, issue)["title"] == "(erased)"
        alone.ok("fsck")
        assert not is_heard(alone)


def test_a_mirrored_file_and_an_export_do_not_bring_it_back(tmp_path: Path) -> None:
    with machine() as alone:
        file = begin_mirror(alone)
        issue = make(alone)
        alone.ok("mirror", "sync")
        yesterday = file.read_bytes()
        assert HEARD.encode() in yesterday
        alone.ok("export", "-o", str(tmp_path / "export.jsonl"))

        alone.ok("erase", issue, "--all", "--force")
        alone.ok("mirror", "sync")
        assert HEARD.encode() not in file.read_bytes()
        assert alone.json("import", str(tmp_path / "export.jsonl"))["skipped"] == 1

        edited = json.loads(yesterday.splitlines()[0]) | {"notes": f"{HEARD} three"}
        for older in (yesterday, json.dumps(edited).encode() + b"\n"):
            file.write_bytes(older)
            alone.ok("mirror", "sync")
            document = shown(alone, issue)
            assert (document["title"], "notes" in document, "comments" in document) == ("(erased)", False, False)
        alone.ok("fsck")


def test_a_mirror_s_earlier_states_go_with_it() -> None:
    with machine() as alone:
        begin_mirror(alone)
        issue = make(alone)
        alone.ok("mirror", "sync")
        alone.ok("erase", issue, "--all", "--force")
        alone.ok("mirror", "sync")
        assert not is_heard(alone)


def test_a_sandbox_s_snapshot_and_what_is_told_first_hold_nothing_of_it() -> None:
    with machine() as alone:
        alone.ok("init", "--prefix", PROJECT, "--spool")
        issue = make(alone)
        alone.ok("remember", HEARD, "--key", "fruit")
        await_title(alone, issue, HEARD)
        assert HEARD in alone.ok("prime")

        alone.ok("erase", issue, "--all", "--force")
        alone.ok("forget", "fruit", "--erase")
        await_title(alone, issue, "(erased)")
        assert HEARD not in json.dumps(shown_in_sandbox(alone, issue))
        for said in ("prime", "list", "search kumquat", "count --by-label"):
            assert HEARD not in alone.ok(*said.split())


def await_title(on: Machine, issue: str, title: str) -> None:
    """Wait until the snapshot, which is written a moment after a change, tells of an issue by this title."""
    deadline = time.monotonic() + 60
    while shown_in_sandbox(on, issue).get("title") != title:
        assert time.monotonic() < deadline, f"the snapshot still tells of no {title}"
        time.sleep(0.1)


def shown_in_sandbox(on: Machine, issue: str) -> Any:
    """An issue as the snapshot tells it, without a word from the daemon; empty while that knows nothing of it."""
    on.environment["MOOT_SPOOL"] = "1"
    try:
        told = on.run("show", issue, "--json")
    finally:
        del on.environment["MOOT_SPOOL"]
    return json.loads(told.stdout)[0] if told.returncode == 0 else {}
