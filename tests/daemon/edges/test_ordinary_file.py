"""Only ordinary files are read, and nothing of their name holds anybody up."""

import os
from pathlib import Path

import pytest

from moot_protocol.errors import Code, RefusedError
from mootd.edges.ordinary_file import open_ordinary


def test_a_file_is_read_also_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"text")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        with open_ordinary(tmp_path / name) as file:
            assert file.read() == b"text"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_anything_else_is_refused_and_closed(tmp_path: Path, make: object) -> None:
    assert callable(make)
    make(tmp_path / "other")
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(RefusedError, match="is no file") as raised:
        open_ordinary(tmp_path / "other")
    assert raised.value.code is Code.DENIED
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_what_is_not_there_is_told_as_the_system_does(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_ordinary(tmp_path / "none")
