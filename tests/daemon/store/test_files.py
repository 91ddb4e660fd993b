"""A store's files: as long as what is in use of them, and whole or not there."""

import os
from pathlib import Path

import pytest

from mootd.store.files import grow, missing_bytes, write_out, written_whole

MODE = 0o777


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_a_file_is_written_out_in_zeros_for_its_user_alone(file: Path) -> None:
    write_out(file, 8192)
    assert file.read_bytes() == bytes(8192)
    assert file.stat().st_mode & MODE == 0o600


def test_a_file_that_is_too_short_is_written_out_anew_and_one_that_is_long_enough_is_left_alone(file: Path) -> None:
    file.write_bytes(b"four")
    write_out(file, 4)
    assert file.read_bytes() == b"four"
    write_out(file, 5)
    assert file.read_bytes() == bytes(5)


def test_a_file_that_ends_early_is_grown_to_the_end_of_what_is_in_use_and_never_cut(file: Path) -> None:
    file.write_bytes(b"four")
    assert [missing_bytes(file, in_use) for in_use in (3, 4, 10)] == [0, 0, 6]
    for in_use, expected in ((3, b"four"), (10, b"four" + bytes(6))):
        grow(file, in_use)
        assert file.read_bytes() == expected


def test_a_new_file_has_its_name_only_once_it_is_whole(file: Path) -> None:
    with written_whole(file) as descriptor:
        os.write(descriptor, b"whole")
        assert not file.exists()
    assert file.read_bytes() == b"whole"
    assert file.stat().st_mode & MODE == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_of_a_file_that_fails_nothing_is_left_and_no_descriptor_is_open(file: Path) -> None:
    opened = []

    def interrupted() -> None:
        with written_whole(file) as descriptor:
            opened.append(descriptor)
            os.write(descriptor, b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(file.parent.iterdir()) == []
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened[0])


def test_a_new_file_is_synced_before_it_has_its_name_and_its_name_after(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[bool, bool]] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append((Path(f"/proc/self/fd/{descriptor}").is_dir(), file.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    with written_whole(file):
        pass
    assert synced == [(False, False), (True, True)]
