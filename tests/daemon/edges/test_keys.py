"""Key files: modes, owners, links, damage, and what a crash leaves."""

import fcntl
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moot_protocol.codec import encode
from moot_protocol.errors import Code, RefusedError
from mootd.edges import keys as keys_module
from mootd.edges.entropy import SeededEntropy, SystemEntropy
from mootd.edges.keys import FileKeyStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "keys"


@pytest.fixture
def keys(folder: Path) -> FileKeyStore:
    store = FileKeyStore(folder, SeededEntropy(1))
    store.create("town")
    return store


def refused(call: Callable[[], object]) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        call()
    return caught.value


def test_the_folder_and_the_files_are_the_users_alone(keys: FileKeyStore, folder: Path) -> None:
    assert folder.stat().st_mode & 0o7777 == 0o700
    assert (folder / "town.key").stat().st_mode & 0o7777 == 0o600
    assert [file.name for file in folder.iterdir()] == ["town.key"]


def test_modes_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        FileKeyStore(tmp_path / "a" / "keys", SystemEntropy()).create("town")
    finally:
        os.umask(before)
    modes = [path.stat().st_mode & 0o7777 for path in (tmp_path / "a", *sorted((tmp_path / "a").rglob("*")))]
    assert modes == [0o700, 0o700, 0o600]


def test_a_key_is_found_by_another_process_later(keys: FileKeyStore, folder: Path) -> None:
    later = FileKeyStore(folder, SystemEntropy())
    assert later.signer("town").public == keys.signer("town").public


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622, 0o601])
def test_a_file_open_to_others_is_refused_with_the_way_to_close_it(keys: FileKeyStore, folder: Path, mode: int) -> None:
    (folder / "town.key").chmod(mode)
    error = refused(lambda: keys.signer("town"))
    assert error.code is Code.DENIED
    assert f"chmod 600 {folder / 'town.key'}" in error.hint
    (folder / "town.key").chmod(0o600)
    keys.signer("town")


@pytest.mark.parametrize("mode", [0o750, 0o705, 0o711])
@pytest.mark.parametrize("method", ["has", "create", "signer", "hpke_public"])
def test_a_folder_open_to_others_is_refused_with_the_way_to_close_it(
    keys: FileKeyStore, folder: Path, method: str, mode: int
) -> None:
    folder.chmod(mode)
    error = refused(lambda: getattr(keys, method)("town"))
    assert error.code is Code.DENIED
    assert f"chmod 700 {folder}" in error.hint


def test_what_belongs_to_someone_else_is_refused(keys: FileKeyStore, folder: Path) -> None:
    elsewhere = FileKeyStore(folder, SystemEntropy(), owner=os.geteuid() + 1)
    for call in (lambda: elsewhere.signer("town"), lambda: elsewhere.create("replica")):
        error = refused(call)
        assert error.code is Code.DENIED
        assert "belongs to user" in error.message


def test_a_file_of_someone_else_in_our_folder_is_refused(keys: FileKeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    fstat = os.fstat

    def foreign(descriptor: int) -> os.stat_result:
        status = fstat(descriptor)
        owner = 12345 if stat.S_ISREG(status.st_mode) else status.st_uid
        return os.stat_result((*status[:4], owner, *status[5:]))

    monkeypatch.setattr(os, "fstat", foreign)
    error = refused(lambda: keys.signer("town"))
    assert error.code is Code.DENIED
    assert "belongs to user 12345" in error.message


def test_a_linked_file_is_refused(keys: FileKeyStore, folder: Path, tmp_path: Path) -> None:
    (folder / "town.key").rename(tmp_path / "town.key")
    (folder / "town.key").symlink_to(tmp_path / "town.key")
    error = refused(lambda: keys.signer("town"))
    assert (error.code, "symbolic link" in error.message) == (Code.DENIED, True)


def test_a_linked_folder_is_refused(keys: FileKeyStore, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(folder)
    linked = FileKeyStore(tmp_path / "linked", SystemEntropy())
    for call in (lambda: linked.signer("town"), lambda: linked.create("replica"), lambda: linked.has("town")):
        assert refused(call).code is Code.DENIED
    assert not keys.has("replica")


def test_a_link_that_leads_nowhere_is_not_written_through(keys: FileKeyStore, folder: Path, tmp_path: Path) -> None:
    (folder / "replica.key").symlink_to(tmp_path / "target")
    assert refused(lambda: keys.create("replica")).code is Code.EXISTS
    assert not (tmp_path / "target").exists()


def test_a_pipe_in_a_keys_place_does_not_hold_anybody_up(keys: FileKeyStore, folder: Path) -> None:
    os.mkfifo(folder / "replica.key", 0o600)
    assert refused(lambda: keys.signer("replica")).code is Code.DENIED


# -- Damage ------------------------------------------------------------------------------------------------------


WHOLE = keys_module._new_key("town", SeededEntropy(1))


@given(st.integers(0, 8 * len(encode(WHOLE)) - 1))
def test_every_flipped_bit_is_noticed(place: int) -> None:
    content = bytearray(encode(WHOLE))
    content[place // 8] ^= 1 << place % 8
    try:
        key = keys_module._checked(bytes(content), keys_module.PAIR, "town", Path("town.key"))
    except RefusedError as error:
        assert error.code in {Code.STORE_DAMAGED, Code.BAD_VERSION}  # noqa: PT017 - both ways out are right
    else:  # X25519 leaves five bits of a private key aside, so flipping them changes nothing
        assert (key.signing, key.signing_public) == (WHOLE.signing, WHOLE.signing_public)
        assert key.exchange_public == WHOLE.exchange_public


@pytest.mark.parametrize("content", [b"", b"\xc0", b"not a key at all", bytes(5000), b"\x97\x01\xa4pair"])
def test_what_is_no_key_is_called_damaged(keys: FileKeyStore, folder: Path, content: bytes) -> None:
    (folder / "town.key").write_bytes(content)
    assert refused(lambda: keys.signer("town")).code is Code.STORE_DAMAGED


def test_a_key_under_another_name_is_refused(keys: FileKeyStore, folder: Path) -> None:
    (folder / "town.key").rename(folder / "replica.key")
    error = refused(lambda: keys.signer("replica"))
    assert error.code is Code.STORE_DAMAGED
    assert "named town" in error.message


@pytest.mark.parametrize("lengths", [(31, 32), (32, 33)])
def test_keys_of_a_wrong_length_are_damaged(keys: FileKeyStore, folder: Path, lengths: tuple[int, int]) -> None:
    content = [1, "pair", "town", bytes(lengths[0]), bytes(lengths[1]), bytes(32), bytes(32)]
    (folder / "town.key").write_bytes(encode(content))
    assert refused(lambda: keys.signer("town")).code is Code.STORE_DAMAGED


def test_a_file_of_a_later_format_says_so(keys: FileKeyStore, folder: Path) -> None:
    (folder / "town.key").write_bytes(encode([2, "something new"]))
    error = refused(lambda: keys.signer("town"))
    assert (error.code, error.hint) == (Code.BAD_VERSION, "update moot")


def test_a_key_is_never_printed() -> None:
    key = keys_module._new_key("town", SeededEntropy(1))
    assert repr(key) == "<key town>"


# -- Crashes and races -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_crash_while_a_key_is_written_leaves_no_key_and_bars_no_other(
    keys: FileKeyStore, folder: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    class Crash(BaseException):
        """As if the process ended here."""

    def crash(*_arguments: object, **_options: object) -> None:
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(os, step, crash)
        with pytest.raises(Crash):
            keys.create("replica")
    assert not keys.has("replica")
    keys.create("replica")
    assert sorted(file.name for file in folder.iterdir()) == ["replica.key", "town.key"]


def test_a_key_is_on_disk_before_it_has_its_name_and_its_name_before_create_returns(
    keys: FileKeyStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, rename = os.fsync, os.rename

    def noting_fsync(descriptor: int) -> None:
        steps.append("sync " + Path(f"/proc/self/fd/{descriptor}").readlink().name)
        fsync(descriptor)

    def noting_rename(old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        steps.append("rename")
        rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "rename", noting_rename)
    keys.create("replica")
    assert steps == ["sync .replica.key.new", "rename", "sync keys"]


def test_a_full_disk_is_told_and_leaves_no_key(keys: FileKeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        error = refused(lambda: keys.create("replica"))
    assert (error.code, error.retryable) == (Code.STORE_FULL, True)
    assert not keys.has("replica")


def test_while_a_key_is_written_nobody_else_writes_one(
    keys: FileKeyStore, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[bool] = []

    def trying(_descriptor: int) -> None:
        other = os.open(folder, os.O_RDONLY)
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            tried.append(True)
        finally:
            os.close(other)

    monkeypatch.setattr(os, "fsync", trying)
    keys.create("replica")
    assert tried == [True, True]


def test_of_many_who_create_the_same_key_one_succeeds(folder: Path) -> None:
    codes: list[Code | None] = []

    def create() -> None:
        try:
            FileKeyStore(folder, SystemEntropy()).create("town")
            codes.append(None)
        except RefusedError as error:
            codes.append(error.code)

    threads = [threading.Thread(target=create) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, codes)) == sorted(["None"] + ["exists"] * 7)


def test_every_flipped_bit_of_a_secret_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    keys = FileKeyStore(folder, SystemEntropy())
    keys.keep("topic-1", b"s" * 32)
    whole = (folder / "topic-1.key").read_bytes()
    for place in range(8 * len(whole)):
        content = bytearray(whole)
        content[place // 8] ^= 1 << place % 8
        with pytest.raises(RefusedError):
            keys_module._checked(bytes(content), keys_module.SHARED, "topic-1", Path("topic-1.key"))
