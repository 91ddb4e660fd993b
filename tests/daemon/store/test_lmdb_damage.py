"""A store on a disk after damage, in copies, and after sudden ends."""

import contextlib
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from moot_protocol.errors import Code
from moot_testkit.machines.stores import TRY_TO_OPEN, fill, held, opened, python
from moot_testkit.refusals import refusal
from mootd.store.port import Table

EVENTS, META = Table.EVENTS, Table.META
BRANCH, OVERFLOW = 1, 4
"""Flags of LMDB's pages."""
KILLS = 60 if os.environ.get("MOOT_SCALE") == "ci" else 6


# -- Damage ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep", [1, 100, 4096, 8191, 8192, 3 * 4096, 20_000, 100_000])
def test_a_file_cut_short_is_reported_and_kills_nobody(tmp_path: Path, keep: int) -> None:
    store = opened(tmp_path)
    for number in range(10):
        fill(store, number * 30, 30)
    store.close()
    os.truncate(tmp_path / "data.mdb", keep)
    assert python(TRY_TO_OPEN, tmp_path) == Code.STORE_DAMAGED


def test_a_file_that_rightly_ends_early_opens(tmp_path: Path) -> None:
    found = 0
    for seed in range(12):
        choice = random.Random(seed)
        folder = tmp_path / str(seed)
        store = opened(folder)
        for _ in range(6):
            with store.write() as writer:
                for _ in range(40):
                    key = b"%d" % choice.randrange(30)
                    if choice.random() < 0.6:
                        writer.put(META, key, bytes(choice.choice([10, 1000, 9000])))
                    else:
                        writer.delete(META, key)
        with store.read() as reader:
            rows = list(reader.scan(META, b""))
        pages = store._environment.info()["last_pgno"] + 1
        # Not closed but left as by a crash, which closing would tidy up.
        (folder / "crashed").mkdir()
        (folder / "crashed" / "data.mdb").write_bytes((folder / "data.mdb").read_bytes())
        found += (folder / "data.mdb").stat().st_size < pages * 4096
        crashed = opened(folder / "crashed")
        with crashed.read() as reader:
            assert list(reader.scan(META, b"")) == rows
        crashed.close()
        store.close()
        assert (folder / "data.mdb").stat().st_size >= pages * 4096
        store = opened(folder, read_only=True)
        with store.read() as reader:
            assert list(reader.scan(META, b"")) == rows
        store.close()
    assert found


def test_whatever_is_read_after_a_bad_page_says_that_the_store_is_damaged_too(tmp_path: Path) -> None:
    store = opened(tmp_path)
    fill(store, 0, 500)
    store.close()
    data = bytearray((tmp_path / "data.mdb").read_bytes())
    page = next(at for at in range(3 * 4096, len(data), 4096) if data[at + 10] == BRANCH)
    data[page + 10] = OVERFLOW
    (tmp_path / "data.mdb").write_bytes(data)
    store = opened(tmp_path)
    with store.read() as reader:
        reads = (lambda: list(reader.scan(EVENTS, b"\0")), lambda: reader.get(EVENTS, b"\0"))
        found = [refusal(read) for read in (*reads, *reads)]
    assert {(each.code, "restore a backup" in each.hint) for each in found} == {(Code.STORE_DAMAGED, True)}
    assert "MDB_BAD_TXN" not in found[-1].message
    store.close()


def test_a_file_cut_short_is_not_opened_read_only(tmp_path: Path) -> None:
    store = opened(tmp_path)
    fill(store, 0, 100)
    store.close()
    os.truncate(tmp_path / "data.mdb", 20_000)
    assert refusal(lambda: opened(tmp_path, read_only=True)).code == Code.STORE_DAMAGED
    assert (tmp_path / "data.mdb").stat().st_size == 20_000


@pytest.mark.parametrize("content", [b"not a database", b"\xff" * 8192, bytes(65536)], ids=["text", "ones", "zeros"])
def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.mdb").write_bytes(content)
    for read_only in (True, False):
        assert refusal(lambda: opened(tmp_path, read_only=read_only)).code == Code.STORE_DAMAGED  # noqa: B023
    assert (tmp_path / "data.mdb").read_bytes() == content


@pytest.mark.parametrize("version", [0, 1], ids=["LMDB 0.9", "LMDB 1.0"])
def test_a_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path, version: int) -> None:
    with lmdb.open(str(tmp_path), lib_version=version) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"theirs", b"data")
    content = (tmp_path / "data.mdb").read_bytes()
    for read_only in (True, False):
        assert refusal(lambda: opened(tmp_path, read_only=read_only)).code == Code.STORE_DAMAGED  # noqa: B023
    assert (tmp_path / "data.mdb").read_bytes() == content


def test_a_page_overwritten_with_rubbish_is_reported_when_it_is_read(tmp_path: Path) -> None:
    store = opened(tmp_path)
    fill(store, 0, 300)
    store.close()
    pages = bytearray((tmp_path / "data.mdb").read_bytes())
    for page in range(2, len(pages) // 4096):
        pages[page * 4096 : (page + 1) * 4096] = b"\xff" * 4096
    (tmp_path / "data.mdb").write_bytes(pages)
    assert python(TRY_TO_OPEN, tmp_path) == Code.STORE_DAMAGED


# -- Copies and sudden ends --------------------------------------------------------------------------------------


def test_a_copy_holds_what_was_committed_and_is_a_compact_store_of_its_own(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    fill(store, 0, 2000)
    with store.write() as writer:
        for number in range(100, 2000):
            writer.delete(EVENTS, number.to_bytes(8))
    with store.write() as writer:
        writer.put(META, b"not committed", b"")
        store.copy(tmp_path / "copy")
    fill(store, 100, 1)
    copy = opened(tmp_path / "copy")
    assert held(copy) == 100
    assert copy.size() < store.size() / 4
    with copy.read() as reader:
        assert reader.count(META) == 0
    fill(copy, 100, 50)
    assert (held(copy), held(store)) == (150, 101)
    assert (tmp_path / "copy" / "data.mdb").stat().st_mode & 0o777 == 0o600
    copy.close()
    store.close()


def test_a_copy_is_not_laid_over_anything(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    (tmp_path / "file").write_text("mine")
    assert refusal(lambda: store.copy(tmp_path)).code == Code.EXISTS
    assert refusal(lambda: store.copy(tmp_path / "store")).code == Code.EXISTS
    assert (tmp_path / "file").read_text() == "mine"
    store.close()


def test_ascending_events_fill_their_pages(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for batch in range(50):
        fill(store, batch * 100, 100, size=300)
    with store.read() as reader:
        pages = reader._transaction.stat(reader._handles[EVENTS])["leaf_pages"]
    assert pages * 4096 < 5000 * 320 * 1.15
    store.close()


WRITE_UNTIL_KILLED = """
import os, sys
from pathlib import Path
from mootd.store.lmdb_store import LmdbStore
from mootd.store.port import Table
store = LmdbStore.open(Path(sys.argv[1]))
with store.read() as reader:
    number = int(reader.get(Table.META, b"head") or b"-1")
while True:
    number += 1
    with store.write() as writer:
        with writer.nested():
            keys = [(number * 3 + part).to_bytes(8) for part in range(3)]
            writer.put_many(Table.EVENTS, [(key, b"%d" % number * 700) for key in keys])
        writer.put(Table.META, b"head", b"%d" % number)
        if number:
            writer.delete(Table.INDEX_0, b"%d" % (number - 1))
        writer.put(Table.INDEX_0, b"%d" % number, b"")
    os.write(1, b"%d\\n" % number)
"""


def write_and_kill(folder: Path, choice: random.Random) -> int:
    """Let a process write and kill it at some instant; the last number it acknowledged, or -1."""
    acknowledged = -1
    with subprocess.Popen([sys.executable, "-c", WRITE_UNTIL_KILLED, str(folder)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(choice.randrange(1, 40)):
            acknowledged = int(process.stdout.readline())
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=choice.uniform(0, 0.004))
        process.kill()
        for line in process.stdout:
            if line.endswith(b"\n"):
                acknowledged = int(line)
    assert process.returncode == -signal.SIGKILL
    return acknowledged


def test_a_writer_killed_at_any_instant_loses_nothing_acknowledged_and_leaves_nothing_half(tmp_path: Path) -> None:
    choice = random.Random(1)
    for _ in range(KILLS):
        acknowledged = write_and_kill(tmp_path, choice)
        store = opened(tmp_path)
        with store.read() as reader:
            head = int(reader.get(META, b"head") or b"-1")
            assert acknowledged <= head <= acknowledged + 1
            expected = [
                ((head_of * 3 + part).to_bytes(8), b"%d" % head_of * 700)
                for head_of in range(head + 1)
                for part in range(3)
            ]
            assert list(reader.scan(EVENTS, b"")) == expected
            assert list(reader.scan(Table.INDEX_0, b"")) == [(b"%d" % head, b"")]
        store.close()
