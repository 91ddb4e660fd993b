"""How a daemon ended that a fault has ended: told from its own log, and nobody else's fault for it."""

from pathlib import Path

import pytest

from moot import fault
from moot.fault import fault_in, fault_of

DUMP = """Fatal Python error: Bus\x1b error

Current thread 0x00007f3c (most recent call first):
  File "/home/ada/moot-venv/lib/python3.11/site-packages/mootd/store/lmdb_store.py", line 86 in get

Extension modules: lmdb.cpython (total: 1)
"""
ELSEWHERE = 'Fatal Python error: Aborted\n\n  File "/lib/other.py", line 1 in other\n'


def began(pid: int) -> str:
    return f'{{"time":"t","level":"info","event":"daemon.starting","pid":{pid}}}\n'


def test_a_fault_is_told_with_where_it_was_and_what_to_do() -> None:
    words, advice = fault_in(DUMP)
    assert words == "Bus error in its store"
    assert "`moot fsck`" in advice
    assert fault_in(ELSEWHERE) == ("Aborted", "`moot daemon logs` shows where it ended")
    assert fault_in(f"{DUMP}{ELSEWHERE}")[0] == "Aborted"
    assert fault_in("all is well\n") == ("", "")


def test_a_daemon_s_fault_is_what_its_log_tells_since_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fault, "state_folder", lambda: str(tmp_path))
    assert fault_of(7) == ("", "")
    log = tmp_path / "daemon.log"
    log.write_text(f"{began(6)}{DUMP}{began(7)}and then nothing\n")
    assert fault_of(6)[0] == "Bus error in its store"
    assert fault_of(7) == ("", "")
    assert fault_of(8) == ("", "")
    log.write_text(f"{began(7)}{DUMP}{'later, and long ' * fault.TAIL_BYTES}")
    assert fault_of(7) == ("", "")
