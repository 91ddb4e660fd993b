"""The files that a process was loaded from: whether others are in their places."""

import os
from pathlib import Path

import pytest

from mootd import version
from mootd.edges.installed import Installed


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "version.py"
    path.write_text("1")
    return path


def test_what_nobody_touched_is_as_it_was(file: Path) -> None:
    installed = Installed(file)
    assert not installed.is_replaced()
    assert not installed.is_news()


def test_it_is_replaced_where_an_installer_wrote_it_again_be_it_the_same(file: Path) -> None:
    installed = Installed(file)
    told = file.stat().st_mtime_ns
    file.unlink()
    file.write_text("1")
    os.utime(file, ns=(told + 1_000_000, told + 1_000_000))  # later, however coarse the file system's clock is
    assert installed.is_replaced()


def test_it_is_replaced_where_it_has_another_size(file: Path) -> None:

    installed = Installed(file)
    told = file.stat().st_mtime_ns
    file.write_text("1.1")
    os.utime(file, ns=(told, told))
    assert installed.is_replaced()


def test_it_is_replaced_where_it_was_removed(file: Path) -> None:
    installed = Installed(file)
    file.unlink()
    assert installed.is_replaced()


def test_it_is_news_once(file: Path) -> None:
    installed = Installed(file)
    file.unlink()
    assert [installed.is_news() for _ in range(3)] == [True, False, False]
    assert installed.is_replaced()


def test_of_what_is_no_file_nothing_is_said(tmp_path: Path) -> None:
    assert not Installed(tmp_path / "archive.zip" / "version.py").is_replaced()


def test_the_file_that_stands_for_all_names_the_release() -> None:
    assert Installed()._path == Path(version.__file__)
