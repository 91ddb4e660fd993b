"""Where a data directory lies, as hashes: a copy of the folder is another, the folder renamed is the same."""

import shutil
from pathlib import Path

import pytest

from mootd.edges.home import home_of


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (tmp_path / "id").write_text("0123456789abcdef\n")
    return folder


def test_a_copied_folder_is_another_and_a_renamed_one_the_same(data: Path, tmp_path: Path) -> None:
    before = home_of(data, tmp_path / "id")
    shutil.copytree(data, tmp_path / "copy")
    assert home_of(tmp_path / "copy", tmp_path / "id").folder != before.folder
    assert home_of(data.rename(tmp_path / "renamed"), tmp_path / "id") == before


def test_a_machine_is_known_by_its_id_which_isn_t_told(data: Path, tmp_path: Path) -> None:
    before = home_of(data, tmp_path / "id")
    assert b"0123456789" not in before.machine
    (tmp_path / "id").write_text("fedcba9876543210\n")
    assert home_of(data, tmp_path / "id").machine != before.machine


def test_a_machine_without_an_id_has_none(data: Path, tmp_path: Path) -> None:
    assert home_of(data, tmp_path / "none").machine == b""
    (tmp_path / "id").write_text("\n")
    assert home_of(data, tmp_path / "id").machine == b""
