"""A backup is made while the daemon serves, is verified before it counts, and never forks its original."""

import resource
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from moot_protocol.access.table import PERMISSIONS
from moot_protocol.crypto import SeedSigner
from moot_protocol.errors import Code, MootError
from moot_protocol.requests.issues import Create, InitProject, IssueFields
from moot_protocol.requests.machine import Backup, CheckBackup
from moot_testkit.refusals import refusal
from moot_testkit.towns.town import PROJECT, START_MS, make_api
from mootd.edges import backup_folder
from mootd.edges.clock import ManualClock
from mootd.edges.entropy import SeededEntropy
from mootd.edges.keys import FileKeyStore
from mootd.edges.paths import Places
from mootd.engine.machine.home import is_of_backup
from mootd.engine.membership.charter_writing import found_town
from mootd.engine.recovery.salvaging import salvage
from mootd.engine.replica import Replica
from mootd.engine.state import REPLICA_KEY
from mootd.engine.stored import layout
from mootd.service.machine.backups import PATIENCE_MS, Backups
from mootd.service.machine.own_machine import Machine
from mootd.service.writing.writes import carry_out
from mootd.store.lmdb_store import LmdbStore
from mootd.store.port import Table

ISSUES = 30
ALL = ["config/access.toml", "config/config.toml", "keys/replica.key", "keys/town.key", "log/data.mdb"]


class Kept:
    """A machine with all that it keeps on a disk, and room for backups beside."""

    def __init__(self, folder: Path, executor: ThreadPoolExecutor) -> None:
        self.room = folder / "room"
        self.room.mkdir()
        data, config = folder / "data", folder / "config"
        config.mkdir(mode=0o700)
        (config / "config.toml").write_text('[log]\nlevel = "info"\n')
        (config / "access.toml").write_text('[users.alice]\nrole = "admin"\n')
        data.mkdir(mode=0o700)
        self.places = Places(data, config / "config.toml", folder / "state", folder / "run")
        self.clock = ManualClock(START_MS)
        self.entropy = SeededEntropy(b"backups")
        self.store = LmdbStore.open(data / "log")
        keys = FileKeyStore(self.places.keys, self.entropy)
        keys.create(REPLICA_KEY)
        self.replica = Replica(self.store, keys, self.clock, self.entropy)
        machine = Machine(self.places, self.clock, self.entropy, lambda: None)
        self.backups = Backups(self.replica, machine, executor)

    def found(self) -> None:
        with self.replica.transaction() as unit:
            found_town(unit, SeedSigner(bytes(32)).public)
        with self.replica.transaction() as unit:
            carry_out(unit, InitProject(actor="ada", prefix=PROJECT))
        for number in range(ISSUES):
            self.create(str(number))

    def create(self, title: str) -> None:
        with self.replica.transaction() as unit:
            carry_out(unit, Create(actor="ada", project=PROJECT, fields=IssueFields(title=title)))

    def ended(self, request: Backup | CheckBackup) -> dict[str, Any]:
        """A request to its end: the last answer."""
        answer = self.backups.answer(request)
        while not answer["done"]:
            again = type(request)(folder=request.folder, cursor=answer["cursor"])
            answer = self.backups.answer(again)
        return answer

    def made(self, name: str = "copy") -> Path:
        self.ended(Backup(folder=str(self.room / name)))
        return self.room / name

    def checked(self, folder: Path) -> list[tuple[str, str]]:
        problems = self.ended(CheckBackup(folder=str(folder)))["problems"]
        return [(problem["where"], problem["problem"]) for problem in problems]

    def digests(self) -> list[str]:
        with self.replica.read() as reader:
            generation = self.replica.views_of(reader).generation
            keys = [layout.digest_key(generation, number) for number in sorted(self.replica.planes)]
            return [(reader.get(Table.META, key) or bytes(32)).hex() for key in keys]


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Kept]:
    with ThreadPoolExecutor(1) as executor:
        kept = Kept(tmp_path, executor)
        yield kept
    kept.store.close()


@pytest.fixture
def kept(empty: Kept) -> Kept:
    empty.found()
    return empty


def held_up(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Let copying wait: (set once it has begun, what lets it go on)."""
    begun, goes_on, copy = threading.Event(), threading.Event(), LmdbStore.copy

    def waiting(store: LmdbStore, target: Path) -> None:
        begun.set()
        assert goes_on.wait(60)
        copy(store, target)

    monkeypatch.setattr(LmdbStore, "copy", waiting)
    return begun, goes_on


# -- What is copied ----------------------------------------------------------------------------------------------
def test_a_backup_holds_log_keys_and_rules_for_this_user_alone_and_nothing_else(kept: Kept) -> None:
    folder = kept.made()
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == sorted([*ALL, "backup.json", ".gitignore"])
    assert {path.stat().st_mode & 0o777 for path in folder.rglob("*") if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (folder, *folder.iterdir()) if path.is_dir()} == {0o700}
    assert list(kept.room.iterdir()) == [folder]
    for name in ("keys/replica.key", "keys/town.key"):
        assert (folder / name).read_bytes() == (kept.places.data / name).read_bytes()


def test_a_backup_is_sound_with_and_without_what_keeps_git_away(kept: Kept) -> None:
    folder = kept.made()
    assert kept.checked(folder) == []
    (folder / ".gitignore").unlink()
    assert kept.checked(folder) == []


def test_it_tells_the_digest_of_each_plane_which_is_that_of_what_was_copied(kept: Kept) -> None:
    told = kept.ended(Backup(folder=str(kept.room / "copy")))
    assert [plane["digest"] for plane in told["planes"]] == kept.digests()
    assert sum(plane["events"] for plane in told["planes"]) == told["events"] > ISSUES
    again = kept.ended(CheckBackup(folder=str(kept.room / "copy")))
    assert (again["problems"], again["planes"], again["made"]) == ([], told["planes"], START_MS)


def test_an_empty_folder_may_be_named(kept: Kept) -> None:
    (kept.room / "copy").mkdir()
    assert kept.checked(kept.made()) == []


def test_a_trial_says_what_would_be_copied_and_writes_nothing(kept: Kept) -> None:
    told = kept.backups.answer(Backup(folder=str(kept.room / "copy"), dry_run=True))
    assert sorted(told["files"]) == sorted([*ALL, "backup.json"])
    assert (told["done"], told["bytes"] > 0, list(kept.room.iterdir())) == (True, True, [])


def test_it_needs_what_a_rebuild_needs() -> None:
    assert PERMISSIONS["backup"] == PERMISSIONS["check_backup"] == PERMISSIONS["rebuild"]


# -- While it is made --------------------------------------------------------------------------------------------
def test_others_write_while_it_is_copied(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, goes_on = held_up(kept, monkeypatch)
    answer = kept.backups.answer(Backup(folder=str(kept.room / "copy")))
    assert begun.wait(60)
    assert (answer["done"], answer["stage"]) == (False, "copying")
    kept.create("meanwhile")
    goes_on.set()
    while not answer["done"]:
        answer = kept.backups.answer(Backup(folder=answer.get("folder", ""), cursor=answer["cursor"]))
    kept.create("later")
    assert kept.checked(kept.room / "copy") == []


def test_one_that_nobody_waits_for_ends_without_a_trace(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, goes_on = held_up(kept, monkeypatch)
    answer = kept.backups.answer(Backup(folder=str(kept.room / "copy")))
    assert begun.wait(60)
    kept.clock.advance(PATIENCE_MS + 1)
    goes_on.set()
    job = kept.backups._job
    assert job is not None
    assert job.future is not None
    assert isinstance(job.future.exception(60), MootError)
    assert refusal(lambda: kept.backups.answer(Backup(folder="", cursor=answer["cursor"]))).code is Code.CANCELLED
    assert list(kept.room.iterdir()) == []


def test_one_under_way_when_the_daemon_stops_ends_without_a_trace(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, goes_on = held_up(kept, monkeypatch)
    answer = kept.backups.answer(Backup(folder=str(kept.room / "copy")))
    assert begun.wait(60)
    kept.backups.stop()
    goes_on.set()
    error = refusal(lambda: kept.ended(Backup(folder="", cursor=answer["cursor"])))
    assert (error.code, error.retryable) == (Code.CANCELLED, True)
    assert list(kept.room.iterdir()) == []


def test_one_is_made_at_a_time(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    _, goes_on = held_up(kept, monkeypatch)
    kept.backups.answer(Backup(folder=str(kept.room / "copy")))
    try:
        error = refusal(lambda: kept.backups.answer(Backup(folder=str(kept.room / "other"))))
    finally:
        goes_on.set()
    assert (error.code, error.retryable) == (Code.CONFLICT, True)


def test_of_another_one_than_goes_on_nothing_is_told(kept: Kept) -> None:
    assert refusal(lambda: kept.backups.answer(Backup(folder="", cursor="7"))).code is Code.CONFLICT
    kept.made()
    assert refusal(lambda: kept.backups.answer(Backup(folder="", cursor="7"))).code is Code.CONFLICT


# -- What makes none ---------------------------------------------------------------------------------------------
def test_without_a_town_there_is_nothing_to_copy(empty: Kept) -> None:
    assert refusal(empty.made).code is Code.NOT_READY


def test_what_is_in_memory_alone_is_not_copied(tmp_path: Path) -> None:
    assert make_api().refusal(Backup(folder=str(tmp_path / "copy"))) is Code.NOT_READY


def test_a_full_disk_is_told_and_nothing_is_left(kept: Kept) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_384, limits[1]))
    try:
        error = refusal(kept.made)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (error.code, error.retryable) == (Code.STORE_FULL, True)
    assert error.message == f"no space is left for a backup in {kept.room}/copy; nothing of it was kept"
    assert list(kept.room.iterdir()) == []


def test_a_log_that_is_not_sound_makes_none(kept: Kept) -> None:
    with kept.store.write() as writer:
        key, value = next(writer.scan(Table.BATCHES, b"", reverse=True))
        writer.put(Table.BATCHES, key, value[:-1] + bytes([value[-1] ^ 1]))
    with pytest.raises(MootError) as caught:
        kept.made()
    assert caught.value.code is Code.STORE_DAMAGED
    assert list(kept.room.iterdir()) == []


def test_what_is_not_the_snapshot_that_was_to_be_copied_is_noticed(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    earlier = kept.room.parent / "earlier"
    kept.store.copy(earlier)
    kept.create("since")
    before = LmdbStore.open(earlier)
    monkeypatch.setattr(LmdbStore, "copy", lambda _, target, copy=LmdbStore.copy: copy(before, target))
    with pytest.raises(MootError, match="not what was copied"):
        kept.made()
    before.close()
    assert list(kept.room.iterdir()) == []


def test_without_the_machine_s_key_there_is_none(kept: Kept) -> None:
    (kept.places.keys / "replica.key").unlink()
    with pytest.raises(MootError, match="no key named replica"):
        kept.made()
    assert list(kept.room.iterdir()) == []


# -- Checking one ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("place", [0, 1, 1000, -1])
@pytest.mark.parametrize("name", [*ALL, "backup.json"])
def test_a_flipped_bit_is_found_wherever_it_is(kept: Kept, name: str, place: int) -> None:
    folder = kept.made()
    data = bytearray((folder / name).read_bytes())
    data[place if place < len(data) else len(data) // 2] ^= 1
    (folder / name).write_bytes(data)
    found = [where for where, _ in kept.checked(folder)]
    assert found[0] == name
    assert found[1:] == (["keys"] if name == "keys/replica.key" else [])  # which the store can't do without


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(("damage", "told"), [(cut, "bytes, and had"), (Path.unlink, "it is missing")])
def test_a_file_that_is_cut_or_missing_is_found(kept: Kept, damage: Callable[[Path], object], told: str) -> None:
    folder = kept.made()
    damage(folder / "log" / "data.mdb")
    damage(folder / "keys" / "town.key")
    found = kept.checked(folder)
    assert [where for where, _ in found] == ["keys/town.key", "log/data.mdb"]
    assert all(told in problem for _, problem in found)


def test_a_log_that_fits_its_sum_and_is_not_sound_is_found(kept: Kept) -> None:
    folder = kept.made()
    store = LmdbStore.open(folder / "log")
    with store.write() as writer:
        key, _ = next(writer.scan(Table.BATCHES, b"", reverse=True))
        writer.delete(Table.BATCHES, key)
    store.close()
    contents = backup_folder.read_list(folder)
    (folder / "backup.json").unlink()
    backup_folder.write_list(folder, contents)
    assert ("backup.json", "it tells of another log than is there") in kept.checked(folder)
    assert any("last batch" in problem for _, problem in kept.checked(folder))


def test_a_check_changes_nothing(kept: Kept) -> None:
    folder = kept.made()
    before = {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*") if path.is_file()}
    assert kept.checked(folder) == []
    assert {
        path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*") if path.is_file()
    } == before


def test_what_is_no_backup_is_not_called_a_damaged_one(kept: Kept) -> None:
    assert refusal(lambda: kept.checked(kept.room)).code is Code.NOT_FOUND


# -- Put in a data folder's place --------------------------------------------------------------------------------
def test_what_is_restored_writes_nothing_until_somebody_says_what_it_is(kept: Kept) -> None:
    folder = kept.made()
    store = LmdbStore.open(folder / "log")
    replica = Replica(store, FileKeyStore(folder / "keys", kept.entropy), kept.clock, kept.entropy)
    create = Create(actor="ada", project=PROJECT, fields=IssueFields(title="after"))

    def write() -> None:
        with replica.transaction() as unit:
            carry_out(unit, create)

    assert refusal(write).code is Code.DENIED
    with replica.read() as reader:
        assert is_of_backup(reader)
    with replica.transaction() as unit:
        assert salvage(unit).replica != kept.replica.id
    write()
    store.close()
