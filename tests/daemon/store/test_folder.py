"""A store's folder: private to its user, held by one process, and free again however that process ends."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from moot_protocol.errors import Code, RefusedError
from mootd.store.folder import give_back, make_private, take

HOLD = """
import pathlib, sys
from mootd.store.folder import take
take(pathlib.Path(sys.argv[1]), read_only=False)
print("taken", flush=True)
sys.stdin.read()
"""


def mode(folder: Path) -> int:
    return folder.stat().st_mode & 0o777


def refusal(folder: Path) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        give_back(take(folder, read_only=False))
    assert caught.value.code is Code.STORE_LOCKED
    return caught.value


def test_a_new_folder_and_what_leads_to_it_are_made_and_the_folder_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "log"
    make_private(folder)
    assert mode(folder) == 0o700


def test_a_folder_that_others_can_read_is_closed_to_them(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    folder.chmod(0o755)
    (folder / "file").write_text("kept")
    make_private(folder)
    assert mode(folder) == 0o700
    assert (folder / "file").read_text() == "kept"


def test_a_file_in_its_place_is_reported_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("mine")
    with pytest.raises(FileExistsError):
        make_private(tmp_path / "log")
    assert (tmp_path / "log").read_text() == "mine"


def test_a_folder_is_taken_once_in_a_process_until_it_is_given_back(tmp_path: Path) -> None:
    held = take(tmp_path, read_only=False)
    assert str(os.getpid()) in refusal(tmp_path).message
    give_back(held)
    give_back(take(tmp_path, read_only=False))


def test_a_copy_of_the_descriptor_as_a_program_has_it_while_it_is_started_holds_nothing_once_it_is_given_back(
    tmp_path: Path,
) -> None:
    held = take(tmp_path, read_only=False)
    copy = os.dup(held)
    give_back(held)
    give_back(take(tmp_path, read_only=False))
    os.close(copy)


def test_nor_once_taking_it_failed_for_want_of_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copies: list[int] = []

    def no_room(descriptor: int, *_: object) -> None:
        copies.append(os.dup(descriptor))
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", no_room)
        with pytest.raises(OSError, match="No space"):
            take(tmp_path, read_only=False)
    give_back(take(tmp_path, read_only=False))
    os.close(copies[0])


def test_the_file_of_the_owner_is_for_its_user_only_and_always_as_long(tmp_path: Path) -> None:
    held = take(tmp_path, read_only=False)
    owner = tmp_path / "owner"
    assert mode(owner) == 0o600
    assert owner.read_bytes().split() == [str(os.getpid()).encode()]
    size = owner.stat().st_size
    give_back(held)
    assert owner.read_bytes().split() == []
    assert owner.stat().st_size == size


def test_a_folder_that_another_process_holds_is_refused_by_its_id_and_free_once_that_one_is_killed(
    tmp_path: Path,
) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "taken\n"
        assert f"process {other.pid}" in refusal(tmp_path).message
        other.send_signal(signal.SIGKILL)
        other.wait(30)
        held = take(tmp_path, read_only=False)
    give_back(held)


def test_a_lock_is_not_handed_on_to_programs_that_are_started(tmp_path: Path) -> None:
    held = take(tmp_path, read_only=False)
    assert not os.get_inheritable(held)
    give_back(held)


@pytest.mark.parametrize("text", [b"not a number", b"\xff\xfe", b""])
def test_what_stands_in_the_file_decides_nothing_and_is_said_only_if_it_is_a_number(
    tmp_path: Path, text: bytes
) -> None:
    owner = tmp_path / "owner"
    owner.write_bytes(text)
    held = take(tmp_path, read_only=False)
    owner.write_bytes(text)
    assert refusal(tmp_path).message.endswith("is already in use")
    give_back(held)


def test_for_reading_only_a_folder_is_taken_too(tmp_path: Path) -> None:
    held = take(tmp_path, read_only=True)
    refusal(tmp_path)
    give_back(held)
