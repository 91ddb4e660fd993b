"""The spool in a copy of a project's folder: it is told wherever somebody looks, since nobody takes from it."""

from typing import Any

import pytest

from moot_protocol.errors import Code, RefusedError
from moot_testkit.clients.console import Outcome, run_console

HERE = "/home/alice/work"
FILES = {f"{HERE}/.moot/workspace": b"w1\n", f"{HERE}/.moot/spool/token": b"t"}
SPOOL: dict[str, Any] = {
    "project": "bd", "workspace": "w1", "folder": "/home/alice/first", "waiting": 0, "bytes": 0, "oldest_ms": None,
    "refused": 0, "snapshot_ms": None, "problem": "", "hint": "",
}  # fmt: skip
WORDS = (
    f"nobody takes commands from {HERE}/.moot/spool: the workspace's spool belongs to /home/alice/first, of which this "
    "is a copy"
)


def run(command: str, *spools: dict[str, Any], files: dict[str, bytes] = FILES, **answers: Any) -> Outcome:
    ping = {"data": "/d", "pid": 1, "version": "1", "protocol": 1}
    return run_console(command, {"status": {"spools": list(spools)}, "ping": ping, "doctor": []} | answers, files=files)


@pytest.mark.parametrize("command", ["where", "where --json", "spool status"])
def test_in_a_copy_it_is_told_where_the_spool_belongs(command: str) -> None:
    ran = run(command, SPOOL)
    assert (ran.code, ran.err.splitlines()[0]) == (0, WORDS)
    assert ran.err.splitlines()[1].startswith("  work in /home/alice/first; or make this a workspace of its own")


def test_in_a_copy_doctor_fails() -> None:
    ran = run("doctor --json", SPOOL)
    assert ran.code == 1
    assert ran.document["checks"][-1] | {"fix": ""} == {
        "name": "the spool here is the workspace's", "status": "error", "message": WORDS, "fix": "",
    }  # fmt: skip


@pytest.mark.parametrize("command", ["where", "spool status", "doctor"])
@pytest.mark.parametrize(
    ("spools", "files"),
    [
        ([SPOOL | {"folder": HERE}], FILES),
        ([SPOOL | {"workspace": "w2"}], FILES),
        ([], FILES),
        ([SPOOL], {f"{HERE}/.moot/workspace": b"w1\n"}),
        ([SPOOL], {}),
    ],
    ids=["its own", "another workspace's", "closed", "none here", "no workspace"],
)
def test_elsewhere_there_is_nothing_to_tell(
    command: str, spools: list[dict[str, Any]], files: dict[str, bytes]
) -> None:
    ran = run(command, *spools, files=files)
    assert (ran.code, "nobody takes" in ran.err + ran.out) == (0, False)


def test_who_may_not_ask_is_told_nothing() -> None:
    ran = run("where", status=RefusedError("no", code=Code.DENIED))
    assert (ran.code, ran.err) == (0, "")
