"""Housekeeping that nothing has to be done for: every call ends well, changes nothing and says what is true."""

from typing import Any

import pytest

from moot_testkit.clients.console import run_console
from moot_testkit.clients.terminal import FACTS

BD = FACTS._replace(program="bd")
ANSWERS: dict[str, Any] = {
    "ping": {"pid": 7, "uptime_ms": 1, "version": "0.1.0", "protocol": 1, "data": "/data"},
    "stats": {"closed": 3},
    "status": {"planes": [{"name": "ledger", "plane": "ab", "digest": "d1"}, {"plane": "cd", "digest": "d2"}]},
    "workspace_info": {"project": "bd", "folder": "/w", "plane": "cd"},
}


@pytest.mark.parametrize(
    ("argv", "part"),
    [
        ("gc", {"dry_run": False, "elapsed_ms": 0}),
        ("gc --dry-run --older-than 30 --skip-decay -f", {"dry_run": True}),
        ("flatten --force", {"flattened": False}),
        ("compact", {"compacted": 0, "total_closed": 3}),
        ("compact --days 30 --dry-run", {"candidates": 0}),
        ("compact --stats", {"total_closed": 3, "tier1_candidates": 0}),
        ("admin compact --analyze --tier 1", {"compacted": 0}),
        ("recompute-blocked", {"recomputed": 0}),
        ("dolt start", {"running": False, "needed": False, "daemon_pid": 7}),
        ("dolt stop", {"daemon_running": True}),
        ("dolt show", {"embedded": True, "mode": "embedded", "database": "bd", "data_dir": "/data"}),
        ("dolt clean-databases", {"cleaned": 0}),
        ("vc status", {"branch": "main", "commit": "d2", "uncommitted": False}),
        ("bootstrap --yes", {"project": "bd", "action": "none"}),
        ("upgrade ack", {"upgraded": False, "current_version": "1.0.5"}),
        ("metrics off", {"enabled": False}),
    ],
)
def test_it_ends_well_and_only_reads(argv: str, part: dict[str, Any]) -> None:
    ran = run_console(f"{argv} --json", ANSWERS, facts=BD)
    assert ran.code == 0
    assert part.items() <= ran.document.items()
    assert not any(type(request).writes for request in ran.asked)


def test_a_line_says_what_is_true() -> None:
    assert run_console("gc", ANSWERS, facts=BD).out.startswith("Nothing to collect: the log is kept whole")
    assert run_console("compact", ANSWERS).out == (
        "Nothing to compact: texts stay as they were written; 3 closed issues; none is to be compacted\n"
    )
    assert "Moot's daemon runs as process 7" in run_console("dolt status", ANSWERS, facts=BD).out


def test_a_folder_without_a_project_has_to_join_one() -> None:
    ran = run_console("bootstrap", ANSWERS | {"workspace_info": None}, facts=BD, project="")
    assert (ran.code, "no beads database found" in ran.err) == (1, True)
