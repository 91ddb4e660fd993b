"""What only a store on a disk can meet: other processes, full and read-only disks, damage, and sudden ends."""

import contextlib
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import lmdb
import pytest

from moot_protocol.errors import Code, MootError, RefusedError
from moot_testkit.machines.stores import TRY_TO_OPEN, fill, held, opened, python
from moot_testkit.refusals import refusal
from mootd.store import lmdb_store
from mootd.store.folder import take
from mootd.store.lmdb_store import FORMAT, LmdbStore
from mootd.store.port import Table

EVENTS, META = Table.EVENTS, Table.META


# -- Opening -----------------------------------------------------------------------------------------------------


def test_commits_are_synced_and_nothing_weakens_that(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    flags = store._environment.flags()
    expected = {"sync": True, "metasync": True, "map_async": False, "writemap": False, "lock": True, "meminit": True}
    assert {name: value for name, value in flags.items() if name in expected} == expected
    store.close()


def test_the_format_is_that_of_lmdb_0_9_whatever_the_environment_says(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
os.environ["LMDB_DEFAULT_LIB_VERSION"] = "1"
from mootd.store.lmdb_store import LmdbStore
print(LmdbStore.open(Path(sys.argv[1]))._environment.lib_version())
"""
    assert python(code, tmp_path).startswith("(0, 9,")


def test_folder_and_files_are_for_this_user_only(tmp_path: Path) -> None:
    folder = tmp_path / "above" / "store"
    opened(folder).close()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    folder.chmod(0o755)
    opened(folder).close()
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_may_have_a_name_that_is_no_utf_8(tmp_path: Path) -> None:
    opened(tmp_path / os.fsdecode(b"caf\xe9") / "store").close()


def test_what_was_committed_is_there_after_reopening(tmp_path: Path) -> None:
    store = opened(tmp_path)
    fill(store, 0, 100)
    assert store.size() >= 100 * 1000
    store.close()
    store = opened(tmp_path)
    assert held(store) == 100
    store.close()


def test_less_is_mapped_where_address_space_is_limited(tmp_path: Path) -> None:
    code = (
        """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
"""
        + TRY_TO_OPEN
    )
    assert python(code, tmp_path) == "opened"


def test_no_address_space_at_all_is_an_error_in_words(tmp_path: Path) -> None:
    code = (
        """
import resource, sys
from mootd.store.lmdb_store import LmdbStore
from mootd.store import port
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (16 << 20), used + (16 << 20)))
"""
        + TRY_TO_OPEN
    )
    assert python(code, tmp_path) == Code.BUSY


def test_reads_that_somebody_still_refers_to_take_no_reader_s_place_for_ever(tmp_path: Path) -> None:
    store = opened(tmp_path / "store")
    places = store._environment.info()["max_readers"]
    kept = []
    for _ in range(places + 10):
        with store.read() as reader:
            reader.get(META, b"key")
        kept.append(reader)
    assert len(kept) > places
    store.close()


def test_a_second_opening_in_the_same_process_is_refused(tmp_path: Path) -> None:
    store = opened(tmp_path)
    for read_only in (False, True):
        error = refusal(lambda: opened(tmp_path, read_only=read_only))  # noqa: B023
        assert error.code == Code.STORE_LOCKED
        assert str(tmp_path) in error.message
        assert str(os.getpid()) in error.message
    fill(store, 0, 1)
    store.close()
    opened(tmp_path).close()


@pytest.mark.parametrize("error", [lmdb.Error("broken"), RefusedError("newer")])
def test_a_store_that_could_not_be_opened_is_free_at_once_though_a_program_that_is_being_started_has_its_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    copies: list[int] = []

    def copied(folder: Path, *, read_only: bool) -> int:
        held = take(folder, read_only=read_only)
        copies.append(os.dup(held))
        return held

    def fail(*_: object, **__: object) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(lmdb_store, "take", copied)
        patched.setattr(lmdb_store, "_open_environment", fail)
        refusal(lambda: opened(tmp_path))
    opened(tmp_path).close()
    os.close(copies[0])


def test_a_second_process_is_refused_and_disturbs_nothing(tmp_path: Path) -> None:
    store = opened(tmp_path)
    assert python(TRY_TO_OPEN, tmp_path) == Code.STORE_LOCKED
    fill(store, 0, 1)
    store.close()
    assert python(TRY_TO_OPEN, tmp_path) == "opened"


def test_a_store_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    opened(tmp_path).close()
    with lmdb.open(str(tmp_path), max_dbs=16) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"moot/format", (FORMAT + 1).to_bytes(2))
    error = refusal(lambda: opened(tmp_path))
    assert error.code == Code.BAD_VERSION
    assert str(FORMAT + 1) in error.message


def test_reading_only_needs_a_store(tmp_path: Path) -> None:
    assert refusal(lambda: opened(tmp_path / "none", read_only=True)).code == Code.NOT_FOUND
    assert refusal(lambda: opened(tmp_path, read_only=True)).code == Code.NOT_FOUND
    assert not (tmp_path / "data.mdb").exists()


def test_a_file_in_the_folder_s_place_is_an_error_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MootError):
        opened(tmp_path / "file")


# -- Read-only ---------------------------------------------------------------------------------------------------


def test_a_store_opened_read_only_reads_and_refuses_writes(tmp_path: Path) -> None:
    store = opened(tmp_path)
    fill(store, 0, 10)
    store.close()
    store = opened(tmp_path, read_only=True)
    assert held(store) == 10
    assert refusal(lambda: fill(store, 10, 1)).code == Code.STORE_READ_ONLY
    assert held(store) == 10
    store.close()


@contextlib.contextmanager
def mounted(folder: Path, size: int) -> Iterator[Path]:
    """A small file system in memory; only some users may mount one."""
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"NOT TESTED, since nothing may be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def remount(folder: Path, options: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)


@contextlib.contextmanager
def forbidding(folder: Path) -> Iterator[Callable[[], None]]:
    """A folder, and what forbids writing below it: its modes, or where those don't bind, as for root, its mount."""

    def lock_up() -> None:
        for path in [*folder.rglob("*"), folder]:
            path.chmod(path.stat().st_mode & 0o500)

    folder.mkdir()
    folder.chmod(0o500)
    modes_bind = not os.access(folder, os.W_OK)
    folder.chmod(0o700)
    if not modes_bind:
        with mounted(folder, 8 << 20):
            yield lambda: remount(folder, "ro")
        return
    try:
        yield lock_up
    finally:
        for path in [folder, *folder.iterdir()]:
            path.chmod(0o700)


@pytest.mark.parametrize("lock_files", [True, False], ids=["with lock files", "without lock files"])
def test_where_writing_is_forbidden_a_store_is_read_and_writers_are_refused(tmp_path: Path, lock_files: bool) -> None:
    above = tmp_path / "above"
    with forbidding(above) as forbid:
        store = opened(above / "store")
        fill(store, 0, 10)
        store.close()
        if not lock_files:
            (above / "store" / "owner").unlink()
            (above / "store" / "lock.mdb").unlink()
        forbid()
        error = refusal(lambda: opened(above / "store"))
        assert error.code == Code.STORE_READ_ONLY
        assert "above/store" in error.message
        assert refusal(lambda: opened(above / "new")).code == Code.STORE_READ_ONLY
        store = opened(above / "store", read_only=True)
        assert held(store) == 10
        assert refusal(lambda: fill(store, 10, 1)).code == Code.STORE_READ_ONLY
        assert refusal(lambda: opened(above / "store", read_only=True)).code == Code.STORE_LOCKED
        store.close()


# -- Full --------------------------------------------------------------------------------------------------------


def check_full_and_well(store: LmdbStore, before: int) -> None:
    """Fill a store that has room for less than 3 MB until it refuses; what it held must be there, and writable."""

    def write_too_much() -> None:
        with store.write() as writer:
            writer.put(META, b"small", b"")
            for number in range(3000):
                writer.put(META, b"%d" % number, bytes(1000))

    error = refusal(write_too_much)
    assert error.code == Code.STORE_FULL
    assert error.retryable
    assert held(store) == before
    with store.read() as reader:
        assert reader.count(META) == 0


def test_a_full_map_keeps_what_was_committed_and_takes_more_when_larger(tmp_path: Path) -> None:
    store = opened(tmp_path, map_bytes=1 << 20)
    fill(store, 0, 100)
    check_full_and_well(store, 100)
    fill(store, 100, 1)
    store.close()
    store = opened(tmp_path, map_bytes=64 << 20)
    fill(store, 101, 5000)
    assert held(store) == 5101
    store.close()


TOO_MUCH = [(b"%d" % number, bytes(1000)) for number in range(3000)]


def test_a_transaction_that_met_a_full_map_stays_refused_to_its_end(tmp_path: Path) -> None:
    store = opened(tmp_path, map_bytes=1 << 20)

    def go_on_regardless() -> None:
        with store.write() as writer:
            acts: list[Callable[[], object]] = [
                lambda: writer.put_many(EVENTS, TOO_MUCH),
                lambda: writer.put(META, b"k", b""),
                lambda: writer.delete(META, b"k"),
                lambda: writer.get(META, b"k"),
                lambda: list(writer.scan(META, b"", reverse=True)),
                lambda: writer.count(META),
                lambda: store.clear(writer, META),
                lambda: writer.nested().__enter__(),
            ]
            assert [refusal(act).code for act in acts] == [Code.STORE_FULL] * len(acts)

    assert refusal(go_on_regardless).code == Code.STORE_FULL
    fill(store, 0, 1)
    assert held(store) == 1
    store.close()


@pytest.mark.parametrize("swallowed", [True, False])
def test_a_map_full_inside_nested_transactions_ends_them_all(tmp_path: Path, swallowed: bool) -> None:
    store = opened(tmp_path, map_bytes=1 << 20)

    def caught() -> contextlib.AbstractContextManager[None]:
        return contextlib.suppress(RefusedError) if swallowed else contextlib.nullcontext()

    def go_on_regardless() -> None:
        with store.write() as writer:
            writer.put(META, b"outer", b"")
            with caught(), writer.nested():
                with caught(), writer.nested():
                    writer.put_many(EVENTS, TOO_MUCH)
                assert refusal(lambda: writer.put(META, b"inner", b"")).code == Code.STORE_FULL
            assert refusal(lambda: writer.put(META, b"after", b"")).code == Code.STORE_FULL

    assert refusal(go_on_regardless).code == Code.STORE_FULL
    with store.read() as reader:
        assert reader.count(META) == 0
    fill(store, 0, 1)
    store.close()


def test_a_full_disk_keeps_what_was_committed_and_takes_more_when_there_is_space(tmp_path: Path) -> None:
    with mounted(tmp_path / "mount", 2 << 20) as mount:
        store = opened(mount / "store")
        fill(store, 0, 100)
        check_full_and_well(store, 100)
        target = mount / "copy"
        assert refusal(lambda: store.copy(target)).code == Code.STORE_FULL
        assert list(target.iterdir()) == []
        remount(mount, f"size={64 << 20}")
        fill(store, 100, 5000)
        assert held(store) == 5100
        store.close()


@pytest.mark.parametrize("free_pages", [0, 1, 5, 16, 18, 19])
def test_a_store_on_a_full_disk_opens_and_a_new_one_is_refused(tmp_path: Path, free_pages: int) -> None:
    with mounted(tmp_path / "mount", 1 << 20) as mount:
        store = opened(mount / "store")
        fill(store, 0, 10)
        store.close()
        filler = mount / "filler"
        with contextlib.suppress(OSError):
            filler.write_bytes(bytes(1 << 20))
        os.truncate(filler, filler.stat().st_size - free_pages * 4096)
        assert python(TRY_TO_OPEN, mount / "store") == "opened"
        assert python(TRY_TO_OPEN, mount / "new") == Code.STORE_FULL


def test_a_limit_on_file_size_is_a_full_disk(tmp_path: Path) -> None:
    store = opened(tmp_path)
    fill(store, 0, 100)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "data.mdb").stat().st_size + (1 << 20) + 77, hard))
    try:
        for _ in range(3):
            check_full_and_well(store, 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    fill(store, 100, 5000)
    assert held(store) == 5100
    store.close()
